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
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Deployment, FeatureKind, Task
from console.analysis.ask import Ask, utc
from console.analysis.distances import (
    DriftState,
    chi_square,
    drift_state,
    jensen_shannon,
    ks_bracket,
    psi,
    psi_noise,
    used_bins,
    wasserstein,
)
from console.analysis.estimate import Estimate, State, missing
from console.analysis.findings import Finding, Severity, worst_first
from console.analysis.intervals import newcombe, proportion

__all__ = ["DRIFT_METRICS", "Distribution", "DriftFrames", "DriftRow", "DriftSnapshot", "drift"]

DRIFT_METRICS = ("psi", "js", "ks", "wasserstein", "chi2", "null_rate", "unseen_rate")

MISSING, NOT_FINITE, UNSEEN = -1, -2, -3
_SCORE, _PREDICTION = -1, -2
_LARGE = 0.25

Counts = NDArray[np.float64]


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


@dataclass(frozen=True, slots=True)
class _Binning:
    """Kept bins of one feature in order, and how PSI merges them for one version."""

    numbers: tuple[int, ...]
    lower: Counts
    upper: Counts
    group: NDArray[np.int64]
    labels: tuple[str, ...]
    n_groups: int


def drift(ask: Ask, frames: DriftFrames) -> DriftSnapshot:
    """All drift figures of a window. Pure: frames in, snapshot out."""
    d = ask.deployment
    names = _subjects(d)
    bins = {key[0]: part for key, part in frames.bins.partition_by("feature", as_dict=True).items()}
    whole = _by_version_feature(frames.whole)
    series = _by_version_feature(frames.series)
    reference = _by_version_feature(frames.reference)
    profile = {
        (row["version"], row["feature"]): row for row in frames.profile.iter_rows(named=True)
    }
    rows = []
    for (version, feature), part in whole.items():
        if feature not in names or feature not in bins:
            continue
        name, kind = names[feature]
        of = version if (version, feature) in reference else ""
        rows.append(
            _row(
                version,
                (name, kind),
                bins[feature],
                part,
                series.get((version, feature)),
                reference.get((of, feature)),
                profile.get((of, feature)),
            )
        )
    order = {DriftState.DRIFTED: 0, DriftState.SMALL: 1, DriftState.OK: 2}
    rows.sort(key=lambda r: (order.get(r.state, 3), -(r.metrics["psi"].value or 0.0), r.feature))
    return DriftSnapshot(
        ask, tuple(rows), worst_first(_findings(rows)), not frames.reference.is_empty()
    )


def _subjects(d: Deployment) -> dict[int, tuple[str, FeatureKind]]:
    names = {i: (f.name, f.kind) for i, f in enumerate(d.features)}
    names[_SCORE] = ("score", FeatureKind.NUMERIC)
    numeric = d.task is Task.REGRESSION
    names[_PREDICTION] = (
        "prediction",
        FeatureKind.NUMERIC if numeric else FeatureKind.CATEGORICAL,
    )
    return names


def _by_version_feature(frame: pl.DataFrame) -> dict[tuple[str, int], pl.DataFrame]:
    if frame.is_empty():
        return {}
    parts = frame.partition_by(["version", "feature"], as_dict=True, maintain_order=True)
    return {(str(v), int(f)): part for (v, f), part in parts.items()}


def _row(  # noqa: PLR0917 - the parts of one row, all of one subject
    version: str,
    subject: tuple[str, FeatureKind],
    bins: pl.DataFrame,
    part: pl.DataFrame,
    series: pl.DataFrame | None,
    reference: pl.DataFrame | None,
    profile: Mapping[str, object] | None,
) -> DriftRow:
    name, kind = subject
    binning = _binning(bins, kind, profile)
    current = _counts(binning, part)
    ref = _counts(binning, reference) if reference is not None else np.zeros_like(current)
    n, m = int(current.sum()), int(ref.sum())
    nulls = int(sum(_bin_n(part, b) for b in (MISSING, NOT_FINITE)))
    metrics: dict[str, Estimate] = {"null_rate": proportion(nulls, n)}
    merged_cur, merged_ref = _merge(binning, current), _merge(binning, ref)
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
        metrics["unseen_rate"] = proportion(_unseen(binning, kind, part, current, profile), n)
    for metric in DRIFT_METRICS:
        metrics.setdefault(metric, missing(State.CANNOT_TELL if n else State.NO_ROWS, n))
    lowest, highest = part["value_min"].min(), part["value_max"].max()
    ref_nulls = None
    if reference is not None and m:
        ref_nulls = sum(_bin_n(reference, b) for b in (MISSING, NOT_FINITE)) / m
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
        _float(lowest),
        _float(highest),
        _range(profile),
        ref_nulls,
    )


