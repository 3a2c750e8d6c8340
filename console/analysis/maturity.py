"""How complete labels are: what usually comes, how fast, and what is still due.

Read from rows that are old enough to have got their label, so labels that are merely late do not
look like labels that never come, and an outage within the window does not become the usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from console.analysis.figures import Figures, provisional

__all__ = ["Maturity", "mark", "maturity"]

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
    labels that this rests on.
    """

    usual: float | None
    ends: tuple[float, ...]
    shares: tuple[float, ...]
    n: int

    def quantile(self, q: float) -> float | None:
        """Delay in seconds by which a share q of the labels has come (13 % wide bins)."""
        return next((e for e, s in zip(self.ends, self.shares, strict=True) if s >= q), None)

    def arrived(self, age: timedelta) -> float:
        """Share of its labels that a row of this age has, 0..1; 1 when no delay is known."""
        if not self.ends:
            return 1.0
        seconds, share = age.total_seconds(), 0.0
        for end, come in zip(self.ends, self.shares, strict=True):
            if end > seconds:
                break
            share = come
        return share

    def arrived_of(self, start: datetime, end: datetime, as_of: datetime) -> float:
        """The same for rows spread evenly over [start, end)."""
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


def mark(
    found: Iterable[tuple[Figures, datetime, datetime]], known: Maturity, as_of: datetime
) -> tuple[Figures, ...]:
    """Figures of (figures, start, end), provisional where labels are still due."""
    usual = known.usual
    return tuple(
        provisional(f)
        if usual is not None
        and f.n_labelled < SETTLED * usual * f.n
        and known.arrived_of(start, end, as_of) < SETTLED
        else f
        for f, start, end in found
    )


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
