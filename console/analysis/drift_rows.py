"""One feature of one version against the other side: every distance, its noise, what it is made of.

Distances over the merged bins are taken for all features at once, the rest one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collectors.contract import FeatureKind
from console.analysis.distances import (
    Noise,
    distance_rows,
    homogeneity,
    ks_bracket,
    wasserstein,
)
from console.analysis.drift_bins import Binning, Counts, Part, counts_in, merge, number_of, range_of
from console.analysis.drift_effects import (
    LARGEST,
    Causes,
    Moments,
    causes_rows,
    cramers_v,
    mean_difference,
)
from console.analysis.drift_noise import chi2_noise, ks_noise, null_rows, wasserstein_noise
from console.analysis.estimate import Estimate, State, missing
from console.analysis.intervals import difference, proportion

__all__ = [
    "DRIFT_METRICS",
    "Measured",
    "Other",
    "Role",
    "Subject",
    "measure",
    "other_of",
    "outside",
]

DRIFT_METRICS = (
    "psi",
    "js",
    "hellinger",
    "ks",
    "wasserstein",
    "chi2",
    "smd",
    "cramers_v",
    "null_rate",
    "null_change",
    "unseen_rate",
    "unseen_change",
)


class Role(StrEnum):
    """Which end of the model a column is at."""

    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Other:
    """The other side's rows of a feature. counts: kept bins in order, (bins,).

    moments: of its finite values. ends: its smallest and largest one; both None for a category.
    """

    counts: Counts
    moments: Moments | None = None
    ends: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared. outside: kept bins of which the reference has no value, (bins,).

    other: None where the other side has no rows; outside: None without a reference. sigma: the
    reference's standard deviation, or None.
    """

    version: str
    name: str
    kind: FeatureKind
    role: Role
    binning: Binning
    part: Part
    other: Other | None
    outside: NDArray[np.bool_] | None
    sigma: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of a subject. noise: by metric. p_value: of `homogeneity`, 1 without rows.

    merged, merged_other: counts over the merged bins. null_rate: of the other side.
    """

    n: int
    n_other: int
    metrics: Mapping[str, Estimate]
    noise: Mapping[str, Noise]
    p_value: float | None
    causes: Causes | None
    merged: Counts
    merged_other: Counts
    null_rate: float | None


def other_of(
    binning: Binning, kind: FeatureKind, part: Part, profile: Mapping[str, object] | None
) -> Other:
    """A side from its rollups; of a reference, whose rollups have no sums, from its profile."""
    counts = counts_in(binning, part)
    if kind is FeatureKind.CATEGORICAL:
        return Other(counts)
    n = int(counts[:-2].sum())
    if profile is None:
        ends = None if part.lowest is None or part.highest is None else (part.lowest, part.highest)
        return Other(counts, _moments(part, n), ends)
    mean, sigma = number_of(profile["mean"]), number_of(profile["sigma"])
    known = Moments(n, mean, sigma) if mean is not None and sigma is not None and n else None
    return Other(counts, known, range_of(profile))


def outside(
    binning: Binning,
    kind: FeatureKind,
    reference: Part | None,
    profile: Mapping[str, object] | None,
) -> NDArray[np.bool_] | None:
    """Kept bins of which the reference has no value: unknown categories, or beyond its range."""
    if reference is None:
        return None
    out = np.zeros(len(binning.place), dtype=np.bool_)
    if kind is FeatureKind.CATEGORICAL:
        out[:-2] = counts_in(binning, reference)[:-2] == 0
        out[-1] = True
        return out
    limits = range_of(profile)
    if limits is not None:
        out[:-2] = (binning.upper[:-2] < limits[0]) | (binning.lower[:-2] >= limits[1])
    return out


def measure(subjects: Sequence[Subject], *, brief: bool = False) -> list[Measured]:
    """All figures of all subjects, in their order; brief: only what a verdict needs."""
    if not subjects:
        return []
    kept = [counts_in(s.binning, s.part) for s in subjects]
    others = [
        s.other.counts if s.other is not None else np.zeros_like(counts)
        for s, counts in zip(subjects, kept, strict=True)
    ]
    widest = max(s.binning.n_groups for s in subjects)
    ref, cur, gone, gone_ref = np.zeros((4, len(subjects), widest))
    for i, s in enumerate(subjects):
        groups = s.binning.n_groups
        cur[i, :groups] = merge(s.binning, kept[i])
        ref[i, :groups] = merge(s.binning, others[i])
        if s.outside is not None and not brief:
            gone[i, :groups] = merge(s.binning, np.where(s.outside, kept[i], 0.0))
            gone_ref[i, :groups] = merge(s.binning, np.where(s.outside, others[i], 0.0))
    found, nulls = distance_rows(ref, cur), null_rows(ref, cur, psi_only=brief)
    gaps = np.array([s.binning.missing_group for s in subjects])
    at = np.arange(len(subjects)), gaps
    causes = [None] * len(subjects) if brief else causes_rows(ref, cur, gone_ref, gone, gaps)
    sums = [cur.sum(axis=1), ref.sum(axis=1), cur[at], ref[at]]
    sums += [gone.sum(axis=1), gone_ref.sum(axis=1)]
    counts = [_Counted(*row) for row in np.stack(sums, axis=1).astype(np.int64).tolist()]
    out = []
    for i, (s, counted) in enumerate(zip(subjects, counts, strict=True)):
        n, m = counted.n, counted.m
        metrics: dict[str, Estimate] = {}
        noise: dict[str, Noise] = {}
        p_value = None
        if n and m:
            groups = s.binning.n_groups
            for name, values in (("psi", found.psi), ("js", found.js), ("chi2", found.chi2)):
                metrics[name] = _figure(float(values[i]), n)
            metrics["hellinger"] = _figure(float(found.hellinger[i]), n)
            for name, table in nulls._asdict().items():
                noise[name] = Noise(*table[i].tolist())
            noise["chi2"] = chi2_noise(int(found.df[i]))
            p_value = homogeneity(ref[i, :groups], cur[i, :groups])
        if n and not brief:
            metrics |= _rates(s, counted)
        if n and m and not brief:
            if s.kind is FeatureKind.NUMERIC:
                _ordered(s, others[i], kept[i], metrics, noise)
            else:
                metrics["cramers_v"] = cramers_v(ref[i, :groups], cur[i, :groups])
        for name in DRIFT_METRICS:
            metrics.setdefault(name, missing(State.CANNOT_TELL if n else State.NO_ROWS, n))
        out.append(
            Measured(
                n,
                m,
                {name: metrics[name] for name in DRIFT_METRICS},
                noise,
                p_value,
                causes[i],
                cur[i, : s.binning.n_groups],
                ref[i, : s.binning.n_groups],
                counted.nulls_m / m if m else None,
            )
        )
    return out


class _Counted(NamedTuple):
    """Rows of the window and of the other side: all, without a usable value, and unseen."""

    n: int
    m: int
    nulls: int
    nulls_m: int
    unseen: int
    unseen_m: int


def _rates(s: Subject, of: _Counted) -> dict[str, Estimate]:
    """Missing and unseen rows as shares, and less the other side's."""
    found = {"null_rate": proportion(of.nulls, of.n)}
    if of.m:
        found["null_change"] = difference(of.nulls, of.n, of.nulls_m, of.m)
    if s.outside is not None:
        found["unseen_rate"] = proportion(of.unseen, of.n)
        if of.m:
            found["unseen_change"] = difference(of.unseen, of.n, of.unseen_m, of.m)
    return found


