"""Files as sources: which files a path, glob or folder means, and text files in bounded blocks.

A text file is read from a byte offset in blocks that end at a record's end. gzip and zstd files
are read as streams; their offsets count decompressed bytes. Nothing is ever held whole in memory,
so a decompression bomb costs time, not the process.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from collectors.contract import FileFormat
from collectors.errors import FormatError, SourceError

__all__ = [
    "BLOCK",
    "Block",
    "find_files",
    "fingerprint",
    "format_of",
    "open_stream",
    "read_blocks",
    "same_source",
]

BLOCK = 32 * 1024 * 1024
LONGEST_LINE = 1024 * 1024
PREFIX = 4096

_SUFFIXES = {
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
    ".json": FileFormat.JSONL,
    ".parquet": FileFormat.PARQUET,
}
_PACKED = {".gz", ".zst"}


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records of a text file. start, end: decompressed byte offsets. too_long: (line number
    within the block from 0, length in bytes, first bytes) of lines that were left out."""

    data: bytes
    start: int
    end: int
    too_long: tuple[tuple[int, int, bytes], ...] = ()


def find_files(paths: Sequence[str], base: Path) -> tuple[Path, ...]:
    """The files that paths, globs and folders mean, in the order of their names.

    Raises SourceError when a plain path does not exist. A glob or a folder may be empty: files
    may still come.
    """
    found: dict[Path, None] = {}
    for given in paths:
        path = Path(given).expanduser()
        path = path if path.is_absolute() else base / path
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and _known(p))
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        elif any(ch in given for ch in "*?["):
            matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207
            found.update(dict.fromkeys(p for p in matches if p.is_file()))
        else:
            raise SourceError(f"there is no file or folder {path}", "check `path` in the configuration")
    return tuple(found)


def format_of(path: Path, wanted: FileFormat = FileFormat.AUTO) -> FileFormat:
    """The format by configuration, by name, or by the first bytes.

    Raises FormatError when neither tells.
    """
    if wanted is not FileFormat.AUTO:
        return wanted
    suffixes = [s.lower() for s in path.suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    by_name = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    with open_stream(path) as stream:
        head = stream.read(PREFIX)
    if head.startswith(b"PAR1"):
        return FileFormat.PARQUET
    if by_name is FileFormat.PARQUET and head:
        raise FormatError(f"{path} is named .parquet but is no Parquet file", "is it complete?")
    if head.lstrip().startswith((b"{", b"[")):
        return FileFormat.JSONL
    if by_name is not None:
        return by_name
    if b"\x00" not in head and any(d in head.split(b"\n", 1)[0] for d in b",\t;|"):
        return FileFormat.CSV
    raise FormatError(f"cannot tell the format of {path}", "give `format` in the configuration")


def fingerprint(path: Path, fmt: FileFormat) -> str:
    """What a file is: for text its first bytes, so that it may grow; for Parquet its end."""
    if fmt is FileFormat.PARQUET:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - 65536))
            return f"{size}:{hashlib.sha256(file.read()).hexdigest()[:16]}"
    with open_stream(path) as stream:
        head = stream.read(PREFIX)
    return f"{len(head)}:{hashlib.sha256(head).hexdigest()[:16]}"


def same_source(path: Path, fmt: FileFormat, known: str) -> bool:
    """Whether a file is still the one with this fingerprint, perhaps grown."""
    if fmt is FileFormat.PARQUET:
        return fingerprint(path, fmt) == known
    length, _, digest = known.partition(":")
    with open_stream(path) as stream:
        head = stream.read(int(length or 0))
    return len(head) == int(length or 0) and hashlib.sha256(head).hexdigest()[:16] == digest


def open_stream(path: Path) -> IO[bytes]:
    """A file's bytes, decompressed by its suffix. Raises SourceError when it cannot be opened."""
    try:
        if path.suffix.lower() == ".gz":
            return gzip.open(path, "rb")
        if path.suffix.lower() == ".zst":
            import zstandard  # noqa: PLC0415 - only for .zst files

            reader = zstandard.ZstdDecompressor().stream_reader(
                path.open("rb"), read_across_frames=True, closefd=True
            )
            return io.BufferedReader(reader)
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error


