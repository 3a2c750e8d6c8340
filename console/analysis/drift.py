"""Drift per feature, score and prediction: distances from the reference, or from another window.

PSI, Jensen-Shannon, Hellinger and chi-square are taken over the deciles of the version's reference
(or categories) with missing and unseen as bins of their own; KS and Wasserstein over all kept bins.
Every distance stands beside what samples of this size show without any drift. Drifted is what is
above that noise after a correction for the number of features, and large enough to matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from collectors.contract import Deployment, FeatureKind, Task
from console.analysis.against import Side
from console.analysis.ask import Ask
from console.analysis.distances import DriftState, Noise, drift_state
from console.analysis.drift_bins import (
    Binning,
    Counts,
    Cut,
    Series,
    binning_of,
    bins_of,
    cut,
    number_of,
    parts_of,
    range_of,
    series_of,
)
from console.analysis.drift_effects import Causes
from console.analysis.drift_findings import drift_findings
from console.analysis.drift_rows import (
    DRIFT_METRICS,
    Measured,
    Role,
    Subject,
    measure,
    other_of,
    outside,
)
from console.analysis.drift_series import Points, psi_series, since_of, steps_of
from console.analysis.estimate import Estimate
from console.analysis.findings import Finding, worst_first
from console.analysis.multiplicity import benjamini_hochberg

__all__ = [
    "DRIFT_METRICS",
    "Compared",
    "Distribution",
    "DriftFrames",
    "DriftRow",
    "DriftSnapshot",
    "Role",
    "Share",
    "drift",
]

_SCORE, _PREDICTION = -1, -2


@dataclass(frozen=True, slots=True)
class DriftFrames:
    """Feature rollups of the window by step, frozen bins, and the reference's counts.

    other: rollups of the other side, None where that is the reference. week: of the same hours some
    weeks before, or None.
    """

    series: pl.DataFrame
    bins: pl.DataFrame
    reference: pl.DataFrame
    profile: pl.DataFrame
    other: pl.DataFrame | None = None
    week: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Distribution:
    """Shares per bin, for a picture: labels, the other side's shares (or none), the window's."""

    labels: tuple[str, ...]
    reference: tuple[float | None, ...]
    current: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """A second comparison in short: rows of that side, PSI, its 95 % point, and the verdict."""

    n: int
    psi: float | None
    q95: float | None
    state: DriftState


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One feature of one version. n, n_reference: rows of the window and of the other side.

    noise: without drift, by metric; noise_floor, noise_q95: that of PSI. p_value: that both sides
    are one distribution; p_adjusted: for all features of the version (Benjamini-Hochberg). causes:
    parts of the PSI. lowest, highest: of the window, next to those of the reference. series: PSI by
    step. since: the step from which it has drifted to the end. week: against the same hours some
    weeks before, of what has drifted from the reference.
    """

    version: str
    feature: str
    kind: FeatureKind
    role: Role
    n: int
    n_reference: int
    metrics: Mapping[str, Estimate]
    noise: Mapping[str, Noise]
    p_value: float | None
    p_adjusted: float | None
    state: DriftState
    causes: Causes | None
    distribution: Distribution
    series: tuple[tuple[datetime, float | None], ...]
    since: datetime | None = None
    week: Compared | None = None
    lowest: float | None = None
    highest: float | None = None
    reference_range: tuple[float, float] | None = None
    null_rate_reference: float | None = None

    @property
    def noise_floor(self) -> float | None:
        """PSI of samples of this size without drift, in the mean."""
        return self.noise["psi"].expected if "psi" in self.noise else None

    @property
    def noise_q95(self) -> float | None:
        """Its 95 % point."""
        return self.noise["psi"].q95 if "psi" in self.noise else None


@dataclass(frozen=True, slots=True)
class Share:
    """How many columns of one version and role have drifted. n_judged: with enough rows."""

    version: str
    role: Role
    n: int
    n_judged: int
    n_drifted: int


