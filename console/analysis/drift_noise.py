"""What distances show without any drift, for these numbers of rows: their mean and 95 % point.

A distance of two samples is never 0. Each formula here says what samples of n and m rows of one
distribution give, so that a figure can stand beside its own noise. No random numbers: figures are
the same at every look.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from console.analysis.distances import EPSILON, Noise
from console.analysis.intervals import chi2_quantile

__all__ = ["Nulls", "chi2_noise", "ks_noise", "null_rows", "psi_null", "wasserstein_noise"]

FloatArray = NDArray[np.float64]

_COUNTED = (0.0, 4.0, 25.0)  # expected rows: below the last, all values of a count are summed
_SPREAD, _MORE = 6, 9  # the largest count looked at: mean + 6 standard deviations + 9
_LEAST_SCALE = 0.001

_KS_MEAN = math.sqrt(math.pi / 2) * math.log(2)
_KS_Q95 = 1.3581
"""Kolmogorov's distribution: mean .8687, 95 % point 1.3581 (Smirnov 1948)."""


class Nulls(NamedTuple):
    """Mean and 95 % point without drift, (rows, 2) each; NaN where a side has no rows."""

    psi: FloatArray
    js: FloatArray
    hellinger: FloatArray


def null_rows(ref: FloatArray, cur: FloatArray, *, psi_only: bool = False) -> Nulls:
    """PSI, Jensen-Shannon and Hellinger distance of many features without drift.

    ref, cur: counts of both sides, (rows, bins), padded by 0. The distribution is taken to be that
    of both sides together. The mean and the variance of each bin's part come from the binomial
    distribution of its count, exactly where few rows are expected; parts are summed with the
    covariance that a fixed total gives, and the 95 % point is that of the gamma distribution with
    this mean and variance. Simulated false alarms are 4 to 6 % from n = 30 on, also with bins of
    share .002, where (B - 1)(1/n + 1/m) has up to 39 % (docs/statistics.md). psi_only: leaves the
    others NaN, which are a third of the time.
    """
    m, n = ref.sum(axis=1), cur.sum(axis=1)
    none = (m <= 0) | (n <= 0)
    row, place = np.nonzero((ref + cur > 0) & ~none[:, None])
    p = (ref + cur)[row, place] / (n + m)[row]
    both = np.where(none, 1.0, 1 / np.maximum(n, 1) + 1 / np.maximum(m, 1))
    count = len(ref)
    # sum over pairs of bins of p_i p_j: their correlation through the total, squared
    pairs = 1 - np.bincount(row, p * p, count)
    psi = _summed(_psi_parts(p, n[row], m[row]), row, 2 * pairs * both**2, none)
    if psi_only:
        nothing = np.full_like(psi, np.nan)
        return Nulls(psi, nothing, nothing)
    one = (1 / both)[row]  # two samples as one of n m / (n + m) rows against fixed shares
    squared = 2 * pairs * (both / 8) ** 2
    js, hellinger = (
        np.sqrt(np.clip(_summed(parts, row, squared * unit**2, none), 0.0, 1.0))
        for parts, unit in zip(_bounded_parts(p, one), (1 / math.log(2), 1.0), strict=True)
    )
    return Nulls(psi, js, hellinger)


def psi_null(ref: FloatArray, cur: FloatArray) -> Noise | None:
    """The noise of one PSI; None where a side has no rows."""
    found = null_rows(np.asarray(ref, np.float64)[None], np.asarray(cur, np.float64)[None]).psi[0]
    return None if math.isnan(found[0]) else Noise(float(found[0]), float(found[1]))


def ks_noise(n: float, m: float) -> Noise | None:
    """Kolmogorov-Smirnov statistic without drift; ties (few distinct values) make it smaller."""
    if n <= 0 or m <= 0:
        return None
    root = math.sqrt(1 / n + 1 / m)
    return Noise(min(_KS_MEAN * root, 1.0), min(_KS_Q95 * root, 1.0))


def chi2_noise(df: int) -> Noise:
    """Chi-square statistic without drift: its degrees of freedom, and its 95 % point."""
    return Noise(float(df), chi2_quantile(0.95, df))


