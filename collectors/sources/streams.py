"""The bytes of a file, decompressed by its suffix, in bounded pieces.

gzip and zstd files are read as streams; offsets count decompressed bytes. A file that is damaged
or cut off gives everything before the damage and then raises SourceError.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.errors import SourceError

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionObj

__all__ = ["PACKED", "Gunzip", "Stream", "open_stream"]

PACKED = (".gz", ".zst")
_PIECE = 256 * 1024
_UNPACKED = 1024 * 1024


class Stream:
    """Reads exactly what is asked for, until the end of the file.

    A failure half-way is kept back until everything before it has been handed out.
    """

    def __init__(self, file: io.BufferedReader, path: Path) -> None:
        self._file = file
        self._path = path
        self._failure: SourceError | None = None

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end; b"" there. Raises SourceError."""
        pieces: list[bytes] = []
        left = size
        while left > 0 and self._failure is None:
            try:
                piece = self._file.read(min(left, _PIECE))
            except (OSError, EOFError, zlib.error) as error:
                what = f"{self._path} is damaged or cut off: {error}"
                self._failure = SourceError(what, "what came before it is kept")
                break
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
        if not pieces and self._failure is not None:
            raise self._failure
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Go `size` bytes on from the start; packed files are read, the others sought."""
        if self._path.suffix.lower() in PACKED:
            while size > 0:
                got = len(self.read(min(size, _PIECE)))
                if not got:
                    return
                size -= got
        else:
            self._file.seek(size)


@contextmanager
def open_stream(path: Path) -> Iterator[Stream]:
    """A regular file as a Stream. Raises SourceError when it cannot be opened."""
    try:
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "does not exist"
            raise SourceError(f"{path} {what}", "check `path` in the configuration")
        file = _open(path)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    with file:
        yield Stream(file, path)


def _open(path: Path) -> io.BufferedReader:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(path, "rb"), _PIECE)
    if suffix == ".zst":
        return io.BufferedReader(_Zstd(path), _PIECE)
    return path.open("rb")


class Gunzip:
    """gzip that comes in pieces, unpacked in pieces of at most 1 MiB. ended: nothing is missing."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self.ended = False

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """What the next piece holds. Raises zlib.error for damage."""
        while data:
            if self.ended:  # another member follows; padding of zeros does not
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._member, self.ended = zlib.decompressobj(wbits=31), False
            piece = self._member.decompress(data, _UNPACKED)
            if piece:
                yield piece
            self.ended = self._member.eof
            rest = self._member.unused_data if self.ended else self._member.unconsumed_tail
            if rest == data and not piece:
                raise zlib.error("no progress")
            data = rest


class _Zstd(io.RawIOBase):
    """A zstd file, frame by frame; unlike the library's reader it notices a cut-off frame."""

    def __init__(self, path: Path) -> None:
        import zstandard  # noqa: PLC0415 - only for .zst files

        self._decompressor = zstandard.ZstdDecompressor()
        self._error = zstandard.ZstdError
        self._frame: ZstdDecompressionObj | None = None
        self._file = path.open("rb")
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready:
            packed = self._packed or self._file.read(_PACKED_PIECE)
            self._packed = b""
            if not packed:
                if self._frame is not None:
                    raise EOFError("the last frame is not complete")
                return 0
            if self._frame is None:
                self._frame = self._decompressor.decompressobj()
            try:
                self._ready = memoryview(self._frame.decompress(packed))
            except self._error as error:
                raise OSError(str(error)) from error
            if self._frame.eof:
                self._packed = self._frame.unused_data
                self._frame = None
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n


_PACKED_PIECE = 4096
"""zstd packs at most some 30,000 times, so one piece unpacks to at most some 100 MB."""
