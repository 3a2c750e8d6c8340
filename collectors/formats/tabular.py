"""CSV, JSON lines and Parquet into the temporary table `stage`, batch by batch.

Text files come as blocks of bytes that are written to a spool file, so DuckDB's readers do the
parsing while this process stays small. Everything from text is VARCHAR in `stage`: the contract
decides the types (collectors.store.typed). Each row has its record number as `position`.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from collectors.contract import FileFormat
from collectors.errors import FormatError
from collectors.sources.files import Block, read_blocks
from collectors.store.database import Cursor
from collectors.store.loading import Offset, Reject
from collectors.store.names import quote, text
from collectors.store.typed import Reason, StagedColumns

__all__ = ["Staged", "stage_file"]

PARQUET_ROWS = 400_000
MOST_COLUMNS = 20_000


@dataclass(frozen=True, slots=True)
class Staged:
    """One batch in `stage`: its columns, what could not be read, and the offset behind it."""

    columns: StagedColumns
    rejects: tuple[Reject, ...]
    start: int
    after: Offset


def stage_file(
    cursor: Cursor,
    path: Path,
    fmt: FileFormat,
    offset: Offset,
    *,
    whole: bool,
    rows: int = PARQUET_ROWS,
) -> Iterator[Staged]:
    """Stage what a file has beyond `offset`, one batch at a time.

    Each batch replaces `stage`; load it before going on. Raises FormatError when the file as a
    whole cannot be understood, SourceError when it cannot be read.
    """
    match fmt:
        case FileFormat.PARQUET:
            yield from _parquet(cursor, path, offset, rows)
        case FileFormat.JSONL:
            yield from _text(cursor, path, offset, _JsonLines(), whole)
        case FileFormat.CSV:
            yield from _text(cursor, path, offset, _Csv(), whole)
        case FileFormat.AUTO:
            raise ValueError("the format must be settled before staging")


# -- Parquet -------------------------------------------------------------------------------------


def _parquet(cursor: Cursor, path: Path, offset: Offset, rows: int) -> Iterator[Staged]:
    source = f"read_parquet({text(str(path))}, file_row_number = true)"
    try:
        total = cursor.execute(f"SELECT count(*) FROM read_parquet({text(str(path))})").fetchall()  # noqa: S608
        described = cursor.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608
    except duckdb.Error as error:
        raise FormatError(f"cannot read {path}: {_first_line(error)}", "is it complete?") from error
    types = {name: kind for name, kind, *_ in described if name != "file_row_number"}
    listed = ", ".join(quote(name) for name in types)
    for start in range(offset.position, total[0][0], rows):
        end = min(start + rows, total[0][0])
        try:
            _stage(
                cursor,
                f"SELECT file_row_number + 1 AS position, {listed} FROM {source} "  # noqa: S608
                f"WHERE file_row_number >= {start} AND file_row_number < {end}",
            )
        except duckdb.Error as error:
            raise FormatError(f"cannot read {path}: {_first_line(error)}", "is it complete?") from error
        yield Staged(StagedColumns(types), (), start, Offset(end, offset.fingerprint, end, ""))


# -- text ----------------------------------------------------------------------------------------


class _Csv:
    """CSV with a header line; the delimiter is taken from it."""

    quoted = True

    def open(self, path: Path, offset: Offset) -> tuple[Offset, str]:
        """The offset behind the header, and the header."""
        if offset.header:
            return offset, offset.header
        block = next(read_blocks(path, 0, whole=True, quoted=True, block=1024 * 1024), None)
        if block is None or not block.data.strip():
            return offset, ""
        line = block.data.split(b"\n", 1)[0] + b"\n"
        try:
            header = line.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FormatError(f"{path}: the header is not UTF-8", "convert the file") from error
        return Offset(len(line), offset.fingerprint, 0, header), header

    def read(self, cursor: Cursor, spool: Path, header: str, first: int) -> tuple[StagedColumns, list[Reject]]:
        """Stage the spooled lines; `first` is the number of records before them."""
        delimiter = max(",\t;|", key=header.count)
        names = _unique(next(csv.reader([header.rstrip("\r\n")], delimiter=delimiter), []))
        if not names or len(names) > MOST_COLUMNS:
            raise FormatError(f"a CSV header with {len(names)} columns cannot be used")
        columns = ", ".join(f"{text(f'c{i}')}: 'VARCHAR'" for i in range(len(names)))
        listed = ", ".join(f"nullif(c{i}, '') AS {quote(name)}" for i, name in enumerate(names))
        reading = (
            f"read_csv({text(str(spool))}, header = false, auto_detect = false, "
            f"columns = {{{columns}}}, delim = {text(delimiter)}, quote = '\"', escape = '\"', "
            "store_rejects = true, rejects_limit = 0, max_line_size = 2097152, parallel = false, "
            f"rejects_table = {text('bad_lines')}, rejects_scan = {text('bad_scans')})"
        )
        for table in ("bad_lines", "bad_scans"):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
        _stage(
            cursor,
            f"SELECT row_number() OVER () + {first} AS position, {listed} FROM {reading}",  # noqa: S608
        )
        bad = cursor.execute(
            "SELECT line, min(error_message), any_value(csv_line) FROM bad_lines "
            "GROUP BY line ORDER BY line"
        ).fetchall()
        if bad:
            _shift_positions(cursor, [line for line, _, _ in bad], first)
        rejects = [
            Reject(first + line, Reason.NOT_READABLE, message.splitlines()[0][:300], content or "")
            for line, message, content in bad
        ]
        return StagedColumns(dict.fromkeys(names, "VARCHAR")), rejects


class _JsonLines:
    """One JSON object a line; a broken line is found by its row of nothing but NULLs."""

    quoted = False

    def open(self, path: Path, offset: Offset) -> tuple[Offset, str]:
        """JSON lines have no header; a file that is one array is refused."""
        if offset.position == 0:
            block = next(read_blocks(path, 0, whole=True, quoted=False, block=65536), None)
            if block is not None and block.data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
                raise FormatError(
                    f"{path} holds one JSON array", "write one object a line (JSON lines)"
                )
        return offset, "jsonl"

    def read(self, cursor: Cursor, spool: Path, header: str, first: int) -> tuple[StagedColumns, list[Reject]]:
        """Stage the spooled lines; `first` is the number of records before them."""
        names = _json_names(spool)
        if not names:
            names = ("value",)
        columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in names)
        _stage(
            cursor,
            f"SELECT row_number() OVER () + {first} AS position, * FROM read_json("  # noqa: S608
            f"{text(str(spool))}, format = 'newline_delimited', columns = {{{columns}}}, "
            "ignore_errors = true, maximum_object_size = 2097152)",
        )
        empty = " AND ".join(f"{quote(name)} IS NULL" for name in names)
        suspects = cursor.execute(f"SELECT position FROM stage WHERE {empty} ORDER BY 1").fetchall()  # noqa: S608
        rejects = []
        if suspects:
            rejects = _broken_lines(spool, {p - first for (p,) in suspects}, first)
            cursor.execute(f"DELETE FROM stage WHERE {empty}")  # noqa: S608
        return StagedColumns(dict.fromkeys(names, "VARCHAR")), rejects


def _text(
    cursor: Cursor, path: Path, offset: Offset, reader: _Csv | _JsonLines, whole: bool
) -> Iterator[Staged]:
    offset, header = reader.open(path, offset)
    if not header:
        return
    with tempfile.TemporaryDirectory(prefix="modelwatch-") as folder:
        spool = Path(folder) / "block"
        for block in read_blocks(path, offset.position, whole=whole, quoted=reader.quoted):
            data, rejects = _clean_lines(block, offset.records)
            n_lines = data.count(b"\n") if not reader.quoted else 0
            spool.write_bytes(data)
            columns, unreadable = StagedColumns({}), []
            if data.strip():
                columns, unreadable = reader.read(cursor, spool, header, offset.records)
            else:
                _stage(cursor, "SELECT CAST(NULL AS BIGINT) AS position LIMIT 0")
            staged = cursor.execute("SELECT count(*) FROM stage").fetchall()[0][0]
            n = max(n_lines, staged + len(unreadable)) + len(rejects)
            start = offset.position
            offset = Offset(block.end, offset.fingerprint, offset.records + n, offset.header or header)
            yield Staged(columns, tuple(rejects + unreadable), start, offset)


def _clean_lines(block: Block, first: int) -> tuple[bytes, list[Reject]]:
    """The block as UTF-8 with a last line end; lines that are not, or too long, set apart."""
    data = block.data
    rejects = [
        Reject(
            first + number + 1,
            Reason.TOO_LONG,
            f"{length} bytes, the most is 1048576",
            head.decode("utf-8", "replace"),
        )
        for number, length, head in block.too_long
    ]
    if block.start == 0 and data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        kept = []
        for number, line in enumerate(data.splitlines(keepends=True)):
            try:
                line.decode("utf-8")
                kept.append(line)
            except UnicodeDecodeError as error:
                rejects.append(
                    Reject(
                        first + number + 1,
                        Reason.NOT_UTF8,
                        f"byte {error.start} of the line",
                        line.decode("utf-8", "backslashreplace").rstrip("\n"),
                    )
                )
        data = b"".join(kept)
    if b"\n\n" in data or b"\r\n\r\n" in data or data.startswith((b"\n", b"\r\n")):
        data = b"".join(line for line in data.splitlines(keepends=True) if line.strip())
    if data and not data.endswith(b"\n"):
        data += b"\n"
    return data, rejects


def _broken_lines(spool: Path, wanted: set[int], first: int) -> list[Reject]:
    rejects = []
    with spool.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number not in wanted:
                continue
            content = line.decode("utf-8", "replace").rstrip("\r\n")
            rejects.append(Reject(first + number, Reason.NOT_READABLE, _json_problem(content), content))
    return rejects


def _json_problem(content: str) -> str:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {str(error)[:200]}"
    if not isinstance(value, dict):
        return "not a JSON object"
    return "a JSON object without any known column"


def _json_names(spool: Path, lines: int = 1000) -> tuple[str, ...]:
    """The keys of the first lines; keys that differ only by case are one column to DuckDB."""
    names: dict[str, str] = {}
    with spool.open("rb") as file:
        for _, line in zip(range(lines), file, strict=False):
            with suppress(ValueError, RecursionError):
                value = json.loads(line)
                if isinstance(value, dict):
                    for key in list(value)[:MOST_COLUMNS]:
                        names.setdefault(key.lower(), key)
    names.pop("position", None)
    return tuple(names.values())


def _unique(names: list[str]) -> list[str]:
    """Header names made distinct, also where they differ only by case."""
    seen = {"position"}
    unique = []
    for i, name in enumerate(names):
        name = name.strip() or f"column {i + 1}"
        candidate, k = name, 2
        while candidate.lower() in seen:
            candidate, k = f"{name} ({k})", k + 1
        seen.add(candidate.lower())
        unique.append(candidate)
    return unique


def _shift_positions(cursor: Cursor, lines: list[int], first: int) -> None:
    """Give rows behind rejected lines the number that they have in the file."""
    cursor.execute("CREATE OR REPLACE TEMP TABLE gaps (before_row BIGINT)")
    rows = [line - i for i, line in enumerate(lines)]
    for start in range(0, len(rows), 500):
        part = rows[start : start + 500]
        cursor.execute(f"INSERT INTO gaps VALUES {', '.join(['(?)'] * len(part))}", part)
    cursor.execute(
        "UPDATE stage SET position = position + "
        f"(SELECT count(*) FROM gaps WHERE before_row <= stage.position - {first})"  # noqa: S608
    )


def _stage(cursor: Cursor, sql: str) -> None:
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE stage AS {sql}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


