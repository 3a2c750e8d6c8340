"""What became of a plan: a proposal that was shown, and an outcome that says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from console.control.evidence import Evidence
from console.control.guards import Guard, permitted
from console.control.plan import Plan
from console.control.plane import Observed
from console.control.verify import Verification

__all__ = ["Outcome", "Proposal", "Result"]


class Result(StrEnum):
    """How it ended."""

    APPLIED = "applied"
    """Read back on every replica, and proven by requests."""
    REFUSED = "refused"
    """Nothing was sent, or the plane did not take it."""
    CONFLICT = "conflict"
    """Somebody else changed it meanwhile; nothing was changed by this."""
    PARTIAL = "partial"
    """Some replicas have it, some do not."""
    UNKNOWN = "unknown"
    """It may have been applied: no answer, and it cannot be read back."""
    NOT_VERIFIED = "not verified"
    """Read back on every replica, but requests do not prove it (yet), or contradict it."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan with all that is shown before it is confirmed.

    problems: what the plane itself would not take, from its dry run. effect: what is to be
    expected, a sentence each. needed: requests until it can be told that it worked. notes: what one
    must know of this plane.
    """

    plan: Plan
    observed: Observed
    evidence: Evidence | None
    guards: tuple[Guard, ...]
    problems: tuple[str, ...]
    effect: tuple[str, ...]
    needed: int
    notes: tuple[str, ...] = ()

    @property
    def permitted(self) -> bool:
        """Whether it may be confirmed."""
        return permitted(self.guards) and not self.problems

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why not, a sentence each."""
        return (*(g.text for g in self.guards if g.blocks), *self.problems)


@dataclass(frozen=True, slots=True)
class Outcome:
    """text: what happened. todo: what to do now; "" where there is nothing. observed: the last
    reading back, None where nothing was read. audited: whether the audit has the result.
    """

    result: Result
    plan: Plan
    text: str
    todo: str = ""
    observed: Observed | None = None
    verification: Verification | None = None
    audited: bool = True

    @property
    def changed(self) -> bool:
        """Whether the plane is surely or possibly not as it was."""
        return self.result not in (Result.REFUSED, Result.CONFLICT)
