"""Columns of a log that are new, missing or no longer numbers: recorded, never fatal."""

from __future__ import annotations

from collections.abc import Collection

from collectors.store.batches import Batch
from collectors.store.database import Cursor
from collectors.store.layout import Layout, Role
from collectors.store.staged import StagedColumns

__all__ = ["note_schema"]

MOST_CHANGES = 2000
"""Changes that are kept per deployment; a log with random keys would make one per record."""


def note_schema(
    cursor: Cursor, layout: Layout, staged: StagedColumns, expected: Collection[str], batch: Batch
) -> None:
    """Record how the columns of the staged predictions differ from the contract.

    A column that is new or missing is recorded once; one with texts where numbers belong is
    recorded with each batch.
    """
    known = {
        (name, change)
        for name, change in cursor.execute(
            "SELECT column_name, change FROM schema_changes WHERE deployment = ? AND kind = ?",
            [batch.deployment, batch.part.kind],
        ).fetchall()
    }
    changes: list[tuple[str, str, int, str]] = []
    if not staged.halves:  # one half never has what the other one says
        changes += [(c, "missing", 0, "") for c in sorted(set(expected) - set(staged.types))]
    changes += [(c, "new", 0, k) for c, k in staged.types.items() if c not in expected]
    changes = [change for change in changes if change[:2] not in known]
    changes = changes[: max(0, MOST_CHANGES - len(known))]
    changes += _mistyped(cursor, layout, staged)
    for name, change, n, example in changes:
        cursor.execute(
            "INSERT INTO schema_changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(batch.deployment, batch.part.kind, batch.part.source),
                *(name[:500], change, n, example[:200], batch.now),
            ],
        )


def _mistyped(
    cursor: Cursor, layout: Layout, staged: StagedColumns
) -> list[tuple[str, str, int, str]]:
    found = []
    for column in layout.columns:
        numeric = column.role in (Role.NUMERIC_FEATURE, Role.NUMBER)
        if numeric and staged.has(column.source) and staged.kind(column.source) == "VARCHAR":
            source = staged.sql(column.source)
            n, example = cursor.execute(
                f"SELECT count(*), min({source}) FROM stage WHERE {source} <> '' "
                f"AND TRY_CAST({source} AS DOUBLE) IS NULL"
            ).fetchall()[0]
            if n:
                found.append((column.source, "mistyped", n, example))
    return found
