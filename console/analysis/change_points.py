"""Change points of a series: PELT with a weighted L2 cost, and the noise that sets its penalty.

Values are step figures, weights the rows behind them. Gaps are allowed: only the order counts.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["noise_variance", "pelt", "share_variance"]

FloatArray = NDArray[np.float64]

_PRUNE_EVERY = 32
"""Steps between prunings: a mask at each step costs more than the candidates it removes."""

_MAD = 1.482602218505602  # sd of a normal variable over its median absolute deviation
_QUIET = 0.1  # share of the largest differences that a jump may own in an otherwise constant series


def pelt(
    values: ArrayLike, weights: ArrayLike, penalty: float, min_size: int = 2
) -> tuple[int, ...]:
    """Where new segments begin: ascending indices into values, without 0; () for no change.

    values: (n,) finite. weights: (n,) > 0. The segmentation minimises the sum over segments of
    sum w (v - weighted mean)^2 plus `penalty` for each change, exactly, by PELT (Killick, Fearnhead
    & Eckley 2012); every segment has at least `min_size` values. With known variances give
    w = 1/variance, and the penalty in units of twice the log likelihood. Raises ValueError for
    min_size < 1, a penalty that is not >= 0, or arrays of different length.
    """
    v, w = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    if v.shape != w.shape or v.ndim != 1:
        raise ValueError(f"as many weights as values are needed, not {v.shape} and {w.shape}")
    if min_size < 1 or not penalty >= 0:
        raise ValueError("min_size is at least 1 and the penalty at least 0")
    n = len(v)
    if n < 2 * min_size:
        return ()
    v = v - float(np.average(v, weights=w))  # keeps digits: costs are differences of sums
    sw, sy = (np.concatenate(([0.0], np.cumsum(part))) for part in (w, w * v))
    syy = np.concatenate(([0.0], np.cumsum(w * v * v)))
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    last = np.zeros(n + 1, np.int64)
    # candidates, compact: where the last segment may begin, and the parts of its cost there
    begin = np.empty(n + 1, np.int64)
    base, held_w, held_y = (np.empty(n + 1) for _ in range(3))
    count, keep, keep_at = 0, None, -1
    for t in range(min_size, n + 1):
        s = t - min_size
        if math.isfinite(best[s]):
            begin[count], base[count] = s, best[s] - syy[s]
            held_w[count], held_y[count] = sw[s], sy[s]
            count += 1
        if t == keep_at and keep is not None:
            kept = np.concatenate((np.flatnonzero(keep), np.arange(len(keep), count)))
            for part in (begin, base, held_w, held_y):
                part[: len(kept)] = part[kept]
            count, keep = len(kept), None
        gap = sy[t] - held_y[:count]
        cost = base[:count] - gap * gap / (sw[t] - held_w[:count])
        at = int(cost.argmin())
        best[t] = cost[at] + syy[t] + penalty
        last[t] = begin[at]
        if t % _PRUNE_EVERY == 0 and keep is None:
            # one that is worse than a change at t can never win from t + min_size on
            keep, keep_at = cost + syy[t] <= best[t], t + min_size
    out: list[int] = []
    t = int(last[n])
    while t > 0:
        out.append(t)
        t = int(last[t])
    return tuple(reversed(out))


def noise_variance(values: ArrayLike, weights: ArrayLike) -> float:
    """Variance of a value of weight 1, from differences of neighbours; 0 where nothing differs.

    A value of weight w has this over w. The median absolute difference does not see steps, spikes
    or a slow slope. Where more than half of the differences are 0, their mean square without the
    largest tenth is taken.
    """
    v, w = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    if len(v) < 3:
        return 0.0
    gaps = np.diff(v) / np.sqrt(1 / w[1:] + 1 / w[:-1])
    gaps = gaps - np.median(gaps)
    spread = _MAD * float(np.median(np.abs(gaps)))
    if spread > 0:
        # of few differences the median is a rough guess, and too small more often than too large
        return spread * spread * (1 + 2 / len(gaps))
    rest = np.sort(np.abs(gaps))[: max(1, math.floor(len(gaps) * (1 - _QUIET)))]
    return float(np.mean(rest * rest))


def share_variance(values: ArrayLike, weights: ArrayLike) -> float:
    """p (1 - p) of a share over its rows (weights): what sampling alone gives, never 0.

    p is taken over five neighbours with half a hit and half a miss added, so that a change of the
    share does not count as noise, and steps without any hit have some.
    """
    v, w = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    if not len(v):
        return 0.25
    window = np.ones(min(5, len(v)))
    hits, rows = (np.convolve(part, window, "same") for part in (v * w, w))
    p = (hits + 0.5) / (rows + 1)
    return float(np.average(p * (1 - p), weights=w))
