"""Intervals that hold at every look: confidence sequences.

A 95 % interval is right 95 times in 100 if one looks once. Whoever looks again and again while rows
come, and acts when it looks bad, is wrong far more often: over 20,000 rows a fixed interval misses
the truth at some look in 60 of 100 simulated runs. A confidence sequence misses at
any look, ever, at most 5 times in 100. The price is width: 1.5 to 2 times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from console.analysis.ask import Ask
from console.analysis.estimate import Estimate, IntervalKind, State
from console.analysis.figures import Figures
from console.analysis.intervals import Interval, normal_quantile

__all__ = [
    "TUNED",
    "boundary",
    "difference_sequence",
    "is_open",
    "peek_safe",
    "possible",
    "rate_sequence",
    "watch",
]

TUNED = 1000
"""Rows at which the asymptotic sequences are narrowest, with 3.0 standard errors to each side. It
must not be chosen by looking. At 100 rows they are 3.9 wide, at 100,000 rows 3.6."""

_PRIOR = 0.5
_STEPS = 60


@lru_cache(maxsize=4096)
def rate_sequence(
    k: float, n: float, alpha: float = 0.05, a: float = _PRIOR, b: float = _PRIOR
) -> Interval:
    """Exact confidence sequence of a share, from k hits of n rows; (0, 1) where n = 0.

    All p with B(a + k, b + n - k) / B(a, b) / (p^k (1 - p)^(n - k)) < 1 / alpha: the mixture over a
    Beta(a, b) prior is a martingale at the true p (Robbins 1970; Ville 1939). It needs only (k, n),
    so buckets add up and the order of rows does not matter. The default prior is Jeffreys'.
    """
    if n <= 0:
        return 0.0, 1.0
    k = min(max(k, 0.0), n)
    share = k / n
    log_most = _x_log_y(k, share) + _x_log_y(n - k, 1 - share)
    # at the observed share the mixture is at most the likelihood: rounding must not undo that
    gain = max(log_most - (_log_beta(a + k, b + n - k) - _log_beta(a, b)), 0.0)
    level = (gain - math.log(alpha)) / n
    if k == 0:
        return 0.0, -math.expm1(-level)
    if k == n:
        return math.exp(-level), 1.0
    return _share_at(share, level, -1.0), _share_at(share, level, 1.0)


@lru_cache(maxsize=4096)
def boundary(n: float, alpha: float = 0.05, tuned: float = TUNED) -> float:
    """How many standard errors wide (to each side) an asymptotic sequence is at n rows.

    Robbins' normal mixture in the form of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024,
    sqrt(2 (n r + 1) / (n r) ln(sqrt(n r + 1) / alpha)), with r = (-2 ln alpha + ln(1 - 2 ln alpha))
    / tuned, which makes it narrowest near `tuned` rows. Infinite for n <= 0.
    """
    if n <= 0:
        return math.inf
    log_alpha = math.log(alpha)
    x = n * (-2 * log_alpha + math.log1p(-2 * log_alpha)) / tuned
    return math.sqrt(2 * (x + 1) / x * (math.log1p(x) / 2 - log_alpha))


def difference_sequence(
    gap: float, variance: float, n: float, alpha: float = 0.05, tuned: float = TUNED
) -> Interval:
    """Asymptotic confidence sequence of a difference of two independent groups.

    gap: the difference. variance: its squared standard error, the sum of both. n: rows of both.
    The form that GrowthBook uses (its tuning is 5000).
    """
    half = boundary(n, alpha, tuned) * math.sqrt(max(variance, 0.0))
    return gap - half, gap + half


def is_open(ask: Ask, e: Estimate, end: datetime) -> bool:
    """Whether rows or labels of a step that ends at `end` may still come."""
    return end >= ask.as_of or e.state is State.PROVISIONAL


def watch(ask: Ask, f: Figures, end: datetime | None = None) -> Figures:
    """The same figures with intervals that hold at every look, where someone watches them move.

    Applies where `ask.watched` and the step is open: its end is not past, or its labels are due.
    A closed step keeps the interval for one look. end: where the rows of f end, aware UTC; None:
    where the step ends that f.group.start begins.

    What is promised: for a window whose start stands still, the interval misses at any look with a
    chance of 5 % at most. A window that follows the clock moves its start once an hour and forgets
    rows. Each start begins a sequence of its own; the promise holds for each, not for all together:
    who watches a window of seven days for a year has seen some fifty that share no row.
    """
    if not ask.watched:
        return f
    end = ask.step_end(f.group.start) if end is None else end
    if not any(is_open(ask, e, end) for e in f.metrics.values()):
        return f
    by_class = f.by_class and {name: peek_safe(found) for name, found in f.by_class.items()}
    baselines = f.baselines and {
        name: peek_safe(found, binary=f.confusion is not None)
        for name, found in f.baselines.items()
    }
    metrics = peek_safe(f.metrics, binary=f.confusion is not None)
    return replace(f, metrics=metrics, by_class=by_class, baselines=baselines)


def peek_safe(metrics: Mapping[str, Estimate], *, binary: bool = True) -> Mapping[str, Estimate]:
    """Figures with confidence sequences instead of their intervals for one look.

    Exact for shares (of one class: binary, one class against the rest, traffic) and for F1. Other
    figures are asymptotically linear, so their distance from the value to each end is widened by
    `boundary(n)` / 1.96, on the scale on which their interval is made. binary: whether precision,
    recall and F1 are of one class, and not means over classes. Figures without an interval, and
    those that already have a sequence, stay as they are.
    """
    return {name: _sequence(name, e, binary) for name, e in metrics.items()}


# -- one figure ----------------------------------------------------------------------------------

_SHARES = frozenset({"precision", "recall", "specificity", "fpr", "fnr"})
_ALWAYS_SHARES = frozenset({"accuracy", "share", "error_rate"})


def _sequence(name: str, e: Estimate, binary: bool) -> Estimate:
    if e.value is None or e.low is None or e.high is None or e.n <= 0:
        return e
    if e.interval is IntervalKind.PEEK_SAFE:
        return e
    if name in _ALWAYS_SHARES or (binary and name in _SHARES):
        low, high = rate_sequence(round(e.value * e.n, 6), e.n)
    elif binary and name == "f1":
        # F1 = 2J / (1 + J) rises with J = tp / (tp + fp + fn), which is a share of e.n rows
        ends = rate_sequence(round(e.value / (2 - e.value) * e.n, 6), e.n)
        low, high = (2 * j / (1 + j) for j in ends)
    else:
        low, high = _widened(name, e.value, e.low, e.high, boundary(e.n) / normal_quantile(0.975))
    low, high = min(low, e.value), max(high, e.value)
    if not (math.isfinite(low) and math.isfinite(high)):
        return e  # near the largest number there is: better for one look than none
    return replace(e, low=low, high=high, interval=IntervalKind.PEEK_SAFE)


def _widened(name: str, value: float, low: float, high: float, factor: float) -> Interval:
    """Ends `factor` times as far from the value, on the figure's own scale."""
    floor, top = _RANGES.get(name, (-math.inf, math.inf))
    scale = _SCALES.get(name)
    if scale is not None and floor < value < top:
        there, back = scale
        centre = there(value)
        low = back(centre - factor * (centre - there(low)))
        return low, back(centre + factor * (there(high) - centre))
    return max(value - factor * (value - low), floor), min(value + factor * (high - value), top)


