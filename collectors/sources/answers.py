"""The body of an answer as a file of records, with what it says about the next page and time."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from collectors.errors import FormatError, SourceError
from collectors.source_settings import FileFormat, HttpSource
from collectors.sources.files import format_of, read_blocks
from collectors.sources.json_records import Found, walk_document
from collectors.sources.since import Farthest
from collectors.sources.streams import PACKED, open_stream
from collectors.sources.web import Answer

__all__ = ["Body", "read_answer"]

_BLOCK = 1024 * 1024
_HEAD = 4096
_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
_TABLES = (FileFormat.CSV, FileFormat.PARQUET)
_TYPES: Mapping[str, str] = {
    "text/csv": ".csv",
    "application/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/x-ndjson": ".jsonl",
    "application/ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/jsonlines": ".jsonl",
    "application/x-jsonlines": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
}
_CSV = ([".csv"], [".tsv"])
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".log")


@dataclass(frozen=True, slots=True)
class Body:
    """Records in a file. n: how many; of a file that is not looked into, 1.

    following: the token of the next page, empty if none. farthest: the values of `since_field`,
    None without one. digest: of the body as it came.
    """

    path: Path
    format: FileFormat
    n: int
    digest: str
    following: str = ""
    farthest: Farthest | None = None


def read_answer(path: Path, answer: Answer, source: HttpSource, now: datetime) -> Body:
    """Look at a body that was written to `path`; its records are put beside it.

    Raises FormatError whose message continues "an answer that ...".
    """
    digest = _digest(path)
    farthest = Farthest(now) if source.since_field else None
    records = _place(source.records)
    if not answer.size and not (records and answer.status == 200):
        return Body(path, source.format, 0, digest, "", farthest)
    path = _named(path, answer, source)
    head = _begin(path)
    lead = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if answer.content_type == "text/html" or (lead == b"<" and source.format not in _TABLES):
        raise FormatError("is a web page, no records", "is the address right, is a token missing?")
    is_table = not records and (source.format in _TABLES or path.suffixes[:1] in _CSV)
    if not is_table and (records or lead in (b"[", b"{")) and not _is_lines(path, records):
        out = path.with_name("records.jsonl")
        try:
            found = _walked(path, out, source, farthest)
        except FormatError:
            if records or lead == b"[":
                raise
        else:
            form = source.format if source.format.is_platform else FileFormat.JSONL
            return Body(out, form, found.n, digest, found.following, farthest)
    if not is_table and not records and head.strip() in (b"null", b""):
        return Body(_emptied(path), source.format, 0, digest, "", farthest)
    try:
        form = format_of(path, FileFormat.AUTO if source.format.is_platform else source.format)
    except FormatError:
        raise FormatError("is neither JSON nor CSV nor Parquet", "give `format` if it is") from None
    n = 1 if farthest is None else _looked_into(path, form, source.since_field, farthest)
    return Body(path, source.format, n, digest, "", farthest)


def _walked(path: Path, out: Path, source: HttpSource, farthest: Farthest | None) -> Found:
    records = _place(source.records)
    following = _place(source.next)

    def seen(record: object) -> None:
        if farthest is not None:
            farthest.add(_value_of(record, source.since_field))

    with out.open("wb") as file:
        found = walk_document(path, records, following, file, seen)
    if records and not found.has_records:
        # servers leave an empty list out, and then there is nothing beside it but the token
        at = found.depth
        beside = {following[at]} if following[:at] == records[:at] and following[at:] else set()
        if set(found.keys) - beside:
            there = ", ".join(repr(key[:40]) for key in found.keys[:8])
            what = f"has no list at {source.records!r}, only {there}"
            raise FormatError(what, "look at `records` in the configuration")
    return found


def _place(written: str) -> tuple[str, ...]:
    return tuple(written.split(".")) if written else ()


def _value_of(record: object, name: str) -> object:
    """A key of a record, or one inside it: a.b."""
    if isinstance(record, dict) and name in record:
        return record[name]
    for part in name.split("."):
        record = record.get(part) if isinstance(record, dict) else None
    return record


def _is_lines(path: Path, records: tuple[str, ...]) -> bool:
    """Whether it is one object a line, of which one can go wrong alone."""
    if records:
        return False
    block = next(read_blocks(path, 0, whole=True, quoted=False, block=_BLOCK), None)
    line = b"" if block is None else block.data.lstrip().split(b"\n", 1)[0]
    with suppress(ValueError, RecursionError):
        return isinstance(json.loads(line), dict)
    return False


def _looked_into(path: Path, form: FileFormat, name: str, farthest: Farthest) -> int:
    """Tell `farthest` the values of lines; how many records there are."""
    if form is FileFormat.PARQUET:
        raise SourceError("`since_field` needs records of JSON or CSV")
    n = 0
    for value in _of_csv(path, name) if form is FileFormat.CSV else _of_lines(path, name):
        farthest.add(value)
        n += 1
    return n


def _lines(path: Path, *, quoted: bool) -> Iterator[str]:
    for block in read_blocks(path, 0, whole=True, quoted=quoted, block=_BLOCK):
        yield from block.data.decode("utf-8-sig", "replace").splitlines(keepends=True)


def _of_lines(path: Path, name: str) -> Iterator[object]:
    for line in _lines(path, quoted=False):
        if line.strip():
            value: object = None
            with suppress(ValueError, RecursionError):
                value = _value_of(json.loads(line), name)
            yield value


def _of_csv(path: Path, name: str) -> Iterator[object]:
    lines = _lines(path, quoted=True)
    first = next(lines, "")
    delimiter = max(",\t;|", key=first.count)
    header = next(csv.reader([first], delimiter=delimiter), [])
    at = header.index(name) if name in header else len(header)
    rows = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            row = next(rows, None)
        except csv.Error:  # set apart when it is loaded
            continue
        if row is None:
            return
        yield row[at] if at < len(row) else None


def _named(path: Path, answer: Answer, source: HttpSource) -> Path:
    """The file under a name that says what it is, as far as anything tells."""
    with path.open("rb") as file:
        head = file.read(4)
    packed = next((end for magic, end in _MAGIC.items() if head.startswith(magic)), "")
    suffixes = [s.lower() for s in PurePosixPath(urlsplit(answer.url).path).suffixes]
    named = [s for s in suffixes if s not in PACKED and s in _SUFFIXES]
    suffix = _TYPES.get(answer.content_type, named[-1] if named else "")
    if source.format in (*_TABLES, FileFormat.JSONL):
        suffix = f".{source.format.value}"
    return path.rename(path.with_name(f"body{suffix}{packed}"))


def _begin(path: Path) -> bytes:
    with open_stream(path) as stream:
        return stream.read(_HEAD)


def _emptied(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _digest(path: Path) -> str:
    made = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_BLOCK):
            made.update(piece)
    return made.hexdigest()[:16]
