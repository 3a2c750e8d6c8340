"""Messages between the owner of a store and those who look: JSON heads, frames as Arrow.

A message is the length of its head (4 bytes), the head, and as many bytes behind it as the head's
`body` says.
"""

from __future__ import annotations

import io
import json
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from collectors.reader import QUERIES, Param
from collectors.store.info import StoreInfo

__all__ = [
    "PROTOCOL",
    "address_of",
    "as_bytes",
    "as_frame",
    "as_info",
    "as_json",
    "read_params",
    "receive",
    "send",
    "socket_of",
    "written_params",
]

LONGEST_HEAD = 1024 * 1024
LONGEST_BODY = 1024 * 1024 * 1024

_LENGTH = struct.Struct("!I")

PROTOCOL = "1 " + " ".join(
    f"{q.name}({','.join((*q.params, *q.optional))})" for q in QUERIES.values()
)
"""What both sides must have in common: another release has other queries."""

_LONGEST_ADDRESS = 100  # bytes; Linux takes 107


def socket_of(store: Path) -> Path:
    """Where the owner of a store answers."""
    return store.resolve().with_name(f"{store.name}.sock")


class address_of:  # noqa: N801 - used like contextlib's
    """A socket's path as the system takes it: a long one by way of its open folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self.path)) <= _LONGEST_ADDRESS:
            return str(self.path)
        self._folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._folder}/{self.path.name}"

    def __exit__(self, *_: object) -> None:
        if self._folder >= 0:
            with suppress(OSError):
                os.close(self._folder)


def send(to: socket.socket, head: Mapping[str, Any], body: bytes = b"") -> None:
    """One message. Raises OSError."""
    written = json.dumps({**head, "body": len(body)}).encode()
    to.sendall(_LENGTH.pack(len(written)) + written + body)


def receive(
    source: socket.socket, longest_body: int = LONGEST_BODY
) -> tuple[dict[str, Any], bytes] | None:
    """The next message; None at the end. Raises OSError, ValueError for what is no message."""
    size = _exactly(source, _LENGTH.size, may_end=True)
    if size is None:
        return None
    (length,) = _LENGTH.unpack(size)
    if length > LONGEST_HEAD:
        raise ValueError("the message is too long")
    head = json.loads(_exactly(source, length) or b"")
    if not isinstance(head, dict):
        raise ValueError("the message has no head")
    n = head.get("body", 0)
    if not isinstance(n, int) or not 0 <= n <= longest_body:
        raise ValueError("the message has no length")
    return head, _exactly(source, n) or b""


def _exactly(source: socket.socket, n: int, *, may_end: bool = False) -> bytes | None:
    parts = bytearray()
    while len(parts) < n:
        data = source.recv(min(n - len(parts), 1 << 20))
        if not data:
            if may_end and not parts:
                return None
            raise ConnectionError("the connection ended within a message")
        parts += data
    return bytes(parts)


def written_params(params: Mapping[str, Param]) -> dict[str, Any]:
    """Parameters of a query as JSON."""
    return {
        key: {"time": value.isoformat()} if isinstance(value, datetime) else value
        for key, value in params.items()
    }


def read_params(written: object) -> dict[str, Param]:
    """The same back. Raises ValueError."""
    if not isinstance(written, dict):
        raise ValueError("parameters are an object")
    found: dict[str, Param] = {}
    for key, value in written.items():
        if isinstance(value, dict):
            found[key] = datetime.fromisoformat(str(value.get("time")))
        elif value is None or isinstance(value, str | int | float):
            found[key] = value
        else:
            raise ValueError(f"parameter {key} is neither a text, a number nor a time")
    return found


def as_bytes(frame: pl.DataFrame) -> bytes:
    """A frame as an Arrow stream."""
    written = io.BytesIO()
    frame.write_ipc_stream(written)
    return written.getvalue()


def as_frame(written: bytes) -> pl.DataFrame:
    """The same back."""
    return pl.read_ipc_stream(io.BytesIO(written))


def as_json(info: StoreInfo) -> bytes:
    """What a store holds, as JSON."""
    return TypeAdapter(StoreInfo).dump_json(info)


def as_info(written: bytes) -> StoreInfo:
    """The same back. Raises ValueError."""
    return TypeAdapter(StoreInfo).validate_json(written)
