"""The worst slice of each version: every segment value and every cross of two, looked at at once.

Nothing is claimed that the search explains: intervals are widened for all slices that were looked
at (Bonferroni). A cross is named only where it is worse than both of its parents, and worse than
the two together make it; otherwise the parent is the answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Deployment, Task
from console.analysis.estimate import TOO_FEW, Estimate
from console.analysis.figures import HEADLINE
from console.analysis.intervals import normal_quantile

__all__ = ["LARGE", "WorstSlice", "worst_slices"]

LARGE = 0.2
"""A slice is worth naming from this share of the whole's figure on."""

_Z = normal_quantile(0.975)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

_KEYS = ("version", "segment", "value", "value2")
_TALLY = ("n", "weight", "total", "squares")


@dataclass(frozen=True, slots=True)
class WorstSlice:
    """The slice of a version that is surely worst.

    values: segment name -> value, one or two. gap: minus the whole, its interval simultaneous over
    the `looked` slices. whole: the figure over all rows. share: of the version's predictions.
    parents: of a cross, (name, value, figure) of each.
    """

    version: str
    values: tuple[tuple[str, str], ...]
    metric: str
    value: float
    whole: float
    gap: Estimate
    n: int
    share: float
    looked: int
    parents: tuple[tuple[str, str, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class _Rule:
    """z: half width of an interval in standard errors. shares: or means, where lower is better."""

    z: float
    shares: bool


@dataclass(frozen=True, slots=True)
class _Sums:
    """Of each slice: rows, and what the figure is made of. All (slices,).

    Shares: `weight` rows of which `total` hit, `squares` unused. Means: the sum and that of
    squares over `weight` rows.
    """

    n: Floats
    weight: Floats
    total: Floats
    squares: Floats

    def of(self, places: NDArray[np.int64] | Bools) -> _Sums:
        return _Sums(self.n[places], self.weight[places], self.total[places], self.squares[places])

    def less(self, part: _Sums) -> _Sums:
        """What is left of these without a part of them."""
        return _Sums(
            np.maximum(self.n - part.n, 0),
            np.maximum(self.weight - part.weight, 0),
            np.maximum(self.total - part.total, 0),
            np.maximum(self.squares - part.squares, 0),
        )

    @property
    def mean(self) -> Floats:
        return self.total / np.maximum(self.weight, 1e-300)


def worst_slices(
    d: Deployment, whole: pl.DataFrame, segments: pl.DataFrame, crosses: pl.DataFrame
) -> tuple[WorstSlice, ...]:
    """At most one per version, from outcome frames of one window (score bins are added up).

    Binary: by F1, compared as the share tp / (tp + fp + fn) that it rises with. Multiclass: by
    accuracy. Regression: by the mean absolute error.
    """
    tables = [_tally(d.task, frame) for frame in (whole, segments, crosses)]
    if tables[0].is_empty() or tables[1].is_empty():
        return ()
    found = []
    for version in tables[0]["version"].to_list():
        mine = [t.filter(pl.col("version") == version) for t in tables]
        with np.errstate(all="ignore"):  # sums that are not finite compare as not worse
            worst = _worst(d, version, mine[0], mine[1], mine[2])
        if worst is not None:
            found.append(worst)
    return tuple(found)


def _tally(task: Task, frame: pl.DataFrame) -> pl.DataFrame:
    """Sums per slice: n, weight, total, squares."""
    if frame.is_empty():
        empty = dict.fromkeys(_TALLY, pl.Float64)
        keys = {"version": pl.String, "segment": pl.Int64, "value": pl.String, "value2": pl.String}
        return pl.DataFrame(schema={**keys, **empty})
    match task:
        case Task.BINARY:
            yes = pl.col("predicted") == 1
            tp = pl.col("n_positive").filter(yes).sum()
            said = pl.col("n_labelled").filter(yes).sum()
            missed = pl.col("n_positive").filter(~yes).sum()
            sums = (tp.alias("total"), (said + missed).alias("weight"))
            squares = pl.lit(0.0)
        case Task.MULTICLASS:
            known = pl.col("actual").is_not_null()
            right = pl.col("n").filter(pl.col("actual") == pl.col("predicted")).sum()
            sums = (right.alias("total"), pl.col("n").filter(known).sum().alias("weight"))
            squares = pl.lit(0.0)
        case Task.REGRESSION:
            sums = (
                pl.col("e_abs").sum().alias("total"),
                pl.col("n_labelled").sum().alias("weight"),
            )
            squares = pl.col("e_sq").sum()
    tallied = frame.group_by(_KEYS, maintain_order=True).agg(
        pl.col("n").sum(), *sums, squares.alias("squares")
    )
    numbers = [pl.col(c).cast(pl.Float64) for c in _TALLY]
    return (
        tallied.with_columns(*numbers, pl.col("segment").cast(pl.Int64))
        .sort(_KEYS)
        .select(*_KEYS, *_TALLY)
    )


def _sums(table: pl.DataFrame) -> _Sums:
    return _Sums(*(table[c].to_numpy() for c in _TALLY))


def _worst(
    d: Deployment, version: str, whole: pl.DataFrame, singles: pl.DataFrame, crosses: pl.DataFrame
) -> WorstSlice | None:
    every = _sums(whole)
    table = pl.concat([singles, crosses])
    part = _sums(table)
    usable = (part.weight >= TOO_FEW) & (every.weight > part.weight)
    looked = int(np.count_nonzero(usable))
    if not looked or not every.weight[0] > 0:
        return None
    rule = _Rule(normal_quantile(1 - 0.025 / looked), d.task is not Task.REGRESSION)
    outside = 1 - part.weight / every.weight
    gap = part.mean - every.mean
    low, high = (outside * end for end in _difference(part, every.less(part), rule))
    low, high = np.minimum(low, gap), np.maximum(high, gap)
    sure = high < 0 if rule.shares else low > 0
    # ranked as the subgroups are, by how bad each is at least by its own 95 %
    alone_low, alone_high = _difference(part, every.less(part), replace(rule, z=_Z))
    evidence = outside * (alone_high if rule.shares else -alone_low)
    shown, total = _shown(d, part.mean), float(_shown(d, every.mean)[0])
    candidates = usable & sure & (np.abs(shown - total) > LARGE * abs(total))
    alone = np.zeros(len(candidates), bool)
    alone[: singles.height] = True
    parents_at = _parents(d, singles, crosses)
    beyond = _beyond(every, part, parents_at, candidates, rule)
    candidates &= alone | beyond
    if not candidates.any():
        return None
    place = int(np.argmin(np.where(candidates, evidence, math.inf)))
    row = table.row(place, named=True)
    names = _names(d, int(row["segment"]))
    values = tuple(zip(names, (row["value"], row["value2"]), strict=False))
    ends = _ends(d, float(every.mean[0]), float(low[place]), float(high[place]))
    parents: tuple[tuple[str, str, float | None], ...] = ()
    if len(values) == 2:
        at = place - singles.height
        parents = tuple(
            (name, value, float(shown[p]))
            for (name, value), p in zip(values, (parents_at[0][at], parents_at[1][at]), strict=True)
        )
    metric = "accuracy" if d.task is Task.MULTICLASS else HEADLINE[d.task]
    value = float(shown[place])
    return WorstSlice(
        version,
        values,
        metric,
        value,
        total,
        Estimate(value - total, *ends, int(part.weight[place])),
        int(part.n[place]),
        float(part.n[place] / every.n[0]) if every.n[0] else 0.0,
        looked,
        parents,
    )


def _names(d: Deployment, segment: int) -> tuple[str, ...]:
    names = [s.name for s in d.segments]
    if segment <= len(names):
        return (names[segment - 1],)
    i, j = d.segment_crosses[segment - 1 - len(names)]
    return names[i], names[j]


def _shown(d: Deployment, mean: Floats) -> Floats:
    """The figure as it is shown: F1 from the share that stands for it."""
    return 2 * mean / (1 + mean) if d.task is Task.BINARY else mean


def _ends(d: Deployment, whole: float, low: float, high: float) -> tuple[float, float]:
    """The ends of a gap, as a gap of the figure that is shown."""
    if d.task is not Task.BINARY:
        return low, high
    base = _shown(d, np.array([whole, max(whole + low, 0.0), min(whole + high, 1.0)]))
    return float(base[1] - base[0]), float(base[2] - base[0])


def _parents(d: Deployment, singles: pl.DataFrame, crosses: pl.DataFrame) -> _Pairs:
    """The place among the singles of each cross's two values; -1 where there is none."""
    first = len(d.segments) + 1
    pairs = pl.DataFrame(
        [(first + k, i + 1, j + 1) for k, (i, j) in enumerate(d.segment_crosses)],
        schema={"segment": pl.Int64, "a": pl.Int64, "b": pl.Int64},
        orient="row",
    )
    named = crosses.select("segment", "value", "value2").join(
        pairs, on="segment", how="left", maintain_order="left"
    )
    places = singles.select("segment", "value").with_row_index("place")
    out = []
    for segment, value in (("a", "value"), ("b", "value2")):
        found = named.join(
            places,
            left_on=[segment, value],
            right_on=["segment", "value"],
            how="left",
            maintain_order="left",
        )
        out.append(found["place"].cast(pl.Int64).fill_null(-1).to_numpy())
    return out[0], out[1]


def _beyond(every: _Sums, part: _Sums, parents_at: _Pairs, candidates: Bools, rule: _Rule) -> Bools:
    """Crosses that are worse than the rest of both parents, and than the two together explain.

    Together: on the scale where effects add up (log odds of a share, log of a mean), the cell of
    the cross is compared with what the other three cells of the two values give.
    """
    out = np.zeros(len(candidates), bool)
    mothers, fathers = parents_at
    n_singles = len(candidates) - len(mothers)
    places = np.flatnonzero(candidates[n_singles:])
    places = places[(mothers[places] >= 0) & (fathers[places] >= 0)]
    if not len(places):
        return out
    both = part.of(places + n_singles)
    only_a = part.of(mothers[places]).less(both)
    only_b = part.of(fathers[places]).less(both)
    neither = every.less(both).less(only_a).less(only_b)
    worse = np.ones(len(places), bool)
    for rest in (only_a, only_b):
        low, high = _difference(both, rest, rule)
        enough = rest.weight >= TOO_FEW
        worse &= enough & ((high < 0) if rule.shares else (low > 0))
    cells = [_effect(cell, rule.shares) for cell in (both, only_a, only_b, neither)]
    apart = cells[0][0] - cells[1][0] - cells[2][0] + cells[3][0]
    error = np.sqrt(sum(variance for _, variance in cells))
    looked = max(int(np.count_nonzero(worse)), 1)
    limit = normal_quantile(1 - 0.025 / looked) * error
    worse &= (apart < -limit) if rule.shares else (apart > limit)
    out[places + n_singles] = worse
    return out


def _effect(s: _Sums, shares: bool) -> tuple[Floats, Floats]:
    """Log odds (halves added, Haldane 1956) or log mean, and its variance."""
    if shares:
        hits, misses = s.total + 0.5, np.maximum(s.weight - s.total, 0) + 0.5
        return np.log(hits / misses), 1 / hits + 1 / misses
    mean = s.mean
    variance = _variance(s) / np.maximum(s.weight, 1)
    return np.log(mean), variance / (mean * mean)


def _variance(s: _Sums) -> Floats:
    spread = np.maximum(s.squares / np.maximum(s.weight, 1) - s.mean**2, 0.0)
    result: Floats = spread * s.weight / np.maximum(s.weight - 1, 1)
    return result


def _difference(a: _Sums, b: _Sums, rule: _Rule) -> tuple[Floats, Floats]:
    """Interval of mean a minus mean b: Newcombe 1998 for shares, normal (Welch) for means."""
    gap = a.mean - b.mean
    if not rule.shares:
        half = rule.z * np.sqrt(
            _variance(a) / np.maximum(a.weight, 1) + _variance(b) / np.maximum(b.weight, 1)
        )
        return gap - half, gap + half
    low_a, high_a = _wilson(a.total, a.weight, rule.z)
    low_b, high_b = _wilson(b.total, b.weight, rule.z)
    return (
        gap - np.hypot(a.mean - low_a, high_b - b.mean),
        gap + np.hypot(high_a - a.mean, b.mean - low_b),
    )


def _wilson(k: Floats, n: Floats, z: float) -> tuple[Floats, Floats]:
    n = np.maximum(n, 1e-300)
    share = k / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * np.sqrt(np.maximum(share * (1 - share) / n + z * z / (4 * n * n), 0)) / scale
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