# -- bins ----------------------------------------------------------------------------------------


def _binning(
    bins: pl.DataFrame, kind: FeatureKind, profile: Mapping[str, object] | None
) -> _Binning:
    if kind is FeatureKind.CATEGORICAL:
        named: dict[int, str] = {}
        for number, category in bins.select("bin", "category").iter_rows():
            named[number] = "(other)" if number in named else category
        numbers = (*named, MISSING, UNSEEN)
        labels = (*named.values(), "(missing)", "(unseen)")
        nothing = np.full(len(numbers), np.nan)
        return _Binning(numbers, nothing, nothing, np.arange(len(numbers)), labels, len(numbers))
    upper = np.array([math.inf if u is None else u for u in bins["upper"]], dtype=np.float64)
    lower = np.concatenate(([-math.inf], upper[:-1]))
    edges = _decile_edges(profile)
    if edges is None:  # no reference: every fifth kept bin, for a picture only
        edges = upper[:-1][:: max(1, len(upper) // 10)]
    inner = np.searchsorted(edges, upper, side="left")
    group = np.concatenate((inner, [len(edges) + 1, len(edges) + 1]))
    ends = ["-∞", *(f"{e:.4g}" for e in edges), "∞"]
    labels = tuple(
        f"≤ {b}" if a == "-∞" else f"> {a}" if b == "∞" else f"{a} to {b}"
        for a, b in pairwise(ends)
    )
    return _Binning(
        (*range(len(upper)), MISSING, NOT_FINITE),
        np.concatenate((lower, [np.nan, np.nan])),
        np.concatenate((upper, [np.nan, np.nan])),
        group,
        (*labels, "(missing)"),
        len(edges) + 2,
    )


def _decile_edges(profile: Mapping[str, object] | None) -> Counts | None:
    """The reference's deciles; a value that holds several of them becomes a bin of its own."""
    deciles = profile["deciles"] if profile else None
    if not isinstance(deciles, list) or not deciles:
        return None
    lowest = _float(profile["lowest"]) if profile else None
    edges: set[float] = set()
    for value in deciles:
        if deciles.count(value) > 1 and value != lowest:
            edges.add(math.nextafter(value, -math.inf))
        edges.add(value)
    return np.array(sorted(edges), dtype=np.float64)


def _counts(binning: _Binning, frame: pl.DataFrame) -> Counts:
    place = {number: i for i, number in enumerate(binning.numbers)}
    counts = np.zeros(len(place))
    for number, n in frame.select("bin", "n").iter_rows():
        if number in place:
            counts[place[number]] += n
    return counts


def _merge(binning: _Binning, counts: Counts) -> Counts:
    merged: Counts = np.bincount(binning.group, counts, binning.n_groups).astype(np.float64)
    return merged


def _bin_n(frame: pl.DataFrame, number: int) -> int:
    return int(frame.filter(pl.col("bin") == number)["n"].sum())


# -- figures -------------------------------------------------------------------------------------


def _ordered(  # noqa: PLR0917 - as above
    kind: FeatureKind,
    binning: _Binning,
    part: pl.DataFrame,
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
    low_end, high_end = _range(profile) or (math.nan, math.nan)
    least, most = _float(part["value_min"].min()), _float(part["value_max"].max())
    lower, upper = binning.lower[:-2].copy(), binning.upper[:-2].copy()
    if least is not None and most is not None and len(lower):
        lower[0], upper[-1] = min(least, low_end), max(most, high_end)
        sigma = _float(profile["sigma"]) if profile else None
        moved = wasserstein(lower, upper, r, c, sigma if sigma is not None else math.nan)
        if moved is not None:
            found["wasserstein"] = Estimate(moved.value, None, None, n, State.OK, moved.bin_error)
    return found


def _unseen(
    binning: _Binning,
    kind: FeatureKind,
    part: pl.DataFrame,
    current: Counts,
    profile: Mapping[str, object] | None,
) -> int:
    """Rows outside what the reference had: an unknown category, or beyond its range."""
    if kind is FeatureKind.CATEGORICAL:
        return _bin_n(part, UNSEEN)
    limits = _range(profile)
    if limits is None:
        return 0
    low, high = limits
    outside = (binning.upper[:-2] < low) | (binning.lower[:-2] >= high)
    return int(current[:-2][outside].sum())


def _psi_series(
    binning: _Binning, merged_ref: Counts, series: pl.DataFrame | None
) -> tuple[tuple[datetime, float | None], ...]:
    if series is None or series.is_empty():
        return ()
    starts = series["start"].unique(maintain_order=True).sort()
    row_of = {start: i for i, start in enumerate(starts)}
    place = dict(zip(binning.numbers, binning.group, strict=True))
    counts = np.zeros((len(row_of), binning.n_groups))
    for start, number, n in series.select("start", "bin", "n").iter_rows():
        if number in place:
            counts[row_of[start], place[number]] += n
    return tuple(
        (utc(start), psi(merged_ref, counts[i]) if merged_ref.sum() else None)
        for start, i in row_of.items()
    )


def _distribution(binning: _Binning, ref: Counts, cur: Counts) -> Distribution:
    m, n = ref.sum(), cur.sum()
    keep = np.flatnonzero((ref + cur) > 0)[:60]
    return Distribution(
        tuple(binning.labels[i] for i in keep),
        tuple(float(ref[i] / m) if m else None for i in keep),
        tuple(float(cur[i] / n) if n else None for i in keep),
    )


def _figure(value: float | None, n: int) -> Estimate:
    return missing(State.CANNOT_TELL, n) if value is None else Estimate(value, None, None, n)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _range(profile: Mapping[str, object] | None) -> tuple[float, float] | None:
    if profile is None:
        return None
    low, high = _float(profile["lowest"]), _float(profile["highest"])
    return None if low is None or high is None else (low, high)


# -- findings ------------------------------------------------------------------------------------


def _findings(rows: list[DriftRow]) -> list[Finding]:
    out = []
    for version in dict.fromkeys(r.version for r in rows):
        mine = [r for r in rows if r.version == version]
        out += _missing_values(version, mine)
        out += _outside(version, mine)
        large = [
            r
            for r in mine
            if r.state is DriftState.DRIFTED and (r.metrics["psi"].value or 0) >= _LARGE
        ]
        if large:
            named = ", ".join(f"{r.feature} {r.metrics['psi'].value:.2f}" for r in large[:4])
            more = f" and {len(large) - 4} more" if len(large) > 4 else ""
            top = max(r.metrics["psi"].value or 0.0 for r in large)
            severity = Severity.BAD if top >= 4 * _LARGE else Severity.WARNING
            out.append(
                Finding(severity, "drift", f"{version}: drifted (PSI): {named}{more}", top / 10)
            )
    return out


def _missing_values(version: str, rows: list[DriftRow]) -> list[Finding]:
    """Features whose values stopped coming: far more nulls than the reference has."""
    gone = []
    for r in rows:
        if r.null_rate_reference is None or not r.n:
            continue
        nulls = round((r.metrics["null_rate"].value or 0.0) * r.n)
        low, _ = newcombe(nulls, r.n, r.null_rate_reference * r.n_reference, r.n_reference)
        if low > 0.05:
            gone.append((low, r))
    if not gone:
        return []
    gone.sort(key=lambda pair: -pair[0])
    named = ", ".join(
        f"{r.feature} {100 * (r.metrics['null_rate'].value or 0):.0f}%" for _, r in gone[:4]
    )
    more = f" and {len(gone) - 4} more" if len(gone) > 4 else ""
    severity = Severity.BAD if gone[0][0] > 0.5 else Severity.WARNING
    return [Finding(severity, "drift", f"{version}: values missing: {named}{more}", 2 + gone[0][0])]


def _outside(version: str, rows: list[DriftRow]) -> list[Finding]:
    """Numbers far outside the range that the model has seen."""
    out = []
    for r in rows:
        if r.reference_range is None or r.highest is None or r.lowest is None:
            continue
        low, high = r.reference_range
        width = (high - low) or max(abs(high), 1e-12)
        beyond = max(r.highest - high, low - r.lowest) / width
        if beyond > 2:
            value = r.highest if r.highest - high >= low - r.lowest else r.lowest
            share = r.metrics["unseen_rate"].value or 0.0
            out.append(
                Finding(
                    Severity.BAD,
                    "drift",
                    f"{version}: {r.feature} reaches {value:,.4g}, the reference ends at "
                    f"{high if value > high else low:,.4g} ({100 * share:.1f}% of rows outside)",
                    3,
                )
            )
    return out
