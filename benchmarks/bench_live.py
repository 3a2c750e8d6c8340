"""A recorder under load: growing JSON lines, while three consoles look every two seconds."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from benchmarks.generator import CATEGORICAL, NUMERIC, Log
from benchmarks.lab import Lab
from benchmarks.live_store import cpu_of, peak_of
from benchmarks.measure import Figure

__all__ = ["run"]

RATE = int(os.environ.get("MODELWATCH_BENCH_RATE", "50000"))
CHUNK_S = 0.25
CONSOLES = 3
LEAD_S = 8.0

CONFIG = """
[store]
path = "store.duckdb"
memory_limit = "2GB"
[console]
window = "6h"
[[deployment]]
name = "bench"
task = "binary"
predictions = {{ path = "live" }}
timezone = "UTC"
timestamp = "ts"
version = "version"
score = "score"
prediction = "decision"
threshold = 0.3
latency_ms = "latency"
champion = "v1"
segments = ["region", "device"]
features = {{ numeric = {numeric}, categorical = {categorical} }}
[deployment.labels]
source = {{ path = "live-labels" }}
value = "label"
received = "received"
[[deployment.reference]]
path = "{reference}"
"""


def run(lab: Lab) -> Iterator[Figure]:
    """Rows as they come, at a fixed rate; what is seen of them, and when."""
    folder = lab.log.folder / f"live-{os.getpid()}"
    log = Log(folder / "made", max(lab.rows, 100_000))
    log.make()
    (folder / "live").mkdir(parents=True)
    (folder / "live-labels").mkdir()
    config = folder / "modelwatch.toml"
    config.write_text(
        CONFIG.format(
            numeric=json.dumps(NUMERIC),
            categorical=json.dumps(list(CATEGORICAL)),
            reference=log.folder / "reference" / "reference.parquet",
        )
    )
    n, seconds = log.rows, log.rows / RATE
    begin = time.time() + n / 100_000 + LEAD_S  # rows are timed before they are written
    _lines(log, folder / "lines.jsonl", begin)
    if time.time() > begin - LEAD_S / 2:
        raise RuntimeError("the machine is too busy to prepare the rows in time")
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    recorder = subprocess.Popen(
        [sys.executable, "-m", "console.cli", "record", "--config", str(config)],
        env=environment,
        stderr=(folder / "recorder.txt").open("w"),
    )
    lookers = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.looker",
                str(config),
                str(begin),
                str(begin + seconds + 3),
            ],
            env=environment,
            stdout=subprocess.PIPE,
        )
        for _ in range(CONSOLES)
    ]
    try:
        late = _write(folder / "lines.jsonl", folder / "live" / "log.jsonl", begin)
        drained = [json.loads(looker.communicate()[0]) for looker in lookers]
        cpu = cpu_of(recorder.pid)
        memory = peak_of(recorder.pid)
    finally:
        recorder.send_signal(signal.SIGTERM)
        recorder.wait(60)
    with duckdb.connect(str(folder / "store.duckdb"), read_only=True) as connection:
        kept = connection.execute("SELECT sum(n_new) FROM batches WHERE kind = 'predictions'")
        there = int((kept.fetchall()[0][0]) or 0)
    snapshots = sorted(s for d in drained for s in d["snapshots"])
    lags = sorted(s for d in drained for s in d["lags"])
    by_pane: dict[str, list[float]] = {}
    for d in drained:
        for pane, took in d["panes"]:
            by_pane.setdefault(pane, []).append(took)
    panes = ", ".join(f"{p} {_p(sorted(v), 0.95):.0f}" for p, v in sorted(by_pane.items()))
    name = f"{RATE:,} rows/s for {seconds:.0f} s"
    yield Figure("live", f"{name}: rows lost", n - there, "rows", goal="0", limit=0)
    yield Figure(
        "live",
        f"{name}: CPU of the recorder",
        cpu / seconds,
        "cores",
        note=f"of 2; the writer was at most {late:.1f} s late",
    )
    yield Figure(
        "live",
        f"{name}: snapshot of a pane, p95 of {len(snapshots)}",
        _p(snapshots, 0.95),
        "ms",
        goal="< 200 ms",
        limit=200,
        note=f"p50 {_p(snapshots, 0.5):.0f}; by pane: {panes}",
    )
    yield Figure(
        "live",
        f"{name}: row written to row in the store, p95 of {len(lags)}",
        _p(lags, 0.95),
        "s",
        goal="< 3 s",
        limit=3,
        note=f"p50 {_p(lags, 0.5):.2f}; a screen looks every 2 s",
    )
    yield Figure("live", f"{name}: peak memory of the recorder", memory, "MB")


def _lines(log: Log, path: Path, begin: float) -> None:
    """The log's rows as JSON lines in their order, timed as they will be written."""
    first = datetime.fromtimestamp(begin, UTC).replace(tzinfo=None)
    at = f"TIMESTAMP '{first}' + to_microseconds(CAST(i * {1e6 / RATE} AS BIGINT))"
    with duckdb.connect(config={"memory_limit": "2GB"}) as connection:
        connection.execute("SET preserve_insertion_order = true")
        connection.execute(
            f"COPY (SELECT * EXCLUDE (ts, i), {at} AS ts FROM (SELECT *, row_number() OVER () - 1 "
            f"AS i FROM read_parquet('{log.folder}/predictions/*.parquet')) AS a) "
            f"TO '{path}' (FORMAT json)"
        )


def _write(lines: Path, target: Path, begin: float) -> float:
    """Append them when their time has come; how late the latest piece was, in seconds."""
    size, late = int(RATE * CHUNK_S), 0.0
    with lines.open("rb") as source, target.open("ab", buffering=0) as out:
        for number in itertools.count(1):
            piece = b"".join(itertools.islice(source, size))
            if not piece:
                return late
            due = begin + number * CHUNK_S
            time.sleep(max(0.0, due - time.time()))
            out.write(piece)
            late = max(late, time.time() - due)
    return late


def _p(values: list[float], q: float) -> float:
    return values[min(len(values) - 1, int(q * len(values)))] if values else float("nan")
