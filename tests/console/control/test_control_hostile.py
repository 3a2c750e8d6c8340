"""What a lying plane, a hanging address or an operator in a hurry must not get past the desk."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from memory_plane import MemoryPlane

from console.control import hands as hands_module
from console.control.audit import Audit
from console.control.desk import Desk, Pace
from console.control.errors import ControlError
from console.control.hands import Hands
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.plane import Health, Observed
from console.control.settings import Control
from console.control.who import who

NAME = "flights"
V2 = {"v2": Fraction(100)}


class World:
    """A clock that only waiting moves, an audit, and a desk over a plane."""

    def __init__(self, folder: Path, on: MemoryPlane, **more) -> None:
        self.now = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
        self.plane = on
        self.audit = Audit(folder / "s.audit.jsonl")
        self.control = Control.model_validate(
            {
                "plane": {"kind": "envoy", "admin": ["http://127.0.0.1:1"], "prefix": "x"},
                "arms": {arm: arm for arm in on.arms},
                "stable": "v1",
                **more,
            }
        )
        self.desk = Desk(
            NAME,
            self.control,
            on,
            self.audit,
            who("command", os.environ),
            refused="",
            clock=lambda: self.now,
            pace=Pace(sleep=self.sleep, monotonic=self.monotonic),
        )

    def monotonic(self) -> float:
        return self.now.timestamp()

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def rollback(self):
        return self.desk.act(self.desk.propose(Purpose.ROLLBACK, None, "", None), NAME)


@pytest.fixture
def world(tmp_path) -> Callable[..., World]:
    return lambda on, **more: World(tmp_path, on, **more)


class Leaky(MemoryPlane):
    """Says what it was told, and sends v2 a share all the same."""

    share = 0.01

    def serve(self, n: int) -> None:
        for _ in range(n):
            arm = "v2" if self._random.random() < self.share else "v1"
            self.replicas[0].n[arm] = self.replicas[0].n.get(arm, 0) + 1


def test_a_plane_that_goes_on_leaking_is_not_proven_by_one_lucky_stretch(tmp_path):
    proven = 0
    for seed in range(40):
        w = World(tmp_path / str(seed), Leaky({"v1": 99, "v2": 1}, traffic=100, seed=seed))
        w.audit.path.parent.mkdir()
        proven += w.rollback().result is Result.APPLIED
    assert proven <= 3  # 1.64 % each; with the same chance for every new beginning 15


def test_a_rollback_of_replicas_that_differ_takes_more_than_a_few_requests(world):
    plane = Leaky({"v1": 95, "v2": 5}, replicas=2, traffic=10)
    plane.share = 0.05
    plane.replicas[1].weights = {"v1": 100, "v2": 0}
    outcome = world(plane).rollback()
    assert outcome.result is Result.NOT_VERIFIED
    assert outcome.verification.needed >= 459


def test_replicas_are_not_averaged(world):
    class Apart(MemoryPlane):
        def serve(self, n: int) -> None:
            for replica, arm in zip(self.replicas, self.arms, strict=True):
                replica.n[arm] = replica.n.get(arm, 0) + n // 2

    w = world(Apart({"v1": 100, "v2": 0}, replicas=2, traffic=100))
    proposal = w.desk.propose(Purpose.FALLBACK, {"v2": Fraction(50)}, "", None)
    outcome = w.desk.act(proposal, NAME)
    assert outcome.result is Result.NOT_VERIFIED
    assert "on r1 went v1 100%, v2 0%" in outcome.text


@pytest.mark.parametrize("purpose", [Purpose.UNDO, Purpose.COMPLETE])
def test_a_replica_that_is_away_is_no_way_around_the_guards(world, purpose):
    w = world(MemoryPlane({"v1": 0, "v2": 100}, replicas=2, traffic=500))
    w.rollback()
    if purpose is Purpose.COMPLETE:  # what was wanted last gives v2 more
        w.plane.before_apply = lambda: [setattr(r, "takes", "drop") for r in w.plane.replicas]
        w.desk.act(w.desk.propose(Purpose.FALLBACK, V2, "", None), NAME)
        w.plane.before_apply = lambda: None
        for replica in w.plane.replicas:
            replica.takes = ""
    w.plane.replicas[1].down = True
    proposal = w.desk.propose(purpose, None, "", None)
    assert not proposal.permitted
    assert w.desk.act(proposal, NAME).result is Result.REFUSED
    assert w.plane.replicas[0].weights == {"v1": 100, "v2": 0}


def test_what_some_replicas_have_may_be_completed_though_one_is_away(world):
    w = world(MemoryPlane({"v1": 100, "v2": 0}, replicas=3, traffic=500))
    w.plane.replicas[1].takes = "refuse"
    w.desk.act(w.desk.propose(Purpose.FALLBACK, {"v2": Fraction(10)}, "", None), NAME)
    assert [r.weights["v2"] for r in w.plane.replicas] == [10, 0, 10]
    w.plane.replicas[1].takes, w.plane.replicas[2].down = "", True
    assert w.desk.propose(Purpose.COMPLETE, None, "", None).permitted
    assert w.desk.propose(Purpose.UNDO, None, "", None).permitted


def test_falling_back_to_a_canary_is_judged_as_any_other_change(world):
    plane = MemoryPlane({"v1": 100, "v2": 0, "simple": 0})
    w = world(plane, fallback={"target": [{"arm": "simple"}]})
    proposal = w.desk.propose(Purpose.FALLBACK, V2, "", None)
    assert not proposal.permitted
    assert any("step of 100 points" in text for text in proposal.refusals)
    for arm in ("simple", "v1"):
        shares = {arm: Fraction(100)}
        assert w.desk.propose(Purpose.FALLBACK, shares, "", None).permitted


def test_a_rollback_may_be_confirmed_late(world):
    w = world(MemoryPlane({"v1": 50, "v2": 50}, traffic=500))
    proposal = w.desk.propose(Purpose.ROLLBACK, None, "", None)
    w.sleep(3600)
    assert w.desk.act(proposal, NAME).result is Result.APPLIED


def test_whatever_goes_wrong_after_sending_has_a_result(world):
    class Odd(MemoryPlane):
        def read(self) -> Observed:
            if self.applied:
                raise KeyError("weights")
            return super().read()

    w = world(Odd({"v1": 50, "v2": 50}))
    assert w.rollback().result is Result.UNKNOWN
    assert not w.audit.unresolved()


def test_no_replica_is_not_all_replicas(world):
    class Gone(MemoryPlane):
        def read(self) -> Observed:
            found = super().read()
            return Observed(found.at, (), found.revision) if self.applied else found

    assert world(Gone({"v1": 50, "v2": 50}, traffic=500)).rollback().result is Result.UNKNOWN


def test_an_intent_that_a_wrong_clock_dated_ahead_can_be_settled(world):
    w = world(MemoryPlane({"v1": 50, "v2": 50}))

    def killed() -> None:
        raise KeyboardInterrupt

    w.plane.before_apply = killed
    w.sleep(10**8)
    with pytest.raises(KeyboardInterrupt):
        w.rollback()
    w.sleep(-(10**8))
    assert len(w.desk.settle()) == 1
    assert not w.audit.unresolved()


@pytest.fixture
def hanging() -> Iterator[socket.socket]:
    """An address that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        server.setblocking(False)
        yield server


