"""Many questions at once: p-values made comparable with one level for the whole list."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["benjamini_hochberg"]


def benjamini_hochberg(p: Sequence[float]) -> tuple[float, ...]:
    """P-values adjusted for the false discovery rate, in the order they came: 0..1 each.

    Of those below .05, at most 5 % are expected to be false (Benjamini & Hochberg 1995; under
    independence or positive dependence). A p-value that is not a number is none: it stays out of
    the count and gets 1.
    """
    held = np.array([1.0 if math.isnan(one) else min(max(one, 0.0), 1.0) for one in p])
    counted = np.array([not math.isnan(one) for one in p], dtype=bool)
    out = np.ones(len(held))
    ranked = held[counted]
    if not len(ranked):
        return tuple(out.tolist())
    order = np.argsort(ranked, kind="stable")
    scaled = ranked[order] * (len(ranked) / np.arange(1, len(ranked) + 1))
    # the smallest of all that follow, so that a smaller p never gets a larger value
    smallest = np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted = np.empty(len(ranked))
    adjusted[order] = np.minimum(smallest, 1.0)
    out[counted] = adjusted
    return tuple(out.tolist())
