"""A TCP proxy that goes wrong as it is told: between a control plane's client and its server.

    with FaultyProxy(("127.0.0.1", 9901)) as proxy:
        client = Client(f"http://127.0.0.1:{proxy.port}")
        proxy.set(Fault.DROP_REPLY, when=lambda request: b"runtime_modify" in request)

A fault is chosen for each connection from what the client first sends, so that reads can work
while a change does not. It ends by itself: its threads are daemons and its sockets are closed with
it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from enum import Enum, auto
from types import TracebackType
from typing import Self

__all__ = ["Fault", "FaultyProxy"]

_PIECE = 64 * 1024


class Fault(Enum):
    """What happens to a connection."""

    PASS = auto()
    REFUSE = auto()
    """Nobody listens. For all connections, whatever they would send."""
    HANG = auto()
    """It is taken and never answered; the server hears nothing."""
    DROP_REPLY = auto()
    """The server gets the request and answers; the client sees the connection end."""
    HOLD_REPLY = auto()
    """The server gets the request and answers; the client gets it after `release()`."""
    HOLD_REQUEST = auto()
    """The server gets the request after `release()`, though the client may be long gone."""
    CUT = auto()
    """The client gets the first `keep` bytes of the reply, then a reset."""
    SAY = auto()
    """The client gets `reply` instead; the server hears nothing."""
    ENDLESS = auto()
    """The client gets `reply`, then `filler` again and again until it goes."""
    DRIP = auto()
    """The client gets a byte of `reply` twenty times a second, for ever from its start."""


class _Held:
    """Connections that wait together. dropped: they are let go to end, not to go on."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.dropped = False

    def wait(self) -> bool:
        self.go.wait()
        return not self.dropped


class FaultyProxy:
    """Listens on 127.0.0.1 at a free port. server: where it connects to; may be changed."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.fault = Fault.PASS
        self.when: Callable[[bytes], bool] = _always
        self.reply = b""
        self.filler = b"x" * _PIECE
        self.keep = 20
        self.seen: list[bytes] = []
        """What clients first sent, in order."""
        self.delivered = threading.Semaphore(0)
        """Released when the server has answered a request that was held back."""
        self._held = _Held()
        self._ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listening = _bound(0)
        self.port: int = self._listening.getsockname()[1]
        self._listen()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def set(
        self,
        fault: Fault,
        *,
        when: Callable[[bytes], bool] | None = None,
        reply: bytes = b"",
        keep: int = 20,
    ) -> None:
        """What happens to connections from now on. when: to which, by what they first send."""
        self.when = when or _always
        self.reply, self.keep = reply, keep
        was, self.fault = self.fault, fault
        if (was is Fault.REFUSE) != (fault is Fault.REFUSE):
            self._shut(self._listening)
            self._listening = _bound(self.port)  # bound without listening refuses, and keeps it
            if fault is not Fault.REFUSE:
                self._listen()

    def release(self) -> None:
        """Let go what is held."""
        self._held.go.set()
        self._held = _Held()

    def reset(self) -> None:
        """As at the start: what is held never arrives, what was seen is forgotten."""
        self._held.dropped = True
        self.release()
        self.set(Fault.PASS)
        self.seen.clear()
        while self.delivered.acquire(blocking=False):
            pass

    def stop(self) -> None:
        """End it and all its connections."""
        self._ended.set()
        self._held.dropped = True
        self.release()
        self._shut(self._listening)
        with self._lock:
            held = list(self._open)
        for one in held:
            self._shut(one)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- its threads -------------------------------------------------------------------------

    def _listen(self) -> None:
        self._listening.listen(64)
        self._spawn(self._accept, self._listening)

    def _spawn(self, run: Callable[..., None], *given: object) -> None:
        threading.Thread(target=run, args=given, daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            self._keep(client)
            self._spawn(self._handle, client)

    def _handle(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._serve(client)
        self._shut(client)

    def _serve(self, client: socket.socket) -> None:
        first = _request(client)
        if not first:
            return
        self.seen.append(first)
        fault = self.fault if self.when(first) else Fault.PASS
        if fault is Fault.HANG:
            self._ended.wait()
        elif fault is Fault.SAY:
            client.sendall(self.reply)
            _drain(client)
        elif fault is Fault.ENDLESS:
            client.sendall(self.reply)
            while not self._ended.is_set():
                client.sendall(self.filler)
        elif fault is Fault.DRIP:
            place = 0
            while not self._ended.wait(0.05):
                client.sendall(self.reply[place : place + 1] or b"x")
                place += 1
        else:
            self._through(client, first, fault)

    def _through(self, client: socket.socket, first: bytes, fault: Fault) -> None:
        held = self._held
        if fault is Fault.HOLD_REQUEST and not held.wait():
            return
        server = socket.create_connection(self.server, timeout=30)
        self._keep(server)
        try:
            server.sendall(first)
            if fault is Fault.PASS:
                self._spawn(self._pump, client, server)
                self._copy(server, client)
                return
            reply = _some(server, self.keep if fault is Fault.CUT else 1)
            self.delivered.release()
            if fault is Fault.HOLD_REPLY:
                if held.wait():
                    client.sendall(reply)
                    self._copy(server, client)
            elif fault is Fault.CUT:
                client.sendall(reply[: self.keep])
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif fault is Fault.HOLD_REQUEST:
                with contextlib.suppress(OSError):
                    client.sendall(reply)
                self._copy(server, client)
        finally:
            self._shut(server)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._copy(source, sink)
            sink.shutdown(socket.SHUT_WR)

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        while piece := source.recv(_PIECE):
            sink.sendall(piece)

    def _keep(self, one: socket.socket) -> None:
        with self._lock:
            self._open.add(one)

    def _shut(self, one: socket.socket) -> None:
        with self._lock:
            self._open.discard(one)
        with contextlib.suppress(OSError):
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) != struct.pack("ii", 1, 0):
                one.shutdown(socket.SHUT_RDWR)  # close alone does not wake whoever waits for it
        with contextlib.suppress(OSError):
            one.close()


def _always(_request: bytes) -> bool:
    return True


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made


def _request(client: socket.socket) -> bytes:
    """What comes first; of HTTP with the body, which clients send by itself."""
    taken = client.recv(_PIECE)
    head, end, body = taken.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n") if end else ():
        if line.startswith(b"content-length:"):
            missing = int(line.partition(b":")[2]) - len(body)
            taken += _some(client, missing)
    return taken


def _some(source: socket.socket, least: int) -> bytes:
    taken = b""
    while len(taken) < least and (piece := source.recv(_PIECE)):
        taken += piece
    return taken


def _drain(client: socket.socket) -> None:
    """Ends the sending half and waits for the client to go, or a reset would eat the reply."""
    client.shutdown(socket.SHUT_WR)
    while client.recv(_PIECE):
        pass
