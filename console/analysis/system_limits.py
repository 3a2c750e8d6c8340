"""Metrics against their hard limits: which are broken, since when, how long, how far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from collectors.contract import Limit
from console.analysis.ask import Ask, utc
from console.analysis.system_log import (
    LATENCY,
    PER_SECOND,
    LogStep,
    judging_step,
    latency_beyond,
    log_steps,
    surely_more,
)
from console.analysis.system_rows import Breach, Origin, Standing, SystemFrames, SystemRow

__all__ = ["judged"]

_Count = tuple[int, int, float]
"""k of n rows are beyond a limit that allows a share of them."""


@dataclass(frozen=True, slots=True)
class _Point:
    """One value that is compared with a limit. counts: of each side; none where nothing is drawn
    by chance. sure: beyond it, by more than chance explains.
    """

    start: datetime
    end: datetime
    value: float
    beyond: bool
    sure: bool
    counts: tuple[_Count, ...] = ()


def judged(ask: Ask, rows: Sequence[SystemRow], frames: SystemFrames) -> list[SystemRow]:
    """The rows with their limits, and one for each limit that has nothing to judge."""
    limits = ask.deployment.limits
    if not limits:
        return list(rows)
    log = _LogJudge(ask, frames)
    stretches = _stretches(frames)
    out = []
    for row in rows:
        limit = limits.get(row.metric)
        if limit is None:
            out.append(row)
        elif row.origin is Origin.LOG:
            out.append(log.judge(row, limit))
        elif row.origin is Origin.BOTH:
            out.append(_by_points(row, limit, _cost_points(ask, row, limit)))
        else:
            breach = stretches.get((row.metric, row.version or ""))
            out.append(_by_stretch(row, limit, breach))
    there = {row.metric for row in rows}
    lacking = [name for name in limits if name not in there]
    nothing = SystemRow("", None, None, None, (), None, None, None, Standing.NO_SAMPLES)
    return out + [replace(nothing, metric=name, limit=limits[name]) for name in lacking]


# -- samples: the store finds the stretches, sample by sample ----------------------------------


def _stretches(frames: SystemFrames) -> dict[tuple[str, str], Mapping[str, Any]]:
    if frames.breaches is None:
        return {}
    return {(r["metric"], r["version"]): r for r in frames.breaches.iter_rows(named=True)}


def _by_stretch(row: SystemRow, limit: Limit, found: Mapping[str, Any] | None) -> SystemRow:
    if found is None:
        return replace(row, limit=limit, standing=Standing.KEPT)
    over = limit.above is not None and found["highest"] > limit.above
    breach = Breach(
        utc(found["since"]),
        utc(found["until"]) if found["until"] is not None else None,
        utc(found["first_since"]),
        found["n_times"],
        found["n_beyond"],
        found["highest"] if over else found["lowest"],
        float(found["seconds"]),
        row.newest or utc(found["last_beyond"]),
    )
    return _broken(row, limit, breach)


def _broken(row: SystemRow, limit: Limit, breach: Breach) -> SystemRow:
    standing = Standing.BROKEN if breach.until is None else Standing.WAS_BROKEN
    return replace(row, limit=limit, standing=standing, breach=breach)


# -- the log: step by step ---------------------------------------------------------------------


class _LogJudge:
    """The log's steps against limits; steps are cut once."""

    def __init__(self, ask: Ask, frames: SystemFrames) -> None:
        self._latency = frames.judged_latency
        self._counts: dict[float, dict[tuple[datetime, str | None], tuple[int, int, int]]] = {}
        self._steps: dict[str | None, tuple[LogStep, ...]] = {}
        if frames.judged_volume is not None and self._latency is not None:
            fine = replace(ask, step=judging_step(ask))
            self._steps = log_steps(fine, frames.judged_volume, self._latency, frames.seen)

    def judge(self, row: SystemRow, limit: Limit) -> SystemRow:
        """The row's limit; an amount's is of all versions together."""
        if row.metric in PER_SECOND and row.version is not None and None in self._steps:
            return row
        return _by_points(row, limit, list(self._points(row.metric, row.version, limit)))

    def _points(self, metric: str, version: str | None, limit: Limit) -> Iterator[_Point]:
        looks = sum(metric in step.metrics for steps in self._steps.values() for step in steps)
        for step in self._steps.get(version, ()):
            figure = step.metrics.get(metric)
            if figure is None or figure.value is None:
                continue
            if metric in PER_SECOND and not step.complete:
                continue
            counts = tuple(self._beyond(metric, version, step, limit))
            beyond = sure = limit.is_broken_by(figure.value)
            if counts:
                sure = _surely(counts, looks)
                beyond = beyond or sure
            yield _Point(step.start, step.end, figure.value, beyond, sure, counts)

    def _beyond(
        self, metric: str, version: str | None, step: LogStep, limit: Limit
    ) -> Iterator[_Count]:
        """Rows beyond the limit, side by side; amounts are counted, not estimated, and have none.

        A quantile is above a limit where more rows are than it leaves above itself.
        """
        if metric == "error_rate":
            if limit.above is not None:
                yield step.n_error, step.n, limit.above
            if limit.below is not None:
                yield step.n - step.n_error, step.n, 1 - limit.below
        elif metric in LATENCY:
            if limit.above is not None:
                above, _, n = self._rows(version, step, limit.above)
                yield above, n, 1 - LATENCY[metric]
            if limit.below is not None:
                _, below, n = self._rows(version, step, limit.below)
                yield below, n, LATENCY[metric]

    def _rows(self, version: str | None, step: LogStep, bound: float) -> tuple[int, int, int]:
        if self._latency is None:
            return 0, 0, 0
        if bound not in self._counts:
            several = None in self._steps
            self._counts[bound] = latency_beyond(self._latency, bound, several=several)
        return self._counts[bound].get((step.bucket, version), (0, 0, 0))


