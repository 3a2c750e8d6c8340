"""Reading where raw rows are gone: days in place of hours, and a past that nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from collectors.errors import StoreError
from collectors.store.database import Cursor, read_sql
from collectors.store.days import day_table
from collectors.store.layout import Layout
from collectors.store.moments import stamp
from collectors.store.sealed import Sealed

__all__ = ["refuse_unknown", "whole_days"]

Window = tuple[datetime, datetime, datetime]


def whole_days(
    layout: Layout, by_day: str, sealed: Sealed, params: Mapping[str, object]
) -> tuple[str, datetime] | None:
    """SELECT of the part of a window that is kept as days only, and where that ends.

    by_day: the rollup whose days are read. Raises StoreError for a window that needs the hours.
    """
    start, end = params.get("start"), params.get("end")
    limit = sealed.hours
    if limit is None or not isinstance(end, datetime):
        return None
    if isinstance(start, datetime) and start >= min(end, limit):
        return None
    cut = [t for t in (start, end) if isinstance(t, datetime) and t < limit and not _midnight(t)]
    if cut or params.get("step") == "hour":
        raise StoreError(
            f"figures before {limit:%Y-%m-%d} are kept by the day (retention)",
            "let the window begin and end at midnight (UTC), with --step day or longer",
        )
    since = f" AND bucket >= {stamp(start)}" if isinstance(start, datetime) else ""
    before = f"bucket < {stamp(min(end, limit))}"
    return f"SELECT * FROM {day_table(layout, by_day)} WHERE {before}{since}", limit


def refuse_unknown(
    cursor: Cursor, layout: Layout, sealed: Sealed, window: Window, *, outcomes: bool
) -> None:
    """Raise StoreError where hours of a window without raw rows changed after a moment.

    window: start, end and the moment. outcomes: labels change them too.
    """
    start, end, as_of = window
    if sealed.raw is None or start >= sealed.raw:
        return
    asked = {"start": start, "end": end, "as_of": as_of, "sealed": sealed.raw}
    n, first = cursor.execute(
        read_sql("queries/unknown_hours.sql", schema=layout.schema), {**asked, "labels": outcomes}
    ).fetchall()[0]
    if n:
        raise StoreError(
            f"how {first:%Y-%m-%d %H:%M} stood at {as_of:%Y-%m-%d %H:%M} is no longer known: raw "
            f"rows before {sealed.raw:%Y-%m-%d} were deleted (retention)",
            "give --start and --end without --as-of for what is known of it now, or look at a "
            "later window",
        )


def _midnight(moment: datetime) -> bool:
    return moment.hour == moment.minute == moment.second == moment.microsecond == 0