@dataclass(frozen=True, slots=True)
class DriftSnapshot:
    """Rows ranked: drifted first, by PSI. shares: inputs and outputs of each version.

    has_reference: of any version. without: versions of which the other side has no rows.
    """

    ask: Ask
    rows: tuple[DriftRow, ...]
    shares: tuple[Share, ...]
    findings: tuple[Finding, ...]
    has_reference: bool
    without: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[str, ...]:
        """Columns that have drifted in any version, the most drifted first."""
        return tuple(dict.fromkeys(r.feature for r in self.rows if r.state is DriftState.DRIFTED))


def drift(ask: Ask, frames: DriftFrames) -> DriftSnapshot:
    """All drift figures of a window. Pure: frames in, snapshot out."""
    window = cut(frames.series)
    subjects, profiles = _subjects(ask, frames, window)
    measured = measure(subjects)
    adjusted = _adjusted(subjects, measured)
    states = [
        _state(found, p if p is not None else 1.0)
        for found, p in zip(measured, adjusted, strict=True)
    ]
    names = _names(ask.deployment)
    numbers = {name: number for number, (name, _) in names.items()}
    series = series_of(window)
    weeks = _weeks(frames.week, subjects, states, numbers)
    rows = [
        _row(
            s,
            found,
            state,
            p,
            series.get((s.version, numbers[s.name])),
            profiles.get((s.version, numbers[s.name])),
            weeks.get((s.version, s.name)),
        )
        for s, found, state, p in zip(subjects, measured, states, adjusted, strict=True)
    ]
    order = {DriftState.DRIFTED: 0, DriftState.SMALL: 1, DriftState.OK: 2}
    rows.sort(key=lambda r: (order.get(r.state, 3), -(r.metrics["psi"].value or 0.0), r.feature))
    shares = _shares(rows)
    versions = dict.fromkeys(r.version for r in rows)
    without = tuple(v for v in versions if not any(r.n_reference for r in rows if r.version == v))
    return DriftSnapshot(
        ask,
        tuple(rows),
        shares,
        worst_first(drift_findings(ask, rows, shares)),
        not frames.reference.is_empty(),
        without,
    )


def _names(d: Deployment) -> dict[int, tuple[str, FeatureKind]]:
    names = {i: (f.name, f.kind) for i, f in enumerate(d.features)}
    names[_SCORE] = ("score", FeatureKind.NUMERIC)
    numeric = d.task is Task.REGRESSION
    names[_PREDICTION] = (
        "prediction",
        FeatureKind.NUMERIC if numeric else FeatureKind.CATEGORICAL,
    )
    return names


Profile = Mapping[str, object]


def _subjects(
    ask: Ask, frames: DriftFrames, window: Cut
) -> tuple[list[Subject], dict[tuple[str, int], Profile]]:
    """What is compared, and the profile of each one's reference."""
    names, bins = _names(ask.deployment), bins_of(frames.bins)
    whole, reference = parts_of(window), parts_of(cut(frames.reference))
    others = None if frames.other is None else parts_of(cut(frames.other))
    kept = {(row["version"], row["feature"]): row for row in frames.profile.iter_rows(named=True)}
    binnings: dict[tuple[str, int], Binning] = {}
    profiles: dict[tuple[str, int], Profile] = {}
    out = []
    for (version, number), part in whole.items():
        if number not in names or number not in bins:
            continue
        if ask.against.side is Side.VERSION and version == ask.against.version:
            continue  # the other side
        name, kind = names[number]
        own = (version if (version, number) in reference else "", number)
        profile = kept.get(own)
        if own not in binnings:
            binnings[own] = binning_of(bins[number], kind, profile)
        binning = binnings[own]
        if profile is not None:
            profiles[version, number] = profile
        if others is None:
            beside, its_profile = reference.get(own), profile
        else:
            of = ask.against.version if ask.against.side is Side.VERSION else version
            beside, its_profile = others.get((of or "", number)), None
        out.append(
            Subject(
                version,
                name,
                kind,
                Role.OUTPUT if number in (_SCORE, _PREDICTION) else Role.INPUT,
                binning,
                part,
                None if beside is None else other_of(binning, kind, beside, its_profile),
                outside(binning, kind, reference.get(own), profile),
                number_of(profile["sigma"]) if profile else None,
            )
        )
    return out, profiles


