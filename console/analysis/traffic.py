"""Traffic as observed: how many predictions each version answered, over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from console.analysis.ask import Ask, utc
from console.analysis.changes import RecordedChange, recorded_changes
from console.analysis.estimate import Estimate, State, missing
from console.analysis.findings import Finding, Severity, worst_first
from console.analysis.intervals import newcombe, proportion, wilson
from console.analysis.sequences import peek_safe
from console.analysis.split_history import SplitStep, split_steps
from console.analysis.usual import UsualVolume

__all__ = [
    "ShareChange",
    "TrafficRow",
    "TrafficSnapshot",
    "histogram_quantiles",
    "one_sided",
    "traffic",
]

_BEYOND = 5  # rows that must lie beyond a quantile for it to be more than a guess
_EXACT = 1_000
"""Rows of a step up to which a change is confirmed by Fisher's exact test. With 10 rows an hour and
9 of 10 to one version, the interval alone reports a change in 14 of 100 steady windows."""
_TOLD = 3  # recorded changes that are findings; all are on the time axis and in the JSON
_NOTABLE = 0.05  # a smaller change of the split is not worth a mark
_NOBODY = "(none)"  # the version of rows that name none, as the store has it
_ENOUGH = 100  # predictions a week before from which half as many is worth a word


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
    """series by time then version; whole one row per version; seen: first and last hour ever.

    changes: of the observed split. recorded: what the serving system says was changed, by time, the
    newest of n_recorded. split: what the control plane was configured to over time, where readings
    of it were kept.
    """

    ask: Ask
    series: tuple[TrafficRow, ...]
    whole: tuple[TrafficRow, ...]
    seen: tuple[tuple[str, datetime, datetime], ...]
    changes: tuple[ShareChange, ...]
    findings: tuple[Finding, ...]
    recorded: tuple[RecordedChange, ...] = ()
    n_recorded: int = 0
    split: tuple[SplitStep, ...] = ()


def traffic(
    ask: Ask,
    *,
    series: pl.DataFrame,
    whole: pl.DataFrame,
    latency: pl.DataFrame,
    versions: pl.DataFrame,
    usual: UsualVolume,
    recorded: pl.DataFrame | None = None,
    split: pl.DataFrame | None = None,
) -> TrafficSnapshot:
    """Observed split, errors, latency and cost. Pure.

    Frames hold every version, since a share is one of the whole; the asked one is kept at the end.
    """
    quantiles = {
        str(version): histogram_quantiles(part)
        for (version,), part in latency.partition_by("version", as_dict=True).items()
    }
    rows = tuple(_watched(ask, r, ask.step_end(r.start)) for r in _rows(series, {}))
    totals = tuple(_watched(ask, r, ask.end) for r in _rows(whole, quantiles))
    seen = tuple(
        (row["version"], utc(row["first_seen"]), utc(row["last_seen"]))
        for row in versions.iter_rows(named=True)
    )
    changes = _changes(rows)
    told, n_told = recorded_changes(recorded)
    found = [*_findings(ask, totals, seen, changes, usual), *_told(told, n_told)]
    return TrafficSnapshot(
        ask,
        _asked(ask, rows),
        _asked(ask, totals),
        seen,
        changes,
        worst_first(found),
        told,
        n_told,
        split_steps(split),
    )


def _asked(ask: Ask, rows: tuple[TrafficRow, ...]) -> tuple[TrafficRow, ...]:
    return tuple(r for r in rows if ask.version in (None, r.version))


def _watched(ask: Ask, row: TrafficRow, end: datetime) -> TrafficRow:
    """Shares that hold at every look, where more rows may come."""
    if not ask.watched or end < ask.as_of:
        return row
    return replace(row, metrics=peek_safe(row.metrics))


def _rows(
    frame: pl.DataFrame, quantiles: Mapping[str, Mapping[str, Estimate]]
) -> tuple[TrafficRow, ...]:
    if frame.is_empty():
        return ()
    frame = frame.sort("start", "version").with_columns(total=pl.col("n").sum().over("start"))
    out = []
    for row in frame.iter_rows(named=True):
        n, errors, priced = row["n"], row["n_error"], row["n_cost"]
        metrics = {
            "share": proportion(n, row["total"]),
            "error_rate": proportion(errors, n),
            "cost_per_1000": Estimate(1000 * row["cost_sum"] / priced, None, None, priced)
            if priced
            else missing(State.CANNOT_TELL, n),
            **quantiles.get(row["version"], {}),
        }
        out.append(TrafficRow(row["version"], utc(row["start"]), n, errors, metrics))
    return tuple(out)


def histogram_quantiles(frame: pl.DataFrame) -> dict[str, Estimate]:
    """p50, p95, p99 of latency in ms from log-spaced bins (13 % wide), read off within the bin.

    The interval is free of any distribution: the quantiles at the Wilson limits of the level.
    TOO_FEW where fewer than five rows lie beyond the quantile.
    """
    bins = [(number, n) for number, n in frame.sort("bin").select("bin", "n").iter_rows() if n]
    total = sum(n for _, n in bins)
    out: dict[str, Estimate] = {}
    for name, q in (("latency_p50", 0.5), ("latency_p95", 0.95), ("latency_p99", 0.99)):
        if not total:
            continue
        value, width = _read_off(bins, q * total)
        low, high = wilson(q * total, total)
        state = State.OK if total * (1 - q) >= _BEYOND else State.TOO_FEW
        out[name] = Estimate(
            value,
            min(value, _read_off(bins, low * total)[0]),
            max(value, _read_off(bins, high * total)[0]),
            total,
            state,
            width,
        )
    return out


def _read_off(bins: list[tuple[int, int]], target: float) -> tuple[float, float]:
    """The value below which `target` rows lie, and the width of its bin."""
    passed = 0.0
    for number, n in bins:
        low, high = math.exp(number / 8), math.exp((number + 1) / 8)
        if passed + n >= target:
            return low + (high - low) * (target - passed) / n, high - low
        passed += n
    return high, high - low


def _changes(rows: tuple[TrafficRow, ...]) -> tuple[ShareChange, ...]:
    """Steps at which a version's share differs from all steps since its last change.

    The level is shared among the steps that are looked at, so that a steady split over many steps
    is not reported; a step without a version counts as none of its rows.
    """
    totals: dict[datetime, int] = {}
    counts: dict[str, dict[datetime, int]] = {}
    for r in rows:
        if r.start is not None:
            totals[r.start] = totals.get(r.start, 0) + r.n
            counts.setdefault(r.version, {})[r.start] = r.n
    level = 1 - 0.05 / max(len(totals) * len(counts), 1)
    out = []
    for version, mine in counts.items():
        hits = pooled = 0
        for start, total in totals.items():
            k = mine.get(start, 0)
            if pooled:
                low, high = newcombe(k, total, hits, pooled, level)
                share, before = k / total, hits / pooled
                sure = low > 0 or high < 0
                if sure and total <= _EXACT:
                    sure = one_sided(k, total, hits, pooled) < (1 - level) / 2
                if sure and abs(share - before) > _NOTABLE:
                    out.append(ShareChange(version, start, before, share))
                    hits = pooled = 0
            hits, pooled = hits + k, pooled + total
    return tuple(sorted(out, key=lambda c: c.at))


def one_sided(k: int, n: int, hits: int, pooled: int) -> float:
    """The chance that k of n are as far from hits of `pooled` as they are, on their side (Fisher).

    Hypergeometric, given all hits: exact for few rows, where an interval at a level this high is
    not. The cost follows n.
    """
    total, held = n + pooled, hits + k
    least, most = max(0, held - pooled), min(n, held)
    side = range(k, most + 1) if k * pooled >= hits * n else range(least, k + 1)
    whole = _log_ways(total, held)
    chances = (_log_ways(n, i) + _log_ways(pooled, held - i) - whole for i in side)
    return min(math.fsum(math.exp(chance) for chance in chances), 1.0)


def _log_ways(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _told(recorded: tuple[RecordedChange, ...], n: int) -> Iterator[Finding]:
    """The newest changes that the serving system tells of."""
    for place, change in enumerate(recorded[-_TOLD:], start=1):
        text = f"{change.text} at {change.at:%d %b %H:%M} UTC"
        yield Finding(Severity.NOTE, "traffic", text, place)  # the newest first
    if n > _TOLD:
        text = f"{n - _TOLD:,} more changes of the serving system before these"
        yield Finding(Severity.NOTE, "traffic", text, -1.0)


def _findings(
    ask: Ask,
    whole: tuple[TrafficRow, ...],
    seen: tuple[tuple[str, datetime, datetime], ...],
    changes: tuple[ShareChange, ...],
    usual: UsualVolume,
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
            share = f"{100 * errors.value:.1f}% of requests"
            text = f"{row.version}: {share} failed"
            if row.version == _NOBODY:
                text = f"{share} that name no version failed"
            out.append(Finding(Severity.BAD, "traffic", text, errors.value))
    until = min(ask.end, ask.as_of)
    was = usual.week_before(ask.start, until)
    now = sum(r.n for r in whole)
    if was is not None and was >= _ENOUGH and now < was / 2:
        text = f"{now:,} predictions, {was:,.0f} in the same hours a week before"
        out.append(Finding(Severity.WARNING, "traffic", text, 1 - now / was))
    return out
