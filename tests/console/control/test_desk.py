"""The one way to act: what is sent, what is refused, what is said after each fault."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from memory_plane import MemoryPlane

from console.control.audit import Audit, EntryKind
from console.control.desk import Desk, Pace
from console.control.errors import AuditError, PlaneError
from console.control.evidence import ArmEvidence, Evidence
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.plane import Health
from console.control.settings import Control
from console.control.split import Split
from console.control.verify import Proof
from console.control.who import who

NAME = "flights"


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self.now.timestamp()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def audit(tmp_path) -> Audit:
    return Audit(tmp_path / "store.duckdb.audit.jsonl")


def control(**more) -> Control:
    return Control.model_validate(
        {
            "plane": {"kind": "envoy", "admin": ["http://127.0.0.1:1"], "prefix": "x"},
            "arms": {"v1": "v1", "v2": "v2"},
            "stable": "v1",
            **more,
        }
    )


@pytest.fixture
def make(audit, time):
    def made(plane: MemoryPlane, *, refused: str = "", **more) -> Desk:
        return Desk(
            NAME,
            control(**more),
            plane,
            audit,
            who("command", os.environ),
            refused=refused,
            clock=time.clock,
            pace=Pace(sleep=time.sleep, monotonic=time.monotonic),
        )

    return made


def known(time: Time, n: int = 10_000, age: float = 10) -> Evidence:
    arms = (ArmEvidence("v1", "v1", n, {}), ArmEvidence("v2", "v2", n, {}))
    at = time.now
    return Evidence(at, at - timedelta(days=1), at, timedelta(seconds=age), "f1", True, arms)


def to_v2(desk: Desk, time: Time, percent: int, *, reason: str = "canary"):
    return desk.propose(Purpose.SET, {"v2": Fraction(percent)}, reason, known(time))


def kinds(audit: Audit) -> list[str]:
    return [e.kind.value for e in audit.entries()]


def test_a_change_is_planned_confirmed_applied_read_back_and_proven(make, time, audit):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=50, replicas=2)
    desk = make(plane)
    proposal = to_v2(desk, time, 25)
    assert proposal.permitted, proposal.refusals
    said: list[str] = []
    outcome = desk.act(proposal, NAME, said.append)
    assert outcome.result is Result.APPLIED, outcome.text
    assert outcome.verification.proof is Proof.PROVEN
    assert [r.weights for r in plane.replicas] == [{"v1": 75, "v2": 25}] * 2
    assert kinds(audit) == ["intent", "result"]
    intent, result = audit.entries()
    assert intent.fields["before"] == {"v1": 100, "v2": 0}
    assert intent.fields["after"] == {"v1": 75, "v2": 25}
    assert intent.fields["reason"] == "canary"
    assert result.fields["outcome"] == "applied"
    assert any("intent is on the disk" in s for s in said)
    assert not audit.verify().why


@pytest.mark.parametrize("typed", ["", "flight", "FLIGHTS", "yes", "y"])
def test_nothing_is_sent_without_the_name(make, time, audit, typed):
    plane = MemoryPlane({"v1": 100, "v2": 0})
    desk = make(plane)
    outcome = desk.act(to_v2(desk, time, 25), typed)
    assert outcome.result is Result.REFUSED
    assert not plane.applied
    assert kinds(audit) == ["refused"]


def test_read_only_refuses_but_still_plans(make, time):
    plane = MemoryPlane({"v1": 100, "v2": 0})
    desk = make(plane, refused="this is read-only: start with --write")
    proposal = to_v2(desk, time, 25)
    assert proposal.permitted
    outcome = desk.act(proposal, NAME)
    assert (outcome.result, plane.applied) == (Result.REFUSED, [])
    assert "--write" in outcome.text


def test_data_do_not_grow_old_while_a_plan_is_read(make, time):
    plane = MemoryPlane({"v1": 90, "v2": 10}, traffic=500)
    desk = make(plane, max_age="30s")
    proposal = to_v2(desk, time, 20)
    assert proposal.permitted, proposal.refusals
    time.sleep(120)  # rows have come since, and nobody has looked
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.APPLIED, outcome.text


def test_an_expired_plan_is_made_anew(make, time):
    plane = MemoryPlane({"v1": 100, "v2": 0})
    desk = make(plane)
    proposal = to_v2(desk, time, 25)
    time.sleep(301)
    outcome = desk.act(proposal, NAME)
    assert (outcome.result, plane.applied) == (Result.REFUSED, [])
    assert "expired" in outcome.text


def test_two_operators_the_second_is_in_conflict(make, time, audit):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=500)
    mine, yours = make(plane), make(plane)
    first, second = to_v2(mine, time, 10), to_v2(yours, time, 25)
    assert mine.act(first, NAME).result is Result.APPLIED
    outcome = yours.act(second, NAME)
    assert outcome.result is Result.CONFLICT
    assert first.plan.id in outcome.text
    assert plane.replicas[0].weights == {"v1": 90, "v2": 10}
    assert kinds(audit) == ["intent", "result", "refused"]


def test_a_change_between_the_second_reading_and_the_apply_is_a_conflict(make, time):
    plane = MemoryPlane({"v1": 100, "v2": 0})
    desk = make(plane)
    proposal = to_v2(desk, time, 10)
    plane.before_apply = lambda: plane.replicas[0].set(Split.of({"v1": 50, "v2": 50}), "other")
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.CONFLICT
    assert plane.replicas[0].weights == {"v1": 50, "v2": 50}


def test_a_rollback_goes_on_whatever_somebody_did_meanwhile(make, time):
    plane = MemoryPlane({"v1": 50, "v2": 50}, traffic=500)
    desk = make(plane)
    proposal = desk.propose(Purpose.ROLLBACK, None, "", None)
    plane.replicas[0].set(Split.of({"v1": 25, "v2": 75}), "other")
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.APPLIED, outcome.text
    assert plane.replicas[0].weights == {"v1": 100, "v2": 0}


def test_one_replica_that_refuses_is_partial_and_can_be_completed_or_undone(make, time):
    plane = MemoryPlane({"v1": 100, "v2": 0}, replicas=3, traffic=300)
    plane.replicas[1].takes = "refuse"
    desk = make(plane)
    outcome = desk.act(to_v2(desk, time, 10), NAME)
    assert outcome.result is Result.PARTIAL
    assert "r1 has it" in outcome.text
    assert "r2 is at v1 100%, v2 0%" in outcome.text
    # no new change on top of it
    again = to_v2(desk, time, 20)
    assert not again.permitted
    assert "complete or undo" in " ".join(again.refusals)
    plane.replicas[1].takes = ""
    done = desk.act(desk.propose(Purpose.COMPLETE, None, "", None), NAME)
    assert done.result is Result.APPLIED, done.text
    assert {r.weights["v2"] for r in plane.replicas} == {10}
    undone = desk.act(desk.propose(Purpose.ROLLBACK, None, "", None), NAME)
    assert undone.result is Result.APPLIED, undone.text


def test_a_partial_change_can_be_undone(make, time):
    plane = MemoryPlane({"v1": 100, "v2": 0}, replicas=2, traffic=300)
    plane.replicas[1].takes = "refuse"
    desk = make(plane)
    assert desk.act(to_v2(desk, time, 10), NAME).result is Result.PARTIAL
    undone = desk.act(desk.propose(Purpose.UNDO, None, "", None), NAME)
    assert undone.plan.after == Split.of({"v1": 100, "v2": 0})
    # the second replica never had it and does not take anything: it is where it should be
    assert {tuple(r.weights.items()) for r in plane.replicas} == {(("v1", 100), ("v2", 0))}
    assert undone.result is Result.APPLIED, undone.text


def test_a_lost_reply_is_read_back_and_never_sent_again(make, time):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=300)
    plane.replicas[0].takes = "lose"
    desk = make(plane)
    outcome = desk.act(to_v2(desk, time, 10), NAME)
    assert outcome.result is Result.APPLIED, outcome.text
    assert len(plane.applied) == 1


def test_a_request_that_never_came_is_unknown_not_refused(make, time, audit):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=300)
    plane.replicas[0].takes = "drop"
    desk = make(plane)
    outcome = desk.act(to_v2(desk, time, 10), NAME)
    assert outcome.result is Result.UNKNOWN
    assert "may yet arrive" in outcome.text
    assert len(plane.applied) == 1
    assert audit.entries()[-1].fields["outcome"] == "unknown"


def test_the_plane_dies_after_the_intent(make, time, audit):
    plane = MemoryPlane({"v1": 100, "v2": 0})
    desk = make(plane)
    proposal = to_v2(desk, time, 10)

    def die() -> None:
        plane.replicas[0].takes = "drop"
        plane.read = _unreachable

    plane.before_apply = die
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.UNKNOWN
    assert kinds(audit) == ["intent", "result"]


def _unreachable():
    raise PlaneError("it cannot be reached")


def test_the_plane_dies_between_plan_and_confirmation(make, time, audit):
    plane = MemoryPlane({"v1": 100, "v2": 0})
    desk = make(plane)
    proposal = to_v2(desk, time, 10)
    plane.replicas[0].down = True
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.REFUSED
    assert "nothing was sent" in outcome.text
    assert not plane.applied
    assert kinds(audit) == ["refused"]


def test_a_restart_between_plan_and_confirmation_is_noticed(make, time):
    plane = MemoryPlane({"v1": 50, "v2": 50})
    desk = make(plane)
    proposal = to_v2(desk, time, 75)
    plane.restart({"v1": 100, "v2": 0})
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.CONFLICT
    assert not plane.applied


def test_a_restart_after_the_change_is_not_verified(make, time):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=3)
    desk = make(plane)
    proposal = to_v2(desk, time, 10)
    served = plane.serve

    def restarted(n: int) -> None:
        if plane.replicas[0].weights["v2"]:
            plane.restart({"v1": 100, "v2": 0})
        served(n)

    plane.serve = restarted
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.NOT_VERIFIED


@pytest.mark.parametrize("fault", ["unwritable", "full"])
def test_without_an_audit_nothing_is_sent(make, time, audit, monkeypatch, fault):
    plane = MemoryPlane({"v1": 100, "v2": 0})
    desk = make(plane)
    proposal = to_v2(desk, time, 10)

    def fails(*_args, **_more):
        raise AuditError("the audit cannot be written: the disk is full")

    name = "check_writable" if fault == "unwritable" else "append"
    monkeypatch.setattr(audit, name, fails)
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.REFUSED
    assert "disk is full" in outcome.text
    assert not plane.applied


def test_an_audit_that_fails_after_the_change_is_said_and_found_later(
    make, time, audit, monkeypatch
):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=300)
    desk = make(plane)
    proposal = to_v2(desk, time, 10)
    real = audit.append

    def fails(at, kind, *more):
        if kind is EntryKind.RESULT:
            raise AuditError("the disk is full")
        return real(at, kind, *more)

    monkeypatch.setattr(audit, "append", fails)
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.APPLIED
    assert not outcome.audited
    assert "disk is full" in outcome.todo
    monkeypatch.undo()
    assert [e.change for e in audit.unresolved()] == [proposal.plan.id]
    assert "it was applied" in desk.settle()[0]
    assert not audit.unresolved()


def test_a_killed_change_is_settled_by_reading_before_the_next_one(make, time, audit):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=300)
    desk = make(plane, cooldown="1s")
    proposal = to_v2(desk, time, 10)

    def killed() -> None:
        raise KeyboardInterrupt

    plane.before_apply = killed
    with pytest.raises(KeyboardInterrupt):
        desk.act(proposal, NAME)
    assert [e.change for e in audit.unresolved()] == [proposal.plan.id]
    plane.before_apply = lambda: None
    time.sleep(60)
    outcome = desk.act(to_v2(desk, time, 10), NAME)
    assert outcome.result is Result.APPLIED, outcome.text
    assert kinds(audit) == ["intent", "result", "intent", "result"]
    assert "not applied" in audit.entries()[1].fields["text"]


def test_interrupted_while_waiting_for_proof_there_is_still_a_result(make, time, audit):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=0)
    desk = make(plane)
    proposal = to_v2(desk, time, 10)

    def stop() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.act(proposal, NAME, stopped=stop)
    assert audit.entries()[-1].fields["outcome"] == "not verified"


def test_without_requests_it_is_not_verified_and_says_how_many_are_needed(make, time):
    plane = MemoryPlane({"v1": 99, "v2": 1}, traffic=0)
    desk = make(plane)
    outcome = desk.act(desk.propose(Purpose.ROLLBACK, None, "", None), NAME)
    assert outcome.result is Result.NOT_VERIFIED
    assert outcome.verification.needed == 459
    assert "459 are needed" in outcome.text
    assert plane.replicas[0].weights == {"v1": 100, "v2": 0}


def test_a_plane_that_counts_nothing_is_never_called_proven(make, time):
    plane = MemoryPlane({"v1": 99, "v2": 1}, counted=False)
    desk = make(plane)
    outcome = desk.act(desk.propose(Purpose.ROLLBACK, None, "", None), NAME)
    assert outcome.result is Result.NOT_VERIFIED
    assert outcome.verification.proof is Proof.UNMEASURED


def test_a_newer_change_ends_the_waiting_for_proof(make, time):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=0)
    desk, other = make(plane), make(plane)
    proposal = to_v2(desk, time, 10)
    done = []

    def told(text: str) -> None:
        if text.startswith("measured") and not done:
            done.append(other.act(other.propose(Purpose.ROLLBACK, None, "", None), NAME))

    outcome = desk.act(proposal, NAME, told)
    assert "overtaken" in outcome.text
    assert done[0].result is Result.NOT_VERIFIED


def test_an_unexpected_failure_of_a_plane_is_unknown(make, time):
    plane = MemoryPlane({"v1": 100, "v2": 0})
    desk = make(plane)
    proposal = to_v2(desk, time, 10)

    def breaks() -> None:
        raise ZeroDivisionError

    plane.before_apply = breaks
    outcome = desk.act(proposal, NAME)
    assert outcome.result is Result.UNKNOWN
    assert "ZeroDivisionError" in outcome.text


# -- guards ----------------------------------------------------------------------------------------


def refusal(desk: Desk, percent: int, evidence: Evidence | None) -> str:
    proposal = desk.propose(Purpose.SET, {"v2": Fraction(percent)}, "why", evidence)
    return " | ".join(proposal.refusals)


def test_guards_of_an_increase(make, time):
    plane = MemoryPlane({"v1": 90, "v2": 10})
    desk = make(plane)
    assert not refusal(desk, 20, known(time))
    assert "at most 25 at once" in refusal(desk, 36, known(time))
    assert "needed first" in refusal(desk, 20, known(time, n=499))
    assert "old; at most" in refusal(desk, 20, known(time, age=3600))
    assert "cannot be asked" in refusal(desk, 20, None)
    plane.health["v2"] = Health.DOWN
    assert "would fail requests" in refusal(desk, 20, known(time))
    plane.health["v2"] = Health.UNKNOWN
    assert "nobody says whether v2 is up" in refusal(desk, 20, known(time))
    plane.health["v2"] = Health.UP
    plane.problem = "its status lags behind"
    assert "lags behind" in refusal(desk, 20, known(time))


def test_less_for_the_new_version_needs_no_data(make, time):
    desk = make(MemoryPlane({"v1": 50, "v2": 50}))
    assert not refusal(desk, 0, None)
    assert not refusal(desk, 25, known(time, n=0, age=10_000))


def test_increases_wait_for_each_other_rollbacks_do_not(make, time):
    plane = MemoryPlane({"v1": 100, "v2": 0}, traffic=500)
    desk = make(plane)
    assert desk.act(to_v2(desk, time, 10), NAME).result is Result.APPLIED
    assert "wait" in refusal(desk, 20, known(time))
    assert desk.propose(Purpose.ROLLBACK, None, "", None).permitted
    time.sleep(301)
    assert not refusal(desk, 20, known(time))


def test_a_dead_stable_arm_stops_a_rollback_to_it(make, time):
    plane = MemoryPlane({"v1": 50, "v2": 50})
    plane.health["v1"] = Health.DOWN
    proposal = make(plane).propose(Purpose.ROLLBACK, None, "", None)
    assert not proposal.permitted
    assert "would fail requests" in " ".join(proposal.refusals)


def test_weights_that_the_plane_would_not_take_are_refused(make, time):
    plane = MemoryPlane({"v1": 90, "v2": 10})
    plane.problems = ("the route does not name v2",)
    assert "does not name v2" in refusal(make(plane), 20, known(time))


def test_undoing_a_rollback_is_an_increase_like_any_other(make, time):
    plane = MemoryPlane({"v1": 50, "v2": 50}, traffic=500)
    desk = make(plane)
    assert desk.act(desk.propose(Purpose.ROLLBACK, None, "", None), NAME).result is Result.APPLIED
    undo = desk.propose(Purpose.UNDO, None, "", None)
    assert undo.plan.after == Split.of({"v1": 50, "v2": 50})
    assert "cannot be asked" in " ".join(undo.refusals)
    assert "at most 25 at once" in " ".join(undo.refusals)


def test_what_the_audit_does_not_know_is_not_guessed(make, time):
    desk = make(MemoryPlane({"v1": 90, "v2": 10}))
    for purpose in (Purpose.UNDO, Purpose.RETURN, Purpose.COMPLETE):
        with pytest.raises(ValueError, match="the audit does not say"):
            desk.propose(purpose, None, "", None)


def test_back_from_a_fallback_to_what_was_before_the_first_one(make, time):
    plane = MemoryPlane({"v1": 70, "v2": 30}, traffic=500)
    desk = make(plane)
    for arm in ("v1", "v2"):
        whole = {arm: Fraction(100)}
        outcome = desk.act(desk.propose(Purpose.FALLBACK, whole, "", None), NAME)
        assert outcome.result is Result.APPLIED, outcome.text
    back = desk.propose(Purpose.RETURN, None, "fixed", known(time))
    assert dict(back.plan.after.weights) == {"v1": 70, "v2": 30}
    assert back.permitted, back.refusals
    assert desk.act(back, NAME).result is Result.APPLIED
    with pytest.raises(ValueError, match="before the fallback"):
        desk.propose(Purpose.RETURN, None, "", None)


def test_who_was_rolled_back_is_given_traffic_again_only_by_who_has_read_why(make, time):
    plane = MemoryPlane({"v1": 50, "v2": 50}, traffic=500)
    desk = make(plane)
    desk.act(desk.propose(Purpose.ROLLBACK, None, "every third fails", None), NAME)
    proposal = to_v2(desk, time, 5)
    told = [g for g in proposal.guards if g.name == "history"]
    assert [g.verdict.value for g in told] == ["warn"]
    assert "v2 was rolled back at" in told[0].text and "every third fails" in told[0].text
    assert proposal.permitted
    desk.act(proposal, NAME)
    assert not [g for g in to_v2(desk, time, 10).guards if g.name == "history"]


def test_a_rollback_that_was_read_for_hours_is_sent(make, time):
    plane = MemoryPlane({"v1": 50, "v2": 50}, traffic=500)
    desk = make(plane)
    proposal = desk.propose(Purpose.ROLLBACK, None, "", None)
    time.sleep(7200)
    assert desk.act(proposal, NAME).result is Result.APPLIED
