"""Whole days summed up, so that a window of weeks does not add up its hours again and again.

Beside each hourly rollup stands a table of days with the same columns. `summed_days` says which
days of it are true: whatever touches an hour takes its day off that list, in the same transaction,
and a day that was left alone for a while is summed up again. A day that is not on the list is read
from its hours, so figures are the same with and without this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from collectors.store.database import Cursor
from collectors.store.layout import Layout
from collectors.store.moments import stamp
from collectors.store.tables import RollupTable

__all__ = ["DAY", "INPUT_PART", "OUTCOME_PART", "Span", "day_table", "forget", "runs", "spans"]

DAY = timedelta(days=1)

OUTCOME_PART, INPUT_PART = "outcomes", "inputs"
"""Rollups that labels change, and those of the predictions themselves: each listed on its own."""

_SPANS = 4
"""Stretches of days that one query reads as such; each costs a branch of the query."""

_LEAST = 3
"""Days that are worth a branch."""


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days [start, end), naive UTC."""

    start: datetime
    end: datetime


def day_table(layout: Layout, name: str) -> str:
    """The table of days beside a rollup, as SQL."""
    return layout.table(name.replace("rollup_", "day_"))


def create(cursor: Cursor, layout: Layout, tables: Iterable[RollupTable]) -> None:
    """Make the tables of days, empty."""
    for table in tables:
        name = day_table(layout, table.name)
        cursor.execute(f"CREATE OR REPLACE TABLE {name} ({table.definition})")
    listed = layout.table("summed_days")
    cursor.execute(
        f"CREATE OR REPLACE TABLE {listed} (day TIMESTAMP NOT NULL, part VARCHAR NOT NULL)"
    )


def forget(cursor: Cursor, layout: Layout, parts: Sequence[str], where: str) -> None:
    """Take days off the list; where: a SQL condition on `day`."""
    named = ", ".join(f"'{part}'" for part in parts)
    cursor.execute(
        f"DELETE FROM {layout.table('summed_days')} WHERE part IN ({named}) AND ({where})"
    )


def summed(cursor: Cursor, layout: Layout) -> Mapping[str, frozenset[datetime]]:
    """The days on the list, by part."""
    rows = cursor.execute(f"SELECT part, day FROM {layout.table('summed_days')}").fetchall()
    found: dict[str, set[datetime]] = {OUTCOME_PART: set(), INPUT_PART: set()}
    for part, day in rows:
        found.setdefault(part, set()).add(day)
    return {part: frozenset(days) for part, days in found.items()}


def built(cursor: Cursor, layout: Layout) -> list[datetime]:
    """Days of which every hour's rollups are built, oldest first."""
    rows = cursor.execute(
        f"SELECT date_trunc('day', bucket) AS day FROM {layout.table('buckets')} "
        "GROUP BY 1 HAVING bool_and(built) ORDER BY 1"
    ).fetchall()
    return [day for (day,) in rows]


def sum_up(
    cursor: Cursor,
    layout: Layout,
    part: str,
    merges: Iterable[tuple[str, RollupTable]],
    span: Span,
) -> None:
    """Sum up the days of a span and put those that have hours on the list; in a transaction.

    merges: (the table to read, as SQL, the rollup whose table of days is filled), in this order.
    """
    inside = f"{{}} >= {stamp(span.start)} AND {{}} < {stamp(span.end)}"
    bucket, day = inside.format("bucket", "bucket"), inside.format("day", "day")
    for source, table in merges:
        kept = day_table(layout, table.name)
        keys = "".join(f"{key}, " for key in table.keys)
        cursor.execute(f"DELETE FROM {kept} WHERE {bucket}")
        cursor.execute(
            f"INSERT INTO {kept} BY NAME "
            f"SELECT date_trunc('day', bucket) AS bucket, version, {keys} {table.merged} "
            f"FROM {source} WHERE {bucket} GROUP BY ALL HAVING sum(n) <> 0"
        )
    forget(cursor, layout, (part,), day)
    cursor.execute(
        f"INSERT INTO {layout.table('summed_days')} "
        f"SELECT DISTINCT date_trunc('day', bucket), '{part}' "
        f"FROM {layout.table('buckets')} WHERE {bucket}"
    )


def runs(days: Iterable[datetime], most: int) -> list[Span]:
    """Days as stretches of at most `most` that follow each other."""
    found: list[Span] = []
    for day in sorted(days):
        if found and found[-1].end == day and day - found[-1].start < most * DAY:
            found[-1] = Span(found[-1].start, day + DAY)
        else:
            found.append(Span(day, day + DAY))
    return found


def spans(
    days: frozenset[datetime],
    start: datetime,
    end: datetime,
    without: Span | None = None,
) -> list[Span]:
    """Stretches of listed days within [start, end) that are worth reading as days.

    without: hours that are read from elsewhere; days that overlap them are left out.
    """
    inside = (
        day
        for day in days
        if start <= day
        and day + DAY <= end
        and (without is None or day >= without.end or day + DAY <= without.start)
    )
    found = [s for s in runs(inside, len(days)) if s.end - s.start >= _LEAST * DAY]
    longest = sorted(found, key=lambda s: s.start - s.end)[:_SPANS]
    return sorted(longest, key=lambda s: s.start)
