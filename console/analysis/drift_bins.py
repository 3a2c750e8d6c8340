"""Feature rollups as arrays: kept bins, how a version's reference merges them, counts by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import FeatureKind
from console.analysis.ask import utc

__all__ = [
    "FIRST",
    "MISSING",
    "NOT_FINITE",
    "UNSEEN",
    "Binning",
    "Bins",
    "Counts",
    "Cut",
    "Part",
    "Series",
    "binning_of",
    "bins_of",
    "counts_in",
    "cut",
    "merge",
    "number_of",
    "parts_of",
    "range_of",
    "series_of",
]

MISSING, NOT_FINITE, UNSEEN = -1, -2, -3

FIRST = 3
"""Bin numbers run from -3 up, so this offset makes them places of a table."""

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Binning:
    """Kept bins of one feature in order, and how PSI merges them for one version.

    place: of each bin in a `Part`. lower, upper: bins hold (lower, upper]. tied: whether a bin
    holds a single value. group: the merged bin of each, 0..n_groups. Of a numeric feature the last
    two are missing and not finite; of a categorical one missing and unseen.
    """

    place: NDArray[np.int64]
    lower: Counts
    upper: Counts
    tied: NDArray[np.bool_]
    group: NDArray[np.int64]
    labels: tuple[str, ...]
    n_groups: int

    @property
    def missing_group(self) -> int:
        """The merged bin of missing values."""
        return int(self.group[-2])


@dataclass(frozen=True, slots=True)
class Bins:
    """Frozen bins of one feature: number, upper end (inf at last) and category, (bins,) each."""

    number: tuple[int, ...]
    upper: Counts
    category: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one version and feature. counts: by bin number + `FIRST`, and a 0 behind the last.

    lowest, highest: ends of its finite values. total, total_sq: their sums. A frame without those
    gives None and 0.
    """

    counts: Counts
    lowest: float | None = None
    highest: float | None = None
    total: float = 0.0
    total_sq: float = 0.0


@dataclass(frozen=True, slots=True)
class Series:
    """The same by step: for each kept count its step's place, its bin and its rows."""

    starts: tuple[datetime, ...]
    step: NDArray[np.int64]
    bin: NDArray[np.int64]
    n: Counts


