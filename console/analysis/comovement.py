"""Features that moved between two sides, and whether they move together with a figure.

Moved: PSI between the two sides over about ten equal bins of the other side, beside its noise, and
Benjamini-Hochberg over all features.
Together: Spearman's rank correlation, over the steps of both sides, between the figure and the
feature's mean, its share of missing values, and its share outside the reference's range.
Neighbouring steps of one weather are not independent, so a correlation is a hint and no proof.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Deployment, FeatureKind, Task
from console.analysis.ask import utc
from console.analysis.distances import (
    DriftState,
    drift_state,
    homogeneity,
    psi,
)
from console.analysis.drift_noise import psi_null
from console.analysis.multiplicity import benjamini_hochberg
from console.analysis.onset import Point

__all__ = ["LEAST_STEPS", "FeatureMove", "MoveFrames", "Together", "feature_moves", "spearman"]

LEAST_STEPS = 8
"""Steps with both figures below which no correlation is taken."""

_GROUPS = 10
_MISSING = (-1, -2)
_UNSEEN = -3

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MoveFrames:
    """Feature rollups (feature, bin, n and sums) of both sides, by step over both, and the bins.

    profile: lowest, highest and mean of the reference per feature. series may be None.
    """

    now: pl.DataFrame
    other: pl.DataFrame
    bins: pl.DataFrame
    profile: pl.DataFrame
    series: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Together:
    """What of a feature ("mean", "missing" or "outside") goes with the figure over `steps` steps.

    correlation: Spearman's; p_adjusted: Benjamini-Hochberg over all that were tried.
    """

    what: str
    correlation: float
    p_adjusted: float
    steps: int


@dataclass(frozen=True, slots=True)
class FeatureMove:
    """One feature (or score, or prediction) on both sides.

    n, n_other: rows. mean, missing, outside: this side and the other; outside is a share beyond the
    reference's range, None without one. together: where it goes with the figure over time.
    """

    feature: str
    n: int
    n_other: int
    psi: float | None
    noise_q95: float | None
    state: DriftState
    mean: float | None
    mean_other: float | None
    missing: float | None
    missing_other: float | None
    outside: float | None
    outside_other: float | None
    together: Together | None = None


def feature_moves(
    d: Deployment, frames: MoveFrames | None, points: Sequence[Point]
) -> tuple[FeatureMove, ...]:
    """Every feature that has rows on this side: the surely and most moved first."""
    if frames is None or frames.now.is_empty():
        return ()
    subjects = _subjects(d)
    limits = _limits(frames.profile)
    now, other = _by_feature(frames.now), _by_feature(frames.other)
    means = {
        int(row["feature"]): row["mean"]
        for row in frames.profile.iter_rows(named=True)
        if "value_sum" not in frames.other.columns
    }
    uppers = _uppers(frames.bins)
    held = [number for number in subjects if number in now]
    merged = [_merged(subjects[i][1], now[i], other.get(i, {})) for i in held]
    adjusted = benjamini_hochberg([homogeneity(ref, cur) for cur, ref in merged])
    found = []
    for number, counts, p in zip(held, merged, adjusted, strict=True):
        name, kind = subjects[number]
        theirs = other.get(number, {})
        range_ = limits.get(number) if kind is FeatureKind.NUMERIC else None
        cells = _CellsOf(now[number], theirs, *counts, p)
        moved = _move(name, kind, cells, uppers.get(number), range_)
        if moved.mean_other is None and number in means:
            moved = replace(moved, mean_other=_finite(means[number]))
        found.append((number, moved))
    together = _together(subjects, frames.series, points, limits, uppers)
    out = [replace(m, together=together.get(number)) for number, m in found]
    rank = {DriftState.DRIFTED: 0, DriftState.SMALL: 1, DriftState.OK: 2}
    out.sort(key=lambda m: (rank.get(m.state, 3), -(m.psi or 0.0), m.feature))
    return tuple(out)


def spearman(x: FloatArray, y: FloatArray) -> tuple[float, float] | None:
    """(rank correlation, two-sided p-value); None where either is constant.

    Ties get mid-ranks. p by Fisher's z with variance 1.06 / (n - 3) (Fieller et al. 1957).
    """
    n = len(x)
    if n < 4:
        return None
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    if size <= 0:
        return None
    r = min(max(float(a @ b) / size, -1.0), 1.0)
    z = math.atanh(min(max(r, -1 + 1e-12), 1 - 1e-12)) * math.sqrt((n - 3) / 1.06)
    return r, math.erfc(abs(z) / math.sqrt(2))


def _ranks(x: FloatArray) -> FloatArray:
    values, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: FloatArray = (ends - (counts - 1) / 2)[place].astype(np.float64)
    return middle if len(values) else x


def _subjects(d: Deployment) -> dict[int, tuple[str, FeatureKind]]:
    names = {i: (f.name, f.kind) for i, f in enumerate(d.features)}
    names[-1] = ("score", FeatureKind.NUMERIC)
    numeric = d.task is Task.REGRESSION
    names[-2] = ("prediction", FeatureKind.NUMERIC if numeric else FeatureKind.CATEGORICAL)
    return names


def _limits(profile: pl.DataFrame) -> dict[int, tuple[float, float]]:
    """The range over all references that are given."""
    out: dict[int, tuple[float, float]] = {}
    for feature, low, high in profile.select("feature", "lowest", "highest").iter_rows():
        if low is None or high is None:
            continue
        old = out.get(feature, (low, high))
        out[feature] = (min(old[0], low), max(old[1], high))
    return out


def _uppers(bins: pl.DataFrame) -> dict[int, FloatArray]:
    """Upper ends of the kept bins of numeric features, ascending; the last has none."""
    out: dict[int, FloatArray] = {}
    frame = bins.sort("feature", "bin").select("feature", "upper")
    for (feature,), part in frame.partition_by("feature", as_dict=True).items():
        found = part["upper"].cast(pl.Float64).fill_null(math.inf).to_numpy()
        out[int(str(feature))] = found
    return out


_Cells = Mapping[int, tuple[float, float]]
"""bin -> (rows, sum of values)."""


def _by_feature(frame: pl.DataFrame) -> dict[int, dict[int, tuple[float, float]]]:
    sums = pl.col("value_sum") if "value_sum" in frame.columns else pl.lit(math.nan)
    cells = frame.group_by("feature", "bin", maintain_order=True).agg(
        pl.col("n").sum(), sums.sum().alias("s")
    )
    out: dict[int, dict[int, tuple[float, float]]] = {}
    for feature, number, n, s in cells.iter_rows():
        out.setdefault(feature, {})[number] = (float(n), math.nan if s is None else float(s))
    return out


@dataclass(frozen=True, slots=True)
class _CellsOf:
    """Both sides of a feature; merged counts and the adjusted p-value of their being alike."""

    now: _Cells
    other: _Cells
    cur: FloatArray
    ref: FloatArray
    p: float


def _move(
    name: str,
    kind: FeatureKind,
    cells: _CellsOf,
    uppers: FloatArray | None,
    limits: tuple[float, float] | None,
) -> FeatureMove:
    now, other = cells.now, cells.other
    n, m = (sum(c[0] for c in side.values()) for side in (now, other))
    value = noise = None
    state = DriftState.CANNOT_TELL
    if n and m:
        value = psi(cells.ref, cells.cur)
        noise = psi_null(cells.ref, cells.cur)
        state = drift_state(value, noise.q95 if noise else None, n, m, cells.p)
    numeric = kind is FeatureKind.NUMERIC
    return FeatureMove(
        name,
        int(n),
        int(m),
        value,
        noise.q95 if noise else None,
        state,
        _mean(now) if numeric else None,
        _mean(other) if numeric else None,
        _share(now, _MISSING),
        _share(other, _MISSING),
        _outside(now, uppers, limits) if numeric else _share(now, (_UNSEEN,)),
        _outside(other, uppers, limits) if numeric else _share(other, (_UNSEEN,)),
    )


def _merged(kind: FeatureKind, now: _Cells, other: _Cells) -> tuple[FloatArray, FloatArray]:
    """Counts over merged bins: tenths of the other side, or categories of a hundredth and more."""
    numbers = sorted({*now, *other})
    cur = np.array([now.get(b, (0.0, 0.0))[0] for b in numbers])
    ref = np.array([other.get(b, (0.0, 0.0))[0] for b in numbers])
    plain = np.array([b >= 0 for b in numbers])
    if kind is FeatureKind.NUMERIC:
        ends = np.cumsum(np.where(plain, ref, 0.0))
        middle = ends - np.where(plain, ref, 0.0) / 2
        group = np.minimum((middle / max(ends[-1], 1.0) * _GROUPS).astype(np.int64), _GROUPS - 1)
    else:
        both = cur / max(cur.sum(), 1.0) + ref / max(ref.sum(), 1.0)
        group = np.where(both >= 0.02, np.arange(len(numbers)), len(numbers))
    group = np.where(plain, group, len(numbers) + 1 + np.arange(len(numbers)))
    _, place = np.unique(group, return_inverse=True)
    return np.bincount(place, cur).astype(np.float64), np.bincount(place, ref).astype(np.float64)


def _mean(side: _Cells) -> float | None:
    plain = [c for b, c in side.items() if b >= 0]
    n = sum(c[0] for c in plain)
    return _finite(sum(c[1] for c in plain) / n) if n > 0 else None


def _share(side: _Cells, numbers: tuple[int, ...]) -> float | None:
    n = sum(c[0] for c in side.values())
    return sum(side.get(b, (0.0, 0.0))[0] for b in numbers) / n if n > 0 else None


def _outside(
    side: _Cells, uppers: FloatArray | None, limits: tuple[float, float] | None
) -> float | None:
    n = sum(c[0] for c in side.values())
    if not n or uppers is None or limits is None:
        return None
    away = _away(uppers, limits)
    return sum(c[0] for b, c in side.items() if 0 <= b < len(away) and away[b]) / n


def _away(uppers: FloatArray, limits: tuple[float, float]) -> NDArray[np.bool_]:
    """Bins wholly beyond the range."""
    lowers = np.concatenate(([-math.inf], uppers[:-1]))
    away: NDArray[np.bool_] = (uppers < limits[0]) | (lowers >= limits[1])
    return away


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


# -- over steps ----------------------------------------------------------------------------------


def _together(
    subjects: Mapping[int, tuple[str, FeatureKind]],
    series: pl.DataFrame | None,
    points: Sequence[Point],
    limits: Mapping[int, tuple[float, float]],
    uppers: Mapping[int, FloatArray],
) -> dict[int, Together]:
    """Per feature what goes with the figure best, if it surely does."""
    figure = {p.start: p.value for p in points if p.value is not None and p.n > 0}
    if series is None or series.is_empty() or len(figure) < LEAST_STEPS:
        return {}
    tried: list[tuple[int, str, float, float, int]] = []
    for number, per_step in _steps(series, limits, uppers).items():
        if number not in subjects:
            continue
        numeric = subjects[number][1] is FeatureKind.NUMERIC
        for what in ("mean", "missing", "outside") if numeric else ("missing",):
            held = [
                (figure[start], row[what])
                for start, row in per_step.items()
                if start in figure and math.isfinite(row[what])
            ]
            if len(held) < LEAST_STEPS:
                continue
            pairs = np.array(held, dtype=np.float64)
            found = spearman(pairs[:, 0], pairs[:, 1])
            if found is not None:
                tried.append((number, what, *found, len(held)))
    adjusted = benjamini_hochberg([t[3] for t in tried])
    out: dict[int, Together] = {}
    for (number, what, r, _, steps), p in sorted(
        zip(tried, adjusted, strict=True), key=lambda pair: pair[1], reverse=True
    ):
        if p < 0.05:
            out[number] = Together(what, r, p, steps)
    return out


def _steps(
    series: pl.DataFrame,
    limits: Mapping[int, tuple[float, float]],
    uppers: Mapping[int, FloatArray],
) -> dict[int, dict[datetime, dict[str, float]]]:
    """feature -> step -> mean, missing and outside (NaN where unknown)."""
    away = pl.DataFrame(
        [
            {"feature": feature, "bin": b}
            for feature, ends in uppers.items()
            if feature in limits
            for b in np.flatnonzero(_away(ends, limits[feature])).tolist()
        ],
        schema={"feature": series.schema["feature"], "bin": series.schema["bin"]},
    ).with_columns(away=pl.lit(1.0))
    n, plain = pl.col("n").cast(pl.Float64), pl.col("bin") >= 0
    rows = (
        series.join(away, on=["feature", "bin"], how="left")
        .group_by("feature", "start", maintain_order=True)
        .agg(
            total=n.sum(),
            finite=n.filter(plain).sum(),
            values=pl.col("value_sum").filter(plain).sum(),
            missing=n.filter(pl.col("bin").is_in(_MISSING)).sum(),
            outside=(n * pl.col("away").fill_null(0.0)).sum(),
        )
    )
    out: dict[int, dict[datetime, dict[str, float]]] = {}
    for feature, start, total, finite, values, gone, beyond in rows.iter_rows():
        if total <= 0:
            continue
        mean = values / finite if finite > 0 and values is not None else math.nan
        known = feature in limits
        out.setdefault(feature, {})[utc(start)] = {
            "mean": mean,
            "missing": gone / total,
            "outside": beyond / total if known else math.nan,
        }
    return out
