"""The arithmetic of expected figures: many groups of score bins at once, with their variances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from console.analysis.estimate import TOO_FEW, Estimate, State, missing
from console.analysis.intervals import normal_quantile

__all__ = ["Cells", "Expected", "expected_figures"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_Z = normal_quantile(0.975)
_CERTAIN = 1e-15
"""Mean scores are kept this far from 0 and 1 in a logarithm."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Score bins of groups of rows; all (cells,) unless said, ordered by group, then bin.

    group: 0, 1, 2, ... bins: bin numbers; a bin may have one cell per answer. yes: whether rows
    of the cell were predicted positive. p: probability of the label 1, made of the calibration's
    blocks `left` and `right` (`share` of the latter). beyond: the reference never had such scores.
    variance: (groups, blocks) of the blocks' shares.
    """

    group: IntArray
    bins: IntArray
    yes: NDArray[np.bool_]
    p: FloatArray
    left: IntArray
    right: IntArray
    share: FloatArray
    beyond: NDArray[np.bool_]
    variance: FloatArray

    def total(self, values: FloatArray) -> FloatArray:
        """(groups,) sums over the cells of each group."""
        sums: FloatArray = np.bincount(self.group, values, len(self.variance)).astype(np.float64)
        return sums

    def by_block(self, values: FloatArray) -> FloatArray:
        """(groups, blocks) how far each sum moves with each block's probability."""
        groups, blocks = self.variance.shape
        at = self.group * blocks
        sums = np.bincount(at + self.left, values * (1 - self.share), groups * blocks)
        sums = sums + np.bincount(at + self.right, values * self.share, groups * blocks)
        by_block: FloatArray = sums.astype(np.float64).reshape(groups, blocks)
        return by_block

    def variance_of(self, n: FloatArray, slope: FloatArray) -> FloatArray:
        """(groups,) variance of sum of slope * y over n rows a cell, y being drawn with p."""
        labels = self.total(n * self.p * (1 - self.p) * slope**2)
        moved: FloatArray = labels + (self.by_block(n * slope) ** 2 * self.variance).sum(axis=1)
        return moved


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Expected figures of groups; all (groups,) unless said.

    n: rows. values, errors, rows: name -> figure, its standard error and the rows it rests on;
    NaN where there is none. cells: expected tp, fp, fn, tn; tp_error, positive_error: standard
    errors of tp and of tp + fn. beyond: share of rows whose scores the reference never had. ties:
    half the share of pairs of the AUC within one bin.
    """

    NAMES: ClassVar[tuple[str, ...]] = (
        "accuracy", "precision", "recall", "f1", "specificity", "fpr", "fnr",
        "balanced_accuracy", "roc_auc", "log_loss", "brier",
    )  # fmt: skip

    n: FloatArray
    values: Mapping[str, FloatArray]
    errors: Mapping[str, FloatArray]
    rows: Mapping[str, FloatArray]
    cells: tuple[FloatArray, FloatArray, FloatArray, FloatArray]
    beyond: FloatArray
    ties: FloatArray
    tp_error: FloatArray
    positive_error: FloatArray

    def figures(self) -> list[dict[str, Estimate]]:
        """The figures of each group by name."""
        names = tuple(self.values)
        found = _estimates(
            np.stack([self.values[k] for k in names]),
            np.stack([self.errors[k] for k in names]),
            np.stack([self.rows[k] for k in names]),
            self.n,
            [k in _LOSSES for k in names],
        )
        area = names.index("roc_auc")
        found[area] = _with_ties(found[area], self.ties)
        return [dict(zip(names, of_group, strict=True)) for of_group in zip(*found, strict=True)]

    def positive(self) -> list[Estimate]:
        """Expected share of positives of each group."""
        n = np.maximum(self.n, 1.0)[None]
        value = (self.cells[0] + self.cells[2])[None] / n
        return _estimates(value, self.positive_error[None] / n, n, self.n, [False])[0]

    @np.errstate(all="ignore")
    def means(self, first: IntArray) -> Expected:
        """Macro figures over groups that are the classes of one model, each against the rest.

        first: (models,) where each model's classes begin. accuracy: the rows whose predicted class
        is the true one. The others: plain mean over the classes that have the figure; its standard
        error is taken as the mean of theirs, which is the most that it can be (they share rows).
        """
        n = np.maximum.reduceat(self.n, first)
        values: dict[str, FloatArray] = {}
        errors: dict[str, FloatArray] = {}
        for name in self.values:
            held = np.isfinite(self.values[name]) & np.isfinite(self.errors[name])
            many = np.add.reduceat(held.astype(np.float64), first)
            for out, column in ((values, self.values[name]), (errors, self.errors[name])):
                out[name] = np.add.reduceat(np.where(held, column, 0.0), first) / many
        right = np.add.reduceat(self.cells[0], first)
        values["accuracy"] = right / n
        # rows of different answers are different rows, so these variances add up
        errors["accuracy"] = np.sqrt(np.add.reduceat(self.tp_error**2, first)) / n
        held = np.isfinite(self.ties)
        ties = np.add.reduceat(np.where(held, self.ties, 0.0), first)
        return Expected(
            n,
            values,
            errors,
            dict.fromkeys(values, n),
            (right, n - right, n - right, np.zeros_like(n)),
            np.maximum.reduceat(self.beyond, first),
            ties / np.add.reduceat(held.astype(np.float64), first),
            errors["accuracy"] * n,
            np.zeros_like(n),
        )


@np.errstate(all="ignore")  # what is not finite has a state of its own
def expected_figures(cells: Cells, n: FloatArray, score_sum: FloatArray | None) -> Expected:
    """Expected figures of n rows a cell, (cells,).

    score_sum: their scores' sum, (cells,), for log loss and Brier score; each row is taken at its
    cell's mean score. None: those two are left out.
    """
    p, yes = cells.p, cells.yes
    said, not_said = np.where(yes, n, 0.0), np.where(yes, 0.0, n)
    rows, n_yes, n_no = cells.total(n), cells.total(said), cells.total(not_said)
    tp, fn = cells.total(said * p), cells.total(not_said * p)
    fp, tn = n_yes - tp, n_no - fn
    block_yes, block_no = cells.by_block(said), cells.by_block(not_said)
    noise = n * p * (1 - p)
    var_tp = cells.total(np.where(yes, noise, 0.0)) + (block_yes**2 * cells.variance).sum(axis=1)
    var_fn = cells.total(np.where(yes, 0.0, noise)) + (block_no**2 * cells.variance).sum(axis=1)
    both = (block_yes * block_no * cells.variance).sum(axis=1)

    def error(by_tp: FloatArray, by_fn: FloatArray) -> FloatArray:
        """Standard error of a figure from its slopes against tp and fn."""
        variance = by_tp**2 * var_tp + by_fn**2 * var_fn + 2 * by_tp * by_fn * both
        out: FloatArray = np.sqrt(np.maximum(variance, 0.0))
        return out

    positive, negative = tp + fn, fp + tn
    union = n_yes + fn
    recall = fn / positive**2, -tp / positive**2
    specific = tn / negative**2, (tn - negative) / negative**2
    f1 = (2 * (n_yes + positive) - 2 * tp) / (n_yes + positive) ** 2
    f1_fn = -2 * tp / (n_yes + positive) ** 2
    area, area_error, ties = _auc(cells, n)
    values = {
        "accuracy": (tp + tn) / rows,
        "precision": tp / n_yes,
        "recall": tp / positive,
        "f1": 2 * tp / (n_yes + positive),
        "specificity": tn / negative,
        "fpr": fp / negative,
        "fnr": fn / positive,
        "balanced_accuracy": (tp / positive + tn / negative) / 2,
        "roc_auc": area,
    }
    errors = {
        "accuracy": error(1 / rows, -1 / rows),
        "precision": error(1 / n_yes, np.zeros_like(rows)),
        "recall": error(*recall),
        "f1": error(f1, f1_fn),
        "specificity": error(*specific),
        "fpr": error(*specific),
        "fnr": error(*recall),
        "balanced_accuracy": error((recall[0] + specific[0]) / 2, (recall[1] + specific[1]) / 2),
        "roc_auc": area_error,
    }
    resting = {
        "accuracy": rows,
        "precision": n_yes,
        "recall": positive,
        "f1": union,
        "specificity": negative,
        "fpr": negative,
        "fnr": positive,
        "balanced_accuracy": np.minimum(positive, negative),
        "roc_auc": np.minimum(positive, negative),
    }
    if score_sum is not None:
        s = np.clip(np.where(n > 0, score_sum / np.maximum(n, 1), 0.5), 0.0, 1.0)
        sure = np.clip(s, _CERTAIN, 1 - _CERTAIN)
        losses: dict[str, tuple[FloatArray, FloatArray]] = {
            "log_loss": (-np.log(sure), -np.log1p(-sure)),
            "brier": ((1 - s) ** 2, s**2),
        }
        for name, (if_one, if_zero) in losses.items():
            values[name] = cells.total(n * (p * if_one + (1 - p) * if_zero)) / rows
            variance = cells.variance_of(n, if_one - if_zero)
            errors[name], resting[name] = np.sqrt(variance) / rows, rows
    return Expected(
        rows,
        values,
        errors,
        resting,
        (tp, fp, fn, tn),
        cells.total(np.where(cells.beyond, n, 0.0)) / rows,
        ties,
        np.sqrt(var_tp),
        np.sqrt(np.maximum(var_tp + var_fn + 2 * both, 0.0)),
    )


def _auc(cells: Cells, n: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Expected AUC, its standard error, and half the share of pairs within one bin.

    sum_b N_b (P_above + P_b / 2) / (sum p * sum (1 - p)), P_b = sum of p and N_b = sum of 1 - p
    over the bin. A label that turns from 0 to 1 in bin b moves the numerator by N_below + N_b / 2
    - P_above - P_b / 2, and the two totals by one.
    """
    new = np.flatnonzero(np.diff(cells.group, prepend=-1) | np.diff(cells.bins, prepend=-1))
    group = cells.group[new]
    size = np.add.reduceat(n, new) if len(new) else n
    p = cells.p[new]
    one = Cells(
        group, cells.bins[new], cells.yes[new], p, cells.left[new], cells.right[new],
        cells.share[new], cells.beyond[new], cells.variance,
    )  # fmt: skip
    ones, zeros = size * p, size * (1 - p)
    all_ones, all_zeros = one.total(ones), one.total(zeros)
    start = np.flatnonzero(np.diff(group, prepend=-1))
    ones_above = all_ones[group] - _before(ones, start, group) - ones
    zeros_below = _before(zeros, start, group)
    area = one.total(zeros * (ones_above + ones / 2)) / (all_ones * all_zeros)
    gain = zeros_below + zeros / 2 - ones_above - ones / 2
    slope = gain / (all_ones * all_zeros)[group]
    slope -= (area * (1 / all_ones - 1 / all_zeros))[group]
    slope = np.where(np.isfinite(slope), slope, 0.0)
    ties = one.total(ones * zeros) / (all_ones * all_zeros) / 2
    return area, np.sqrt(one.variance_of(size, slope)), ties


