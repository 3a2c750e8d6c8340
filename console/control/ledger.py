"""What of an act goes into the audit: intent, refusal, result, and the end of what was left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from console.control.acting import found
from console.control.audit import Audit, EntryKind
from console.control.errors import AuditError
from console.control.guards import Guard
from console.control.history import Change, split_document
from console.control.outcome import Outcome, Proposal
from console.control.plan import Plan
from console.control.plane import Observed
from console.control.verify import Verification
from console.control.who import Who

__all__ = ["Ledger"]


class Ledger:
    """Writes one deployment's entries as one who acts."""

    def __init__(
        self, audit: Audit, deployment: str, who: Who, clock: Callable[[], datetime]
    ) -> None:
        self.audit, self._deployment, self._who, self._clock = audit, deployment, who, clock

    def intend(self, plan: Plan, proposal: Proposal, guards: tuple[Guard, ...]) -> None:
        """Before anything is sent. Raises AuditError: then nothing may be."""
        evidence = proposal.evidence
        fields = {
            "purpose": plan.purpose.value,
            "plane": plan.plane,
            "before": split_document(plan.before),
            "after": split_document(plan.after),
            "base": plan.base,
            "reason": plan.reason,
            "guards": [f"{g.name}: {g.verdict.value}: {g.text}" for g in guards],
            "effect": list(proposal.effect),
            "evidence": None if evidence is None else evidence.document(),
        }
        self._append(EntryKind.INTENT, plan.id, fields)

    def refused(self, outcome: Outcome) -> Outcome:
        """That nothing was sent; said also where it cannot be written."""
        plan = outcome.plan
        fields = {
            "purpose": plan.purpose.value,
            "after": split_document(plan.after),
            "reason": plan.reason,
            "outcome": outcome.result.value,
            "text": outcome.text,
        }
        try:
            self._append(EntryKind.REFUSED, plan.id, fields)
        except AuditError:
            return replace(outcome, audited=False)
        return outcome

    def finished(self, outcome: Outcome) -> Outcome:
        """The result of what was sent; that it cannot be written is said, and undoes nothing."""
        v = outcome.verification
        fields = {
            "outcome": outcome.result.value,
            "text": outcome.text,
            "todo": outcome.todo,
            "observed": _document(outcome.observed),
            "measured": None if v is None else _measured(v),
        }
        try:
            self._append(EntryKind.RESULT, outcome.plan.id, fields)
        except AuditError as error:
            missing = f"its result is missing in the audit: {error}"
            todo = f"{outcome.todo}; {missing}" if outcome.todo else missing
            return replace(outcome, audited=False, todo=todo)
        return outcome

    def settle(self, observed: Observed, older: timedelta = timedelta(0)) -> tuple[str, ...]:
        """Close intents without a result by what is read now; what was found, a sentence each.

        older: of intents at least this old, whose proof nobody waits for any more. Raises
        AuditError.
        """
        said = []
        for entry in self.audit.unresolved():
            # also one that a wrong clock has dated into the future
            if entry.deployment != self._deployment or abs(self._clock() - entry.at) < older:
                continue
            change = Change(entry, None)
            result, text = found(change.after, change.before, change.id, observed)
            fields = {"outcome": result.value, "text": text, "observed": _document(observed)}
            self._append(EntryKind.RESULT, change.id, fields)
            said.append(f"{change.id}: {text}")
        return tuple(said)

    def _append(self, kind: EntryKind, change: str, fields: Mapping[str, Any]) -> None:
        self.audit.append(self._clock(), kind, self._deployment, change, self._who, fields)


def _document(observed: Observed | None) -> dict[str, Any] | None:
    if observed is None:
        return None
    return {r.name: split_document(r.weights) for r in observed.replicas}


def _measured(v: Verification) -> dict[str, Any]:
    arms: dict[str, int] = {}
    for row in v.measured.rows if v.measured is not None else ():
        arms[row.arm] = arms.get(row.arm, 0) + row.n
    return {"proof": v.proof.value, "n": v.n, "needed": v.needed, "arms": arms}
