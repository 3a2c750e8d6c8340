"""A ramp for real: an Envoy under load, a recorder, the command, a version that breaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from servers import EnvoyServer, Process, Upstream, until

ROOT = Path(__file__).parents[3]

CONFIG = """
[store]
path = "store.duckdb"

[recorder]
interval = "1s"

[[deployment]]
name = "demo"
task = "binary"
predictions = {{ path = "logs" }}
score = "score"
version = "version"

[[control]]
plane = {{ kind = "envoy", admin = ["http://127.0.0.1:{admin}"], prefix = "split.model" }}
arms = {{ v1 = "v1", v2 = "v2" }}
stable = "v1"
write = true
least = 0
poll = "1s"
verify = "5s"
max_age = "1m"

[control.health]
v1 = "http://127.0.0.1:{v1}/"
v2 = "http://127.0.0.1:{v2}/health"

[control.ramp]
steps = [5, 25, 50, 100]
pause = "{pause}"
least = 20
{more}
"""


class Load:
    """Requests through the proxy, each a line of the log, until it is stopped."""

    def __init__(self, port: int, log: Path) -> None:
        self.n: dict[str, int] = {"v1": 0, "v2": 0, "": 0}
        self._port, self._log = port, log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        with self._log.open("a") as log:
            number = 0
            while not self._stop.wait(0.002):
                number += 1
                try:
                    connection.request("GET", "/")
                    reply = connection.getresponse()
                    body = reply.read().decode()
                except (OSError, HTTPException):
                    connection.close()
                    body, reply = "", None
                served = body if reply is not None and reply.status == 200 else ""
                self.n[served] = self.n.get(served, 0) + 1
                at = datetime.now(UTC).isoformat()
                row = {"id": f"r{number}", "timestamp": at, "version": body or "v1", "score": 0.5}
                log.write(json.dumps(row) + "\n")
                log.flush()
        connection.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)


class Place:
    """A proxy with two models, its configuration, and who records it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = {name: Upstream(name) for name in ("v1", "v2")}
        ports = {name: model.port for name, model in self.models.items()}
        self.envoy = EnvoyServer(folder / "envoy", ports, {"v1": 100, "v2": 0})
        self.recorder = Process(folder / "recorder.log")
        self.load: Load | None = None
        (folder / "logs").mkdir()

    def begin(self, pause: str = "1s", more: str = "") -> None:
        self.envoy.start()
        text = CONFIG.format(
            admin=self.envoy.admin, pause=pause, more=more,
            v1=self.models["v1"].port, v2=self.models["v2"].port,
        )  # fmt: skip
        (self.folder / "modelwatch.toml").write_text(text)
        self.load = Load(self.envoy.port, self.folder / "logs" / "log.jsonl")
        until(lambda: self.load.n["v1"] > 20, "requests")

    def record(self) -> None:
        socket = self.folder / "store.duckdb.sock"
        socket.unlink(missing_ok=True)
        command = [sys.executable, "-m", "console.cli", "record", *self._config]
        self.recorder.run(command, socket.exists, env=self._environment, cwd=ROOT)

    @property
    def _config(self) -> list[str]:
        return ["--config", str(self.folder / "modelwatch.toml")]

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def traffic(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "console.cli", "traffic", *words, *self._config],
            capture_output=True, text=True, timeout=60, check=False,
            env=self._environment, cwd=ROOT,
        )  # fmt: skip

    def ramp(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.traffic("ramp", *words)

    @property
    def events(self) -> list[dict]:
        audit = self.folder / "store.duckdb.audit.jsonl"
        entries = [json.loads(line) for line in audit.read_text().splitlines()]
        return [e["fields"] for e in entries if e["kind"] == "ramp"]

    def ended(self, how: str, seconds: float = 60) -> None:
        until(lambda: self.events and self.events[-1]["event"] == how, how, seconds)

    @property
    def weights(self) -> tuple[str | None, str | None]:
        found = self.envoy.runtime()
        return found.get("split.model.v1"), found.get("split.model.v2")

    def stop(self) -> None:
        if self.load is not None:
            self.load.stop()
        self.recorder.kill()
        self.envoy.stop()
        for model in self.models.values():
            model.stop()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.slow
def test_from_nothing_to_everything_also_when_the_recorder_is_killed(place):
    place.begin()
    place.record()
    began = place.ramp("v2", "--reason", "try v2", "--yes-i-mean", "demo")
    assert began.returncode == 0, began.stdout + began.stderr
    assert "5% -> 25% -> 50% -> 100%" in began.stdout
    assert "the recorder carries it on" in began.stderr
    until(lambda: any(e["event"] == "step" for e in place.events), "the second step", 60)
    place.recorder.kill()
    place.record()
    place.ended("done")
    steps = [e["step"] for e in place.events if e["event"] in ("started", "step")]
    assert steps == [0, 5, 25, 50, 100]
    assert place.weights[1] == "100" or place.weights[0] == "0"
    assert place.load.n[""] == 0
    status = place.ramp("status", "--format", "json")
    assert json.loads(status.stdout)["ramp"]["phase"] == "done"


@pytest.mark.slow
def test_a_version_that_breaks_is_rolled_back_to_measured_zero(place):
    place.begin(pause="1h")
    place.record()
    assert place.ramp("v2", "--reason", "try v2", "--yes-i-mean", "demo").returncode == 0
    place.models["v2"].status = 500
    place.ended("rolled_back")
    failing = next(e for e in place.events if e["event"] == "failing")
    assert "surely more" in failing["why"]
    assert place.weights[1] == "0"
    n = place.load.n["v2"] + place.load.n[""]
    more = place.load.n["v1"] + 200
    until(lambda: place.load.n["v1"] > more, "requests")
    assert place.load.n["v2"] + place.load.n[""] - n == 0
    shown = place.ramp("status")
    assert "rolled back" in shown.stdout


@pytest.mark.slow
def test_without_a_recorder_it_says_so_and_is_aborted_by_the_command(place):
    place.begin(pause="1h")
    place.record()
    until(lambda: place.ramp("v2", "--dry-run").returncode == 0, "rows in the store")
    place.recorder.kill()
    began = place.ramp("v2", "--reason", "try v2", "--yes-i-mean", "demo")
    assert began.returncode == 0, began.stdout + began.stderr
    assert "no recorder runs" in began.stderr
    again = place.ramp("v2", "--reason", "again", "--yes-i-mean", "demo")
    assert again.returncode == 2 and "abort it first" in again.stderr
    elsewhere = place.traffic("set", "v2=10", "--reason", "more", "--yes-i-mean", "demo")
    assert elsewhere.returncode == 1 and "a ramp of v2 is under way" in elsewhere.stderr
    assert "paused" in place.ramp("pause", "--reason", "lunch").stdout
    wrong = place.ramp("abort", "--yes-i-mean", "dem")
    assert wrong.returncode == 1
    assert place.events[-1]["event"] == "paused"
    aborted = place.ramp("abort", "--yes-i-mean", "demo")
    assert aborted.returncode == 0, aborted.stdout + aborted.stderr
    assert place.events[-1]["event"] == "aborted"
    assert place.weights == ("100", "0")
    assert place.load.n[""] == 0
    assert place.ramp("abort", "--yes-i-mean", "demo").returncode == 2
