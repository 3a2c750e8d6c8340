"""When to fall back, and when to return: decided by rules. Pure.

What has happened is folded from the audit (`FallbackState`); what was seen at the looks since this
process began to look is folded look by look (`Watched`). A new process begins to look anew: a rule
that was broken before it started must be broken for its whole time again, since nobody looked in
between.

    enter    a rule surely broken at every look for its `for`, a target that is up
    next     the target that is used is surely down: the next one, else all to the stable arm
    return   all rules surely kept at every look for `hold`, where that is wanted
    person   what would be done must not be, or cannot: somebody has to look

Unknown never triggers anything. Changes that figures cause are never more than `most` in `within`,
and the last one that is left is kept for falling back: nothing returns by itself to where it could
not fall back from. Leaving a target that is down is not held up by that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from collectors.durations import written_duration
from console.analysis.estimate import Estimate
from console.control.fallback_state import FallbackState
from console.control.plane import Health
from console.control.settings import FallbackRule, FallbackSettings
from console.control.split import Split
from console.views.words import age as age_words

__all__ = [
    "DEAD_LOOKS",
    "Act",
    "Decision",
    "Look",
    "RuleVerdict",
    "Scene",
    "Watched",
    "decide",
    "in_service",
    "rule_words",
    "watched",
]

DEAD_LOOKS = 3
"""Looks in a row at which a target in use must be down until it is left; one may be an accident."""

_BLIND = timedelta(minutes=2)
"""Between two looks: after longer than that, what was seen before them counts for nothing."""

_FIRST_REST = timedelta(seconds=30)
_LONGEST_REST = timedelta(minutes=15)
"""After changes that were refused, before the next try: doubling from the first to the longest."""

Told = tuple[Health, str]


class RuleVerdict(StrEnum):
    """What a look says of a rule."""

    BROKEN = "broken"
    """The whole interval is beyond the limit."""
    KEPT = "kept"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Look:
    """One rule at one look. why: a sentence: the figure and where from, or what is missing."""

    rule: FallbackRule
    verdict: RuleVerdict
    estimate: Estimate
    why: str

    @property
    def key(self) -> str:
        """The rule in words, which tells it from the others."""
        return rule_words(self.rule)


def rule_words(rule: FallbackRule) -> str:
    """Like "error_rate above 0.05 for 2m"."""
    side, limit = ("above", rule.above) if rule.above is not None else ("below", rule.below)
    return f"{rule.figure} {side} {limit:g} for {written_duration(rule.lasting)}"


# -- what was seen ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """The same again and again: what, since when, at how many looks."""

    what: str
    since: datetime
    looks: int = 1

    def again(self, what: str, now: datetime) -> Seen:
        """With one more look."""
        return replace(self, looks=self.looks + 1) if what == self.what else Seen(what, now)


@dataclass(frozen=True, slots=True)
class Watched:
    """What looks have seen, without a gap. at: the last look. rules, arms: by key."""

    at: datetime | None = None
    rules: Mapping[str, Seen] = field(default_factory=dict)
    arms: Mapping[str, Seen] = field(default_factory=dict)

    def lasted(self, rule: str, verdict: RuleVerdict, now: datetime) -> timedelta | None:
        """How long a rule has had this verdict; None when it has another."""
        seen = self.rules.get(rule)
        return now - seen.since if seen is not None and seen.what == verdict.value else None

    def up(self, arm: str, now: datetime) -> timedelta | None:
        """How long an arm has been up; None when it is not."""
        seen = self.arms.get(arm)
        return now - seen.since if seen is not None and seen.what == Health.UP.value else None

    def is_dead(self, arm: str) -> bool:
        """Whether an arm was down often enough."""
        seen = self.arms.get(arm)
        return seen is not None and seen.what == Health.DOWN.value and seen.looks >= DEAD_LOOKS


def watched(
    before: Watched, looks: Iterable[Look], health: Mapping[str, Told], now: datetime
) -> Watched:
    """One look more. After a gap, or when the clock went back, all begins anew."""
    whole = before.at is not None and timedelta(0) <= now - before.at <= _BLIND
    rules, arms = (before.rules, before.arms) if whole else ({}, {})
    return Watched(
        now,
        {k.key: _more(rules.get(k.key), k.verdict.value, now) for k in looks},
        {arm: _more(arms.get(arm), told[0].value, now) for arm, told in health.items()},
    )


def _more(seen: Seen | None, what: str, now: datetime) -> Seen:
    return Seen(what, now) if seen is None else seen.again(what, now)


def in_service(split: Split, stable: str) -> str:
    """The arm that rules are about: with the most traffic, of equals the stable one."""
    return max(split.taking, key=lambda arm: (split.weight(arm), arm == stable), default=stable)


# -- what to do ------------------------------------------------------------------------------------


class Act(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    ENTER = "enter"
    NEXT = "next"
    """From a target that is down to the next one."""
    BACK = "back"
    """From a target that is down to the stable arm, as no other target is up."""
    RETURN = "return"
    TELL = "tell"
    """A rule is broken, and rules only tell."""
    PERSON = "person"
    """What would be done must not be, or cannot."""


@dataclass(frozen=True, slots=True)
class Decision:
    """target: the arm, "" for none. rule: in words, "" for none. why: sentences."""

    act: Act
    why: tuple[str, ...]
    target: str = ""
    rule: str = ""

    @property
    def changes(self) -> bool:
        """Whether traffic is to be moved."""
        return self.act in (Act.ENTER, Act.NEXT, Act.BACK, Act.RETURN)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a decision rests on, at `now`. split: as it is now on all replicas that answered; None
    where they differ. health: of every arm. refused: why nothing may be changed here; "" if it may.
    """

    state: FallbackState
    settings: FallbackSettings
    seen: Watched
    looks: tuple[Look, ...]
    health: Mapping[str, Told]
    split: Split | None
    stable: str
    now: datetime
    refused: str = ""

    @property
    def acts(self) -> bool:
        """Whether rules may change something."""
        return self.settings.automatic and not self.refused

    def is_up(self, arm: str) -> bool:
        """Whether an arm is known to be up."""
        return self.health.get(arm, (Health.UNKNOWN, ""))[0] is Health.UP


