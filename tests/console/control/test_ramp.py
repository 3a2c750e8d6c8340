"""A staged rollout: what decides, what never happens, and that restarts change nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from memory_plane import MemoryPlane

import console.control.ramping as ramping
from console.analysis.comparison import Comparison, Verdict as Compared
from console.analysis.estimate import Estimate, IntervalKind
from console.control.audit import Audit, EntryKind
from console.control.desk import Desk, Pace
from console.control.evidence import ArmEvidence, Evidence
from console.control.plan import Purpose
from console.control.plane import Health
from console.control.ramp import Act, decide, plan_steps, rest_after
from console.control.ramp_checks import Sight
from console.control.ramp_state import Event, Phase, RampState, ramp_of, ramp_running, ramp_words
from console.control.ramping import Ramper, ramp_started, tell
from console.control.settings import Control
from console.control.split import Split
from console.control.who import who

NAME = "flights"
BEGIN = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def control(**more) -> Control:
    ramp = {"steps": [1, 5, 25, 50, 100], "pause": "10m", "least": 20, **more.pop("ramp", {})}
    return Control.model_validate({
        "plane": {"kind": "envoy", "admin": ["http://127.0.0.1:1"], "prefix": "x"},
        "arms": {"v1": "v1", "v2": "v2"},
        "stable": "v1",
        "least": 0,
        "ramp": ramp,
        **more,
    })  # fmt: skip


class World:
    """A plane, a clock that only waiting moves, figures of a store, and a recorder over them."""

    def __init__(self, folder: Path, **more) -> None:
        self.now = BEGIN
        self.plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=200)
        self.control = control(**more)
        self.audit = Audit(folder / "s.audit.jsonl")
        self.age = timedelta(seconds=5)
        self.data = True
        self.compared: tuple[Comparison, ...] = ()
        self.restart()

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def desk(self, program: str = "recorder") -> Desk:
        pace = Pace(sleep=self.sleep, monotonic=lambda: self.now.timestamp(), settle=1.0, look=1.0)
        return Desk(
            NAME, self.control, self.plane, self.audit, who(program, os.environ),
            refused="", clock=lambda: self.now, pace=pace,
        )  # fmt: skip

    def restart(self) -> None:
        """Another process, which knows the audit alone."""
        self.audit = Audit(self.audit.path)
        self.recorder = Ramper(self.desk())

    def evidence(self) -> Evidence:
        arms = (
            ArmEvidence("v1", "v1", 10_000, {}),
            ArmEvidence("v2", "v2", 10_000, {}, self.compared),
        )
        return Evidence(self.now, BEGIN, self.now, self.age, "f1", True, arms)

    def start(self, arm: str = "v2") -> None:
        desk = self.desk("command")
        steps = plan_steps(arm, self.control, desk.look(), self.plane.capabilities)
        proposal = desk.propose(Purpose.RAMP, {arm: steps[0]}, "new model", self.evidence())
        assert proposal.permitted, proposal.refusals
        outcome = desk.act(proposal, NAME)
        ramp_started(desk, arm, steps, outcome, self.evidence())

    def tick(self) -> tuple[str, ...]:
        since = (lambda _: (None, None)) if self.data else None
        return self.recorder.tick(since, self.now)

    def word(self, event: Event) -> None:
        state = self.state
        assert state is not None
        tell(self.desk("command"), state, event, why=f"{event.value} by hand")

    @property
    def state(self) -> RampState | None:
        return ramp_of(self.audit.entries(), NAME)

    @property
    def share(self) -> int:
        return self.plane.replicas[0].weights["v2"]

    @property
    def events(self) -> list[str]:
        kind = EntryKind.RAMP
        return [e.fields["event"] for e in self.audit.entries() if e.kind is kind]

    def ready(self) -> None:
        """The pause is over, and enough requests came."""
        self.plane.serve(5000)
        self.sleep(700)

    def until(self, phase: Phase, ticks: int = 200, minutes: float = 5) -> None:
        for _ in range(ticks):
            self.tick()
            if self.state.phase is phase:
                return
            self.sleep(60 * minutes)
        raise AssertionError(f"{self.state}: {self.events}")


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    """Figures of the store are the world's: `since` gives nothing to ask."""
    monkeypatch.setattr(ramping, "evidence_of", lambda taker, ask, control: CURRENT[0].evidence())
    monkeypatch.setattr(ramping, "_judged", lambda *a, **k: ())


CURRENT: list[World] = []


@pytest.fixture
def world(tmp_path):
    def made(**more) -> World:
        CURRENT[:] = [World(tmp_path, **more)]
        return CURRENT[0]

    return made


