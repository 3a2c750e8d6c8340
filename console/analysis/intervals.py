"""Quantiles and intervals: the arithmetic of "how sure", from counts and sums alone.

numpy and scipy are not needed here, and scipy is not imported on purpose: loading scipy.stats
costs more than the rest of the console's start.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

from console.analysis.estimate import TOO_FEW, Estimate, State, missing

__all__ = [
    "chi2_quantile",
    "difference",
    "figure",
    "gamma_p",
    "gamma_q",
    "logit_interval",
    "mean",
    "mean_interval",
    "newcombe",
    "normal_quantile",
    "proportion",
    "t_quantile",
    "wilson",
]

Interval = tuple[float, float]

_NORMAL = NormalDist()
_TINY = 1e-300


def normal_quantile(q: float) -> float:
    """Quantile of the standard normal at q, 0 < q < 1 (else statistics.StatisticsError).

    Wichura 1988, AS 241, as in the standard library; relative error about 1e-16.
    """
    return _NORMAL.inv_cdf(q)


@lru_cache(maxsize=1024)
def t_quantile(q: float, df: int) -> float:
    """Quantile of Student's t at q, 0 < q < 1, with df >= 1 degrees of freedom.

    Exact for df 1 and 2; above, the expansion of Abramowitz & Stegun 26.7.5. At q = .975 its
    relative error is 1.3e-3 for df = 3, 1e-4 for df = 5 and below 1e-6 from df = 15.
    """
    if df <= 1:
        return math.tan(math.pi * (q - 0.5))
    if df == 2:
        return (2 * q - 1) / math.sqrt(2 * q * (1 - q))
    z = normal_quantile(q)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(df) ** (i + 1) for i, term in enumerate(terms))


def gamma_p(a: float, x: float) -> float:
    """Regularised lower incomplete gamma function P(a, x), a > 0: 0..1.

    Series (DLMF 8.11.4) below a + 1, continued fraction (DLMF 8.9.2, Lentz) above. Relative error
    below 1e-10 for a up to 1e4 (compared with scipy.special.gammainc).
    """
    if x <= 0:
        return 0.0
    return _gamma_series(a, x) if x < a + 1 else 1.0 - _gamma_fraction(a, x)


def gamma_q(a: float, x: float) -> float:
    """Regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x), exact in the far tail."""
    if x <= 0:
        return 1.0
    return 1.0 - _gamma_series(a, x) if x < a + 1 else _gamma_fraction(a, x)


@lru_cache(maxsize=1024)
def chi2_quantile(q: float, df: float) -> float:
    """Quantile of chi-square at q, 0 < q < 1; 0 for df <= 0 (nothing is free to vary).

    Wilson & Hilferty 1931 gives the start, then Newton steps on P(df/2, x/2), kept inside a
    bracket. Relative error below 1e-8 (compared with scipy.stats.chi2.ppf).
    """
    if df <= 0:
        return 0.0
    spread = 2 / (9 * df)
    x = max(df * (1 - spread + normal_quantile(q) * math.sqrt(spread)) ** 3, 1e-8 * df)
    low, high = 0.0, math.inf
    for _ in range(200):
        error = gamma_p(df / 2, x / 2) - q
        low, high = (x, high) if error < 0 else (low, x)
        log_density = (df / 2 - 1) * math.log(x / 2) - x / 2 - math.lgamma(df / 2)
        density = 0.5 * math.exp(min(log_density, 700.0))
        step = x - error / density if density > 0 else math.nan
        if not low < step < high:
            step = 2 * x if math.isinf(high) else (low + high) / 2
        if abs(step - x) <= 1e-13 * x:
            return step
        x = step
    return x


def wilson(k: float, n: float, level: float = 0.95) -> Interval:
    """Wilson 1927 score interval of a share k/n; (0, 1) where n = 0.

    k and n may be fractions (an effective sample size). 81/263 -> (.25529, .36621).
    """
    if n <= 0:
        return 0.0, 1.0
    z = normal_quantile(0.5 + level / 2)
    share = min(max(k / n, 0.0), 1.0)
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    low = 0.0 if share == 0 else max(centre - half, 0.0)
    high = 1.0 if share == 1 else min(centre + half, 1.0)
    return low, high


def newcombe(k1: float, n1: float, k2: float, n2: float, level: float = 0.95) -> Interval:
    """Interval of k1/n1 - k2/n2 (independent samples); (-1, 1) where either n is 0.

    Newcombe 1998, method 10: the two Wilson intervals, squared and added.
    """
    if n1 <= 0 or n2 <= 0:
        return -1.0, 1.0
    p1, p2 = k1 / n1, k2 / n2
    low1, high1 = wilson(k1, n1, level)
    low2, high2 = wilson(k2, n2, level)
    gap = p1 - p2
    return gap - math.hypot(p1 - low1, high2 - p2), gap + math.hypot(high1 - p1, p2 - low2)


def mean_interval(total: float, total_sq: float, n: int, level: float = 0.95) -> Interval | None:
    """Student's t interval of a mean, from sum, sum of squares and count; None where n < 2.

    The variance is total_sq - total^2/n: it loses digits where |mean| > 1e6 standard deviations,
    and is never taken below 0. None also where a sum is not finite.
    """
    if n < 2 or not (math.isfinite(total) and math.isfinite(total_sq)):
        return None
    total, total_sq = float(total), float(total_sq)  # Python floats overflow without a warning
    centre = total / n
    variance = max(total_sq / n - centre * centre, 0.0) * n / (n - 1)
    half = t_quantile(0.5 + level / 2, n - 1) * math.sqrt(variance / n)
    return centre - half, centre + half


def logit_interval(value: float, se: float, level: float = 0.95) -> Interval:
    """Interval of a share-like figure through the logit scale, so it stays within 0..1.

    se: standard error of value. Boyd, Eng & Page 2013 for average precision (se^2 =
    v (1 - v) / positives); Pepe 2003 for the AUC. (0, 1) where value is 0 or 1: the logit does
    not exist there, and the caller should use `wilson`.
    """
    spread = value * (1 - value)
    if not 0 < value < 1 or spread <= 0 or not math.isfinite(se / spread):
        return 0.0, 1.0
    half = normal_quantile(0.5 + level / 2) * se / spread
    centre = math.log(value) - math.log1p(-value)
    return _expit(centre - half), _expit(centre + half)


def figure(
    value: float,
    interval: Interval | None,
    n: int,
    *,
    weakest: int | None = None,
    bin_error: float | None = None,
) -> Estimate:
    """An Estimate whose state follows from its counts: TOO_FEW below `TOO_FEW`, else OK.

    weakest: the count that decides, where it is not n (the smaller class of an AUC). The interval
    is widened to hold the value; a value that is not finite becomes CANNOT_TELL.
    """
    if not math.isfinite(value):
        return missing(State.CANNOT_TELL, n)
    low = high = None
    if interval is not None and math.isfinite(interval[0]) and math.isfinite(interval[1]):
        low, high = float(min(interval[0], value)), float(max(interval[1], value))
    state = State.TOO_FEW if (n if weakest is None else weakest) < TOO_FEW else State.OK
    return Estimate(float(value), low, high, n, state, bin_error)


def proportion(k: int, n: int) -> Estimate:
    """The share k/n with its Wilson interval; NO_LABELS at n = 0, TOO_FEW, with value, below 30."""
    if n <= 0:
        return missing(State.NO_LABELS)
    return figure(k / n, wilson(k, n), n)


def difference(k1: int, n1: int, k2: int, n2: int) -> Estimate:
    """k1/n1 - k2/n2 with Newcombe's interval; n = n1 + n2, the smaller one decides the state."""
    if n1 <= 0 or n2 <= 0:
        return missing(State.NO_LABELS, n1 + n2)
    interval = newcombe(k1, n1, k2, n2)
    return figure(k1 / n1 - k2 / n2, interval, n1 + n2, weakest=min(n1, n2))


def mean(total: float, total_sq: float, n: int, floor: float = -math.inf) -> Estimate:
    """A mean with its t interval, cut at `floor` (0 for a loss); NO_LABELS where n = 0."""
    if n <= 0:
        return missing(State.NO_LABELS)
    interval = mean_interval(total, total_sq, n)
    if interval is not None:
        interval = max(interval[0], floor), interval[1]
    return figure(float(total) / n, interval, n)


def _expit(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def _gamma_scale(a: float, x: float) -> float:
    return math.exp(a * math.log(x) - x - math.lgamma(a))


def _gamma_series(a: float, x: float) -> float:
    term = total = 1 / a
    step = a
    while term > total * 1e-17:
        step += 1
        term *= x / step
        total += term
    return min(total * _gamma_scale(a, x), 1.0)


def _gamma_fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c = 1 / _TINY
    d = 1 / b
    product = d
    for i in range(1, 100_000):
        factor = -i * (i - a)
        b += 2
        d = factor * d + b
        d = 1 / (d if abs(d) > _TINY else _TINY)
        c = b + factor / c
        c = c if abs(c) > _TINY else _TINY
        product *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return min(product * _gamma_scale(a, x), 1.0)
