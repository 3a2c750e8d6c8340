"""How complete labels are: what usually comes, how fast, and what is still due.

Read from rows that are old enough to have got their label, so labels that are merely late do not
look like labels that never come, and an outage within the window does not become the usual.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import polars as pl

from console.analysis.figures import Figures, provisional
from console.analysis.usual import UsualVolume

__all__ = ["NOTHING_KNOWN", "Completeness", "Maturity", "completeness", "mark", "maturity"]

BINS = 8
"""Bins per factor e of label delay: bin = floor(8 ln(1 + seconds))."""

SETTLED = 0.9
"""Figures are provisional while fewer than this share of the labels that usually come have come."""

_LEAST_ROWS = 50
_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Maturity:
    """usual: share of predictions that get a label in the end, 0..1, None when not known.

    ends, shares: upper ends of delay bins in seconds, and the share of labels come by then. n: the
    labels that this rests on. made: when predictions were made, known from `since` on; without it
    they are taken as spread evenly.
    """

    usual: float | None
    ends: tuple[float, ...]
    shares: tuple[float, ...]
    n: int
    made: UsualVolume | None = None
    since: datetime | None = None

    def quantile(self, q: float) -> float | None:
        """Delay in seconds by which a share q of the labels has come (13 % wide bins)."""
        return next((e for e, s in zip(self.ends, self.shares, strict=True) if s >= q), None)

    def arrived(self, age: timedelta) -> float:
        """Share of its labels that a row of this age has, 0..1; 1 when no delay is known."""
        if not self.ends:
            return 1.0
        passed = bisect_right(self.ends, age.total_seconds())
        return self.shares[passed - 1] if passed else 0.0

    def arrived_of(self, start: datetime, end: datetime, as_of: datetime) -> float:
        """The same for the rows made in [start, end)."""
        youngest = (as_of - min(end, as_of)).total_seconds()
        if not self.ends or (self.ends[-1] <= youngest and self.shares[-1] >= 1):
            return 1.0
        if self.made is not None and self.since is not None and start >= self.since:
            known = self.made.by_hour(start, min(end, as_of))
            if known:
                come = sum(n * self.arrived(as_of - middle) for middle, n in known)
                return come / sum(n for _, n in known)
        step = (min(end, as_of) - start) / _SAMPLES
        ages = (as_of - (start + (i + 0.5) * step) for i in range(_SAMPLES))
        return sum(self.arrived(age) for age in ages) / _SAMPLES


def maturity(
    volume: pl.DataFrame, delay: pl.DataFrame, start: datetime, as_of: datetime
) -> Maturity:
    """From daily volume and label delay of the weeks before `as_of`; the window begins at `start`.

    The days before the window are taken where they hold enough; else all that are old enough.
    """
    every = _curve(delay)
    horizon = every.quantile(0.99)
    if horizon is None:
        return every
    ripe = as_of - timedelta(seconds=horizon) - timedelta(days=1)
    for until in (min(ripe, start - timedelta(days=1)), ripe):
        made = _until(volume, until)
        rows = int((made["n"] - made["n_error"]).sum())
        if rows >= _LEAST_ROWS:
            known = _until(delay, until)
            curve = _curve(known)
            if not curve.n:
                continue
            return Maturity(min(curve.n / rows, 1.0), curve.ends, curve.shares, curve.n)
    return every


NOTHING_KNOWN = Maturity(None, (), (), 0)
"""No label has ever come."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """How complete the labels of some rows are; shares of their predictions, 0..1.

    coverage: that have a label now, None without predictions. expected: that usually have one at
    their age; usual: that get one in the end; both None while nothing is known. final: no figure
    of theirs will still move much; None where that cannot be told.
    """

    coverage: float | None
    expected: float | None
    usual: float | None
    final: bool | None


def completeness(known: Maturity, n: int, n_labelled: int, arrived: float | None) -> Completeness:
    """Of n rows, n_labelled of them with a label; arrived: see `Maturity.arrived_of`."""
    coverage = n_labelled / n if n else None
    if known.usual is None or arrived is None:
        return Completeness(coverage, None, known.usual, None)
    due = _due(known.usual, n, n_labelled, arrived)
    return Completeness(coverage, known.usual * arrived, known.usual, not due)


def mark(
    found: Iterable[tuple[Figures, datetime, datetime]], known: Maturity, as_of: datetime
) -> tuple[Figures, ...]:
    """Figures of (figures, start, end), provisional where labels are still due."""
    usual = known.usual

    @cache
    def arrived(start: datetime, end: datetime) -> float:
        return known.arrived_of(start, end, as_of)

    return tuple(
        provisional(f)
        if usual is not None and _due(usual, f.n, f.n_labelled, arrived(start, end))
        else f
        for f, start, end in found
    )


def _due(usual: float, n: int, n_labelled: int, arrived: float) -> bool:
    """Whether labels are still to come, by what has come and by their usual delay."""
    return n_labelled < SETTLED * usual * n and arrived < SETTLED


def _until(frame: pl.DataFrame, last_day: datetime) -> pl.DataFrame:
    return frame.filter(pl.col("start") <= last_day.replace(tzinfo=None))


def _curve(delay: pl.DataFrame) -> Maturity:
    part = delay.group_by("bin").agg(pl.col("n").sum()).sort("bin")
    total = int(part["n"].sum()) if not part.is_empty() else 0
    if total <= 0:
        return Maturity(None, (), (), 0)
    ends, shares, passed = [], [], 0
    for number, n in part.iter_rows():
        passed += n
        ends.append(math.expm1((number + 1) / BINS))
        shares.append(passed / total)
    return Maturity(None, tuple(ends), tuple(shares), total)
