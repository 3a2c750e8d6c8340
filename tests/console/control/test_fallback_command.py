"""`modelwatch fallback` over a real Envoy: on, off, status, preview."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from servers import EnvoyServer, Upstream, send

from console.cli import main
from console.control.audit import Audit, EntryKind
from console.control.entries import Entry

ARMS = ("v1", "v2", "simple")

CONFIG = """
[store]
path = "store.duckdb"
[console]
window = "1d"
[[deployment]]
name = "churn"
task = "binary"
predictions = "p.csv"
version = "version"
score = "score"
latency_ms = "latency"
labels = {{ source = "labels.csv", received = "received" }}
fallback = {{ prediction = "simple", name = "by hand" }}
costs = {{ false_positive = 1, false_negative = 5 }}
[[control]]
plane = {{ kind = "envoy", admin = ["http://127.0.0.1:{admin}"], prefix = "split.model" }}
arms = {{ v1 = "v1", v2 = "v2", simple = "" }}
stable = "v1"
verify = "20s"
[control.health]
v1 = "http://127.0.0.1:{v1}/"
v2 = "http://127.0.0.1:{v2}/"
simple = "http://127.0.0.1:{simple}/"
[[control.fallback.target]]
arm = "simple"
alike = "fallback"
[[control.fallback.target]]
arm = "v1"
[[control.fallback.rule]]
figure = "error_rate"
above = 0.05
"""


def logs(folder: Path) -> None:
    """Two hours until now, v2 mostly; the simple answer is right less often."""
    rng = np.random.default_rng(4)
    now = datetime.now(UTC)
    rows, labels = [], []
    for i in range(1200):
        at = now - timedelta(seconds=6 * (1200 - i))
        y = int(rng.random() < 0.4)
        score = float(np.clip(0.25 + 0.5 * y + rng.normal(0, 0.2), 0, 1))
        simple = y if rng.random() < 0.65 else 1 - y
        version = "v2" if rng.random() < 0.8 else "v1"
        latency = rng.gamma(8, 5)
        rows.append((i, at.isoformat(), version, f"{score:.5f}", simple, f"{latency:.2f}"))
        if i < 1100:
            labels.append((i, y, (at + timedelta(seconds=30)).isoformat()))
    for name, head, lines in (
        ("p.csv", "id,timestamp,version,score,simple,latency", rows),
        ("labels.csv", "id,label,received", labels),
    ):
        with (folder / name).open("w", newline="") as file:
            file.write(head + "\n")
            csv.writer(file).writerows(lines)


class Rig:
    """A store, an Envoy with requests, and three servers behind it."""

    def __init__(self, folder: Path) -> None:
        self.upstreams = {arm: Upstream(arm) for arm in ARMS}
        ports = {arm: u.port for arm, u in self.upstreams.items()}
        self.envoy = EnvoyServer(folder / "envoy", ports, {"v1": 0, "v2": 100, "simple": 0})
        self.envoy.start()
        self.config = folder / "modelwatch.toml"
        self.config.write_text(CONFIG.format(admin=self.envoy.admin, **ports))
        logs(folder)
        assert main(["record", "--once", "--config", str(self.config)]) == 0
        self.audit = Audit(folder / "store.duckdb.audit.jsonl")
        self._stop = threading.Event()
        threading.Thread(target=self._load, daemon=True).start()

    def _load(self) -> None:
        while not self._stop.is_set():
            send(self.envoy.port, 20)

    def run(self, *words: str) -> int:
        return main(["fallback", *words, "--config", str(self.config)])

    def serves(self) -> set[str]:
        """Who answers now."""
        return set(send(self.envoy.port, 30))

    def back(self) -> None:
        """As at the start."""
        self.envoy.modify(
            {"split.model.v1": 0, "split.model.v2": 100, "split.model.simple": 0}
        )  # fmt: skip
        for upstream in self.upstreams.values():
            upstream.status = 200

    def last(self, kind: EntryKind) -> Entry:
        return [e for e in self.audit.entries() if e.kind is kind][-1]

    def close(self) -> None:
        self._stop.set()
        self.envoy.stop()
        for upstream in self.upstreams.values():
            upstream.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("fallback"))
    yield rig
    rig.close()


@pytest.fixture
def rig(running: Rig, capsys: pytest.CaptureFixture[str]) -> Rig:
    running.back()
    capsys.readouterr()
    return running


WRITE = ("--write", "--yes-i-mean", "churn", "--reason", "v2 fails")


def test_on_and_off_again(rig, capsys):
    assert rig.run("on", *WRITE) == 0
    assert rig.serves() == {"simple"}
    assert "simple would have been worse: f1" in capsys.readouterr().out
    intent = rig.last(EntryKind.INTENT)
    assert intent.fields["purpose"] == "fallback"
    assert intent.fields["reason"] == "v2 fails"
    assert any("would have been worse" in text for text in intent.fields["effect"])
    assert rig.run("status", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["on"] == "simple"
    assert rig.run("off", "--write", "--yes-i-mean", "churn") == 0
    assert rig.serves() == {"v2"}
    assert rig.last(EntryKind.INTENT).fields["purpose"] == "return"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("on",), 2),
        (("on", "--dry-run"), 0),
        (("on", "--write", "--yes-i-mean", "other"), 1),
        (("on", "nobody", *WRITE), 2),
    ],
)
def test_nothing_is_changed_without_leave(rig, capsys, words, code):
    assert rig.run(*words) == code
    assert rig.serves() == {"v2"}


def test_a_target_that_is_down_is_passed_over(rig, capsys):
    rig.upstreams["simple"].status = 503
    assert rig.run("on", *WRITE) == 0
    assert rig.serves() == {"v1"}
    assert "simple is down" in capsys.readouterr().err


def test_a_named_target_that_is_down_is_refused(rig, capsys):
    rig.upstreams["simple"].status = 503
    assert rig.run("on", "simple", *WRITE) == 1
    assert rig.serves() == {"v2"}
    assert "sending it traffic would fail requests" in capsys.readouterr().err


def test_off_without_a_fallback_says_what_to_do(rig, capsys):
    # a change of another kind: what was before the fallback is over
    command = ["traffic", "rollback", "--config", str(rig.config)]
    assert main([*command, "--write", "--yes-i-mean", "churn"]) == 0
    capsys.readouterr()
    assert rig.run("off", "--write", "--yes-i-mean", "churn") == 2
    assert "modelwatch traffic set" in capsys.readouterr().err


def test_status_says_who_is_up_and_what_rules_see(rig, capsys):
    rig.upstreams["simple"].status = 500
    assert rig.run("status", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(t["arm"], t["health"]) for t in found["targets"]] == [("simple", "down"), ("v1", "up")]
    assert found["rules"][0]["rule"] == "error_rate above 0.05 for 2m"
    assert found["rules"][0]["verdict"] == "kept"
    assert rig.run("status") == 0
    assert "error_rate above 0.05 for 2m" in capsys.readouterr().out


def test_status_of_a_dead_plane(rig, capsys):
    rig.envoy.stop()
    try:
        assert rig.run("status") == 3
        said = capsys.readouterr()
        assert "cannot reach" in said.out + said.err
    finally:
        rig.envoy.start()
        text = rig.config.read_text()
        start = text.index("admin = [")
        rig.config.write_text(
            text[:start]
            + f'admin = ["http://127.0.0.1:{rig.envoy.admin}"'
            + text[text.index("]", start) :]
        )


def test_preview(rig, capsys):
    assert rig.run("preview") == 0
    shown = capsys.readouterr().out
    assert "simple would have been worse: f1" in shown
    assert "cost per 1,000" in shown
    assert rig.run("preview", "v1", "--format", "json", "--window", "3h") == 0
    found = json.loads(capsys.readouterr().out)
    assert [t["arm"] for t in found["targets"]] == ["v1"]
    assert found["targets"][0]["latency"]["latency_p95"]["value"] > 0


def test_no_terminal_library_and_no_plane_is_needed_to_preview(rig):
    code = (
        "import sys; from console.cli import main; "
        f"code = main(['fallback', 'preview', '--config', {str(rig.config)!r}]); "
        "assert not {'textual', 'rich', 'httpx'} & set(sys.modules), set(sys.modules); "
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "would have been worse" in done.stdout


def test_slips_of_the_pen(rig, capsys):
    assert rig.run("off", "simple") == 2
    assert rig.run("status", "simple") == 2
    assert rig.run("preview", "nobody") == 2
    assert rig.run("preview", "--window", "x") == 2
    assert "Traceback" not in capsys.readouterr().err
