"""System metrics of a real Prometheus: what it says is in the store, once, with its gaps."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from preset_exposition import EXPOSITIONS
from prometheus_server import (
    HAS_PROMETHEUS,
    NO_PROMETHEUS,
    Prometheus,
    backfill,
    free_port,
    prometheus,
)
from synthetic import Logs

from collectors.source_settings import PrometheusSource
from collectors.sources.prometheus import open_source, place_of
from collectors.sources.prometheus_presets import PRESETS
from collectors.sources.prometheus_queries import queries_of, version_label

pytestmark = pytest.mark.skipif(not HAS_PROMETHEUS, reason=NO_PROMETHEUS)

STEP_S = 15
GAP = range(60, 100)
"""Scrapes that are missing, counted from the first."""

HOSTILE = {
    "escape": "\x1b[31mred\x1b]0;title\x07",
    "markup": "[bold]v[/bold]",
    "sql": "'; DROP TABLE system_metrics; --",
    "path": "../../etc/passwd",
    "wide": "版本一",
    "long": "x" * 300,
}


def past(now: int) -> Iterator[str]:
    """Two versions for two hours, with a hole; many versions; hostile names."""
    first = now - 7200
    scrapes = [(i, first + i * STEP_S) for i in range(7200 // STEP_S) if i not in GAP]
    for what, per_scrape in (("count", 30), ("sum", 0.6)):
        yield f"# TYPE model_infer_request_duration_{what} unknown"
        for version, weight in (("v1", 1), ("v2", 3)):
            for i, at in scrapes:
                labels = f'model="m",version="{version}",job="ml",instance="a"'
                value = i * per_scrape * weight
                yield f"model_infer_request_duration_{what}{{{labels}}} {value} {at}"
    yield "# TYPE many gauge"
    for k in range(250):
        for i, at in scrapes[-20:]:
            yield f'many{{version="v{k:03}"}} {i} {at}'
    yield "# TYPE hostile gauge"
    for name, value in HOSTILE.items():
        for i, at in scrapes[-4:]:
            yield f'hostile{{version="{value}",name="{name}"}} {i} {at}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    backfill(folder, past(int(time.time())))
    with prometheus(folder) as running:
        yield running


class Console(Logs):
    """A store that collects from one Prometheus, with a clock of its own."""

    def __init__(self, base: Path, **source: Any) -> None:
        base.mkdir(exist_ok=True)
        super().__init__(base, metrics=[source])
        self.source = PrometheusSource.model_validate(source)
        self.now = datetime.now(UTC)
        self.ingest.clock = lambda: self.now

    def samples(self) -> set[tuple[int, str, str, float]]:
        found = self.sql("SELECT epoch_ms(ts), metric, version, value FROM system_metrics")
        assert len(found) == len(set(found)), "samples are there twice"
        return set(found)

    def sql(self, statement: str) -> list[Any]:
        return self.ingest.database.connection.execute(statement).fetchall()

    def said(self, server: Prometheus) -> set[tuple[int, str, str, float]]:
        """What the server says about the steps that are to be had, asked in our place."""
        step = self.source.step.total_seconds()
        until = (self.now.timestamp() - min(15, step)) // step * step
        since = (self.now - self.source.back).timestamp() // step * step + step
        return server.table(queries_of(self.source), version_label(self.source), since, until, step)


def test_samples_are_what_the_server_says(server: Prometheus, tmp_path: Path) -> None:
    logs = Console(tmp_path, prometheus=server.url, preset="mlserver", selector='job="ml"')
    assert logs.collect() == []
    samples = logs.samples()
    assert samples == logs.said(server)
    assert len(samples) > 1000
    metrics = {metric for _, metric, _, _ in samples}
    assert {"requests_per_second", "latency_mean_ms", "error_rate"} <= metrics
    newest = {(m, v): value for _, m, v, value in sorted(samples)}
    assert newest["requests_per_second", "v1"] == pytest.approx(2)
    assert newest["requests_per_second", "v2"] == pytest.approx(6)
    assert newest["latency_mean_ms", "v2"] == pytest.approx(20)


def test_what_was_collected_is_not_asked_for_again(server: Prometheus, tmp_path: Path) -> None:
    logs = Console(tmp_path, prometheus=server.url, preset="mlserver")
    assert logs.collect() == []
    before = logs.samples()
    batches = logs.sql("SELECT count(*) FROM batches")
    assert logs.collect() == []
    assert logs.samples() == before
    assert logs.sql("SELECT count(*) FROM batches") == batches


def test_a_later_look_brings_the_steps_since(server: Prometheus, tmp_path: Path) -> None:
    logs = Console(tmp_path, prometheus=server.url, preset="mlserver", step="10s", back="1h")
    end, start = logs.now, logs.now - timedelta(seconds=100)
    logs.now = start
    assert logs.collect() == []
    first = logs.samples()
    for seconds in (3, 17, 40, 41, 99, 100):
        logs.now = start + timedelta(seconds=seconds)
        assert logs.collect() == []
    at_once = Console(tmp_path / "once", prometheus=server.url, preset="mlserver", step="10s")
    at_once.now = end
    assert at_once.collect() == []
    since = min(ms for ms, *_ in first)
    assert logs.samples() == {row for row in at_once.samples() if row[0] >= since}
    assert len(logs.samples()) > len(first)


def test_a_gap_stays_a_gap(server: Prometheus, tmp_path: Path) -> None:
    query = {"scraped": 'model_infer_request_duration_count{version="v1"}'}
    logs = Console(tmp_path, prometheus=server.url, queries=query, step="15s", version="version")
    assert logs.collect() == []
    times = sorted(ms // 1000 for ms, *_ in logs.samples())
    # Prometheus repeats a value for five minutes; the rest of the ten-minute hole is empty
    longest = max(b - a for a, b in pairwise(times))
    assert 200 <= longest <= len(GAP) * STEP_S
    assert logs.samples() == logs.said(server)


def test_a_query_that_is_refused_is_named_and_the_others_come(
    server: Prometheus, tmp_path: Path
) -> None:
    wrong = {"good": "sum(many)", "broken": "sum(many", "several": "many"}
    logs = Console(tmp_path, prometheus=server.url, queries=wrong, version="")
    (problem,) = logs.collect()
    assert "the query of broken" in problem
    assert "unclosed left parenthesis" in problem
    assert "check `queries`: sum(many" in problem
    assert "(and 1 more)" in problem
    before = logs.samples()
    assert {metric for _, metric, *_ in before} == {"good"}
    # mended, it gets the whole past that it missed
    right = {"good": "sum(many)", "broken": "sum(many)", "several": "max(many)"}
    mended = PrometheusSource(prometheus=server.url, queries=right, version="")
    known = dict(logs.sql("SELECT source, fingerprint FROM source_offset"))
    with open_source(mended, tmp_path) as puller:
        (page,) = puller.pages(known, tmp_path, logs.now)
    lines = page.path.read_text().splitlines()
    assert len(lines) == 2 * len(before)


def test_several_series_of_a_version_are_not_mixed(server: Prometheus, tmp_path: Path) -> None:
    query = {"a": "many", "b": "sum by (version) (many)"}
    logs = Console(tmp_path, prometheus=server.url, queries=query, version="")
    (problem,) = logs.collect()
    assert "several series; add them up, as sum(...) does" in problem
    assert logs.samples() == set()


def test_too_many_versions_are_limited_and_said(server: Prometheus, tmp_path: Path) -> None:
    query = {"many": "sum by (version) (many)"}
    logs = Console(tmp_path, prometheus=server.url, queries=query, version="version")
    (problem,) = logs.collect()
    assert "many has 250 versions; only the first 200 by name are kept" in problem
    assert {v for _, _, v, _ in logs.samples()} == {f"v{k:03}" for k in range(200)}


def test_hostile_labels_are_data(server: Prometheus, tmp_path: Path) -> None:
    query = {"hostile": "sum by (version) (hostile)"}
    logs = Console(tmp_path, prometheus=server.url, queries=query, version="version", step="15s")
    assert logs.collect() == []
    versions = {v for _, _, v, _ in logs.samples()}
    assert versions == set(HOSTILE.values()) - {HOSTILE["long"]}
    assert {reason for (reason,) in logs.bad("reason")} == {"version too long"}


def test_a_server_that_was_down_is_caught_up_with(tmp_path: Path) -> None:
    folder, port = tmp_path / "server", free_port()
    folder.mkdir()
    backfill(folder, past(int(time.time())))
    settings = {"prometheus": f"http://127.0.0.1:{port}", "preset": "mlserver", "step": "10s"}
    logs = Console(tmp_path / "store", **settings)
    end = logs.now
    logs.now = end - timedelta(seconds=100)
    (problem,) = logs.collect()
    assert f"cannot reach http://127.0.0.1:{port}" in problem
    with prometheus(folder, port=port):
        assert logs.collect() == []
    before = logs.samples()
    assert before
    logs.now = end
    (problem,) = logs.collect()
    assert "cannot reach" in problem
    assert logs.samples() == before
    with prometheus(folder, port=port) as server:  # its log is replayed first
        assert logs.collect() == []
        once = Console(tmp_path / "once", **settings)
        once.now = end
        assert once.collect() == []
        since = min(ms for ms, *_ in before)
        assert logs.samples() == {row for row in once.samples() if row[0] >= since}
        assert once.samples() == once.said(server)


def test_repeated_samples_are_dropped(server: Prometheus, tmp_path: Path) -> None:
    logs = Console(tmp_path, prometheus=server.url, preset="mlserver")
    assert logs.collect() == []
    before = logs.samples()
    logs.sql("DELETE FROM source_offset")
    assert logs.collect() == []
    assert logs.samples() == before
    assert logs.sql("SELECT sum(n_duplicate) FROM batches") == [(len(before),)]


@pytest.mark.slow
def test_killed_between_any_two_pages_it_has_every_sample_once(
    server: Prometheus, tmp_path: Path
) -> None:
    settings = {"prometheus": server.url, "preset": "mlserver", "step": "1s", "back": "3h"}
    clean = Console(tmp_path / "clean", **settings)
    assert clean.collect() == []
    n_pages = len(clean.sql("SELECT * FROM batches"))
    assert n_pages > 1
    for killed_after in range(n_pages):
        logs = Console(tmp_path / f"killed-{killed_after}", **settings)
        logs.now = clean.now
        (job,) = (j for j in logs.ingest.jobs() if j.is_pulled)
        with open_source(logs.source, tmp_path) as puller:
            pages = puller.pages(logs.ingest.known(job), tmp_path, logs.now)
            for _ in range(killed_after):
                logs.ingest.page(job, next(pages))
        assert logs.collect() == []
        assert logs.samples() == clean.samples()
        assert logs.sql("SELECT sum(n_duplicate) FROM batches") == [(0,)]


def test_sources_of_one_server_that_select_differently_keep_apart(server: Prometheus) -> None:
    names = {
        place_of(PrometheusSource(prometheus=server.url, preset="mlserver", selector=selector))
        for selector in ("", 'job="a"', 'job="b"')
    }
    assert len(names) == 3


# --- presets -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """All serving systems' metrics of ten minutes, each counter rising."""
    folder = tmp_path_factory.mktemp("presets")
    now = int(time.time())
    lines: list[str] = []
    for text in EXPOSITIONS.values():
        for line in text.strip().splitlines():
            series, _, per_second = line.rpartition(" ")
            target = 'job="j",instance="i"}'
            series = f"{series[:-1]},{target}" if series.endswith("}") else f"{series}{{{target}"
            lines.append(f"# TYPE {series.partition('{')[0]} unknown")
            for at in range(now - 600, now, 15):
                rises = per_second.startswith("+")
                value = float(per_second) * ((at - now + 600) if rises else 1)
                lines.append(f"{series} {value!r} {at}")
    backfill(folder, lines)
    with prometheus(folder) as running:
        yield running


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("version", [None, "", "instance"])
def test_every_query_of_a_preset_finds_what_the_system_writes(
    preset: str, version: str | None, served: Prometheus, tmp_path: Path
) -> None:
    source = PrometheusSource(
        prometheus=served.url, preset=preset, version=version, selector='job="j"', back="5m"
    )
    with open_source(source, tmp_path) as puller:
        (page,) = puller.pages({}, tmp_path, datetime.now(UTC))
        samples = [json.loads(line) for line in page.path.read_text().splitlines()]
    newest = {sample["metric"]: sample["value"] for sample in samples}
    assert set(newest) == set(PRESETS[preset].queries)
    label = PRESETS[preset].version if version is None else version
    if label:
        parted = ("requests_per_second", "error_rate")
        assert all(sample["version"] for sample in samples if sample["metric"] in parted)
    for metric, value in newest.items():
        assert value >= 0, metric
    for metric in ("error_rate", "cpu_utilization", "gpu_utilization"):
        assert newest.get(metric, 0.25) == pytest.approx(0.25), metric
    for metric in ("latency_p95_ms", "latency_mean_ms"):  # what each exposition says it is
        assert newest.get(metric, 50) == pytest.approx(50, rel=0.2), metric
    assert newest.get("gpu_memory_bytes", 2**30) == 2**30
