"""What a staged rollout does next: one decision from what is known at one look. Pure.

surely worse            -> roll back
somebody else moved it  -> stop, leave it as it is
plane or data unknown   -> hold: never an increase on nothing
pause not over          -> wait
cannot be told yet      -> wait; after the patience, for a person
surely good enough      -> the next step, or done
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from console.control.history import split_document
from console.control.plan import Plan
from console.control.plane import Capabilities, Observed
from console.control.ramp_checks import Check, Sight, check_all
from console.control.ramp_state import PERSON_KEY, Phase, RampState, Tries, exact
from console.control.settings import Control
from console.control.split import Split, split_of_percent
from console.gates import Verdict
from console.views.words import age as age_words

__all__ = [
    "Act",
    "RampDecision",
    "decide",
    "not_at_zero",
    "plan_steps",
    "rest_after",
    "started_fields",
    "terms",
]

MOST_TRIES = 8
"""Tries to roll back until a person is needed as well; it goes on trying all the same."""

_PERSON_AFTER = timedelta(minutes=15)
"""Of rolling back, however many tries that was: about the time of so many with their rests."""

_FIRST_REST = timedelta(seconds=5)
_LONGEST_REST = timedelta(minutes=5)
_LONGEST_UNSENT = timedelta(minutes=1)
"""After a try of which nothing was sent: what was in the way may be gone at any moment."""
_ARRIVAL = timedelta(seconds=30)
"""How long a step whose answer was lost may yet arrive, before it is sent again."""

_CLOCK_OFF = timedelta(seconds=5)
"""How far the clock may be behind the audit."""

_LOOKS_ASTRAY = 2
"""Looks in a row at which the split is not the ramp's, until it counts as taken over."""