def _surely(counts: Sequence[_Count], looks: int) -> bool:
    return any(surely_more(k, n, share, looks) for k, n, share in counts)


def _cost_points(ask: Ask, row: SystemRow, limit: Limit) -> list[_Point]:
    steps = row.series or ((row.whole,) if row.whole is not None else ())
    points = []
    for step in steps:
        value = step.figure.value
        if value is not None:
            beyond = limit.is_broken_by(value)
            start, end = ask.step_start(step.start), ask.step_end(step.start)
            points.append(_Point(start, end, value, beyond, beyond))
    return points


def _by_points(row: SystemRow, limit: Limit, points: Sequence[_Point]) -> SystemRow:
    """Steps beyond the limit that follow each other are one stretch; one of them must be sure.

    Where none is, all steps are one: 5 requests an hour say little by the hour and enough in days.
    """
    if not points:
        return replace(row, limit=limit, standing=Standing.NO_SAMPLES)
    runs = [list(group) for _, group in groupby(points, key=lambda p: p.beyond)]
    stretches = [run for run in runs if any(p.sure for p in run)]
    if not stretches:
        together = _together(row, limit, points)
        if together is None:
            unsure = any(p.beyond for p in points)
            return replace(row, limit=limit, standing=Standing.UNSURE if unsure else Standing.KEPT)
        stretches, points = [[together]], [together]
    values = [p.value for stretch in stretches for p in stretch]
    over = limit.above is not None and max(values) > limit.above
    last, newest = stretches[-1], points[-1]
    breach = Breach(
        last[0].start,
        None if last[-1] is newest else last[-1].end,
        stretches[0][0].start,
        len(stretches),
        len(values),
        max(values) if over or limit.below is None else min(values),
        sum((p.end - p.start).total_seconds() for stretch in stretches for p in stretch),
        newest.end,
    )
    return _broken(row, limit, breach)


def _together(row: SystemRow, limit: Limit, points: Sequence[_Point]) -> _Point | None:
    """All steps as one, if it is surely beyond the limit."""
    value = row.whole.figure.value if row.whole is not None else None
    if value is None or not points[0].counts or not limit.is_broken_by(value):
        return None
    sides = zip(*(p.counts for p in points), strict=True)
    counts = [(sum(c[0] for c in side), sum(c[1] for c in side), side[0][2]) for side in sides]
    if not _surely(counts, 1):
        return None
    return _Point(points[0].start, points[-1].end, value, beyond=True, sure=True)
