"""When and how a series of figures changed: where, in what shape, by how much, and how sure.

The noise decides what counts as a change. It is taken from the series itself, is never less than
what sampling gives a share, and grows where neighbours go together, as days of one weather do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from console.analysis.change_points import noise_variance, pelt, share_variance
from console.analysis.estimate import Estimate, State, missing
from console.analysis.intervals import figure, normal_quantile
from console.analysis.seasonal import LEARNS_DAILY, Profile, profile_of
from console.analysis.shapes import Fit, Shape, begins, best_fits

__all__ = ["LEAST_POINTS", "Onset", "Point", "Shape", "onset_of", "onset_words"]

FloatArray = NDArray[np.float64]
_DAY = timedelta(days=1)

LEAST_POINTS = 8
"""Steps with rows below which no change is looked for."""

_BASE = 4.0
"""Added to 2 log n: what the best course gains on pure noise in 5 % of series at most. Simulated
with n from 8 to 400 (docs/statistics.md)."""

_EXTRA = 8.0
"""More, for a course with a second place that was searched for (a spell, a ramp that levels off)"""

_MOST_TOGETHER = 0.9
"""Neighbours' correlation is not taken for more."""

_SHORTER = 3.0

_LIKELY = 3.84  # chi-square's 95 % point, one degree

_TELLS = 0.5
"""One course tells a series when it explains at least this share of what several changes do."""

_STRUCTURE = 1.5
_LEAST_WEIGHT = 1e-9  # beside the largest, so that sums keep their digits
_SPIKE_STEPS = 3
_HOW = {Shape.STEP: "abrupt", Shape.RAMP: "gradual"}