def _logit(x: float) -> float:
    if x <= 0:
        return -math.inf
    return math.inf if x >= 1 else math.log(x) - math.log1p(-x)


def _expit(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def _atanh(x: float) -> float:
    return math.copysign(math.inf, x) if abs(x) >= 1 else math.atanh(x)


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0))


_Scale = tuple[Callable[[float], float], Callable[[float], float]]

_UNIT = (
    *("roc_auc", "average_precision", "balanced_accuracy", "f1"),
    *sorted(_SHARES | _ALWAYS_SHARES),
)
_FLOORED = ("log_loss", "brier", "ece", "mae", "rmse", "mape")
_LATENCY = ("latency_p50", "latency_p95", "latency_p99")

_RANGES: dict[str, Interval] = {
    **dict.fromkeys(_UNIT, (0.0, 1.0)),
    **dict.fromkeys((*_FLOORED, *_LATENCY), (0.0, math.inf)),
    "mcc": (-1.0, 1.0),
    "r2": (-math.inf, 1.0),
}

# there and back; where the value lies on an end of the range there is no scale
_SCALES: dict[str, _Scale] = {
    **dict.fromkeys(_UNIT, (_logit, _expit)),
    "mcc": (_atanh, math.tanh),
    "rmse": (_log, _exp),
    "r2": (lambda x: -_log(1 - x), lambda x: 1 - _exp(-x)),
}


def possible(metric: str) -> Interval:
    """The values that a figure can have."""
    return _RANGES.get(metric, (-math.inf, math.inf))


# -- the exact sequence --------------------------------------------------------------------------


def _share_at(share: float, level: float, side: float) -> float:
    """The p below (side -1) or above (1) the share at which its Kullback-Leibler distance is level.

    Newton on the logit scale, where the distance is convex: after one step it comes from outside,
    without crossing. level: in nats, above 0.
    """
    theta = _logit(share) + side * math.sqrt(2 * level / (share * (1 - share)))
    theta = min(max(theta, -700.0), 700.0)
    for _ in range(_STEPS):
        p = _expit(theta)
        slope = p - share
        if slope * side <= 0:
            break
        step = (_distance(share, theta) - level) / slope
        theta -= step
        if abs(step) < 1e-12 * max(abs(theta), 1.0):
            break
    return _expit(theta)


def _distance(share: float, theta: float) -> float:
    """KL(share, expit(theta)) = softplus(theta) - share theta - entropy."""
    soft = max(theta, 0.0) + math.log1p(math.exp(-abs(theta)))
    entropy = -(_x_log_y(share, share) + _x_log_y(1 - share, 1 - share))
    return soft - share * theta - entropy


def _x_log_y(x: float, y: float) -> float:
    return x * math.log(y) if x > 0 else 0.0


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
