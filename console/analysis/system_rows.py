"""One line of the System pane: a metric of a version from one source, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import polars as pl

from collectors.contract import Limit
from console.analysis.estimate import Estimate

__all__ = [
    "KNOWN",
    "Breach",
    "Origin",
    "Standing",
    "SystemFrames",
    "SystemRow",
    "SystemStep",
    "amount",
]

KNOWN = (
    "latency_p99_ms",
    "latency_p95_ms",
    "latency_p50_ms",
    "error_rate",
    "errors_per_second",
    "requests_per_second",
    "saturation",
    "queue_length",
    "cpu_cores",
    "memory_bytes",
    "gpu_utilization",
    "gpu_memory_bytes",
    "cost_per_1000",
    "cost_per_hour",
)
"""Metrics with a meaning of their own, in the order of the pane; others follow by name."""


class Origin(StrEnum):
    """Where a figure comes from."""

    LOG = "log"
    SAMPLES = "samples"
    BOTH = "both"
    """Samples of a cost over predictions of the log."""


class Standing(StrEnum):
    """How a metric stands to its limit."""

    BROKEN = "broken"
    """Beyond it up to the newest value."""
    WAS_BROKEN = "was_broken"
    UNSURE = "unsure"
    """Beyond it, of so few requests that chance explains it."""
    NO_SAMPLES = "no_samples"
    KEPT = "kept"
    NO_LIMIT = "no_limit"


@dataclass(frozen=True, slots=True)
class Breach:
    """A broken limit. since, until: of the newest time; until None: it lasts up to newest.

    n_times: how often it began in the window, the first time at first_since. n_beyond: samples, or
    steps of the log, beyond it. worst: the value furthest beyond. seconds: all times together, from
    the first value beyond to the next that is not, or to the newest one. newest: of the metric's
    last value, or the end of the log's last step.
    """

    since: datetime
    until: datetime | None
    first_since: datetime
    n_times: int
    n_beyond: int
    worst: float
    seconds: float
    newest: datetime


@dataclass(frozen=True, slots=True)
class SystemStep:
    """A metric in one step (start None: the whole window). n: samples, or predictions.

    metrics: of samples `mean`, `lowest`, `highest`, without an interval, since how samples vary
    between their times is not known. Of the log `value`, and over the window the lowest and the
    highest step.
    """

    start: datetime | None
    n: int
    metrics: Mapping[str, Estimate]

    @property
    def figure(self) -> Estimate:
        """The mean of samples, or the log's value."""
        return self.metrics["value"] if "value" in self.metrics else self.metrics["mean"]


@dataclass(frozen=True, slots=True)
class SystemRow:
    """One metric of one version (None: of all together, or of none) from one source.

    origin None, and whole None: a metric that has a limit and no samples. now: its newest value,
    at newest (of the log: that of the newest step, and its end).
    """

    metric: str
    version: str | None
    origin: Origin | None
    whole: SystemStep | None
    series: tuple[SystemStep, ...]
    now: float | None
    newest: datetime | None
    limit: Limit | None
    standing: Standing
    breach: Breach | None = None


@dataclass(frozen=True, slots=True)
class SystemFrames:
    """What a snapshot is made of; frames hold every version.

    volume, latency: by the ask's step. judged_volume, judged_latency: by `judging_step`, where the
    log has limits. samples: one row per metric and version; series: by step; breaches: stretches of
    samples beyond their limit. cost_hours, hours: cost_per_hour and volume by hour, where sampled.
    seen: the log's first hour and its newest row.
    """

    volume: pl.DataFrame
    latency: pl.DataFrame
    samples: pl.DataFrame
    series: pl.DataFrame
    judged_volume: pl.DataFrame | None = None
    judged_latency: pl.DataFrame | None = None
    breaches: pl.DataFrame | None = None
    cost_hours: pl.DataFrame | None = None
    hours: pl.DataFrame | None = None
    seen: tuple[datetime, datetime] | None = None


def amount(metric: str, value: float | None) -> str:
    """A value in the unit of its metric: bytes as GiB, a rate of errors as per cent."""
    if value is None:
        return "-"
    if metric == "error_rate":
        return f"{100 * value:.3g}%"
    if metric.endswith("_bytes"):
        for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
            if abs(value) >= size:
                return f"{value / size:.4g} {unit}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
