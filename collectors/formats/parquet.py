"""Parquet into `stage`, by ranges of row numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from collectors.errors import FormatError
from collectors.formats.staging import Batch, first_line, stage
from collectors.store.database import Cursor
from collectors.store.names import quote, text
from collectors.store.staged import staged_columns

__all__ = ["kept_columns", "parquet_batches"]

_ROW = "file_row_number"
_LOWEST = "-9223372036854775808"  # of 64 bits
_NESTED = ("STRUCT", "MAP", "UNION", "VARIANT", "BLOB", "GEOMETRY")


def parquet_batches(
    cursor: Cursor, path: Path, folder: Path, *, start: int, rows: int, expected: Sequence[str]
) -> Iterator[Batch]:
    """Batches of at most `rows` rows from row `start` on.

    folder: a place of our own for a link, since DuckDB would read `*` and `[1]` in a path as a
    pattern. Columns that hold more than one value are left out unless the contract names them.
    Raises FormatError when the file is damaged.
    """
    link = folder / "file.parquet"
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    source = f"read_parquet({text(str(link))})"
    try:
        total = cursor.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0]
        described = cursor.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        types = kept_columns(described, expected)
        numbered, row = source, _ROW
        if any(name.lower() == _ROW for name, *_ in described):
            numbered = f"(SELECT *, row_number() OVER () - 1 AS {_ROW}_ FROM {source})"
            row = f"{_ROW}_"
        listed = "".join(
            f", {_value(name, kind)} AS c{i}" for i, (name, kind) in enumerate(types.items())
        )
        for begin in range(start, total, rows):
            end = min(begin + rows, total)
            stage(
                cursor,
                f"SELECT {row} + 1 AS position{listed} FROM {numbered} "
                f"WHERE {row} >= {begin} AND {row} < {end}",
            )
            yield Batch(staged_columns(types), (), end - begin, end / total)
    except duckdb.Error as error:
        message = first_line(error).replace(str(link), path.name)
        raise FormatError(f"cannot read {path}: {message}", "is it complete?") from error


def _value(name: str, kind: str) -> str:
    """A column, without the one time that breaks the engine when it becomes text (DuckDB 2.0)."""
    column = quote(name)
    if kind.upper() not in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
        return column
    return f"CASE WHEN epoch_us({column}) = {_LOWEST} THEN NULL ELSE {column} END"


def kept_columns(described: Sequence[Sequence[str]], expected: Sequence[str]) -> dict[str, str]:
    """Types by name of the columns to read, from what DESCRIBE says."""
    return {name: kind for name, kind, *_ in described if name in expected or not _holds_many(kind)}


def _holds_many(kind: str) -> bool:
    return kind.upper().startswith(_NESTED) or kind.endswith("]")
