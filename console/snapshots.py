"""Takes a pane's snapshot: asks the reader for rollups, hands them to the analysis.

Nothing is computed here. One `Taker` serves one clock moment: frames and snapshots that several
panes need are fetched once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar, cast

import polars as pl

from collectors.contract import Deployment, Task
from collectors.reader import Param, Reader
from console.analysis.ask import Ask, SegmentAsk, Step, floor_hour, naive, step_for
from console.analysis.data import DataFrames, DataSnapshot, data, delay_quantile
from console.analysis.drift import DriftFrames, DriftSnapshot, drift
from console.analysis.figures import OUTCOME_QUERY
from console.analysis.overview import OverviewRow, OverviewSnapshot, overview, overview_row
from console.analysis.performance import PerformanceFrames, PerformanceSnapshot, performance
from console.analysis.subgroups import SubgroupsSnapshot, subgroups
from console.analysis.traffic import TrafficSnapshot, traffic

__all__ = ["Snapshot", "Taker"]

Snapshot = (
    OverviewSnapshot
    | PerformanceSnapshot
    | DriftSnapshot
    | SubgroupsSnapshot
    | TrafficSnapshot
    | DataSnapshot
)

RECORDS = 100
"""Newest records in quarantine that are shown with their content; all of them are kept."""

S = TypeVar("S", bound=Snapshot)

USUAL = timedelta(days=28)
"""What is usual (label coverage, label delay) is read from this long before the window's end."""


