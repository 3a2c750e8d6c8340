"""How a staged rollout begins, and how its events come into the audit.

That it begins is entered under the lock, just before the intent of its first step. So there is no
moment at which that step is made and nobody watches it, and of two who begin one at the same time
the second is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC
from fractions import Fraction
from typing import Any

from console.control.desk import Desk
from console.control.entries import EntryKind
from console.control.errors import PlaneError
from console.control.history import split_document
from console.control.outcome import Outcome, Result
from console.control.plan import Plan
from console.control.plane import Counts
from console.control.ramp import started_fields
from console.control.ramp_state import Event, RampState, counts_document, ramp_of, ramp_words

__all__ = ["begin", "begun", "counts_now", "is_read_back", "tell", "was_sent"]


def tell(desk: Desk, state: RampState, event: Event, *, change: str = "", **fields: Any) -> None:
    """Enter an event of a ramp. Raises AuditError."""
    entry = {
        "event": event.value,
        "ramp": state.id,
        "arm": state.arm,
        "step": state.percent,
        "why": "",
        **fields,
    }
    desk.audit.append(desk.clock(), EntryKind.RAMP, desk.deployment, change, desk.who, entry)


def begin(desk: Desk, arm: str, steps: tuple[Fraction, ...], plan: Plan) -> Callable[[], str]:
    """What is asked under the lock just before the first step: enters that the ramp begins.

    For `Desk.act(veto=...)`; says why it must not begin. plan: of the first step.
    """

    def veto() -> str:
        state = ramp_of(desk.audit.entries(), desk.deployment)
        if state is not None and not state.phase.ended:
            return f"{ramp_words(state)}; abort it first"
        name = f"r-{desk.clock().astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        fields = {
            "event": Event.STARTED.value,
            "ramp": name,
            **started_fields(arm, desk.control, steps, plan),
            "counts": counts_document(counts_now(desk)),
            "why": plan.reason,
        }
        desk.audit.append(desk.clock(), EntryKind.RAMP, desk.deployment, plan.id, desk.who, fields)
        return ""

    return veto


def begun(desk: Desk, outcome: Outcome) -> bool:
    """Enter what became of the first step; whether its ramp is under way. Raises AuditError.

    A recorder that has looked meanwhile may have entered it.
    """
    plan = outcome.plan
    state = ramp_of(desk.audit.entries(), desk.deployment)
    if state is None or state.phase.ended:
        return False
    pending = state.pending
    if pending is None or pending.change != plan.id or pending.step != 0:
        return state.is_begun and state.split.same_shares(plan.after)
    if not pending.sent:
        tell(desk, state, Event.NOT_BEGUN, change=plan.id, why=outcome.text)
        return False
    if is_read_back(outcome):
        tell(
            desk,
            state,
            Event.STEP,
            change=plan.id,
            place=0,
            step=float(state.steps[0]),
            split=split_document(plan.after),
            counts=counts_document(counts_now(desk)),
            why=plan.reason,
        )
    return True


def is_read_back(outcome: Outcome) -> bool:
    """Whether every replica surely has it."""
    o = outcome.observed
    if outcome.result not in (Result.APPLIED, Result.NOT_VERIFIED) or o is None or o.problem:
        return False
    return o.split is not None and o.split.same_shares(outcome.plan.after)


def was_sent(desk: Desk, change: str) -> bool:
    """Whether the plane was told of a change, or may have been: there is an intent.

    Raises AuditError.
    """
    entries = reversed(desk.audit.entries())
    return any(e.kind is EntryKind.INTENT and e.change == change for e in entries)


def counts_now(desk: Desk) -> Counts | None:
    """What the plane has counted; None where it does not, or does not say."""
    try:
        return desk.plane.counts()
    except PlaneError:
        return None
