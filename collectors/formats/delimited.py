"""CSV into `stage`: a header line, then records; everything is text.

DuckDB's reader does the parsing. It silently swallows the rest of a file behind an unclosed quote
and gives up on mixed line ends, so its record count is checked against the lines; a block where
they do not add up, or with any bad record, is taken apart record by record in Python: each bad
record is set apart alone and the others are kept.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

from collectors.errors import FormatError
from collectors.formats.lines import has_blank_lines, is_utf8, not_utf8, too_long, without_mark
from collectors.formats.staging import MOST_COLUMNS, Batch, empty_batch, stage
from collectors.sources.files import LONGEST_LINE, Block, read_blocks
from collectors.store.batches import Offset, Reject
from collectors.store.database import Cursor
from collectors.store.names import text
from collectors.store.reasons import Reason
from collectors.store.staged import staged_columns

__all__ = ["Delimited"]

QUOTED_LINES = 200
"""Lines that one quoted text may span; a quote that is open for longer was never closed."""

csv.field_size_limit(2 * LONGEST_LINE)  # process-wide; the default, 128 KiB, is less than a line


class Delimited:
    """Reads blocks of CSV; the delimiter is taken from the header."""

    quoted = True

    def __init__(self, expected: Sequence[str]) -> None:
        self.expected = expected

    def open(self, path: Path, offset: Offset) -> Offset | None:
        """The offset behind the header, with the header in it; None for a file without one."""
        if offset.header:
            return offset
        block = next(read_blocks(path, 0, whole=True, quoted=True, block=4 * LONGEST_LINE), None)
        if block is None or not block.data.strip():
            if block is not None and block.too_long:
                raise FormatError(f"{path}: the header is too long", "is it a CSV file?")
            return None
        mark = len(block.data) - len(without_mark(block))
        data = block.data[mark:]
        begin = mark + len(data) - len(data.lstrip(b"\r\n"))
        end = _header_end(block.data, begin)
        try:
            header = block.data[begin:end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(f"{path}: the header is not UTF-8", "convert the file") from error
        if "\x00" in header or "\r" in header.rstrip("\r\n"):
            raise FormatError(
                f"{path} is no CSV file that can be read", "it needs UTF-8 text and line feeds"
            )
        columns = _columns(header)
        if not columns or len(columns) > MOST_COLUMNS:
            raise FormatError(f"{path}: a header of {len(columns)} columns cannot be used")
        return Offset(end, offset.fingerprint, 0, header)

    def stage(self, cursor: Cursor, spool: Path, block: Block, offset: Offset) -> Batch:
        """Stage the block's records."""
        header, first = offset.header, offset.records
        delimiter = _delimiter(header)
        names = _columns(header)
        data = block.data.replace(b"\r\n", b"\n")
        if data and not data.endswith(b"\n"):
            data += b"\n"
        if not data.strip() and not block.too_long:
            return empty_batch(cursor)
        columns = staged_columns(dict.fromkeys(names, "VARCHAR"))
        clean = not block.too_long and not has_blank_lines(data) and is_utf8(data)
        if clean and b"\r" not in data:
            n = _read_all(cursor, spool, data, delimiter, width=len(names), first=first)
            if n:
                return Batch(columns, (), n)
        rejects: list[Reject] = []
        n = kept = 0
        with spool.open("w", encoding="utf-8") as file:
            for record in _records(data.split(b"\n"), block, delimiter, len(names), first):
                n += 1
                if isinstance(record, Reject):
                    rejects.append(record)
                else:
                    numbered = {"n": first + n} | {f"c{i}": v for i, v in enumerate(record)}
                    file.write(json.dumps(numbered, ensure_ascii=False) + "\n")
                    kept += 1
        _read_numbered(cursor, spool, len(names))
        if cursor.execute("SELECT count(*) FROM stage").fetchall()[0][0] != kept:
            raise FormatError(f"cannot tell the records of bytes {block.start}-{block.end}")
        return Batch(columns, tuple(rejects), n)


# -- the header ----------------------------------------------------------------------------------


def _header_end(data: bytes, begin: int) -> int:
    """The offset behind the header's line end; a quoted name may hold line ends."""
    end = data.find(b"\n", begin) + 1 or len(data)
    first = end
    for _ in range(QUOTED_LINES):
        if data.count(b'"', begin, end) % 2 == 0:
            return end
        if end >= len(data):
            break
        end = data.find(b"\n", end) + 1 or len(data)
    return first


