"""Traffic as observed: how many predictions each version answered, over time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from console.analysis.ask import Ask, utc
from console.analysis.estimate import Estimate, State, missing
from console.analysis.findings import Finding, Severity, worst_first
from console.analysis.intervals import proportion

__all__ = ["ShareChange", "TrafficRow", "TrafficSnapshot", "histogram_quantiles", "traffic"]


@dataclass(frozen=True, slots=True)
class TrafficRow:
    """One version in one step (start None: the whole window). n: predictions, n_error: failed ones.

    metrics: share, error_rate (0..1), cost_per_1000 and, over the window, latency_p50/p95/p99 (ms).
    """

    version: str
    start: datetime | None
    n: int
    n_error: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class ShareChange:
    """A change of the split that no sampling explains: version, when, from, to."""

    version: str
    at: datetime
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class TrafficSnapshot:
    """series by time then version; whole one row per version; seen: first and last hour ever."""

    ask: Ask
    series: tuple[TrafficRow, ...]
    whole: tuple[TrafficRow, ...]
    seen: tuple[tuple[str, datetime, datetime], ...]
    changes: tuple[ShareChange, ...]
    findings: tuple[Finding, ...]


def traffic(
    ask: Ask,
    *,
    series: pl.DataFrame,
    whole: pl.DataFrame,
    latency: pl.DataFrame,
    versions: pl.DataFrame,
    before: pl.DataFrame,
) -> TrafficSnapshot:
    """Observed split, errors, latency and cost. `before`: volume of the window before. Pure."""
    quantiles = {
        str(version): histogram_quantiles(part)
        for (version,), part in latency.partition_by("version", as_dict=True).items()
    }
    rows = _rows(series, {})
    totals = _rows(whole, quantiles)
    seen = tuple(
        (row["version"], utc(row["first_seen"]), utc(row["last_seen"]))
        for row in versions.iter_rows(named=True)
    )
    changes = _changes(rows)
    return TrafficSnapshot(
        ask, rows, totals, seen, changes, worst_first(_findings(ask, totals, seen, changes, before))
    )


def _rows(
    frame: pl.DataFrame, quantiles: Mapping[str, Mapping[str, Estimate]]
) -> tuple[TrafficRow, ...]:
    if frame.is_empty():
        return ()
    frame = frame.sort("start", "version").with_columns(total=pl.col("n").sum().over("start"))
    out = []
    for row in frame.iter_rows(named=True):
        n, errors, version = row["n"], row["n_error"], row["version"]
        metrics = {
            "share": proportion(n, row["total"]),
            "error_rate": proportion(errors, n),
            "cost_per_1000": Estimate(1000 * row["cost_sum"] / n, None, None, n)
            if row["cost_sum"]
            else missing(State.CANNOT_TELL, n),
            **quantiles.get(version, {}),
        }
        out.append(TrafficRow(version, utc(row["start"]), n, errors, metrics))
    return tuple(out)


def histogram_quantiles(frame: pl.DataFrame) -> dict[str, Estimate]:
    """p50, p95, p99 of latency in ms from log-spaced bins (13 % wide): read off within the bin."""
    part = frame.sort("bin")
    total = int(part["n"].sum())
    out: dict[str, Estimate] = {}
    for name, q in (("latency_p50", 0.5), ("latency_p95", 0.95), ("latency_p99", 0.99)):
        target, passed = q * total, 0
        for number, n in part.select("bin", "n").iter_rows():
            if passed + n >= target and n:
                low, high = math.exp(number / 8), math.exp((number + 1) / 8)
                value = low + (high - low) * (target - passed) / n
                out[name] = Estimate(value, low, high, total, State.OK, high - low)
                break
            passed += n
    return out


def _changes(rows: tuple[TrafficRow, ...]) -> tuple[ShareChange, ...]:
    """Steps at which a version's share leaves its last interval by more than sampling allows."""
    out = []
    last: dict[str, Estimate] = {}
    starts = sorted({r.start for r in rows if r.start is not None})
    for row in rows:
        share, old = row.metrics["share"], last.get(row.version)
        first = old is None and row.start is not None and row.start > starts[0]
        if first and share.value is not None and row.start is not None:
            out.append(ShareChange(row.version, row.start, 0.0, share.value))
        elif old is not None and share.value is not None and old.value is not None:
            apart = _apart(share, old)
            if apart and abs(share.value - old.value) > 0.05 and row.start is not None:
                out.append(ShareChange(row.version, row.start, old.value, share.value))
        last[row.version] = share
    return tuple(out)


def _apart(a: Estimate, b: Estimate) -> bool:
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.low > b.high or a.high < b.low


def _findings(
    ask: Ask,
    whole: tuple[TrafficRow, ...],
    seen: tuple[tuple[str, datetime, datetime], ...],
    changes: tuple[ShareChange, ...],
    before: pl.DataFrame,
) -> list[Finding]:
    out = []
    for version, first, _ in seen:
        if ask.start <= first < ask.end and len(seen) > 1:
            out.append(
                Finding(Severity.NOTE, "traffic", f"{version} first seen {first:%d %b %H:%M}")
            )
    for change in changes[-3:]:
        if change.before > 0:
            text = (
                f"{change.version}: share {100 * change.before:.0f}% -> {100 * change.after:.0f}% "
                f"since {change.at:%d %b}"
            )
            out.append(Finding(Severity.NOTE, "traffic", text))
    for row in whole:
        errors = row.metrics["error_rate"]
        if errors.low is not None and errors.low > 0.01 and errors.value is not None:
            text = f"{row.version}: {100 * errors.value:.1f}% of requests failed"
            out.append(Finding(Severity.BAD, "traffic", text, errors.value))
    now, was = sum(r.n for r in whole), int(before["n"].sum()) if not before.is_empty() else 0
    if was >= 100 and now < was / 2 and ask.end - ask.start <= timedelta(days=40):
        text = f"{now:,} predictions, {was:,} in the window before"
        out.append(Finding(Severity.WARNING, "traffic", text, 1 - now / was))
    return out