class Act(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    NEXT = "next"
    ADOPT = "adopt"
    """The next step is there already, sent before a restart: enter it."""
    SETTLE = "settle"
    """A step was sent and nothing is known of it: read it back."""
    WAIT = "wait"
    HOLD = "hold"
    """Something that must be known is not."""
    PERSON = "person"
    """It cannot be told for too long: a person must say."""
    ROLL_BACK = "roll back"
    ZERO = "zero"
    """It is rolled back: say so."""
    TAKEN_OVER = "taken over"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class RampDecision:
    """What to do and why, a sentence each. key: what tells a reason from another one, without the
    figures that change at every look. percent: for the arm, of NEXT.
    """

    act: Act
    key: str
    why: tuple[str, ...]
    percent: Fraction | None = None
    checks: tuple[Check, ...] = ()

    @property
    def text(self) -> str:
        """The reasons in one line."""
        return "; ".join(self.why)


def decide(  # noqa: PLR0911 - one per case
    state: RampState, control: Control, sight: Sight
) -> RampDecision:
    """The one decision of this look."""
    if state.phase.ended:
        return RampDecision(Act.NOTHING, "ended", ())
    if sight.now < max(state.at, state.since) - _CLOCK_OFF:
        why = "the clock of this machine is behind what the audit says; set it right"
        return RampDecision(Act.HOLD, "clock", (why,))
    blind = _blind(sight)
    if state.phase is Phase.ROLLING_BACK:
        return _rolling_back(state, sight, blind)
    if sight.observed is None:
        return blind or RampDecision(Act.HOLD, "plane", ("the plane cannot be read",))
    checks = check_all(state, control, sight)
    if blind is None:
        elsewhere = _elsewhere(state, sight, sight.observed.split)
        if elsewhere is not None:
            return elsewhere
    failed = tuple(c for c in checks if c.verdict is Verdict.FAIL)
    if failed:
        key = f"failed {', '.join(dict.fromkeys(c.name for c in failed))}"
        return RampDecision(Act.ROLL_BACK, key, tuple(c.text for c in failed), checks=checks)
    held = blind or _held(state, control, sight)
    return held or _judged(state, control, sight, checks)


def rest_after(tries: int) -> timedelta:
    """How long to rest after so many tries to roll back."""
    if tries <= 0:
        return timedelta(0)
    return min(_FIRST_REST * (1 << min(tries - 1, 20)), _LONGEST_REST)


# -- one question after the other ------------------------------------------------------------------


def _blind(sight: Sight) -> RampDecision | None:
    """Why the split cannot be known now."""
    o = sight.observed
    if o is None:
        return RampDecision(Act.HOLD, "plane", (sight.problem or "the plane cannot be read",))
    if o.problem:
        return RampDecision(Act.HOLD, "status", (o.problem,))
    if o.split is None:
        silent = [r for r in o.replicas if r.weights is None]
        why = (
            f"{silent[0].name} cannot be read: {silent[0].problem}"
            if silent
            else "replicas split traffic differently: complete the last change, or abort the ramp"
        )
        return RampDecision(Act.HOLD, "replicas", (why,))
    return None


def _rolling_back(state: RampState, sight: Sight, blind: RampDecision | None) -> RampDecision:
    """It is never given up: after a while a person is asked for, and it is tried on."""
    tries, late = state.tries, _is_late(state, sight.now)
    person = RampDecision(Act.PERSON, PERSON_KEY, (not_at_zero(state), state.cause))
    if sight.observed is None:
        held = blind or RampDecision(Act.HOLD, "plane", ("the plane cannot be read",))
        return replace(person, why=(*person.why, *held.why)) if late else held
    at_zero = blind is None and _is_zero(state, sight.observed)
    if at_zero and (tries is not None or state.pending is None):
        # what may still be under way is overtaken by a rollback of our own first
        return RampDecision(Act.ZERO, "zero", (state.cause,))
    if tries is None or sight.now >= tries.last + _rest(tries, late):
        return RampDecision(Act.ROLL_BACK, state.key, (state.cause,))
    if late and not state.needs_person:
        return person
    return RampDecision(Act.WAIT, state.key, (state.why,))


def _is_late(state: RampState, now: datetime) -> bool:
    tries = state.tries
    began = state.since if tries is None else tries.first
    return (tries is not None and tries.sent >= MOST_TRIES) or now - began >= _PERSON_AFTER


def _rest(tries: Tries, late: bool) -> timedelta:
    if late:
        return _LONGEST_REST
    return max(rest_after(tries.sent), min(rest_after(tries.n), _LONGEST_UNSENT))


def not_at_zero(state: RampState) -> str:
    """That a person is needed for a rollback."""
    n = state.tries.n if state.tries is not None else 0
    after = f" after {n} {'try' if n == 1 else 'tries'}" if n else ""
    return f"{state.arm} is NOT at 0%{after}: a person is needed now; it is tried on"


def _is_zero(state: RampState, observed: Observed) -> bool:
    """Whether every replica is read and none sends the arm anything."""
    return bool(observed.replicas) and all(
        r.weights is not None and r.weights.total > 0 and not r.weights.weight(state.arm)
        for r in observed.replicas
    )


def _elsewhere(  # noqa: PLR0911 - one per case
    state: RampState, sight: Sight, split: Split | None
) -> RampDecision | None:
    """The split is not the one of this step: our own next one, or somebody else's."""
    if split is None:
        return None
    if state.other:
        why = f"the split was changed by {state.other} while the ramp was under way; it is {split}"
        return RampDecision(Act.TAKEN_OVER, "taken over", (why,))
    pending = state.pending
    if pending is not None and split.same_shares(pending.after):
        why = f"the step to {float(state.next):g}% is there ({pending.change})"
        return RampDecision(Act.ADOPT, "adopt", (why,))
    if not split.same_shares(state.split):
        why = (
            f"it reads {split}, but the ramp had it at {state.split}: "
            "the proxy was restarted, or somebody changed it elsewhere"
        )
        if sight.astray + 1 >= _LOOKS_ASTRAY:
            return RampDecision(Act.TAKEN_OVER, "taken over", (why,))
        return RampDecision(Act.HOLD, "astray", (why,))
    young = pending is not None and sight.now < pending.at + _ARRIVAL
    if pending is not None and not pending.outcome and (state.is_begun or not young):
        why = f"what became of {pending.change} is not known: who sent it has ended"
        return RampDecision(Act.SETTLE, "settle", (why,))
    if pending is not None and not pending.outcome:  # whoever began it is just sending it
        return RampDecision(Act.WAIT, "arrival", (state.place,))
    if pending is not None and young:
        why = f"{pending.change} had no clear answer and may yet arrive"
        return RampDecision(Act.HOLD, "arrival", (why,))
    return None


def _held(  # noqa: PLR0911 - one per case
    state: RampState, control: Control, sight: Sight
) -> RampDecision | None:
    """A person, or data that an increase must not rest on."""
    if state.phase is Phase.PAUSED:
        return RampDecision(Act.WAIT, "paused", ("it is paused",))
    if state.phase is Phase.PERSON:
        return RampDecision(Act.WAIT, "person", (state.why,))
    if not state.is_begun and not state.promoted:
        change = state.pending.change if state.pending is not None else "its first step"
        why = (
            f"{change} had no clear answer and is not there; promote it to send it again, or abort"
        )
        return RampDecision(Act.PERSON, "first", (why,))
    e = sight.evidence
    if e is None:
        why = sight.unasked or "the store cannot be asked what is known"
        return RampDecision(Act.HOLD, "store", (why,))
    age = e.age(sight.now)
    if age is None:
        return RampDecision(Act.HOLD, "no data", ("there are no predictions to go by",))
    if age > control.max_age:
        most = age_words(control.max_age)
        why = f"the newest prediction is more than {most} old: no data, no increase"
        return RampDecision(Act.HOLD, "stale", (why,))
    if not e.watched:
        why = "the figures are for one look only"
        return RampDecision(Act.HOLD, "one look", (why,))
    return None


def _judged(
    state: RampState, control: Control, sight: Sight, checks: tuple[Check, ...]
) -> RampDecision:
    since = sight.now - state.at
    if since < state.pause and not state.promoted:
        why = f"at least until {state.at + state.pause:%d %b %H:%M:%S} UTC"
        return RampDecision(Act.WAIT, "pause", (why,), checks=checks)
    open_ = tuple(c for c in checks if c.needed and c.verdict is Verdict.CANNOT_TELL)
    if open_ and not state.promoted:
        texts = tuple(c.text for c in open_)
        if sight.now - state.asked >= control.ramp.patience:
            told = f"it cannot be told for {age_words(control.ramp.patience)}; promote or abort it"
            return RampDecision(Act.PERSON, "patience", (told, *texts), checks=checks)
        key = f"cannot tell {', '.join(dict.fromkeys(c.name for c in open_))}"
        return RampDecision(Act.WAIT, key, texts, checks=checks)
    good = tuple(c.text for c in checks)
    if state.is_last:
        return RampDecision(Act.FINISH, "done", good, checks=checks)
    return RampDecision(Act.NEXT, "next", good, state.next, checks)


# -- the beginning ---------------------------------------------------------------------------------


def plan_steps(
    arm: str, control: Control, observed: Observed, can: Capabilities
) -> tuple[Fraction, ...]:
    """The steps that are left for an arm. Raises ValueError in a sentence for what cannot be."""
    if arm not in control.arms:
        raise ValueError(f"there is no arm {arm!r}; there is {', '.join(control.arms)}")
    if arm == control.stable:
        raise ValueError(
            f"{arm} is the stable arm, which a ramp takes traffic from; `traffic rollback` gives "
            "it all of it"
        )
    now = observed.split
    if now is None:
        raise ValueError("replicas cannot all be read, or differ: complete or undo that first")
    steps = tuple(exact(p) for p in control.ramp.steps)
    base = now if now.total > 0 else Split(())
    for percent in steps:
        try:
            after = split_of_percent({arm: percent}, tuple(control.arms), base, can.total)
        except ValueError as error:
            raise ValueError(f"the step of {float(percent):g}%: {error}; change steps") from error
        if not after.weight(arm):
            raise ValueError(f"the step of {float(percent):g}% would be nothing here")
    whole = Fraction(now.weight(arm) * 100, now.total) if now.total > 0 else Fraction(0)
    left = tuple(p for p in steps if p > whole)
    if not left:
        raise ValueError(f"{arm} has {float(whole):g}% already, which no step is above")
    return left


def started_fields(
    arm: str, control: Control, steps: tuple[Fraction, ...], plan: Plan
) -> dict[str, object]:
    """What the entry of a ramp's start holds: what was confirmed then holds to its end.

    plan: of its first step, on a split that is known.
    """
    before = plan.before or Split(())
    return {
        "arm": arm,
        "steps": [str(p) for p in steps],
        "pause_s": control.ramp.pause.total_seconds(),
        "least": control.ramp.least,
        "split": split_document(before),
        "first": split_document(plan.after),
        "step": 100 * before.share(arm),
        "reason": plan.reason,
    }


def terms(control: Control) -> Iterator[str]:
    """What a step must pass, a sentence each: shown before a ramp is confirmed."""
    ramp = control.ramp
    yield f"each step is looked at for {age_words(ramp.pause)} and {ramp.least:,} requests at least"
    yield "it is rolled back when errors or performance are surely worse than the stable arm's"
    yield "where that has no traffic any more, it is compared with what it had in the steps before"
    if ramp.worst_loss is not None:
        yield f"a step goes on only when a loss of more than {ramp.worst_loss:g} is excluded"
    for gate in ramp.gate:
        of = f" of {gate.segment}" if gate.segment else ""
        yield f"gate: {gate.figure}{of} {gate.limit}"
    yield f"after {age_words(ramp.patience)} without a decision it waits for a person"
