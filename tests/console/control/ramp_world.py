"""A plane in memory, a clock that only waiting moves, and a recorder: ramps in no time."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from memory_plane import MemoryPlane

from console.analysis.comparison import Comparison
from console.control.audit import Audit, EntryKind
from console.control.desk import Desk, Pace
from console.control.evidence import ArmEvidence, Evidence
from console.control.outcome import Outcome
from console.control.plan import Purpose
from console.control.ramp import plan_steps
from console.control.ramp_start import begin, begun, tell
from console.control.ramp_state import Event, Phase, RampState, ramp_of
from console.control.ramping import Ramper
from console.control.settings import Control
from console.control.who import who

__all__ = ["BEGIN", "CURRENT", "NAME", "World", "control"]

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
        self.logged = 0
        self.compared: tuple[Comparison, ...] = ()
        self.restart()

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self.now.timestamp()

    def desk(self, program: str = "recorder") -> Desk:
        pace = Pace(
            sleep=self.sleep, monotonic=self.monotonic, settle=1.0, look=1.0, lock=0, urgent_lock=0
        )
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

    def start(self, arm: str = "v2", told: Callable[[str], object] = lambda _: None) -> Outcome:
        desk = self.desk("command")
        steps = plan_steps(arm, self.control, desk.look(), self.plane.capabilities)
        proposal = desk.propose(Purpose.RAMP, {arm: steps[0]}, "new model", self.evidence())
        assert proposal.permitted, proposal.refusals
        veto = begin(desk, arm, steps, proposal.plan)
        outcome = desk.act(proposal, NAME, told, veto=veto)
        begun(desk, outcome)
        return outcome

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
        self.until_true(lambda: self.state.phase is phase, ticks, minutes)

    def until_true(self, there: Callable[[], bool], ticks: int = 200, minutes: float = 5) -> None:
        for _ in range(ticks):
            self.tick()
            if there():
                return
            self.sleep(60 * minutes)
        raise AssertionError(f"{self.state}: {self.events}")


CURRENT: list[World] = []
"""The world whose figures the store has."""
