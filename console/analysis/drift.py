"""Drift per feature, score and prediction: distances from the version's own reference.

PSI, Jensen-Shannon and chi-square are taken over the reference's deciles (or categories) with
missing and unseen as bins of their own; KS and Wasserstein over all kept bins. Every row carries
the noise that samples of this size make without any drift.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from collectors.contract import Deployment, FeatureKind, Task
from console.analysis.ask import Ask
from console.analysis.distances import (
    DriftState,
    chi_square,
    drift_state,
    jensen_shannon,
    ks_bracket,
    psi,
    psi_noise,
    psi_rows,
    used_bins,
    wasserstein,
)
from console.analysis.drift_bins import (
    MISSING,
    NOT_FINITE,
    UNSEEN,
    Binning,
    Counts,
    Part,
    Series,
    bin_n,
    binning_of,
    counts_in,
    merge,
    number_of,
    parts_of,
    range_of,
    series_of,
)
from console.analysis.drift_findings import drift_findings
from console.analysis.estimate import Estimate, State, missing
from console.analysis.findings import Finding, worst_first
from console.analysis.intervals import proportion

__all__ = ["DRIFT_METRICS", "Distribution", "DriftFrames", "DriftRow", "DriftSnapshot", "drift"]

DRIFT_METRICS = ("psi", "js", "ks", "wasserstein", "chi2", "null_rate", "unseen_rate")

_SCORE, _PREDICTION = -1, -2


@dataclass(frozen=True, slots=True)
class DriftFrames:
    """Feature rollups of the window and by step, frozen bins, and the reference's counts."""

    whole: pl.DataFrame
    series: pl.DataFrame
    bins: pl.DataFrame
    reference: pl.DataFrame
    profile: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Distribution:
    """Shares per bin, for a picture: labels, the reference's shares (or none), the window's."""

    labels: tuple[str, ...]
    reference: tuple[float | None, ...]
    current: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One feature of one version. n, n_reference: rows. noise_floor, noise_q95: PSI without drift.

    lowest, highest: of the window, next to those of the reference. series: PSI by step.
    """

    version: str
    feature: str
    kind: FeatureKind
    n: int
    n_reference: int
    metrics: Mapping[str, Estimate]
    noise_floor: float | None
    noise_q95: float | None
    state: DriftState
    distribution: Distribution
    series: tuple[tuple[datetime, float | None], ...]
    lowest: float | None = None
    highest: float | None = None
    reference_range: tuple[float, float] | None = None
    null_rate_reference: float | None = None


@dataclass(frozen=True, slots=True)
class DriftSnapshot:
    """Rows ranked: drifted first, by PSI above its noise. share_drifted: of the features."""

    ask: Ask
    rows: tuple[DriftRow, ...]
    findings: tuple[Finding, ...]
    has_reference: bool


def drift(ask: Ask, frames: DriftFrames) -> DriftSnapshot:
    """All drift figures of a window. Pure: frames in, snapshot out."""
    d = ask.deployment
    names = _subjects(d)
    bins = {key[0]: part for key, part in frames.bins.partition_by("feature", as_dict=True).items()}
    whole, reference = parts_of(frames.whole), parts_of(frames.reference)
    series = series_of(frames.series)
    profile = {
        (row["version"], row["feature"]): row for row in frames.profile.iter_rows(named=True)
    }
    binnings: dict[tuple[str, int], Binning] = {}
    rows = []
    for (version, feature), part in whole.items():
        if feature not in names or feature not in bins:
            continue
        of = version if (version, feature) in reference else ""
        key = (of, feature)
        if key not in binnings:
            binnings[key] = binning_of(bins[feature], names[feature][1], profile.get(key))
        rows.append(
            _row(
                version,
                names[feature],
                binnings[key],
                part,
                series.get((version, feature)),
                reference.get(key),
                profile.get(key),
            )
        )
    order = {DriftState.DRIFTED: 0, DriftState.SMALL: 1, DriftState.OK: 2}
    rows.sort(key=lambda r: (order.get(r.state, 3), -(r.metrics["psi"].value or 0.0), r.feature))
    findings = worst_first(drift_findings(rows, ask.end - ask.start))
    return DriftSnapshot(ask, tuple(rows), findings, not frames.reference.is_empty())


def _subjects(d: Deployment) -> dict[int, tuple[str, FeatureKind]]:
    names = {i: (f.name, f.kind) for i, f in enumerate(d.features)}
    names[_SCORE] = ("score", FeatureKind.NUMERIC)
    numeric = d.task is Task.REGRESSION
    names[_PREDICTION] = (
        "prediction",
        FeatureKind.NUMERIC if numeric else FeatureKind.CATEGORICAL,
    )
    return names


def _row(  # noqa: PLR0917 - the parts of one row, all of one subject
    version: str,
    subject: tuple[str, FeatureKind],
    binning: Binning,
    part: Part,
    series: Series | None,
    reference: Part | None,
    profile: Mapping[str, object] | None,
) -> DriftRow:
    name, kind = subject
    current = counts_in(binning, part)
    ref = counts_in(binning, reference) if reference is not None else np.zeros_like(current)
    n, m = int(current.sum()), int(ref.sum())
    nulls = int(sum(bin_n(part, b) for b in (MISSING, NOT_FINITE)))
    metrics: dict[str, Estimate] = {"null_rate": proportion(nulls, n)}
    merged_cur, merged_ref = merge(binning, current), merge(binning, ref)
    state, noise = DriftState.CANNOT_TELL, None
    if n and m:
        used = used_bins(merged_ref, merged_cur)
        noise = psi_noise(used, n, m)
        value = psi(merged_ref, merged_cur)
        state = drift_state(value, noise.q95 if noise else None, n, m, used)
        metrics["psi"] = _figure(value, n)
        metrics["js"] = _figure(jensen_shannon(merged_ref, merged_cur), n)
        chi = chi_square(merged_ref, merged_cur)
        metrics["chi2"] = _figure(chi.statistic if chi else None, n)
        metrics |= _ordered(kind, binning, part, ref, current, profile)
        metrics["unseen_rate"] = proportion(
            _unseen(binning, kind, part, reference, current, profile), n
        )
    for metric in DRIFT_METRICS:
        metrics.setdefault(metric, missing(State.CANNOT_TELL if n else State.NO_ROWS, n))
    ref_nulls = None
    if reference is not None and m:
        ref_nulls = sum(bin_n(reference, b) for b in (MISSING, NOT_FINITE)) / m
    return DriftRow(
        version,
        name,
        kind,
        n,
        m,
        metrics,
        noise.expected if noise else None,
        noise.q95 if noise else None,
        state,
        _distribution(binning, merged_ref, merged_cur),
        _psi_series(binning, merged_ref, series),
        part.lowest,
        part.highest,
        range_of(profile),
        ref_nulls,
    )


# -- figures -------------------------------------------------------------------------------------


def _ordered(  # noqa: PLR0917 - as above
    kind: FeatureKind,
    binning: Binning,
    part: Part,
    ref: Counts,
    current: Counts,
    profile: Mapping[str, object] | None,
) -> dict[str, Estimate]:
    """KS and Wasserstein, for numeric features."""
    if kind is not FeatureKind.NUMERIC:
        return {}
    r, c = ref[:-2], current[:-2]
    n = int(c.sum())
    bracket = ks_bracket(r, c)
    found = {}
    if bracket is not None:
        low, high = bracket
        found["ks"] = Estimate(low, low, high, n, State.OK, high - low)
    low_end, high_end = range_of(profile) or (math.nan, math.nan)
    least, most = part.lowest, part.highest
    lower, upper = binning.lower[:-2].copy(), binning.upper[:-2].copy()
    if least is not None and most is not None and len(lower):
        lower[0], upper[-1] = min(least, low_end), max(most, high_end)
        sigma = number_of(profile["sigma"]) if profile else None
        moved = wasserstein(lower, upper, r, c, sigma if sigma is not None else math.nan)
        if moved is not None:
            found["wasserstein"] = Estimate(moved.value, None, None, n, State.OK, moved.bin_error)
    return found


def _unseen(  # noqa: PLR0917 - the parts of one row, all of one subject
    binning: Binning,
    kind: FeatureKind,
    part: Part,
    reference: Part | None,
    current: Counts,
    profile: Mapping[str, object] | None,
) -> int:
    """Rows outside what the reference had: an unknown category, or beyond its range."""
    if kind is FeatureKind.CATEGORICAL:
        return bin_n(part, UNSEEN) + sum(
            n
            for number, n in part.counts.items()
            if number >= 0 and reference is not None and not reference.counts.get(number)
        )
    limits = range_of(profile)
    if limits is None:
        return 0
    low, high = limits
    outside = (binning.upper[:-2] < low) | (binning.lower[:-2] >= high)
    return int(current[:-2][outside].sum())


def _psi_series(
    binning: Binning, merged_ref: Counts, series: Series | None
) -> tuple[tuple[datetime, float | None], ...]:
    if series is None:
        return ()
    if not merged_ref.sum():
        return tuple((start, None) for start in series.starts)
    # numbers run from -3 up, so an offset makes them places of a table
    group_of = np.full(max(binning.numbers) + 4, -1)
    group_of[np.array(binning.numbers) + 3] = binning.group
    known = series.bin + 3 < len(group_of)
    group = group_of[series.bin[known] + 3]
    kept = group >= 0
    places = series.step[known][kept] * binning.n_groups + group[kept]
    n_steps = len(series.starts)
    counts = np.bincount(places, series.n[known][kept], n_steps * binning.n_groups)
    table = counts.astype(np.float64).reshape(n_steps, binning.n_groups)
    return tuple(zip(series.starts, psi_rows(merged_ref, table), strict=True))


def _distribution(binning: Binning, ref: Counts, cur: Counts) -> Distribution:
    m, n = ref.sum(), cur.sum()
    keep = np.flatnonzero((ref + cur) > 0)[:60]
    return Distribution(
        tuple(binning.labels[i] for i in keep),
        tuple(float(ref[i] / m) if m else None for i in keep),
        tuple(float(cur[i] / n) if n else None for i in keep),
    )


def _figure(value: float | None, n: int) -> Estimate:
    return missing(State.CANNOT_TELL, n) if value is None else Estimate(value, None, None, n)