# -- the whole way ---------------------------------------------------------------------------------


def test_a_good_version_goes_all_the_way_one_step_after_the_other(world):
    w = world()
    w.start()
    w.until(Phase.DONE)
    after = [e.fields["after"]["v2"] for e in w.audit.entries() if e.kind is EntryKind.INTENT]
    assert after == [1, 5, 25, 50, 100]
    assert w.events[0] == "started" and w.events[-1] == "done"
    assert w.share == 100
    assert not w.audit.verify().why


def test_ticks_that_find_nothing_new_are_no_entries(world):
    w = world()
    w.start()
    n = len(w.audit.entries())
    for _ in range(50):
        w.tick()
    assert len(w.audit.entries()) <= n + 1  # that it waits for its pause


def test_the_pause_is_kept_by_the_clock_not_by_the_process(world):
    w = world()
    w.start()
    began = w.now
    while w.share == 1:
        w.restart()
        w.tick()
        w.sleep(30)
    assert w.now - began >= timedelta(minutes=10)


def test_a_version_that_fails_requests_is_rolled_back_by_itself(world):
    w = world()
    w.plane.error_rates = {"v1": 0.01, "v2": 0.3}
    w.start()
    w.until(Phase.ROLLED_BACK, minutes=0.1)
    assert w.share == 0
    failing = next(e for e in w.audit.entries() if e.fields.get("event") == "failing")
    assert "failed" in failing.fields["why"] and "surely more" in failing.fields["why"]
    assert failing.fields["evidence"]["requests"]["v2"][1] > 0


def test_errors_of_both_alike_are_no_reason(world):
    w = world()
    w.plane.error_rates = {"v1": 0.3, "v2": 0.3}
    w.start()
    w.until(Phase.DONE)


@pytest.mark.parametrize("phase", ["paused", "waits"])
def test_it_is_rolled_back_also_while_it_waits_for_somebody(world, phase):
    w = world()
    w.start()
    state = w.state
    if phase == "paused":
        w.word(Event.PAUSED)
    else:
        tell(w.desk(), state, Event.WAITS, person=True, key="patience")
        assert w.state.phase is Phase.PERSON
    w.plane.error_rates = {"v2": 0.5}
    w.until(Phase.ROLLED_BACK, minutes=0.1)
    assert w.share == 0


def test_no_data_is_no_increase_and_says_since_when(world):
    w = world()
    w.start()
    w.data = False
    for _ in range(20):
        w.tick()
        w.sleep(600)
    assert w.share == 1
    assert w.state.key == "store"
    w.data = True
    w.age = timedelta(hours=3)
    w.tick()
    assert w.share == 1 and w.state.key == "stale"
    w.age = timedelta(seconds=5)
    w.until(Phase.DONE)


def test_a_plane_that_cannot_be_read_is_waited_for(world):
    w = world()
    w.start()
    w.plane.replicas[0].down = True
    w.sleep(3600)
    w.tick()
    assert w.state.key == "plane" and w.state.phase is Phase.RUNNING
    w.plane.replicas[0].down = False
    w.until(Phase.DONE)


def test_too_few_requests_wait_and_then_want_a_person(world):
    w = world(ramp={"least": 10**9, "patience": "1h"})
    w.start()
    w.until(Phase.PERSON)
    assert w.share == 1
    w.word(Event.PROMOTED)
    w.tick()
    assert w.share == 5
    assert w.state.phase is Phase.RUNNING


def test_pause_and_resume(world):
    w = world()
    w.start()
    w.word(Event.PAUSED)
    w.sleep(3600)
    for _ in range(5):
        w.tick()
    assert w.share == 1
    w.word(Event.RESUMED)
    w.plane.serve(5000)
    w.tick()
    assert w.share == 5


def test_somebody_elses_change_ends_it_and_is_left_as_it_is(world):
    w = world()
    w.start()
    desk = w.desk("console")
    proposal = desk.propose(Purpose.ROLLBACK, None, "it smells", None)
    desk.act(proposal, NAME)
    w.plane.replicas[0].weights = {"v1": 90, "v2": 10}
    w.tick()
    assert w.state.phase is Phase.TAKEN_OVER
    assert proposal.plan.id in w.state.why
    w.sleep(7200)
    w.tick()
    assert w.share == 10


def test_a_restarted_proxy_ends_it_after_a_second_look(world):
    w = world()
    w.start()
    w.plane.restart({"v1": 60, "v2": 40})
    w.tick()
    assert w.state.phase is Phase.RUNNING
    w.tick()
    assert w.state.phase is Phase.TAKEN_OVER
    assert "restarted" in w.state.why
    assert w.share == 40


