"""Keeps the fallback's rules: one look after another, in the recorder.

A look reads the plane, asks who is up, judges every rule and does what `rules.decide` says, through
the desk like everybody else. What it sees and does goes into the audit when it changes, not at
every look.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from collectors.errors import CollectorError
from console.analysis.sequences import rate_sequence
from console.control.audit import EntryKind
from console.control.desk import Desk
from console.control.errors import AuditError, ControlError, PlaneError
from console.control.evidence import Evidence, evidence_of
from console.control.fallback_state import FallbackState, fallback_of
from console.control.health import HealthChecks
from console.control.outcome import Outcome, Result
from console.control.plan import Purpose
from console.control.plane import Counts, Health, Observed
from console.control.rule_figures import Asks, Grounds, look_at, measured_over
from console.control.rules import (
    Act,
    Decision,
    Look,
    RuleVerdict,
    Scene,
    Watched,
    decide,
    in_service,
    watched,
)
from console.control.settings import FallbackSettings
from console.control.split import Split
from console.errors import ConsoleError

__all__ = ["FallbackKeeper", "arm_health"]

_SETTLED = timedelta(minutes=1)
"""How long a person must not have been needed until that is said."""

_SAID_AGAIN = timedelta(minutes=10)
"""After which the same is said once more."""

_FAILING = 0.5
"""A target of which surely more than this share of requests fails is as good as down."""

_FAILING_OVER = timedelta(minutes=1)


def arm_health(
    arms: Mapping[str, str], observed: Observed | None, own: Mapping[str, tuple[Health, str]]
) -> dict[str, tuple[Health, str]]:
    """Every arm's health: the worse of what the plane says and what its own address answers."""
    found = {}
    for arm in arms:
        told = next((h for h in observed.health if h.arm == arm), None) if observed else None
        asked = own.get(arm)
        if asked is not None and asked[0] is not Health.UP:
            found[arm] = asked
        elif told is not None and told.health is not Health.UNKNOWN:
            found[arm] = told.health, told.detail
        else:
            found[arm] = asked or (Health.UNKNOWN, told.detail if told else "")
    return found


def _split(observed: Observed | None) -> Split | None:
    """The split of all replicas that answer: one that is dead must not stand in the way."""
    if observed is None or observed.differs or not observed.known:
        return None
    return observed.known[0].weights


def _key(decision: Decision) -> str:
    return f"{decision.act.value} {decision.target} {decision.rule}"


