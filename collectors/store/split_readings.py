"""How traffic is split, as a control plane was read over time. For the Traffic pane.

Whoever owns the store writes them: the recorder, or a console without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from collectors.store.database import Database
from collectors.store.moments import naive_utc
from collectors.text import clean

__all__ = ["SplitReading", "keep_readings"]

_LONGEST_NAME, _LONGEST_PROBLEM = 200, 500
_LARGEST = 2**63 - 1
_KINDS = ("TIMESTAMP", *["VARCHAR"] * 3, *["BIGINT"] * 3, "VARCHAR")


@dataclass(frozen=True, slots=True)
class SplitReading:
    """One arm of one replica at a moment (aware, or naive UTC).

    weight: as read, None where it could not be. n, n_error: requests and failed ones since the
    reading before; None where the plane does not count. arm: "" of a replica that could not be
    read. problem: why not, "" for nothing.
    """

    ts: datetime
    deployment: str
    replica: str
    arm: str
    weight: int | None
    n: int | None = None
    n_error: int | None = None
    problem: str = ""


def keep_readings(database: Database, readings: Sequence[SplitReading]) -> None:
    """Add readings, all or none. A number that is none is not kept, and the problem says so.

    Raises StoreError when the disk is full.
    """
    rows = [_row(reading) for reading in readings]
    if not rows:
        return
    # a list for each column: a placeholder for each value would cost 0.2 ms a row
    columns = ", ".join(f"unnest(CAST(? AS {kind}[]))" for kind in _KINDS)
    with database.transaction() as cursor:
        cursor.execute(
            f"INSERT INTO split_readings SELECT {columns}",
            [list(column) for column in zip(*rows, strict=True)],
        )


def _row(reading: SplitReading) -> tuple[object, ...]:
    numbers = (reading.weight, reading.n, reading.n_error)
    least = (-_LARGEST, 0, 0)
    kept = [
        v if v is not None and low <= v <= _LARGEST else None
        for v, low in zip(numbers, least, strict=True)
    ]
    problem = reading.problem
    if kept != list(numbers) and not problem:
        problem = "a number was no count, or too large to be kept"
    return (
        naive_utc(reading.ts),
        reading.deployment,
        clean(reading.replica, _LONGEST_NAME),
        clean(reading.arm, _LONGEST_NAME),
        *kept,
        clean(problem, _LONGEST_PROBLEM),
    )
