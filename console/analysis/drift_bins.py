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
    "MISSING",
    "NOT_FINITE",
    "UNSEEN",
    "Binning",
    "Counts",
    "Part",
    "Series",
    "bin_n",
    "binning_of",
    "counts_in",
    "merge",
    "number_of",
    "parts_of",
    "range_of",
    "series_of",
]

MISSING, NOT_FINITE, UNSEEN = -1, -2, -3

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Binning:
    """Kept bins of one feature in order, and how PSI merges them for one version."""

    numbers: tuple[int, ...]
    lower: Counts
    upper: Counts
    group: NDArray[np.int64]
    labels: tuple[str, ...]
    n_groups: int


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one version and feature: counts by bin number, and the ends of its values."""

    counts: Mapping[int, int]
    lowest: float | None
    highest: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """The same by step: for each kept count its step's place, its bin and its rows."""

    starts: tuple[datetime, ...]
    step: NDArray[np.int64]
    bin: NDArray[np.int64]
    n: Counts


def parts_of(frame: pl.DataFrame) -> dict[tuple[str, int], Part]:
    """Counts per (version, feature) from rows of (version, feature, bin, n)."""
    counts: dict[tuple[str, int], dict[int, int]] = {}
    ends: dict[tuple[str, int], tuple[float | None, float | None]] = {}
    for version, feature, number, n in frame.select("version", "feature", "bin", "n").iter_rows():
        counts.setdefault((version, feature), {})[number] = n
    if "value_min" in frame.columns:
        grouped = frame.group_by("version", "feature").agg(
            pl.col("value_min").min(), pl.col("value_max").max()
        )
        ends = {(v, f): (low, high) for v, f, low, high in grouped.iter_rows()}
    return {key: Part(found, *ends.get(key, (None, None))) for key, found in counts.items()}


def series_of(frame: pl.DataFrame) -> dict[tuple[str, int], Series]:
    """Cut once into runs of one version and feature; polars would take 50 us for each."""
    if frame.is_empty():
        return {}
    frame = frame.sort("version", "feature", "start")
    runs = frame.select(pl.struct("version", "feature").rle_id().alias("run"))["run"].to_numpy()
    begins = np.concatenate(([0], np.flatnonzero(np.diff(runs)) + 1))
    ends = np.concatenate((begins[1:], [len(runs)]))
    heads = frame.select("version", "feature")[begins.tolist()].rows()
    number, n = frame["bin"].to_numpy().astype(np.int64), frame["n"].to_numpy().astype(np.float64)
    starts = frame["start"].to_list()
    ticks = frame["start"].to_physical().to_numpy()
    out = {}
    for key, begin, end in zip(heads, begins.tolist(), ends.tolist(), strict=True):
        change = np.diff(ticks[begin:end], prepend=ticks[begin]) > 0
        first = [begin, *(begin + np.flatnonzero(change)).tolist()]
        moments = tuple(utc(starts[i]) for i in first)
        out[key] = Series(moments, np.cumsum(change), number[begin:end], n[begin:end])
    return out


def binning_of(
    bins: pl.DataFrame, kind: FeatureKind, profile: Mapping[str, object] | None
) -> Binning:
    """The kept bins of a feature, merged as the deciles of one reference ask for."""
    if kind is FeatureKind.CATEGORICAL:
        named: dict[int, str] = {}
        for number, category in bins.select("bin", "category").iter_rows():
            named[number] = "(other)" if number in named else category
        numbers = (*named, MISSING, UNSEEN)
        labels = (*named.values(), "(missing)", "(unseen)")
        nothing = np.full(len(numbers), np.nan)
        return Binning(numbers, nothing, nothing, np.arange(len(numbers)), labels, len(numbers))
    upper = np.array([math.inf if u is None else u for u in bins["upper"]], dtype=np.float64)
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
    lowest = number_of(profile["lowest"]) if profile else None
    edges: set[float] = set()
    for value in deciles:
        if deciles.count(value) > 1 and value != lowest:
            edges.add(math.nextafter(value, -math.inf))
        edges.add(value)
    return np.array(sorted(edges), dtype=np.float64)


def counts_in(binning: Binning, part: Part) -> Counts:
    """Counts in the order of the kept bins, (bins,)."""
    return np.array([part.counts.get(number, 0) for number in binning.numbers], dtype=np.float64)


def merge(binning: Binning, counts: Counts) -> Counts:
    """Counts of the merged bins, (n_groups,)."""
    merged: Counts = np.bincount(binning.group, counts, binning.n_groups).astype(np.float64)
    return merged


def bin_n(part: Part, number: int) -> int:
    """Rows in one bin."""
    return part.counts.get(number, 0)


def number_of(value: object) -> float | None:
    """A number from a frame, or None."""
    return float(value) if isinstance(value, int | float) else None


def range_of(profile: Mapping[str, object] | None) -> tuple[float, float] | None:
    """The reference's smallest and largest finite value."""
    if profile is None:
        return None
    low, high = number_of(profile["lowest"]), number_of(profile["highest"])
    return None if low is None or high is None else (low, high)
