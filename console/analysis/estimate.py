"""A figure and what may be concluded from it: value, interval, count and state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["TOO_FEW", "Estimate", "IntervalKind", "State", "missing"]

TOO_FEW = 30
"""Below this many labelled predictions a figure is shown, but marked: a 95 % Wilson interval for
a share near one half is then wider than +-17 points."""


class State(StrEnum):
    """What a figure is worth. Nothing but OK may be shown as good."""

    OK = "ok"
    TOO_FEW = "too_few"
    NO_LABELS = "no_labels"
    NO_ROWS = "no_rows"
    PROVISIONAL = "provisional"
    STALE = "stale"
    CANNOT_TELL = "cannot_tell"


class IntervalKind(StrEnum):
    """When an interval may be looked at."""

    FIXED = "fixed"
    """Holds at one look, for a number of rows that was not chosen by looking."""
    PEEK_SAFE = "peek_safe"
    """Holds at every look while rows come, all looks together (a confidence sequence); wider."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One figure.

    value: unrounded, in the metric's own unit; None when the state says why there is none.
    low, high: 95 % interval for sampling error, None where none is known.
    n: the number of rows that the value rests on (the denominator of a share).
    bin_error: certified bound of the error that comes from histogram bins; None where exact.
    interval: when low and high may be looked at.
    detectable: the smallest change from what it is compared with that would be found 4 times in 5,
    in the unit of the value; None where there is nothing to compare with, or no interval.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    state: State = State.OK
    bin_error: float | None = None
    interval: IntervalKind = IntervalKind.FIXED
    detectable: float | None = None


def missing(state: State, n: int = 0) -> Estimate:
    """A figure that does not exist, with the reason as its state."""
    return Estimate(None, None, None, n, state)
