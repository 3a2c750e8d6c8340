"""Files as sources: which files a path, glob or folder means, and text files in bounded blocks.

A text file is read from a byte offset in blocks that end at a line's end (CSV: at a record's end,
as far as quotes can be trusted). Nothing is ever held whole in memory, so a decompression bomb or
an endless line costs time, not the process.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from collectors.contract import FileFormat
from collectors.errors import FormatError, SourceError
from collectors.sources.streams import PACKED, Stream, open_stream

__all__ = [
    "BLOCK",
    "LONGEST_LINE",
    "Block",
    "LongLine",
    "find_files",
    "fingerprint",
    "format_of",
    "read_blocks",
    "same_source",
]

BLOCK = 32 * 1024 * 1024
LONGEST_LINE = 1024 * 1024
PREFIX = 4096
_HEAD = 16 * 1024
_QUOTED_LINES = 200

_SUFFIXES = {
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
    ".json": FileFormat.JSONL,
    ".parquet": FileFormat.PARQUET,
}


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line that was left out: its length in bytes, and its beginning."""

    length: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a text file.

    start, end: decompressed byte offsets. too_long: line number in the block, from 0 -> the line
    that was too long and is empty in `data`.
    """

    data: bytes
    start: int
    end: int
    too_long: Mapping[int, LongLine] = field(default_factory=dict)


def find_files(paths: Sequence[str], base: Path) -> tuple[Path, ...]:
    """The files that paths, globs and folders mean, in the order of their names.

    Raises SourceError when a plain path does not exist. A glob or a folder may be empty: files
    may still come.
    """
    found: dict[Path, None] = {}
    for given in paths:
        path = Path(given).expanduser()
        path = (path if path.is_absolute() else base / path).absolute()
        try:
            found.update(dict.fromkeys(_matches(path)))
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
        except ValueError as error:  # NUL in a path
            raise SourceError(f"{given!r} is no usable path: {error}") from error
    return tuple(found)


def _matches(path: Path) -> list[Path]:
    if path.is_dir():
        found = (p for p in path.rglob("*") if p.is_file() and _known(p))
        return sorted(p for p in found if not _hidden(p.relative_to(path)))
    if path.exists():
        return [path]
    if any(ch in str(path) for ch in "*?["):
        matches = (Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207
        return sorted(p for p in matches if p.is_file())
    raise SourceError(f"there is no file or folder {path}", "check `path` in the configuration")


def format_of(path: Path, wanted: FileFormat = FileFormat.AUTO) -> FileFormat:
    """The format by configuration, by the first bytes, or by name.

    Raises FormatError when nothing tells.
    """
    if wanted is not FileFormat.AUTO:
        return wanted
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in PACKED]
    by_name = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    head = _head(path, PREFIX)
    if head.startswith(b"PAR1"):
        return FileFormat.PARQUET
    if by_name is FileFormat.PARQUET and head:
        raise FormatError(f"{path} is named .parquet but is no Parquet file", "is it complete?")
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begin.startswith(b"{") or (begin.startswith(b"[") and by_name is not FileFormat.CSV):
        return FileFormat.JSONL
    if by_name is not None:
        return by_name
    if b"\x00" not in head and any(d in head.split(b"\n", 1)[0] for d in b",\t;|"):
        return FileFormat.CSV
    raise FormatError(f"cannot tell the format of {path}", "give `format` in the configuration")


def fingerprint(path: Path, fmt: FileFormat) -> str:
    """What a file is: for text its first bytes, so that it may grow; for Parquet its end."""
    if fmt is FileFormat.PARQUET:
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                file.seek(max(0, size - 65536))
                return f"{size}:{hashlib.sha256(file.read()).hexdigest()[:16]}"
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    head = _head(path, PREFIX)
    return f"{len(head)}:{hashlib.sha256(head).hexdigest()[:16]}"


def same_source(path: Path, fmt: FileFormat, known: str, position: int) -> bool:
    """Whether a file is still the one with this fingerprint, perhaps grown beyond `position`."""
    if fmt is FileFormat.PARQUET:
        return fingerprint(path, fmt) == known
    if path.suffix.lower() not in PACKED and path.stat().st_size < position:
        return False  # cut short: rotated in place
    length, _, digest = known.partition(":")
    head = _head(path, int(length or 0))
    return len(head) == int(length or 0) and hashlib.sha256(head).hexdigest()[:16] == digest


def read_blocks(
    path: Path, start: int, *, whole: bool, quoted: bool, block: int = BLOCK
) -> Iterator[Block]:
    """Blocks of whole lines from a byte offset on.

    whole: the file is complete, so a last line without a line end counts; otherwise it is left for
    the next time. quoted: a line end inside double quotes does not end a record (CSV).
    A line over 1 MiB is left out and reported. Raises SourceError when reading fails half-way,
    after everything before it.
    """
    with open_stream(path) as stream:
        stream.skip(start)
        position, rest = start, b""
        while True:
            data = stream.read(block)  # at damage: raises, and `rest` waits like an unfinished line
            if not data:
                if rest and whole:
                    yield _without_long_lines(rest, position)
                return
            data = rest + data
            cut = _record_end(data, quoted)
            if cut == 0 and len(data) > LONGEST_LINE:  # then there is no line end at all
                length, rest, ended = _drop_endless_line(stream, data, block)
                if ended or whole:
                    long = LongLine(length, data[:_HEAD])
                    end = position + length + ended
                    yield Block(b"\n", position, end, {0: long})
                position += length + ended
                continue
            if cut:
                yield _without_long_lines(data[:cut], position)
                position += cut
            rest = data[cut:]


def _drop_endless_line(stream: Stream, data: bytes, block: int) -> tuple[int, bytes, bool]:
    """Read past a line that fills a block: its length, what follows, and whether it has an end."""
    length = 0
    while data:
        end = data.find(b"\n")
        if end >= 0:
            return length + end, data[end + 1 :], True
        length += len(data)
        data = stream.read(block)
    return length, b"", False


def _record_end(data: bytes, quoted: bool) -> int:
    """The offset behind the last line end that ends a record; 0 when there is none yet."""
    last = cut = data.rfind(b"\n") + 1
    if not quoted or not cut:
        return cut
    odd = data.count(b'"', 0, cut) % 2
    for _ in range(_QUOTED_LINES):  # a quoted text of more lines than that is an unclosed quote
        if not odd:
            return cut
        before = data.rfind(b"\n", 0, cut - 1) + 1
        if before == 0:  # open from the first line on: more may close it
            return 0 if len(data) <= LONGEST_LINE else last
        odd ^= data.count(b'"', before, cut) % 2
        cut = before
    return last


def _without_long_lines(data: bytes, start: int) -> Block:
    end = start + len(data)
    if len(data) <= LONGEST_LINE:
        return Block(data, start, end)
    # a line over the limit covers one of these probes whole; only then walk line by line
    probe = LONGEST_LINE // 2
    if all(data.find(b"\n", i, i + probe) >= 0 for i in range(0, len(data) - probe, probe)):
        return Block(data, start, end)
    kept: list[bytes] = []
    long: dict[int, LongLine] = {}
    for number, line in enumerate(data.split(b"\n")):
        if len(line) > LONGEST_LINE:
            long[number] = LongLine(len(line), line[:_HEAD])
            kept.append(b"")
        else:
            kept.append(line)
    return Block(b"\n".join(kept), start, end, long)


def _head(path: Path, size: int) -> bytes:
    with open_stream(path) as stream:
        return stream.read(size)


def _known(path: Path) -> bool:
    """Whether a file of a folder is a log: by its suffix; .log is told by its content."""
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in PACKED]
    known = bool(suffixes) and (suffixes[-1] in _SUFFIXES or suffixes[-1] == ".log")
    return known and not path.name.startswith((".", "_"))


def _hidden(inside: Path) -> bool:
    """Whether a file lies in a folder that is no part of the log, like a table's `_delta_log`."""
    return any(part.startswith((".", "_")) for part in inside.parts[:-1])
