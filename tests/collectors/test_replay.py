"""A replay in steps ends where a whole load does, and each record comes at its own time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from synthetic import (
    NOW,
    START,
    TASKS,
    Row,
    assert_adds_up,
    assert_same,
    count,
    deployment,
    labels,
    opened,
    predictions,
    quarantined,
    rollups,
    store_of,
    with_reference,
    write,
)

from collectors.contract import Deployment
from collectors.errors import FormatError, SourceError
from collectors.ingest import Ingest
from collectors.replay import Replay
from collectors.store.batches import BatchCounts

NEW_YORK = "America/New_York"


def typed(rows: Sequence[Row]) -> list[Row]:
    """Rows whose times are times, as a Parquet file has them."""
    times = ("ts", "received", "event")
    return [
        {k: datetime.fromisoformat(v) if k in times and v else v for k, v in row.items()}
        for row in rows
    ]


def logs(base: Path, task: str = "binary", n: int = 250) -> Ingest:
    """A deployment over two Parquet files of each kind, not in the order of time."""
    rows = predictions(n, 5, task)
    truths = labels(rows, 6, task)
    for kind, records in (("predictions", rows), ("labels", truths)):
        half = len(records) // 2
        write(typed(records[:half]), base / kind / "a", ".parquet")
        write(typed(records[half:]), base / kind / "b", ".parquet")
    return opened(with_reference(base, task), base)


def begin(ingest: Ingest, until: datetime) -> Replay:
    replay = Replay(ingest)
    list(replay.first_load(until))
    return replay


def in_steps(ingest: Ingest, hours: int) -> Replay:
    """From before the first record to the last one."""
    replay = begin(ingest, START - timedelta(hours=1))
    at, end = START, replay.end()
    while at < end:
        replay.advance(at)
        at += timedelta(hours=hours)
    replay.advance(end)
    return replay


def loaded(ingest: Ingest) -> dict[str, tuple[int, ...]]:
    """What became of the records, by kind."""
    sums = "sum(n_read), sum(n_new), sum(n_quarantined)"
    rows = ingest.database.connection.execute(
        f"SELECT kind, {sums} FROM batches GROUP BY kind"
    ).fetchall()
    return {kind: tuple(int(n) for n in counts) for kind, *counts in rows}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("hours", [3, 1000])
def test_steps_end_where_a_whole_load_does(tmp_path: Path, task: str, hours: int) -> None:
    whole, ingest = logs(tmp_path, task), logs(tmp_path, task)
    assert not whole.collect().problems
    in_steps(ingest, hours)
    stored = store_of(ingest)
    assert_adds_up(stored)
    assert loaded(ingest).keys() == loaded(whole).keys()
    for table in ("predictions", "labels"):
        assert count(stored, table) == count(store_of(whole), table)
    assert_same(rollups(stored), rollups(store_of(whole)))


def test_every_record_comes_at_its_own_time(tmp_path: Path) -> None:
    ingest = logs(tmp_path)
    replay = begin(ingest, START + timedelta(hours=2))
    stored = store_of(ingest)
    made = pl.read_parquet(tmp_path / "predictions" / "*.parquet")["ts"]
    said = pl.read_parquet(tmp_path / "labels" / "*.parquet")["received"]
    for hours in (2, 5, 11, 30, 60):
        until = START + timedelta(hours=hours, minutes=7)
        replay.advance(until)
        assert count(stored) == (made <= until).sum()
        n = ingest.database.connection.execute(
            "SELECT sum(n_read) FROM batches WHERE kind = 'labels'"
        ).fetchall()[0][0]
        assert n == (said <= until).sum()


def test_the_end_is_the_last_record_of_any_kind(tmp_path: Path) -> None:
    ingest = logs(tmp_path)
    replay = Replay(ingest)
    last = pl.read_parquet(tmp_path / "labels" / "*.parquet")["received"].max()
    assert replay.end() == last
    replay.advance(replay.end())
    assert loaded(ingest)["predictions"][0] == 250
    assert loaded(ingest)["labels"][0] == len(pl.read_parquet(tmp_path / "labels" / "*.parquet"))


def test_advancing_to_the_same_moment_again_loads_nothing(tmp_path: Path) -> None:
    ingest = logs(tmp_path)
    replay = begin(ingest, START + timedelta(hours=1))
    until = START + timedelta(hours=9)
    assert replay.advance(until).n_read
    found = rollups(store_of(ingest))
    for again in (until, until - timedelta(hours=3), START - timedelta(days=900)):
        assert replay.advance(again) == BatchCounts()
    assert Replay(ingest).advance(until) == BatchCounts()
    assert_same(rollups(store_of(ingest)), found)


def test_a_moment_is_met_to_the_microsecond(tmp_path: Path) -> None:
    moments = [START + timedelta(microseconds=i) for i in range(1, 40)]
    rows = [{"id": f"r{i}", "ts": t, "score": 0.5} for i, t in enumerate(moments)]
    write(rows, tmp_path / "predictions" / "a", ".parquet")
    ingest = opened(one_score(), tmp_path)
    replay = begin(ingest, START)
    for i, moment in enumerate(moments):
        replay.advance(moment)
        assert count(store_of(ingest)) == i + 1


def one_score(**changes: Any) -> Deployment:
    contract: dict[str, Any] = {
        "name": "demo",
        "task": "binary",
        "predictions": {"path": "predictions/*.parquet"},
        "timestamp": "ts",
        "score": "score",
    }
    return Deployment.model_validate(contract | changes)


LABELS = {"labels": {"source": {"path": "labels/*.parquet"}, "received": "received"}}


@pytest.mark.parametrize("of", ["naive", "written", "milliseconds", "seconds"])
def test_times_are_read_as_loading_reads_them(tmp_path: Path, of: str) -> None:
    utc = [START.replace(tzinfo=None) + timedelta(hours=h) for h in range(12)]
    local = timedelta(hours=5)  # New York is behind UTC by this in March, before the clock changes
    seconds = [int((t - datetime(1970, 1, 1)).total_seconds()) for t in utc]
    times: list[Any] = {
        "naive": [t - local for t in utc],
        "written": [(t - local).isoformat() for t in utc],
        "milliseconds": [s * 1000 for s in seconds],
        "seconds": [float(s) for s in seconds],
    }[of]
    zone = NEW_YORK if of in ("naive", "written") else ""
    rows = [{"id": f"r{i}", "ts": t, "score": 0.5} for i, t in enumerate(times)]
    truths = [{"id": f"r{i}", "label": 1, "received": t} for i, t in enumerate(times)]
    write(rows, tmp_path / "predictions" / "a", ".parquet")
    write(truths, tmp_path / "labels" / "a", ".parquet")
    ingest = opened(one_score(timezone=zone, **LABELS), tmp_path)
    replay = Replay(ingest)
    assert replay.end() == utc[-1].replace(tzinfo=UTC)
    for i, moment in enumerate(utc):
        replay.advance(moment.replace(tzinfo=UTC))
        assert count(store_of(ingest)) == count(store_of(ingest), "labels") == i + 1
    stored = store_of(ingest)
    table = stored.layout.table("predictions")
    found = ingest.database.connection.execute(f"SELECT ts FROM {table} ORDER BY ts").fetchall()
    assert [t for (t,) in found] == utc


def test_labels_without_a_received_time_come_when_they_happened(tmp_path: Path) -> None:
    hours = [START + timedelta(hours=h) for h in range(4)]
    rows = [{"id": f"r{i}", "ts": START, "score": 0.5} for i in range(4)]
    truths = [
        {
            "id": f"r{i}",
            "label": 1,
            "received": t if i % 2 else None,
            "event": START if i % 2 else t,
        }
        for i, t in enumerate(hours)
    ]
    write(rows, tmp_path / "predictions" / "a", ".parquet")
    write(truths, tmp_path / "labels" / "a", ".parquet")
    both = {"source": {"path": "labels"}, "received": "received", "event": "event"}
    ingest = opened(one_score(labels=both), tmp_path)
    replay = Replay(ingest)
    for i, moment in enumerate(hours):
        replay.advance(moment)
        assert count(store_of(ingest), "labels") == i + 1


def test_what_has_no_time_comes_last_and_once(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "ts": START.isoformat(), "score": 0.5},
        {"id": "b", "ts": "yesterday", "score": 0.5},
        {"id": "c", "ts": None, "score": 0.5},
        {"id": "d", "ts": (START + timedelta(hours=3)).isoformat(), "score": 0.5},
    ]
    write(rows, tmp_path / "predictions" / "a", ".parquet")
    ingest = opened(one_score(), tmp_path)
    replay, stored = begin(ingest, START + timedelta(hours=1)), store_of(ingest)
    assert (count(stored), quarantined(stored)) == (1, [])
    for hours in (2, 3, 4, 5):
        replay.advance(START + timedelta(hours=hours))
    assert count(stored) == 2
    assert sorted(reason for _, reason in quarantined(stored)) == [
        "no timestamp",
        "timestamp not readable",
    ]
    assert_adds_up(stored)


def test_a_log_without_its_time_column_is_set_apart_once(tmp_path: Path) -> None:
    write([{"id": "a", "score": 0.5}], tmp_path / "predictions" / "a", ".parquet")
    ingest = opened(one_score(), tmp_path)
    replay = begin(ingest, START)
    assert replay.end() < START
    for hours in (1, 2, 3):
        replay.advance(START + timedelta(hours=hours))
    assert quarantined(store_of(ingest)) == [(1, "no timestamp")]


def test_columns_and_files_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "predictions"
    row = {"id": "a", "ts": START, "score": 0.25, "position": 7, "at_": 1, "ID": "no", "c0": 2}
    write([row], folder / "x[1]?*", ".parquet")
    later = row | {"id": "b", "ts": START + timedelta(hours=1), "new": {"a": [1, 2]}}
    write([later], folder / "y", ".parquet")
    source = {"predictions": {"path": "predictions"}, "features": {"numeric": ["position"]}}
    ingest = opened(one_score(**source), tmp_path)
    in_steps(ingest, 1)
    stored = store_of(ingest)
    found = ingest.database.connection.execute(
        f"SELECT id, score, f0 FROM {stored.layout.table('predictions')} ORDER BY id"
    ).fetchall()
    assert found == [("a", 0.25, 7.0), ("b", 0.25, 7.0)]


def test_a_column_that_comes_later_is_read(tmp_path: Path) -> None:
    rows = predictions(60, 3)
    first = [{k: v for k, v in row.items() if k != "x"} for row in rows[:30]]
    write(typed(first), tmp_path / "predictions" / "a", ".parquet")
    write(typed(rows[30:]), tmp_path / "predictions" / "b", ".parquet")
    ingest = opened(deployment(labels=None), tmp_path)
    in_steps(ingest, 10)
    table = store_of(ingest).layout.table("predictions")
    known = ingest.database.connection.execute(f"SELECT count(f0) FROM {table}").fetchall()
    assert known[0][0] == sum(row["x"] is not None for row in rows[30:])


def test_bins_of_a_few_first_rows_are_taken_anew_once_there_are_enough(tmp_path: Path) -> None:
    whole, ingest = (opened(deployment(labels=None), tmp_path) for _ in range(2))
    write(typed(predictions(6000, 9)), tmp_path / "predictions" / "a", ".parquet")
    whole.collect()
    in_steps(ingest, 10)
    key = "SELECT bins_from FROM deployments"
    assert ingest.database.connection.execute(key).fetchall()[0][0] >= 5000
    counted = [
        sum(sums[0] for sums in rollups(store_of(i))["rollup_feature"].values())
        for i in (whole, ingest)
    ]
    assert counted[0] == counted[1]


def test_what_cannot_be_replayed_is_a_sentence(tmp_path: Path) -> None:
    write(predictions(5, 1), tmp_path / "predictions" / "a", ".csv")
    write(labels(predictions(5, 1), 2), tmp_path / "labels" / "a", ".jsonl")
    replay = Replay(opened(deployment(), tmp_path))
    sentence = r"cannot replay predictions: .*; only whole Parquet files can be replayed"
    with pytest.raises(FormatError, match=sentence):
        replay.end()
    with pytest.raises(FormatError, match=sentence):
        replay.advance(NOW)
    with pytest.raises(FormatError, match=sentence):
        list(replay.first_load(NOW))

    (tmp_path / "none").mkdir()
    nothing = Replay(opened(one_score(predictions={"path": "none"}), tmp_path))
    with pytest.raises(SourceError, match="no file matches none"):
        nothing.end()

    undated = {"source": {"path": "labels"}}
    contract = one_score(predictions={"path": "p.parquet"}, labels=undated)
    write([{"id": "a", "ts": START, "score": 0.5}], tmp_path / "p", ".parquet")
    with pytest.raises(FormatError, match=r"labels of demo cannot be replayed.*give `received`"):
        Replay(opened(contract, tmp_path)).end()


def test_a_damaged_file_costs_no_rollups(tmp_path: Path) -> None:
    ingest = logs(tmp_path)
    replay = Replay(ingest)
    path = tmp_path / "labels" / "b.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FormatError, match="cannot replay labels"):
        list(replay.first_load(NOW))
    assert not store_of(ingest).loader.defer
