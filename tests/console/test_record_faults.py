"""A recorder whose disk fills up: it waits, is told about, and goes on without a lost row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from collectors.errors import StoreError
from collectors.live.client import connected

ROOT = Path(__file__).parents[2]

CONFIG = """
[store]
path = "disk/store.duckdb"
[recorder]
interval = "1s"
least_free = {least_free}
[[deployment]]
name = "demo"
task = "binary"
predictions = {{ path = "logs" }}
score = "score"
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.getuid() != 0:
        pytest.skip("a small disk needs root to be mounted")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def append(place: Path, first: int, n: int) -> None:
    begin = datetime.now(UTC) - timedelta(hours=5)
    lines = [
        json.dumps(
            {
                "id": f"r{i}-{i * 7919 % 1000003}",
                "timestamp": (begin + timedelta(milliseconds=5 * i)).isoformat(),
                "score": (i * 37 % 1000) / 1000,
            }
        )
        for i in range(first, first + n)
    ]
    with (place / "logs" / "log.jsonl").open("a") as file:
        file.write("\n".join(lines) + "\n")


def until(child: subprocess.Popen[str], words: str, seconds: float = 90) -> str:
    """The line of its log that has these words."""
    assert child.stderr is not None
    end = time.monotonic() + seconds
    for line in child.stderr:
        if words in line:
            return line
        assert time.monotonic() < end
    raise AssertionError(f"it ended without {words!r}")


@pytest.mark.slow
@pytest.mark.parametrize("least_free", [0, 15])
def test_a_disk_that_is_full_loses_nothing(tmp_path: Path, disk: Path, least_free: int) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "modelwatch.toml").write_text(CONFIG.format(least_free=least_free))
    append(tmp_path, 0, 2000)
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "console.cli", "record", "--log-as", "json"),
            *("--config", str(tmp_path / "modelwatch.toml")),
        ],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as child:
        until(child, '"loaded"')
        ballast = disk / "ballast"
        with ballast.open("wb") as file:  # all but three megabytes
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            file.write(b"x" * max(0, free - 3_000_000))
        append(tmp_path, 2000, 150_000)
        if least_free:
            _until(lambda: "MB free" in _problems(tmp_path))
        else:
            until(child, '"level": "error"')
        ballast.unlink()
        _until(lambda: _count(tmp_path) == 152_000)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    with duckdb.connect(str(disk / "store.duckdb"), read_only=True) as connection:
        tables = connection.execute(
            "SELECT schema_name FROM duckdb_tables() WHERE table_name = 'predictions'"
        ).fetchall()
        found = connection.execute(
            f'SELECT count(*), count(DISTINCT id) FROM "{tables[0][0]}".predictions'
        ).fetchall()
    assert found == [(152_000, 152_000)]


def _until(done: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end
        os.sched_yield()


def _ask(place: Path) -> dict[str, object] | None:
    try:
        reader = connected(place / "disk" / "store.duckdb")
        if reader is None:
            return None
        state = reader.state()
        end = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
        state["n"] = int(reader.query("extent", "demo", end=end)["n"].sum())
        reader.close()
    except StoreError:
        return None
    return state


def _problems(place: Path) -> str:
    state = _ask(place)
    return str(state["problems"]) if state else ""


def _count(place: Path) -> object:
    state = _ask(place)
    return state["n"] if state else None
