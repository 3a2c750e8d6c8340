"""The owner of a store answers named queries over a unix socket beside it.

One thread for each who looks, each with a cursor of its own: nobody waits for another, and the
loader for nobody. The queries of one picture see the store at one moment: they run in a
transaction that ends with the picture.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb

from collectors.errors import CollectorError, StoreError
from collectors.live.wire import (
    PROTOCOL,
    address_of,
    as_bytes,
    as_json,
    read_params,
    receive,
    send,
    socket_of,
)
from collectors.reader import InProcessReader, Reader
from collectors.store.copying import copy_store
from collectors.store.database import Database
from collectors.store.info import store_info

__all__ = ["StoreServer"]

_log = logging.getLogger(__name__)

_PICTURE_S = 5.0
"""Seconds after which a picture is over whose maker has not said so."""

MOST_CLIENTS = 64

State = Callable[[], Mapping[str, Any]]


class StoreServer:
    """Answers until it is closed. state: what the owner says of itself, as JSON.

    mode: of the socket; who may connect is who may write to it. on_yield: called on another thread
    when a recorder wants the store; None: this owner is one, and keeps it. Raises StoreError when
    the socket cannot be made.
    """

    def __init__(
        self,
        database: Database,
        state: State,
        *,
        mode: int = 0o600,
        on_yield: Callable[[], object] | None = None,
    ) -> None:
        if database.path is None:
            raise ValueError("a store in memory has no place for a socket")
        self._database, self._state, self._on_yield = database, state, on_yield
        self._parent = database.cursor()  # cursors are made of it while the store's own is at work
        self._lock = threading.Lock()
        self._looks: dict[str, _Look] = {}
        self._closing = False
        self.path = socket_of(database.path)
        self._listening = _listen(self.path, mode)
        self._inode = self.path.stat().st_ino
        self._thread = threading.Thread(target=self._accept, name="modelwatch-socket", daemon=True)
        self._thread.start()

    @property
    def n_clients(self) -> int:
        """How many look now."""
        return len(self._looks)

    def close(self) -> None:
        """Stop answering; running queries are interrupted."""
        self._closing = True
        with suppress(OSError):
            if self.path.stat().st_ino == self._inode:  # not that of a successor
                self.path.unlink()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for look in self._all():
            look.end()
        self._thread.join(2)
        for look in self._all():
            look.thread.join(2)
        with suppress(duckdb.Error):
            self._parent.close()

    def _all(self) -> list[_Look]:
        with self._lock:
            return list(self._looks.values())

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listening.accept()
            except OSError as error:
                if self._closing:
                    return
                _log.warning("nobody can be let in: %s", error)
                time.sleep(0.2)  # no file or memory free: it may pass
                continue
            with self._lock:
                full = len(self._looks) >= MOST_CLIENTS
            if full or self._closing:
                with suppress(OSError):
                    send(connection, {"error": f"{MOST_CLIENTS} others look already"})
                connection.close()
                continue
            try:
                look = _Look(self, connection)
                with self._lock:
                    self._looks[look.token] = look
                look.thread.start()
            except (duckdb.Error, RuntimeError) as error:  # the store is lost, or no thread is free
                _log.warning("nobody can be let in: %s", error)
                connection.close()
                with self._lock:
                    self._looks = {t: k for t, k in self._looks.items() if k.thread.is_alive()}

    def reader(self) -> InProcessReader:
        """A reader for another thread."""
        with self._lock:
            return InProcessReader(self._database, self._parent)

    def state(self) -> Mapping[str, Any]:
        """What the owner says of itself."""
        return self._state()

    def yields(self) -> bool:
        """Make room for a recorder; whether that will happen."""
        if self._on_yield is None:
            return False
        self._on_yield()
        return True

    def beside(self) -> Database:
        """The store for another thread."""
        with self._lock:
            return self._database.beside(self._parent)

    def interrupt(self, token: str) -> None:
        """Stop the query of another connection; whoever knows its token may."""
        with self._lock:
            look = self._looks.get(token)
        if look is not None:
            look.reader.interrupt()

    def gone(self, token: str) -> None:
        """One has stopped looking."""
        with self._lock:
            self._looks.pop(token, None)


class _Look:
    """One connection: its reader, and the picture that its queries are of."""

    def __init__(self, server: StoreServer, connection: socket.socket) -> None:
        self.server, self.connection = server, connection
        self.token = secrets.token_hex(16)
        self.reader = server.reader()
        self._picture: Reader | None = None
        self._number: object = None
        self.thread = threading.Thread(target=self._serve, name="modelwatch-look", daemon=True)

    def end(self) -> None:
        """From another thread."""
        self.reader.interrupt()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        try:
            while True:
                self.connection.settimeout(_PICTURE_S if self._picture is not None else None)
                try:
                    # only the wait for a message has a limit, not the message itself
                    first = self.connection.recv(1, socket.MSG_PEEK)
                except TimeoutError:
                    self._over()
                    continue
                if not first:
                    return
                self.connection.settimeout(30)
                message = receive(self.connection, longest_body=0)
                if message is None:
                    return
                head, body = self._answer(message[0])
                send(self.connection, head, body)
        except (OSError, ValueError, RecursionError) as error:
            _log.debug("a connection ended: %s", error)
        finally:
            self._over()
            self.reader.close()
            self.connection.close()
            self.server.gone(self.token)

    def _answer(self, asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        known: dict[object, Callable[[Mapping[str, Any]], tuple[dict[str, Any], bytes]]] = {
            "hello": lambda _: ({"protocol": PROTOCOL, "token": self.token}, b""),
            "state": lambda _: ({"state": dict(self.server.state())}, b""),
            "interrupt": self._interrupt,
            "over": self._end,
            "yield": self._yield,
            "info": lambda _: self._told(lambda store: as_json(store_info(store))),
            "backup": self._backup,
            "query": self._query,
        }
        answer = known.get(str(asked.get("do")))
        return answer(asked) if answer is not None else ({"error": "it is not known"}, b"")

    def _end(self, _asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        self._over()
        return {}, b""

    def _yield(self, _asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        mine = _user_of(self.connection) in (0, os.getuid())
        return {"yields": mine and self.server.yields()}, b""

    def _interrupt(self, asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        self.server.interrupt(str(asked.get("token")))
        return {}, b""

    def _told(self, of: Callable[[Database], bytes]) -> tuple[dict[str, Any], bytes]:
        """What a function finds out about the store."""
        store = self.server.beside()
        try:
            return {}, of(store)
        except CollectorError as error:
            return {"error": error.message, "hint": error.hint}, b""
        finally:
            store.close()

    def _backup(self, asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """A copy of the store as a new file; it becomes the owner's, so only for themselves."""
        if _user_of(self.connection) not in (0, os.getuid()):
            return {"error": "only the recorder's own user may have a copy made"}, b""
        target = Path(str(asked.get("path")))
        if not target.is_absolute() or target.exists():
            return {"error": f"{target} is there already, or no whole path"}, b""

        def copy(store: Database) -> bytes:
            copy_store(store, target)
            target.chmod(0o600)
            return b""

        return self._told(copy)

    def _query(self, asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        try:
            params = read_params(asked.get("params"))
            picture = self._of(asked.get("picture"))
            frame = picture.query(str(asked["query"]), str(asked.get("deployment", "")), **params)
        except CollectorError as error:
            self._over()  # a failed statement ends its transaction
            return {"error": error.message, "hint": error.hint}, b""
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            self._over()
            return {"error": f"there is no such query: {error}"}, b""
        return {}, as_bytes(frame)

    def _of(self, number: object) -> Reader:
        """The picture that a query belongs to; another number begins another one."""
        if self._picture is None or number != self._number:
            self._over()
            self._number, self._picture = number, self.reader.picture()
        return self._picture

    def _over(self) -> None:
        if self._picture is not None:
            self._picture = None
            self.reader.end_picture()


def _user_of(connection: socket.socket) -> int:
    """Who is at the other end (Linux)."""
    size = struct.calcsize("3i")
    given = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", given)[1])


def _listen(path: Path, mode: int) -> socket.socket:
    """A listening socket at a path, whatever a killed owner left there."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)  # there is no moment in which others could connect
    try:
        with suppress(FileNotFoundError):
            path.unlink()
        with address_of(path) as address:
            listening.bind(address)
        listening.listen(MOST_CLIENTS)
    except OSError as error:
        listening.close()
        raise StoreError(f"cannot make the socket {path}: {error.strerror or error}") from error
    finally:
        os.umask(before)
    return listening
