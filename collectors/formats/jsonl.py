"""JSON lines into `stage`: one object a line, its top-level keys as columns of text.

DuckDB's reader does the parsing (387k rows per CPU second). It answers a line that it cannot read
with a row of NULLs; those lines are looked at again in Python and set apart. A block that it
refuses as a whole (nesting deeper than 128) is rewritten with nested values as strings first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

from collectors.errors import FormatError
from collectors.formats.lines import PLACEHOLDER, Lines, usable_lines
from collectors.formats.staging import MOST_COLUMNS, Batch, empty_batch, stage
from collectors.sources.files import Block, read_blocks
from collectors.store.batches import Offset, Reject
from collectors.store.database import Cursor
from collectors.store.names import quote, text
from collectors.store.reasons import Reason
from collectors.store.staged import staged_columns

__all__ = ["JsonLines"]

_LOOKED_AT = 250
"""Lines whose keys are looked for; what the contract names is read in any case."""


_MOST_OTHERS = 500
"""Keys beside those of the contract that are looked at, to tell what is new."""


class JsonLines:
    """Reads blocks of JSON lines. expected: keys that the contract names."""

    quoted = False

    def __init__(self, expected: Sequence[str]) -> None:
        self.expected = expected

    def open(self, path: Path, offset: Offset) -> Offset | None:
        """There is no header; a file that is one JSON document is refused."""
        if offset.position == 0:
            block = next(read_blocks(path, 0, whole=True, quoted=False, block=65536), None)
            begin = block.data.lstrip(b"\xef\xbb\xbf \t\r\n") if block is not None else b""
            if begin.startswith(b"[") or begin.split(b"\n", 1)[0].strip() == b"{":
                what = "array" if begin.startswith(b"[") else "object over many lines"
                raise FormatError(
                    f"{path} holds one JSON {what}", "write one object a line (JSON lines)"
                )
        return offset

    def stage(self, cursor: Cursor, spool: Path, block: Block, offset: Offset) -> Batch:
        """Stage the block's records."""
        first = offset.records
        lines = usable_lines(block, first)
        if not lines.n:
            return empty_batch(cursor)
        names = self._names(lines.data)
        if not _read(cursor, spool, lines.data, names, first=first, n=lines.n):
            flat = b"".join(_flat(line) for line in lines.data.split(b"\n")[: lines.n])
            if not _read(cursor, spool, flat, names, first=first, n=lines.n):
                lines = self._without_unreadable(
                    cursor, spool, lines, names, block=block, first=first
                )
        rejects = [*lines.rejects, *_unread(cursor, names, lines, first)]
        names = self._present(cursor, names, lines.data)
        return Batch(staged_columns(dict.fromkeys(names, "VARCHAR")), tuple(rejects), lines.n)

    def _without_unreadable(
        self,
        cursor: Cursor,
        spool: Path,
        lines: Lines,
        names: tuple[str, ...],
        *,
        block: Block,
        first: int,
    ) -> Lines:
        """Stage all but the lines that the reader cannot be given; those become rejects.

        Raises FormatError when that does not help: then it is not the lines.
        """
        written = [line + b"\n" for line in lines.data.split(b"\n")[: lines.n]]
        flat = [_flat(line) for line in written]
        bad = _unreadable(cursor, spool, flat, names, low=0, high=len(flat))
        rejects = list(lines.rejects)
        for i in bad:
            content = written[i].decode("utf-8").rstrip("\r\n")
            rejects.append(Reject(first + i + 1, Reason.NOT_READABLE, "too much for one", content))
            written[i] = flat[i] = PLACEHOLDER + b"\n"
        if not _read(cursor, spool, b"".join(flat), names, first=first, n=lines.n):
            raise FormatError(
                f"cannot tell the records of bytes {block.start}-{block.end}",
                "give the store more memory ([store] memory_limit), or take that part out",
            )
        return Lines(b"".join(written), lines.n, tuple(rejects))

    def _names(self, data: bytes) -> tuple[str, ...]:
        """The contract's keys, then others of the first lines.

        Keys that differ only by case would be one column to DuckDB; the contract's come first.
        """
        names = {name.lower(): name for name in self.expected}
        # what the contract does not name is only told; thousands of such keys would cost gigabytes
        most = min(MOST_COLUMNS, len(names) + _MOST_OTHERS) if names else MOST_COLUMNS
        begin = 0
        for _ in range(_LOOKED_AT):
            end = data.find(b"\n", begin)
            if end < 0 or len(names) >= most:
                break
            with suppress(ValueError, RecursionError):
                value = json.loads(data[begin:end])
                if isinstance(value, dict):
                    for key in list(value)[:MOST_COLUMNS]:
                        if len(names) < most and _is_utf8(key):
                            names.setdefault(key.lower(), key)
            begin = end + 1
        return tuple(names.values()) or ("value",)

    def _present(self, cursor: Cursor, names: tuple[str, ...], data: bytes) -> tuple[str, ...]:
        """Names without those expected keys that no record has, so that they count as missing."""
        absent = []
        for i, name in enumerate(names[: len(self.expected)]):
            if json.dumps(name).encode() in data or name.encode() in data:
                continue
            found = cursor.execute(f"SELECT count(c{i}) FROM stage").fetchall()[0][0]
            if not found:
                absent.append(i)
        if not absent:
            return names
        kept = [i for i in range(len(names)) if i not in absent]
        listed = "".join(f", c{i} AS c{k}" for k, i in enumerate(kept))
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE stage AS SELECT position{listed} FROM stage")
        return tuple(names[i] for i in kept)