def wasserstein_noise(  # noqa: PLR0917 - both bin ends and counts, then the two sizes
    lower: FloatArray, upper: FloatArray, ref: FloatArray, n: float, m: float, scale: float
) -> Noise | None:
    """Wasserstein-1 distance without drift, in units of max(scale, .001).

    The gap of two distribution functions is a Brownian bridge B(F) times sqrt(1/n + 1/m), and the
    distance is the integral of |B(F(x))| over x (del Barrio, Gine & Matran 1999), with F the
    reference's. Its mean and variance are sums over pairs of bins, from the mean of |X Y| of two
    normal variables; the 95 % point is the gamma distribution's (5 to 6 % above it, simulated).
    None as in `wasserstein`, or where there is no gap at all.
    """
    held = ref > 0
    if n <= 0 or m <= 0 or not held.any() or not math.isfinite(scale):
        return None
    low, high, counts = lower[held], upper[held], ref[held]
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return None
    middle = low / 2 + high / 2
    unit = _bridge(counts.tobytes(), middle.tobytes())
    root = math.sqrt(1 / n + 1 / m) / max(scale, _LEAST_SCALE)
    noise = Noise(unit[0] * root, unit[1] * root)
    return noise if math.isfinite(noise.q95) else None


@lru_cache(maxsize=4096)
def _bridge(counts: bytes, middles: bytes) -> tuple[float, float]:
    """Mean and 95 % point of the integral of |Brownian bridge|, for n m / (n + m) = 1.

    Kept per reference: only the numbers of rows change from look to look.
    """
    held = np.frombuffer(counts, np.float64)
    width = np.diff(np.frombuffer(middles, np.float64))
    f = (np.cumsum(held) / held.sum())[:-1]
    inner = (f > 0) & (f < 1) & (width > 0)
    f, width = f[inner], width[inner]
    longest = float(width.max()) if len(width) else 0.0
    if not math.isfinite(longest) or longest <= 0:
        return 0.0, 0.0
    width = width / longest  # squares of 1e300 would overflow
    sigma = np.sqrt(f * (1 - f))
    rho = np.minimum.outer(f, f) - np.multiply.outer(f, f)
    rho = np.clip(rho / np.multiply.outer(sigma, sigma), -1.0, 1.0)
    of_pairs = np.sqrt(1 - rho * rho) + rho * np.arcsin(rho) - 1
    weight = sigma * width
    mean = math.sqrt(2 / math.pi) * float(weight.sum())
    variance = 2 / math.pi * float(weight @ of_pairs @ weight)
    q95 = _gamma_q95(np.array([mean]), np.array([variance]))[0]
    return mean * longest, float(q95) * longest


# -- parts of a bin -------------------------------------------------------------------------------