def _delimiter(header: str) -> str:
    """The separator that stands most often outside quotes."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",\t;|", key=bare.count)


def _columns(header: str) -> list[str]:
    """Column names made distinct: a repeated one gets its number behind it."""
    line = header.rstrip("\r\n")
    names = next(csv.reader([line], delimiter=_delimiter(header)), [])
    seen: set[str] = set()
    distinct = []
    for i, written in enumerate(names):
        name = written.strip() or f"column {i + 1}"
        candidate, k = name, 2
        while candidate in seen:
            candidate, k = f"{name} ({k})", k + 1
        seen.add(candidate)
        distinct.append(candidate)
    return distinct


# -- records -------------------------------------------------------------------------------------


def _read_all(
    cursor: Cursor, spool: Path, data: bytes, delimiter: str, *, width: int, first: int
) -> int:
    """Stage the lines by DuckDB; the number of records, 0 when they do not add up."""
    spool.write_bytes(data)
    # an empty field is NULL already; saying so of 10,000 columns takes 40 s
    listed = "".join(f", c{i}" for i in range(width))
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(width))
    for table in ("bad_lines", "bad_scans"):
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
    with suppress(duckdb.Error):
        stage(
            cursor,
            f"SELECT row_number() OVER () + {first} AS position{listed} "
            f"FROM read_csv({text(str(spool))}, header = false, auto_detect = false, "
            f"columns = {{{columns}}}, delim = {text(delimiter)}, quote = '\"', escape = '\"', "
            "store_rejects = true, rejects_limit = 0, max_line_size = 8388608, "
            "parallel = false, rejects_table = 'bad_lines', rejects_scan = 'bad_scans')",
        )
        if cursor.execute("SELECT count(*) FROM bad_lines").fetchall()[0][0]:
            return 0
        n = int(cursor.execute("SELECT count(*) FROM stage").fetchall()[0][0])
        n_lines = data.count(b"\n")
        if n == n_lines:
            return n
        if b'"' in data:
            inside = " + ".join(
                f"coalesce(length(c{i}) - length(replace(c{i}, chr(10), '')), 0)"
                for i in range(width)
            )
            within = cursor.execute(f"SELECT sum({inside}) FROM stage").fetchall()[0][0]
            return n if n + int(within or 0) == n_lines else 0
    return 0


def _read_numbered(cursor: Cursor, spool: Path, width: int) -> None:
    """Stage records that were taken apart here; as JSON, which has no dialects."""
    listed = "".join(f", nullif(c{i}, '') AS c{i}" for i in range(width))
    columns = ", ".join(["n: 'BIGINT'", *(f"c{i}: 'VARCHAR'" for i in range(width))])
    stage(
        cursor,
        f"SELECT n AS position{listed} FROM read_json({text(str(spool))}, records = 'true', "
        f"format = 'newline_delimited', columns = {{{columns}}}, maximum_object_size = 16777216)",
    )


def _records(
    lines: Sequence[bytes], block: Block, delimiter: str, width: int, first: int
) -> Iterator[list[str] | Reject]:
    """Each record's fields, or why it has none."""
    i, position = 0, first
    while i < len(lines):
        line, number = lines[i], i
        i += 1
        if number in block.too_long:
            position += 1
            yield too_long(position, block.too_long[number])
            continue
        if not line.strip(b" \r"):
            continue
        position += 1
        if not is_utf8(line):
            yield not_utf8(position, line)
            continue
        found = _fields(line.decode("utf-8"), delimiter)
        if found is None:
            found, taken = _spanning(lines, number, delimiter, width)
            i += taken
        if isinstance(found, str) or len(found) != width:
            detail = found if isinstance(found, str) else _miscounted(width, len(found))
            content = line.decode("utf-8")
            yield Reject(position, Reason.NOT_READABLE, detail, content)
        else:
            yield found


def _spanning(
    lines: Sequence[bytes], begin: int, delimiter: str, width: int
) -> tuple[list[str] | str, int]:
    """The record that begins with an open quote, and how many further lines it takes."""
    joined = lines[begin]
    for taken, line in enumerate(lines[begin + 1 : begin + QUOTED_LINES], start=1):
        joined += b"\n" + line
        if len(joined) > LONGEST_LINE:
            break
        if b'"' in line:
            if not is_utf8(joined):
                break
            found = _fields(joined.decode("utf-8"), delimiter)
            if isinstance(found, list) and len(found) == width:
                return found, taken
            if found is not None:
                break
    return "a quote is not closed", 0


def _fields(line: str, delimiter: str) -> list[str] | str | None:
    """A record's fields, what is wrong with it, or None when a quote is still open at its end."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        message = str(error)
        return None if message == "unexpected end of data" else message
    except StopIteration:
        return "an empty record"


def _miscounted(width: int, found: int) -> str:
    return f"{found} columns where the header has {width}"
