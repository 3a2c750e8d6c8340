"""The state of the data itself: freshness, volume, missing values, quarantine, label coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from console.analysis.ask import Ask, utc
from console.analysis.data_findings import data_findings
from console.analysis.drift import DriftSnapshot
from console.analysis.drift_findings import missing_values
from console.analysis.estimate import Estimate, State, missing
from console.analysis.findings import Finding, worst_first
from console.analysis.intervals import proportion
from console.analysis.maturity import Maturity
from console.analysis.quality import NO_RULES, QualitySnapshot
from console.analysis.quality_findings import quality_findings
from console.analysis.retained import RetainedRow, retained_findings
from console.analysis.usual import UsualVolume, has_stopped

__all__ = ["Coverage", "DataFrames", "DataSnapshot", "SourceRow", "data"]


@dataclass(frozen=True, slots=True)
class SourceRow:
    """What one source has brought: records by what became of them."""

    kind: str
    source: str
    n_read: int
    n_new: int
    n_duplicate: int
    n_waiting: int
    n_quarantined: int
    loaded_at: datetime


@dataclass(frozen=True, slots=True)
class FailingSource:
    """A source that cannot be read now. last_ok: when it last could, None: never yet."""

    kind: str
    source: str
    problem: str
    since: datetime
    n_failures: int
    last_ok: datetime | None
    next_try: datetime | None


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """Bad records of one reason, how many came within the window, and the first one's place."""

    kind: str
    reason: str
    n: int
    n_recent: int
    source: str
    position: int


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record in quarantine: where it came from, why it is there, and what it says."""

    kind: str
    reason: str
    detail: str
    source: str
    position: int
    content: str


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A column that the log has and the configuration does not, or the reverse, or not numbers."""

    kind: str
    column: str
    change: str
    n: int
    example: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """Predictions and how many of them have a label, in one step."""

    start: datetime
    end: datetime
    n: int
    n_labelled: int
    coverage: Estimate


@dataclass(frozen=True, slots=True)
class NullRow:
    """A feature's share of missing values, beside the reference's."""

    version: str
    feature: str
    rate: Estimate
    reference: float | None


@dataclass(frozen=True, slots=True)
class DataFrames:
    """extent, sources, quarantine, schema changes, waiting labels, volume and delay by step.

    usual: what usually comes; labels: how complete they are. halves: requests and responses that
    came alone. ended: the log ends here, which is no silence.
    """

    extent: pl.DataFrame
    sources: pl.DataFrame
    quarantine: pl.DataFrame
    records: pl.DataFrame
    schema_changes: pl.DataFrame
    waiting: pl.DataFrame
    volume: pl.DataFrame
    delay: pl.DataFrame
    metrics: pl.DataFrame
    usual: UsualVolume
    labels: Maturity
    halves: pl.DataFrame | None = None
    retained: tuple[RetainedRow, ...] = ()
    ended: bool = False
    states: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class DataSnapshot:
    """last_prediction, last_label: newest row of each at most as_of. delays in seconds.

    silent: how many predictions the time since the newest one usually brings; expected: how many
    the window does; None where that is not known. quality: the configured checks. covered: share of
    the window's predictions with a label. maturity: what share usually comes, and when. unbuilt:
    hours whose rollups wait. unanswered, unasked: rows of requests without a response, and the
    other way round. ended: an exported log ends here.
    """

    ask: Ask
    last_prediction: datetime | None
    last_label: datetime | None
    age: timedelta | None
    silent: float | None
    expected: float | None
    n: int
    unbuilt: int
    coverage: tuple[Coverage, ...]
    covered: Estimate
    maturity: Maturity
    delays: Mapping[str, Estimate]
    sources: tuple[SourceRow, ...]
    failing: tuple[FailingSource, ...]
    quarantine: tuple[QuarantineRow, ...]
    records: tuple[BadRecord, ...]
    schema_changes: tuple[SchemaChange, ...]
    waiting: int
    unanswered: int
    unasked: int
    ended: bool
    nulls: tuple[NullRow, ...]
    system_metrics: tuple[tuple[str, str, int, float], ...]
    lost_values: tuple[Finding, ...]
    retained: tuple[RetainedRow, ...]
    quality: QualitySnapshot
    findings: tuple[Finding, ...]

    @property
    def is_stale(self) -> bool:
        """Whether predictions have stopped: a silence that the days before do not know."""
        return not self.ended and has_stopped(self.age, self.silent)


