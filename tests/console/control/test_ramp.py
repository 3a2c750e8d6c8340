"""A staged rollout: what decides, what never happens, and that restarts change nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from memory_plane import MemoryPlane, MemoryReplica
from ramp_world import BEGIN, CURRENT, NAME, World, control

from console.analysis.comparison import Comparison
from console.analysis.comparison import Verdict as Compared
from console.analysis.estimate import Estimate, IntervalKind
from console.control import ramp_sight
from console.control.audit import Audit, EntryKind
from console.control.errors import AuditError
from console.control.lock import TargetLock
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.plane import Health
from console.control.ramp import Act, decide, plan_steps, rest_after
from console.control.ramp_checks import Sight
from console.control.ramp_start import tell
from console.control.ramp_state import Event, Phase, ramp_running, ramp_words
from console.control.verify import between


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    """Figures of the store are the world's: `since` gives nothing to ask."""
    monkeypatch.setattr(ramp_sight, "evidence_of", lambda *a: CURRENT[0].evidence())
    monkeypatch.setattr(ramp_sight, "_judged", lambda *a, **k: ())
    monkeypatch.setattr(ramp_sight, "_logged", lambda *a: CURRENT[0].logged)


@pytest.fixture
def world(tmp_path):
    def made(**more) -> World:
        CURRENT[:] = [World(tmp_path, **more)]
        return CURRENT[0]

    return made


STARTED = {
    "event": "started",
    "ramp": "forged",
    "arm": "v2",
    "steps": ["1"],
    "pause_s": 1,
    "least": 1,
    "split": {"v1": 1},
    "first": {"v2": 1},
}

# -- the whole way ---------------------------------------------------------------------------------


def test_a_good_version_goes_all_the_way_one_step_after_the_other(world):
    w = world()
    w.start()
    w.until(Phase.DONE)
    after = [e.fields["after"]["v2"] for e in w.audit.entries() if e.kind is EntryKind.INTENT]
    assert after == [1, 5, 25, 50, 100]
    assert w.events[:2] == ["started", "step"] and w.events[-1] == "done"
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


def test_where_the_plane_counts_nothing_the_logs_do(world):
    w = world()
    w.plane.counted = False
    w.logged = 19
    w.start()
    w.ready()
    w.tick()
    assert w.share == 1 and "19 logged predictions" in w.state.why
    w.logged = 20
    w.tick()
    assert w.share == 5


def test_a_first_step_that_is_refused_begins_no_ramp(world):
    w = world()
    w.plane.replicas[0].takes = "refuse"
    w.start()
    assert w.state.phase is Phase.NOT_BEGUN and "not taken" in ramp_words(w.state)
    assert not ramp_running(w.audit.entries(), NAME)
    w.plane.replicas[0].takes = ""
    w.sleep(60)
    w.start()  # nothing is in its way
    assert w.state.clean == BEGIN
    w.until(Phase.DONE)


def test_a_first_step_that_some_replicas_have_is_watched(world):
    w = world()
    w.plane.replicas.append(MemoryReplica("r2", {"v1": 100, "v2": 0}, takes="refuse"))
    w.start()
    assert w.state.phase is Phase.RUNNING and not w.state.is_begun
    w.tick()
    assert w.state.key == "replicas"
    assert "its first step (1%) is under way" in ramp_words(w.state)
    w.plane.replicas[1].takes = ""
    w.plane.error_rates = {"v2": 0.9}
    w.until(Phase.ROLLED_BACK, minutes=0.1)
    assert [r.weights["v2"] for r in w.plane.replicas] == [0, 0]


def test_a_first_step_without_an_answer_waits_for_a_person_and_is_watched_when_it_arrives(world):
    w = world()
    w.plane.replicas[0].takes = "late"
    w.start()
    w.plane.replicas[0].takes = ""
    w.tick()
    assert w.state.phase is Phase.RUNNING  # it may yet arrive
    w.sleep(60)
    w.tick()
    assert w.state.phase is Phase.PERSON and w.state.needs_person
    assert w.share == 0 and len(w.plane.applied) == 1
    w.plane.arrive()
    w.tick()
    assert w.state.is_begun and w.share == 1
    w.plane.error_rates = {"v2": 0.9}
    w.until(Phase.ROLLED_BACK, minutes=0.1)


