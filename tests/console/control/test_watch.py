"""How traffic stands, look by look: what is late, locked, measured, desired."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from memory_plane import MemoryPlane

from console.control import hands as hands_module
from console.control.audit import Audit
from console.control.desk import Desk, Pace
from console.control.hands import Hands, why_read_only
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.settings import Control
from console.control.split import Split
from console.control.watch import Watch
from console.control.who import who

NAME = "flights"
ARMS = {"v1": "v1", "v2": "v2"}


def control(**more) -> Control:
    plane = {"kind": "envoy", "admin": ["http://127.0.0.1:1"], "prefix": "x"}
    return Control.model_validate({"plane": plane, "arms": ARMS, "stable": "v1", **more})


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self.now.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def audit(tmp_path) -> Audit:
    return Audit(tmp_path / "audit.jsonl")


@pytest.fixture
def desk_of(audit, clock):
    def made(plane: MemoryPlane) -> Desk:
        pace = Pace(sleep=clock.sleep, monotonic=clock.monotonic)
        by = who("command", os.environ)
        return Desk(NAME, control(), plane, audit, by, refused="", clock=clock, pace=pace)

    return made


def watch_of(plane: MemoryPlane, audit: Audit, clock: Clock) -> Watch:
    return Watch(NAME, control(), plane, audit, refused="", clock=clock)


def test_what_was_asked_for_is_desired_and_nothing_is_late(desk_of, audit, clock):
    plane = MemoryPlane({"v1": 50, "v2": 50}, traffic=100)
    desk = desk_of(plane)
    outcome = desk.act(desk.propose(Purpose.ROLLBACK, None, "slow", None), NAME)
    state = watch_of(plane, audit, clock).look()
    assert state.desired.split == Split.of({"v1": 100, "v2": 0})
    assert (state.desired.change, state.desired.how) == (outcome.plan.id, "applied")
    assert (state.late, state.locked, state.unresolved) == ("", False, ())
    assert state.recent[0].fields["outcome"] == "applied"


def test_a_request_that_arrives_after_it_was_undone_is_said(desk_of, audit, clock):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=100, swap=False)
    desk = desk_of(plane)
    plane.replicas[0].takes = "late"
    whole = {"v2": Fraction(100)}
    lost = desk.act(desk.propose(Purpose.FALLBACK, whole, "", None), NAME)
    assert lost.result is Result.UNKNOWN
    plane.replicas[0].takes = ""
    undone = desk.act(desk.propose(Purpose.UNDO, None, "", None), NAME)
    assert undone.result is Result.APPLIED
    watch = watch_of(plane, audit, clock)
    assert not watch.look().late
    plane.arrive()
    late = watch.look().late
    assert late.startswith(f"{lost.plan.id} has arrived after it was given up")
    assert undone.plan.id in late


def test_a_restart_of_the_proxy_is_said(desk_of, audit, clock):
    plane = MemoryPlane({"v1": 50, "v2": 50}, traffic=100)
    desk = desk_of(plane)
    desk.act(desk.propose(Purpose.ROLLBACK, None, "", None), NAME)
    watch = watch_of(plane, audit, clock)
    plane.restart({"v1": 50, "v2": 50})
    assert "restarted, or changed elsewhere" in watch.look().late


def test_an_unreachable_plane_keeps_what_was_known_and_its_age(audit, clock):
    plane = MemoryPlane({"v1": 50, "v2": 50}, traffic=100)
    watch = watch_of(plane, audit, clock)
    first = watch.look()
    plane.replicas[0].down = True
    clock.sleep(300)
    state = watch.look()
    assert state.locked
    assert "cannot be reached" in state.problem
    assert state.observed == first.observed
    assert state.measured is None


def test_the_measured_split_is_of_the_last_minute(audit, clock, monkeypatch):
    plane = MemoryPlane({"v1": 50, "v2": 50})
    watch = watch_of(plane, audit, clock)
    stamped = plane.counts

    def counts():
        return replace(stamped(), at=clock.now)

    monkeypatch.setattr(plane, "counts", counts)
    for step in range(40):
        plane.serve(10)
        if step == 30:
            plane.replicas[0].set(Split.of({"v1": 0, "v2": 100}), "c")
        state = watch.look()
        clock.sleep(5)
    assert state.measured.n == 90  # 9 looks of 10 since it changed
    assert state.measured.of("v1") == 0
    for _ in range(20):
        plane.serve(10)
        state = watch.look()
        clock.sleep(5)
    assert state.measured.n == 120  # 12 steps of 5 s
    clock.sleep(600)
    monkeypatch.setattr(plane, "counts", lambda: None)
    assert watch.look().measured is None


def test_an_intent_without_a_result_is_shown(desk_of, audit, clock):
    plane = MemoryPlane({"v1": 50, "v2": 50})
    desk = desk_of(plane)
    proposal = desk.propose(Purpose.ROLLBACK, None, "", None)

    def killed() -> None:
        raise KeyboardInterrupt

    plane.before_apply = killed
    with pytest.raises(KeyboardInterrupt):
        desk.act(proposal, NAME)
    state = watch_of(plane, audit, clock).look()
    assert [e.change for e in state.unresolved] == [proposal.plan.id]


def test_read_only_says_how_to_change_that():
    assert "--write" in why_read_only(control(), False)
    assert why_read_only(control(), True) == ""
    assert why_read_only(control(write=True), False) == ""


def test_hands_look_plan_and_act_on_threads_of_their_own(audit, monkeypatch):
    plane = MemoryPlane({"v1": 50, "v2": 50}, traffic=400)
    monkeypatch.setattr(hands_module, "make_plane", lambda *_: plane)
    hands = Hands({NAME: control(poll="1s")}, audit.path.parent, audit,
                  who("console", os.environ), write=True)  # fmt: skip
    seen, planned, acted = threading.Event(), threading.Event(), threading.Event()
    found: list[object] = []
    hands.start(seen.set)
    try:
        assert seen.wait(10)
        assert hands.state(NAME).observed.split == Split.of({"v1": 50, "v2": 50})

        def on_plan(made):
            found.append(made)
            planned.set()

        def on_outcome(outcome):
            found.append(outcome)
            acted.set()

        hands.propose(NAME, Purpose.ROLLBACK, None, "slow", None, on_plan)
        assert planned.wait(10)
        hands.act(found[0], NAME, lambda _: None, on_outcome)
        assert acted.wait(30)
    finally:
        hands.close()
    assert found[1].result is Result.APPLIED, found[1].text
    assert not hands.acting


def test_hands_that_close_leave_a_result_behind(audit, monkeypatch):
    plane = MemoryPlane({"v1": 50, "v2": 50}, traffic=0)  # nothing would ever prove it
    monkeypatch.setattr(hands_module, "make_plane", lambda *_: plane)
    hands = Hands({NAME: control()}, audit.path.parent, audit,
                  who("console", os.environ), write=True)  # fmt: skip
    planned, waiting = threading.Event(), threading.Event()
    found: list[object] = []

    def on_plan(made):
        found.append(made)
        planned.set()

    hands.propose(NAME, Purpose.ROLLBACK, None, "slow", None, on_plan)
    assert planned.wait(10)
    hands.act(found[0], NAME, lambda text: text.startswith("measured") and waiting.set(),
              found.append)  # fmt: skip
    assert waiting.wait(30)
    hands.close()
    assert found[1].result is Result.NOT_VERIFIED
    assert audit.entries()[-1].fields["outcome"] == "not verified"