def _adjusted(subjects: Sequence[Subject], measured: Sequence[Measured]) -> list[float | None]:
    """P-values corrected for all columns of a version that were looked at."""
    out: list[float | None] = [None] * len(subjects)
    for version in dict.fromkeys(s.version for s in subjects):
        mine = [
            (i, found.p_value)
            for i, (s, found) in enumerate(zip(subjects, measured, strict=True))
            if s.version == version and found.p_value is not None
        ]
        for (i, _), p in zip(mine, benjamini_hochberg([p for _, p in mine]), strict=True):
            out[i] = p
    return out


def _state(found: Measured, p: float) -> DriftState:
    noise = found.noise.get("psi")
    value = found.metrics["psi"].value
    return drift_state(value, noise.q95 if noise else None, found.n, found.n_other, p)


def _weeks(
    frame: pl.DataFrame | None,
    subjects: Sequence[Subject],
    states: Sequence[DriftState],
    numbers: Mapping[str, int],
) -> dict[tuple[str, str], Compared]:
    """What has drifted, against the same hours some weeks before."""
    if frame is None or DriftState.DRIFTED not in states:
        return {}
    parts = parts_of(cut(frame))
    again = []
    for s, state in zip(subjects, states, strict=True):
        part = parts.get((s.version, numbers[s.name]))
        if state is not DriftState.DRIFTED or part is None:
            continue
        beside = other_of(s.binning, s.kind, part, None)
        again.append(
            Subject(
                s.version,
                s.name,
                s.kind,
                s.role,
                s.binning,
                s.part,
                beside,
                None,
                s.sigma,
            )
        )
    found = measure(again, brief=True)
    return {
        (s.version, s.name): Compared(
            m.n_other,
            m.metrics["psi"].value,
            m.noise["psi"].q95 if "psi" in m.noise else None,
            _state(m, m.p_value if m.p_value is not None else 1.0),
        )
        for s, m in zip(again, found, strict=True)
    }


def _row(  # noqa: PLR0917 - the parts of one row, all of one subject
    s: Subject,
    found: Measured,
    state: DriftState,
    p: float | None,
    series: Series | None,
    profile: Profile | None,
    week: Compared | None,
) -> DriftRow:
    points: Points = ()
    since = None
    if series is not None:
        steps = steps_of(s.binning, series)
        points = psi_series(series.starts, steps, found.merged_other)
        if state is DriftState.DRIFTED:
            since = since_of(series.starts, steps, found.merged_other)
    return DriftRow(
        s.version,
        s.name,
        s.kind,
        s.role,
        found.n,
        found.n_other,
        found.metrics,
        found.noise,
        found.p_value,
        p,
        state,
        found.causes,
        _distribution(s.binning, found.merged_other, found.merged),
        points,
        since,
        week,
        s.part.lowest,
        s.part.highest,
        range_of(profile),
        found.null_rate,
    )


def _distribution(binning: Binning, ref: Counts, cur: Counts) -> Distribution:
    m, n = float(ref.sum()), float(cur.sum())
    keep = np.flatnonzero((ref + cur) > 0)[:60].tolist()
    return Distribution(
        tuple(binning.labels[i] for i in keep),
        tuple((ref[keep] / m).tolist()) if m else (None,) * len(keep),
        tuple((cur[keep] / n).tolist()) if n else (None,) * len(keep),
    )


def _shares(rows: Sequence[DriftRow]) -> tuple[Share, ...]:
    judged = (DriftState.OK, DriftState.SMALL, DriftState.DRIFTED)
    out = []
    for version in sorted({r.version for r in rows}):
        for role in Role:
            mine = [r for r in rows if r.version == version and r.role is role]
            if mine:
                out.append(
                    Share(
                        version,
                        role,
                        len(mine),
                        sum(r.state in judged for r in mine),
                        sum(r.state is DriftState.DRIFTED for r in mine),
                    )
                )
    return tuple(out)
