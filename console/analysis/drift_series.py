"""PSI by step, and since when it has been above its noise."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from console.analysis.distances import EFFECT, psi_rows, used_bins
from console.analysis.drift_bins import FIRST, Binning, Counts, Series
from console.analysis.estimate import TOO_FEW
from console.analysis.intervals import chi2_quantile

__all__ = ["Points", "psi_series", "since_of", "steps_of"]

Points = tuple[tuple[datetime, float | None], ...]

_ENOUGH = 10
"""Rows per bin from which a part of the window is judged: PSI is then above its q95 7 % of the
time without drift, instead of 5."""


def steps_of(binning: Binning, series: Series) -> Counts:
    """Counts over the merged bins by step, (steps, bins)."""
    group_of = np.full(int(binning.place.max()) + 1, -1)
    group_of[binning.place] = binning.group
    known = series.bin + FIRST < len(group_of)
    group = group_of[series.bin[known] + FIRST]
    kept = group >= 0
    places = series.step[known][kept] * binning.n_groups + group[kept]
    n_steps = len(series.starts)
    counts = np.bincount(places, series.n[known][kept], n_steps * binning.n_groups)
    table: Counts = counts.astype(np.float64).reshape(n_steps, binning.n_groups)
    return table


def psi_series(starts: tuple[datetime, ...], steps: Counts, merged_ref: Counts) -> Points:
    """PSI of each step against the other side's merged counts; None for an empty step."""
    return tuple(zip(starts, psi_rows(merged_ref, steps), strict=True))


def since_of(starts: tuple[datetime, ...], steps: Counts, merged_ref: Counts) -> datetime | None:
    """The step from which PSI is above its noise, and at least `EFFECT`, to the end of the window.

    A step that is within its noise for want of rows says nothing, so steps are put together, from
    the last one back, until they have ten rows per bin. The first start where all of it is above;
    None where the last part is not.
    """
    merged = steps.sum(axis=0)
    bins, m = used_bins(merged_ref, merged), float(merged_ref.sum())
    if m <= 0 or bins < 2 or not len(starts):
        return None
    ends, need = [], max(TOO_FEW, _ENOUGH * bins)
    held = 0.0
    for i, n in reversed(tuple(enumerate(steps.sum(axis=1).tolist()))):
        held += n
        if held >= need:
            ends.append(i)
            held = 0.0
    if not ends:
        return None
    begins = ends[::-1]
    parts = np.add.reduceat(steps, begins)
    bound = chi2_quantile(0.95, bins - 1) * (1 / parts.sum(axis=1) + 1 / m)
    values = np.array([value or 0.0 for value in psi_rows(merged_ref, parts)])
    below = np.flatnonzero(values <= np.maximum(bound, EFFECT))
    if not len(below):
        return starts[0]
    last = int(below[-1])
    return starts[begins[last + 1]] if last + 1 < len(begins) else None
