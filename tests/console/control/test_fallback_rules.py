"""When rules fall back and when they return: for any course of figures and healths."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.analysis.estimate import State, missing
from console.control.entries import Entry, EntryKind
from console.control.fallback_state import fallback_of, fallback_words
from console.control.plane import Health
from console.control.rules import (
    Act,
    Look,
    RuleVerdict,
    Scene,
    Watched,
    decide,
    in_service,
    rule_words,
    watched,
)
from console.control.settings import Control, FallbackRule, FallbackSettings
from console.control.split import Split
from console.control.who import Who

NAME, START = "flights", datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
RECORDER = Who("ops", "host", "", "recorder")
PERSON = Who("mei", "host", "", "command")
ARMS = ("v1", "v2", "old", "static")
PRIMARY = Split.of({"v1": 80, "v2": 20, "old": 0, "static": 0})


def rules(**more) -> FallbackSettings:
    return FallbackSettings.model_validate(
        {
            "target": [{"arm": "old"}, {"arm": "static"}],
            "rule": [
                {"figure": "error_rate", "above": 0.05, "for": "2m"},
                {"figure": "latency_p95", "above": 300, "for": "1m"},
            ],
            "automatic": True,
            "hold": "5m",
            "return_automatically": True,
            "most": 3,
            "within": "1h",
            **more,
        }
    )


def looks(settings: FallbackSettings, *verdicts: str) -> tuple[Look, ...]:
    return tuple(
        Look(rule, RuleVerdict(v), missing(State.CANNOT_TELL), f"{rule.figure} is {v}")
        for rule, v in zip(settings.rule, verdicts, strict=True)
    )


def healthy(**other: Health) -> dict[str, tuple[Health, str]]:
    return {arm: (other.get(arm, Health.UP), "") for arm in ARMS}


class World:
    """A plane and an audit as far as rules see them, without any I/O."""

    def __init__(self, of: FallbackSettings, split: Split = PRIMARY) -> None:
        self.settings, self.split, self.now = of, split, START
        self.entries: list[Entry] = []
        self.seen = Watched()
        self.refused = ""

    def write(self, kind: EntryKind, change: str, who: Who = RECORDER, **fields) -> None:
        n = len(self.entries) + 1
        self.entries.append(Entry(n, self.now, kind, NAME, change, who, fields, "", ""))

    def changed(self, purpose: str, after: Split, outcome: str, who: Who = RECORDER) -> None:
        change = f"c-{len(self.entries)}"
        before = dict(self.split.weights)
        fields = {"purpose": purpose, "before": before, "after": dict(after.weights)}
        self.write(EntryKind.INTENT, change, who, **fields)
        self.write(EntryKind.RESULT, change, who, outcome=outcome)
        if outcome != "refused":
            self.split = after

    def look(self, verdicts, health, *, split: Split | None = None):
        found = looks(self.settings, *verdicts)
        self.seen = watched(self.seen, found, health, self.now)
        scene = Scene(
            fallback_of(self.entries, NAME),
            self.settings,
            self.seen,
            found,
            health,
            self.split if split is None else split,
            "v1",
            self.now,
            self.refused,
        )
        return scene, decide(scene)

    def do(self, decision, outcome: str = "applied") -> None:
        if decision.act in (Act.ENTER, Act.NEXT):
            self.changed("fallback", whole(decision.target), outcome)
        elif decision.act is Act.BACK:
            self.changed("rollback", whole("v1"), outcome)
        elif decision.act is Act.RETURN:
            before = fallback_of(self.entries, NAME).before
            assert before is not None
            self.changed("return", before, outcome)

    def after(self, **length) -> None:
        self.now += timedelta(**length)


def whole(arm: str) -> Split:
    return Split.of({a: 100 if a == arm else 0 for a in ARMS})


# -- entering --------------------------------------------------------------------------------------


def test_enters_when_a_rule_was_surely_broken_for_its_time():
    w = World(rules())
    for _ in range(4):
        _, decision = w.look(("broken", "kept"), healthy())
        assert decision.act is Act.NOTHING
        w.after(seconds=30)
    _, decision = w.look(("broken", "kept"), healthy())
    assert (decision.act, decision.target) == (Act.ENTER, "old")
    assert decision.rule == "error_rate above 0.05 for 2m"


def test_one_look_that_cannot_tell_begins_anew():
    w = World(rules())
    for verdict in ("broken", "broken", "unknown", "broken", "broken", "broken", "broken"):
        _, decision = w.look((verdict, "kept"), healthy())
        assert decision.act is Act.NOTHING
        w.after(seconds=30)
    assert w.look(("broken", "kept"), healthy())[1].act is Act.ENTER


def test_what_nobody_looked_at_counts_for_nothing():
    w = World(rules())
    w.look(("broken", "kept"), healthy())
    w.after(minutes=10)  # the recorder slept
    assert w.look(("broken", "kept"), healthy())[1].act is Act.NOTHING


def test_a_clock_that_goes_back_begins_anew():
    w = World(rules())
    w.look(("broken", "kept"), healthy())
    w.after(minutes=-5)
    assert w.look(("broken", "kept"), healthy())[1].act is Act.NOTHING


def broken_long(w: World, health) -> object:
    for _ in range(5):
        _, decision = w.look(("broken", "kept"), health)
        w.after(seconds=30)
    return decision


def test_a_target_that_is_down_is_passed_over():
    decision = broken_long(World(rules()), healthy(old=Health.DOWN))
    assert (decision.act, decision.target) == (Act.ENTER, "static")
    assert "old is down" in decision.why


def test_no_target_up_changes_nothing_and_asks_for_a_person():
    decision = broken_long(World(rules()), healthy(old=Health.DOWN, static=Health.UNKNOWN))
    assert decision.act is Act.PERSON
    assert "static is unknown (give its address in [control.health])" in decision.why


def test_rules_that_only_tell_only_tell():
    assert broken_long(World(rules(automatic=False)), healthy()).act is Act.TELL
    w = World(rules())
    w.refused = "this is read-only"
    decision = broken_long(w, healthy())
    assert decision.act is Act.TELL
    assert "this is read-only" in decision.why


def test_after_as_many_changes_as_may_be_a_person_is_needed():
    w = World(rules(most=1))
    w.do(broken_long(w, healthy()))
    w.changed("set", PRIMARY, "applied", PERSON)
    assert broken_long(w, healthy()).act is Act.PERSON
    w.after(hours=1)
    assert broken_long(w, healthy()).act is Act.ENTER


def test_refused_tries_rest_longer_and_longer():
    w = World(rules())
    tries = []
    for _ in range(400):
        _, decision = w.look(("broken", "broken"), healthy())
        if decision.act is Act.ENTER:
            tries.append(w.now)
            w.do(decision, "refused")
        w.after(seconds=15)
    rests = [(b - a).total_seconds() for a, b in pairwise(tries)]
    assert rests[:7] == [30, 60, 120, 240, 480, 900, 900]
    assert set(rests[7:]) == {900}


def test_replicas_that_differ_need_a_person():
    w = World(rules())
    scene, _ = w.look(("broken", "broken"), healthy())
    assert decide(replace(scene, split=None)).act is Act.PERSON


# -- on the fallback -------------------------------------------------------------------------------


def entered(**more) -> World:
    w = World(rules(**more))
    decision = broken_long(w, healthy())
    assert decision.act is Act.ENTER
    w.do(decision)
    return w


def test_one_bad_check_does_not_leave_a_target():
    w = entered()
    for health in ("old", None, "old", "old", None):
        down = {health: Health.DOWN} if health else {}
        assert w.look(("unknown", "unknown"), healthy(**down))[1].act is Act.NOTHING
        w.after(seconds=5)


def dead(w: World, **health: Health):
    for _ in range(3):
        _, decision = w.look(("unknown", "unknown"), healthy(**health))
        w.after(seconds=5)
    return decision


def test_a_dead_target_is_left_for_the_next():
    decision = dead(entered(), old=Health.DOWN)
    assert (decision.act, decision.target) == (Act.NEXT, "static")


def test_a_dead_target_is_left_even_when_no_change_is_left():
    decision = dead(entered(most=1), old=Health.DOWN)
    assert (decision.act, decision.target) == (Act.NEXT, "static")


def test_with_no_other_target_up_all_goes_back_to_stable():
    decision = dead(entered(), old=Health.DOWN, static=Health.DOWN)
    assert (decision.act, decision.target) == (Act.BACK, "v1")


def test_nothing_up_changes_nothing():
    decision = dead(entered(), old=Health.DOWN, static=Health.DOWN, v1=Health.UNKNOWN)
    assert decision.act is Act.PERSON
    assert decision.why[-1] == "v1 is not known to be up either"


def kept(w: World, minutes: int, verdicts=("kept", "kept"), **health: Health):
    for _ in range(minutes * 2 + 1):
        _, decision = w.look(verdicts, healthy(**health))
        w.after(seconds=30)
    return decision


def test_returns_when_all_rules_were_kept_for_hold():
    w = entered()
    w.look(("kept", "unknown"), healthy())
    w.after(minutes=1)
    assert kept(w, 4).act is Act.NOTHING  # the last of these looks is 4 min after the first
    for wanted in (Act.NOTHING, Act.RETURN):
        assert w.look(("kept", "kept"), healthy())[1].act is wanted
        w.after(seconds=30)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"return_automatically": False}, "returning is a person's"),
        ({"most": 2}, "the last one is kept for falling back"),
    ],
)
def test_stays_and_says_why(more, why):
    decision = kept(entered(**more), 10)
    assert not decision.changes
    assert why in " ".join(decision.why)


def test_unknown_never_returns():
    decision = kept(entered(), 10, ("kept", "unknown"))
    assert decision.act is Act.NOTHING
    assert decision.why == ("latency_p95 is unknown",)


def test_an_arm_that_is_not_up_is_not_returned_to():
    decision = kept(entered(), 10, v2=Health.DOWN)
    assert decision.act is Act.NOTHING
    assert decision.why == ("v2 has not been up for 5 min",)


def test_what_a_person_did_a_person_undoes():
    w = World(rules())
    w.changed("fallback", whole("old"), "applied", PERSON)
    decision = kept(w, 10)
    assert decision.act is Act.NOTHING
    assert "a person returns" in decision.why[0]


def test_undone_the_fallback_is_no_longer_on():
    w = entered()
    assert fallback_of(w.entries, NAME).on == "old"
    w.changed("undo", PRIMARY, "applied", PERSON)
    assert fallback_of(w.entries, NAME).on == ""


def test_words_say_how_it_stands():
    w = World(rules())
    said = fallback_words(fallback_of(w.entries, NAME), w.settings, w.now)
    assert said == "ready: old, then static; rules act, 0 of 3 changes in 60 min used"
    w = entered()
    w.write(EntryKind.FALLBACK, "", event="limited", why="nothing is up")
    said = fallback_words(fallback_of(w.entries, NAME), w.settings, w.now)
    assert said.startswith("on the fallback old since 21 Nov 03:02 UTC")
    assert said.endswith("a person is needed: nothing is up")


def test_rules_are_about_the_arm_with_the_most_traffic():
    assert in_service(PRIMARY, "v1") == "v1"
    assert in_service(Split.of({"v1": 10, "v2": 90}), "v1") == "v2"
    assert in_service(Split.of({"v2": 50, "v1": 50}), "v1") == "v1"


# -- any course ------------------------------------------------------------------------------------

VERDICTS = st.one_of(  # mostly all alike: courses that lead somewhere
    st.sampled_from([("broken", "broken"), ("kept", "kept")]),
    st.tuples(*2 * [st.sampled_from(["broken", "kept", "unknown"])]),
)
HEALTHS = st.one_of(
    st.just(dict.fromkeys(ARMS, Health.UP)),
    st.fixed_dictionaries({arm: st.sampled_from(list(Health)) for arm in ARMS}),
)
STRETCH = st.tuples(
    VERDICTS,
    HEALTHS,
    st.sampled_from([1, 5, 15, 30, 119, 121]),  # seconds between looks
    st.integers(1, 12),  # looks
    st.sampled_from(["applied", "applied", "not verified", "refused", "unknown"]),
    st.booleans(),  # a person moves traffic back first
)
QUICK = [
    {"figure": "error_rate", "above": 0.05, "for": "30s"},
    {"figure": "latency_p95", "above": 300, "for": "10s"},
]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(STRETCH, min_size=3, max_size=20),
    st.integers(1, 4),
    st.sampled_from(["20s", "1m"]),
    st.booleans(),
)
def test_any_course_of_figures_keeps_the_limits(course, most, hold, returns):
    w = World(rules(most=most, hold=hold, return_automatically=returns, rule=QUICK))
    history: list[tuple[datetime, tuple[str, ...], dict]] = []
    moved: list[datetime] = []
    for verdicts, states, pace, n, outcome, person in course:
        if person:
            w.changed("set", PRIMARY, "applied", PERSON)
        health = {arm: (h, "") for arm, h in states.items()}
        for _ in range(n):
            history.append((w.now, verdicts, states))
            scene, decision = w.look(verdicts, health)
            check(scene, decision, history, moved)
            if decision.changes:
                w.do(decision, outcome)
                if outcome != "refused" and decision.act is not Act.BACK:
                    moved.append(w.now)
            w.after(seconds=pace)


def check(scene: Scene, decision, history, moved) -> None:
    """What must hold of a decision, from all that was seen, counted anew."""
    of, now = scene.settings, scene.now
    recent = [at for at in moved if at > now - of.within]
    if decision.act in (Act.ENTER, Act.RETURN):
        assert len(recent) < of.most
    if decision.act is Act.ENTER:
        assert any(
            rule_words(rule) == decision.rule and ran(history, now, i, "broken") >= rule.lasting
            for i, rule in enumerate(of.rule)
        )
    if decision.act is Act.RETURN:
        assert all(ran(history, now, i, "kept") >= of.hold for i in range(len(of.rule)))
        assert len(recent) + 1 < of.most
    if decision.changes and decision.act is not Act.RETURN:
        assert scene.health[decision.target][0] is Health.UP
        assert scene.split.taking != (decision.target,)
    on = scene.state.on
    if on and scene.split.taking == (on,) and down(history, now, on) >= 3:
        up = [t.arm for t in of.target if t.arm != on and scene.health[t.arm][0] is Health.UP]
        resting = scene.state.refused > 0
        if up and not resting:
            assert (decision.act, decision.target) == (Act.NEXT, up[0])


def ran(history, now: datetime, rule: int, verdict: str) -> timedelta:
    """How long a rule had a verdict at every look, without a gap."""
    since, last = None, now
    for at, verdicts, _ in reversed(history):
        if last - at > timedelta(minutes=2) or verdicts[rule] != verdict:
            break
        since = last = at
    return now - since if since is not None else timedelta(-1)


def down(history, now: datetime, arm: str) -> int:
    """At how many looks in a row an arm was down."""
    n, last = 0, now
    for at, _, states in reversed(history):
        if last - at > timedelta(minutes=2) or states[arm] is not Health.DOWN:
            break
        n, last = n + 1, at
    return n


@given(st.lists(st.sampled_from(["kept", "unknown"]), min_size=1, max_size=40))
def test_never_enters_without_a_rule_surely_broken(course):
    w = World(rules())
    for verdict in course:
        assert w.look((verdict, verdict), healthy())[1].act is Act.NOTHING
        w.after(seconds=60)


def test_the_settings_take_what_the_docs_say():
    rule = FallbackRule.model_validate({"figure": "f1", "below": 0.3, "for": "10m"})
    assert rule_words(rule) == "f1 below 0.3 for 10m"


def test_the_configuration_of_the_page_loads():
    page = (Path(__file__).parents[3] / "docs" / "fallback.md").read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    found = [Control.model_validate(c) for c in tomllib.loads("\n".join(blocks))["control"]]
    assert found[0].fallback is not None
    assert [t.arm for t in found[0].fallback.target] == ["heuristic", "v1", "static"]
    assert [r.figure for r in found[0].fallback.rule][-1] == "f1"
