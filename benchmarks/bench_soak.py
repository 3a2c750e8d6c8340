"""A day of a recorder in minutes: is its memory flat, and how soon is a row on the screen?"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.live_store import peak_of, resident_of
from benchmarks.measure import ROOT, Figure
from benchmarks.terminal import Terminal
from collectors.live.client import SocketReader, connected
from collectors.store.moments import naive_utc

__all__ = ["run"]

STEPS = 1440
PER_STEP = 200
MARKS = 24
SCREENS = 25

CONFIG = """
[store]
path = "store.duckdb"
[console]
window = "24h"
[recorder]
interval = "1s"
[[deployment]]
name = "soak"
task = "binary"
predictions = { path = "live" }
version = "version"
score = "score"
latency_ms = "latency"
segments = ["region"]
features = { numeric = ["a", "b", "c"], categorical = ["region"] }
[deployment.labels]
source = { path = "live-labels" }
value = "label"
received = "received"
"""


def run(lab: Lab) -> Iterator[Figure]:
    """Minute after minute of a day, rotated hourly, with late and revised labels and repeats."""
    folder = lab.log.folder / f"soak-{os.getpid()}"
    for name in ("live", "live-labels"):
        (folder / name).mkdir(parents=True)
    config = folder / "modelwatch.toml"
    config.write_text(CONFIG)
    with _recorder(config, 0.1) as (pid, reader):
        begin = datetime.now(UTC) - timedelta(days=1)
        random_, recent, marks = random.Random(1), [], []
        for step in range(STEPS):
            at = begin + timedelta(minutes=step)
            recent = _minute(folder, random_, step, at, recent)
            _until(reader, (step + 1) * PER_STEP)
            if (step + 1) % (STEPS // MARKS) == 0:
                marks.append(resident_of(pid))
        settled = marks[MARKS // 4 :]  # until then caches fill
        yield Figure(
            "soak",
            f"24 h in {STEPS} steps, {STEPS * PER_STEP:,} rows: memory at the end, to hour 6",
            settled[-1] / settled[0],
            "x",
            goal="<= 1.1 x",
            limit=1.1,
            note="MB by hour: " + " ".join(f"{m:.0f}" for m in marks),
        )
        yield Figure("soak", "its peak", peak_of(pid), "MB")
    with _recorder(config, 1.0) as (pid, reader):
        yield _on_screen(config, folder)


@contextmanager
def _recorder(config: Path, interval: float) -> Iterator[tuple[int, SocketReader]]:
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "console.cli", "record", "--config", str(config)),
            *("--interval", str(interval)),
        ],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        reader = None
        while reader is None:
            time.sleep(0.05)
            reader = connected(config.parent / "store.duckdb")
        yield child.pid, reader
        reader.close()
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(60)


def _minute(
    folder: Path, random_: random.Random, step: int, at: datetime, recent: list[str]
) -> list[str]:
    """A minute's rows, some of them again, and labels of earlier ones, some revised."""
    lines, ids = [], []
    for i in range(PER_STEP):
        id_ = f"{step}-{i}"
        ids.append(id_)
        lines.append(
            {
                "id": id_,
                "timestamp": (at + timedelta(seconds=60 * i / PER_STEP)).isoformat(),
                "version": random_.choice(("v1", "v2")),
                "score": random_.random(),
                "latency": random_.lognormvariate(3, 1),
                "region": f"r{random_.randrange(12)}",
                **{name: random_.gauss(0, 1) for name in "abc"},
            }
        )
    again = random_.sample(lines, 3)
    _append(folder / "live" / f"{step // 60:02}.jsonl", [*lines, *again])
    known = random_.sample(recent, min(len(recent), PER_STEP))
    _append(
        folder / "live-labels" / "labels.jsonl",
        [{"id": k, "label": random_.randrange(2), "received": at.isoformat()} for k in known],
    )
    return [*recent, *ids][-20 * PER_STEP :]


def _append(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))


def _until(reader: SocketReader, n: int) -> None:
    end = naive_utc(datetime.now(UTC) + timedelta(days=1))
    until = time.monotonic() + 60
    while reader.query("extent", "soak", end=end)["n"].sum() < n:
        if time.monotonic() > until:
            raise RuntimeError(f"{n} rows did not come")
        time.sleep(0.01)


def _on_screen(config: Path, folder: Path) -> Figure:
    """From a written row to the count on the Data pane of a console with its usual refresh."""
    screen = Terminal(100, 30, ["-m", "console.cli", "--config", str(config)])
    took = []
    try:
        screen.until("Overview")
        screen.child.send("6")
        random_ = random.Random(2)
        screen.until("newest prediction")
        for number in range(SCREENS):
            screen.read(random_.uniform(1.0, 3.0))  # it may come at any moment of its rounds
            before = _count(screen)
            began = time.monotonic()
            row = {"id": f"late-{number}", "timestamp": datetime.now(UTC).isoformat()}
            _append(folder / "live" / "late.jsonl", [{**row, "version": "v1", "score": 0.5}])
            while _count(screen) <= before:
                screen.read(0.02, first=True)
                if time.monotonic() - began > 30:
                    raise RuntimeError(f"row {number} never came:\n{screen.text}")
            took.append(time.monotonic() - began)
    finally:
        screen.close()
    took.sort()
    return Figure(
        "soak",
        f"row written to row on the screen, p95 of {len(took)}",
        took[int(0.95 * len(took))],
        "s",
        goal="< 3 s",
        limit=3,
        note=f"p50 {took[len(took) // 2]:.2f}; files are looked at each second, "
        "the screen each two",
    )


def _count(screen: Terminal) -> int:
    """Predictions in the window, as the Data pane says."""
    found = re.search(r"predictions +([\d,]+)", screen.text)
    return int(found.group(1).replace(",", "")) if found else 0