def test_a_first_step_without_an_answer_is_sent_again_when_a_person_says_so(world):
    w = world()
    w.plane.replicas[0].takes = "drop"
    w.start()
    w.plane.replicas[0].takes = ""
    w.sleep(60)
    w.tick()
    w.word(Event.PROMOTED)
    w.tick()
    assert w.share == 1 and w.state.step == 0
    w.until(Phase.DONE)


def test_whoever_begins_it_is_cut_off_while_it_is_proven_and_it_is_watched_all_the_same(world):
    """As an SSH connection that drops: the recorder knows of the ramp from its first request on."""
    w = world()
    w.plane.traffic = 1
    with pytest.raises(KeyboardInterrupt):
        w.start(told=interrupts_when("measured"))
    assert w.share == 1
    assert w.state is not None and not w.state.phase.ended
    w.plane.traffic = 200
    w.plane.error_rates = {"v2": 0.9}
    w.until(Phase.ROLLED_BACK, minutes=0.1)
    assert w.share == 0


def test_a_step_is_watched_while_its_command_waits_for_proof(world):
    w = world()
    w.plane.traffic = 200
    looks = []

    def told(text: str) -> None:
        if text.startswith("measured") and not looks:
            w.plane.error_rates = {"v2": 0.9}
            for _ in range(20):
                looks.append(w.tick())

    w.start(told=told)
    assert w.state.phase is Phase.ROLLED_BACK and w.share == 0
    assert w.events.count("step") == 1


def test_of_two_who_begin_one_at_once_the_second_is_refused(world):
    w = world()
    w.plane.traffic = 0
    said = []

    def told(text: str) -> None:
        if text.startswith("measured") and not said:
            said.append(w.start())

    first = w.start(told=told)
    assert first.changed
    assert said[0].result is Result.REFUSED and "abort it first" in said[0].text
    assert w.events == ["started", "step"] and w.share == 1
    w.plane.traffic = 200
    w.until(Phase.DONE)


@pytest.mark.parametrize("kind", [EntryKind.INTENT, EntryKind.RESULT])
def test_a_command_that_dies_before_or_after_it_sends_leaves_nothing_unwatched(
    world, kind, monkeypatch
):
    w = world()
    append = Audit.append

    def killed(self, at, of, *rest, **more):
        if of is kind:
            raise Killed
        return append(self, at, of, *rest, **more)

    with monkeypatch.context() as m, pytest.raises(Killed):
        m.setattr(Audit, "append", killed)
        w.start()
    w.tick()
    assert w.state.phase is Phase.RUNNING
    w.sleep(60)
    w.tick()
    if kind is EntryKind.INTENT:
        assert w.state.phase is Phase.NOT_BEGUN and w.share == 0
        assert not w.plane.applied
    else:
        assert w.state.is_begun
        w.until(Phase.DONE, minutes=1)
        assert not w.audit.unresolved()


def test_an_audit_that_takes_no_intent_begins_no_ramp(world, monkeypatch):
    w = world()
    append = Audit.append

    def full(self, at, of, *rest, **more):
        if of is EntryKind.INTENT:
            raise AuditError("the disk is full")
        return append(self, at, of, *rest, **more)

    with monkeypatch.context() as m:
        m.setattr(Audit, "append", full)
        w.start()
    assert w.state.phase is Phase.NOT_BEGUN and "disk is full" in w.state.why


def interrupts_when(begins: str):
    def told(text: str) -> None:
        if text.startswith(begins):
            raise KeyboardInterrupt

    return told


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
    tries = tried_at(w)
    assert len(tries) == 8
    rests = [(b - a).total_seconds() for a, b in pairwise(tries)]
    assert all(
        rest >= least for rest, least in zip(rests, [5, 10, 20, 40, 80, 160, 300], strict=True)
    )
    assert w.state.phase is Phase.ROLLING_BACK
    assert any("NOT rolled back yet" in text for text in said)
    assert any("a person is needed now" in text for text in said)
    for _ in range(120):  # and goes on
        w.tick()
        w.sleep(10)
    assert [(b - a).total_seconds() for a, b in pairwise(tried_at(w)[8:])] == [300] * 3
    assert w.state.needs_person
    w.plane.replicas[0].takes = ""
    w.word(Event.ABORTING)  # a person's abort tries at once
    w.until(Phase.ABORTED, minutes=0.1)
    assert w.share == 0
    assert [rest_after(n).total_seconds() for n in range(9)] == [
        0, 5, 10, 20, 40, 80, 160, 300, 300,
    ]  # fmt: skip


