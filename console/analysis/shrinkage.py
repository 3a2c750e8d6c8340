"""Estimates of many groups at once, each drawn towards their mean by how little is known of it.

Empirical Bayes: the spread between groups is taken from the groups themselves, so a group of five
rows stays near the mean and one of thousands stays where it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from console.analysis.estimate import TOO_FEW, Estimate, State, missing
from console.analysis.intervals import logit_interval, normal_quantile

__all__ = ["shrunken_means", "shrunken_shares"]

Floats = NDArray[np.float64]


def shrunken_shares(hits: Sequence[float], rows: Sequence[float]) -> tuple[Estimate, ...]:
    """Posterior mean of each group's share, with its 95 % credible interval on the logit scale.

    Beta-binomial by moments (Kleinman 1973): with the mean p, weights n and
    S = sum n_i (p_i - p)^2, the variance between groups is
    (S - (K - 1) p (1 - p)) / (N - sum n_i^2 / N), not below 0; the prior then counts
    M = p (1 - p) / variance - 1 rows, and the estimate is (k_i + M p) / (n_i + M). Where the
    groups differ by no more than chance, all of them get the mean. A group without rows has none.
    """
    k, n = np.asarray(hits, np.float64), np.asarray(rows, np.float64)
    held = n > 0
    total = float(n.sum())
    if total <= 0:
        return tuple(missing(State.NO_LABELS) for _ in hits)
    mean = float(k.sum()) / total
    spread = float((n[held] * (k[held] / n[held] - mean) ** 2).sum())
    prior = _prior(mean, spread, n[held])
    out = []
    for hit, row in zip(k.tolist(), n.tolist(), strict=True):
        if row <= 0:
            out.append(missing(State.CANNOT_TELL))
            continue
        weight = row / (row + prior) if math.isfinite(prior) else 0.0
        value = weight * hit / row + (1 - weight) * mean
        se = math.sqrt(value * (1 - value) / (row + prior + 1))
        low, high = logit_interval(value, se) if 0 < value < 1 and se > 0 else (value, value)
        out.append(Estimate(value, low, high, int(row), _state(row)))
    return tuple(out)


def shrunken_means(found: Sequence[Estimate]) -> tuple[Estimate, ...]:
    """The same for figures with an interval: normal, the spread by DerSimonian & Laird 1986.

    The standard error of each is a quarter of its 95 % interval, about. Figures without an
    interval are left out, and get no shrunken one.
    """
    z = normal_quantile(0.975)
    usable = [
        (e.value, (e.high - e.low) / (2 * z))
        for e in found
        if e.value is not None
        and e.low is not None
        and e.high is not None
        and e.high - e.low > 1e-100 * abs(e.value)
    ]
    if not usable:
        return tuple(missing(State.CANNOT_TELL, e.n) for e in found)
    # in units of the largest one: squares of 1e200 would overflow
    unit = max(max(abs(v), e) for v, e in usable) or 1.0
    value, se = (np.array(column) / unit for column in zip(*usable, strict=True))
    weight = 1 / se**2
    mean = float((weight * value).sum() / weight.sum())
    q = float((weight * (value - mean) ** 2).sum())
    left = float(weight.sum() - (weight**2).sum() / weight.sum())
    between = max((q - (len(value) - 1)) / left, 0.0) if left > 0 else 0.0
    out = []
    for e in found:
        if e.value is None or e.low is None or e.high is None:
            out.append(missing(State.CANNOT_TELL, e.n))
            continue
        error = ((e.high / unit - e.low / unit) / (2 * z)) ** 2
        own = between / (between + error) if between + error > 0 else 1.0
        centre = own * e.value / unit + (1 - own) * mean
        half = z * math.sqrt(own * error)
        middle, low, high = unit * centre, unit * (centre - half), unit * (centre + half)
        if math.isfinite(low) and math.isfinite(high):
            out.append(Estimate(middle, low, high, e.n, e.state))
        else:
            out.append(missing(State.CANNOT_TELL, e.n))
    return tuple(out)


def _prior(mean: float, spread: float, n: Floats) -> float:
    """Rows that the prior counts for; infinite where groups differ by no more than chance."""
    chance = mean * (1 - mean)
    left = float(n.sum() - (n**2).sum() / n.sum())
    between = (spread - (len(n) - 1) * chance) / left if left > 0 else 0.0
    if between <= 1e-12:
        return math.inf
    return max(chance / between - 1, 0.0)


def _state(rows: float) -> State:
    return State.TOO_FEW if rows < TOO_FEW else State.OK
