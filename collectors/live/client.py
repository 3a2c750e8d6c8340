"""Reads a store through the process that owns it: the same queries, over its socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from collectors.errors import StoreError, StoreGoneError
from collectors.live.wire import (
    PROTOCOL,
    address_of,
    as_frame,
    as_info,
    receive,
    send,
    socket_of,
    written_params,
)
from collectors.reader import Param, Reader
from collectors.store.info import StoreInfo

__all__ = ["SocketReader", "connected", "yielded"]

_CONNECT_S = 2.0
_ANSWER_S = 120.0
"""Seconds after which an owner that does not answer counts as gone."""

_WORD_S = 1.0
"""The same of what any owner does at once: whoever waits for it has a screen to keep alive."""


def connected(store: Path) -> SocketReader | None:
    """A reader through whoever owns a store; None when nobody answers for it.

    Raises StoreError when it is another release, or its socket may not be used.
    """
    path = socket_of(store)
    try:
        return SocketReader(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        raise StoreError(
            f"the store {store} belongs to another user, who records into it",
            "ask for the right to write to its socket, or give another store with --store",
        ) from error
    except OSError as error:
        raise StoreError(f"cannot reach the owner of {store}: {error.strerror or error}") from error


def yielded(store: Path) -> bool:
    """Ask whoever owns a store to make room for a recorder; whether it will."""
    try:
        with _connect(socket_of(store)) as owner:
            owner.settimeout(_WORD_S)
            send(owner, {"do": "yield"})
            answer = receive(owner)
    except (OSError, ValueError):
        return False
    return answer is not None and answer[0].get("yields") is True


class SocketReader:
    """A `collectors.reader.Reader` over a socket; for one thread, but for `interrupt`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pictures = 0
        self._lock = threading.Lock()
        self._connection = _connect(path)
        known = self._ask({"do": "hello"})[0]
        if known.get("protocol") != PROTOCOL:
            self.close()
            raise StoreError(
                f"the store at {path} is owned by another release of modelwatch",
                "start `modelwatch record` again, or use that release",
            )
        self._token = known["token"]

    def query(self, name: str, deployment: str = "", **params: Param) -> pl.DataFrame:
        """See Reader; each query is a picture of its own."""
        self._pictures += 1
        return self.answer(self._pictures, name, deployment, params)

    def answer(
        self, picture: int, name: str, deployment: str, params: Mapping[str, Param]
    ) -> pl.DataFrame:
        """A query of a picture. Raises StoreError, StoreGoneError when the owner has ended."""
        asked = {"do": "query", "picture": picture, "query": name, "deployment": deployment}
        _, body = self._ask({**asked, "params": written_params(params)})
        return as_frame(body)

    def at_once(self) -> Reader:
        """See Reader."""
        self._pictures += 1
        return _Picture(self, self._pictures)

    def rest(self) -> None:
        """A picture is complete: the owner need not keep its moment."""
        with suppress(StoreError):
            self._ask({"do": "over"})

    def state(self) -> dict[str, Any]:
        """What the owner says of itself."""
        found = self._ask({"do": "state"})[0].get("state")
        return found if isinstance(found, dict) else {}

    def info(self) -> StoreInfo:
        """What the store holds."""
        return as_info(self._ask({"do": "info"})[1])

    def backup(self, target: Path) -> None:
        """Have the owner write a copy of the store to a new file. Raises StoreError."""
        self._connection.settimeout(None)  # it takes as long as the disk does
        try:
            self._ask({"do": "backup", "path": str(target)})
        finally:
            self._connection.settimeout(_ANSWER_S)

    def interrupt(self) -> None:
        """See Reader; over a connection of its own, since this one waits for an answer."""
        with suppress(OSError, ValueError), _connect(self.path) as other:
            other.settimeout(_WORD_S)
            send(other, {"do": "interrupt", "token": self._token})
            receive(other)

    def close(self) -> None:
        """End the connection."""
        with suppress(OSError):
            self._connection.close()

    def _ask(self, asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        with self._lock:
            try:
                with suppress(BrokenPipeError, ConnectionResetError):  # it may have said why
                    send(self._connection, asked)
                answer = receive(self._connection)
            except (OSError, ValueError) as error:
                raise StoreGoneError("whoever recorded into this store has ended") from error
        if answer is None:
            raise StoreGoneError("whoever recorded into this store has ended")
        head, body = answer
        if "error" in head:
            raise StoreError(str(head["error"]), str(head.get("hint", "")))
        return head, body


class _Picture:
    """The queries of one picture, which see the store at one moment."""

    def __init__(self, reader: SocketReader, number: int) -> None:
        self._reader, self._number = reader, number

    def query(self, name: str, deployment: str = "", **params: Param) -> pl.DataFrame:
        """See Reader."""
        return self._reader.answer(self._number, name, deployment, params)

    def interrupt(self) -> None:
        """See Reader."""
        self._reader.interrupt()

    def at_once(self) -> Reader:
        """See Reader."""
        return self._reader.at_once()


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_CONNECT_S)
        with address_of(path) as address:
            connection.connect(address)
        connection.settimeout(_ANSWER_S)
    except OSError:
        connection.close()
        raise
    return connection