class FallbackKeeper:
    """The rules of one deployment, on one thread. stopped: whether to end waiting for proof."""

    def __init__(
        self,
        desk: Desk,
        settings: FallbackSettings,
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._desk, self._settings, self._stopped = desk, settings, stopped
        control = desk.control
        self._checks = HealthChecks(control.health, control.plane.timeout.total_seconds())
        self._seen = Watched()
        self._counts: deque[Counts] = deque()
        self._longest = max((r.window for r in settings.rule), default=_FAILING_OVER)
        self._armed = False
        self._needed_at: datetime | None = None
        self._said: dict[str, datetime] = {}

    def tick(self, asks: Asks | None, now: datetime) -> tuple[str, ...]:
        """One look; sentences of what is new. Nothing that is expected is raised."""
        try:
            found = tuple(self._looked(asks, now))
        except (ControlError, ValueError) as error:
            found = ((str(error), str(error)),)
        # figures in a sentence change at every look: what it is about tells whether it is new
        said = [text for key, text in found if self._is_new(key, now)]
        return tuple(f"fallback of {self._desk.deployment}: {text}" for text in said)

    def _is_new(self, key: str, now: datetime) -> bool:
        """Whether something was not said for a while."""
        self._said = {k: at for k, at in self._said.items() if abs(now - at) < _SAID_AGAIN}
        return self._said.setdefault(key, now) is now

    def _looked(self, asks: Asks | None, now: datetime) -> Iterator[tuple[str, str]]:
        """What is to be said: what it is about, and the sentence."""
        desk = self._desk
        if not self._armed:
            self._tell(now, "armed", why=self._terms())
            self._armed = True
        observed, problem = self._read()
        state = fallback_of(desk.audit.entries(), desk.deployment)
        split = _split(observed)
        self._count(observed, now)
        on = state.on if split is not None and split.taking == (state.on,) else ""
        health = arm_health(desk.control.arms, observed, self._checks.ask())
        if on:
            health[on] = self._failing(on, now) or health[on]
        of = state.before if on and state.before is not None else split
        arm = in_service(of, desk.control.stable) if of is not None else desk.control.stable
        grounds = Grounds(arm, desk.control.arms.get(arm, arm), asks, self._counts, now)
        looks = look_at(self._settings.rule, grounds)
        self._seen = watched(self._seen, looks, health, now)
        self._note(state, looks, now)
        if problem:
            yield problem, problem
            return
        scene = Scene(
            state=state,
            settings=self._settings,
            seen=self._seen,
            looks=looks,
            health=health,
            split=split,
            stable=desk.control.stable,
            now=now,
            refused=desk.refused,
        )
        decision = decide(scene)
        self._person(state, decision, now)
        if decision.act in (Act.PERSON, Act.TELL):
            yield _key(decision), "; ".join(decision.why)
        if decision.changes:
            done = self._do(state, decision, asks)
            yield done, done

    def _terms(self) -> str:
        rules = len(self._settings.rule)
        act = self._settings.automatic and not self._desk.refused
        return f"rules watched from now on: {rules}; they {'act' if act else 'only tell'}"

    # -- seeing ------------------------------------------------------------------------------------

    def _read(self) -> tuple[Observed | None, str]:
        try:
            return self._desk.look(), ""
        except PlaneError as error:
            return None, str(error)

    def _count(self, observed: Observed | None, now: datetime) -> None:
        """Keep the plane's counts for as long as a rule looks back."""
        try:
            counts = self._desk.plane.counts() if observed is not None else None
        except PlaneError:
            counts = None
        if counts is not None:
            self._counts.append(counts)
        while self._counts and self._counts[0].at < now - self._longest - _FAILING_OVER:
            self._counts.popleft()

    def _failing(self, arm: str, now: datetime) -> tuple[Health, str] | None:
        """That requests to an arm surely fail, whatever its address answers."""
        measured = measured_over(tuple(self._counts), now, _FAILING_OVER)
        errors = measured.errors(arm) if measured is not None else None
        if measured is None or errors is None or not measured.of(arm):
            return None
        n = measured.of(arm)
        if rate_sequence(min(errors, n), n)[0] <= _FAILING:
            return None
        return Health.DOWN, f"{errors:,} of {n:,} requests failed"

    # -- telling -----------------------------------------------------------------------------------

    def _note(self, state: FallbackState, looks: tuple[Look, ...], now: datetime) -> None:
        """Into the audit: a rule that is broken for its time, and one that is kept again."""
        for look in looks:
            broken = self._seen.lasted(look.key, RuleVerdict.BROKEN, now)
            kept = self._seen.lasted(look.key, RuleVerdict.KEPT, now)
            told = look.key in state.told
            if not told and broken is not None and broken >= look.rule.lasting:
                self._tell(now, "broken", rule=look.key, why=look.why)
            elif told and kept is not None and kept >= look.rule.lasting:
                self._tell(now, "kept", rule=look.key, why=look.why)

    def _person(self, state: FallbackState, decision: Decision, now: datetime) -> None:
        """Into the audit: that a person is needed, once, and that none is any longer."""
        needed = decision.act is Act.PERSON or (decision.act is Act.TELL and not decision.rule)
        if needed:
            self._needed_at = now
            key = _key(decision)
            if state.person_key != key:
                self._tell(
                    now,
                    "limited",
                    target=decision.target,
                    rule=decision.rule,
                    why="; ".join(decision.why),
                    key=key,
                )
        elif state.person and (self._needed_at is None or now - self._needed_at >= _SETTLED):
            self._tell(now, "kept", why="nobody is needed any longer")

    def _tell(self, now: datetime, event: str, *, change: str = "", **fields: Any) -> None:
        desk = self._desk
        entry = {"event": event, "target": "", "rule": "", "why": "", **fields}
        desk.audit.append(now, EntryKind.FALLBACK, desk.deployment, change, desk.who, entry)

    # -- doing -------------------------------------------------------------------------------------

    def _do(self, state: FallbackState, decision: Decision, asks: Asks | None) -> str:
        desk, why = self._desk, "; ".join(decision.why)
        reason = f"rule: {decision.rule}: {why}" if decision.rule else f"by rule: {why}"
        match decision.act:
            case Act.RETURN:
                purpose, percent = Purpose.RETURN, None
            case Act.BACK:
                purpose, percent = Purpose.ROLLBACK, None
            case _:
                purpose, percent = Purpose.FALLBACK, {decision.target: Fraction(100)}
        proposal = desk.propose(purpose, percent, reason, self._evidence(asks))
        outcome = desk.act(proposal, desk.deployment, stopped=self._stopped)
        if outcome.changed:
            self._changed(state, decision, outcome)
        where = f" {decision.target}" if decision.target else ""
        return f"{why}; {decision.act.value}{where}: {outcome.result.value}: {outcome.text}"

    def _changed(self, state: FallbackState, decision: Decision, outcome: Outcome) -> None:
        now, change = self._desk.clock(), outcome.plan.id
        why = "; ".join(decision.why)
        try:
            if decision.act is not Act.ENTER:
                self._tell(now, "left", change=change, target=state.on, why=why)
            if decision.act in (Act.ENTER, Act.NEXT):
                rule = decision.rule or state.rule
                self._tell(
                    now, "entered", change=change, target=decision.target, rule=rule, why=why
                )
            if outcome.result in (Result.PARTIAL, Result.UNKNOWN):
                self._needed_at = now
                said = f"{outcome.text}; {outcome.todo}"
                self._tell(now, "limited", change=change, why=said, key=f"outcome {change}")
        except AuditError:
            return  # the change itself has its intent, and the next look sees it

    def _evidence(self, asks: Asks | None) -> Evidence | None:
        """What is known, for the audit and for who gets more; None where it cannot be asked."""
        if asks is None:
            return None
        try:
            return evidence_of(*asks(self._longest), self._desk.control)
        except (CollectorError, ConsoleError):
            return None