def _read(
    cursor: Cursor, spool: Path, data: bytes, names: Sequence[str], *, first: int, n: int
) -> bool:
    """Fill `stage`; False when DuckDB sees other than the `n` records that there are lines."""
    spool.write_bytes(data)
    columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in names)
    listed = "".join(f", {quote(name)} AS c{i}" for i, name in enumerate(names))
    with suppress(duckdb.Error):
        stage(
            cursor,
            f"SELECT row_number() OVER () + {first} AS position{listed} FROM read_json("
            f"{text(str(spool))}, format = 'newline_delimited', records = 'true', "
            f"columns = {{{columns}}}, ignore_errors = true, maximum_object_size = 4194304)",
        )
        return bool(cursor.execute("SELECT count(*) FROM stage").fetchall()[0][0] == n)
    return False


def _unreadable(
    cursor: Cursor,
    spool: Path,
    lines: Sequence[bytes],
    names: Sequence[str],
    *,
    low: int,
    high: int,
) -> list[int]:
    """Which of the lines from low to high the reader cannot be given, by halving."""
    part = b"".join(lines[low:high])
    if _read(cursor, spool, part, names, first=0, n=high - low):
        return []
    if high - low == 1:
        return [low]
    middle = (low + high) // 2
    return [
        *_unreadable(cursor, spool, lines, names, low=low, high=middle),
        *_unreadable(cursor, spool, lines, names, low=middle, high=high),
    ]


def _flat(line: bytes) -> bytes:
    """The object with nested values as strings; a placeholder when it is none."""
    try:
        value = json.loads(line)
        if isinstance(value, dict):
            flat = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in value.items()}
            return json.dumps(flat).encode() + b"\n"
    except (ValueError, RecursionError):
        pass
    return PLACEHOLDER + b"\n"


def _unread(cursor: Cursor, names: tuple[str, ...], lines: Lines, first: int) -> list[Reject]:
    """Take rows of nothing but NULLs out of `stage`, as rejects with their line."""
    empty = " AND ".join(f"c{i} IS NULL" for i in range(len(names)))
    suspects = cursor.execute(f"SELECT position FROM stage WHERE {empty} ORDER BY 1").fetchall()
    if not suspects:
        return []
    cursor.execute(f"DELETE FROM stage WHERE {empty}")
    known = {reject.position for reject in lines.rejects}
    written = lines.data.split(b"\n")
    rejects = []
    for (position,) in suspects:
        if position not in known:
            content = written[position - first - 1].decode("utf-8").rstrip("\r")
            rejects.append(Reject(position, Reason.NOT_READABLE, _problem(content), content))
    return rejects


def _problem(content: str) -> str:
    try:
        value = json.loads(content)
    except RecursionError:
        return "not JSON: nested too deep"
    except ValueError as error:
        return f"not JSON: {str(error)[:200]}"
    if not isinstance(value, dict):
        return "not a JSON object"
    return "a JSON object without any known key, or with text that is not Unicode"


def _is_utf8(key: str) -> bool:
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
