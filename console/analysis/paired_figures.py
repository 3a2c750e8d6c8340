"""Figures of two answers to the very same rows, and their difference, from joint counts.

Every figure here is a ratio of two sums over rows, so its difference between the two answers is one
mean of what each row adds to it. Rows on which both answers agree add (almost) nothing: that is
what the interval gains over taking the two as independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Costs
from console.analysis.binary import Confusion, binary_metrics
from console.analysis.costs import COST, PER, confusion_cost
from console.analysis.estimate import TOO_FEW, Estimate, IntervalKind, State, missing
from console.analysis.intervals import figure, normal_quantile
from console.analysis.paired import right_difference
from console.analysis.sequences import boundary, peek_safe

__all__ = ["Joint", "PairedFigure", "constant", "joint_of", "paired_figures"]

PAIRED = ("f1", "precision", "recall", "accuracy")

Cells = NDArray[np.float64]
"""Labelled rows by [what the version said, what stands beside it said, the label]; 2 x 2 x 2."""


@dataclass(frozen=True, slots=True)
class Joint:
    """Rows by both answers and the label."""

    cells: Cells

    @property
    def n(self) -> int:
        """All of them."""
        return int(self.cells.sum())

    @property
    def served(self) -> Confusion:
        """What the versions said."""
        return _confusion(self.cells.sum(axis=1))

    @property
    def beside(self) -> Confusion:
        """What stands beside them said."""
        return _confusion(self.cells.sum(axis=0))


@dataclass(frozen=True, slots=True)
class PairedFigure:
    """One figure of both; difference: of what stands beside minus what served."""

    beside: Estimate
    served: Estimate
    difference: Estimate


def joint_of(frame: pl.DataFrame) -> Joint:
    """Binary outcome rollup of a window, all versions together, with its logged fallback."""
    cells = np.zeros((2, 2, 2))
    names = ("fallback_tp", "fallback_fp", "fallback_fn", "fallback_tn")
    sums = frame.group_by("predicted").agg(pl.col(*names).sum())
    for said, tp, fp, fn, tn in sums.select("predicted", *names).iter_rows():
        of = cells[1 if said == 1 else 0]
        of[1, 1], of[1, 0], of[0, 1], of[0, 0] = tp, fp, fn, tn
    return Joint(cells)


def constant(frame: pl.DataFrame, says: bool | None) -> Joint:
    """The same with one answer to all rows; None: what is more frequent among their labels."""
    cells = np.zeros((2, 2, 2))
    sums = frame.group_by("predicted").agg(pl.col("n_labelled", "n_positive").sum())
    rows = list(sums.select("predicted", "n_labelled", "n_positive").iter_rows())
    positive, n = sum(r[2] for r in rows), sum(r[1] for r in rows)
    place = int(2 * positive > n if says is None else says)
    for said, labelled, yes in rows:
        cells[1 if said == 1 else 0, place] = (labelled - yes, yes)
    return Joint(cells)


def paired_figures(
    joint: Joint, costs: Costs | None, *, watched: bool
) -> Mapping[str, PairedFigure]:
    """Figure by figure. watched: intervals that hold at every look."""
    n = joint.n
    served, beside = binary_metrics(joint.served), binary_metrics(joint.beside)
    if watched:
        served, beside = dict(peek_safe(served)), dict(peek_safe(beside))
    found = {
        name: PairedFigure(
            beside[name],
            served[name],
            _difference(joint, *_TERMS[name], (beside[name], served[name]), watched=watched),
        )
        for name in PAIRED
    }
    if n:
        only_beside, only_served = _alone(joint)
        right = right_difference(only_beside, only_served, n, watched=watched)
        found["accuracy"] = replace(found["accuracy"], difference=right)
    if costs is not None:
        prices = _prices(costs)
        of = confusion_cost(joint.beside, costs), confusion_cost(joint.served, costs)
        difference = _difference(joint, prices, np.ones((2, 2)), of, watched=watched)
        if watched:
            both = [peek_safe({COST: e})[COST] for e in of]
            found[COST] = PairedFigure(both[0], both[1], difference)
        else:
            found[COST] = PairedFigure(*of, difference)
    return found


# what a row adds to a figure's sums, by [answer, label]
_TERMS: Mapping[str, tuple[Cells, Cells]] = {
    "accuracy": (np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones((2, 2))),
    "precision": (np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 0.0], [1.0, 1.0]])),
    "recall": (np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])),
    "f1": (np.array([[0.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 1.0], [1.0, 2.0]])),
}


def _difference(
    joint: Joint, over: Cells, under: Cells, of: tuple[Estimate, Estimate], *, watched: bool
) -> Estimate:
    """Beside minus served, by the delta method.

    Half a row is added to each of the eight cells for the variance (Haldane 1956), so that it does
    not vanish where they never differ. Simulated coverage: docs/statistics.md.
    """
    n = joint.n
    mine, other = of
    if mine.value is None or other.value is None:
        state = mine.state if mine.value is None else other.state
        return missing(state, n)
    raised = joint.cells + 0.5
    size = float(raised.sum())
    adds = _adds(raised, over, under, axis=0) - _adds(raised, over, under, axis=1)
    variance = float((raised * adds * adds).sum()) / size
    width = boundary(n) if watched else normal_quantile(0.975)
    half = width * math.sqrt(max(variance, 0.0) / size)
    gap = mine.value - other.value
    if not math.isfinite(gap) or not math.isfinite(half):
        return missing(State.CANNOT_TELL, n)
    made = figure(gap, (gap - half, gap + half), n)
    kind = IntervalKind.PEEK_SAFE if watched else IntervalKind.FIXED
    state = State.TOO_FEW if n < TOO_FEW else made.state
    return replace(made, interval=kind, state=state)


def _adds(cells: Cells, over: Cells, under: Cells, axis: int) -> Cells:
    """What each row adds to a ratio's error, by cell (its influence); axis: the other answer's."""
    by = cells.sum(axis=axis)
    size = float(cells.sum())
    bottom = float((by * under).sum()) / size
    ratio = float((by * over).sum()) / size / bottom if bottom else 0.0
    own = (over - ratio * under) / bottom if bottom else np.zeros((2, 2))
    return np.broadcast_to(np.expand_dims(own, axis=axis), (2, 2, 2))


def _alone(joint: Joint) -> tuple[int, int]:
    """Rows that only what stands beside had right, and that only the versions had."""
    c = joint.cells
    return int(c[1, 0, 0] + c[0, 1, 1]), int(c[0, 1, 0] + c[1, 0, 1])


def _confusion(by: Cells) -> Confusion:
    return Confusion(int(by[1, 1]), int(by[1, 0]), int(by[0, 1]), int(by[0, 0]))


def _prices(costs: Costs) -> Cells:
    return PER * np.array(
        [
            [costs.true_negative, costs.false_negative],
            [costs.false_positive, costs.true_positive],
        ]
    )
