"""HAProxy's runtime API: one line over a socket, one answer, then it closes. One replica.

An empty answer is success. Facts were found by driving 2.8; see docs/planes.md.
"""

from __future__ import annotations

import csv
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.planes.web import whole

__all__ = ["Api", "ApiError", "Server", "Verdict", "is_name"]

_LARGEST = 4 * 1024 * 1024
"""Bytes of an answer; a backend of 1,000 servers says 300 kB."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")


class ApiError(PlaneError):
    """No answer. sent: whether the line, or a part of it, may have arrived."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Server:
    """One server of the backend, as `show stat` has it. weight: as it was set, 0 to 256.

    status: like UP, DOWN, DRAIN, MAINT or "no check". backup: whether it gets requests only when
    all others are down. n: requests that were given to it and to no other after that. failed:
    those it answered with 5xx, or not.
    """

    name: str
    weight: int
    status: str
    backup: bool
    n: int
    failed: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What it said to a line of changes. done, refused: all of them; neither: some, perhaps."""

    done: bool
    refused: bool
    said: str


class Api:
    """One process. place: the path of a unix socket, or host:port. timeout: seconds for all that is
    asked within `asked()`."""

    def __init__(self, place: str, base: Path, timeout: float) -> None:
        self.name = clean(place, 200)
        host, _, port = place.rpartition(":")
        self._inet = bool(host) and "/" not in place and port.isdigit()
        # `base / path` is the path where that is absolute
        self._address = (host.strip("[]"), int(port)) if self._inet else str(base / place)
        self._timeout = timeout
        self._deadline = 0.0

    @contextmanager
    def asked(self) -> Iterator[None]:
        """One look at it, in one timeout."""
        self._deadline = time.monotonic() + self._timeout
        yield

    def servers(self, backend: str) -> tuple[dict[str, Server], str]:
        """The backend's servers, and how it balances ("" if it does not say). Raises PlaneError."""
        number, weights = self._weights(backend)
        # by number: the name may be that of a frontend too, which is then shown instead
        said = self._said(f"show stat {number} 6 -1", backend)
        try:
            rows = list(csv.DictReader(said.removeprefix("# ").splitlines()))
        except csv.Error:
            raise self._nonsense("its statistics") from None
        found, balance = dict[str, Server](), ""
        for row in rows:
            name = row.get("svname") or ""
            if row.get("pxname") != backend:
                raise self._nonsense("its statistics")
            if name == "BACKEND":
                balance = clean(row.get("algo") or "", 40)
            elif name in weights:
                found[name] = _server(row, name, weights[name])
        if set(found) != set(weights):
            raise self._nonsense("its servers")
        return found, balance

    def began(self) -> str:
        """Which process it is, since when. Raises PlaneError."""
        said = self._said("show info", "")
        lines = dict(re.findall(r"^(Pid|Start_time_sec|Name): *(\S{1,40})\s*$", said, re.MULTILINE))
        if "Pid" not in lines:
            raise self._nonsense("when it began")
        return "/".join(clean(lines[key]) for key in ("Pid", "Start_time_sec") if key in lines)

    def weigh(self, backend: str, weights: Sequence[tuple[str, int]]) -> Verdict:
        """Set weights, all in one line, in this order. Raises ApiError.

        It goes on after one that failed, so what it says is checked for each.
        """
        line = "; ".join(f"set server {backend}/{arm} weight {weight}" for arm, weight in weights)
        said = self._ask(line)
        # each command answers with an empty line, after a message if it failed
        lines = said.split("\n")
        messages = [line for line in lines if line.strip()]
        done = said == "\n" * len(weights)
        refused = len(messages) == len(weights) and said.count("\n") == 2 * len(weights)
        return Verdict(done, refused, clean("; ".join(dict.fromkeys(messages)), 300))

    # --- its answers -------------------------------------------------------------------------

    def _weights(self, backend: str) -> tuple[int, dict[str, int]]:
        """The backend's number, and its servers' weights."""
        said = self._said(f"show servers state {backend}", backend).splitlines()
        if len(said) < 2 or not said[1].startswith("# "):
            raise self._nonsense("its servers")
        names = said[1].removeprefix("# ").split()
        found, number = dict[str, int](), None
        for line in said[2:]:
            row = dict(zip(names, line.split(), strict=False))
            weight = whole(row.get("srv_uweight"))
            number = whole(row.get("be_id"))
            if weight is None or number is None or "srv_name" not in row:
                raise self._nonsense("its servers")
            found[row["srv_name"]] = weight
        if number is None:
            raise PlaneError(f"{self.name}: the backend {backend!r} has no servers")
        return number, found

    def _said(self, line: str, backend: str) -> str:
        """The whole answer to a question; it ends with an empty line."""
        said = self._ask(line)
        if said.strip() in ("Can't find backend.", "No such proxy."):
            raise PlaneError(f"{self.name} has no backend {backend!r}; check `backend`")
        if said.startswith("Permission denied"):
            raise PlaneError(f"{self.name}: permission denied; give the socket `level admin`")
        if not said.endswith("\n\n"):
            raise ApiError(f"{self.name} broke off before it had answered", sent=True)
        return said.rstrip("\n")

    def _ask(self, line: str) -> str:
        sent = False
        try:
            with self._connected() as talk:
                sent = True
                talk.settimeout(self._left())
                talk.sendall(line.encode("ascii") + b"\n")
                said = bytearray()
                while True:
                    talk.settimeout(self._left())
                    piece = talk.recv(64 * 1024)
                    if not piece:
                        break
                    said += piece
                    if len(said) > _LARGEST:
                        what = f"{self.name} answered with more than {_LARGEST / 2**20:g} MiB"
                        raise ApiError(what, sent=True)
        except TimeoutError:
            what = "did not answer" if sent else "could not be reached"
            raise ApiError(f"{self.name} {what} within {self._timeout:g} s", sent=sent) from None
        except OSError as error:
            said_os = clean(error.strerror or str(error), 200)
            if sent:
                what = f"{self.name} broke off before it had answered: {said_os}"
                raise ApiError(what, sent=True) from None
            hint = "is it up, and may this user use its `stats socket`?"
            raise ApiError(f"cannot reach {self.name}: {said_os}; {hint}", sent=False) from None
        return said.decode("utf-8", "replace")

    def _connected(self) -> socket.socket:
        if isinstance(self._address, tuple):
            return socket.create_connection(self._address, timeout=self._left())
        talk = socket.socket(socket.AF_UNIX)
        try:
            talk.settimeout(self._left())
            talk.connect(self._address)
        except BaseException:
            talk.close()
            raise
        return talk

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _nonsense(self, what: str) -> PlaneError:
        return PlaneError(
            f"{self.name} says nothing that can be understood about {what}; is it HAProxy's "
            "runtime API?"
        )


def is_name(text: str) -> bool:
    """Whether a name can stand in a command: what ends one, or a word of it, cannot."""
    return _NAME.fullmatch(text) is not None


def _server(row: dict[str, str], name: str, weight: int) -> Server:
    """Counted when given away, without retries and what another server got after all; `req_tot`
    leaves out what was not answered, and `eresp` counts some failures twice (driven: 2.8)."""

    def figure(key: str) -> int:
        return whole(row.get(key) or "") or 0

    n = max(figure("stot") - figure("wretr") - figure("wredis"), 0)
    unanswered = figure("econ") + figure("eresp")
    if row.get("req_tot"):
        unanswered = min(unanswered, max(n - figure("req_tot"), 0))
    return Server(
        name,
        weight,
        clean(row.get("status") or "", 40),
        figure("bck") > 0,
        n,
        min(unanswered + figure("hrsp_5xx"), n),
    )
