"""What a recorder does by itself: one job that fails or waits holds up no other."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from memory_plane import MemoryPlane
from ramp_world import NAME, control

from collectors.contract import Deployment
from console.control import autopilot
from console.control.audit import Audit
from console.control.autopilot import Autopilot
from console.control.fallback_keeper import FallbackKeeper
from console.control.ramping import Ramper
from console.control.watch import Watch
from console.control.who import who

RULES = {"target": [{"arm": "v1"}], "rule": []}


class Looks:
    """Which jobs have looked; one of them does something else."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen = {job: threading.Event() for job in ("readings", "rules", "ramps")}
        self.said: list[tuple[str, str, str]] = []
        for job, where, name in (
            ("readings", Watch, "look"),
            ("rules", FallbackKeeper, "tick"),
            ("ramps", Ramper, "tick"),
        ):
            monkeypatch.setattr(where, name, self._looks(job))
        monkeypatch.setattr(autopilot, "make_plane", lambda *_: MemoryPlane({"v1": 100, "v2": 0}))
        self.odd = ""
        self.instead = lambda: None

    def _looks(self, job: str):
        def look(*_: object) -> tuple[str, ...]:
            if job == self.odd:
                self.instead()
            self.seen[job].set()
            return ()

        return look

    def pilot(self, folder: Path) -> Autopilot:
        deployment = Deployment.model_validate({
            "name": NAME, "task": "binary", "predictions": {"path": "logs"}, "score": "score",
        })  # fmt: skip
        audit = Audit(folder / "s.audit.jsonl")
        return Autopilot(
            [deployment], {NAME: control(fallback=RULES, poll="1s")}, folder, audit,
            who("recorder", os.environ), write=True, clock=lambda: datetime.now(UTC),
            say=lambda *told: self.said.append(told),
        )  # fmt: skip


@pytest.mark.parametrize("odd", ["readings", "rules", "ramps"])
@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_a_job_that_fails_or_hangs_holds_up_no_other(tmp_path, monkeypatch, odd, how):
    looks = Looks(monkeypatch)
    hold = threading.Event()
    looks.odd = odd

    def fails() -> None:
        raise RuntimeError("a bug")

    looks.instead = fails if how == "fails" else hold.wait
    pilot = looks.pilot(tmp_path)
    pilot.start()
    try:
        for job, seen in looks.seen.items():
            if job != odd:
                assert seen.wait(30), job
    finally:
        hold.set()
        pilot.close()
    if how == "fails":
        assert not looks.seen[odd].is_set()
        assert [text for _, text, _ in looks.said] == [f"{NAME}: unexpected RuntimeError: a bug"]