def _before(values: FloatArray, start: IntArray, group: IntArray) -> FloatArray:
    """Sum of a group's values before each of them."""
    sums = np.cumsum(values) - values
    found: FloatArray = sums - sums[start][group]
    return found


_STATES = (State.OK, State.TOO_FEW, State.CANNOT_TELL, State.NO_LABELS)
_LOSSES = ("log_loss", "brier")


@np.errstate(all="ignore")
def _estimates(
    value: FloatArray, error: FloatArray, rows: FloatArray, n: FloatArray, loss: list[bool]
) -> list[list[Estimate]]:
    """Figures of all groups, (figures, groups); the interval of a share goes through the logit.

    n: (groups,) rows. loss: (figures,) those that are no share and only end at 0.
    """
    low, high = value - _Z * error, value + _Z * error
    is_loss = np.array(loss)[:, None]
    spread = value * (1 - value)
    logit = ~is_loss & (spread > 0) & (error < 50 * spread)
    inner = np.where(logit, value, 0.5)
    odds = inner / (1 - inner)
    widened = np.exp(np.where(logit, _Z * error / np.where(logit, spread, 1.0), 0.0))
    low = np.where(logit, 1 / (1 + widened / odds), np.maximum(low, 0.0))
    high = np.where(logit, 1 / (1 + 1 / (widened * odds)), high)
    high = np.where(is_loss | logit, high, np.minimum(high, 1.0))
    low, high = np.minimum(low, value), np.maximum(high, value)
    # 0: a figure, 1: too few rows, 2: not to be told, 3: no rows
    state = np.where(rows < TOO_FEW, 1, 0)
    state = np.where(np.isfinite(low) & np.isfinite(high), state, 2)
    state = np.where(n > 0, state, 3)
    whole = np.rint(np.where(np.isfinite(rows), rows, 0)).astype(np.int64)
    return [
        [
            Estimate(v, lo, hi, k, _STATES[at]) if at < 2 else missing(_STATES[at], k)
            for v, lo, hi, k, at in zip(*columns, strict=True)
        ]
        for columns in zip(*(x.tolist() for x in (value, low, high, whole, state)), strict=True)
    ]


def _with_ties(found: list[Estimate], ties: FloatArray) -> list[Estimate]:
    """The AUC's certified error from bins, beside it."""
    return [
        Estimate(e.value, e.low, e.high, e.n, e.state, bin_error=error)
        if e.value is not None
        else e
        for e, error in zip(found, ties.tolist(), strict=True)
    ]