def test_another_change_is_refused_while_a_ramp_is_under_way(world):
    w = world()
    w.start()
    assert ramp_running(w.audit.entries(), NAME)
    proposal = w.desk("console").propose(
        Purpose.SET, {"v2": Fraction(20)}, "impatient", w.evidence()
    )
    assert any("ramp of v2 is under way" in text for text in proposal.refusals)


# -- faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("takes", ["lose", "drop", "refuse"])
def test_a_step_whose_answer_is_lost_is_made_once_or_again(world, takes):
    w = world()
    w.start()
    w.plane.replicas[0].takes = takes
    w.ready()
    w.tick()
    w.plane.replicas[0].takes = ""
    w.until(Phase.DONE)
    after = [c.after.weight("v2") for c in w.plane.applied]
    assert [a for n, a in enumerate(after) if not n or after[n - 1] != a] == [1, 5, 25, 50, 100]


def test_a_step_that_arrives_late_is_entered_with_a_whole_pause(world):
    w = world()
    w.start()
    w.plane.replicas[0].takes = "late"
    w.ready()
    w.tick()
    assert w.share == 1
    w.plane.replicas[0].takes = ""
    w.plane.arrive()
    w.tick()
    assert w.state.step == 1
    at = w.now
    w.restart()
    while w.share == 5:
        w.tick()
        w.sleep(20)
    assert w.now - at >= timedelta(minutes=10)


class Killed(BaseException):
    """As a process that is killed."""


@pytest.mark.parametrize("where", ["before", "after", "result"])
def test_killed_in_the_middle_of_a_step_it_goes_on(world, where, monkeypatch):
    w = world()
    w.start()
    w.ready()
    append, apply = Audit.append, MemoryPlane.apply

    def killed(self, at, kind, *rest, **more):
        if where == "result" and kind is EntryKind.RAMP:
            raise Killed
        if kind is EntryKind.RESULT and where != "result":
            raise Killed
        return append(self, at, kind, *rest, **more)

    def sent(self, change):
        if where == "before":
            raise Killed
        return apply(self, change)

    with monkeypatch.context() as m, pytest.raises(Killed):
        m.setattr(Audit, "append", killed)
        m.setattr(MemoryPlane, "apply", sent)
        w.tick()
    at = w.now
    w.restart()
    w.until(Phase.DONE, minutes=1)
    after = [c.after.weight("v2") for c in w.plane.applied]
    assert after == [1, 5, 25, 50, 100]
    assert w.now - at >= timedelta(minutes=40)  # four whole pauses
    assert not w.audit.unresolved()


def test_a_rollback_that_does_not_reach_zero_is_tried_again_with_longer_rests(world):
    w = world()
    w.start()
    w.plane.error_rates = {"v2": 0.6}
    w.plane.replicas[0].takes = "refuse"
    said = []
    for _ in range(600):
        said += w.tick()
        w.sleep(5)
        if "a person is needed" in w.state.why:
            break
    tries = [e for e in w.events if e == "tried"]
    assert len(tries) == 8
    assert w.state.phase is Phase.ROLLING_BACK
    assert any("NOT rolled back yet" in text for text in said)
    assert any("a person is needed now" in text for text in said)
    w.plane.replicas[0].takes = ""
    w.word(Event.ABORTING)  # a person's abort tries at once
    w.until(Phase.ABORTED, minutes=0.1)
    assert w.share == 0
    assert [rest_after(n).total_seconds() for n in range(9)] == [
        0, 5, 10, 20, 40, 80, 160, 300, 300,
    ]  # fmt: skip


def test_an_abort_that_comes_while_a_step_is_planned_wins(world):
    w = world()
    w.start()
    w.ready()
    desk = w.recorder._desk
    propose = desk.propose

    def aborted_meanwhile(*args, **more):
        made = propose(*args, **more)
        if made.plan.purpose is Purpose.RAMP:
            w.word(Event.ABORTING)
        return made

    desk.propose = aborted_meanwhile
    w.tick()
    assert w.share == 1
    del desk.propose
    w.until(Phase.ABORTED, minutes=0.1)
    assert w.share == 0
    assert 5 not in [c.after.weight("v2") for c in w.plane.applied]


def test_an_abort_by_a_command_that_died_is_carried_out_by_the_recorder(world):
    w = world()
    w.start()
    w.data = False
    w.word(Event.ABORTING)
    w.until(Phase.ABORTED, minutes=0.1)
    assert w.share == 0


