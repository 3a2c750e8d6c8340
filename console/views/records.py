"""Snapshots as records: the stable JSON of `show`, numbers unrounded. See docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from console.analysis.ask import Ask
from console.analysis.estimate import Estimate
from console.analysis.figures import Figures
from console.analysis.findings import Finding
from console.analysis.subgroups import segment_name

__all__ = ["document", "estimate", "figures_record", "findings", "metrics", "stamp"]


def stamp(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with a Z."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def estimate(e: Estimate) -> dict[str, Any]:
    """A figure; bin_error is there only where bins cause an error."""
    record: dict[str, Any] = {
        "value": e.value,
        "low": e.low,
        "high": e.high,
        "n": e.n,
        "state": e.state.value,
    }
    if e.low is not None:
        record["interval"] = e.interval.value
    if e.bin_error is not None:
        record["bin_error"] = e.bin_error
    if e.detectable is not None:
        record["detectable"] = e.detectable
    return record


def metrics(found: Mapping[str, Estimate]) -> dict[str, Any]:
    """Figures by name."""
    return {name: estimate(e) for name, e in found.items()}


def figures_record(ask: Ask, f: Figures, start: datetime, end: datetime) -> dict[str, Any]:
    """One row of performance or of subgroups."""
    names = segment_name(ask.deployment, f.group.segment) if f.group.segment else ()
    values = (f.group.value, f.group.value2)[: len(names)]
    record: dict[str, Any] = {
        "version": f.group.version,
        "segment": ",".join(names) or None,
        "value": ",".join(values) or None,
        "start": stamp(start),
        "end": stamp(end),
        "n": f.n,
        "n_labelled": f.n_labelled,
        "metrics": metrics(f.metrics),
    }
    if f.confusion is not None:
        c = f.confusion
        record |= {"tp": c.tp, "fp": c.fp, "fn": c.fn, "tn": c.tn}
    if f.by_class is not None:
        record["classes"] = {name: metrics(found) for name, found in f.by_class.items()}
    if f.baselines:
        record["baselines"] = {
            name: {k: estimate(e) for k, e in found.items() if e.value is not None}
            for name, found in f.baselines.items()
        }
    return record


def findings(found: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """What was found, worst first."""
    return [{"severity": f.severity.name.lower(), "pane": f.pane, "text": f.text} for f in found]


def document(
    pane: str, ask: Ask, rows: list[dict[str, Any]], found: tuple[Finding, ...], **more: Any
) -> dict[str, Any]:
    """The whole answer of one pane. A log without times has none of its own either."""
    timed = ask.deployment.timed
    if not timed:
        rows = [row | {k: None for k in ("start", "end") if k in row} for row in rows]
    return {
        "pane": pane,
        "deployment": ask.deployment.name,
        "task": ask.deployment.task.value,
        "window": {"start": stamp(ask.start), "end": stamp(ask.end)} if timed else None,
        "as_of": stamp(ask.as_of) if timed else None,
        "step": ask.step.value,
        "rows": rows,
        "findings": findings(found),
        **more,
    }
