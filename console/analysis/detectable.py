"""The smallest change that a window could show: what its rows are too few to see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from console.analysis.estimate import Estimate, IntervalKind
from console.analysis.figures import Figures
from console.analysis.intervals import normal_quantile
from console.analysis.sequences import boundary

__all__ = ["POWER", "detectable", "standard_error", "with_detectable"]

POWER = 0.8
"""The chance with which a change of the stated size would be found."""

_SHARES = frozenset({"accuracy", "precision", "recall", "specificity", "fpr", "fnr"})


def detectable(metric: str, e: Estimate, other: Estimate, *, binary: bool = True) -> float | None:
    """Smallest difference from `other` that a test at 5 %, two-sided, finds 4 times in 5.

    (critical + z.80) sqrt(se^2 + se_other^2), in the figure's unit; critical is z.975, or the
    boundary of the sequence where one of them is looked at again and again. The two are taken as
    independent and the standard errors as those of now. None where either has no interval, or
    nothing that varies. binary: whether precision and the like are of one class.
    """
    mine, theirs = (
        standard_error(metric, e, binary=binary),
        standard_error(metric, other, binary=binary),
    )
    if mine is None or theirs is None:
        return None
    size = (max(_critical(e), _critical(other)) + normal_quantile(POWER)) * math.hypot(mine, theirs)
    return size if 0 < size < math.inf else None


def standard_error(metric: str, e: Estimate, *, binary: bool = True) -> float | None:
    """Of one figure, from its count where it is a share, else from the width of its interval.

    The share is raised by one hit and one miss (Laplace), so that 0 of 20 has an error too. None
    without an interval.
    """
    if e.value is None or e.low is None or e.high is None or e.n <= 0:
        return None
    if metric == "accuracy" or (binary and metric in _SHARES):
        share = (e.value * e.n + 1) / (e.n + 2)
        return math.sqrt(share * (1 - share) / e.n)
    size = (e.high - e.low) / 2 / _critical(e)
    return size if math.isfinite(size) else None


def with_detectable(f: Figures, other: Figures | None) -> Figures:
    """The figures with `detectable` against the same figures of the other side."""
    if other is None:
        return f
    return replace(f, metrics=_against(f.metrics, other.metrics, f.confusion is not None))


def _against(
    metrics: Mapping[str, Estimate], others: Mapping[str, Estimate], binary: bool
) -> Mapping[str, Estimate]:
    return {
        name: replace(e, detectable=detectable(name, e, others[name], binary=binary))
        if name in others
        else e
        for name, e in metrics.items()
    }


def _critical(e: Estimate) -> float:
    return boundary(e.n) if e.interval is IntervalKind.PEEK_SAFE else normal_quantile(0.975)