def _ordered(
    s: Subject, ref: Counts, cur: Counts, metrics: dict[str, Estimate], noise: dict[str, Noise]
) -> None:
    """Figures that need an order: KS, Wasserstein and the difference of means."""
    binning, other = s.binning, s.other
    r, c = ref[:-2], cur[:-2]
    n, m = int(c.sum()), int(r.sum())
    bracket = ks_bracket(r, c, binning.tied[:-2])
    by_chance = ks_noise(n, m)
    if bracket is not None and by_chance is not None:
        low, high = bracket
        metrics["ks"] = Estimate(low, low, high, n, State.OK, high - low)
        noise["ks"] = by_chance
    if other is None:
        return
    metrics["smd"] = mean_difference(other.moments, _moments(s.part, n))
    if other.ends is None or s.part.lowest is None or s.part.highest is None or not len(r):
        return
    spread = other.moments.sigma if other.moments is not None else None
    sigma = s.sigma if s.sigma is not None else spread
    scale = sigma if sigma is not None else math.nan
    lower, upper = binning.lower[:-2].copy(), binning.upper[:-2].copy()
    lower[0], upper[-1] = min(s.part.lowest, other.ends[0]), max(s.part.highest, other.ends[1])
    moved = wasserstein(lower, upper, r, c, scale)
    if moved is None:
        return
    metrics["wasserstein"] = Estimate(moved.value, None, None, n, State.OK, moved.bin_error)
    lower[0], upper[-1] = other.ends
    without = wasserstein_noise(lower, upper, r, n, m, scale)
    if without is not None:
        noise["wasserstein"] = without


def _moments(part: Part, n: int) -> Moments | None:
    if part.lowest is None or part.highest is None:
        return None
    if max(-part.lowest, part.highest) >= LARGEST:
        return None
    return Moments.of(n, part.total, part.total_sq)


def _figure(value: float, n: int) -> Estimate:
    return Estimate(value, None, None, n) if math.isfinite(value) else missing(State.CANNOT_TELL, n)