def test_the_stable_arm_that_is_down_is_not_rolled_back_to_silently(world):
    w = world()
    w.start()
    w.plane.health["v1"] = Health.DOWN
    w.plane.error_rates = {"v2": 0.9}
    said = []
    for _ in range(10):
        said += w.tick()
        w.sleep(10)
    assert w.share == 1
    assert any("NOT rolled back" in text and "v1 is down" in text for text in said)


# -- what a step is judged on ----------------------------------------------------------------------


def compared(low: float, high: float, margin: float | None = None, metric="f1") -> Comparison:
    e = Estimate(0.5, 0.45, 0.55, 2000, interval=IntervalKind.PEEK_SAFE)
    d = Estimate((low + high) / 2, low, high, 4000, interval=IntervalKind.PEEK_SAFE)
    return Comparison(metric, e, e, d, Compared.CANNOT_TELL, margin)


@pytest.mark.parametrize(
    ("low", "high", "worst", "act"),
    [
        (-0.40, -0.30, None, Act.ROLL_BACK),
        (-0.40, -0.30, 0.05, Act.ROLL_BACK),
        (-0.40, 0.30, None, Act.NEXT),  # nobody asked for proof
        (-0.40, 0.30, 0.05, Act.WAIT),
        (-0.02, 0.02, 0.05, Act.NEXT),
        (0.10, 0.20, 0.05, Act.NEXT),
        (-0.04, -0.03, 0.05, Act.NEXT),  # worse, but bearably
    ],
)
def test_performance(world, low, high, worst, act):
    w = world(ramp={"worst_loss": worst} if worst is not None else {})
    w.start()
    w.compared = (compared(low, high, 0.01),)
    w.ready()
    assert judged(w).act is act


def judged(w: World, **more):
    first = w.plane.counts()
    w.plane.serve(10_000)
    measured = ramping.between(first, w.plane.counts())
    sight = Sight(w.now, w.plane.read(), "", measured, w.evidence())
    return decide(w.state, w.control, replace(sight, **more))


@pytest.mark.parametrize(
    ("limit", "rate", "act"),
    [(0.2, 0.01, Act.NEXT), (0.01, 0.01, Act.WAIT), (0.05, 0.4, Act.ROLL_BACK)],
)
def test_a_gate_on_errors_goes_by_what_the_plane_counts(world, limit, rate, act):
    w = world(ramp={"gate": [{"figure": "error_rate", "at_most": limit}]})
    w.plane.error_rates = {"v1": rate, "v2": rate}
    w.start()
    w.ready()
    assert judged(w).act is act


def test_requests_that_do_not_follow_the_split_end_it(world):
    w = world()
    w.start()
    w.plane.replicas[0].weights = {"v1": 80, "v2": 20}
    first = w.plane.counts()
    w.plane.serve(20_000)
    measured = ramping.between(first, w.plane.counts())
    w.plane.replicas[0].weights = {"v1": 99, "v2": 1}
    sight = Sight(w.now, w.plane.read(), "", measured, w.evidence())
    early = decide(w.state, w.control, sight)
    late = decide(w.state, w.control, replace(sight, now=w.now + timedelta(minutes=11)))
    assert early.act is Act.WAIT
    assert late.act is Act.ROLL_BACK and "surely not the split" in late.text


def test_a_clock_behind_the_audit_holds(world):
    w = world()
    w.start()
    decision = judged(w, now=w.now - timedelta(hours=1))
    assert decision.act is Act.HOLD and decision.key == "clock"


def test_figures_of_an_hour_with_an_earlier_ramp_wait_for_the_next(world):
    w = world()
    w.start()
    w.word(Event.ABORTING)
    w.until(Phase.ABORTED, minutes=0.1)
    w.start()
    assert w.state.clean == BEGIN + timedelta(hours=1)
    w.compared = (compared(-0.4, -0.3),)
    w.tick()
    assert w.state.phase is Phase.RUNNING  # what the first one did is not held against it
    w.sleep(3700)
    w.tick()
    assert w.state.phase is Phase.ROLLED_BACK