def decide(scene: Scene) -> Decision:
    """What to do now, and why."""
    state, split = scene.state, scene.split
    if split is None:
        told = "replicas split traffic differently; complete or undo the last change"
        return Decision(Act.PERSON, (told,))
    if state.on and split.taking == (state.on,):
        decision = _on_fallback(scene)
    else:
        decision = _in_service(scene, split)
    if decision.changes and (rest := _rest(state, scene.now)) is not None:
        why = f"the last {state.refused} tries were refused; the next is in {age_words(rest)}"
        return Decision(Act.PERSON, (*decision.why, why), decision.target, decision.rule)
    return decision


def _in_service(scene: Scene, split: Split) -> Decision:
    """Not on the fallback: is there a rule that leads there?"""
    settings, now = scene.settings, scene.now
    broken = [k for k in scene.looks if _lasts(scene, k)]
    if not broken:
        why = tuple(k.why for k in scene.looks if k.verdict is not RuleVerdict.KEPT)
        return Decision(Act.NOTHING, why or ("all rules are kept",))
    rule, why = broken[0].key, tuple(k.why for k in broken)
    if not scene.acts:
        told = scene.refused or "rules only tell here (`automatic` is false)"
        return Decision(Act.TELL, (*why, told), rule=rule)
    used = scene.state.used(settings, now)
    if used >= settings.most:
        told = f"{used} changes by rules in {age_words(settings.within)} are as many as may be"
        return Decision(Act.PERSON, (*why, told), rule=rule)
    target, skipped = _target(scene, split.taking)
    if not target:
        return Decision(Act.PERSON, (*why, *skipped, "there is no fallback to go to"), rule=rule)
    return Decision(Act.ENTER, (*why, *skipped), target, rule)


def _lasts(scene: Scene, look: Look) -> bool:
    lasted = scene.seen.lasted(look.key, RuleVerdict.BROKEN, scene.now)
    return lasted is not None and lasted >= look.rule.lasting


