"""Who changes something: what the operating system says, and nothing else of the environment."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from collectors.text import clean

__all__ = ["Who", "who"]

_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Who:
    """Who did something.

    user: of the operating system, by number; behind sudo both, like "root (sudo by mei)".
    origin: the address that an SSH session came from, "" for none. program: console, command or
    recorder.
    """

    user: str
    host: str
    origin: str
    program: str

    @property
    def in_words(self) -> str:
        """As it is read: what goes by itself is not of whoever started the recorder."""
        return "the recorder" if self.program == "recorder" else str(self)

    def __str__(self) -> str:
        away = f" from {self.origin}" if self.origin else ""
        return f"{self.user}@{self.host}{away}"


def who(program: str, environment: Mapping[str, str]) -> Who:
    """Who runs this process. Never raises.

    Of the environment SUDO_USER and SSH_CONNECTION are read; whoever sets them can lie there, so
    they only stand beside what the system says.
    """
    user = _user(os.getuid())
    sudo = clean(environment.get("SUDO_USER", ""), _LONGEST)
    if sudo and sudo != user:
        user = f"{user} (sudo by {sudo})"
    return Who(user, clean(_host(), _LONGEST), _origin(environment), program)


def _user(number: int) -> str:
    """The user's name; the number where it has none, as in containers."""
    import pwd  # noqa: PLC0415 - not on every system

    try:
        return clean(pwd.getpwuid(number).pw_name, _LONGEST)
    except KeyError:
        return str(number)


def _host() -> str:
    try:
        return socket.gethostname()
    except OSError:
        return ""


def _origin(environment: Mapping[str, str]) -> str:
    """The client's address of an SSH session; "" where there is none, or no address."""
    first = environment.get("SSH_CONNECTION", "").split(" ", 1)[0]
    try:
        return clean(ipaddress.ip_address(first), _LONGEST) if len(first) <= _LONGEST else ""
    except ValueError:
        return ""
