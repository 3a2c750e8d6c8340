"""The serving system beside the model: latency, errors, load and cost, with their limits.

Two sources, both shown: what the prediction log says itself, and samples that collectors brought.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from collectors.contract import Deployment, Limit
from console.analysis.ask import Ask, Step, utc
from console.analysis.estimate import Estimate
from console.analysis.findings import Finding
from console.analysis.performance import PerformanceSnapshot
from console.analysis.system_cost import sampled_cost
from console.analysis.system_findings import system_findings
from console.analysis.system_limits import judged
from console.analysis.system_log import log_steps
from console.analysis.system_rows import (
    KNOWN,
    Origin,
    Standing,
    SystemFrames,
    SystemRow,
    SystemStep,
)
from console.analysis.whole import whole_of

__all__ = [
    "MOST_SERIES",
    "Headline",
    "SystemSnapshot",
    "limits_first",
    "most_drawn",
    "system",
]

MOST_SERIES = 200
"""Series of samples that are shown, those with a limit and the known ones first."""

_MOST_POINTS = 40_000


@dataclass(frozen=True, slots=True)
class Headline:
    """The model's headline figure of a version, over the window and by step."""

    version: str
    whole: Estimate
    series: tuple[tuple[datetime, Estimate], ...]


@dataclass(frozen=True, slots=True)
class SystemSnapshot:
    """rows: broken limits first. headline: the figure's name. n_left_out: series not shown.

    limits: what the contract sets, whether it has samples or not.
    """

    ask: Ask
    rows: tuple[SystemRow, ...]
    headline: str
    headlines: tuple[Headline, ...]
    n_left_out: int
    limits: Mapping[str, Limit]
    findings: tuple[Finding, ...]


def limits_first(d: Deployment) -> list[str]:
    """Metrics that are shown before others."""
    return [*d.limits, *(name for name in KNOWN if name not in d.limits)]


def most_drawn(ask: Ask) -> int:
    """How many series are cut into steps: fewer where there are many steps."""
    if ask.step is Step.ALL:
        return MOST_SERIES
    first = ask.step_end(ask.start) - ask.start
    steps = max(1, int((ask.end - ask.start) / first))
    return min(MOST_SERIES, max(10, _MOST_POINTS // steps))


def system(ask: Ask, frames: SystemFrames, performance: PerformanceSnapshot) -> SystemSnapshot:
    """Figures of both sources, judged by the limits. Pure.

    performance: of all versions, by the same step.
    """
    rows = [
        *_from_log(ask, frames),
        *_from_samples(ask, frames.samples, frames.series),
    ]
    if frames.cost_hours is not None and frames.hours is not None:
        rows += _from_cost(ask, frames.cost_hours, frames.hours)
    shown = [row for row in rows if ask.version is None or row.version in (None, ask.version)]
    known = judged(ask, shown, frames)
    n_hidden = _n_hidden(ask, known, frames.breaches)
    n_series = int(frames.samples["n_series"][0]) if not frames.samples.is_empty() else 0
    return SystemSnapshot(
        ask,
        tuple(sorted(known, key=_order)),
        performance.headline,
        _headlines(ask, performance),
        n_series - frames.samples.height,
        dict(ask.deployment.limits),
        system_findings(ask, known, n_hidden),
    )


def _n_hidden(ask: Ask, rows: list[SystemRow], breaches: pl.DataFrame | None) -> int:
    """Series that broke a limit and are not among the rows."""
    if breaches is None or breaches.is_empty():
        return 0
    if ask.version is not None:
        breaches = breaches.filter(pl.col("version").is_in(["", ask.version]))
    named = sum(row.breach is not None and row.origin is Origin.SAMPLES for row in rows)
    return breaches.height - named


def _order(row: SystemRow) -> tuple[object, ...]:
    known = KNOWN.index(row.metric) if row.metric in KNOWN else len(KNOWN)
    urgent = [Standing.BROKEN, Standing.WAS_BROKEN, Standing.UNSURE, Standing.NO_SAMPLES]
    rank = urgent.index(row.standing) if row.standing in urgent else len(urgent)
    return rank, known, row.metric, row.origin or "", row.version is not None, row.version or ""


def _from_log(ask: Ask, frames: SystemFrames) -> Iterator[SystemRow]:
    steps = log_steps(ask, frames.volume, frames.latency, frames.seen)
    begin = ask.start.replace(tzinfo=None)
    over = replace(ask, step=Step.ALL)
    wholes = log_steps(
        over, _whole(frames.volume, begin), _whole(frames.latency, begin), frames.seen
    )
    for version, (whole, *_) in wholes.items():
        mine = steps.get(version, ())
        for metric, figure in whole.metrics.items():
            series = tuple(
                SystemStep(step.start, step.metrics[metric].n, {"value": step.metrics[metric]})
                for step in mine
                if metric in step.metrics
            )
            values = [(s.figure.value, s.figure) for s in series if s.figure.value is not None]
            metrics = {"value": figure}
            if values and ask.step is not Step.ALL:
                metrics["lowest"] = min(values, key=lambda pair: pair[0])[1]
                metrics["highest"] = max(values, key=lambda pair: pair[0])[1]
            yield SystemRow(
                metric,
                version,
                Origin.LOG,
                SystemStep(None, figure.n, metrics),
                series,
                series[-1].figure.value if series else figure.value,
                min(mine[-1].end, ask.as_of) if mine else None,
                None,
                Standing.NO_LIMIT,
            )


def _whole(frame: pl.DataFrame, begin: datetime) -> pl.DataFrame:
    return whole_of(frame, begin) if not frame.is_empty() else frame


def _from_samples(ask: Ask, samples: pl.DataFrame, series: pl.DataFrame) -> Iterator[SystemRow]:
    by_series: dict[tuple[str, str], list[SystemStep]] = {}
    for row in series.iter_rows(named=True):
        step = SystemStep(ask.step_start(utc(row["start"])), row["n"], _gauge(row))
        by_series.setdefault((row["metric"], row["version"]), []).append(step)
    for row in samples.iter_rows(named=True):
        metric, version = row["metric"], row["version"]
        yield SystemRow(
            metric,
            version or None,
            Origin.SAMPLES,
            SystemStep(None, row["n"], _gauge(row)),
            tuple(by_series.get((metric, version), ())),
            row["newest"],
            utc(row["last_ts"]),
            None,
            Standing.NO_LIMIT,
        )


def _gauge(row: Mapping[str, float]) -> dict[str, Estimate]:
    n = int(row["n"])
    return {name: Estimate(row[name], None, None, n) for name in ("mean", "lowest", "highest")}


def _from_cost(ask: Ask, cost: pl.DataFrame, hours: pl.DataFrame) -> Iterator[SystemRow]:
    for version, found in sampled_cost(ask, cost, hours).items():
        yield SystemRow(
            "cost_per_1000",
            version,
            Origin.BOTH,
            SystemStep(None, found.whole.n, {"mean": found.whole}),
            tuple(SystemStep(start, e.n, {"mean": e}) for start, e in found.series),
            found.series[-1][1].value if found.series else None,
            found.newest,
            None,
            Standing.NO_LIMIT,
        )


def _headlines(ask: Ask, performance: PerformanceSnapshot) -> tuple[Headline, ...]:
    name = performance.headline
    return tuple(
        Headline(
            f.group.version,
            f.metrics[name],
            tuple(
                (s.group.start, s.metrics[name])
                for s in performance.series
                if s.group.version == f.group.version and s.group.start is not None
            ),
        )
        for f in performance.whole
        if ask.version in (None, f.group.version)
    )
