"""How large a drift is and what it is made of: effect sizes, and the causes of a PSI.

An effect size says how far, without the number of rows in it: a p-value gets small for any change
when there are many rows, and large for any when there are few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from console.analysis.distances import EPSILON, distance_rows
from console.analysis.estimate import Estimate, State, missing
from console.analysis.intervals import figure, normal_quantile

__all__ = ["LARGEST", "Cause", "Causes", "Moments", "causes_rows", "cramers_v", "mean_difference"]

FloatArray = NDArray[np.float64]

LARGEST = 1e150
"""Values from here on are left out of the rollups' sums, since their squares would overflow."""


class Cause(StrEnum):
    """Where a PSI comes from."""

    MISSING = "missing"
    UNSEEN = "unseen"
    SHAPE = "shape"


@dataclass(frozen=True, slots=True)
class Causes:
    """Parts of a PSI that add up to it, each >= 0.

    missing, unseen: from values that are missing, or are of an unknown category or outside the
    reference's range. shape: from how the others are spread.
    """

    missing: float
    unseen: float
    shape: float

    @property
    def main(self) -> tuple[Cause, float] | None:
        """The largest part and its share, 0..1; None where there is no drift at all."""
        total = self.missing + self.unseen + self.shape
        if total <= 0:
            return None
        part, name = max(
            (self.missing, Cause.MISSING), (self.unseen, Cause.UNSEEN), (self.shape, Cause.SHAPE)
        )
        return name, part / total


def causes_rows(
    ref: FloatArray,
    cur: FloatArray,
    unseen_ref: FloatArray,
    unseen: FloatArray,
    nulls: NDArray[np.int64],
) -> list[Causes | None]:
    """The causes of the PSI of many features; None where a side has no rows.

    ref, cur: counts over the merged bins, (rows, bins), padded by 0. unseen_ref, unseen: those rows
    in each bin that are of no value the reference has. nulls: the place of the bin of missing
    values, (rows,).

    shape is the PSI of ordinary rows alone, times their share on the side that has fewer of them:
    by the chain rule of the divergence never more than all of it. The rest is split by each one's
    own part in the divergence of (missing, unseen, ordinary): dp (ln(c / r) - ln of the same for
    ordinary rows).
    """
    m, n = ref.sum(axis=1), cur.sum(axis=1)
    none = (m <= 0) | (n <= 0)
    size_r, size_c = (np.where(none, 1.0, of)[:, None] for of in (m, n))
    r, c, out_r, out_c = ref / size_r, cur / size_c, unseen_ref / size_r, unseen / size_c
    at = np.arange(len(ref)), nulls
    plain_r, plain_c = np.maximum(r - out_r, 0.0), np.maximum(c - out_c, 0.0)
    plain_r[at] = plain_c[at] = 0.0
    inside_r, inside_c = plain_r.sum(axis=1), plain_c.sum(axis=1)
    total = distance_rows(r, c).psi
    of_rest = np.nan_to_num(distance_rows(plain_r, plain_c).psi)
    shape = np.minimum(of_rest * np.minimum(inside_r, inside_c), total)
    ordinary = _log_ratio(inside_c, inside_r)
    parts = [
        np.maximum((new - old) * (_log_ratio(new, old) - ordinary), 0.0)
        for new, old in ((c[at], r[at]), (out_c.sum(axis=1), out_r.sum(axis=1)))
    ]
    both = parts[0] + parts[1]
    shape = np.where(both > 0, shape, total)
    rest = (total - shape) / np.where(both > 0, both, 1.0)
    table = np.stack((rest * parts[0], rest * parts[1], shape), axis=1).tolist()
    return [None if no else Causes(*row) for no, row in zip(none.tolist(), table, strict=True)]


def _log_ratio(new: FloatArray, old: FloatArray) -> FloatArray:
    ratio: FloatArray = np.log(np.maximum(new, EPSILON) / np.maximum(old, EPSILON))
    return ratio


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation (of n rows, not n - 1) of a side's finite values."""

    n: int
    mean: float
    sigma: float

    @classmethod
    def of(cls, n: int, total: float, total_sq: float) -> Moments | None:
        """From sums; None without rows, or where a sum is not finite."""
        if n <= 0 or not (math.isfinite(total) and math.isfinite(total_sq)):
            return None
        mean = total / n
        variance = total_sq / n - mean * mean
        return cls(n, mean, math.sqrt(max(variance, 0.0)))


def mean_difference(ref: Moments | None, cur: Moments | None) -> Estimate:
    """Standardised mean difference, cur minus ref, over the root of the mean of both variances.

    Cohen's d with that standardiser, and its interval for unequal variances (Bonett 2008). n: both
    sides' rows. CANNOT_TELL where a side has fewer than two rows or neither varies.
    """
    n = (ref.n if ref else 0) + (cur.n if cur else 0)
    if ref is None or cur is None or ref.n < 2 or cur.n < 2:
        return missing(State.CANNOT_TELL, n)
    scale = math.hypot(ref.sigma, cur.sigma) / math.sqrt(2)
    # sums of squares lose digits where a column hardly varies around a large mean
    if scale <= 1e-7 * max(abs(ref.mean), abs(cur.mean)) or scale >= LARGEST:
        equal = ref.mean == cur.mean
        return figure(0.0, None, n) if equal and scale < LARGEST else missing(State.CANNOT_TELL, n)
    value = (cur.mean - ref.mean) / scale
    share_r, share_c = (ref.sigma / scale) ** 2, (cur.sigma / scale) ** 2
    df_r, df_c = ref.n - 1, cur.n - 1
    variance = value**2 / 8 * (share_r**2 / df_r + share_c**2 / df_c) + share_r / df_r
    half = normal_quantile(0.975) * math.sqrt(variance + share_c / df_c)
    return figure(value, (value - half, value + half), n, weakest=min(ref.n, cur.n))


def cramers_v(ref: FloatArray, cur: FloatArray) -> Estimate:
    """Bias-corrected Cramer's V of side and category, 0..1 (Bergsma 2013), both sides alike.

    ref, cur: counts, (bins,). Plain V shrinks where one side has many more rows than the other, so
    both are weighted as if each had h rows, the harmonic mean of theirs: phi^2 = 1/2 sum (r - c)^2
    / (r + c) of the shares, over 2 h rows. With equal numbers it is Bergsma's figure. No interval
    is known. CANNOT_TELL where a side has no rows.
    """
    m, n = float(ref.sum()), float(cur.sum())
    if n <= 0 or m <= 0:
        return missing(State.CANNOT_TELL, int(n))
    rows = 4 / (1 / n + 1 / m)
    r, c = ref / m, cur / n
    held = r + c > 0
    bins = int(held.sum())
    if bins < 2 or rows <= 2:
        return figure(0.0, None, int(n))
    phi = float(np.sum((r - c)[held] ** 2 / (r + c)[held])) / 2
    phi = max(phi - (bins - 1) / (rows - 1), 0.0)
    columns = bins - (bins - 1) ** 2 / (rows - 1)
    least = min(columns, 2 - 1 / (rows - 1)) - 1
    value = min(math.sqrt(phi / least), 1.0) if least > 0 else 0.0
    return figure(value, None, int(n), weakest=int(min(n, m)))
