"""The temporary table `stage`: one batch of a file as `position` (record number), c0, c1, ..."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.store.batches import Reject
from collectors.store.database import Cursor
from collectors.store.staged import StagedColumns, staged_columns

__all__ = ["MOST_COLUMNS", "Batch", "empty_batch", "first_line", "stage"]

MOST_COLUMNS = 20_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What one block became: the columns of `stage`, what could not be read, all its records.

    share: how much of the file that makes, 0 to 1, where it is known.
    """

    columns: StagedColumns
    rejects: tuple[Reject, ...]
    n: int
    share: float | None = None


def stage(cursor: Cursor, sql: str) -> None:
    """Fill `stage` by a SELECT."""
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE stage AS {sql}")


def empty_batch(cursor: Cursor, rejects: tuple[Reject, ...] = ()) -> Batch:
    """A batch without a readable record."""
    stage(cursor, "SELECT CAST(NULL AS BIGINT) AS position LIMIT 0")
    return Batch(staged_columns({}), rejects, len(rejects))


def first_line(error: Exception) -> str:
    """The sentence of an error of DuckDB, without the query it quotes."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
