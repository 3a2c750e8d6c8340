"""Numbers and times made safe to draw: finite, ordered, inside the window, with gaps kept.

Nothing here knows a terminal. What leaves is bounded by the resolution asked for, so that neither
a hundred thousand points nor a value of 1e308 reaches the drawing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from operator import itemgetter
from typing import Final

from console.views.model import Series, TimePlot

__all__ = [
    "Bucket",
    "Point",
    "buckets",
    "finite",
    "number_label",
    "number_ticks",
    "points",
    "stamp",
    "time_ticks",
    "value_range",
]

# Larger magnitudes are cut: the difference of two of these is still finite.
LIMIT: Final = 1e300

# Time in seconds, y, low, high.
Point = tuple[float, float | None, float | None, float | None]

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STEPS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14)),
)
_MONTH_STEPS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 600, 1200)
# Not the locale's.
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def finite(value: object) -> float | None:
    """`value` as a finite float within ±1e300, or None if it is no number."""
    if type(value) is float and -LIMIT <= value <= LIMIT:  # nearly all of them
        return value
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return LIMIT if value > 0 else -LIMIT
    return None if math.isnan(number) else max(-LIMIT, min(LIMIT, number))


def stamp(moment: datetime) -> float:
    """Seconds since 1970 UTC; a naive time counts as UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.timestamp()


@dataclass(slots=True)
class Bucket:
    """Values of one column in drawing order, and their interval; `joined` to the one before."""

    column: int
    values: list[float] = field(default_factory=list)
    low: float | None = None
    high: float | None = None
    joined: bool = False


def buckets(points: Sequence[Point], start: float, end: float, columns: int) -> list[Bucket]:
    """The points between two times, by column 0..columns-1, split where y is None.

    A column keeps its first, lowest, highest and last value, so a spike is never averaged away.
    """
    result: list[Bucket] = []
    joined = False
    for moment, y, low, high in points:
        if not start <= moment <= end:
            continue
        if y is None:
            joined = False
            continue
        column = min(columns - 1, int((moment - start) / (end - start) * columns))
        if not result or result[-1].column != column or not joined:
            result.append(Bucket(column, joined=joined))
        bucket = result[-1]
        bucket.values.append(y)
        if low is not None and high is not None:
            bucket.low = low if bucket.low is None else min(low, bucket.low)
            bucket.high = high if bucket.high is None else max(high, bucket.high)
        joined = True
    for bucket in result:
        values = bucket.values
        if len(values) > 4:
            bucket.values = [values[0], min(values), max(values), values[-1]]
    return result


def points(series: Series) -> list[Point]:
    """The points of a series in order of time, every number finite or None."""
    n = min(len(series.x), len(series.y))
    low: Sequence[float | None] = series.low if len(series.low) >= n else (None,) * n
    high: Sequence[float | None] = series.high if len(series.high) >= n else (None,) * n
    result = list(
        zip(
            map(stamp, series.x[:n]),
            map(finite, series.y[:n]),
            map(finite, low[:n]),
            map(finite, high[:n]),
            strict=True,
        )
    )
    result.sort(key=itemgetter(0))  # fast where sorted already
    return result


def value_range(plot: TimePlot, found: Sequence[Sequence[Bucket]]) -> tuple[float, float]:
    """The y axis: what was asked for, or the data with intervals and near lines, padded.

    An interval or a line far outside the data must not press the data flat: intervals widen the
    axis up to four, lines up to two times.
    """
    values = [v for series in found for bucket in series for v in bucket.values]
    low, high = min(values), max(values)
    edges = [v for series in found for b in series for v in (b.low, b.high) if v is not None]
    room = (high - low) * 1.5 if high > low else math.inf
    low = max(min([low, *edges]), low - room)
    high = min(max([high, *edges]), high + room)
    for line in plot.lines:
        y = finite(line.y)
        if y is not None and (high == low or max(high, y) - min(low, y) <= 2 * (high - low)):
            low, high = min(low, y), max(high, y)
    if high - low <= max(abs(high), abs(low)) * 1e-9:
        pad = 0.01 if plot.percent else max(abs(high) * 0.1, 1e-9) if high else 1.0
    else:
        pad = (high - low) * 0.04
    share = plot.percent and low >= 0 and high <= 1
    bottom = max(low - pad, 0.0) if share or low >= 0 else low - pad
    top = min(high + pad, 1.0) if share else high + pad
    asked_low, asked_high = finite(plot.y_min), finite(plot.y_max)
    bottom = bottom if asked_low is None else asked_low
    top = top if asked_high is None else asked_high
    return (bottom, top) if top > bottom else (bottom, bottom + max(abs(bottom) * 0.1, 1.0))


