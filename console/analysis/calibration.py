"""From score bins to calibrated probabilities: isotonic regression of a reference's labels.

The reference's rows are known by score bin only, so the map is one probability per bin. It is
applied when figures are read: a new reference, or a new map, scans no row again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ONE_CLASS", "Calibration", "Mapped", "calibrate", "isotonic"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ONE_CLASS = "the reference has labels of one class only"
NO_LABELS = "the reference has no labels with a score"


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """Bins with their probability; all (bins,).

    p: probability of the label 1. left, right, share: p is that of block `left` times 1 - share
    plus that of block `right` times share. beyond: the bin lies outside the reference's scores.
    """

    p: FloatArray
    left: IntArray
    right: IntArray
    share: FloatArray
    beyond: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What a reference says of each score bin.

    bins: (bins,) numbers of the bins that hold labelled rows, ascending. block: (bins,) which block
    of the isotonic fit each belongs to. p, variance: (blocks,) share of positives and its variance.
    n: labelled rows.
    """

    bins: IntArray
    block: IntArray
    p: FloatArray
    variance: FloatArray
    n: int

    def at(self, bins: ArrayLike) -> Mapped:
        """Probabilities of any bins: between two known bins in proportion to the bin's number,
        beyond the first or last one that bin's."""
        asked = np.asarray(bins, dtype=np.int64)
        after = np.searchsorted(self.bins, asked)
        high = np.minimum(after, len(self.bins) - 1)
        exact = self.bins[high] == asked
        low = np.where(exact | (after == len(self.bins)), high, np.maximum(high - 1, 0))
        width = self.bins[high] - self.bins[low]
        share = np.where(width > 0, (asked - self.bins[low]) / np.maximum(width, 1), 0.0)
        left, right = self.block[low], self.block[high]
        p = (1 - share) * self.p[left] + share * self.p[right]
        beyond = (asked < self.bins[0]) | (asked > self.bins[-1])
        return Mapped(p, left, right, share, beyond)


def calibrate(bins: ArrayLike, n_labelled: ArrayLike, n_positive: ArrayLike) -> Calibration | str:
    """The map of a reference; a sentence where there is none.

    bins: (cells,) bin numbers in any order, a bin may come several times. The variance of a block
    is binomial, of its share raised by half a row (so that a pure block is not certain); that the
    blocks were chosen by the same labels is not in it.
    """
    numbers, place = np.unique(np.asarray(bins, dtype=np.int64), return_inverse=True)
    labelled = np.bincount(place, np.asarray(n_labelled, np.float64), len(numbers))
    positive = np.bincount(place, np.asarray(n_positive, np.float64), len(numbers))
    known = labelled > 0
    numbers, labelled, positive = numbers[known], labelled[known], positive[known]
    total, ones = float(labelled.sum()), float(positive.sum())
    if total <= 0:
        return NO_LABELS
    if ones <= 0 or ones >= total:
        return ONE_CLASS
    block = isotonic(positive / labelled, labelled)
    size, hits = np.bincount(block, labelled), np.bincount(block, positive)
    raised = (hits + 0.5) / (size + 1)
    return Calibration(numbers, block, hits / size, raised * (1 - raised) / size, round(total))


def isotonic(y: ArrayLike, weight: ArrayLike) -> IntArray:
    """Blocks of the weighted least-squares fit that never falls: (points,) block numbers from 0.

    The fitted value of a block is its weighted mean. Pool adjacent violators (Ayer et al. 1955).
    """
    means: list[float] = []
    weights: list[float] = []
    lengths: list[int] = []
    values, sizes = np.asarray(y, np.float64).tolist(), np.asarray(weight, np.float64).tolist()
    for value, size in zip(values, sizes, strict=True):
        means.append(value)
        weights.append(size)
        lengths.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            mean, last = means.pop(), weights.pop()
            both = weights[-1] + last
            means[-1] = (means[-1] * weights[-1] + mean * last) / both
            weights[-1] = both
            lengths[-2:] = [sum(lengths[-2:])]
    return np.repeat(np.arange(len(lengths)), lengths)
