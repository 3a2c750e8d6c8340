"""Disparity: how a group's rates stand to those of the largest group of its segment.

The largest group is the base, not the best one: the best of many small groups is best by chance,
and the interval of a ratio to it would not hold. For review; a segment is not a protected
attribute by itself, so nothing here is a finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from console.analysis.estimate import TOO_FEW, Estimate, State, missing
from console.analysis.figures import Figures
from console.analysis.intervals import normal_quantile

__all__ = ["FOUR_FIFTHS", "RATIOS", "Disparity", "FourFifths", "disparities", "ratio"]

FOUR_FIFTHS = 0.8
"""A selection rate below this share of another group's is a sign of adverse impact (EEOC 1978)."""

RATIOS = ("selection_rate", "recall", "fpr", "precision")


class FourFifths(StrEnum):
    """The mark of the selection rate, by the whole interval of its ratio."""

    BELOW = "below"
    WITHIN = "within"
    ABOVE = "above"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Disparity:
    """against: the value of the largest group. ratios: by name of `RATIOS`."""

    against: str
    ratios: Mapping[str, Estimate]
    four_fifths: FourFifths


def ratio(k1: int, n1: int, k2: int, n2: int) -> Estimate:
    """(k1 / n1) / (k2 / n2) of two independent samples, n = n1.

    Interval: Katz et al. 1978, normal on the log ratio. At k1 = 0 the ratio is 0, and the upper
    end is that with halves added to the counts (Walter 1975). CANNOT_TELL where a sample is empty
    or k2 = 0; the smaller sample decides TOO_FEW.
    """
    if n1 <= 0 or n2 <= 0 or k2 <= 0:
        return missing(State.CANNOT_TELL, max(n1, 0))
    state = State.TOO_FEW if min(n1, n2) < TOO_FEW else State.OK
    add = 0.5 if k1 <= 0 else 0.0
    a, n, b, m = k1 + add, n1 + add, k2 + add, n2 + add
    value = (k1 / n1) / (k2 / n2)
    half = normal_quantile(0.975) * math.sqrt(max(1 / a - 1 / n + 1 / b - 1 / m, 0.0))
    centre = (a / n) / (b / m)
    low = 0.0 if k1 <= 0 else centre * math.exp(-half)
    return Estimate(value, low, centre * math.exp(half), n1, state)


def disparities(groups: Iterable[Figures]) -> list[Disparity | None]:
    """One for each group of one segment and version, in their order; None for other tasks."""
    found = list(groups)
    if not found:
        return []
    base = max(found, key=lambda f: (f.n, f.group.value, f.group.value2))
    return [_disparity(f, base) for f in found]


def _disparity(f: Figures, base: Figures) -> Disparity | None:
    mine, theirs = _counts(f), _counts(base)
    if mine is None or theirs is None:
        return None
    ratios = {
        name: Estimate(1.0, 1.0, 1.0, mine[name][1])
        if f is base and mine[name][0] > 0
        else ratio(*mine[name], *theirs[name])
        for name in RATIOS
    }
    against = ",".join(v for v in (base.group.value, base.group.value2) if v)
    return Disparity(against, ratios, _mark(ratios["selection_rate"]))


def _counts(f: Figures) -> dict[str, tuple[int, int]] | None:
    c = f.confusion
    if c is None or f.n_yes is None:
        return None
    return {
        "selection_rate": (f.n_yes, f.n),
        "recall": (c.tp, c.tp + c.fn),
        "fpr": (c.fp, c.fp + c.tn),
        "precision": (c.tp, c.tp + c.fp),
    }


def _mark(e: Estimate) -> FourFifths:
    if e.low is None or e.high is None or e.state is not State.OK:
        return FourFifths.CANNOT_TELL
    if e.high < FOUR_FIFTHS:
        return FourFifths.BELOW
    if e.low > 1 / FOUR_FIFTHS:
        return FourFifths.ABOVE
    inside = e.low >= FOUR_FIFTHS and e.high <= 1 / FOUR_FIFTHS
    return FourFifths.WITHIN if inside else FourFifths.CANNOT_TELL