def tried_at(w: World) -> list[datetime]:
    return [e.at for e in w.audit.entries() if e.fields.get("event") == "tried"]


def test_a_rollback_that_nothing_helps_with_is_never_given_up(world):
    """By itself, without a word of anybody: hours later the plane takes it again."""
    w = world()
    w.start()
    w.plane.error_rates = {"v2": 0.6}
    w.plane.replicas[0].takes = "refuse"
    for _ in range(300):
        w.tick()
        w.sleep(60)
    assert w.state.phase is Phase.ROLLING_BACK and w.state.needs_person
    cause = w.state.cause
    assert "surely more" in cause
    w.plane.replicas[0].takes = ""
    w.until(Phase.ROLLED_BACK, minutes=1, ticks=6)
    assert w.share == 0 and w.state.why.startswith(cause)


def test_tries_of_which_nothing_was_sent_do_not_slow_it_down(world):
    """A stopped process with the lock: once it is gone it takes a minute at most."""
    w = world()
    w.start()
    w.plane.error_rates = {"v2": 0.9}
    w.plane.serve(20_000)
    with TargetLock(w.audit.path, NAME, w.desk("command").who, w.now):
        for _ in range(12):
            w.tick()
            w.sleep(60)
        assert w.share == 1
        assert w.state.tries.n == 12 and not w.state.tries.sent
    w.tick()
    assert w.state.phase is Phase.ROLLED_BACK and w.share == 0


def test_a_rollback_that_is_always_refused_wants_a_person_too_and_goes_on(world):
    w = world()
    w.start()
    w.plane.error_rates = {"v2": 0.9}
    w.plane.serve(20_000)
    with TargetLock(w.audit.path, NAME, w.desk("command").who, w.now):
        for _ in range(60):
            w.tick()
            w.sleep(60)
    assert w.state.needs_person and "a person is needed now" in w.state.why
    w.until(Phase.ROLLED_BACK, minutes=1, ticks=6)


def test_a_plane_that_cannot_be_read_for_long_wants_a_person(world):
    w = world()
    w.start()
    w.word(Event.ABORTING)
    w.plane.replicas[0].down = True
    w.until_true(lambda: w.state.needs_person, ticks=20, minutes=1)
    assert "cannot be reached" in w.state.why
    w.plane.replicas[0].down = False
    w.until(Phase.ABORTED, minutes=1, ticks=6)


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


def test_an_abort_that_reached_zero_before_its_command_died_is_only_entered(world):
    w = world()
    w.start()
    w.word(Event.ABORTING)
    desk = w.desk("command")
    desk.act(desk.propose(Purpose.ROLLBACK, None, "abort", None), NAME)
    n = len(w.plane.applied)
    w.tick()
    assert w.state.phase is Phase.ABORTED
    assert len(w.plane.applied) == n


def test_a_step_that_is_still_under_way_is_overtaken_by_the_rollback(world):
    w = world()
    w.plane.swap = False
    w.start()
    w.ready()
    w.plane.replicas[0].takes = "late"
    w.tick()
    w.plane.replicas[0].takes = ""
    assert w.state.pending is not None
    w.plane.replicas[0].weights = {"v1": 100, "v2": 0}
    w.word(Event.ABORTING)
    n = len(w.plane.applied)
    w.tick()
    assert w.state.phase is Phase.ABORTED
    assert len(w.plane.applied) == n + 1


def test_nothing_that_comes_after_the_end_begins_it_again(world):
    w = world()
    w.start()
    over = w.state
    w.word(Event.ABORTING)
    w.until(Phase.ABORTED, minutes=0.1)
    ended = w.state
    for event in Event:
        if event is not Event.STARTED:
            tell(w.desk(), over, event, place=1, split={"v1": 95, "v2": 5}, person=True)
    assert w.state == ended
    w.ready()
    w.tick()
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


