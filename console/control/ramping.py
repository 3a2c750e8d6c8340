"""Carries a staged rollout on: one look after another, in the recorder.

A look reads the audit and the plane, judges the step and does what `ramp.decide` says, through the
desk like everybody else. Every decision that changes something, and every change of the reason, is
an entry of the audit; a look that finds nothing new is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from console.control.desk import Desk
from console.control.errors import AuditError, ControlError, PlaneError
from console.control.history import split_document
from console.control.outcome import Outcome, Result
from console.control.plan import Purpose
from console.control.plane import Counts, Observed
from console.control.ramp import Act, RampDecision, decide, not_at_zero
from console.control.ramp_checks import Sight
from console.control.ramp_sight import Since, document, with_figures
from console.control.ramp_start import counts_now, is_read_back, tell, was_sent
from console.control.ramp_state import Event, Phase, RampState, counts_document, ramp_of
from console.control.split import Split
from console.control.verify import Proof, between

__all__ = ["Ramper", "Since", "is_rolled_back"]

_SAID_AGAIN = timedelta(minutes=10)
"""After which what is wrong is said once more."""

_PROOF = timedelta(seconds=5)
"""How long a step waits for measured proof; while it does, nobody judges what it fails. Whether
requests follow the split is a check of the step anyway."""

_WAITED_FOR = timedelta(seconds=15)
"""Beyond the time for proof: who sent an older change waits for it no longer."""

_AT_ONCE = frozenset({Act.NOTHING, Act.ADOPT, Act.SETTLE, Act.ROLL_BACK, Act.ZERO, Act.TAKEN_OVER})
"""What the store could not change; it may be slow."""


def is_rolled_back(arm: str, outcome: Outcome) -> bool:
    """Whether a rollback has reached zero: read back on every replica, and not contradicted."""
    o = outcome.observed
    if o is None or not o.replicas or o.problem:
        return False
    if outcome.result not in (Result.APPLIED, Result.NOT_VERIFIED):
        return False
    if any(r.weights is None or r.weights.total <= 0 or r.weights.weight(arm) for r in o.replicas):
        return False
    v = outcome.verification
    return v is None or v.proof is not Proof.CONTRADICTED


@dataclass(slots=True)
class _Known:
    """What this process remembers of a step besides the audit."""

    ramp: str
    step: int
    counts: Counts | None
    astray: int = 0


class Ramper:
    """The ramps of one deployment, one at a time, on one thread.

    stopped: whether to end waiting for proof. every: how old figures of the store may be until
    they are asked for again.
    """

    def __init__(self, desk: Desk, *, stopped: Callable[[], bool] = lambda: False) -> None:
        self._desk, self._stopped = desk, stopped
        self._known: _Known | None = None
        self._said: dict[str, datetime] = {}

    def running(self) -> bool:
        """Whether there is a ramp to carry on. Raises AuditError."""
        state = self._state()
        return state is not None and not state.phase.ended

    def tick(self, since: Since | None, now: datetime) -> tuple[str, ...]:
        """One look; sentences of what is new. Nothing that is expected is raised."""
        try:
            found = tuple(self._looked(since, now))
        except (ControlError, ValueError) as error:
            found = ((str(error), str(error)),)
        said = [text for key, text in found if self._is_new(key, now)]
        return tuple(f"ramp of {self._desk.deployment}: {text}" for text in said)

    def _is_new(self, key: str, now: datetime) -> bool:
        self._said = {k: at for k, at in self._said.items() if abs(now - at) < _SAID_AGAIN}
        return self._said.setdefault(key, now) is now

    def _state(self) -> RampState | None:
        return ramp_of(self._desk.audit.entries(), self._desk.deployment)

    def _looked(self, since: Since | None, now: datetime) -> Iterator[tuple[str, str]]:
        """What is to be said: what it is about, and the sentence."""
        state = self._state()
        if state is None or state.phase.ended:
            self._known = None
            return
        desk = self._desk
        if desk.refused:
            yield "refused", f"it is under way, but cannot go on here: {desk.refused}"
            return
        if state.arm not in desk.control.arms:
            yield "arm", f"there is no arm {state.arm!r} any more; abort the ramp, or name it again"
            return
        if state.arm == desk.control.stable:
            yield "arm", f"{state.arm} is the stable arm now; abort the ramp"
            return
        sight = self._sight(state, now)
        decision = decide(state, desk.control, sight)
        rolling = state.phase is Phase.ROLLING_BACK
        if since is not None and not rolling and decision.act not in _AT_ONCE:
            sight = with_figures(sight, state, desk.control, since)
            decision = decide(state, desk.control, sight)
        if self._known is not None:
            self._known.astray = self._known.astray + 1 if decision.key == "astray" else 0
        yield from self._do(state, sight, decision)

    # -- seeing ------------------------------------------------------------------------------------

    def _sight(self, state: RampState, now: datetime) -> Sight:
        """What the plane says."""
        observed: Observed | None = None
        problem = ""
        counts: Counts | None = None
        try:
            observed = self._desk.look()
        except PlaneError as error:
            problem = str(error)
        if observed is not None:
            counts = counts_now(self._desk)
        base = self._base(state, counts)
        measured = between(base, counts) if base is not None and counts is not None else None
        seen = Sight(now, observed, problem, measured, unasked="the store cannot be asked now")
        return replace(seen, astray=self._known.astray if self._known is not None else 0)

    def _base(self, state: RampState, counts: Counts | None) -> Counts | None:
        """What the step's requests are counted from: what its entry says, else the first look."""
        known = self._known
        if known is None or (known.ramp, known.step) != (state.id, state.step):
            known = self._known = _Known(state.id, state.step, state.counts)
        if known.counts is None:
            known.counts = counts
        return known.counts

    # -- doing -------------------------------------------------------------------------------------

    def _do(
        self, state: RampState, sight: Sight, decision: RampDecision
    ) -> Iterator[tuple[str, str]]:
        desk, why = self._desk, decision.text
        match decision.act:
            case Act.NOTHING:
                return
            case Act.NEXT:
                yield from self._next(state, sight, decision)
            case Act.ADOPT if state.pending is not None:
                if not state.pending.outcome and self._is_left(state, sight.now):
                    desk.settle()
                self._stepped(state, sight, state.pending.after, state.pending.change, why)
                yield why, why
            case Act.SETTLE:
                for text in desk.settle():
                    yield text, text
                yield from self._never_sent(state)
            case Act.ROLL_BACK:
                yield from self._roll_back(state, sight, decision)
            case Act.ZERO:
                yield self._ended(state, why)
            case Act.TAKEN_OVER:
                tell(desk, state, Event.TAKEN_OVER, why=why)
                yield why, f"stopped, traffic is left as it is: {why}"
            case Act.FINISH:
                split = split_document(state.split)
                tell(desk, state, Event.DONE, why=why, evidence=document(sight), split=split)
                yield "done", f"done: {state.arm} has {float(state.steps[-1]):g}%"
            case _:
                yield from self._wait(state, sight, decision)

    def _is_left(self, state: RampState, now: datetime) -> bool:
        """Whether nobody waits for the proof of what is pending any more."""
        if state.is_begun or state.pending is None:
            return True  # a step of this recorder's own, before it was restarted
        return now - state.pending.at > self._desk.control.verify + _WAITED_FOR

    def _never_sent(self, state: RampState) -> Iterator[tuple[str, str]]:
        """A ramp whose command died before it sent anything has not begun."""
        now = self._state()
        if now is None or now.id != state.id or now.phase.ended or now.is_begun:
            return
        if now.pending is not None and not now.pending.sent:
            why = "its first step was never sent: who began it has ended before"
            tell(self._desk, now, Event.NOT_BEGUN, change=now.pending.change, why=why)
            yield why, why

    def _wait(
        self, state: RampState, sight: Sight, decision: RampDecision
    ) -> Iterator[tuple[str, str]]:
        """Enter a reason that is new."""
        person = decision.act is Act.PERSON
        if state.key == decision.key and not (person and state.phase is Phase.RUNNING):
            return
        if state.phase is Phase.PAUSED or decision.key == "person":
            return  # that is entered already, with who wanted it
        tell(
            self._desk,
            state,
            Event.WAITS,
            why=decision.text,
            key=decision.key,
            person=person,
            evidence=document(sight) if person else None,
        )
        if decision.key not in ("pause", "astray"):
            yield decision.key, f"{decision.act.value}: {decision.text}"

    def _next(
        self, state: RampState, sight: Sight, decision: RampDecision
    ) -> Iterator[tuple[str, str]]:
        desk = self._desk
        if decision.percent is None:
            return
        place = f"step {state.step + 2} of {len(state.steps)}"
        reason = f"ramp {state.id} by {state.by} ({state.reason}): {place}: {decision.text}"
        proposal = desk.propose(Purpose.RAMP, {state.arm: decision.percent}, reason, sight.evidence)
        if not proposal.permitted:
            refusals = proposal.refusals
            blocked = (f"{place} is not permitted now: {refusals[0]}", *refusals[1:])
            names = ", ".join(dict.fromkeys(g.name for g in proposal.guards if g.blocks))
            held = RampDecision(Act.HOLD, f"not permitted: {names or 'dry run'}", blocked)
            yield from self._wait(state, sight, held)
            return
        outcome = desk.act(
            proposal,
            desk.deployment,
            stopped=self._ended_meanwhile(state),
            veto=lambda: self._veto(state),
        )
        text = f"{place} ({float(decision.percent):g}%): {outcome.result.value}: {outcome.text}"
        yield outcome.plan.id, text
        # what else became of it is in the audit, and the next look goes by that
        if is_read_back(outcome):
            self._stepped(state, sight, outcome.plan.after, outcome.plan.id, decision.text)

    def _veto(self, state: RampState) -> str:
        """Why a step must not be sent any more, asked while nobody else can change anything."""
        now = self._state()
        if now is None or now.id != state.id or now.step != state.step or now.phase.ended:
            return "the ramp has ended meanwhile"
        if now.other and not state.other:
            return f"the split was changed by {now.other} meanwhile"
        return f"the ramp is {now.phase.value} meanwhile" if now.phase is not state.phase else ""

    def _ended_meanwhile(self, state: RampState) -> Callable[[], bool]:
        asked: list[datetime] = []

        def ended() -> bool:
            now = self._desk.clock()
            asked.append(now)
            if self._stopped() or abs(now - asked[0]) >= _PROOF:
                return True
            with suppress(AuditError):
                return bool(self._veto(state))
            return False

        return ended

    def _stepped(self, state: RampState, sight: Sight, split: Split, change: str, why: str) -> None:
        """Enter that a step is reached; its pause begins now."""
        tell(
            self._desk,
            state,
            Event.STEP,
            change=change,
            place=state.step + 1,
            step=float(state.steps[state.step + 1]),
            split=split_document(split),
            counts=counts_document(counts_now(self._desk)),
            why=why,
            evidence=document(sight),
        )

    def _roll_back(
        self, state: RampState, sight: Sight, decision: RampDecision
    ) -> Iterator[tuple[str, str]]:
        desk, why = self._desk, decision.text
        if state.phase is not Phase.ROLLING_BACK:
            tell(desk, state, Event.FAILING, why=why, key=decision.key, evidence=document(sight))
            yield decision.key, f"{state.arm} is rolled back: {why}"
            state = self._state() or state
        reason = f"ramp {state.id} by {state.by} ({state.reason}): {why}"
        try:
            proposal = desk.propose(Purpose.ROLLBACK, None, reason, sight.evidence)
            outcome = desk.act(proposal, desk.deployment, stopped=self._stopped)
        except (PlaneError, ValueError) as error:
            tried, change, done = str(error), "", False
        else:
            tried = f"{outcome.result.value}: {outcome.text}"
            change, done = outcome.plan.id, is_rolled_back(state.arm, outcome)
        if done:
            yield self._ended(state, f"{why}; {tried}", change)
            return
        person = (not_at_zero(state),) if state.needs_person else ()
        tell(
            desk,
            state,
            Event.TRIED,
            change=change,
            why="; ".join((*person, why, tried)),
            key=state.key if person else "tried",
            sent=was_sent(desk, change),
        )
        yield tried, f"{state.arm} is NOT rolled back yet: {tried}; it is tried again"

    def _ended(self, state: RampState, why: str, change: str = "") -> tuple[str, str]:
        event = Event.ABORTED if state.aborting else Event.ROLLED_BACK
        tell(self._desk, state, event, change=change, why=why)
        return event.value, f"{state.arm} is at 0%: {why}"
