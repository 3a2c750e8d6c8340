"""CUSUM: an alarm for a slow change that no single step shows.

On standardised steps z: up = max(0, up + z - k), down = max(0, down - z - k); an alarm where either
passes h (Page 1954). With k = 1/2 it is quickest for a shift of one standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ALLOWANCE",
    "THRESHOLD",
    "Cusum",
    "cusum",
    "run_length",
    "standardised",
    "threshold_for",
]

FloatArray = NDArray[np.float64]

ALLOWANCE = 0.5
"""k, in standard deviations: half the shift that is to be found quickest."""

THRESHOLD = 5.0
"""h: of both sides together a false alarm comes once in 465 steps on average, and a shift of one
standard deviation is found after 10.4 (`run_length`)."""

_STATES = 100
_MOST_TOGETHER = 0.9
_MOST_Z = 4.0
"""A single step counts for no more: it would be an outlier, not a slow change."""


@dataclass(frozen=True, slots=True)
class Cusum:
    """up, down: (n,) the sums, in standard deviations. threshold: h.

    at: the first step of an alarm that still stands at the end, None without one. since: the step
    after which that sum was last 0 (Page's estimate of where the change began). rises: whether it
    is the upper sum.
    """

    up: tuple[float, ...]
    down: tuple[float, ...]
    threshold: float
    at: int | None = None
    since: int | None = None
    rises: bool = False


def cusum(z: Sequence[float], allowance: float = ALLOWANCE, threshold: float = THRESHOLD) -> Cusum:
    """The two sums of standardised steps, and the alarm that stands at the end.

    z: values of mean 0 and variance 1 while nothing changes; one that is not finite counts as 0,
    one beyond 4 as 4. `threshold_for` gives other thresholds.
    """
    h = threshold
    up, down = [], []
    high = low = 0.0
    for value in z:
        one = min(max(value, -_MOST_Z), _MOST_Z) if math.isfinite(value) else 0.0
        high, low = max(0.0, high + one - allowance), max(0.0, low - one - allowance)
        up.append(high)
        down.append(low)
    for sums, rises in ((up, True), (down, False)):
        if sums and sums[-1] > h:
            since = max((i + 1 for i, value in enumerate(sums) if value == 0.0), default=0)
            at = next(i for i in range(since, len(sums)) if sums[i] > h)
            return Cusum(tuple(up), tuple(down), h, at, since, rises)
    return Cusum(tuple(up), tuple(down), h)


def standardised(values: ArrayLike, weights: ArrayLike, base: int) -> FloatArray:
    """(n - base,) steps after the first `base`, in standard deviations of those; 0 without spread.

    weights: the rows behind each value; a value of weight w is taken to vary as 1/w. Where
    neighbours go together (correlation r) the standard deviation is that of a long sum, times
    sqrt((1 + r)/(1 - r)): else days of one weather would be an alarm. The mean's own error, of
    few first steps, is in it too. Raises ValueError for base < 2.
    """
    v, w = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    if base < 2:
        raise ValueError("the mean and the spread take at least 2 steps")
    first, rows = v[:base], w[:base]
    mean = float(np.average(first, weights=rows))
    away = np.sqrt(rows) * (first - mean)
    squares = float((away * away).sum())
    if squares <= 0:
        return np.zeros(max(len(v) - base, 0))
    r = float((away[1:] * away[:-1]).sum()) / squares
    r = min(max(r + (1 + 3 * r) / base, 0.0), _MOST_TOGETHER)  # a short series shows less of it
    variance = squares / (base - 1) * (1 + r) / (1 - r)
    spread = np.sqrt(variance / w[base:] + variance / float(rows.sum()))
    found: FloatArray = (v[base:] - mean) / spread
    return found


@lru_cache(maxsize=256)
def run_length(
    threshold: float, allowance: float = ALLOWANCE, shift: float = 0.0, *, sides: int = 2
) -> float:
    """Mean number of steps to an alarm of normal steps with mean `shift`, from a start at 0.

    A Markov chain of 100 states for one side (Brook & Evans 1972); two sides as
    1/ARL = 1/ARL+ + 1/ARL- (Van Dobben de Bruyn 1968). h = 5, k = 1/2: 465 without a shift, 10.4
    at one standard deviation.
    """
    up = _one_side(threshold, allowance, shift)
    if sides == 1:
        return up
    return 1 / (1 / up + 1 / _one_side(threshold, allowance, -shift))


@lru_cache(maxsize=64)
def threshold_for(length: float, allowance: float = ALLOWANCE) -> float:
    """The h at which false alarms of both sides come once in `length` steps on average.

    Bisection on `run_length`, to .01; h lies in 0..50.
    """
    low, high = 0.0, 1.0
    while run_length(high, allowance) < length and high < 50:
        low, high = high, high * 2
    while high - low > 0.005:
        middle = (low + high) / 2
        low, high = (middle, high) if run_length(middle, allowance) < length else (low, middle)
    return round((low + high) / 2, 2)


def _one_side(threshold: float, allowance: float, shift: float) -> float:
    """The chain's states are the middles of parts of [0, h); the first holds 0 and below."""
    width = 2 * threshold / (2 * _STATES - 1)
    # the chance to end below a state's upper edge depends on how many states lie between only
    apart = [(d + 0.5) * width + allowance - shift for d in range(1 - _STATES, _STATES)]
    below = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in apart])
    state = np.arange(_STATES)
    reached = below[state[None, :] - state[:, None] + _STATES - 1]
    moves = np.diff(reached, axis=1, prepend=0.0)
    lengths = np.linalg.solve(np.eye(_STATES) - moves, np.ones(_STATES))
    return float(lengths[0])
