"""System metrics come in long form, exactly once, and bad samples are set apart."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from synthetic import Logs, count, deployment, opened, store_of, write

from collectors.reader import InProcessReader

T = "2024-03-01T10:{:02}:00Z"


def samples(n: int, metric: str = "cpu") -> list[dict[str, object]]:
    return [
        {"at": T.format(i), "name": metric, "v": i / 10, "model": "v1" if i % 2 else ""}
        for i in range(n)
    ]


COLUMNS = {"path": "metrics", "timestamp": "at", "metric": "name", "value": "v", "version": "model"}


def n_samples(logs: Logs) -> int:
    rows = logs.ingest.database.connection.execute("SELECT count(*) FROM system_metrics").fetchall()
    return int(rows[0][0])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_samples_are_loaded_once(tmp_path: Path, suffix: str) -> None:
    logs = Logs(tmp_path, metrics=[COLUMNS])
    write(samples(10), tmp_path / "metrics" / "a", suffix)
    assert logs.collect() == []
    assert logs.collect() == []
    assert n_samples(logs) == 10
    write(samples(15), tmp_path / "metrics" / "a", suffix)  # grown, or replaced
    assert logs.collect() == []
    assert n_samples(logs) == 15


def test_several_sources_and_kinds_of_metrics(tmp_path: Path) -> None:
    plain = {"path": "gpu.csv", "timestamp": "at", "metric": "name", "value": "v"}
    logs = Logs(tmp_path, metrics=[COLUMNS, plain])
    write(samples(10), tmp_path / "metrics" / "a", ".parquet")
    write(samples(6, "gpu"), tmp_path / "gpu", ".csv")
    assert logs.collect() == []
    reader = InProcessReader(logs.ingest.database)
    found = reader.query(
        "metrics", "demo", start=datetime(2024, 3, 1, 10, 1), end=datetime(2024, 3, 2)
    )
    assert found.select("metric", "version", "n", "highest").rows() == [
        ("cpu", "", 4, 0.8),
        ("cpu", "v1", 5, 0.9),
        ("gpu", "", 5, 0.5),
    ]


def test_bad_samples_are_set_apart_with_their_reason(tmp_path: Path) -> None:
    logs = Logs(tmp_path, metrics=[COLUMNS])
    bad: dict[str, dict[str, object]] = {
        "timestamp not readable": {"at": "soon"},
        "timestamp without zone": {"at": "2024-03-01 10:00:00"},
        "timestamp in the future": {"at": "2999-03-01T10:00:00Z"},
        "no timestamp": {"at": None},
        "no metric name": {"name": ""},
        "number not usable": {"v": "much"},
        "version too long": {"model": "x" * 300},
    }
    good = samples(1)[0]
    write(
        [good | change for change in bad.values()] + [good, good],
        tmp_path / "metrics" / "a",
        ".jsonl",
    )
    write([{"at": T.format(1), "other": 1}], tmp_path / "metrics" / "b", ".jsonl")
    assert logs.collect() == []
    assert [reason for _, reason in logs.bad()] == [*bad, "no metric name"]
    assert logs.bad("detail")[-1] == ("there is no column 'name'",)
    assert n_samples(logs) == 1


def test_metrics_can_be_added_to_a_store_and_need_known_keys(tmp_path: Path) -> None:
    write(samples(3), tmp_path / "metrics" / "a", ".csv")
    ingest = opened(deployment(labels=None, predictions={"path": "*.csv"}), tmp_path)
    ingest.collect()
    more = deployment(labels=None, predictions={"path": "*.csv"}, metrics=[COLUMNS])
    ingest = opened(more, tmp_path, ingest.database)
    assert ingest.collect().n_new == 3
    assert count(store_of(ingest)) == 0
    with pytest.raises(ValidationError):
        deployment(metrics=[COLUMNS | {"unit": "percent"}])
