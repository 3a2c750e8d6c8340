"""A recorder is killed hundreds of times while logs grow, rotate and repeat: every row, once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest
from synthetic import (
    assert_adds_up,
    assert_same,
    deployment,
    labels,
    opened,
    predictions,
    rollups,
    store_of,
)

from collectors.store.database import Database

ZYGOTE = Path(__file__).with_name("zygote.py")
ROOT = Path(__file__).parents[3]


class Writer:
    """A serving system and its labellers, until it is stopped: lines in pieces of any length."""

    def __init__(self, base: Path, seed: int) -> None:
        self.base, self.random = base, random.Random(seed)
        self.rows: list[dict[str, Any]] = []
        self.truths: list[dict[str, Any]] = []
        self.rotations = self.repeats = 0
        for kind in ("predictions", "labels"):
            (base / kind).mkdir()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            rows = predictions(self.random.randrange(1, 30), 1000 + number)
            said = labels(rows, number)
            self.rows += rows
            self.truths += said
            # some labels come before their prediction, some of the rows are sent again
            first, then = self.random.sample(["predictions", "labels"], 2)
            parts = {"predictions": rows, "labels": said}
            self._append(first, parts[first])
            self._append(then, parts[then])
            if self.random.random() < 0.1:
                self._append("predictions", self.random.sample(self.rows, min(20, len(self.rows))))
                self.repeats += 1
            if self.random.random() < 0.03:
                self._rotate()
            self._stop.wait(self.random.uniform(0.001, 0.02))

    def _append(self, kind: str, rows: list[dict[str, Any]]) -> None:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        with (self.base / kind / "current.jsonl").open("ab", buffering=0) as file:
            while data:
                n = self.random.randrange(1, 4000)
                file.write(data[:n])
                data = data[n:]

    def _rotate(self) -> None:
        """As logrotate does it: the file gets another name, a new one begins."""
        self.rotations += 1
        path = self.base / "predictions" / "current.jsonl"
        path.rename(path.with_name(f"old-{self.rotations}.jsonl"))


def killed_again_and_again(base: Path, contract: str, kills: int, seed: int) -> int:
    """Start and kill recorders; how many were killed while they were at work."""
    random_ = random.Random(seed)
    alive = 0
    with subprocess.Popen(
        [sys.executable, str(ZYGOTE), str(base), contract],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as zygote:
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        length = 0.0  # of a first pass with all before it, on this machine as it is now
        for _ in range(kills + 1):
            zygote.stdin.write("\n")
            zygote.stdin.flush()
            began = time.monotonic()
            pid = int(_line(zygote.stdout, lambda line: line.strip().isdecimal()))
            if not length:
                _line(zygote.stdout, lambda line: line == "pass\n")
                length = time.monotonic() - began
            else:
                # anywhere in opening, loading, rolling up, settling, or between two passes
                threading.Event().wait(random_.uniform(0, 1.5 * length))
                alive += Path(f"/proc/{pid}").exists()
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _gone(pid)
        zygote.stdin.close()
    return alive


def _line(stream: IO[str], wanted: Callable[[str], bool]) -> str:
    while not wanted(line := stream.readline()):
        assert line  # else the zygote has ended
    return line


def _gone(pid: int) -> None:
    until = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until
        os.sched_yield()


def crash(base: Path, kills: int, seed: int) -> None:
    """The whole story, and what must be true at its end."""
    contract = deployment()
    with Writer(base, seed) as writer:
        alive = killed_again_and_again(base, contract.model_dump_json(), kills, seed)
    assert alive == kills  # none ended by itself
    assert writer.repeats
    with Database(base / "store.duckdb") as database:
        batches = database.connection.execute("SELECT count(*) FROM batches").fetchall()[0][0]
        assert batches > kills / 10  # they did get something done
        ingest = opened(contract, base, database)
        assert not ingest.collect().problems
        stored = store_of(ingest)
        where = stored.layout.table
        found = database.connection.execute(
            f"SELECT id, count(*) FROM {where('predictions')} GROUP BY 1"
        ).fetchall()
        assert dict(found) == dict.fromkeys((r["id"] for r in writer.rows), 1)
        said = database.connection.execute(
            f"SELECT id, value, received, labeller FROM {where('labels')} UNION ALL "
            f"SELECT id, value, received, labeller FROM {where('waiting_labels')}"
        ).fetchall()
        wanted = {
            (t["id"], t["label"], _naive(t["received"]), t["by"], t["event"]) for t in writer.truths
        }
        assert sorted((i, v, r, b) for i, v, r, b, _ in wanted) == sorted(said)
        assert_adds_up(stored)
        added = rollups(stored)
        stored.rebuild(everything=True)
        assert_same(added, rollups(stored))


def _naive(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC).replace(tzinfo=None)


def test_killed_at_random_points_every_row_is_there_once(tmp_path: Path) -> None:
    crash(tmp_path, 15, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "kills"), [(2, 200), (3, 100)])
def test_killed_hundreds_of_times_every_row_is_there_once(
    tmp_path: Path, seed: int, kills: int
) -> None:
    crash(tmp_path, kills, seed)
