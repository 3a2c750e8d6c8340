"""One figure of two versions: the difference, whether it is sure, how much longer it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from console.analysis.detectable import standard_error
from console.analysis.estimate import Estimate, IntervalKind, State, missing
from console.analysis.figures import lower_is_better
from console.analysis.sequences import boundary, difference_sequence, possible

__all__ = ["Comparison", "Pace", "Verdict", "compare", "days_until"]

LONGEST = 3650.0
"""Days beyond which nobody waits."""

_WORST = (
    State.NO_ROWS,
    State.NO_LABELS,
    State.CANNOT_TELL,
    State.TOO_FEW,
    State.STALE,
    State.PROVISIONAL,
)


class Verdict(StrEnum):
    """What the difference comes to."""

    BETTER = "better"
    WORSE = "worse"
    NO_WORSE = "no_worse"
    """Not worse by the margin or more (non-inferior), and not surely better."""
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Pace:
    """Labelled rows of one side so far, and how many come a day."""

    rows: int
    per_day: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """metric of two sides: this one, the one it is held against, and this minus that.

    margin: the loss that is bearable, in the metric's unit; None where none is set for this metric.
    more_rows: labelled rows of both sides still needed until the interval reaches no farther than
    the margin from the difference; 0 when it does, or the verdict is told already; None when it
    never will or no margin is set. more_days: how long these take at the present rate.
    """

    metric: str
    mine: Estimate
    other: Estimate
    difference: Estimate
    verdict: Verdict
    margin: float | None = None
    more_rows: int | None = None
    more_days: float | None = None


def compare(
    metric: str,
    mine: Estimate,
    other: Estimate,
    *,
    watched: bool,
    margin: float | None = None,
    paces: tuple[Pace, Pace] | None = None,
    binary: bool = True,
) -> Comparison:
    """Mine minus other, of independent rows, from their intervals for one look.

    Fixed: the distances from the values to their ends, squared and added (MOVER, Zou & Donner 2008;
    for shares it is Newcombe 1998, method 10; for means nearly Welch's). watched: an asymptotic
    confidence sequence from both standard errors instead. paces: of mine and other, to tell how
    much longer it takes. binary: as in `standard_error`.
    """
    difference = _difference(metric, mine, other, watched=watched, binary=binary)
    verdict = _verdict(metric, difference, margin)
    first, second = (standard_error(metric, e, binary=binary) for e in (mine, other))
    days = rows = None
    if verdict is not Verdict.CANNOT_TELL:
        days = 0.0
    elif paces is not None and first is not None and second is not None:
        days = days_until(difference, (first, second), paces, margin or 0.0)
    if days is not None:
        rows = math.ceil(days * sum(p.per_day for p in paces or ()))
    shown = _possible(metric, difference)
    return Comparison(metric, mine, other, shown, verdict, margin, rows, days)


def _possible(metric: str, difference: Estimate) -> Estimate:
    """Two shares are at most 1 apart; for the time to go the plain width is needed."""
    least, most = possible(metric)
    if difference.low is None or difference.high is None or not math.isfinite(most - least):
        return difference
    low, high = max(difference.low, least - most), min(difference.high, most - least)
    return replace(difference, low=low, high=high)


def _difference(
    metric: str, mine: Estimate, other: Estimate, *, watched: bool, binary: bool
) -> Estimate:
    n, state = mine.n + other.n, _state(mine, other)
    if mine.value is None or other.value is None:
        return missing(state if state is not State.OK else State.CANNOT_TELL, n)
    gap = mine.value - other.value
    if not math.isfinite(gap):
        return missing(State.CANNOT_TELL, n)
    ends = _sequence(metric, gap, mine, other, binary) if watched else _mover(gap, mine, other)
    if ends is None or not (math.isfinite(ends[0]) and math.isfinite(ends[1])):
        return Estimate(gap, None, None, n, state)
    kind = IntervalKind.PEEK_SAFE if watched else IntervalKind.FIXED
    made = Estimate(gap, min(ends[0], gap), max(ends[1], gap), n, state, interval=kind)
    errors = [e.bin_error for e in (mine, other) if e.bin_error is not None]
    return replace(made, bin_error=sum(errors)) if errors else made


def _state(mine: Estimate, other: Estimate) -> State:
    """The worse of the two."""
    return next((s for s in _WORST if s in (mine.state, other.state)), State.OK)


def _mover(gap: float, mine: Estimate, other: Estimate) -> tuple[float, float] | None:
    if mine.value is None or mine.low is None or mine.high is None:
        return None
    if other.value is None or other.low is None or other.high is None:
        return None
    down = math.hypot(mine.value - mine.low, other.high - other.value)
    return gap - down, gap + math.hypot(mine.high - mine.value, other.value - other.low)


def _sequence(
    metric: str, gap: float, mine: Estimate, other: Estimate, binary: bool
) -> tuple[float, float] | None:
    first = standard_error(metric, mine, binary=binary)
    second = standard_error(metric, other, binary=binary)
    if first is None or second is None:
        return None
    return difference_sequence(gap, first**2 + second**2, mine.n + other.n)


def _verdict(metric: str, difference: Estimate, margin: float | None) -> Verdict:
    """In the metric's good direction; bias has none, the nearer to 0 the better."""
    if difference.low is None or difference.high is None or metric == "bias":
        return Verdict.CANNOT_TELL
    if difference.state not in (State.OK, State.PROVISIONAL):
        return Verdict.CANNOT_TELL
    low, high = difference.low, difference.high
    if lower_is_better(metric):
        low, high = -high, -low
    # what comes from bins could add to the sampling error
    off = difference.bin_error or 0.0
    if low - off > 0:
        return Verdict.BETTER
    if margin is not None and low - off > -margin:
        return Verdict.NO_WORSE
    return Verdict.WORSE if high + off < 0 else Verdict.CANNOT_TELL


def days_until(
    difference: Estimate, errors: tuple[float, float], paces: tuple[Pace, Pace], margin: float
) -> float | None:
    """Days until the half width of a difference is `margin`, at these paces; 0 when it is.

    errors: standard errors of the two sides now; each variance shrinks as its side's rows grow, and
    a sequence's boundary grows with them, slowly. None without an interval or a margin, and where
    it would take longer than `LONGEST`: a side that gets no more rows may keep it wide for ever.
    """
    if difference.low is None or difference.high is None or margin <= 0 or difference.n <= 0:
        return None
    half, rows = (difference.high - difference.low) / 2, sum(p.rows for p in paces)
    if half <= margin:
        return 0.0
    now = math.hypot(*errors)
    if rows <= 0 or not 0 < now < math.inf or any(p.rows <= 0 for p in paces):
        return None
    watched = difference.interval is IntervalKind.PEEK_SAFE

    def width(days: float) -> float:
        at = [p.rows + p.per_day * days for p in paces]
        sizes = (e * math.sqrt(p.rows / n) for e, p, n in zip(errors, paces, at, strict=True))
        times = sum(at) / rows
        wider = boundary(difference.n * times) / boundary(difference.n) if watched else 1.0
        return half * wider * math.hypot(*sizes) / now

    if width(LONGEST) > margin:
        return None
    low, high = 0.0, LONGEST
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if width(middle) <= margin else (middle, high)
    return high
