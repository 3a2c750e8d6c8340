"""Whether a plan may be carried out. Pure: everything that is known goes in, sentences come out.

What makes things safe (rollback, fallback, completing, undoing) skips what only slows down: the
size of a step, the pause between two, samples and the age of data; never that weights are right,
that who gets the traffic is not known to be down, and that the plane can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from console.control.evidence import Evidence
from console.control.plan import Plan, Purpose, ShareChange
from console.control.plane import Health, Observed
from console.control.settings import Control
from console.control.split import percent_text
from console.views.words import age as age_words

if TYPE_CHECKING:  # it reads the audit's changes, whose outcomes hold guards
    from console.control.setbacks import Setback

__all__ = ["Grounds", "Guard", "GuardVerdict", "judge_plan", "permitted"]


class GuardVerdict(StrEnum):
    """What a guard says."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    """It may be, but whoever confirms it must have seen this."""
    REFUSE = "refuse"
    UNKNOWN = "unknown"
    """It cannot be known, so it must not be."""


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard's verdict, and why in a sentence."""

    name: str
    verdict: GuardVerdict
    text: str

    @property
    def blocks(self) -> bool:
        """Whether the plan must not be carried out."""
        return self.verdict in (GuardVerdict.REFUSE, GuardVerdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Grounds:
    """What guards go by. last_increase: when an arm last got more. health: of arms with an address
    of their own, asked just now. running: a ramp that is under way, in words; "" for none.
    setbacks: arms that were rolled back, and have had no traffic since.
    """

    observed: Observed
    evidence: Evidence | None
    now: datetime
    total: int
    last_increase: datetime | None = None
    health: Mapping[str, tuple[Health, str]] | None = None
    running: str = ""
    setbacks: tuple[Setback, ...] = ()


def judge_plan(plan: Plan, control: Control, grounds: Grounds) -> tuple[Guard, ...]:
    """Every guard that applies to a plan."""
    urgent = _makes_safe(plan, control, grounds.observed)
    found = [*_weights(plan, control, grounds), *_read(plan, grounds, urgent)]
    found += [*_fallback(plan, urgent), *_targets(plan, grounds, urgent)]
    if not urgent:
        found += [*_changes(plan), *_ramp(plan, control, grounds), *_data(plan, control, grounds)]
        found += [*_worse(plan, grounds), *_setbacks(plan, grounds)]
        # to what was so before, at once; a ramp's steps and pauses were confirmed at its start
        if plan.purpose not in (Purpose.RETURN, Purpose.RAMP):
            found += [*_step(plan, control, grounds), *_cooldown(plan, control, grounds)]
    return tuple(found)


def permitted(guards: tuple[Guard, ...]) -> bool:
    """Whether none of them blocks."""
    return not any(g.blocks for g in guards)


def _makes_safe(plan: Plan, control: Control, observed: Observed) -> bool:
    """Whether a plan is of the kind that nothing may slow down.

    Undoing or completing is, where no arm but the stable one gets more than it has, or than it has
    on some replica where they differ. Falling back is, to one of the targets where there are any:
    else it would be a way around every guard of a canary.
    """
    raised = [c for c in plan.increases if c.arm != control.stable]
    if plan.purpose in (Purpose.COMPLETE, Purpose.UNDO):
        if plan.before is not None:
            return not raised
        known = [r.weights for r in observed.known if r.weights is not None]
        return all(any(w.share(c.arm) >= c.after for w in known) for c in raised)
    if plan.purpose is Purpose.FALLBACK and control.fallback is not None:
        return {c.arm for c in raised} <= {t.arm for t in control.fallback.target}
    return plan.purpose.from_anywhere


def _fallback(plan: Plan, urgent: bool) -> Iterator[Guard]:
    if plan.purpose is Purpose.FALLBACK and not urgent:
        text = "it is none of the configured fallbacks, so it is judged as any other change"
        yield Guard("fallback", GuardVerdict.WARN, text)


def _weights(plan: Plan, control: Control, grounds: Grounds) -> Iterator[Guard]:
    after = plan.after
    if set(after.arms) != set(control.arms) or len(after.arms) != len(control.arms):
        text = f"it is over {', '.join(after.arms)}, but the arms are {', '.join(control.arms)}"
        yield Guard("weights", GuardVerdict.REFUSE, text)
    elif any(weight < 0 for _, weight in after.weights):
        yield Guard("weights", GuardVerdict.REFUSE, "a weight is below 0")
    elif after.total != grounds.total:
        text = f"the weights add up to {after.total}, but must to {grounds.total}"
        yield Guard("weights", GuardVerdict.REFUSE, text)
    else:
        text = f"whole numbers over all {len(after.arms)} arms, adding up to {after.total}"
        yield Guard("weights", GuardVerdict.PASS, text)


def _read(plan: Plan, grounds: Grounds, urgent: bool) -> Iterator[Guard]:
    o = grounds.observed
    silent = [r for r in o.replicas if r.weights is None]
    if silent:
        text = f"{len(silent)} of {len(o.replicas)} replicas cannot be read: {silent[0].problem}"
        yield Guard("replicas", GuardVerdict.WARN if urgent else GuardVerdict.UNKNOWN, text)
    elif o.differs:
        text = "replicas split traffic differently; complete or undo the last change first"
        yield Guard("replicas", GuardVerdict.WARN if urgent else GuardVerdict.REFUSE, text)
    else:
        n = len(o.replicas)
        yield Guard("replicas", GuardVerdict.PASS, f"all {n} read" if n > 1 else "read")
    if o.problem:
        yield Guard("status", GuardVerdict.WARN if urgent else GuardVerdict.UNKNOWN, o.problem)


def _targets(plan: Plan, grounds: Grounds, urgent: bool) -> Iterator[Guard]:
    """Whoever gets more, and whoever is left, must be there."""
    for change in plan.increases:
        health, detail = _health(change.arm, grounds)
        text = f"{change.arm} is {health.value}{f' ({detail})' if detail else ''}"
        verdict = GuardVerdict.PASS
        if health is Health.DOWN and plan.purpose is Purpose.ROLLBACK and _sees_up(change, grounds):
            # who will send the requests knows better than an address that nobody there asks
            verdict = GuardVerdict.WARN
            text += ", but the plane itself has it up"
        elif health is Health.DOWN:
            verdict = GuardVerdict.REFUSE
            text += ": sending it traffic would fail requests"
        elif health is Health.UNKNOWN:
            verdict = GuardVerdict.WARN if urgent else GuardVerdict.UNKNOWN
            text = (
                f"nobody says whether {change.arm} is up; give its address in [control.health]"
                if not detail
                else f"nobody says whether {change.arm} is up: {detail}"
            )
        yield Guard("target", verdict, text)


def _sees_up(change: ShareChange, grounds: Grounds) -> bool:
    return grounds.observed.health_of(change.arm) is Health.UP


def _health(arm: str, grounds: Grounds) -> tuple[Health, str]:
    """The worse of what the plane says and what the arm itself does."""
    told = next((h for h in grounds.observed.health if h.arm == arm), None)
    own = (grounds.health or {}).get(arm)
    if own is not None and own[0] is not Health.UP:
        return own
    if told is not None and told.health is not Health.UNKNOWN:
        return told.health, told.detail
    return own if own is not None else (Health.UNKNOWN, told.detail if told else "")


def _changes(plan: Plan) -> Iterator[Guard]:
    if plan.is_nothing:
        yield Guard("change", GuardVerdict.REFUSE, "traffic is split so already")


def _ramp(plan: Plan, control: Control, grounds: Grounds) -> Iterator[Guard]:
    if grounds.running and plan.purpose is not Purpose.RAMP:
        text = f"{grounds.running}; pause or abort it first"
        yield Guard("ramp", GuardVerdict.REFUSE, text)
    if plan.purpose is Purpose.RAMP and plan.before is not None:
        raised = {c.arm for c in plan.increases}
        # what a step is compared with, and goes back to
        if control.stable not in {*plan.before.taking, *raised}:
            text = f"{control.stable} gets no traffic: return to it first, a ramp goes back there"
            yield Guard("ramp", GuardVerdict.REFUSE, text)


def _data(plan: Plan, control: Control, grounds: Grounds) -> Iterator[Guard]:
    """More traffic rests on data: how old, and how much."""
    raised = [c for c in plan.increases if c.arm != control.stable]
    if not raised:
        return
    e = grounds.evidence
    if e is None:
        yield Guard("data", GuardVerdict.UNKNOWN, "the store cannot be asked what is known")
        return
    # as it was when it was planned: how long that holds is for the plan's expiry to say
    age, most = e.age(plan.made), control.max_age
    if age is None:
        yield Guard("data", GuardVerdict.UNKNOWN, "there are no predictions to go by")
    elif age > most:
        text = (
            f"the newest prediction is {age_words(age)} old; at most {age_words(most)} is allowed"
        )
        yield Guard("data", GuardVerdict.UNKNOWN, text)
    else:
        yield Guard("data", GuardVerdict.PASS, f"the newest prediction is {age_words(age)} old")
    for change in raised:
        mine = e.of(change.arm)
        n = mine.n if mine is not None else 0
        if not change.before:
            text = f"{change.arm} gets no traffic now; {n:,} predictions of it are known"
            yield Guard("samples", GuardVerdict.PASS, text)
        elif n < control.least:
            text = f"{change.arm} has {n:,} predictions; {control.least:,} are needed first"
            yield Guard("samples", GuardVerdict.UNKNOWN, text)
        else:
            text = f"{change.arm} has {n:,} predictions"
            yield Guard("samples", GuardVerdict.PASS, text)


def _worse(plan: Plan, grounds: Grounds) -> Iterator[Guard]:
    e = grounds.evidence
    for change in plan.increases:
        mine = e.of(change.arm) if e is not None else None
        for c in mine.worse if mine is not None else ():
            text = f"{change.arm} is surely worse than the stable arm by {c.metric}"
            yield Guard("evidence", GuardVerdict.WARN, text)
    if e is not None and e.mismatch:
        text = "traffic is not split as the trial says, so versions may not be comparable"
        yield Guard("evidence", GuardVerdict.WARN, text)


def _setbacks(plan: Plan, grounds: Grounds) -> Iterator[Guard]:
    """Whoever was rolled back is not well because nobody asks it for anything any more."""
    raised = {c.arm for c in plan.increases}
    for fallen in grounds.setbacks:
        if fallen.arm in raised and plan.purpose is not Purpose.RETURN:
            yield Guard("history", GuardVerdict.WARN, fallen.text)


def _step(plan: Plan, control: Control, grounds: Grounds) -> Iterator[Guard]:
    if grounds.total == 1:  # an alias: it is one or the other
        return
    for change in plan.increases:
        if change.arm == control.stable:
            continue
        more = 100 * (change.after - (change.before or 0.0))
        said = f"{change.arm} {percent_text(change.before or 0.0)} -> {percent_text(change.after)}"
        if more > control.max_step + 1e-9:
            text = f"{said} is a step of {more:.3g} points; at most {control.max_step:g} at once"
            yield Guard("step", GuardVerdict.REFUSE, text)
        else:
            yield Guard("step", GuardVerdict.PASS, said)


def _cooldown(plan: Plan, control: Control, grounds: Grounds) -> Iterator[Guard]:
    last = grounds.last_increase
    if last is None or not any(c.arm != control.stable for c in plan.increases):
        return
    since = grounds.now - last
    if since < -control.cooldown:
        text = f"the last increase is dated {last:%Y-%m-%d %H:%M} UTC, so a clock is or was wrong"
        yield Guard("cooldown", GuardVerdict.WARN, text)
    elif since < control.cooldown:
        left = control.cooldown - since
        text = f"the last increase was {age_words(since)} ago; wait {age_words(left)} more"
        yield Guard("cooldown", GuardVerdict.REFUSE, text)
    else:
        yield Guard("cooldown", GuardVerdict.PASS, f"the last increase was {age_words(since)} ago")
