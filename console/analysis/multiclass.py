"""Figures of a multiclass classifier, from its confusion matrix and one-vs-rest score bins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from console.analysis.binary import BINARY_METRICS, Confusion, ScoreBins, binary_metrics
from console.analysis.estimate import Estimate, State, missing
from console.analysis.intervals import (
    Interval,
    figure,
    mean_interval,
    normal_quantile,
    proportion,
    wilson,
)

__all__ = ["MulticlassMetrics", "MulticlassSums", "multiclass_metrics"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MulticlassSums:
    """Sums over labelled rows, for K classes.

    confusion: (K, K) counts, actual x predicted. classes: K names, in its order.
    bins: K one-vs-rest histograms (score = probability of the class), None where not logged.
    n_scored: labelled rows with probabilities, which the two sums are over; None: all of them.
    log_loss_sum: sum of -ln(probability of the actual class). brier_sum: sum over rows of
    sum_k (p_k - [y = k])^2. None where probabilities are not logged.
    """

    confusion: NDArray[np.int64]
    classes: tuple[str, ...]
    bins: tuple[ScoreBins, ...] | None = None
    log_loss_sum: float | None = None
    brier_sum: float | None = None
    n_scored: int | None = None


@dataclass(frozen=True, slots=True)
class MulticlassMetrics:
    """Figures by name (`BINARY_METRICS`): over all classes, and one against the rest per class."""

    overall: dict[str, Estimate]
    by_class: dict[str, dict[str, Estimate]]


def multiclass_metrics(sums: MulticlassSums) -> MulticlassMetrics:
    """Overall and per class.

    accuracy: share of right predictions. precision, recall, f1, specificity, fpr, fnr, roc_auc,
    average_precision: macro, the plain mean over the classes present in labels or predictions
    for which the figure exists, which is scikit-learn's average="macro", zero_division=np.nan: a
    class never predicted has no precision and a class never labelled no recall; they are left
    out, not counted as 0. balanced_accuracy: macro recall. mcc: Gorodkin 2004, without interval.
    log_loss: in nats. brier: sum over classes, so 0..2 (scikit-learn's for more than two classes).
    ece: mean over classes of the one-vs-rest ECE ("classwise", Kull et al. 2019): the top label's
    cannot be had from one-vs-rest bins.

    A class absent from labels and predictions has CANNOT_TELL throughout and enters no mean.
    n of an overall figure is all labelled rows, and decides TOO_FEW; each class has its own.
    """
    matrix = np.asarray(sums.confusion, dtype=np.float64)
    total = round(float(matrix.sum()))
    actual, predicted, right = matrix.sum(axis=1), matrix.sum(axis=0), np.diagonal(matrix)
    present = actual + predicted > 0
    by_class: dict[str, dict[str, Estimate]] = {}
    for k, name in enumerate(sums.classes):
        if total > 0 and not present[k]:
            by_class[name] = dict.fromkeys(BINARY_METRICS, missing(State.CANNOT_TELL))
            continue
        tp, fn, fp = int(right[k]), int(actual[k] - right[k]), int(predicted[k] - right[k])
        confusion = Confusion(tp, fp, fn, total - tp - fn - fp)
        by_class[name] = binary_metrics(confusion, sums.bins[k] if sums.bins else None)
    if total == 0:
        return MulticlassMetrics(dict.fromkeys(BINARY_METRICS, missing(State.NO_LABELS)), by_class)
    columns = {
        metric: [figures[metric] for figures in by_class.values()] for metric in BINARY_METRICS
    }
    overall = {metric: _mean_of_classes(columns[metric], total) for metric in BINARY_METRICS}
    overall["accuracy"] = proportion(round(float(right.sum())), total)
    for metric, gradient in _gradients(matrix, columns).items():
        overall[metric] = _macro(columns[metric], gradient, matrix)
    overall["balanced_accuracy"] = overall["recall"]
    overall["mcc"] = _mcc(matrix)
    scored = total if sums.n_scored is None else sums.n_scored
    overall["log_loss"] = _log_loss(sums, scored)
    overall["brier"] = _brier(sums.brier_sum, scored)
    return MulticlassMetrics({metric: overall[metric] for metric in BINARY_METRICS}, by_class)


def _mean_of_classes(column: Sequence[Estimate], total: int) -> Estimate:
    """Plain mean of figures that share rows; the mean of their intervals is at least wide enough.

    (The sd of a mean is at most the mean of the sds, whatever the correlation.)
    """
    held = [figure_ for figure_ in column if figure_.value is not None]
    if not held:
        return missing(State.CANNOT_TELL, total)
    value = _mean(one.value for one in held)
    interval: Interval | None = None
    if all(one.low is not None and one.high is not None for one in held):
        interval = _mean(one.low for one in held), _mean(one.high for one in held)
    errors = [one.bin_error for one in held if one.bin_error is not None]
    return figure(value, interval, total, bin_error=sum(errors) / len(held) if errors else None)


def _gradients(matrix: FloatArray, columns: dict[str, list[Estimate]]) -> dict[str, FloatArray]:
    """Slope of each macro share against each cell's share of the rows, by metric: (K, K).

    A share a/b with a and b linear in the cells has slope (a' - share b') / b; per class, b is
    the row (recall), the column (precision), both (F1), or all the rest (specificity).
    """
    cells = matrix / matrix.sum()
    row, column = cells.sum(axis=1), cells.sum(axis=0)
    diagonal = np.eye(len(row))

    def parts(metric: str, base: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Per class: share / base and 1 / base over the mean's size; 0 where left out."""
        values = np.array([one.value or 0.0 for one in columns[metric]])
        held = np.array([one.value is not None for one in columns[metric]]) & (base > 0)
        inverse = np.where(held, 1 / np.where(held, base, 1.0), 0.0) / max(int(held.sum()), 1)
        return values * inverse, inverse

    recall, by_row = parts("recall", row)
    precision, by_column = parts("precision", column)
    f1, by_both = parts("f1", row + column)
    specificity, by_rest = parts("specificity", 1 - row)
    error = by_rest - specificity
    of_specificity = error.sum() - error[:, None] - by_rest[None, :] * (1 - diagonal)
    of_recall = diagonal * by_row - recall[:, None]
    return {
        "precision": diagonal * by_column - precision[None, :],
        "recall": of_recall,
        "f1": 2 * diagonal * by_both - f1[:, None] - f1[None, :],
        "specificity": of_specificity,
        "fpr": -of_specificity,
        "fnr": -of_recall,
    }


def _macro(column: Sequence[Estimate], gradient: FloatArray, matrix: FloatArray) -> Estimate:
    """Mean of the classes' shares.

    Interval: the wider of two at each end. The delta method on the multinomial table (Takahashi
    et al. 2022) sees that an error hurts two classes at once, but vanishes at 0 errors; the
    classes' own intervals squared and added (MOVER, Zou & Donner 2008) do not, but take the
    classes as independent.
    """
    total = round(float(matrix.sum()))
    held = [one for one in column if one.value is not None]
    if not held:
        return missing(State.CANNOT_TELL, total)
    value = _mean(one.value for one in held)
    variance = float(np.sum(matrix * gradient**2)) / total**2
    half = normal_quantile(0.975) * math.sqrt(variance)
    down = math.sqrt(sum(((one.value or 0.0) - (one.low or 0.0)) ** 2 for one in held)) / len(held)
    up = math.sqrt(sum(((one.high or 0.0) - (one.value or 0.0)) ** 2 for one in held)) / len(held)
    low, high = max(value - max(half, down), 0.0), min(value + max(half, up), 1.0)
    return figure(value, (low, high), total)


def _mcc(matrix: FloatArray) -> Estimate:
    """CANNOT_TELL where all labels, or all predictions, are of one class."""
    total, actual, predicted = matrix.sum(), matrix.sum(axis=1), matrix.sum(axis=0)
    spread = (total**2 - predicted @ predicted) * (total**2 - actual @ actual)
    if spread <= 0:
        return missing(State.CANNOT_TELL, round(float(total)))
    value = float((np.trace(matrix) * total - predicted @ actual) / math.sqrt(spread))
    return figure(min(max(value, -1.0), 1.0), None, round(float(total)))


def _log_loss(sums: MulticlassSums, total: int) -> Estimate:
    """Exact from its sum.

    Interval: t, where there are bins: each row's loss as that of the mean score of its actual
    class in its bin. Spread within a bin is not seen.
    """
    if sums.log_loss_sum is None or total <= 0:
        return missing(State.CANNOT_TELL, total)
    interval: Interval | None = None
    if sums.bins:
        first = second = 0.0
        for bins in sums.bins:
            n = np.asarray(bins.n_positive, dtype=np.float64)
            held = n > 0
            score = np.asarray(bins.positive_score_sum, dtype=np.float64)[held] / n[held]
            loss = -np.log(np.clip(score, 1e-15, 1.0))
            first, second = first + float(n[held] @ loss), second + float(n[held] @ loss**2)
        scale = sums.log_loss_sum / first if first > 0 else 0.0
        interval = mean_interval(sums.log_loss_sum, second * scale * scale, total)
        interval = interval and (max(interval[0], 0.0), interval[1])
    return figure(sums.log_loss_sum / total, interval, total)


def _brier(brier_sum: float | None, total: int) -> Estimate:
    """Exact from its sum.

    Interval: t with the largest variance that losses within 0..2 can have at this mean (Bhatia &
    Davis 2000), the squares not being summed: wide, but never too narrow for want of them. It is
    Wilson's for half the score.
    """
    if brier_sum is None or total <= 0:
        return missing(State.CANNOT_TELL, total)
    half_low, half_high = wilson(brier_sum / 2, total)
    return figure(max(brier_sum, 0.0) / total, (2 * half_low, 2 * half_high), total)


def _mean(values: Iterable[float | None]) -> float:
    held = [value for value in values if value is not None]
    return sum(held) / len(held)
