"""What retention has deleted, and up to when: hours without raw rows are sealed.

Rollups of sealed hours are true and stay, but can never be computed again: nothing is added to
them, a rebuild leaves them out, and how they stood at an earlier moment is no longer known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import duckdb

from collectors.store.database import Cursor

__all__ = ["Gone", "Sealed", "note_gone", "sealed_of"]


class Gone(StrEnum):
    """What is deleted before a moment."""

    RAW = "raw"
    HOURS = "hours"
    DAYS = "days"
    QUARANTINE = "quarantine"
    METRICS = "metrics"
    SPLITS = "readings of splits"
    BATCHES = "batches"
    HALVES = "halves"
    WAITING = "waiting labels"
    FEATURES = "features"
    SCORE_BINS = "score bins"
    CONDITIONS = "conditions"
    SEGMENTS = "segments"
    ROLLUPS = "rollups"


@dataclass(frozen=True, slots=True)
class Sealed:
    """Midnights, naive UTC, before which something is gone; None: nothing of it is.

    raw: predictions and labels. hours: hourly rollups, which are kept as days. days: everything.
    marks: JSON of what the rollups of hours without raw rows were built with.
    """

    raw: datetime | None = None
    hours: datetime | None = None
    days: datetime | None = None
    marks: str = ""


def sealed_of(cursor: Cursor, deployment: str) -> Sealed:
    """What is gone of a deployment."""
    try:
        rows = cursor.execute(
            "SELECT what, before, marks FROM retained WHERE deployment = ?", [deployment]
        ).fetchall()
    except duckdb.CatalogException:  # a store of an older release that is only read
        return Sealed()
    before = {what: moment for what, moment, _ in rows}
    marks = next((text for what, _, text in rows if what == Gone.RAW), "")
    return Sealed(before.get(Gone.RAW), before.get(Gone.HOURS), before.get(Gone.DAYS), marks)


def note_gone(
    cursor: Cursor,
    deployment: str,
    what: Gone,
    before: datetime,
    now: datetime,
    *,
    n: int,
    marks: str = "",
) -> None:
    """Note that rows before a moment were deleted (n), and of raw ones the marks.

    Times are naive UTC.
    """
    cursor.execute(
        "INSERT INTO retained VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (deployment, what) DO UPDATE "
        "SET before = greatest(before, excluded.before), at_time = excluded.at_time, "
        "n = n + excluded.n, marks = excluded.marks",
        [deployment, what.value, before, now, n, marks],
    )
