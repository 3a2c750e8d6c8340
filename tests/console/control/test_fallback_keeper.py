"""The fallback's rules at work: looks, changes through the desk, what the audit has afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from memory_plane import MemoryPlane

from console.control.audit import Audit, EntryKind
from console.control.desk import Desk, Pace
from console.control.fallback_keeper import FallbackKeeper, arm_health
from console.control.fallback_state import fallback_of
from console.control.history import split_in
from console.control.plan import Purpose
from console.control.plane import ArmHealth, Health, Observed
from console.control.settings import Control
from console.control.who import Who

NAME = "flights"
ARMS = {"v1": "v1", "v2": "v2", "old": "v0", "static": "static"}


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


class TimedPlane(MemoryPlane):
    """Reads and counts at the time of the test."""

    def __init__(self, weights, time: Time, **more) -> None:
        super().__init__(weights, **more)
        self._time = time

    def read(self):
        return replace(super().read(), at=self._time.now)

    def counts(self):
        found = super().counts()
        return None if found is None else replace(found, at=self._time.now)


def control(**fallback) -> Control:
    return Control.model_validate(
        {
            "plane": {"kind": "envoy", "admin": ["http://127.0.0.1:1"], "prefix": "x"},
            "arms": ARMS,
            "stable": "v1",
            "verify": "1s",
            "fallback": {
                "target": [{"arm": "old"}, {"arm": "static"}],
                "rule": [{"figure": "error_rate", "above": 0.05, "window": "1m", "for": "30s"}],
                "automatic": True,
                "most": 3,
                "within": "1h",
                "hold": "2m",
                "return_automatically": True,
                **fallback,
            },
        }
    )


class Rig:
    """A keeper over a plane in memory with traffic."""

    def __init__(self, folder, *, refused: str = "", **fallback) -> None:
        self.time = Time()
        weights = {"v1": 20, "v2": 80, "old": 0, "static": 0}
        self.plane = TimedPlane(weights, self.time, traffic=200)
        self.audit = Audit(folder / "a.jsonl")
        self.control = control(**fallback)
        self.refused = refused
        self.restart()

    def restart(self) -> None:
        """A recorder that begins to look."""
        self.desk = Desk(
            NAME,
            self.control,
            self.plane,
            self.audit,
            Who("ops", "host", "", "recorder"),
            refused=self.refused,
            clock=self.time.clock,
            pace=Pace(sleep=self.time.sleep, monotonic=self.time.monotonic),
        )
        assert self.control.fallback is not None
        self.keeper = FallbackKeeper(self.desk, self.control.fallback)

    def look(self, times: int = 1, asks=None) -> list[str]:
        said: list[str] = []
        for _ in range(times):
            said += self.keeper.tick(asks, self.time.now)
            self.time.sleep(5)
        return said

    @property
    def state(self):
        return fallback_of(self.audit.entries(), NAME)

    @property
    def taking(self):
        return self.desk.look().split.taking

    def events(self) -> list[str]:
        return [
            e.fields["event"] for e in self.audit.entries() if e.kind is EntryKind.FALLBACK
        ]  # fmt: skip


@pytest.fixture
def rig(tmp_path) -> Rig:
    return Rig(tmp_path)


def test_errors_the_proxy_counts_lead_to_the_fallback(rig):
    rig.look(12)
    assert rig.taking == ("v1", "v2")
    rig.plane.error_rates["v2"] = 0.5
    said = rig.look(12)
    assert rig.taking == ("old",)
    assert rig.state.on == "old"
    assert rig.state.by_rule
    assert "surely above 0.05" in said[0]
    assert rig.events() == ["armed", "broken", "entered"]
    intent = next(e for e in rig.audit.entries() if e.kind is EntryKind.INTENT)
    assert intent.fields["reason"].startswith("rule: error_rate above 0.05 for 30s: error_rate of")
    assert intent.who.program == "recorder"


def test_a_few_errors_do_not(rig):
    rig.plane.error_rates["v2"] = 0.04
    rig.look(100)
    assert rig.taking == ("v1", "v2")
    assert rig.events() == ["armed"]


def test_without_requests_nothing_is_known_and_nothing_happens(rig):
    rig.plane.traffic = 0
    rig.look(40)
    assert rig.events() == ["armed"]


def test_the_dead_target_is_passed_over_and_a_dying_one_left(rig):
    rig.plane.health["old"] = Health.DOWN
    rig.plane.error_rates["v2"] = 0.5
    rig.look(12)
    assert rig.taking == ("static",)
    rig.plane.health |= {"old": Health.UP, "static": Health.DOWN}
    rig.look(3)
    assert rig.taking == ("old",)
    assert rig.events() == ["armed", "broken", "entered", "left", "entered"]
    first = next(e for e in rig.audit.entries() if e.kind is EntryKind.INTENT)
    assert rig.state.before == split_in(first.fields["before"])  # what was before the first one


def test_a_target_whose_requests_fail_is_as_good_as_down(rig):
    rig.plane.error_rates |= {"v2": 0.5, "old": 1.0}
    rig.look(30)
    assert rig.taking == ("static",)
    left = next(e for e in rig.audit.entries() if e.fields.get("event") == "left")
    assert "requests failed" in left.fields["why"]


def test_nothing_up_is_said_once_and_changes_nothing(rig):
    rig.plane.health = dict.fromkeys(rig.plane.arms, Health.DOWN)
    rig.plane.error_rates["v2"] = 0.5
    said = rig.look(60)
    assert rig.plane.applied == []
    assert len(said) == 1
    assert "there is no fallback to go to" in said[0]
    assert rig.events() == ["armed", "broken", "limited"]
    assert "no fallback to go to" in rig.state.person


def test_rules_without_permission_only_tell(tmp_path):
    rig = Rig(tmp_path, refused="this is read-only")
    rig.plane.error_rates["v2"] = 0.5
    said = rig.look(60)
    assert rig.plane.applied == []
    assert rig.events() == ["armed", "broken"]
    assert len(said) == 1
    assert said[0].endswith("this is read-only")


def test_a_restart_does_not_forget_the_fallback_nor_what_rules_used(rig):
    rig.plane.error_rates["v2"] = 0.5
    rig.look(12)
    rig.restart()
    rig.look(2)
    assert rig.state.on == "old"
    assert len(rig.state.changes) == 1
    rig.plane.health["old"] = Health.DOWN
    rig.look(3)
    assert rig.taking == ("static",)


def test_a_restart_begins_to_look_anew(rig):
    rig.look(2)
    rig.plane.error_rates["v2"] = 0.5
    rig.look(6)  # broken for less than its time
    rig.restart()
    rig.look(3)
    assert rig.taking == ("v1", "v2")


def test_a_refused_change_rests_and_a_person_is_told(rig):
    for replica in rig.plane.replicas:
        replica.takes = "refuse"
    rig.plane.error_rates["v2"] = 0.5
    rig.look(40)
    assert rig.taking == ("v1", "v2")
    assert 2 <= len(rig.plane.applied) <= 5
    assert rig.state.refused == len(rig.plane.applied)
    assert "tries were refused" in rig.state.person


def test_another_replica_that_is_dead_does_not_stand_in_the_way(tmp_path):
    rig = Rig(tmp_path)
    rig.plane = TimedPlane(
        {"v1": 20, "v2": 80, "old": 0, "static": 0}, rig.time, traffic=400, replicas=2
    )
    rig.restart()
    rig.plane.replicas[1].down = True
    rig.plane.error_rates["v2"] = 0.5
    rig.look(12)
    assert rig.plane.replicas[0].weights["old"] == 100


def test_an_unreadable_plane_is_said_and_nothing_is_done(rig):
    rig.plane.replicas[0].down = True
    said = rig.look(20)
    assert len(said) == 1
    assert "cannot be reached" in said[0]


def test_a_person_returns_and_rules_go_on(rig):
    rig.plane.error_rates["v2"] = 0.5
    rig.look(12)
    rig.plane.error_rates.clear()
    desk = Desk(
        NAME,
        rig.control,
        rig.plane,
        rig.audit,
        Who("mei", "host", "", "command"),
        refused="",
        clock=rig.time.clock,
        pace=Pace(sleep=rig.time.sleep, monotonic=rig.time.monotonic),
    )
    shares = {"v1": Fraction(100)}
    outcome = desk.act(desk.propose(Purpose.SET, shares, "fixed", None), NAME)
    assert outcome.changed, outcome
    rig.look(30)
    assert rig.taking == ("v1",)
    assert rig.events()[-1] == "kept"
    assert rig.state.told == {}


def test_an_audit_that_cannot_be_written_changes_nothing(rig):
    rig.look(12)
    rig.audit.path.unlink()
    rig.audit.path.mkdir()
    rig.plane.error_rates["v2"] = 0.5
    said = rig.look(12)
    assert rig.taking == ("v1", "v2")
    assert len(said) == 1


def test_health_is_the_worse_of_what_is_known():
    at = datetime(2026, 11, 21, tzinfo=UTC)
    plane = (ArmHealth("v1", Health.DOWN, "0 of 2"), ArmHealth("v2", Health.UP))
    seen = Observed(at, (), "", plane)
    own = {"v1": (Health.UP, "200"), "v2": (Health.DOWN, "503")}
    found = arm_health({"v1": "", "v2": "", "x": ""}, seen, own)
    assert found == {
        "v1": (Health.DOWN, "0 of 2"),
        "v2": (Health.DOWN, "503"),
        "x": (Health.UNKNOWN, ""),
    }