_UNKNOWN = missing(State.CANNOT_TELL)


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a series. n: the rows that the value rests on; 0 or less leaves it out."""

    start: datetime
    value: float | None
    n: float


@dataclass(frozen=True, slots=True)
class Onset:
    """What became of a series.

    start: the first step that is off; of a ramp, where the rise begins. end: when it was over (a
    spike), or had reached its new level (a ramp); None where it goes on. earliest, latest: where
    the start may as well be (95 %). before, after: levels, in the value's unit (of a spike, after
    is the level while it lasted). size: after - before, with the interval for noise at this place.
    n_rows: rows since, or while it lasted. evidence: gain of the course over the least that counts,
    in units of twice the log likelihood; > 0 for a change. shape_sure: whether no other shape fits
    nearly as well. changes: every change point, where the series changed more than once. pattern:
    "daily" or "weekly", where one was taken off. can_be_daily: whether the series is too short to
    tell a change from the time of day. step: length of a step. state: CANNOT_TELL, NO_ROWS or
    TOO_FEW where no change could be looked for.
    """

    shape: Shape
    state: State
    start: datetime | None = None
    end: datetime | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    before: float | None = None
    after: float | None = None
    size: Estimate = _UNKNOWN
    n_rows: int = 0
    evidence: float = 0.0
    shape_sure: bool = True
    changes: tuple[datetime, ...] = ()
    pattern: str | None = None
    can_be_daily: bool = False
    step: timedelta | None = None

    @property
    def changed(self) -> bool:
        """Whether something changed and when is known."""
        return self.shape in (Shape.STEP, Shape.RAMP, Shape.SPIKE)

    @property
    def lasting(self) -> bool:
        """Whether the change still holds at the end of the series."""
        return self.shape in (Shape.STEP, Shape.RAMP)

    @property
    def words(self) -> str:
        """ "abrupt since 12 Feb 14:00", "a spike on 12 Feb 14:00 to 17:00, over"."""
        return onset_words(self)


def onset_of(
    points: Sequence[Point],
    *,
    share: bool = False,
    earlier: Sequence[Point] = (),
) -> Onset:
    """Where a series changed and in what shape; a State, never an error, for any numbers.

    points: in any order, one a step (hour, day or week), gaps allowed. A value that is not finite
    or has no rows is left out. share: values are shares of n rows, 0..1, so sampling noise is
    known. earlier: steps before the series that only teach the daily or weekly pattern.

    A course counts when its gain is above 2 log n + `_BASE` (+ `_EXTRA`), in units of the noise:
    the larger of the robust one of neighbours' differences, what the best course leaves, and
    sampling; times (1 + r)/(1 - r), r the correlation of neighbours in what is left. Where no
    course tells the series (`_TELLS`), several changes may (PELT, Killick et al. 2012); as lasting
    noise looks like steps to PELT, its noise is the geometric mean of that and of what is left
    within segments.
    """
    used = _usable(points)
    if len(used) < LEAST_POINTS:
        state = State.TOO_FEW if used else State.NO_ROWS
        return Onset(Shape.NONE, state)
    starts = [p.start for p in used]
    step = min(b - a for a, b in pairwise(starts))
    raw = np.array([p.value for p in used], np.float64)
    unit = 1.0 if share else float(np.abs(raw).max())
    if unit <= 0:
        unit = 1.0
    values, rows = raw / unit, np.array([p.n for p in used], np.float64)
    rows = np.minimum(rows, 1e15)
    found = _course(starts, step, values, rows, share)
    known = _usable([*earlier, *used])
    profile = _pattern(known, starts, step, unit)
    can_be_daily = step < _DAY and known[-1].start - known[0].start < LEARNS_DAILY
    found = replace(found, can_be_daily=can_be_daily)
    if profile is not None:
        within = _course(starts, step, values - profile.effect, rows, share)
        if not within.changed:
            within = replace(within, shape=Shape.SEASONAL)
        found = replace(within, pattern=profile.of, can_be_daily=False)
    return _scaled(found, unit, share)


def onset_words(o: Onset) -> str:
    """The onset in a sentence's end, times in UTC; "" where nothing could be looked for.

    "about" where the start is not known to a step or two.
    """
    if o.state is not State.OK:
        return ""
    if o.shape is Shape.SEASONAL:
        return f"{o.pattern} pattern, no change"
    if o.shape is Shape.NONE or o.start is None or o.step is None:
        return "no change"
    return _changed_words(o, o.start, o.step)


def _changed_words(o: Onset, start: datetime, step: timedelta) -> str:
    hourly = step < timedelta(days=1)
    since = _moment(start, hourly)
    if o.latest is not None and o.earliest is not None and o.latest - o.earliest > 2 * step:
        since = f"about {since}"
    many = f", the largest of {len(o.changes)} changes" if len(o.changes) > 2 else ""
    how = "abrupt or gradual" if not o.shape_sure else _HOW.get(o.shape, "")
    if o.end is None:
        return f"{how} since {since}{many}"
    if o.shape is Shape.RAMP:
        return f"{how} since {since}, level since {_moment(o.end, hourly)}"
    until = o.end if hourly else o.end - min(step, timedelta(days=1))
    same = hourly and until.date() == start.date()
    ends = (
        "" if until == start else f" to {until:%H:%M}" if same else f" to {_moment(until, hourly)}"
    )
    if (o.end - start) / step <= _SPIKE_STEPS:
        return f"a spike on {since}{ends}, over"
    return f"from {since}{ends}, over{many}"


def _moment(at: datetime, hourly: bool) -> str:
    return f"{at:%d %b %H:%M}" if hourly else f"{at:%d %b}"


def _usable(points: Sequence[Point]) -> list[Point]:
    """In order of time, one for each; without those that cannot be counted."""
    held = {
        p.start: p
        for p in points
        if p.value is not None and math.isfinite(p.value) and math.isfinite(p.n) and p.n > 0
    }
    return [held[start] for start in sorted(held)]


def _pattern(
    known: Sequence[Point], starts: Sequence[datetime], step: timedelta, unit: float
) -> Profile | None:
    values = np.array([p.value for p in known], np.float64) / unit
    found = profile_of(
        [p.start for p in known], values, np.array([min(p.n, 1e15) for p in known]), step
    )
    if found is None:
        return None
    wanted = set(starts)
    held = np.array([p.start in wanted for p in known])
    return Profile(found.effect[held], found.of)


def _course(
    starts: Sequence[datetime],
    step: timedelta,
    values: FloatArray,
    rows: FloatArray,
    share: bool,
) -> Onset:
    """The best course of a series of the step, or none."""
    n = len(values)
    x = np.array([(start - starts[0]) / step for start in starts], np.float64)
    weights = np.maximum(rows / float(rows.max()), _LEAST_WEIGHT)
    fits = best_fits(x, values, weights)
    flat = float((weights * (values - np.average(values, weights=weights)) ** 2).sum())
    best = max(fits, key=lambda f: f.gain)
    left = max(flat - best.gain, 0.0) / (n - 4)
    sampling = share_variance(values, rows) / float(rows.max()) if share else 0.0
    # constant but for what changed: any difference is a change
    base = max(noise_variance(values, weights), sampling, 1e-24)
    least = 2 * math.log(n) + _BASE + 20 / n
    around = best.before + (best.after - best.before) * best.course(x)
    noise = max(base, left) * _together(x, np.sqrt(weights) * (values - around))

    def worth(fit: Fit, noise: float) -> float:
        return fit.gain / noise - least - _EXTRA * fit.extra

    chosen = max(fits, key=lambda f: worth(f, noise))
    evidence = worth(chosen, noise)
    own = noise
    points: tuple[int, ...] = ()
    if noise > _STRUCTURE * base:  # else there is nothing left for several changes to explain
        own = math.sqrt(noise * _within(x, values, weights, base, least))
        points = pelt(values, weights, own * least, 2)
    taken = _gain(values, weights, points)
    many = taken / own - least * len(points)
    told = chosen.gain >= _TELLS * taken and evidence > 0
    several = not told and len(points) > 1 and many > max(worth(chosen, own), 0.0)
    if several:
        chosen, evidence, noise = _main(values, weights, points), many, own
    if evidence <= 0:
        size = missing(State.CANNOT_TELL, int(rows.sum()))
        return Onset(Shape.NONE, State.OK, size=size, evidence=evidence, step=step)
    onset = _told(chosen, starts, step, rows, noise)
    low, high = _bounds(x, values, weights, chosen, noise)
    rivals = (f.gain / noise - _EXTRA * f.extra for f in fits if f.shape is not chosen.shape)
    close = not several and max(rivals) > chosen.gain / noise - _EXTRA * chosen.extra - _LIKELY
    return replace(
        onset,
        evidence=evidence,
        shape_sure=not close,
        changes=tuple(starts[p] for p in points) if several else (),
        earliest=starts[low],
        latest=starts[high],
    )


def _within(
    x: FloatArray, values: FloatArray, weights: FloatArray, base: float, least: float
) -> float:
    """Noise within the segments of PELT, whose penalty follows it."""
    noise = base
    for _ in range(2):
        points = pelt(values, weights, noise * least, 2)
        edges = [0, *points]
        levels = np.add.reduceat(weights * values, edges) / np.add.reduceat(weights, edges)
        around = np.repeat(levels, np.diff([*edges, len(values)]))
        away = np.sqrt(weights) * (values - around)
        spread = float((away * away).sum()) / max(len(values) - 1 - 2 * len(points), 1)
        noise = max(base, spread) * _together(x, away)
    return noise


def _together(x: FloatArray, away: FloatArray) -> float:
    """(1 + r) / (1 - r), r the correlation of neighbouring steps in what is left; at least 1."""
    next_to = np.diff(x) < 1.5
    squares = float((away * away).sum())
    if squares <= 0 or not next_to.any():
        return 1.0
    r = float((away[1:] * away[:-1])[next_to].sum()) / squares * len(x) / int(next_to.sum())
    # a fitted course takes some of it away, the more the shorter the series (simulated)
    r = min(max(r + (_SHORTER + 4 * r) / len(x), 0.0), _MOST_TOGETHER)
    return (1 + r) / (1 - r)


def _gain(values: FloatArray, weights: FloatArray, points: tuple[int, ...]) -> float:
    """What a segmentation takes off the weighted sum of squares."""
    if not points:
        return 0.0
    edges = [0, *points]
    w = np.add.reduceat(weights, edges)
    y = np.add.reduceat(weights * values, edges)
    mean = float(y.sum() / w.sum())
    return float((w * (y / w - mean) ** 2).sum())


def _main(values: FloatArray, weights: FloatArray, points: tuple[int, ...]) -> Fit:
    """Of several changes the one that is worth most between its neighbours.

    A step where every later level is nearer to the new one than to the old, else a spell, that
    ended at the first level which is not.
    """
    edges = [0, *points, len(values)]
    sizes = np.add.reduceat(weights, edges[:-1])
    levels = np.add.reduceat(weights * values, edges[:-1]) / sizes
    gains = np.diff(levels) ** 2 * sizes[1:] * sizes[:-1] / (sizes[1:] + sizes[:-1])
    at = int(gains.argmax())
    before, after = float(levels[at]), float(levels[at + 1])
    back = np.abs(levels[at + 2 :] - after) > np.abs(levels[at + 2 :] - before)
    over = edges[at + 2 + int(back.argmax())] if back.any() else len(values)
    shape = Shape.SPIKE if back.any() else Shape.STEP
    se = math.sqrt(1 / float(sizes[at]) + 1 / float(sizes[at + 1]))
    return Fit(shape, edges[at + 1], over, float(gains[at]), 0, before, after, se)


def _told(
    fit: Fit, starts: Sequence[datetime], step: timedelta, rows: FloatArray, noise: float
) -> Onset:
    over = fit.shape is Shape.SPIKE
    levels = fit.shape is Shape.RAMP and fit.last < len(starts) - 1
    end = starts[fit.last] if levels else starts[fit.last - 1] + step if over else None
    n_rows = int(rows[fit.first : fit.last if over else len(starts)].sum())
    half = normal_quantile(0.975) * fit.se * math.sqrt(noise)
    size = fit.after - fit.before
    return Onset(
        fit.shape,
        State.OK,
        starts[fit.first],
        end,
        before=fit.before,
        after=fit.after,
        size=Estimate(size, size - half, size + half, int(rows.sum())),
        n_rows=n_rows,
        step=step,
    )


def _bounds(
    x: FloatArray, values: FloatArray, weights: FloatArray, fit: Fit, noise: float
) -> tuple[int, int]:
    """Where else it may have begun: a gain within chi-square's 95 % point (3.84) of the best.

    An interval by likelihood; somewhat too short for small changes (Siegmund 1988).
    """
    places, gains = begins(x, values, weights, fit)
    top = gains[places == fit.first].max(initial=0.0)
    near = places[gains >= top - _LIKELY * noise]
    return int(near.min(initial=fit.first)), int(near.max(initial=fit.first))


def _scaled(o: Onset, unit: float, share: bool) -> Onset:
    """Levels in the value's own unit; CANNOT_TELL where they are not numbers there."""
    if o.before is None or o.after is None or o.size.value is None:
        return o
    before, after = o.before * unit, o.after * unit
    if share:  # a line through shares may end a little outside
        before, after = (min(max(level, 0.0), 1.0) for level in (before, after))
    low, high = (None if end is None else end * unit for end in (o.size.low, o.size.high))
    if not (math.isfinite(before) and math.isfinite(after) and math.isfinite(after - before)):
        return Onset(Shape.NONE, State.CANNOT_TELL)
    return replace(
        o,
        before=before,
        after=after,
        size=figure(after - before, None if low is None or high is None else (low, high), o.size.n),
    )
