"""Windows over times that retention has thinned out: whole days where there are no hours any more,
and no history where nobody knows how it stood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta

import polars as pl

from collectors.errors import StoreError
from console.analysis.ask import Ask, Step, utc
from console.analysis.retained import RetainedRow

__all__ = ["Kept", "kept"]

Span = tuple[datetime, datetime]

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Kept:
    """From when on there are raw rows, and rollups by the hour; aware UTC, None: from the first.

    rows: all that was deleted.
    """

    raw: datetime | None = None
    hours: datetime | None = None
    rows: tuple[RetainedRow, ...] = ()

    def by_day(self, ask: Ask) -> Ask:
        """The ask with a window of whole days where it reaches into times without hours."""
        if self.hours is None or ask.start >= self.hours:
            return ask
        start, end = _midnight(ask.start), ask.end
        if end < self.hours and end != _midnight(end):
            end = _midnight(end) + _DAY
        step = Step.DAY if ask.step is Step.HOUR else ask.step
        return replace(ask, start=start, end=end, step=step)

    def history(self, span: Span, unknown: Callable[[], bool], *, some: bool = False) -> Span:
        """What of a span before the window can be told; an empty one where it cannot.

        unknown: whether it has hours without raw rows that changed after the asked moment. some:
        the part from the raw rows on serves too.
        """
        start, end = span
        if self.raw is None or start >= self.raw:
            return span
        if unknown():
            return (min(self.raw, end), end) if some else (end, end)
        hours = self.hours
        if hours is None or not any(t < hours and t != _midnight(t) for t in span):
            return span
        return (_midnight(start) + _DAY, end) if some and end >= hours else (end, end)


def kept(ask: Callable[[], pl.DataFrame]) -> Kept:
    """What the query `retained` says. A bundle of an older release does not hold it."""
    try:
        frame = ask()
    except StoreError:
        return Kept()
    rows = tuple(
        RetainedRow(row["what"], utc(row["before"]), row["n"])
        for row in frame.iter_rows(named=True)
    )
    before = {row.what: row.before for row in rows}
    return Kept(before.get("raw"), before.get("hours"), rows)


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time(), moment.tzinfo)
