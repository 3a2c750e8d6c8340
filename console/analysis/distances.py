"""How far a feature, or a score, has moved from its reference: from counts over the same bins.

Both sides are counts per bin, (bins,), >= 0, any numeric type; missing and unseen values are bins
like others. No rows on either side: None, and the caller shows why. A constant feature, an empty
bin or a category unseen in the reference give an ordinary number, never NaN.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from console.analysis.estimate import TOO_FEW
from console.analysis.intervals import chi2_quantile, gamma_q

__all__ = [
    "EFFECT",
    "EPSILON",
    "ROWS_PER_BIN",
    "ChiSquare",
    "DriftState",
    "Noise",
    "Wasserstein",
    "chi_square",
    "drift_state",
    "hellinger",
    "jensen_shannon",
    "js_noise",
    "ks_bracket",
    "psi",
    "psi_noise",
    "psi_rows",
    "used_bins",
    "wasserstein",
]

EPSILON = 1e-4
"""Smallest share in PSI, so that an empty bin has a finite logarithm."""

EFFECT = 0.1
"""PSI from which a change is worth acting on (Siddiqi 2006: .1 moderate, .25 large)."""

ROWS_PER_BIN = 10
"""Rows per bin below which the chi-square noise of PSI does not hold. Simulated with 10 equal bins
and no drift, PSI is above q95 (due: 5 %) 37 % of the time at 3 rows per bin, 11 % at 5, 7.5 % at
10, 6 % at 20: the logarithm of a nearly empty bin is large."""

_LEAST_SCALE = 0.001

FloatArray = NDArray[np.float64]


class DriftState(StrEnum):
    """What a drift figure is worth. Only OK is good news."""

    OK = "ok"
    """Not above its noise."""
    DRIFTED = "drifted"
    """Above its noise, and large enough to matter."""
    SMALL = "small"
    """Above its noise, but small."""
    TOO_FEW = "too_few"
    CANNOT_TELL = "cannot_tell"
    """No reference, or no rows."""


class Noise(NamedTuple):
    """A distance between two samples of one distribution: about its mean, and its 95 % point."""

    expected: float
    q95: float


class ChiSquare(NamedTuple):
    """Two-sample homogeneity test; p_value is 1 where fewer than two bins are used."""

    statistic: float
    df: int
    p_value: float


class Wasserstein(NamedTuple):
    """Wasserstein-1 distance in reference standard deviations; |exact - value| <= bin_error."""

    value: float
    bin_error: float


def psi(ref: ArrayLike, cur: ArrayLike, eps: float = EPSILON) -> float | None:
    """Population stability index, sum (c - r) ln(c / r), shares raised to at least eps; >= 0."""
    shares = _shares(ref, cur)
    if shares is None:
        return None
    r, c = (np.maximum(side, eps) for side in shares)
    return float(np.sum((c - r) * np.log(c / r)))


def psi_rows(
    ref: ArrayLike, rows: NDArray[np.float64], eps: float = EPSILON
) -> tuple[float | None, ...]:
    """`psi` of every row of counts, (rows, bins), against one reference; None for empty rows."""
    reference = np.asarray(ref, np.float64)
    totals = rows.sum(axis=1)
    if reference.sum() <= 0:
        return (None,) * len(rows)
    r = np.maximum(reference / reference.sum(), eps)
    c = np.maximum(rows / np.maximum(totals, 1)[:, None], eps)
    used = (rows > 0) | (reference > 0)
    values = np.where(used, (c - r) * np.log(c / r), 0.0).sum(axis=1)
    return tuple(float(v) if total > 0 else None for v, total in zip(values, totals, strict=True))


def psi_noise(bins: int, n: float, m: float) -> Noise | None:
    """PSI of n current and m reference rows without drift, over `used_bins` bins.

    (B - 1)(1/n + 1/m), and chi2 at .95 with B - 1 degrees in place of B - 1 (Yurdakul 2018). Good
    from about `ROWS_PER_BIN` rows in each bin; rare bins (share .002) keep PSI above q95 about 9 %
    of the time, instead of 5, up to n = 200.
    """
    if n <= 0 or m <= 0:
        return None
    both, df = 1 / n + 1 / m, max(bins - 1, 0)
    return Noise(df * both, chi2_quantile(0.95, df) * both)


def jensen_shannon(ref: ArrayLike, cur: ArrayLike) -> float | None:
    """Jensen-Shannon distance (square root of the divergence) in base 2: 0..1.

    scipy.spatial.distance.jensenshannon(base=2); its default base e is smaller by sqrt(ln 2).
    """
    shares = _shares(ref, cur)
    if shares is None:
        return None
    middle = (shares[0] + shares[1]) / 2
    divergence = 0.0
    for side in shares:
        held = side > 0
        divergence += float(np.sum(side[held] * np.log2(side[held] / middle[held]))) / 2
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def js_noise(bins: int, n: float, m: float) -> Noise | None:
    """Jensen-Shannon distance without drift: to second order the divergence is PSI / (8 ln 2) bits.

    expected is the square root of the mean divergence, a little above the mean distance.
    """
    noise = psi_noise(bins, n, m)
    if noise is None:
        return None
    return Noise(*(min(math.sqrt(part / (8 * math.log(2))), 1.0) for part in noise))


def hellinger(ref: ArrayLike, cur: ArrayLike) -> float | None:
    """Hellinger distance, sqrt(1/2 sum (sqrt r - sqrt c)^2): 0..1."""
    shares = _shares(ref, cur)
    if shares is None:
        return None
    squares = float(np.sum((np.sqrt(shares[0]) - np.sqrt(shares[1])) ** 2))
    return math.sqrt(min(squares / 2, 1.0))


def chi_square(ref: ArrayLike, cur: ArrayLike) -> ChiSquare | None:
    """Pearson's chi-square of the 2 x bins table, without continuity correction.

    scipy.stats.chi2_contingency(correction=False); bins empty on both sides are left out. The
    p-value takes expected counts of about 5 and more; at large n it is small for tiny changes.
    """
    r, c = _counts(ref, cur)
    if r.sum() <= 0 or c.sum() <= 0:
        return None
    held = r + c > 0
    df = int(held.sum()) - 1
    both = (r + c)[held]
    share = r.sum() / (r.sum() + c.sum())
    # Both rows of the table miss their expectation by the same amount.
    statistic = float(np.sum((r[held] - share * both) ** 2 / both) / (share * (1 - share)))
    return ChiSquare(statistic, df, gamma_q(df / 2, statistic / 2) if df > 0 else 1.0)


def ks_bracket(ref: ArrayLike, cur: ArrayLike) -> tuple[float, float] | None:
    """(low, high) that hold the exact two-sample Kolmogorov-Smirnov statistic; bins ascending.

    low: largest gap of the two distribution functions at bin ends. high: largest gap that any
    order of rows within a bin could give. Leave missing and unordered values out of the counts.
    """
    shares = _shares(ref, cur)
    if shares is None:
        return None
    r_end, c_end = (np.minimum(np.cumsum(side), 1.0) for side in shares)
    r_start, c_start = (np.concatenate(([0.0], end[:-1])) for end in (r_end, c_end))
    low = float(np.max(np.abs(r_end - c_end)))
    high = float(np.max(np.maximum(r_end - c_start, c_end - r_start)))
    return low, min(max(low, high), 1.0)


def wasserstein(
    lower: ArrayLike, upper: ArrayLike, ref: ArrayLike, cur: ArrayLike, scale: float
) -> Wasserstein | None:
    """Wasserstein-1 distance between binned samples, divided by max(scale, .001).

    lower, upper: (bins,) ends of ascending bins, in the feature's unit; equal for a spike. scale:
    the reference's standard deviation. Rows are put in the middle of their bin, so the error is
    at most sum (r_b + c_b) width_b / 2, at most one bin width. None also where an occupied bin
    has no finite end: close it with the sample's minimum or maximum.
    """
    shares = _shares(ref, cur)
    low, high = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    if shares is None or not math.isfinite(scale):
        return None
    held = shares[0] + shares[1] > 0
    r, c, low, high = shares[0][held], shares[1][held], low[held], high[held]
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return None
    unit = max(scale, _LEAST_SCALE)
    middle, width = low / 2 + high / 2, high - low
    gaps = np.abs(np.cumsum(r - c))[:-1]
    value, error = float(gaps @ np.diff(middle)) / unit, float((r + c) @ width) / 2 / unit
    return Wasserstein(value, error) if math.isfinite(value) and math.isfinite(error) else None


def used_bins(ref: ArrayLike, cur: ArrayLike) -> int:
    """Bins with rows on either side: the B of `psi_noise`."""
    r, c = _counts(ref, cur)
    return int(np.sum(r + c > 0))


def drift_state(
    value: float | None, q95: float | None, n: float, m: float, bins: int = 10
) -> DriftState:
    """The verdict on a PSI of n current and m reference rows over `used_bins` bins.

    TOO_FEW below `ROWS_PER_BIN` rows per bin, or `TOO_FEW` rows, on either side: q95 does not hold
    there. DRIFTED above q95 and from `EFFECT`; SMALL above q95 only; else OK. One figure at 95 %
    is above its noise once in 20 looks: for alerts on many features correct for their number.
    """
    if value is None or q95 is None or n <= 0 or m <= 0:
        return DriftState.CANNOT_TELL
    if min(n, m) < max(TOO_FEW, ROWS_PER_BIN * bins):
        return DriftState.TOO_FEW
    if value <= q95:
        return DriftState.OK
    return DriftState.DRIFTED if value >= EFFECT else DriftState.SMALL


def _counts(ref: ArrayLike, cur: ArrayLike) -> tuple[FloatArray, FloatArray]:
    r, c = np.asarray(ref, np.float64), np.asarray(cur, np.float64)
    if r.shape != c.shape or r.ndim != 1:
        raise ValueError(f"counts over the same bins are needed, not {r.shape} and {c.shape}")
    return r, c


def _shares(ref: ArrayLike, cur: ArrayLike) -> tuple[FloatArray, FloatArray] | None:
    r, c = _counts(ref, cur)
    total_r, total_c = float(r.sum()), float(c.sum())
    return (r / total_r, c / total_c) if total_r > 0 and total_c > 0 else None
