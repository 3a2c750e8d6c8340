"""The recorder falls back by itself: a real Envoy, real failures, a recorder that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fallback_rig import Rig
from servers import until

from console.control.entries import EntryKind
from console.control.fallback_state import fallback_of

ROOT = Path(__file__).parents[3]

RULES = """
[[control.fallback.rule]]
figure = "error_rate"
above = 0.05
window = "15s"
for = "2s"
"""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    found = Rig(tmp_path, RULES)
    # the plane is looked at every second
    text = found.config.read_text().replace('verify = "20s"', 'verify = "5s"\npoll = "1s"')
    # what belongs to [control.fallback] stands before its targets
    first = text.index("[[control.fallback.target]]")
    found.config.write_text(f"{text[:first]}[control.fallback]\nautomatic = true\n{text[first:]}")
    yield found
    found.close()


@contextmanager
def recorder(rig: Rig, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "console.cli", "record", "--config", str(rig.config)]
    with log.open("ab") as out:
        child = subprocess.Popen(
            [*command, "--write"],
            stderr=out,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
        )
    try:
        yield child
    finally:
        child.kill()
        child.wait(10)


def on(rig: Rig) -> str:
    return fallback_of(rig.audit.entries(), "churn").on


@pytest.mark.slow
def test_the_recorder_falls_back_moves_on_from_a_dead_target_and_survives_a_kill(rig, tmp_path):
    log = tmp_path / "recorder.log"
    with recorder(rig, log):
        until(lambda: events(rig) == ["armed"], "rules to be watched", 60)
        rig.upstreams["v2"].status = 500
        until(lambda: on(rig) == "simple", f"the fallback: {log.read_text()}", 60)
        until(lambda: results(rig) == 1, "the result", 30)
        assert rig.serves() == {"simple"}
    # killed; its successor knows that it is on the fallback, and watches the target
    with recorder(rig, log):
        until(lambda: events(rig).count("armed") == 2, "rules to be watched again", 60)
        rig.upstreams["simple"].status = 503
        until(lambda: on(rig) == "v1", f"the next target: {log.read_text()}", 60)
        until(lambda: results(rig) == 2, "the result", 30)
        assert rig.serves() == {"v1"}
        until(lambda: events(rig)[-2:] == ["left", "entered"], "what was done in the audit")
    state = fallback_of(rig.audit.entries(), "churn")
    assert state.before is not None
    assert state.before.taking == ("v2",)
    assert rig.audit.verify().fine


def events(rig: Rig) -> list[str]:
    found = [e for e in rig.audit.entries() if e.kind is EntryKind.FALLBACK]
    return [str(e.fields["event"]) for e in found]


def results(rig: Rig) -> int:
    return sum(e.kind is EntryKind.RESULT for e in rig.audit.entries())
