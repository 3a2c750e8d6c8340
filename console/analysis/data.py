"""The state of the data itself: freshness, volume, missing values, quarantine, label coverage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from console.analysis.ask import Ask, utc
from console.analysis.drift import DriftSnapshot
from console.analysis.drift_findings import missing_values
from console.analysis.estimate import Estimate, State, missing
from console.analysis.findings import Finding, Severity, worst_first
from console.analysis.intervals import proportion

__all__ = ["Coverage", "DataFrames", "DataSnapshot", "SourceRow", "data", "delay_quantile"]

SILENCE = 5.0
STALE_AFTER = timedelta(hours=2)
"""When there are not yet seven days to compare with."""

_ENOUGH = 50  # predictions from which label coverage gets a verdict

DELAY_BINS = 8
"""Bins per factor e of label delay: bin = floor(8 ln(1 + seconds))."""


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
class QuarantineRow:
    """Bad records of one reason, with the first one's place."""

    kind: str
    reason: str
    n: int
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
    n: int
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

    delay_month, volume_month: of four weeks. hourly: volume by hour of the eight days before as_of.
    """

    extent: pl.DataFrame
    sources: pl.DataFrame
    quarantine: pl.DataFrame
    records: pl.DataFrame
    schema_changes: pl.DataFrame
    waiting: pl.DataFrame
    volume: pl.DataFrame
    delay: pl.DataFrame
    delay_month: pl.DataFrame
    volume_month: pl.DataFrame
    hourly: pl.DataFrame
    metrics: pl.DataFrame


@dataclass(frozen=True, slots=True)
class DataSnapshot:
    """last_prediction, last_label: newest row of each at most as_of. delays in seconds.

    coverage_matured: share labelled among rows older than the 99 % label delay; usual: the same
    share over the four weeks before. unbuilt: hours whose rollups are being rebuilt. silent: how
    many predictions the time since the newest one brought on the days before; None if not known.
    """

    ask: Ask
    last_prediction: datetime | None
    last_label: datetime | None
    age: timedelta | None
    silent: float | None
    n: int
    unbuilt: int
    coverage: tuple[Coverage, ...]
    covered: Estimate
    usual_coverage: float | None
    delays: Mapping[str, Estimate]
    sources: tuple[SourceRow, ...]
    quarantine: tuple[QuarantineRow, ...]
    records: tuple[BadRecord, ...]
    schema_changes: tuple[SchemaChange, ...]
    waiting: int
    nulls: tuple[NullRow, ...]
    system_metrics: tuple[tuple[str, str, int, float], ...]
    lost_values: tuple[Finding, ...]
    findings: tuple[Finding, ...]

    @property
    def is_stale(self) -> bool:
        """Whether predictions have stopped: a silence that the days before do not know.

        A Poisson count of SILENCE or more expected is zero less than once in 100 looks.
        """
        if self.age is None:
            return True
        if self.silent is not None:
            return self.silent >= SILENCE
        return self.age > STALE_AFTER


def delay_quantile(delay: pl.DataFrame, q: float) -> float | None:
    """A quantile of the label delay in seconds, the upper end of its bin (13 % wide)."""
    part = delay.group_by("bin").agg(pl.col("n").sum()).sort("bin")
    total = int(part["n"].sum()) if not part.is_empty() else 0
    if total <= 0:
        return None
    passed = 0
    for number, n in part.iter_rows():
        passed += n
        if passed >= q * total:
            return math.expm1((number + 1) / DELAY_BINS)
    return None


def data(ask: Ask, frames: DataFrames, drifted: DriftSnapshot) -> DataSnapshot:
    """The data's own state; null rates come from the drift snapshot. Pure."""
    extent = frames.extent.row(0, named=True) if not frames.extent.is_empty() else {}
    last = _at_most(extent.get("last_ts"), ask.as_of)
    last_label = _at_most(extent.get("last_received"), ask.as_of)
    age = ask.as_of - last if last is not None else None
    coverage = _coverage(frames.volume, frames.delay)
    n, labelled = (
        sum(c.n for c in coverage),
        sum(c.coverage.value * c.n for c in coverage if c.coverage.value),
    )
    covered = proportion(round(labelled), n) if n else missing(State.NO_ROWS)
    volume_month = int(frames.volume_month["n"].sum()) if not frames.volume_month.is_empty() else 0
    month = int(frames.delay_month["n"].sum()) if not frames.delay_month.is_empty() else 0
    usual = min(month / volume_month, 1.0) if volume_month and month else None
    delays = {
        name: Estimate(seconds, None, None, month)
        for name, q in (("delay_p50", 0.5), ("delay_p90", 0.9), ("delay_p99", 0.99))
        if (seconds := delay_quantile(frames.delay_month, q)) is not None
    }
    snapshot = DataSnapshot(
        ask,
        last,
        last_label,
        age,
        _usual_since(last, ask.as_of, frames.hourly),
        n,
        int(extent.get("n_unbuilt") or 0),
        coverage,
        covered,
        usual,
        delays,
        tuple(
            SourceRow(**{**row, "loaded_at": utc(row["loaded_at"])})
            for row in frames.sources.drop("n_batches").iter_rows(named=True)
        ),
        tuple(
            QuarantineRow(row["kind"], row["reason"], row["n"], row["source"], row["position"])
            for row in frames.quarantine.iter_rows(named=True)
        ),
        tuple(BadRecord(**row) for row in frames.records.drop("at_time").iter_rows(named=True)),
        tuple(
            SchemaChange(row["kind"], row["column_name"], row["change"], row["n"], row["example"])
            for row in frames.schema_changes.iter_rows(named=True)
        ),
        int(frames.waiting["n"].sum()) if not frames.waiting.is_empty() else 0,
        tuple(
            NullRow(r.version, r.feature, r.metrics["null_rate"], r.null_rate_reference)
            for r in drifted.rows
        ),
        tuple(
            (row["metric"], row["version"], row["n"], row["mean"])
            for row in frames.metrics.iter_rows(named=True)
        ),
        missing_values(drifted.rows),
        (),
    )
    return _with_findings(snapshot)