class Taker:
    """Snapshots of one store at one moment, for one thread."""

    def __init__(self, reader: Reader, deployments: Sequence[Deployment]) -> None:
        self.reader = reader
        self.deployments = {d.name: d for d in deployments}
        self._frames: dict[tuple[object, ...], pl.DataFrame] = {}
        self._snapshots: dict[tuple[object, ...], Snapshot] = {}

    def performance(self, ask: Ask) -> PerformanceSnapshot:
        """Figures per step and version."""
        return self._once("performance", ask, self._performance)

    def drift(self, ask: Ask) -> DriftSnapshot:
        """Distances per feature and version."""
        return self._once("drift", ask, self._drift)

    def subgroups(self, ask: Ask) -> SubgroupsSnapshot:
        """Segment values against the whole."""
        return self._once("subgroups", ask, self._subgroups)

    def traffic(self, ask: Ask) -> TrafficSnapshot:
        """The observed split."""
        return self._once("traffic", ask, self._traffic)

    def data(self, ask: Ask) -> DataSnapshot:
        """Freshness, coverage, quarantine."""
        return self._once("data", ask, self._data)

    def overview(self, ask: Ask) -> OverviewSnapshot:
        """Every deployment over the same window."""
        rows = (self.overview_row(replace(ask, deployment=d)) for d in self.deployments.values())
        return overview(ask, tuple(rows))

    def overview_row(self, ask: Ask) -> OverviewRow:
        """What is wrong with one deployment, over all its versions."""
        of = replace(ask, version=None, segment=None)
        return overview_row(
            self.performance(of),
            self.drift(of),
            self.subgroups(of),
            self.traffic(of),
            self.data(of),
        )

    # -- one each --------------------------------------------------------------------------------

    def _performance(self, ask: Ask) -> PerformanceSnapshot:
        name = OUTCOME_QUERY[ask.deployment.task]
        segment = 0 if ask.segment is None else ask.segment.number_in(ask.deployment)
        number: dict[str, Param] = {"first": segment, "last": segment}
        multiclass = ask.deployment.task is Task.MULTICLASS
        delay = self._usual_delay(ask)
        p90 = delay_quantile(delay, 0.9)
        frames = PerformanceFrames(
            self._segment(ask, self._outcomes(ask, name, None, step=ask.step.value, **number)),
            self._segment(ask, self._outcomes(ask, name, None, step="all", **number)),
            self._segment(ask, self._outcomes(ask, name, ask.before(), step="all", **number)),
            self._segment(ask, self._ask(ask, f"reference_{name}", **number)),
            self._outcomes(ask, "class_score", step=ask.step.value) if multiclass else None,
            self._outcomes(ask, "class_score", step="all") if multiclass else None,
            self._usual_coverage(ask),
            timedelta(seconds=p90) if p90 is not None else None,
        )
        return performance(ask, frames)

    def _drift(self, ask: Ask) -> DriftSnapshot:
        most: dict[str, Param] = {"first": -9, "last": len(ask.deployment.features)}
        series_step = step_for(ask.end - ask.start) if ask.step is Step.ALL else ask.step
        if series_step is Step.HOUR:
            series_step = Step.DAY if ask.end - ask.start > timedelta(days=1) else Step.HOUR
        frames = DriftFrames(
            self._outcomes(ask, "features", None, step="all", **most),
            self._outcomes(ask, "features", None, step=series_step.value, **most),
            self._ask(ask, "bins"),
            self._ask(ask, "reference_features"),
            self._ask(ask, "reference_profile"),
        )
        return drift(ask, frames)

    def _subgroups(self, ask: Ask) -> SubgroupsSnapshot:
        d = ask.deployment
        name = OUTCOME_QUERY[d.task]
        if ask.segment is None:
            first, last = 1, len(d.segments)
        else:
            first = last = ask.segment.number_in(d)
        frame = self._outcomes(ask, name, step="all", first=first, last=last)
        whole = self._outcomes(ask, name, step="all", first=0, last=0)
        return subgroups(ask, frame, whole)

    def _traffic(self, ask: Ask) -> TrafficSnapshot:
        return traffic(
            ask,
            series=self._outcomes(ask, "volume", step=ask.step.value),
            whole=self._outcomes(ask, "volume", step="all"),
            latency=self._outcomes(ask, "latency"),
            versions=self._ask(ask, "versions", end=naive(ask.as_of)),
            before=self._outcomes(ask, "volume", ask.before(), step="all"),
        )

    def _data(self, ask: Ask) -> DataSnapshot:
        end = naive(ask.as_of)
        frames = DataFrames(
            self._ask(ask, "extent", end=end),
            self._ask(ask, "sources"),
            self._ask(ask, "quarantine"),
            self._ask(ask, "quarantine_records", most=RECORDS),
            self._ask(ask, "schema_changes"),
            self._ask(ask, "waiting_labels"),
            self._outcomes(ask, "volume", step=ask.step.value),
            self._outcomes(ask, "delay", step=ask.step.value),
            self._usual_delay(ask),
            self._usual(ask, "volume"),
            self._outcomes(
                ask,
                "volume",
                (floor_hour(ask.as_of) - timedelta(days=8), ask.as_of),
                step="hour",
            ),
            self._ask(ask, "metrics", start=naive(ask.start), end=naive(ask.end)),
        )
        return data(ask, frames, self.drift(ask))

    # -- frames ----------------------------------------------------------------------------------

    def _outcomes(
        self,
        ask: Ask,
        query: str,
        span: tuple[datetime, datetime] | None = None,
        **params: Param,
    ) -> pl.DataFrame:
        """A windowed query, as known at the asked moment, of one version or all."""
        frame = self._ask(
            ask,
            query,
            start=naive(span[0] if span else ask.start),
            end=naive(span[1] if span else ask.end),
            as_of=naive(ask.as_of),
            **params,
        )
        if ask.version is not None and "version" in frame.columns and query != "versions":
            frame = frame.filter(pl.col("version") == ask.version)
        return frame

    def _ask(self, ask: Ask, query: str, **params: Param) -> pl.DataFrame:
        key = (query, ask.deployment.name, *sorted(params.items()))
        if key not in self._frames:
            self._frames[key] = self.reader.query(query, ask.deployment.name, **params)
        return self._frames[key]

    def _usual(self, ask: Ask, query: str) -> pl.DataFrame:
        """Four weeks before the window's end, without the rows whose labels are still due."""
        return self._outcomes(ask, query, (ask.end - USUAL, ask.end), step="all")

    def _usual_delay(self, ask: Ask) -> pl.DataFrame:
        return self._usual(ask, "delay")

    def _usual_coverage(self, ask: Ask) -> float | None:
        volume, delay = self._usual(ask, "volume"), self._usual_delay(ask)
        made = int(volume["n"].sum()) if not volume.is_empty() else 0
        known = int(delay["n"].sum()) if not delay.is_empty() else 0
        return min(known / made, 1.0) if made and known else None

    def _segment(self, ask: Ask, frame: pl.DataFrame) -> pl.DataFrame:
        """Only the asked values of a segment, in the order of the rollup's columns."""
        if ask.segment is None or frame.is_empty():
            return frame
        ordered = _in_rollup_order(ask.deployment, ask.segment)
        for column, value in zip(("value", "value2"), ordered, strict=False):
            if value is not None:
                frame = frame.filter(pl.col(column) == value)
        return frame

    def _once(self, name: str, ask: Ask, make: Callable[[Ask], S]) -> S:
        key = (name, *ask.key)
        if key not in self._snapshots:
            self._snapshots[key] = make(ask)
        return cast(S, self._snapshots[key])


def _in_rollup_order(d: Deployment, segment: SegmentAsk) -> tuple[str | None, ...]:
    known = [s.name for s in d.segments]
    pairs = sorted(zip(segment.names, segment.values, strict=True), key=lambda p: known.index(p[0]))
    return tuple(value for _, value in pairs)
