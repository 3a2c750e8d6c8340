"""A store of two hours, a real Envoy with requests, and three servers behind it."""

from __future__ import annotations

import csv
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from servers import EnvoyServer, Upstream, send

from console.cli import main
from console.control.audit import Audit, EntryKind
from console.control.entries import Entry

__all__ = ["Rig"]

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

    def __init__(self, folder: Path, more: str = "") -> None:
        self.upstreams = {arm: Upstream(arm) for arm in ARMS}
        ports = {arm: u.port for arm, u in self.upstreams.items()}
        self.envoy = EnvoyServer(folder / "envoy", ports, {"v1": 0, "v2": 100, "simple": 0})
        self.envoy.start()
        self.config = folder / "modelwatch.toml"
        self.config.write_text(CONFIG.format(admin=self.envoy.admin, **ports) + more)
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
