"""What the state of the data says in sentences."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from console.analysis.estimate import Estimate
from console.analysis.findings import Finding, Severity
from console.analysis.intervals import proportion

if TYPE_CHECKING:
    from console.analysis.data import DataSnapshot

__all__ = ["data_findings"]

_WEEK = timedelta(days=7)  # a longer silence has made itself what is usual

_ENOUGH = 50
"""Predictions from which label coverage gets a verdict."""

_RIPE = 0.95
"""Share of its labels that a step must have had time for before it is judged."""

_LOW = 0.8
"""Label coverage surely below this part of the usual is worth a word."""


def data_findings(s: DataSnapshot) -> list[Finding]:
    """The findings of the data pane, unordered."""
    out = [*_failing(s), *_volume(s), *_labels(s), *s.lost_values]
    bad = [q for q in s.quarantine if q.n_recent]
    if bad:
        many = sum(q.n_recent for q in bad)
        named = ", ".join(f"{q.reason} {q.n_recent:,}" for q in bad[:3])
        text = f"{many:,} records went to quarantine: {named}"
        out.append(Finding(Severity.WARNING, "data", text, 1))
    for change in s.schema_changes:
        if change.change == "mistyped":
            text = f"{change.column}: {change.n:,} values are not numbers"
            out.append(Finding(Severity.WARNING, "data", text))
        elif change.change == "missing":
            text = f"column {change.column} is missing in {change.kind}"
            out.append(Finding(Severity.WARNING, "data", text))
    if s.unbuilt:
        text = f"rollups of {s.unbuilt:,} hours are being built"
        out.append(Finding(Severity.NOTE, "data", text))
    return out


def _failing(s: DataSnapshot) -> list[Finding]:
    """Sources that cannot be read; without predictions the figures stand still."""
    out = []
    for f in s.failing:
        severity = Severity.BAD if f.kind == "predictions" else Severity.WARNING
        text = f"{f.kind} from {f.source} fail since {f.since:%d %b %H:%M}: {f.problem}"
        out.append(Finding(severity, "data", text, 4.5))
    return out


def _volume(s: DataSnapshot) -> list[Finding]:
    if s.n == 0:
        last = s.last_prediction
        newest = f"; the newest is of {last:%Y-%m-%d %H:%M}" if last is not None else ""
        # an hour of the night in which nothing usually comes is no outage
        known = last is not None and s.ask.end - last <= _WEEK
        quiet = known and s.expected is not None and s.expected < 1
        severity = Severity.NOTE if quiet else Severity.BAD
        return [Finding(severity, "data", f"no predictions in this window{newest}", 5)]
    # a window of the past says nothing about now
    if s.is_stale and s.age is not None and s.ask.end >= s.ask.as_of:
        usual = f", usually {s.silent:.0f} in that time" if s.silent is not None else ""
        text = f"no predictions for {_span(s.age)}{usual}"
        return [Finding(Severity.BAD, "data", text, 4)]
    return []


def _labels(s: DataSnapshot) -> list[Finding]:
    """Labels that should have come by now and have not."""
    if s.ask.deployment.labels is None or not s.n:
        return []
    usual = s.maturity.usual
    if usual is None:
        if s.covered.value == 0 and s.n >= _ENOUGH and not s.maturity.n:
            if s.last_label is not None:
                text = f"no labels since {s.last_label:%Y-%m-%d %H:%M}"
                return [Finding(Severity.BAD, "data", text, 4)]
            return [Finding(Severity.WARNING, "data", "no labels have come yet", 2)]
        return []
    ripe = [
        c for c in s.coverage if c.n and s.maturity.arrived_of(c.start, c.end, s.ask.as_of) >= _RIPE
    ]
    low = [c for c in ripe if c.n >= _ENOUGH and _below(c.coverage, usual)]
    if low:
        worst = min(low, key=lambda c: c.coverage.value or 0.0)
        share = worst.coverage
        text = f"labels of {len(low)} {s.ask.step.value}(s) did not come"
        where = f" on {worst.start:%d %b %H:%M}"
    else:
        # steps too small for a verdict each may still have one together
        n = sum(c.n for c in ripe)
        share = proportion(sum(c.n_labelled for c in ripe), n)
        if n < _ENOUGH or not _below(share, usual):
            return []
        text, where = f"labels of {n:,} predictions did not come", ""
    text += f": {100 * (share.value or 0.0):.0f}%{where}, usually {100 * usual:.0f}%"
    dead = share.value is not None and share.value < usual / 10
    return [Finding(Severity.BAD if dead else Severity.WARNING, "data", text, 3 * dead + 1)]


def _below(share: Estimate, usual: float) -> bool:
    return share.high is not None and share.high < _LOW * usual


def _span(length: timedelta) -> str:
    hours = length.total_seconds() / 3600
    if hours < 2:
        return f"{60 * hours:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"
