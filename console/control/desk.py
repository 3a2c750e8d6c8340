"""The one way to act on a deployment's traffic.

    plan -> guards -> dry run -> shown -> typed confirmation -> lock -> read again -> intent on the
    disk -> apply -> read back -> measured -> result on the disk

Keys, the palette, the command and the recorder all come here; nothing else calls `apply`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from console.control.acting import Pace, proven, read_back, split_words
from console.control.audit import Audit
from console.control.effect import effect_of
from console.control.errors import AuditError, LockedError, PlaneError
from console.control.evidence import Evidence
from console.control.guards import Grounds, judge_plan, permitted
from console.control.health import HealthChecks
from console.control.history import (
    before_fallback,
    changes_of,
    desired_of,
    last_increase,
)
from console.control.ledger import Ledger
from console.control.lock import TargetLock
from console.control.outcome import Outcome, Proposal, Result
from console.control.plan import Plan, Purpose
from console.control.plane import Answer, ControlPlane, Health, Observed, Receipt
from console.control.ramp_state import ramp_running
from console.control.setbacks import setbacks_of
from console.control.settings import Control
from console.control.split import Split, split_of_percent
from console.control.verify import needed
from console.control.who import Who

__all__ = ["Desk", "Pace"]

Told = Callable[[str], object]
"""Takes sentences about what is being done."""


_STILL_WAITING = timedelta(seconds=15)
"""Beyond the time for proof: an older intent without a result is of somebody who is gone."""


class Desk:
    """Acts on one deployment's traffic; used by one thread at a time.

    refused: why nothing may be changed here; "" when it may be. clock: aware, UTC.
    """

    def __init__(
        self,
        deployment: str,
        control: Control,
        plane: ControlPlane,
        audit: Audit,
        who: Who,
        *,
        refused: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        pace: Pace | None = None,
    ) -> None:
        self.deployment, self.control, self.plane = deployment, control, plane
        self.audit, self.who, self.refused = audit, who, refused
        self.clock = clock
        self._pace = pace or Pace()
        self._ledger = Ledger(audit, deployment, who, clock)
        self._checks = {
            arm: HealthChecks({arm: address}, control.plane.timeout.total_seconds())
            for arm, address in control.health.items()
        }

    def look(self) -> Observed:
        """The plane as it is now. Raises PlaneError."""
        return self.plane.read()

    # -- planning ----------------------------------------------------------------------------------

    def propose(
        self,
        purpose: Purpose,
        percent: Mapping[str, Fraction] | None,
        reason: str,
        evidence: Evidence | None,
        *,
        running: str = "",
    ) -> Proposal:
        """A plan with everything that is to be seen before it is confirmed; nothing is changed.

        percent: of some arms, what is left goes to the others; None for where the purpose leads by
        itself: ROLLBACK to the stable arm, UNDO, RETURN and COMPLETE by what the audit says.
        running: a ramp that is under way, in words. Raises PlaneError, AuditError, and ValueError
        in a sentence for what cannot be meant.
        """
        observed = self.plane.read()
        after = self._after(purpose, percent, observed)
        now = self.clock()
        plan = Plan(
            id=_change_id(now),
            deployment=self.deployment,
            plane=self.plane.name,
            purpose=purpose,
            before=_ordered(observed.split, self.plane.arms),
            after=after,
            base=observed.revision,
            made=now,
            expires=now + self.control.expires,
            reason=reason,
        )
        guards = judge_plan(plan, self.control, self._grounds(plan, observed, evidence, running))
        return Proposal(
            plan=plan,
            observed=observed,
            evidence=evidence,
            guards=guards,
            problems=tuple(self._problems(plan)),
            effect=effect_of(plan, evidence),
            needed=needed(plan.before, after),
            notes=tuple(self._notes()),
        )

    def _after(
        self, purpose: Purpose, percent: Mapping[str, Fraction] | None, observed: Observed
    ) -> Split:
        total, arms = self.plane.capabilities.total, self.plane.arms
        if percent is not None:
            base = observed.split or next((r.weights for r in observed.known), None)
            return split_of_percent(percent, arms, base or Split(()), total)
        if purpose is Purpose.ROLLBACK:
            whole = {self.control.stable: Fraction(100)}
            return split_of_percent(whole, arms, Split(()), total)
        found, words = self._remembered(purpose)
        known = None if found is None or set(found.arms) - set(arms) else found.scaled(total)
        if known is None:
            raise ValueError(
                f"the audit does not say {words} (it is {split_words(observed)} now); "
                "give the shares yourself"
            )
        return Split(tuple((arm, known.weight(arm)) for arm in arms))

    def _remembered(self, purpose: Purpose) -> tuple[Split | None, str]:
        """What the audit says for a purpose, and what that is in words."""
        changes = changes_of(self.audit.entries(), self.deployment)
        last = desired_of(changes)
        match purpose:
            case Purpose.UNDO:
                return (last.before if last else None), "what was before the last change"
            case Purpose.COMPLETE:
                return (last.after if last else None), "what the last change wanted"
            case Purpose.RETURN:
                return before_fallback(changes), "what was before the fallback"
            case _:
                raise ValueError(f"say the shares of a {purpose.value}")

    def _grounds(
        self, plan: Plan, observed: Observed, evidence: Evidence | None, running: str
    ) -> Grounds:
        entries = self.audit.entries()
        changes = changes_of(entries, self.deployment)
        return Grounds(
            observed=observed,
            evidence=evidence,
            now=self.clock(),
            total=self.plane.capabilities.total,
            last_increase=last_increase(changes, self.control.stable),
            health=self._health(plan),
            running=running or ramp_running(entries, self.deployment),
            setbacks=setbacks_of(entries, self.deployment, self.clock()),
        )

    def _health(self, plan: Plan) -> Mapping[str, tuple[Health, str]]:
        """Of the arms that get more; an address of another one that hangs holds up nothing."""
        found: dict[str, tuple[Health, str]] = {}
        for change in plan.increases:
            if change.arm in self._checks:
                found |= self._checks[change.arm].ask()
        return found

    def _problems(self, plan: Plan) -> Iterator[str]:
        try:
            yield from self.plane.dry_run(plan.change)
        except PlaneError as error:
            yield f"it cannot be tried: {error}"

    def _notes(self) -> Iterator[str]:
        can = self.plane.capabilities
        if can.note:
            yield can.note
        if not can.compare_and_swap:
            yield "a change by somebody else in between is noticed here, but not prevented"
        elif not can.persistent:
            yield "a restart of the proxy goes back to what its own configuration says"
        if not can.counts:
            yield "it counts no requests, so a change cannot be proven by them"

    # -- acting ------------------------------------------------------------------------------------

    def act(
        self,
        proposal: Proposal,
        confirmed: str,
        told: Told = lambda _: None,
        *,
        stopped: Callable[[], bool] = lambda: False,
        veto: Callable[[], str] = lambda: "",
    ) -> Outcome:
        """Carry out a proposal. confirmed: the deployment's name, as it was typed.

        stopped: ends the waiting for measured proof, never anything before. veto: asked under the
        lock, just before the intent: why it must not be any more, "" when it may. Whatever happens
        to the plane is in the outcome; nothing expected is raised.
        """
        plan = proposal.plan
        why = self._not_now(proposal, confirmed)
        if why:
            return self._refuse(plan, *why)
        wait_s = self._pace.urgent_lock if plan.purpose.from_anywhere else self._pace.lock
        try:
            with TargetLock(self.audit.path, self.deployment, self.who, self.clock(), wait_s):
                made = self._locked(proposal, told, veto)
        except LockedError as error:
            return self._refuse(plan, str(error), "look again when it has ended")
        except AuditError as error:
            return Outcome(Result.REFUSED, plan, f"nothing was sent: {error}", "", audited=False)
        except PlaneError as error:
            return self._refuse(
                plan, f"nothing was sent: {error}", "look at the proxy; controls are locked"
            )
        if made.result is not Result.APPLIED:
            return made
        try:
            outcome = self._measured(made, told, stopped)
        except BaseException:
            text = f"{made.text}; it was interrupted before requests could prove it"
            self._ledger.finished(replace(made, result=Result.NOT_VERIFIED, text=text))
            raise
        return self._ledger.finished(outcome)

    def _not_now(self, proposal: Proposal, confirmed: str) -> tuple[str, str] | None:
        """Why a proposal is not carried out, and what to do; None when it may be."""
        plan = proposal.plan
        if self.refused:
            return self.refused, ""
        if confirmed.strip() != plan.deployment:
            return (
                f"the typed name is not {plan.deployment}",
                "nothing was changed; type the deployment's name to confirm",
            )
        if not proposal.permitted:
            return "; ".join(proposal.refusals), "see what each guard says"
        if plan.expired(self.clock()):
            return "the plan has expired", "make it anew: what it rests on may have changed"
        return None

    def _locked(self, proposal: Proposal, told: Told, veto: Callable[[], str]) -> Outcome:
        """From the second reading to the reading back; APPLIED is what is still to be proven.

        Raises PlaneError, AuditError: nothing was sent.
        """
        plan = proposal.plan
        self.audit.check_writable()
        told("reading the plane again")
        observed = self.plane.read()
        if _moved(plan, observed):
            if not plan.purpose.from_anywhere:
                return self._refuse(
                    plan,
                    f"somebody changed it meanwhile: it is {split_words(observed)} now"
                    f"{f' (by {observed.change_id})' if observed.change_id else ''}",
                    "look at it and plan again",
                    Result.CONFLICT,
                    observed,
                )
            told(f"it is {split_words(observed)} by now; going on all the same")
            before = _ordered(observed.split, self.plane.arms)
            plan = replace(plan, base=observed.revision, before=before)
        guards = judge_plan(
            plan, self.control, self._grounds(plan, observed, proposal.evidence, running="")
        )
        if not permitted(guards):
            said = "; ".join(g.text for g in guards if g.blocks)
            return self._refuse(plan, said, "it was fine when it was planned; plan again")
        why = veto()
        if why:
            return self._refuse(plan, why, "look at what is under way and plan again")
        self._ledger.settle(observed, self.control.verify + _STILL_WAITING)
        self._ledger.intend(plan, proposal, guards)
        told("the intent is on the disk; sending it")
        outcome = read_back(self.plane, plan, self._apply(plan), self._pace)
        told(outcome.text)
        return outcome if outcome.result is Result.APPLIED else self._ledger.finished(outcome)

    def _apply(self, plan: Plan) -> Receipt:
        try:
            return self.plane.apply(plan.change)
        except Exception as error:  # whatever it was: it may have been sent
            text = f"unexpected {type(error).__name__}"
            return Receipt.one(self.plane.name, Answer.UNKNOWN, text)

    def _measured(self, made: Outcome, told: Told, stopped: Callable[[], bool]) -> Outcome:
        """Wait for requests that prove it. Others may act meanwhile, and a newer change ends it."""

        def ended() -> str:
            if stopped():
                return "nobody waited for it"
            last = desired_of(changes_of(self.audit.entries(), self.deployment))
            return f"overtaken by {last.id}" if last and last.id != made.plan.id else ""

        return proven(self.plane, made, self.control.verify, self._pace, told=told, ended=ended)

    # -- what was left -----------------------------------------------------------------------------

    def settle(self) -> tuple[str, ...]:
        """Close intents without a result by reading back; what was found, a sentence each.

        Only while nobody acts. Raises LockedError, AuditError, PlaneError.
        """
        with TargetLock(self.audit.path, self.deployment, self.who, self.clock()):
            return self._ledger.settle(self.plane.read())

    def _refuse(
        self,
        plan: Plan,
        text: str,
        todo: str,
        result: Result = Result.REFUSED,
        observed: Observed | None = None,
    ) -> Outcome:
        """Nothing was sent; in the audit as well, if that can be."""
        return self._ledger.refused(Outcome(result, plan, text, todo, observed))


def _change_id(now: datetime) -> str:
    return f"c-{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def _ordered(split: Split | None, arms: tuple[str, ...]) -> Split | None:
    """In the order of the configuration; what it does not name stands behind."""
    if split is None:
        return None
    others = tuple(arm for arm in split.arms if arm not in arms)
    return Split(tuple((arm, split.weight(arm)) for arm in (*arms, *others)))


def _moved(plan: Plan, observed: Observed) -> bool:
    """Whether the plane is no longer what a plan was made on."""
    now = observed.split
    if (plan.before is None) != (now is None) or plan.base != observed.revision:
        return True
    return plan.before is not None and now is not None and not now.same_shares(plan.before)