# -- the beginning ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arm", "total", "weights", "said"),
    [
        ("v3", 100, {"v1": 100, "v2": 0}, "no arm 'v3'"),
        ("v1", 100, {"v1": 100, "v2": 0}, "stable arm"),
        ("v2", 256, {"v1": 256, "v2": 0}, "smallest step is 0.3906%"),
        ("v2", 100, {"v1": 0, "v2": 100}, "which no step is above"),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(arm, total, weights, said):
    plane = MemoryPlane(weights, total=total)
    with pytest.raises(ValueError, match=said):
        plan_steps(arm, control(), plane.read(), plane.capabilities)


def test_steps_below_what_it_has_are_left_out():
    plane = MemoryPlane({"v1": 90, "v2": 10})
    steps = plan_steps("v2", control(), plane.read(), plane.capabilities)
    assert steps == (25, 50, 100)


def test_entries_that_make_no_sense_are_passed_over(world):
    w = world()
    w.start()
    before = w.state
    desk = w.desk()
    for fields in (
        {"event": "started"},
        {"event": "started", "steps": ["x"], "split": {}, "pause_s": "y"},
        {"event": "step", "ramp": before.id, "place": 4, "split": {"v1": 0, "v2": 100}},
        {"event": "step", "ramp": before.id, "place": 1, "split": None},
        {"event": "done", "ramp": "another"},
        {"event": 7, "ramp": before.id},
        {},
    ):
        w.audit.append(w.now, EntryKind.RAMP, NAME, "", desk.who, fields)
    assert replace(w.state, why="", key="") == replace(before, why="", key="")
    assert "step 1 of 5 (1%)" in ramp_words(w.state)


# -- any order of everything -----------------------------------------------------------------------


class Rollouts(RuleBasedStateMachine):
    """Traffic, time, faults, restarts and words of people, in any order."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.w = World(Path(self.folder.name), ramp={"pause": "2m", "least": 5})
        CURRENT[:] = [self.w]
        self.w.plane.traffic = 40
        self.w.start()
        self.highest = 1
        self.seen = self.w.share

    def teardown(self) -> None:
        self.folder.cleanup()

    def _look(self) -> None:
        self.w.tick()

    @rule(minutes=st.sampled_from([0.0, 0.5, 2.1, 30]))
    def look(self, minutes: float) -> None:
        self.w.sleep(60 * minutes)
        self._look()

    @rule()
    def restart(self) -> None:
        self.w.restart()

    @rule(yes=st.booleans())
    def data(self, yes: bool) -> None:
        self.w.data = yes

    @rule(takes=st.sampled_from(["", "", "lose", "drop", "refuse", "late"]))
    def fault(self, takes: str) -> None:
        self.w.plane.replicas[0].takes = takes

    @rule()
    def arrive(self) -> None:
        self.w.plane.arrive()

    @rule(down=st.booleans())
    def reach(self, down: bool) -> None:
        self.w.plane.replicas[0].down = down

    @rule(rate=st.sampled_from([0.0, 0.0, 0.6]))
    def errors(self, rate: float) -> None:
        self.w.plane.error_rates = {"v2": rate}

    @precondition(lambda self: not self.w.state.phase.ended)
    @rule(event=st.sampled_from([Event.PAUSED, Event.RESUMED, Event.PROMOTED]))
    def word(self, event: Event) -> None:
        self.w.word(event)

    @precondition(lambda self: not self.w.state.phase.ended)
    @rule()
    def abort(self) -> None:
        """Whatever was before, once the plane answers again it leads to zero."""
        w = self.w
        w.word(Event.ABORTING)
        w.plane.arrive()
        w.plane.replicas[0].takes, w.plane.replicas[0].down = "", False
        for _ in range(5):
            w.tick()
            w.sleep(310)
        assert w.state.phase in (Phase.ABORTED, Phase.TAKEN_OVER), w.state
        assert w.state.phase is Phase.TAKEN_OVER or w.share == 0

    @invariant()
    def no_step_is_skipped(self) -> None:
        steps = [0, 1, 5, 25, 50, 100]
        wanted = [
            e.fields["after"]["v2"]
            for e in self.w.audit.entries()
            if e.kind is EntryKind.INTENT and e.fields["purpose"] == "ramp"
        ]
        for before, after in zip(wanted, wanted[1:], strict=False):
            assert steps.index(after) - steps.index(before) in (0, 1)

    @invariant()
    def every_increase_had_its_pause_or_a_person(self) -> None:
        """Two steps of a ramp are a pause apart, unless somebody promoted it."""
        last = None
        for e in self.w.audit.entries():
            event = e.fields.get("event")
            if event in ("started", "step"):
                last = e.at
            elif event == "promoted":
                last = None
            elif e.kind is EntryKind.INTENT and e.fields["purpose"] == "ramp" and last:
                assert e.at - last >= timedelta(minutes=2)

    @invariant()
    def it_ends_once(self) -> None:
        ends = [e for e in self.w.events if e in ("done", "aborted", "rolled_back", "taken_over")]
        assert len(ends) <= 1

    @invariant()
    def the_audit_is_whole(self) -> None:
        assert not self.w.audit.verify().why


Rollouts.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TestRollouts = Rollouts.TestCase