def address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_a_health_address_that_hangs_holds_up_no_rollback(world, hanging):
    plane = MemoryPlane({"v1": 50, "v2": 50}, traffic=500)
    told = {"kind": "envoy", "admin": ["http://127.0.0.1:1"], "prefix": "x", "timeout": "1s"}
    w = world(plane, health={"v1": address(hanging)}, plane=told)
    outcome = w.rollback()
    assert outcome.result is Result.APPLIED, outcome.text  # the plane itself has v1 up
    plane.health["v1"] = Health.DOWN
    plane.replicas[0].weights = {"v1": 50, "v2": 50}
    assert w.rollback().result is Result.REFUSED


def test_an_address_of_an_arm_that_gets_no_more_is_not_asked(world, hanging):
    health = {"v2": address(hanging)}
    w = world(MemoryPlane({"v1": 50, "v2": 50}, traffic=500), health=health)
    assert w.rollback().result is Result.APPLIED
    with pytest.raises(BlockingIOError):
        hanging.accept()


def test_the_screen_is_told_of_a_plane_that_breaks_in_a_new_way(tmp_path, monkeypatch, world):
    class Broken(MemoryPlane):
        def read(self) -> Observed:
            raise KeyError("weights")

    monkeypatch.setattr(hands_module, "make_plane", lambda *_: Broken({"v1": 50, "v2": 50}))
    w = world(MemoryPlane({"v1": 50, "v2": 50}))
    hands = Hands({NAME: w.control}, tmp_path, w.audit, w.desk.who, write=True)
    proposal = w.desk.propose(Purpose.ROLLBACK, None, "", None)
    told, done = [], threading.Event()

    def ended(what: object) -> None:
        told.append(what)
        done.set()

    hands.propose(NAME, Purpose.ROLLBACK, None, "", None, ended)
    assert done.wait(20)
    done.clear()
    hands.act(proposal, NAME, lambda _: None, ended)
    assert done.wait(20)
    assert [isinstance(one, ControlError) for one in told] == [True, True]
    hands.close()
