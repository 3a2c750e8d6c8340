"""Figures of a regression model, from sums of its errors and a histogram of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from console.analysis.estimate import Estimate, State, missing
from console.analysis.intervals import Interval, figure, mean, normal_quantile, wilson

__all__ = ["REGRESSION_METRICS", "RegressionSums", "error_quantiles", "regression_metrics"]

REGRESSION_METRICS = ("mae", "rmse", "mape", "bias", "r2")
"""Names of the figures, in the order they are shown."""

_LEAST_SPREAD = 1e-10
"""Below this share of sum y^2, what is left of it around the mean is rounding, not variance."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RegressionSums:
    """Sums over labelled rows, e = prediction - y in the unit of y. They add up over buckets.

    e_quad: sum of e^4. ape_sum, ape_sq: sums of |e|/|y| and its square over the n_ape rows with
    y != 0.
    """

    n_labelled: int
    y_sum: float
    y_sq: float
    e_sum: float
    e_abs: float
    e_sq: float
    e_quad: float
    ape_sum: float
    ape_sq: float
    n_ape: int

    def __add__(self, other: RegressionSums) -> RegressionSums:
        names = (field.name for field in fields(self))
        return RegressionSums(*(getattr(self, name) + getattr(other, name) for name in names))


def regression_metrics(sums: RegressionSums) -> dict[str, Estimate]:
    """mae, rmse, bias in the unit of y; mape as a share (.1 is 10 %); r2 at most 1.

    mae, mape, bias: t interval of the mean. NO_LABELS without labels; mape is over rows with
    y != 0 (n says how many) and CANNOT_TELL where there are none, r2 where y does not vary.
    """
    sums = _plain(sums)
    n = sums.n_labelled
    if n <= 0:
        return {name: missing(State.NO_LABELS) for name in REGRESSION_METRICS}
    mape = mean(sums.ape_sum, sums.ape_sq, sums.n_ape, floor=0.0)
    return {
        "mae": mean(sums.e_abs, sums.e_sq, n, floor=0.0),
        "rmse": _rmse(sums),
        "mape": mape if sums.n_ape > 0 else missing(State.CANNOT_TELL),
        "bias": mean(sums.e_sum, sums.e_sq, n),
        "r2": _r2(sums),
    }


def error_quantiles(
    lower: ArrayLike,
    upper: ArrayLike,
    counts: ArrayLike,
    quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
) -> dict[float, Estimate]:
    """Quantiles of the signed error, by their level, in the unit of y.

    lower, upper, counts: (bins,), ascending, disjoint; a bin holds lower <= e <= upper. The value
    is read off linearly within its bin; the exact quantile (numpy's method "inverted_cdf") lies
    in the same bin, hence bin_error. The interval is distribution-free: the quantiles at the
    Wilson limits of the level. CANNOT_TELL where the quantile falls in a bin without an end.
    """
    low, high = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    size = np.asarray(counts, np.float64)
    rows = round(float(size.sum()))
    if rows <= 0:
        return {level: missing(State.NO_LABELS) for level in quantiles}
    ends = np.cumsum(size)
    out = {}
    for level in quantiles:
        value, error = _read_off(level, low, high, size, ends)
        down, up = wilson(level * rows, rows)
        interval = (
            _read_off(down, low, high, size, ends)[0],
            _read_off(up, low, high, size, ends)[0],
        )
        out[level] = figure(value, interval, rows, bin_error=error)
    return out


def _plain(sums: RegressionSums) -> RegressionSums:
    """The same in Python's numbers, which overflow to infinity without numpy's warning."""
    y, e = (float(sums.y_sum), float(sums.y_sq)), (float(sums.e_sum), float(sums.e_abs))
    squares, ape = (float(sums.e_sq), float(sums.e_quad)), (float(sums.ape_sum), float(sums.ape_sq))
    return RegressionSums(int(sums.n_labelled), *y, *e, *squares, *ape, int(sums.n_ape))


def _rmse(sums: RegressionSums) -> Estimate:
    """Interval: delta method on ln MSE, whose variance needs sum e^4; so it stays above 0.

    Both are enlarged by n / (n - z) for small n (Bonett 2006): of 50 normal errors it then covers
    93.4 % instead of 92.5 %.
    """
    mse = sums.e_sq / sums.n_labelled
    value = math.sqrt(max(mse, 0.0))
    z = normal_quantile(0.975)
    larger = sums.n_labelled / max(sums.n_labelled - z, 0.04)
    half = z * larger * _log_mse_error(sums, mse) / 2
    interval: Interval | None = (value, value) if half == 0 else None
    if 0 < half < 300:
        centre = value * math.sqrt(larger)
        interval = centre * math.exp(-half), centre * math.exp(half)
    return figure(value, interval, sums.n_labelled)


def _r2(sums: RegressionSums) -> Estimate:
    """1 - sum e^2 / sum (y - mean y)^2.

    Interval: delta method on ln(MSE / variance of y), the two taken as independent and y's
    kurtosis as normal (its fourth power is not among the sums): approximate.
    """
    n = sums.n_labelled
    around = sums.y_sq - sums.y_sum * (sums.y_sum / n)
    if n < 2 or not around > _LEAST_SPREAD * sums.y_sq:
        return missing(State.CANNOT_TELL, n)
    unexplained = sums.e_sq / around
    error = math.hypot(_log_mse_error(sums, sums.e_sq / n), math.sqrt(2 / n))
    half = normal_quantile(0.975) * error
    interval: Interval | None = None
    if half < 300:
        interval = 1 - unexplained * math.exp(half), 1 - unexplained * math.exp(-half)
    return figure(1 - unexplained, interval, n)


def _log_mse_error(sums: RegressionSums, mse: float) -> float:
    """Standard error of ln MSE; infinite where one row only, so that no interval is drawn."""
    n = sums.n_labelled
    if n < 2:
        return math.inf
    if mse <= 0:
        return 0.0
    kurtosis = sums.e_quad / n / mse / mse
    if not math.isfinite(kurtosis):
        return math.inf
    return math.sqrt(max(kurtosis - 1, 0.0) / (n - 1))


def _read_off(
    level: float, lower: FloatArray, upper: FloatArray, size: FloatArray, ends: FloatArray
) -> tuple[float, float]:
    """(quantile, distance to the farther end of its bin); NaN in a bin without an end."""
    total = float(ends[-1])
    rank = min(max(level * total, 0.0), total)
    # The row of rank ceil(level n) decides the bin; 1e-9 keeps .3 * 10 = 3.0000000000000004 at 3.
    row = min(max(math.ceil(rank * (1 - 1e-12) - 1e-9), 1), total)
    place = int(np.searchsorted(ends, row))
    start, stop = float(lower[place]), float(upper[place])
    if not (math.isfinite(start) and math.isfinite(stop)):
        return math.nan, math.inf
    share = (rank - (float(ends[place]) - float(size[place]))) / float(size[place])
    value = start + (stop - start) * min(max(share, 0.0), 1.0)
    return value, max(value - start, stop - value)
