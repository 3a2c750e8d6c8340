"""What a source sends to say who it is, and how none of it gets into a message.

Secrets are read from the environment or from a file named there, never from the configuration.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from collectors.errors import SourceError
from collectors.text import clean

__all__ = ["PRINTABLE", "Credentials", "Secretive"]

PRINTABLE = re.compile(r"[\x20-\x7e]+")
"""What a header may hold."""

_LONGEST = 64 * 1024


class Secretive(Protocol):
    """What says where its secrets are, as `collectors.source_settings.WebSource` does."""

    @property
    def token_env(self) -> str:
        """The variable with the bearer token."""

    @property
    def token_file(self) -> str:
        """The file with the bearer token."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Header -> variable with its value."""


class Credentials:
    """Token and secret headers of a source. base: the folder that `token_file` is relative to."""

    def __init__(self, source: Secretive, base: Path) -> None:
        self._source = source
        self._base = base
        self._known: set[str] = set()

    def headers(self) -> dict[str, str]:
        """Headers of a request, names in small letters. Raises SourceError when one is missing.

        The token's file is read each time: tokens are renewed.
        """
        source = self._source
        headers: dict[str, str] = {}
        if source.token_env and source.token_file:
            raise SourceError("give the token in `token_env` or in `token_file`, not in both")
        if source.token_env:
            headers["authorization"] = f"Bearer {self._variable(source.token_env)}"
        elif source.token_file:
            token = self._usable(_file(self._base, source.token_file), source.token_file)
            headers["authorization"] = f"Bearer {token}"
        for name, variable in source.headers.items():
            headers[name.lower()] = self._variable(variable)
        return headers

    def hidden(self, text: str, longest: int) -> str:
        """Displayable text without any secret that was sent, should a server send it back."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, "***")
        return clean(text, longest)

    def _variable(self, name: str) -> str:
        if name not in os.environ:
            raise SourceError(f"the environment variable {name} is not set", "it holds a secret")
        return self._usable(os.environ[name], name)

    def _usable(self, value: str, where: str) -> str:
        value = value.strip()
        if not PRINTABLE.fullmatch(value):
            problem = "holds characters that no header may have" if value else "is empty"
            raise SourceError(f"the secret in {where} {problem}")
        self._known.add(value)
        return value


def _file(base: Path, name: str) -> str:
    path = base / Path(name).expanduser()
    try:
        if not path.is_file():
            raise SourceError(f"there is no file {path}", "check `token_file`")
        with path.open("rb") as file:
            return file.read(_LONGEST).decode("utf-8", "replace")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
