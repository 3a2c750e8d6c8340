"""A real model server under load, scraped by a real Prometheus, read by the command."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
from prometheus_server import HAS_PROMETHEUS, NO_PROMETHEUS, Prometheus, free_port, prometheus
from prometheus_server import wait_for as wait_for_server

from collectors.source_settings import PrometheusSource
from collectors.sources.prometheus_queries import queries_of
from console.config import load_config

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HAS_PROMETHEUS, reason=NO_PROMETHEUS)]

HERE = Path(__file__).parent
N_REQUESTS = 200
LONGEST_S = 60.0


@contextmanager
def served(folder: Path) -> Iterator[int]:
    port = free_port()
    log = folder / "model.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, HERE / "model_server.py", str(port)], stdout=file, stderr=file
        )
    try:
        wait_for_server(f"http://127.0.0.1:{port}/metrics", process, log)
        yield port
    finally:
        process.kill()
        process.wait()


@dataclass
class Load:
    """What the one who asks has measured: (version, whether it failed, seconds)."""

    requests: list[tuple[str, bool, float]] = field(default_factory=list)

    def drive(self, port: int, prometheus: Prometheus) -> None:
        """One request after the other, until eight scrapes have seen them."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        good = json.dumps({"inputs": [{"data": [0.0] * 64}]})
        began = time.monotonic()
        while time.monotonic() - began < LONGEST_S:
            k = len(self.requests)
            version, fails = "v2" if k % 3 == 0 else "v1", k % 10 == 0
            at = time.perf_counter()
            connection.request(
                "POST", f"/v2/models/digits/versions/{version}/infer", "{" if fails else good
            )
            status = connection.getresponse()
            status.read()
            assert status.status == (400 if fails else 200)
            self.requests.append((version, fails, time.perf_counter() - at))
            if k % 50 == 49 and self._scrapes(prometheus) >= 8 and k + 1 >= N_REQUESTS:
                break
        connection.close()

    def log(self, folder: Path) -> None:
        """The predictions as a log."""
        folder.mkdir()
        now = time.time()
        with (folder / "log.jsonl").open("w") as file:
            for i, (version, _, seconds) in enumerate(self.requests):
                row = {"id": str(i), "timestamp": now, "version": version, "digit": "0"}
                file.write(json.dumps(row | {"ms": 1000 * seconds}) + "\n")

    @staticmethod
    def _scrapes(prometheus: Prometheus) -> int:
        found = prometheus.ask("query", query="count_over_time(up[10m])")["result"]
        return int(found[0]["value"][1]) if found else 0


def seen_by(prometheus: Prometheus, n: int) -> None:
    """Wait until a scrape has the last request, and the step behind it is there to be read."""
    query = "sum(model_infer_request_duration_count)"
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        found = prometheus.ask("query", query=f"min_over_time(({query})[3s:1s])")["result"]
        if found and int(float(found[0]["value"][1])) == n:
            return
    raise AssertionError("Prometheus did not see all requests")


def page() -> tuple[str, list[list[str]]]:
    """The first configuration of the page about Prometheus, and its commands."""
    text = (Path(__file__).parents[3] / "docs" / "sources" / "prometheus.md").read_text()
    config = re.search(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert config is not None
    return config[1], [shlex.split(c) for c in re.findall(r"^\$ modelwatch (.*)$", text, re.M)]


def test_figures_are_those_of_prometheus_and_of_the_load(tmp_path: Path) -> None:
    """What docs/sources/prometheus.md says, step by step."""
    load = Load()
    raw = {
        "requests_total": "sum$only (model_infer_request_duration_count{$selector})",
        "failed_total": "sum$only (model_infer_request_failure_total{$selector})",
    }
    settings: dict[str, Any] = {"rate": "5s", "step": "1s", "back": "10m"}
    written, commands = page()
    with served(tmp_path) as port, prometheus(tmp_path, {"digits": f"127.0.0.1:{port}"}) as server:
        load.drive(port, server)
        load.log(tmp_path / "predictions")
        seen_by(server, len(load.requests))
        config = tmp_path / "modelwatch.toml"
        quick = "\n".join(f'{key} = "{value}"' for key, value in settings.items())
        written = written.replace('preset = "mlserver"', f'preset = "mlserver"\n{quick}')
        written = written.replace("http://127.0.0.1:9090", server.url)
        config.write_text(written + "\n".join(f'{m} = "{q}"' for m, q in raw.items()))
        store = tmp_path / "store.duckdb"
        shown = ""
        for command in [*commands, *commands[1:]]:  # the second time there is little that is new
            where = ["--config", config, *(["--store", store] if command[0] != "check" else [])]
            done = subprocess.run(
                [sys.executable, "-m", "console.cli", *command, *where],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            shown = done.stdout
        (tmp_path / "shown").write_text(shown)
        assert "latency_p95_ms" in shown
        with duckdb.connect(str(store), read_only=True) as connection:
            rows = set(
                connection.execute(
                    "SELECT epoch_ms(ts), metric, version, value FROM system_metrics"
                ).fetchall()
            )
        source = load_config(config).deployment[0].metrics[0]
        assert isinstance(source, PrometheusSource)
        times = sorted({ms / 1000 for ms, *_ in rows})
        assert rows == server.table(queries_of(source), "version", times[0], times[-1], 1)

    def of(metric: str, version: str) -> list[float]:
        return [value for _, m, v, value in sorted(rows) if (m, v) == (metric, version)]

    measured = {v: [s for w, _, s in load.requests if w == v] for v in ("v1", "v2")}
    for version, seconds in measured.items():
        fails = sum(f for w, f, _ in load.requests if w == version)
        assert of("requests_total", version)[-1] == len(seconds)
        assert of("failed_total", version)[-1] == fails
        # a request takes longer for who asks, by what the way there and back takes
        mean = 1000 * statistics.fmean(seconds)
        assert 0 < statistics.median(of("latency_mean_ms", version)) < mean * 1.5
        assert max(of("error_rate", version)) == pytest.approx(fails / len(seconds), abs=0.1)
        # a rate each second adds up to what was asked, but for what the first scrape found there
        # and for scrapes that a busy machine leaves out
        assert 0.3 < sum(of("requests_per_second", version)) / len(seconds) < 1.7
    slowest = 1000 * max(s for _, _, s in load.requests)
    p50, p99 = (of(f"latency_p{q}_ms", "") for q in (50, 99))
    assert all(a <= b for a, b in zip(p50, p99, strict=True))
    assert max(p99) <= max(5.0, 2.5 * slowest)  # a quantile is within its bucket
    assert 0 < max(of("cpu_cores", "")) < 4