def data(
    ask: Ask, frames: DataFrames, drifted: DriftSnapshot, checks: QualitySnapshot = NO_RULES
) -> DataSnapshot:
    """The data's own state; null rates come from the drift snapshot. Pure."""
    extent = frames.extent.row(0, named=True) if not frames.extent.is_empty() else {}
    last = _at_most(extent.get("last_ts"), ask.as_of)
    until = min(ask.end, ask.as_of)
    coverage = _coverage(ask, frames.volume, frames.delay)
    n, labelled = sum(c.n for c in coverage), sum(c.n_labelled for c in coverage)
    delays = {
        name: Estimate(seconds, None, None, frames.labels.n)
        for name, q in (("delay_p50", 0.5), ("delay_p90", 0.9), ("delay_p99", 0.99))
        if (seconds := frames.labels.quantile(q)) is not None
    }
    found = frames.halves.iter_rows(named=True) if frames.halves is not None else ()
    halves = {row["part"]: int(row["n"]) for row in found}
    snapshot = DataSnapshot(
        ask=ask,
        last_prediction=last,
        last_label=_at_most(extent.get("last_received"), ask.as_of),
        age=ask.as_of - last if last is not None else None,
        silent=frames.usual.expected(last, ask.as_of) if last is not None else None,
        expected=frames.usual.week_before(ask.start, until),
        n=n,
        unbuilt=int(extent.get("n_unbuilt") or 0),
        coverage=coverage,
        covered=proportion(labelled, n) if n else missing(State.NO_ROWS),
        maturity=frames.labels,
        delays=delays,
        sources=tuple(
            SourceRow(**{**row, "loaded_at": utc(row["loaded_at"])})
            for row in frames.sources.drop("n_batches").iter_rows(named=True)
        ),
        failing=_failing(frames.states, ask.as_of),
        quarantine=tuple(
            QuarantineRow(
                row["kind"],
                row["reason"],
                row["n"],
                row["n_recent"],
                row["source"],
                row["position"],
            )
            for row in frames.quarantine.iter_rows(named=True)
        ),
        records=tuple(
            BadRecord(**row) for row in frames.records.drop("at_time").iter_rows(named=True)
        ),
        schema_changes=tuple(
            SchemaChange(row["kind"], row["column_name"], row["change"], row["n"], row["example"])
            for row in frames.schema_changes.iter_rows(named=True)
        ),
        waiting=int(frames.waiting["n"].sum()) if not frames.waiting.is_empty() else 0,
        unanswered=halves.get("request", 0),
        unasked=halves.get("response", 0),
        ended=frames.ended,
        nulls=tuple(
            NullRow(r.version, r.feature, r.metrics["null_rate"], r.null_rate_reference)
            for r in drifted.rows
        ),
        system_metrics=tuple(
            (row["metric"], row["version"], row["n"], row["mean"])
            for row in frames.metrics.iter_rows(named=True)
        ),
        lost_values=missing_values(drifted.rows),
        retained=frames.retained,
        quality=checks,
        findings=(),
    )
    said = [*data_findings(snapshot), *quality_findings(ask, checks, drifted.drifted)]
    said += retained_findings(ask, snapshot.retained)
    return replace(snapshot, findings=worst_first(said))


def _failing(states: pl.DataFrame | None, as_of: datetime) -> tuple[FailingSource, ...]:
    """Sources that failed at the moment of the picture and have not come back."""
    if states is None:
        return ()

    def known(moment: datetime | None) -> datetime | None:
        return None if moment is None else utc(moment)

    return tuple(
        FailingSource(
            row["kind"],
            row["source"],
            row["problem"],
            utc(row["failing_since"]),
            row["n_failures"],
            known(row["last_ok"]),
            known(row["next_try"]),
        )
        for row in states.iter_rows(named=True)
        if row["n_failures"] and row["failing_since"] and utc(row["failing_since"]) <= as_of
    )


def _at_most(moment: datetime | None, as_of: datetime) -> datetime | None:
    return None if moment is None else min(utc(moment), as_of)


def _coverage(ask: Ask, volume: pl.DataFrame, delay: pl.DataFrame) -> tuple[Coverage, ...]:
    """Predictions that did not fail, and those with a label, by step."""
    if volume.is_empty():
        return ()
    made = volume.group_by("start").agg(n=pl.col("n").sum() - pl.col("n_error").sum())
    known = (
        delay.group_by("start").agg(labelled=pl.col("n").sum())
        if not delay.is_empty()
        else pl.DataFrame(schema={"start": pl.Datetime("us"), "labelled": pl.Int64})
    )
    joined = made.join(known, on="start", how="left").sort("start").fill_null(0)
    return tuple(
        Coverage(
            ask.step_start(utc(start)),
            ask.step_end(utc(start)),
            n,
            min(labelled, n),
            proportion(min(labelled, n), n),
        )
        for start, n, labelled in joined.select("start", "n", "labelled").iter_rows()
    )
