"""What of a series the hour of the day or the day of the week explains.

Learned robustly and judged on periods that it was not learned from, so that noise, or a change
that happened once, is no pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEARNS_DAILY", "Profile", "profile_of"]

FloatArray = NDArray[np.float64]

_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
_LEAST_DAYS = 3
LEARNS_DAILY = _LEAST_DAYS * _DAY
"""Length from which an hourly series can teach the hour of the day."""

_LEAST_WEEKS = 2
_LEAST_WEEKS_BY_DAY = 3  # of two, the median is their mean, and one change would be half a pattern
_EXPLAINS = 0.1  # share of the sum of squares that must be explained in periods left out


class Profile(NamedTuple):
    """effect: (n,) what belongs to the place in the period, about 0; of: "daily" or "weekly"."""

    effect: FloatArray
    of: str


def profile_of(
    starts: Sequence[datetime], values: FloatArray, weights: FloatArray, step: timedelta
) -> Profile | None:
    """The pattern of an hourly or daily series, or None where none can be learned or none is.

    An hour of the day takes 3 days, an hour of the week 2 full weeks, a day of the week 3. Each
    value is taken from its own period's median, so that a change of level is not part of it; the
    effect is the median over periods.
    """
    if step not in (_HOUR, _DAY) or len(values) < 8:
        return None
    first = min(starts)
    hours = np.array([(start - first) // _HOUR for start in starts], np.int64)
    found: list[tuple[float, Profile]] = []
    for period, name, least in (
        (_DAY, "daily", _LEAST_DAYS),
        (_WEEK, "weekly", _LEAST_WEEKS if step == _HOUR else _LEAST_WEEKS_BY_DAY),
    ):
        length = period // step
        place = hours // (step // _HOUR)
        if length < 2 or (int(place.max()) + 1) // length < least:  # whole periods
            continue
        effect, gain = _learn(place // length, place % length, int(length), values, weights)
        if gain > _EXPLAINS:
            found.append((gain, Profile(effect, name)))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _learn(
    period: NDArray[np.int64],
    place: NDArray[np.int64],
    length: int,
    values: FloatArray,
    weights: FloatArray,
) -> tuple[FloatArray, float]:
    """The effect at each value, and what share of the squares it explains in periods left out."""
    table = np.full((int(period.max()) + 1, length), np.nan)
    table[period, place] = values
    levels = _median(table, axis=1)
    away = table - levels[:, None]
    effect = _median(away, axis=0)
    effect -= effect.mean()
    told = np.zeros_like(values)
    for k in range(len(table)):
        rest = _median(np.delete(away, k, axis=0), axis=0)
        mine = period == k
        told[mine] = rest[place[mine]]
    target = values - levels[period]
    whole = float((weights * target * target).sum())
    left = float((weights * (target - told) ** 2).sum())
    return effect[place], 1 - left / whole if whole > 0 else 0.0


def _median(table: FloatArray, axis: int) -> FloatArray:
    """Median along an axis without NaN; 0 where nothing is (numpy would warn)."""
    ordered = np.sort(table, axis=axis)  # NaN last
    count = np.sum(~np.isnan(table), axis=axis)
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, table.shape[axis] - 1)
    ends = [
        np.take_along_axis(ordered, np.expand_dims(at, axis), axis).squeeze(axis)
        for at in (low, high)
    ]
    return np.where(count > 0, (ends[0] + ends[1]) / 2, 0.0)