def _target(scene: Scene, taking: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The most wanted target that is up, and why others are passed over."""
    skipped: list[str] = []
    for target in scene.settings.target:
        if taking == (target.arm,):
            skipped.append(f"{target.arm} has all traffic already")
            continue
        if scene.is_up(target.arm):
            return target.arm, tuple(skipped)
        health, detail = scene.health.get(target.arm, (Health.UNKNOWN, ""))
        if health is Health.UNKNOWN and not detail:
            detail = "give its address in [control.health]"
        skipped.append(f"{target.arm} is {health.value}{f' ({detail})' if detail else ''}")
    return "", tuple(skipped)


def _on_fallback(scene: Scene) -> Decision:
    on = scene.state.on
    if scene.seen.is_dead(on):
        return _off_the_dead(scene, on)
    return _return(scene)


def _off_the_dead(scene: Scene, on: str) -> Decision:
    detail = scene.health.get(on, (Health.DOWN, ""))[1]
    why = f"the fallback {on} is down{f' ({detail})' if detail else ''}"
    target, skipped = _target(scene, (on,))
    stable = scene.stable
    skipped = tuple(text for text in skipped if not text.startswith(f"{on} has all"))
    back = stable != on and scene.is_up(stable)
    if not scene.acts:
        where = target or (stable if back else "")
        told = scene.refused or "rules only tell here (`automatic` is false)"
        then = f"{where} is up" if where else "nothing else is up"
        return Decision(Act.TELL, (why, *skipped, then, told), where)
    if target:
        return Decision(Act.NEXT, (why, *skipped), target)
    if back:
        told = f"no other fallback is up, but {stable} is"
        return Decision(Act.BACK, (why, *skipped, told), stable)
    return Decision(Act.PERSON, (why, *skipped, f"{stable} is not known to be up either"), "")


def _return(scene: Scene) -> Decision:
    state, settings, now = scene.state, scene.settings, scene.now
    waits = tuple(_waits(scene))
    if waits:
        return Decision(Act.NOTHING, waits)
    used = state.used(settings, now)
    if used + 1 >= settings.most:
        told = (
            f"all rules are kept, but {used} of {settings.most} changes in "
            f"{age_words(settings.within)} are used, and the last one is kept for falling back"
        )
        return Decision(Act.PERSON, (told,))
    told = f"all rules have been kept for {age_words(settings.hold)}"
    return Decision(Act.RETURN, (told,), target=scene.stable)


def _waits(scene: Scene) -> Iterator[str]:
    """Why it does not return by itself; nothing when it should."""
    state, settings, now = scene.state, scene.settings, scene.now
    if not state.by_rule:
        yield f"{state.by or 'a person'} fell back, so a person returns"
    elif not settings.return_automatically:
        yield "returning is a person's (`return_automatically` is false)"
    elif not scene.acts:
        yield scene.refused or "rules only tell here (`automatic` is false)"
    elif state.before is None:
        yield "the audit does not say what was before the fallback"
    else:
        if state.since is None or now - state.since < settings.hold:
            yield f"it stays on the fallback for {age_words(settings.hold)} at least"
        for look in scene.looks:
            kept = scene.seen.lasted(look.key, RuleVerdict.KEPT, now)
            if kept is None:
                yield look.why
            elif kept < settings.hold:
                yield f"{look.key}: kept for {age_words(kept)} of {age_words(settings.hold)}"
        for arm in state.before.taking:
            up = scene.seen.up(arm, now)
            if up is None or up < settings.hold:
                yield f"{arm} has not been up for {age_words(settings.hold)}"
        if not scene.looks:
            yield "there is no rule that says when to return"


def _rest(state: FallbackState, now: datetime) -> timedelta | None:
    """How long to leave it after tries that were refused; None when it may be tried."""
    if not state.refused or state.refused_at is None or now < state.refused_at:
        return None
    rest = min(_FIRST_REST * 2 ** min(state.refused - 1, 10), _LONGEST_REST)
    left = rest - (now - state.refused_at)
    return left if left > timedelta(0) else None