def number_ticks(low: float, high: float, most: int) -> tuple[list[float], float]:
    """Round values between low and high, about `most` but at least two if any are, and the step."""
    raw = (high - low) / max(1, most - 1)
    if not raw > 0 or not math.isfinite(1 / raw):  # a denormal: nothing is round down there
        return [low], 1.0
    exponent = math.floor(math.log10(raw))
    finer = [m * 10.0 ** (exponent + e) for e in (0, -1) for m in (10, 5, 2.5, 2, 1)]
    steps = [s for s in finer if s >= raw * (1 - 1e-9)][::-1] + [s for s in finer if s < raw]
    for step in steps:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last > first or step == steps[-1]:
            break
    return [k * step for k in range(first, min(last, first + 20) + 1)], step


def number_label(value: float, step: float, *, percent: bool = False) -> str:
    """A tick's text with the digits its step needs: 97.5%, 0.25, 12k, 1e+300."""
    if percent and abs(value) < 1e4:
        return f"{value * 100:.{_digits(step * 100)}f}%"
    size = abs(value)
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit * 10 <= size < 1e15 or (unit == size and unit > 1e3):
            return f"{value / unit:.{_digits(step / unit)}f}{name}"
    if size >= 1e15 or (value and _digits(step) > 5):
        return f"{value:.2g}"
    return f"{value + 0.0:.{_digits(step)}f}"


def _digits(step: float) -> int:
    """Decimals that tell multiples of `step` apart."""
    for digits in range(7):
        if math.isclose(step * 10**digits, round(step * 10**digits), rel_tol=1e-6, abs_tol=1e-9):
            return digits
    return 6


def time_ticks(
    start: datetime, end: datetime, zone: tzinfo, columns: int
) -> list[tuple[datetime, str]]:
    """Round wall-clock times of `zone` in the window, with labels that fit `columns` cells.

    Hours are counted on the wall clock, so ticks stay on round hours across a change of summer
    time. A day's or year's first tick names it: 22:00, 12 Mar, 02:00.
    """
    try:
        first, last = (moment.astimezone(zone).replace(tzinfo=None) for moment in (start, end))
        span = (last - first).total_seconds()
        for step in _STEPS:
            room = 10 if step < _MINUTE else 8
            if columns * step >= span * room:
                walls = _wall_times(first, last, step)
                return _labelled(walls, start, end, zone, step)
        for months in _MONTH_STEPS:
            if columns * months * 30.4 * _DAY >= span * 6:
                return _labelled(_wall_months(first, last, months), start, end, zone, months * -1)
    except (OverflowError, ValueError):  # the ends of the calendar
        pass
    return []


def _wall_times(first: datetime, last: datetime, step: int) -> Iterator[datetime]:
    """Multiples of `step` seconds from midnight, or of days from a Monday."""
    if step < _DAY:
        midnight = datetime.combine(first.date(), time())
        wall = midnight + timedelta(seconds=(first - midnight).total_seconds() // step * step)
    else:
        days = step // _DAY
        ordinal = (first.toordinal() - 1) // days * days + 1
        wall = datetime.combine(date.fromordinal(max(1, ordinal)), time())
    while wall <= last:
        yield wall
        wall += timedelta(seconds=step)


def _wall_months(first: datetime, last: datetime, months: int) -> Iterator[datetime]:
    """First days of months, every `months` of them counted from January of year 0."""
    index = (first.year * 12 + first.month - 1) // months * months
    while index < last.year * 12 + last.month:
        if index >= 12:
            yield datetime.combine(date(index // 12, index % 12 + 1, 1), time())
        index += months


def _labelled(
    walls: Iterator[datetime], start: datetime, end: datetime, zone: tzinfo, step: int
) -> list[tuple[datetime, str]]:
    """The wall times inside the window that exist, each with its label."""
    result = []
    for wall in walls:
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if not start <= moment <= end or moment.astimezone(zone).replace(tzinfo=None) != wall:
            continue  # outside, or skipped by the change to summer time
        if step < 0:
            label = str(wall.year) if wall.month == 1 or step <= -12 else _MONTHS[wall.month - 1]
        elif step >= _DAY or wall.time() == time():
            label = f"{wall.day:02d} {_MONTHS[wall.month - 1]}"
        else:
            label = f"{wall:%H:%M:%S}" if step < _MINUTE else f"{wall:%H:%M}"
        result.append((moment, label))
    return result
