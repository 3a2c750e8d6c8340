"""Is an arm there? Asks the addresses of `[control.health]`, all at once, each for a bounded time.

Only an answer of 200 to 299 is "up". A redirect is not: nobody knows who would answer there. What
cannot be asked (a certificate that is not trusted here, a name that nobody here knows) is
"unknown": it says nothing about the arm.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import Health

__all__ = ["HealthChecks"]

_LONGEST_BODY = 1024 * 1024
"""Bytes of an answer's body, which nobody reads."""

_GRACE_S = 0.5
"""How long after its time a check may take to say so."""

Told = tuple[Health, str]


class HealthChecks:
    """Asks all addresses; used by one thread at a time.

    addresses: arm -> http address. timeout: seconds for each, as a whole.
    """

    def __init__(self, addresses: Mapping[str, str], timeout_s: float) -> None:
        self._addresses = dict(addresses)
        self._timeout = timeout_s
        self._asking: dict[str, _Check] = {}

    def ask(self) -> Mapping[str, Told]:
        """Every arm with an address: its health, and in words how that is known.

        Comes to an end within the time of one check. Raises nothing.
        """
        for arm, address in self._addresses.items():
            before = self._asking.get(arm)
            if before is None or not before.is_alive():  # one that hangs is not joined by another
                self._asking[arm] = check = _Check(address, self._timeout)
                check.start()
        until = time.monotonic() + self._timeout + _GRACE_S
        found: dict[str, Told] = {}
        for arm, check in self._asking.items():
            check.join(max(0.0, until - time.monotonic()))
            found[arm] = check.said or (
                Health.UNKNOWN,
                f"its address could not be asked within {self._timeout:g} s",
            )
        return found


class _Check(threading.Thread):
    """One question. A thread of its own, which nobody waits for at the end of the process."""

    def __init__(self, address: str, timeout_s: float) -> None:
        super().__init__(name="health", daemon=True)
        self._address, self._timeout = address, timeout_s
        self.said: Told | None = None

    def run(self) -> None:
        try:
            self.said = _asked(self._address, self._timeout)
        except Exception as error:  # a check that fails in a new way says nothing about the arm
            self.said = Health.UNKNOWN, f"it could not be asked: {type(error).__name__}"


def _asked(address: str, timeout_s: float) -> Told:
    # httpx takes 60 ms to import, and most configurations have no address to ask
    from console.control.planes.web import Web, WebPlaneError  # noqa: PLC0415

    parts = urlsplit(address)
    try:
        socket.getaddrinfo(parts.hostname, None)
    except (OSError, UnicodeError) as error:
        said = clean(getattr(error, "strerror", None) or error, 200)
        return Health.UNKNOWN, f"nobody here knows where {clean(parts.hostname, 100)} is: {said}"
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    try:
        web = Web(f"{parts.scheme}://{parts.netloc}", timeout=timeout_s)
    except PlaneError as error:
        return Health.UNKNOWN, str(error)
    try:
        reply = web.ask("GET", path, limit=_LONGEST_BODY)
    except WebPlaneError as error:
        # that it is not trusted from here is no failure of the arm
        known = "certificate" not in str(error)
        return (Health.DOWN if known else Health.UNKNOWN), str(error)
    finally:
        web.close()
    if reply.ok:
        return Health.UP, f"{reply.where} answered {reply.status}"
    if 300 <= reply.status < 400:
        return Health.DOWN, f"{reply.where} answered {reply.status}, a redirect; give where it ends"
    return Health.DOWN, reply.problem