@dataclass(frozen=True, slots=True)
class Cut:
    """A frame of feature rollups in the order (version, feature, start): where each one begins.

    begins, ends: of each (version, feature) of heads. number, n: bin and rows, (rows,).
    """

    frame: pl.DataFrame
    order: NDArray[np.int64]
    heads: tuple[tuple[str, int], ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    number: NDArray[np.int64]
    n: Counts


def cut(frame: pl.DataFrame) -> Cut:
    """Rows of (version, feature, bin, n[, start, sums, ends]), cut once for all that follows.

    In numpy: a sort and two selections in polars take 1 ms, three times a picture.
    """
    version = frame["version"].cast(pl.Categorical).to_physical().to_numpy().astype(np.int64)
    feature = frame["feature"].to_numpy().astype(np.int64)
    by = [feature, version]
    if "start" in frame.columns:
        by.insert(0, frame["start"].to_physical().to_numpy())
    order = np.lexsort(by)
    key = (version[order] << 32) + feature[order]
    begins = [0, *(np.flatnonzero(np.diff(key)) + 1).tolist()] if len(key) else []
    firsts = order[begins] if begins else order[:0]
    heads = zip(frame["version"][firsts], feature[firsts].tolist(), strict=True)
    return Cut(
        frame,
        order,
        tuple(heads),
        tuple(begins),
        (*begins[1:], len(key)) if begins else (),
        frame["bin"].to_numpy()[order].astype(np.int64),
        frame["n"].to_numpy()[order].astype(np.float64),
    )


def parts_of(rows: Cut) -> dict[tuple[str, int], Part]:
    """What each version and feature has, over all steps."""
    counts = [
        np.bincount(places, rows.n[i:j], int(places.max()) + 2).astype(np.float64)
        for i, j in zip(rows.begins, rows.ends, strict=True)
        for places in (rows.number[i:j] + FIRST,)
    ]
    if "value_min" not in rows.frame.columns or not counts:
        return {key: Part(held) for key, held in zip(rows.heads, counts, strict=True)}
    low, high, total, total_sq = (
        _floats(rows.frame[name])[rows.order]
        for name in ("value_min", "value_max", "value_sum", "value_sq")
    )
    # a bin that has been emptied again keeps no rows: its ends and rounding errors are nothing
    gone = rows.n == 0
    low[gone], high[gone], total[gone], total_sq[gone] = np.nan, np.nan, 0.0, 0.0
    return {
        key: Part(
            held,
            None if math.isnan(least) else least,
            None if math.isnan(most) else most,
            mean,
            square,
        )
        for key, held, least, most, mean, square in zip(
            rows.heads,
            counts,
            np.fmin.reduceat(low, rows.begins).tolist(),
            np.fmax.reduceat(high, rows.begins).tolist(),
            np.add.reduceat(total, rows.begins).tolist(),
            np.add.reduceat(total_sq, rows.begins).tolist(),
            strict=True,
        )
    }


def series_of(rows: Cut) -> dict[tuple[str, int], Series]:
    """The same by step; the frame has a start."""
    if not rows.heads:
        return {}
    starts = rows.frame["start"]
    ticks = starts.to_physical().to_numpy()
    known, first = np.unique(ticks, return_index=True)
    when = [utc(start) for start in starts[first]]
    ticks = ticks[rows.order]
    place = np.searchsorted(known, ticks)
    out = {}
    for key, begin, end in zip(rows.heads, rows.begins, rows.ends, strict=True):
        change = np.diff(ticks[begin:end], prepend=ticks[begin]) > 0
        steps = place[[begin, *(begin + np.flatnonzero(change)).tolist()]].tolist()
        out[key] = Series(
            tuple(when[i] for i in steps),
            np.cumsum(change),
            rows.number[begin:end],
            rows.n[begin:end],
        )
    return out


def _floats(column: pl.Series) -> Counts:
    return column.to_numpy().astype(np.float64)  # null is NaN, and a copy is made


def bins_of(frame: pl.DataFrame) -> dict[int, Bins]:
    """The kept bins by feature, from rows of (feature, bin, upper, category) in their order."""
    if frame.is_empty():
        return {}
    feature = frame["feature"].to_numpy()
    begins = [0, *(np.flatnonzero(np.diff(feature)) + 1).tolist()]
    number, category = frame["bin"].to_list(), frame["category"].to_list()
    upper = _floats(frame["upper"])
    upper[np.isnan(upper)] = math.inf
    out = {}
    for begin, end in zip(begins, [*begins[1:], len(feature)], strict=True):
        of = slice(begin, end)
        out[int(feature[begin])] = Bins(tuple(number[of]), upper[of], tuple(category[of]))
    return out


def binning_of(bins: Bins, kind: FeatureKind, profile: Mapping[str, object] | None) -> Binning:
    """The kept bins of a feature, merged as the deciles of one reference ask for."""
    if kind is FeatureKind.CATEGORICAL:
        named: dict[int, str] = {}
        for number, category in zip(bins.number, bins.category, strict=True):
            named[number] = "(other)" if number in named else str(category)
        numbers = (*named, MISSING, UNSEEN)
        labels = (*named.values(), "(missing)", "(unseen)")
        nothing = np.full(len(numbers), np.nan)
        return Binning(
            np.array(numbers) + FIRST,
            nothing,
            nothing,
            np.zeros(len(numbers), dtype=np.bool_),
            np.arange(len(numbers)),
            labels,
            len(numbers),
        )
    upper = bins.upper
    lower = np.concatenate(([-math.inf], upper[:-1]))
    edges = _decile_edges(profile)
    if edges is None:  # no reference: every fifth kept bin, for a picture only
        edges = upper[:-1][:: max(1, len(upper) // 10)]
    inner = np.searchsorted(edges, upper, side="left")
    group = np.concatenate((inner, [len(edges) + 1, len(edges) + 1]))
    ends = ["-∞", *(f"{e:.4g}" for e in edges), "∞"]
    labels = tuple(
        f"≤ {b}" if a == "-∞" else f"> {a}" if b == "∞" else b if a == b else f"{a} to {b}"
        for a, b in pairwise(ends)
    )
    return Binning(
        np.array((*range(len(upper)), MISSING, NOT_FINITE)) + FIRST,
        np.concatenate((lower, [np.nan, np.nan])),
        np.concatenate((upper, [np.nan, np.nan])),
        np.concatenate((np.nextafter(lower, math.inf) == upper, [False, False])),
        group,
        (*labels, "(missing)"),
        len(edges) + 2,
    )


def _decile_edges(profile: Mapping[str, object] | None) -> Counts | None:
    """The reference's deciles; a value that holds several of them becomes a bin of its own."""
    deciles = profile["deciles"] if profile else None
    if not isinstance(deciles, list) or not deciles:
        return None
    lowest = number_of(profile["lowest"]) if profile else None
    edges: set[float] = set()
    for value in deciles:
        if deciles.count(value) > 1 and value != lowest:
            edges.add(math.nextafter(value, -math.inf))
        edges.add(value)
    return np.array(sorted(edges), dtype=np.float64)


def counts_in(binning: Binning, part: Part) -> Counts:
    """Counts in the order of the kept bins, (bins,)."""
    counts: Counts = part.counts[np.minimum(binning.place, len(part.counts) - 1)]
    return counts


def merge(binning: Binning, counts: Counts) -> Counts:
    """Counts of the merged bins, (n_groups,)."""
    merged: Counts = np.bincount(binning.group, counts, binning.n_groups).astype(np.float64)
    return merged


def number_of(value: object) -> float | None:
    """A number from a frame, or None."""
    return float(value) if isinstance(value, int | float) else None


def range_of(profile: Mapping[str, object] | None) -> tuple[float, float] | None:
    """The reference's smallest and largest finite value."""
    if profile is None:
        return None
    low, high = number_of(profile["lowest"]), number_of(profile["highest"])
    return None if low is None or high is None else (low, high)
