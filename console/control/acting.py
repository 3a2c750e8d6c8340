"""After a change was sent: what the plane has now, and whether requests prove it.

What a plane said counts for little; what is read back counts. A change without an answer is never
sent again: it is looked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from console.control.errors import PlaneError
from console.control.outcome import Outcome, Result
from console.control.plan import Plan
from console.control.plane import Answer, ControlPlane, Counts, Observed, Receipt, Replica
from console.control.split import Split
from console.control.verify import SURE, Proof, Verification, between, needed, verify

__all__ = ["Pace", "found", "proven", "read_back", "split_words"]

Told = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Pace:
    """How time passes while a change is looked at; seconds.

    look: between two looks. settle: how long a plane may take until what it acknowledged can be
    read. unanswered: how long a change without an answer is looked for. lock, urgent_lock: how
    long another change is waited for, which holds the lock until it is read back; a rollback or a
    fallback for as long as that may take.
    """

    sleep: Callable[[float], object] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    look: float = 0.2
    settle: float = 10.0
    unanswered: float = 3.0
    lock: float = 2.0
    urgent_lock: float = 15.0


def read_back(plane: ControlPlane, plan: Plan, receipt: Receipt, pace: Pace) -> Outcome:
    """What the plane has after a change: APPLIED when every replica has the new split."""
    answer = receipt.answer
    longest = {Answer.ACKED: pace.settle, Answer.UNKNOWN: pace.unanswered}.get(answer, 0.0)
    until = pace.monotonic() + longest
    while True:
        observed, problem = _read(plane)
        outcome = _judged(plan, receipt, observed, problem)
        if outcome.result is Result.APPLIED or pace.monotonic() >= until:
            return outcome
        pace.sleep(pace.look)


def _read(plane: ControlPlane) -> tuple[Observed | None, str]:
    try:
        return plane.read(), ""
    except PlaneError as error:
        return None, str(error)
    except Exception as error:  # it was sent: whatever happens now, there must be a result
        return None, f"unexpected {type(error).__name__} while reading"


def _judged(  # noqa: PLR0911 - one per case
    plan: Plan, receipt: Receipt, observed: Observed | None, problem: str
) -> Outcome:
    answer, said = receipt.answer, receipt.detail
    because = f" ({said})" if said else ""
    if observed is None:
        if answer in (Answer.REJECTED, Answer.CONFLICT):
            return _not_taken(plan, answer, because, None)
        text = f"it was sent{because}, but cannot be read back: {problem}"
        return Outcome(Result.UNKNOWN, plan, text, _LOOK)
    if not observed.replicas:
        text = f"it was sent{because}, but no replica can be read back"
        return Outcome(Result.UNKNOWN, plan, text, _LOOK, observed)
    has = [_has(plan.after, r) for r in observed.replicas]
    if all(has) and not observed.problem:
        return Outcome(
            Result.APPLIED, plan, f"read back: {plan.after}{_on(observed)}", "", observed
        )
    if all(has):
        text = f"it is written ({plan.after}), but {observed.problem}"
        return Outcome(Result.NOT_VERIFIED, plan, text, "look again until it is taken up", observed)
    if any(has):
        return Outcome(Result.PARTIAL, plan, _partial(plan, observed), _COMPLETE, observed)
    if answer in (Answer.REJECTED, Answer.CONFLICT):
        return _not_taken(plan, answer, because, observed)
    if any(r.weights is None for r in observed.replicas):
        silent = next(r for r in observed.replicas if r.weights is None)
        text = f"it was sent{because}, but {silent.name} cannot be read back: {silent.problem}"
        return Outcome(Result.UNKNOWN, plan, text, _LOOK, observed)
    now = split_words(observed)
    if plan.before is not None and all(_has(plan.before, r) for r in observed.replicas):
        if answer is Answer.UNKNOWN:
            text = f"there was no answer{because}; it still reads {now}, but it may yet arrive"
            return Outcome(Result.UNKNOWN, plan, text, _LOOK, observed)
        text = f"it was acknowledged{because}, but still reads {now}"
        return Outcome(Result.UNKNOWN, plan, text, _LOOK, observed)
    text = f"it reads {now}: somebody changed it at the same time, or it was understood otherwise"
    return Outcome(Result.UNKNOWN, plan, text, _LOOK, observed)


_LOOK = "look at the Traffic pane until it is clear, then complete, undo or roll back"
_COMPLETE = "complete it on the others, or undo it"


def _not_taken(plan: Plan, answer: Answer, because: str, observed: Observed | None) -> Outcome:
    if answer is Answer.CONFLICT:
        text = f"it was changed by somebody else just before{because}; nothing was changed by this"
        return Outcome(Result.CONFLICT, plan, text, "look at it and plan again", observed)
    text = f"it was not taken{because}; nothing was changed"
    return Outcome(Result.REFUSED, plan, text, "see what the plane says", observed)


def _partial(plan: Plan, observed: Observed) -> str:
    parts = []
    for replica in observed.replicas:
        if _has(plan.after, replica):
            parts.append(f"{replica.name} has it")
        elif replica.weights is None:
            parts.append(f"{replica.name} cannot be read ({replica.problem})")
        else:
            parts.append(f"{replica.name} is at {replica.weights}")
    return "; ".join(parts)


def _has(split: Split, replica: Replica) -> bool:
    return replica.weights is not None and replica.weights.same_shares(split)


def _on(observed: Observed) -> str:
    n = len(observed.replicas)
    return f" on all {n} replicas" if n > 1 else ""


def split_words(observed: Observed) -> str:
    """How traffic is split now, in words."""
    if observed.split is not None:
        return str(observed.split)
    return "; ".join(
        f"{r.name}: {r.weights if r.weights is not None else 'not readable'}"
        for r in observed.replicas
    )


def found(
    plan_after: Split | None, before: Split | None, change: str, observed: Observed
) -> tuple[Result, str]:
    """What became of a change without a result, by reading the plane now."""
    now = split_words(observed)
    read_at = f"read back at {observed.at:%H:%M:%S} UTC"
    if plan_after is None:
        return Result.UNKNOWN, f"its intent makes no sense; {read_at}: {now}"
    has = [_has(plan_after, r) for r in observed.replicas]
    mine = observed.change_id == change
    if has and all(has):
        how = "it was applied" if mine or not observed.change_id else "it is so, by another change"
        return Result.NOT_VERIFIED, f"{how}; {read_at}: {now}"
    if any(has):
        return Result.PARTIAL, f"{read_at}: {now}"
    if before is not None and all(_has(before, r) for r in observed.replicas):
        return Result.UNKNOWN, f"it was not applied, or undone since; {read_at}: {now}"
    return Result.UNKNOWN, f"it is not so now; {read_at}: {now}"


# -- measured ------------------------------------------------------------------------------------


def proven(
    plane: ControlPlane,
    configured: Outcome,
    verify_for: timedelta,
    pace: Pace,
    *,
    told: Told,
    ended: Callable[[], str],
) -> Outcome:
    """Wait for requests that prove what was read back.

    ended: why nobody waits any longer; "" to go on. Requests that were under way while it changed
    contradict it for a moment, so counting begins anew until the time is over. Each time less is
    left to chance (1/n^2, in all 1.64 times what one try has): else a plane that goes on sending
    1 % elsewhere would be proven by the first lucky stretch.
    """
    plan = configured.plan
    if not plane.capabilities.counts:
        return _with(configured, _unmeasured(plan, "nobody counts them here"))
    until = pace.monotonic() + verify_for.total_seconds()
    first: Counts | None = None
    v: Verification | None = None
    why, problem, tries = "", "", 1
    while not why and pace.monotonic() < until:
        counts, problem = _counts(plane)
        if counts is not None and first is not None:
            v = verify(plan.before, plan.after, between(first, counts), SURE / tries**2)
            told(f"measured: {v.text}")
            if v.proof is Proof.PROVEN:
                return replace(configured, text=f"{configured.text}; {v.text}", verification=v)
            if v.proof is Proof.CONTRADICTED:
                first, tries = counts, tries + 1
            elif first.missing:
                first = counts  # a replica that did not answer once may do so now
        elif counts is not None:
            first = counts
        pace.sleep(pace.look)
        why = ended()
    if v is None:
        v = _unmeasured(plan, problem or "there was no time to count any")
    if why:
        v = replace(v, text=f"{why}; until then: {v.text}")
    return _with(configured, v)


def _unmeasured(plan: Plan, why: str) -> Verification:
    return Verification(Proof.UNMEASURED, 0, needed(plan.before, plan.after), why)


_NOT_PROVEN = {
    Proof.NOT_YET: "watch the measured share until there are enough requests",
    Proof.CONTRADICTED: "requests do not follow: undo it, and look for who else splits traffic",
    Proof.UNMEASURED: "watch who answers on the Traffic pane",
    Proof.PROVEN: "",
}


def _with(configured: Outcome, v: Verification) -> Outcome:
    return replace(
        configured,
        result=Result.NOT_VERIFIED,
        text=f"{configured.text}; not proven by requests: {v.text}",
        todo=_NOT_PROVEN[v.proof],
        verification=v,
    )


def _counts(plane: ControlPlane) -> tuple[Counts | None, str]:
    try:
        return plane.counts(), ""
    except PlaneError as error:
        return None, str(error)
    except Exception as error:
        return None, f"unexpected {type(error).__name__} while counting"
