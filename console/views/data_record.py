"""The data pane as JSON."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from console.analysis.checks import Check
from console.analysis.data import DataSnapshot
from console.views import records

__all__ = ["document"]


def document(s: DataSnapshot) -> dict[str, Any]:
    """The JSON of the pane: coverage by step as rows, the rest beside them."""
    rows = [
        {
            "version": None,
            "segment": None,
            "value": None,
            "start": records.stamp(c.start),
            "end": records.stamp(c.end),
            "n": c.n,
            "n_labelled": c.n_labelled,
            "metrics": {"label_coverage": records.estimate(c.coverage)},
        }
        for c in s.coverage
    ]
    return records.document(
        "data",
        s.ask,
        rows,
        s.findings,
        last_prediction=records.stamp(s.last_prediction),
        last_label=records.stamp(s.last_label),
        age_seconds=s.age.total_seconds() if s.age is not None else None,
        label_coverage=records.estimate(s.covered),
        usual_label_coverage=s.maturity.usual,
        label_delay_seconds={k: e.value for k, e in s.delays.items()},
        waiting_labels=s.waiting,
        requests_without_response=s.unanswered,
        responses_without_request=s.unasked,
        failing_sources=[
            {
                "kind": f.kind,
                "source": f.source,
                "problem": f.problem,
                "since": records.stamp(f.since),
                "n_failures": f.n_failures,
                "last_ok": records.stamp(f.last_ok),
                "next_try": records.stamp(f.next_try),
            }
            for f in s.failing
        ],
        sources=[
            {
                "kind": r.kind,
                "source": PurePath(r.source).name,
                "n_read": r.n_read,
                "n_new": r.n_new,
                "n_duplicate": r.n_duplicate,
                "n_waiting": r.n_waiting,
                "n_quarantined": r.n_quarantined,
            }
            for r in s.sources
        ],
        quarantine=[
            {
                "kind": q.kind,
                "reason": q.reason,
                "n": q.n,
                "n_recent": q.n_recent,
                "source": PurePath(q.source).name,
                "position": q.position,
            }
            for q in s.quarantine
        ],
        quarantine_records=[
            {
                "kind": r.kind,
                "reason": r.reason,
                "detail": r.detail,
                "source": PurePath(r.source).name,
                "position": r.position,
                "content": r.content,
            }
            for r in s.records
        ],
        schema_changes=[
            {"kind": c.kind, "column": c.column, "change": c.change, "n": c.n}
            for c in s.schema_changes
        ],
        null_rates=[
            {
                "version": n.version,
                "feature": n.feature,
                "rate": records.estimate(n.rate),
                "reference": n.reference,
            }
            for n in s.nulls
        ],
        retained=[
            {"what": r.what, "before": records.stamp(r.before), "n": r.n} for r in s.retained
        ],
        checks=[_check(c) for c in s.quality.checks],
        failed_batches=[
            {
                "source": PurePath(b.source).name,
                "n": b.n,
                "n_failed": b.n_failed,
                "at": records.stamp(b.at),
            }
            for b in s.quality.batches
        ],
        flagged=[
            {"start": records.stamp(start), "end": records.stamp(end)}
            for start, end in s.quality.spans
        ],
    )


def _check(c: Check) -> dict[str, Any]:
    return {
        "rule": c.rule,
        "subject": c.subject,
        "action": c.action.value,
        "allowed": c.allowed,
        "state": c.state.value,
        "n": c.n,
        "n_failed": c.n_failed,
        "share": records.estimate(c.share),
        "hours": len(c.hours),
        "since": records.stamp(c.run.start) if c.run is not None and c.run.lasting else None,
        "age_seconds": c.age.total_seconds() if c.age is not None else None,
    }
