"""How a subgroup differs from the whole that it is part of, with the interval of the difference."""

from __future__ import annotations

from collections.abc import Callable

from collectors.contract import Deployment, Task
from console.analysis.binary import Confusion
from console.analysis.costs import COST
from console.analysis.estimate import TOO_FEW, Estimate, State, missing
from console.analysis.figures import Figures
from console.analysis.intervals import newcombe

__all__ = ["gaps"]

# which counts make a share: (hits, rows) from a confusion
_SHARES: dict[str, Callable[[Confusion], tuple[int, int]]] = {
    "accuracy": lambda c: (c.tp + c.tn, c.n),
    "precision": lambda c: (c.tp, c.tp + c.fp),
    "recall": lambda c: (c.tp, c.tp + c.fn),
    "specificity": lambda c: (c.tn, c.tn + c.fp),
    "fpr": lambda c: (c.fp, c.tn + c.fp),
    "fnr": lambda c: (c.fn, c.tp + c.fn),
    # F1 is 2J / (1 + J) of this share, so the gap of F1 follows from the gap of J
    "jaccard": lambda c: (c.tp, c.tp + c.fp + c.fn),
}


def gaps(d: Deployment, part: Figures, whole: Figures) -> dict[str, Estimate]:
    """By metric: part minus whole, with its interval."""
    if d.task is Task.BINARY and part.confusion is not None and whole.confusion is not None:
        found = {
            name: _share_gap(part.confusion, whole.confusion, name)
            for name in _SHARES
            if name != "jaccard"
        }
        for name in ("f1", "roc_auc"):
            found[name] = _own_gap(part.metrics[name], whole.metrics[name])
        return found
    return {
        name: _mean_gap(estimate, whole.metrics[name], part, whole)
        for name, estimate in part.metrics.items()
        if name in ("accuracy", "f1", "mae", "bias", "rmse", COST)
    }


def _share_gap(part: Confusion, whole: Confusion, name: str) -> Estimate:
    """Share of a part minus share of the whole.

    The part belongs to the whole, so the difference is taken to the rest (Newcombe, independent)
    and scaled: p - P = (1 - n/N) (p - rest).
    """
    k, n = _SHARES[name](part)
    total_k, total_n = _SHARES[name](whole)
    if n == 0 or total_n == 0:
        return missing(State.CANNOT_TELL if part.n else State.NO_LABELS, n)
    outside = 1 - n / total_n
    value = k / n - total_k / total_n
    low, high = newcombe(k, n, total_k - k, total_n - n) if total_n > n else (0.0, 0.0)
    state = State.TOO_FEW if n < TOO_FEW else State.OK
    return Estimate(value, min(outside * low, value), max(outside * high, value), n, state)


def _own_gap(part: Estimate, whole: Estimate) -> Estimate:
    """The part's own interval around the whole's value; both bin errors add up."""
    if part.value is None or whole.value is None or part.low is None or part.high is None:
        return missing(part.state if part.value is None else State.CANNOT_TELL, part.n)
    ends = part.low - whole.value, part.high - whole.value
    off = None
    if part.bin_error is not None:
        off = part.bin_error + (whole.bin_error or 0.0)
    gap = part.value - whole.value
    return Estimate(gap, *ends, part.n, part.state, off, part.interval)


def _mean_gap(part: Estimate, whole: Estimate, p: Figures, w: Figures) -> Estimate:
    """Difference of two means, the part being of the whole, from the part's own interval."""
    if part.value is None or whole.value is None or part.low is None or part.high is None:
        return missing(part.state if part.value is None else State.CANNOT_TELL, part.n)
    n, total = p.n_labelled, w.n_labelled
    value = part.value - whole.value
    if n >= total:
        return Estimate(value, value, value, part.n, part.state)
    outside = 1 - n / total
    # variance of mean(part) - mean(whole) is (1 - n/N) that of mean(part), at equal spread
    half = (part.high - part.low) / 2 * outside**0.5
    ends = value - half, value + half
    return Estimate(value, *ends, part.n, part.state, interval=part.interval)
