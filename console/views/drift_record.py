"""The drift pane as JSON."""

from __future__ import annotations

from typing import Any

from console.analysis.drift import Compared, DriftRow, DriftSnapshot, Share
from console.analysis.drift_effects import Causes
from console.views import records

__all__ = ["document"]


def document(s: DriftSnapshot) -> dict[str, Any]:
    """The JSON of the pane: one row per version and feature, ranked."""
    rows = [
        {
            "version": r.version,
            "segment": None,
            "value": None,
            "feature": r.feature,
            "kind": r.kind.value,
            "role": r.role.value,
            "start": records.stamp(s.ask.start),
            "end": records.stamp(s.ask.end),
            "n": r.n,
            "n_reference": r.n_reference,
            "metrics": _metrics(r),
            "noise_floor": r.noise_floor,
            "noise_q95": r.noise_q95,
            "p_value": r.p_value,
            "p_adjusted": r.p_adjusted,
            "state": r.state.value,
            "since": records.stamp(r.since),
            "causes": _causes_record(r.causes),
            "week_before": _week_record(r.week),
            "distribution": {
                "labels": list(r.distribution.labels),
                "reference": list(r.distribution.reference),
                "current": list(r.distribution.current),
            },
        }
        for r in s.rows
    ]
    against = s.ask.against
    span = against.span(s.ask.start, s.ask.end)
    return records.document(
        "drift",
        s.ask,
        rows,
        s.findings,
        against={
            "side": against.side.value,
            "words": against.words,
            "window": None
            if span is None
            else {"start": records.stamp(span[0]), "end": records.stamp(span[1])},
            "version": against.version,
            "as_of": records.stamp(against.known),
        },
        share_drifted=[_share_record(share) for share in s.shares],
    )


def _metrics(r: DriftRow) -> dict[str, Any]:
    """Figures with their noise. The ends of KS are those of its bins, whenever one looks."""
    found = records.metrics(r.metrics)
    for metric, noise in r.noise.items():
        found[metric] |= {"noise": noise.expected, "q95": noise.q95}
    found["ks"].pop("interval", None)
    return found


def _causes_record(causes: Causes | None) -> dict[str, float] | None:
    if causes is None:
        return None
    return {"missing": causes.missing, "unseen": causes.unseen, "shape": causes.shape}


def _week_record(week: Compared | None) -> dict[str, Any] | None:
    if week is None:
        return None
    return {"n": week.n, "psi": week.psi, "q95": week.q95, "state": week.state.value}


def _share_record(share: Share) -> dict[str, Any]:
    return {
        "version": share.version,
        "role": share.role.value,
        "n": share.n,
        "n_judged": share.n_judged,
        "n_drifted": share.n_drifted,
        "share": share.n_drifted / share.n_judged if share.n_judged else None,
    }
