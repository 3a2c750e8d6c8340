"""The JSON of control: how traffic stands, a plan, and what became of it. See docs/json.md."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from console.control.evidence import Evidence
from console.control.outcome import Outcome, Proposal
from console.control.plane import Observed
from console.control.split import Split
from console.control.state import ControlState
from console.views import records
from console.views.control_words import health_of

__all__ = ["outcome_document", "proposal_document", "state_document"]


def state_document(state: ControlState, evidence: Evidence | None, now: datetime) -> dict[str, Any]:
    """The JSON of `traffic show`. Shares are from 0 to 1, ages in seconds; null: not known."""
    o, m, d = state.observed, state.measured, state.desired
    return {
        "deployment": state.deployment,
        "plane": state.plane,
        "stable": state.stable,
        "at": records.stamp(now),
        "writable": state.writable,
        "read_only_because": state.refused or None,
        "locked": state.locked,
        "problem": state.problem or None,
        "drift": state.late or None,
        "partial": o is not None and o.differs,
        "read_age_s": None if o is None else (now - o.at).total_seconds(),
        "revision": None if o is None else o.revision or None,
        "ramp": state.ramp or None,
        "fallback": state.fallback or None,
        "desired": None
        if d is None
        else {
            "shares": shares_document(d.split),
            "since": records.stamp(d.since),
            "by": d.by,
            "change": d.change,
            "result": d.how.replace(" ", "_"),
        },
        "arms": [_arm_document(state, arm, version) for arm, version in state.arms],
        "replicas": [] if o is None else replicas_document(o),
        "measured": None
        if m is None
        else {
            "start": records.stamp(m.start),
            "end": records.stamp(m.end),
            "n": m.n,
            "restarted": list(m.restarted),
            "missing": list(m.missing),
        },
        "unresolved": [
            {"change": e.change, "at": records.stamp(e.at), "by": str(e.who)}
            for e in state.unresolved
        ],
        "evidence": evidence_document(evidence),
    }


def _arm_document(state: ControlState, arm: str, version: str) -> dict[str, Any]:
    o, m, d = state.observed, state.measured, state.desired
    health, detail = health_of(state, arm)
    split = o.split if o is not None else None
    return {
        "arm": arm,
        "version": version,
        "desired": None if d is None else d.split.share(arm),
        "configured": None if split is None else split.share(arm),
        "measured": None if m is None else m.share(arm),
        "n": None if m is None else m.of(arm),
        "n_error": None if m is None else m.errors(arm),
        "health": health.value,
        "health_detail": detail or None,
    }


def proposal_document(p: Proposal) -> dict[str, Any]:
    """The JSON of a plan. Shares are from 0 to 1; `from` is null where replicas differ."""
    plan = p.plan
    return {
        "change": plan.id,
        "deployment": plan.deployment,
        "plane": plan.plane,
        "purpose": plan.purpose.value,
        "reason": plan.reason,
        "made": records.stamp(plan.made),
        "expires": records.stamp(plan.expires),
        "permitted": p.permitted,
        "refusals": list(p.refusals),
        "arms": [
            {
                "arm": c.arm,
                "from": c.before,
                "to": c.after,
                "weight": plan.after.weight(c.arm),
            }
            for c in plan.changes
        ],
        "replicas": replicas_document(p.observed),
        "guards": [{"guard": g.name, "verdict": g.verdict.value, "text": g.text} for g in p.guards],
        "effect": list(p.effect),
        "needed": p.needed,
        "notes": list(p.notes),
        "evidence": evidence_document(p.evidence),
    }


def outcome_document(o: Outcome) -> dict[str, Any]:
    """The JSON of what became of a plan."""
    v = o.verification
    return {
        "change": o.plan.id,
        "deployment": o.plan.deployment,
        "result": o.result.value.replace(" ", "_"),
        "text": o.text,
        "todo": o.todo or None,
        "audited": o.audited,
        "wanted": shares_document(o.plan.after),
        "replicas": [] if o.observed is None else replicas_document(o.observed),
        "verification": None
        if v is None
        else {
            "proof": v.proof.value.replace(" ", "_"),
            "n": v.n,
            "needed": v.needed,
            "text": v.text,
        },
    }


def shares_document(split: Split | None) -> dict[str, float] | None:
    """Shares by arm, 0 to 1."""
    return None if split is None else {arm: split.share(arm) for arm in split.arms}


def replicas_document(observed: Observed) -> list[dict[str, Any]]:
    """What each replica has."""
    return [
        {
            "replica": r.name,
            "shares": shares_document(r.weights),
            "change": r.change_id or None,
            "problem": r.problem or None,
        }
        for r in observed.replicas
    ]


def evidence_document(evidence: Evidence | None) -> dict[str, Any] | None:
    """What was known of the arms' versions."""
    if evidence is None:
        return None
    return {
        "at": records.stamp(evidence.at),
        "start": records.stamp(evidence.start),
        "end": records.stamp(evidence.end),
        "data_age_s": None if evidence.data_age is None else evidence.data_age.total_seconds(),
        "metric": evidence.metric,
        "sample_ratio_mismatch": evidence.mismatch,
        "arms": [
            {
                "arm": a.arm,
                "version": a.version,
                "n": a.n,
                "metrics": records.metrics(a.metrics),
                "against_stable": {
                    c.metric: {**records.estimate(c.difference), "verdict": c.verdict.value}
                    for c in a.against_stable
                },
            }
            for a in evidence.arms
        ],
    }
