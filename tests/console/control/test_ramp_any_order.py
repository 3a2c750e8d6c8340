"""Ramps under any order of time, faults, restarts and words of people."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ramp_world import CURRENT, World

from console.control import ramp_sight
from console.control.audit import EntryKind
from console.control.ramp_state import Event, Phase


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    """Figures of the store are the world's: `since` gives nothing to ask."""
    monkeypatch.setattr(ramp_sight, "evidence_of", lambda *a: CURRENT[0].evidence())
    monkeypatch.setattr(ramp_sight, "_judged", lambda *a, **k: ())
    monkeypatch.setattr(ramp_sight, "_logged", lambda *a: 0)


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
        for before, after in pairwise(wanted):
            assert steps.index(after) - steps.index(before) in (0, 1)

    @invariant()
    def every_increase_had_its_pause_or_a_person(self) -> None:
        """Two steps of a ramp are a pause apart, unless somebody promoted it."""
        last = None
        for e in self.w.audit.entries():
            event = e.fields.get("event")
            if event == "step":
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
