"""The headline figure of each slice over time, and when it changed.

The series begins one window earlier than the window, so that a change at its edge has a before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl

from collectors.contract import Deployment, Task
from console.analysis.ask import Ask, utc
from console.analysis.cusum import cusum, standardised
from console.analysis.maturity import SETTLED, Maturity
from console.analysis.onset import LEAST_POINTS, Onset, Point, onset_of

__all__ = ["SERIES_METRIC", "Course", "SlowChange", "headline_courses", "headline_points"]

SERIES_METRIC = {Task.BINARY: "f1", Task.REGRESSION: "mae", Task.MULTICLASS: "accuracy"}
"""The figure of the series: the headline where it is a ratio of sums, which macro F1 is not."""

_SLICE = ("version", "value", "value2")
_MOST_SLICES = 6
"""Slices with the most rows that a change is looked for in: each takes 1 to 3 ms."""

_BASE_STEPS = 14
"""Steps of the window before from which its mean and spread are known well enough for an alarm."""

_BY_WEEK = timedelta(days=150)
"""Longer series are put together to weeks."""

_RATIOS: Mapping[Task, tuple[pl.Expr, pl.Expr, pl.Expr]] = {
    # numerator, denominator, rows that the value rests on
    Task.BINARY: (
        2 * pl.col("tp"),
        pl.col("yes") + pl.col("positive"),
        pl.col("yes") + pl.col("positive") - pl.col("tp"),
    ),
    Task.REGRESSION: (pl.col("e_abs"), pl.col("n_labelled"), pl.col("n_labelled")),
    Task.MULTICLASS: (pl.col("right"), pl.col("n_labelled"), pl.col("n_labelled")),
}


@dataclass(frozen=True, slots=True)
class SlowChange:
    """CUSUM of the window's steps, standardised by those of the window before.

    value: the larger of the two sums at the end, in standard deviations; an alarm above threshold.
    since: where it began, None without an alarm. rises: which way.
    """

    value: float
    threshold: float
    since: datetime | None
    rises: bool


@dataclass(frozen=True, slots=True)
class Course:
    """How a slice's headline went over the window and the one before."""

    onset: Onset
    slow: SlowChange | None = None


def headline_courses(
    ask: Ask, before: pl.DataFrame, series: pl.DataFrame, known: Maturity
) -> dict[tuple[str, str, str], Course]:
    """The course by (version, value, value2), of the slices with the most rows.

    before, series: outcome rows of the two windows by hour or day; the figure is `SERIES_METRIC`.
    Steps whose labels are still due are left out.
    """
    d = ask.deployment
    frame = pl.concat([f for f in (before, series) if f.width], how="vertical_relaxed")
    if frame.is_empty():
        return {}
    if ask.end - ask.before()[0] > _BY_WEEK:
        frame = frame.with_columns(pl.col("start").dt.truncate("1w"))
    points = headline_points(d, frame, ask, known)
    largest = sorted(points, key=lambda key: (-sum(p.n for p in points[key]), key))[:_MOST_SLICES]
    share = d.task is not Task.REGRESSION
    return {
        key: Course(onset_of(points[key], share=share), slow_change(points[key], ask.start))
        for key in largest
    }


def slow_change(points: list[Point], begin: datetime) -> SlowChange | None:
    """CUSUM of the steps from `begin` on; None with too few steps on either side, or by the hour.

    The hour of the day would be an alarm each morning.
    """
    used = [p for p in points if p.value is not None and p.n > 0]
    base = sum(p.start < begin for p in used)
    if base < _BASE_STEPS or len(used) - base < LEAST_POINTS:
        return None
    if min(b.start - a.start for a, b in pairwise(used)) < timedelta(days=1):
        return None
    z = standardised([p.value or 0.0 for p in used], [p.n for p in used], base)
    found = cusum(z.tolist())
    since = used[base + min(found.since, len(z) - 1)].start if found.since is not None else None
    up, down = found.up[-1], found.down[-1]
    rises = found.rises if since is not None else up > down
    return SlowChange(up if rises else down, found.threshold, since, rises)


def headline_points(
    d: Deployment, frame: pl.DataFrame, ask: Ask, known: Maturity
) -> dict[tuple[str, str, str], list[Point]]:
    """The series of the headline by slice, from outcome rows of a step, in order of time."""
    sums = {
        Task.BINARY: (
            pl.col("n_positive").filter(pl.col("predicted") == 1).sum().alias("tp"),
            pl.col("n_labelled").filter(pl.col("predicted") == 1).sum().alias("yes"),
            pl.col("n_positive").sum().alias("positive"),
        ),
        Task.REGRESSION: (pl.col("e_abs").sum(), pl.col("n_labelled").sum()),
        Task.MULTICLASS: (
            pl.col("n").filter(pl.col("predicted") == pl.col("actual")).sum().alias("right"),
            pl.col("n").filter(pl.col("actual").is_not_null()).sum().alias("n_labelled"),
        ),
    }[d.task]
    top, bottom, rows = _RATIOS[d.task]
    found = (
        frame.group_by(*_SLICE, "start")
        .agg(*sums)
        .filter(bottom > 0)
        .select(*_SLICE, "start", level=top / bottom, rows=rows)
        .sort(*_SLICE, "start")
    )
    due = _first_due(ask, known)
    out: dict[tuple[str, str, str], list[Point]] = {}
    for version, value, value2, start, figure, n in found.iter_rows():
        at = utc(start)
        if at < due:
            out.setdefault((version, value, value2), []).append(Point(at, figure, n))
    return out


def _first_due(ask: Ask, known: Maturity) -> datetime:
    """The first moment whose rows may still get labels: a step from there on is not settled."""
    delay = known.quantile(SETTLED)
    return ask.as_of - timedelta(seconds=delay) if delay is not None else ask.as_of