def _with_findings(s: DataSnapshot) -> DataSnapshot:
    return replace(s, findings=worst_first(_findings(s)))


def _at_most(moment: datetime | None, as_of: datetime) -> datetime | None:
    return None if moment is None else min(utc(moment), as_of)


def _usual_since(last: datetime | None, as_of: datetime, hourly: pl.DataFrame) -> float | None:
    """Predictions that came between the same times of day on the seven days before, on average."""
    if last is None or hourly.is_empty() or as_of - last > timedelta(days=1):
        return None
    first: datetime = hourly.select(pl.col("start").min()).row(0)[0]
    if utc(first) > as_of - timedelta(days=7, hours=1):
        return None
    total = 0.0
    for back in range(1, 8):
        low = (last - timedelta(days=back)).replace(tzinfo=None)
        high = (as_of - timedelta(days=back)).replace(tzinfo=None)
        for start, n in hourly.select("start", "n").iter_rows():
            # an hour counts by the part of it that lies within
            inside = min(high, start + timedelta(hours=1)) - max(low, start)
            total += n * max(inside / timedelta(hours=1), 0.0)
    return total / 7


def _coverage(volume: pl.DataFrame, delay: pl.DataFrame) -> tuple[Coverage, ...]:
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
        Coverage(utc(start), n, proportion(min(labelled, n), n))
        for start, n, labelled in joined.select("start", "n", "labelled").iter_rows()
    )


def _findings(s: DataSnapshot) -> list[Finding]:
    out = []
    if s.n == 0:
        since = (
            f"; the newest is of {s.last_prediction:%Y-%m-%d %H:%M}" if s.last_prediction else ""
        )
        out.append(Finding(Severity.BAD, "data", f"no predictions in this window{since}", 5))
    # a window of the past says nothing about now
    if s.is_stale and s.n and s.age is not None and s.ask.end >= s.ask.as_of:
        usual = f", usually {s.silent:.0f} in that time" if s.silent is not None else ""
        out.append(Finding(Severity.BAD, "data", f"no predictions for {_span(s.age)}{usual}", 4))
    out += _coverage_findings(s)
    out += s.lost_values
    bad = sum(q.n for q in s.quarantine)
    if bad:
        named = ", ".join(f"{q.reason} {q.n:,}" for q in s.quarantine[:3])
        out.append(Finding(Severity.WARNING, "data", f"{bad:,} records in quarantine: {named}", 1))
    for change in s.schema_changes:
        if change.change == "mistyped":
            text = f"{change.column}: {change.n:,} values are not numbers"
            out.append(Finding(Severity.WARNING, "data", text))
        elif change.change == "missing":
            text = f"column {change.column} is missing in {change.kind}"
            out.append(Finding(Severity.WARNING, "data", text))
    if s.unbuilt:
        out.append(
            Finding(Severity.NOTE, "data", f"rollups of {s.unbuilt:,} hours are being built")
        )
    return out


def _coverage_findings(s: DataSnapshot) -> list[Finding]:
    """Steps whose labels should have come by now and have not, against the usual share."""
    p99 = s.delays.get("delay_p99")
    if s.usual_coverage is None or p99 is None or p99.value is None or len(s.coverage) < 2:
        return []
    length = s.coverage[1].start - s.coverage[0].start
    due = s.ask.as_of - timedelta(seconds=p99.value) - length
    ripe = [c for c in s.coverage if c.start <= due and c.coverage.value is not None]
    low = [c for c in ripe if c.n >= _ENOUGH and _below(c.coverage, s.usual_coverage)]
    if low:
        worst = min(low, key=lambda c: c.coverage.value or 0.0)
        value = worst.coverage.value or 0.0
        where = f"of {len(low)} {s.ask.step.value}(s)"
        at = f" on {worst.start:%d %b %H:%M}"
    else:
        # steps too short for a verdict each may still have one together
        n = sum(c.n for c in ripe)
        together = proportion(round(sum((c.coverage.value or 0.0) * c.n for c in ripe)), n)
        if n < _ENOUGH or not _below(together, s.usual_coverage):
            return []
        value, where, at = together.value or 0.0, f"of {n:,} predictions", ""
    usual = f"usually {100 * s.usual_coverage:.0f}%"
    text = f"labels {where} did not come: {100 * value:.0f}%{at}, {usual}"
    return [Finding(Severity.WARNING, "data", text, 1 - value)]


def _below(share: Estimate, usual: float) -> bool:
    """Whether a share is surely ten points under the usual one."""
    return share.high is not None and share.high < usual - 0.1


def _span(length: timedelta) -> str:
    hours = length.total_seconds() / 3600
    if hours < 2:
        return f"{60 * hours:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"