def _psi_parts(p: FloatArray, n: FloatArray, m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of (c - r) ln(c / r) of each bin, c and r independent around share p.

    With u = c/p - 1 and v = ln(c/p) of one side, u' and v' of the other: p (u - u')(v - v').
    """
    a, b = _moments(p, n), _moments(p, m)
    mean = p * (a.uv + b.uv - a.u * b.v - b.u * a.v)
    square = (a.uuvv + b.uuvv) + (a.uu * b.vv + b.uu * a.vv) + 4 * a.uv * b.uv
    square -= 2 * (a.uuv * b.v + b.uuv * a.v + a.uvv * b.u + b.uvv * a.u)
    return mean, np.maximum(p * p * square - mean**2, 0.0)


def _bounded_parts(
    p: FloatArray, n: FloatArray
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """The same for the Jensen-Shannon divergence (bits) and the squared Hellinger distance."""
    shannon = _Parts(np.zeros_like(p), np.zeros_like(p))
    hellinger = _Parts(np.zeros_like(p), np.zeros_like(p))
    for some, ratio, weight in _counts_of(p, n):
        share = p[some][:, None]
        middle = (1 + ratio) / 2
        held = np.where(ratio > 0, ratio, 1.0)
        bits = (held * np.log2(held / middle) * (ratio > 0) - np.log2(middle)) * share / 2
        shannon.put(some, bits, weight)
        hellinger.put(some, share / 2 * (1 - np.sqrt(ratio)) ** 2, weight)
    return (shannon.mean, shannon.variance), (hellinger.mean, hellinger.variance)


class _Parts(NamedTuple):
    mean: FloatArray
    variance: FloatArray

    def put(self, some: NDArray[np.bool_], values: FloatArray, weight: FloatArray) -> None:
        first = (weight * values).sum(axis=1)
        self.mean[some] = first
        self.variance[some] = (weight * (values - first[:, None]) ** 2).sum(axis=1)


class _Moments(NamedTuple):
    u: FloatArray
    v: FloatArray
    uu: FloatArray
    uv: FloatArray
    vv: FloatArray
    uuv: FloatArray
    uvv: FloatArray
    uuvv: FloatArray


def _moments(p: FloatArray, n: FloatArray) -> _Moments:
    """Means of products of u = c/p - 1 and v = ln(c/p); c = max(share, EPSILON)."""
    table = np.zeros((8, len(p)))
    for some, ratio, weight in _counts_of(p, n):
        c = np.maximum(ratio, EPSILON / p[some][:, None])
        u, v = c - 1, np.log(c)
        wu, wv = weight * u, weight * v
        uv = u * v
        parts = (wu, wv, wu * u, wu * v, wv * v, wu * uv, wv * uv, weight * uv * uv)
        table[:, some] = [part.sum(axis=1) for part in parts]
    return _Moments(*table)


def _counts_of(
    p: FloatArray, n: FloatArray
) -> list[tuple[NDArray[np.bool_], FloatArray, FloatArray]]:
    """Values of (share in a sample of n) / p with their probabilities: bins, values, weights.

    Every count of the binomial distribution where few rows are expected, else the nine nodes of
    Gauss and Hermite for a normal one.
    """
    expected = n * p
    found = []
    for low, high in pairwise(_COUNTED):  # few rows need few values
        few = (expected >= low) & (expected < high)
        if not few.any():
            continue
        share, rows = p[few][:, None], n[few][:, None]
        k = np.arange(int(high + _SPREAD * math.sqrt(high) + _MORE) + 1.0)[None, :]
        # the logarithm of each probability from that of the one before
        ways = np.log(np.maximum((rows - k[:, 1:] + 1) / k[:, 1:], 1e-300))
        odds = np.log(share) - np.log(np.maximum(1 - share, 1e-300))
        log_p = np.zeros((len(share), k.shape[1]))
        np.cumsum(ways + odds, axis=1, out=log_p[:, 1:])
        log_p[k > rows] = -np.inf
        weight = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        found.append((few, k / (rows * share), weight))
    many = expected >= _COUNTED[-1]
    if many.any():
        nodes, weights = _hermite()
        spread = np.sqrt((1 - p[many]) / (n[many] * p[many]))[:, None]
        found.append((many, np.maximum(1 + spread * nodes, 1e-3), weights))
    return found


@lru_cache(maxsize=1)
def _hermite() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    return nodes[None, :], (weights / weights.sum())[None, :]


# -- sums -----------------------------------------------------------------------------------------


def _summed(
    parts: tuple[FloatArray, FloatArray],
    row: NDArray[np.int64],
    covariance: FloatArray,
    none: NDArray[np.bool_],
) -> FloatArray:
    mean, variance = (np.bincount(row, part, len(none)).astype(np.float64) for part in parts)
    variance = np.where(mean > 0, variance + covariance, 0.0)
    out = np.stack((mean, _gamma_q95(mean, variance)), axis=1)
    out[none] = np.nan
    return out


def _gamma_q95(mean: FloatArray, variance: FloatArray) -> FloatArray:
    """95 % point of the gamma distribution of this mean and variance; the mean where it is 0."""
    spread = (mean > 0) & (variance > 0)
    safe = np.where(spread, variance, 1.0)
    df = np.where(spread, 2 * mean * mean / safe, 1.0)
    degrees, ratios = _ratios()
    ratio = np.interp(np.log(np.clip(df, 0.1, 1e6)), degrees, ratios)
    point: FloatArray = np.where(spread, mean * ratio, mean)
    return point


@lru_cache(maxsize=1)
def _ratios() -> tuple[FloatArray, FloatArray]:
    """The 95 % point of chi-square over its degrees of freedom, from .1 to 1e6 of them."""
    degrees = np.exp(np.linspace(math.log(0.1), math.log(1e6), 160))
    return np.log(degrees), np.array([chi2_quantile(0.95, df) / df for df in degrees.tolist()])
