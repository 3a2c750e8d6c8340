"""The figures that rules are about, from a real store and from a proxy's counts."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from collectors.errors import StoreError
from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from collectors.store.database import Database
from console.config import load_config
from console.control.plane import ArmCount, Counts
from console.control.rule_figures import Asks, Grounds, look_at
from console.control.rules import Look, RuleVerdict
from console.control.settings import FallbackRule
from console.snapshots import Taker
from console.windows import make_ask

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(hours=8, minutes=37)
"""Fails from 08:15 on, within the hour."""

BROKE = START + timedelta(hours=8, minutes=15)

CONFIG = """
[store]
path = "store.duckdb"
[[deployment]]
name = "churn"
task = "binary"
predictions = "p.csv"
version = "version"
score = "score"
latency_ms = "latency"
error = "error"
labels = { source = "labels.csv", received = "received" }
reference = [{ path = "reference.csv" }]
features = { numeric = ["x"] }
"""


@pytest.fixture(scope="module")
def asks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asks]:
    """v1 answers ten times a minute; since 08:15 a third fails and answers are slow.

    Labels come for the first four hours only.
    """
    folder = tmp_path_factory.mktemp("rules")
    rng = np.random.default_rng(3)
    rows, labels, reference = [], [], []
    for i in range(int((NOW - START).total_seconds() // 6)):
        at = START + timedelta(seconds=6 * i)
        broken = at >= BROKE
        score = rng.beta(2, 3)
        failed = "timeout" if broken and rng.random() < 0.33 else ""
        latency = rng.gamma(8, 5 if not broken else 60)
        rows.append((i, at.isoformat(), "v1", f"{score:.6f}", f"{latency:.2f}", failed, 1))
        y = int(rng.random() < score)
        if at < START + timedelta(hours=4):
            labels.append((i, y, (at + timedelta(minutes=5)).isoformat()))
        reference.append((f"{rng.beta(2, 3):.6f}", 0, 1))
        reference[-1] = (reference[-1][0], int(rng.random() < float(reference[-1][0])), 1)
    write(folder / "p.csv", "id,timestamp,version,score,latency,error,x", rows)
    write(folder / "labels.csv", "id,label,received", labels)
    write(folder / "reference.csv", "score,label,x", reference)
    path = folder / "modelwatch.toml"
    path.write_text(CONFIG)
    config = load_config(path)
    with Database(folder / "store.duckdb", config.engine()) as database:
        collected = Ingest(database, config.deployment, folder, lambda: NOW).collect()
        assert not collected.problems
    with Database(folder / "store.duckdb", config.engine(), read_only=True) as database:
        reader = InProcessReader(database)

        def window(length: timedelta):
            taker = Taker(reader, config.deployment, live=NOW)
            ask = make_ask(config.deployment[0], NOW, length, watched=True)
            return taker, taker.asked(ask)

        yield window
        reader.close()


def write(path: Path, head: str, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        file.write(head + "\n")
        csv.writer(file).writerows(rows)


def look(asks: Asks | None, counts: tuple[Counts, ...] = (), **rule: object) -> Look:
    made = FallbackRule.model_validate({"window": "15m", **rule})
    return look_at([made], Grounds("blue", "v1", asks, counts, NOW))[0]


def test_errors_in_the_logs_are_those_of_the_window_not_of_the_whole_hour(asks):
    found = look(asks, figure="error_rate", above=0.05)
    assert found.verdict is RuleVerdict.BROKEN
    assert found.estimate.value == pytest.approx(0.33, abs=0.08)  # a third, without 08:00 to 08:15
    assert found.estimate.n == 170  # 08:20 to 08:37, ten a minute
    assert "predictions in the logs" in found.why


def test_errors_before_it_broke_are_none(asks):
    def earlier(length: timedelta):
        taker, _ = asks(length)
        ask = make_ask(taker.deployments["churn"], BROKE, length, as_of=BROKE, watched=True)
        return taker, taker.asked(ask)

    found = look(earlier, figure="error_rate", above=0.05)
    assert (found.verdict, found.estimate.value) == (RuleVerdict.KEPT, 0.0)


def counted(n: int, errors: int | None, *, ago: float = 5) -> tuple[Counts, ...]:
    rows = (ArmCount("r1", "blue", 0, 0 if errors is not None else None, "1"),)
    first = Counts(NOW - timedelta(minutes=10), rows)
    last = replace(first, at=NOW - timedelta(seconds=ago))
    return first, replace(last, rows=(ArmCount("r1", "blue", n, errors, "1"),))


def test_fresher_counts_of_the_proxy_go_first(asks):
    found = look(asks, counted(5_000, 10), figure="error_rate", above=0.05)
    assert found.verdict is RuleVerdict.KEPT
    assert "5,000 requests the proxy counted" in found.why


@pytest.mark.parametrize(
    "counts", [counted(3, 0), counted(5_000, None), counted(5_000, 10, ago=90), ()]
)
def test_where_the_proxy_cannot_tell_the_logs_do(asks, counts):
    found = look(asks, counts, figure="error_rate", above=0.05)
    assert found.verdict is RuleVerdict.BROKEN
    assert "in the logs" in found.why


def test_latency(asks):
    found = look(asks, figure="latency_p95", above=200)
    assert found.verdict is RuleVerdict.BROKEN
    assert look(asks, figure="latency_p95", above=5_000).verdict is RuleVerdict.KEPT


def test_the_age_of_the_data_is_exact(asks):
    assert look(asks, figure="data_age", above=60).verdict is RuleVerdict.KEPT
    found = look(asks, figure="data_age", above=3)
    assert found.verdict is RuleVerdict.BROKEN
    assert found.why == "the newest prediction's age is 6 s: surely above 3"


def test_without_labels_the_estimated_figure_is_taken(asks):
    found = look(asks, figure="f1", below=0.2, window="1h")
    assert found.verdict is RuleVerdict.KEPT
    assert "estimated from scores" in found.why
    found = look(asks, figure="f1", below=0.99, window="1h")
    assert found.verdict is RuleVerdict.BROKEN


def test_with_labels_the_realised_one_is(asks):
    at = START + timedelta(hours=4)

    def earlier(length: timedelta):
        taker, _ = asks(length)
        ask = make_ask(taker.deployments["churn"], NOW, length, start=at - length, end=at)
        return taker, taker.asked(ask)

    found = look(earlier, figure="f1", below=0.2, window="2h")
    assert found.verdict is RuleVerdict.KEPT
    assert "labelled predictions" in found.why
    estimated = look(earlier, figure="estimated:f1", below=0.2, window="2h")
    assert "estimated from scores" in estimated.why
    low, high = estimated.estimate.low, estimated.estimate.high
    assert low <= found.estimate.value <= high


def test_a_store_that_cannot_be_asked_is_unknown_not_an_outage():
    def closed(_: timedelta):
        raise StoreError("the store is not open")

    for asks in (None, closed):
        for figure in ("data_age", "error_rate", "f1", "latency_p95"):
            found = look(asks, figure=figure, above=0)
            assert found.verdict is RuleVerdict.UNKNOWN
    assert "the store is not open" in look(closed, figure="f1", above=0).why


def test_a_figure_nobody_has_is_said(asks):
    found = look(asks, figure="happiness", below=1)
    assert found.verdict is RuleVerdict.UNKNOWN
    assert "there is no figure 'happiness'; there is" in found.why


def test_a_version_without_rows_is_unknown(asks):
    made = FallbackRule.model_validate({"figure": "error_rate", "above": 0})
    found = look_at([made], Grounds("green", "v9", asks, (), NOW))[0]
    assert found.verdict is RuleVerdict.UNKNOWN
    assert found.why == "error_rate of green is not known"