# -- while something else is under way -------------------------------------------------------------


def test_a_step_is_judged_seconds_after_it_was_made_however_long_its_proof_may_take(world):
    w = world(verify="1h")
    w.start()
    w.ready()
    w.plane.traffic = 0  # nothing proves it
    at = w.now
    w.tick()
    assert w.share == 5 and w.now - at <= timedelta(seconds=10)
    assert w.state.step == 1


def test_what_the_store_cannot_say_holds_up_no_rollback(world, monkeypatch):
    w = world()
    w.start()

    def broken(*_):
        raise RuntimeError("a bug of the store")

    monkeypatch.setattr(ramp_sight, "evidence_of", broken)
    w.sleep(3600)
    w.tick()
    assert w.share == 1 and "RuntimeError" in w.state.why
    w.plane.error_rates = {"v2": 0.9}
    w.until(Phase.ROLLED_BACK, minutes=0.1)


# -- what a step is judged on ----------------------------------------------------------------------


def at_everything(w: World) -> None:
    """The last step, at which the stable arm gets nothing."""
    w.start()
    while w.share < 100:
        w.ready()
        w.tick()
    assert w.state.is_last and not w.state.phase.ended


def test_a_version_that_fails_when_it_has_everything_is_rolled_back(world):
    """As one that is too slow for all of the traffic: there is nobody to compare it with now."""
    w = world()
    w.plane.error_rates = {"v1": 0.01, "v2": 0.01}
    at_everything(w)
    w.plane.error_rates = {"v2": 0.1}
    w.until(Phase.ROLLED_BACK, minutes=0.1)
    assert w.share == 0
    assert "to v1 before" in w.state.why and "surely more than" in w.state.why


def test_where_nothing_is_known_of_the_stable_arm_most_must_not_fail(world):
    w = world(ramp={"steps": [100]})
    w.plane.traffic = 0
    w.start()
    w.plane.traffic = 200
    w.plane.error_rates = {"v2": 0.8}
    w.until(Phase.ROLLED_BACK, minutes=0.1)
    assert "surely more than 50%" in w.state.why


def test_errors_that_come_to_everybody_with_the_day_are_no_reason_at_the_last_step(world):
    w = world()
    w.plane.error_rates = {"v1": 0.02, "v2": 0.02}
    at_everything(w)
    w.plane.error_rates = {"v2": 0.03}
    w.until(Phase.DONE)


def test_it_is_not_done_while_nobody_says_how_much_fails(world):
    w = world()
    at_everything(w)
    w.logged = 10**6
    w.plane.counted = False
    for _ in range(20):
        w.tick()
        w.sleep(600)
    assert w.state.phase is Phase.RUNNING and "how many requests to v2 failed" in w.state.why
    w.plane.counted = True
    w.until(Phase.DONE)


def test_what_the_stable_arm_was_asked_is_kept_over_all_steps_and_restarts(world):
    w = world()
    w.plane.error_rates = {"v1": 0.1}
    at_everything(w)
    w.restart()
    served = w.state.served("v1")
    r = w.plane.replicas[0]
    assert served.n == r.n["v1"] - 200 and served.errors == pytest.approx(r.n_error["v1"], abs=40)


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
    measured = between(first, w.plane.counts())
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
    measured = between(first, w.plane.counts())
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
        {**STARTED, "steps": ["1e30000000"]},
        {**STARTED, "steps": ["101"]},
        {**STARTED, "steps": ["1/0"]},
        {**STARTED, "steps": ["nan"]},
        {**STARTED, "pause_s": 1e300},
        {**STARTED, "first": None},
        {"event": "step", "ramp": before.id, "place": 4, "split": {"v1": 0, "v2": 100}},
        {"event": "step", "ramp": before.id, "place": 1, "split": None},
        {"event": "done", "ramp": "another"},
        {"event": 7, "ramp": before.id},
        {},
    ):
        w.audit.append(w.now, EntryKind.RAMP, NAME, "", desk.who, fields)
    assert replace(w.state, why="", key="") == replace(before, why="", key="")
    assert "step 1 of 5 (1%)" in ramp_words(w.state)
