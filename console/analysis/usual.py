"""How many predictions usually come in a span: the same hours a week and a day earlier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from console.analysis.ask import utc

__all__ = ["HISTORY", "LEAST_SILENCE", "UsualVolume", "has_stopped", "usual_volume"]

HISTORY = timedelta(days=15)
"""How far back hours are needed: a window of a week, a week earlier, and a day to spare."""

SILENCE = 10.0  # predictions that should have come
LEAST_SILENCE = timedelta(minutes=30)
STALE_AFTER = timedelta(hours=2)
"""When there are not yet seven days to compare with."""

_HOUR = timedelta(hours=1)
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class UsualVolume:
    """Predictions by hour (aware UTC); first is the first hour that is known."""

    hours: Mapping[datetime, int]
    first: datetime | None

    def came(self, low: datetime, high: datetime) -> float:
        """Predictions in [low, high); an hour counts by the part of it that lies within."""
        total = 0.0
        hour = low.replace(minute=0, second=0, microsecond=0)
        while hour < high:
            inside = min(high, hour + _HOUR) - max(low, hour)
            total += self.hours.get(hour, 0) * (inside / _HOUR)
            hour += _HOUR
        return total

    def by_hour(self, low: datetime, high: datetime) -> tuple[tuple[datetime, int], ...]:
        """(middle, predictions) of every hour from `low`, a full one, to `high` that has any."""
        out = []
        while low < high:
            n = self.hours.get(low, 0)
            if n > 0:
                out.append((low + (min(high, low + _HOUR) - low) / 2, n))
            low += _HOUR
        return tuple(out)

    def week_before(self, low: datetime, high: datetime) -> float | None:
        """What came a week earlier; None where that is not known or the span is over a week."""
        if self.first is None or high - low > _WEEK or self.first > low - _WEEK:
            return None
        return self.came(low - _WEEK, high - _WEEK)

    def expected(self, low: datetime, high: datetime) -> float | None:
        """The least that days and weeks before let one expect; None without a week of history.

        The smaller of the same hours a week earlier and their mean over seven days, so that
        neither a free day nor a busy one makes a silence out of nothing.
        """
        week = self.week_before(low, high)
        if week is None or high - low > timedelta(days=1):
            return week
        days = (timedelta(days=d) for d in range(1, 8))
        mean = sum(self.came(low - back, high - back) for back in days) / 7
        return min(week, mean)

    def most(self, hour: datetime) -> float | None:
        """The most that days and weeks before let one expect of an hour, likewise: the larger."""
        end = hour + _HOUR
        week = self.week_before(hour, end)
        if week is None:
            return None
        days = (timedelta(days=d) for d in range(1, 8))
        return max(week, sum(self.came(hour - back, end - back) for back in days) / 7)


def usual_volume(hourly: pl.DataFrame) -> UsualVolume:
    """From volume rows of (start, n) by hour, over all versions."""
    hours: dict[datetime, int] = {}
    for start, n in hourly.select("start", "n").iter_rows():
        at = utc(start)
        hours[at] = hours.get(at, 0) + n
    return UsualVolume(hours, min(hours, default=None))


def has_stopped(age: timedelta | None, silent: float | None) -> bool:
    """Whether predictions have stopped coming.

    age: of the newest one, None where there is none; silent: how many usually come in that time,
    None where that is not known. The expected count is far above what chance makes nothing of,
    since requests come in clusters, and the silence must have lasted.
    """
    if age is None:
        return True
    if silent is not None:
        return silent >= SILENCE and age >= LEAST_SILENCE
    return age > STALE_AFTER