def read_blocks(
    path: Path, start: int, *, whole: bool, quoted: bool, block: int = BLOCK
) -> Iterator[Block]:
    """Blocks of whole lines from a byte offset on.

    whole: the file is complete, so a last line without a line end counts; otherwise it is left for
    the next time. quoted: a line end inside double quotes does not end a record (CSV).
    A line over 1 MiB is left out and reported. Raises SourceError when reading fails half-way.
    """
    with open_stream(path) as stream:
        _skip(stream, start)
        position, rest = start, b""
        while True:
            data = _read(stream, block, path)
            if not data:
                if rest and whole:
                    yield _without_long_lines(rest, position)
                return
            data = rest + data
            cut = _record_end(data, quoted)
            if cut == 0 and len(data) > 2 * block:
                dropped, following = _drop_endless_line(stream, data, block, path)
                if following or whole:
                    head = data[:LONGEST_LINE]
                    yield Block(b"", position, position + dropped, ((0, dropped, head),))
                position += dropped
                rest = following
                continue
            if cut:
                yield _without_long_lines(data[:cut], position)
                position += cut
            rest = data[cut:]


def _drop_endless_line(
    stream: IO[bytes], data: bytes, block: int, path: Path
) -> tuple[int, bytes]:
    """Read past a line that fills whole blocks: its length, and what was read beyond it."""
    length = 0
    while data:
        end = data.find(b"\n")
        if end >= 0:
            return length + end + 1, data[end + 1 :]
        length += len(data)
        data = _read(stream, block, path)
    return length, b""


def _record_end(data: bytes, quoted: bool) -> int:
    """The offset behind the last line end that ends a record; 0 when there is none."""
    cut = data.rfind(b"\n") + 1
    if not quoted or data.count(b'"', 0, cut) % 2 == 0:
        return cut
    for _ in range(200):  # a quoted text of more than 200 lines is an unclosed quote
        cut = data.rfind(b"\n", 0, max(cut - 1, 0)) + 1
        if cut == 0 or data.count(b'"', 0, cut) % 2 == 0:
            break
    return cut or data.rfind(b"\n") + 1


def _without_long_lines(data: bytes, start: int) -> Block:
    end = start + len(data)
    if len(data) <= LONGEST_LINE:
        return Block(data, start, end)
    kept: list[bytes] = []
    long: list[tuple[int, int, bytes]] = []
    begin = number = 0
    # a line over the limit covers one of these probes whole; only then walk line by line
    probe = LONGEST_LINE // 2
    if all(data.find(b"\n", i, i + probe) >= 0 for i in range(0, len(data) - probe, probe)):
        return Block(data, start, end)
    while begin < len(data):
        stop = data.find(b"\n", begin) + 1 or len(data)
        if stop - begin > LONGEST_LINE:
            long.append((number, stop - begin, data[begin : begin + LONGEST_LINE]))
        else:
            kept.append(data[begin:stop])
        begin = stop
        number += 1
    return Block(b"".join(kept), start, end, tuple(long))


def _skip(stream: IO[bytes], start: int) -> None:
    try:
        stream.seek(start)
        return
    except (OSError, io.UnsupportedOperation):
        pass
    left = start
    while left:
        got = len(stream.read(min(left, BLOCK)))
        if not got:
            return
        left -= got


def _read(stream: IO[bytes], size: int, path: Path) -> bytes:
    try:
        return stream.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} is damaged or cut off: {error}", "what came before it is kept") from error
    except Exception as error:  # zstandard has an error class of its own, imported only for .zst
        if type(error).__name__ == "ZstdError":
            raise SourceError(f"{path} is damaged: {error}") from error
        raise


def _known(path: Path) -> bool:
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in _PACKED]
    return bool(suffixes) and suffixes[-1] in _SUFFIXES and not path.name.startswith((".", "_"))
