"""Retention: what is deleted, that figures stay, and that nothing comes in twice or gets lost."""

from __future__ import annotations

import random
import select
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from synthetic import (
    NOW,
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
from collectors.errors import StoreError
from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from collectors.store import late
from collectors.store.catalog import StoredDeployment
from collectors.store.database import Database
from collectors.store.keeping import RetentionSettings
from collectors.store.reasons import Reason
from collectors.store.retention import retain, used_bytes
from collectors.store.sealed import sealed_of

DAY = timedelta(days=1)
DAYS = 7
BEGIN = datetime(2024, 3, 1)
SEALED = datetime(2024, 3, 5)
KEEP = NOW.replace(tzinfo=None) - SEALED
RAW = RetentionSettings(raw=KEEP)


def loaded(folder: Path, task: str = "binary", n: int = 200, **changes: Any) -> Ingest:
    """A week of predictions and labels in a store."""
    rows = predictions(n, 1, task, hours=24 * DAYS)
    write(rows, folder / "predictions" / "a", ".jsonl")
    write(labels(rows, 2, task), folder / "labels" / "a", ".jsonl")
    database = changes.pop("database", None)
    ingest = opened(with_reference(folder, task, **changes), folder, database)
    assert not ingest.collect().problems
    return ingest


def retained(stored: StoredDeployment) -> dict[str, tuple[datetime, int]]:
    """What was deleted, before when, and how much of it."""
    rows = stored.database.connection.execute("SELECT what, before, n FROM retained").fetchall()
    return {what: (before, n) for what, before, n in rows}


def kept(ingest: Ingest, wanted: RetentionSettings = RAW, most: int | None = None) -> int:
    return retain(ingest.database, ingest.stored, wanted, NOW, most=most)


@pytest.mark.parametrize("task", TASKS)
def test_figures_stay_when_raw_rows_go(tmp_path: Path, task: str) -> None:
    ingest = loaded(tmp_path, task)
    stored = store_of(ingest)
    before, rows = rollups(stored), count(stored)
    assert kept(ingest) == 4  # the first to the fourth of March
    old = f"SELECT count(*) FROM {stored.layout.schema}.{{}} WHERE ts < TIMESTAMP '{SEALED}'"
    for table in ("predictions", "labels"):
        assert stored.database.connection.execute(old.format(table)).fetchall() == [(0,)]
    assert 0 < count(stored) < rows
    assert retained(stored)["raw"][0] == SEALED
    assert_same(rollups(stored), before)
    stored.rebuild(everything=True)
    assert_same(rollups(stored), before)
    stored.sum_days()
    assert_same(rollups(stored), before)
    assert kept(ingest) == 0  # nothing is left to do
    assert_adds_up(stored)


def test_nothing_is_deleted_that_is_not_asked_for(tmp_path: Path) -> None:
    ingest = loaded(tmp_path)
    stored = store_of(ingest)
    tables = ("predictions", "labels", "buckets", "waiting_labels", "rollup_binary", "day_binary")
    before = {table: count(stored, table) for table in tables}
    assert kept(ingest, RetentionSettings()) == 0
    assert kept(ingest, RetentionSettings(raw=365 * DAY, quarantine=365 * DAY)) == 0
    assert {table: count(stored, table) for table in tables} == before
    assert retained(stored) == {}


def test_it_goes_in_pieces_oldest_first(tmp_path: Path) -> None:
    ingest = loaded(tmp_path)
    stored = store_of(ingest)
    for day in range(1, 5):
        assert kept(ingest, most=1) == 1
        assert retained(stored)["raw"][0] == BEGIN + day * DAY
    assert kept(ingest, most=1) == 0


def test_a_day_that_is_sent_again_does_not_count_twice(tmp_path: Path) -> None:
    ingest = loaded(tmp_path)
    stored = store_of(ingest)
    before = rollups(stored)
    kept(ingest)
    rows = predictions(200, 1, hours=24 * DAYS)
    n_old = sum(datetime.fromisoformat(r["ts"]) < SEALED.replace(tzinfo=UTC) for r in rows)
    write(rows, tmp_path / "predictions" / "again", ".csv")
    write(labels(rows, 2), tmp_path / "labels" / "again", ".csv")
    collected = ingest.collect()
    assert collected.n_new == 0
    assert_same(rollups(stored), before)
    assert_adds_up(stored)
    reasons = [reason for _, reason in quarantined(stored)]
    n_kept = reasons.count(Reason.SEALED)
    of_predictions = "SELECT count(*) FROM quarantine WHERE kind = 'predictions'"
    assert stored.database.connection.execute(of_predictions).fetchall() == [(n_old,)]
    # the file is touched, and read anew from its beginning: nothing is kept a second time
    log = tmp_path / "predictions" / "again.csv"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([lines[0].replace("id", " id", 1), *lines[1:]]).replace(" id", "id"))
    stored.database.connection.execute(
        "DELETE FROM source_offset WHERE source LIKE '%again.csv' AND kind = 'predictions'"
    )
    ingest._read_whole.clear()  # as after a restart
    assert ingest.collect().n_new == 0
    assert [reason for _, reason in quarantined(stored)].count(Reason.SEALED) == n_kept
    assert_same(rollups(stored), before)
    assert_adds_up(stored)


def test_of_many_such_records_the_first_are_kept_with_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "CONTENTS", 10)
    ingest = loaded(tmp_path)
    stored = store_of(ingest)
    kept(ingest)
    write(predictions(200, 1, hours=24 * DAYS), tmp_path / "predictions" / "again", ".csv")
    ingest.collect()
    rows = stored.database.connection.execute(
        "SELECT content <> '', position FROM quarantine WHERE kind = 'predictions' ORDER BY 2"
    ).fetchall()
    assert [whole for whole, _ in rows] == [True] * 10 + [False] * (len(rows) - 10)
    assert len(rows) > 50
    assert_adds_up(stored)


def test_a_late_prediction_of_a_deleted_day_is_refused_and_a_recent_one_counts(
    tmp_path: Path,
) -> None:
    ingest = loaded(tmp_path)
    stored = store_of(ingest)
    kept(ingest)
    before = rollups(stored)
    fresh = predictions(1, 77)[0]
    old = fresh | {"id": "old", "ts": (SEALED - timedelta(seconds=1)).isoformat() + "Z"}
    write([old], tmp_path / "predictions" / "late", ".jsonl")
    assert ingest.collect().n_new == 0
    assert_same(rollups(stored), before)
    assert (1, Reason.SEALED.value) in quarantined(stored)
    new = fresh | {"id": "new", "ts": SEALED.isoformat() + "Z"}
    write([new], tmp_path / "predictions" / "later", ".jsonl")
    assert ingest.collect().n_new == 1


def test_late_labels_of_deleted_days_go_to_quarantine(tmp_path: Path) -> None:
    rows = predictions(50, 1, hours=24 * DAYS)
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    (tmp_path / "labels").mkdir()
    ingest = opened(with_reference(tmp_path, "binary"), tmp_path)
    ingest.collect()
    stored = store_of(ingest)
    kept(ingest)
    before = rollups(stored)
    old = min(rows, key=lambda r: r["ts"])
    said = {"id": old["id"], "label": 1, "event": None, "by": "ann"}
    soon = said | {"received": (SEALED - DAY).isoformat() + "Z"}
    late_ = said | {"received": (SEALED + DAY).isoformat() + "Z"}
    write([soon, late_], tmp_path / "labels" / "a", ".jsonl")
    ingest.collect()
    assert quarantined(stored) == [(1, Reason.SEALED.value)]
    # the second might be of a prediction to come: it waits until that would be refused too
    assert count(stored, "waiting_labels") == 1
    assert_same(rollups(stored), before)
    assert_adds_up(stored)
    kept(ingest, RetentionSettings(raw=KEEP - 2 * DAY))
    assert count(stored, "waiting_labels") == 0
    assert [reason for _, reason in quarantined(stored)] == [Reason.SEALED.value] * 2
    assert_adds_up(stored)


def window(low: datetime, high: datetime, as_of: datetime | None = None) -> dict[str, Any]:
    return {"start": low, "end": high, "as_of": as_of}


def test_the_past_of_deleted_days_is_said_to_be_unknown(tmp_path: Path) -> None:
    whole = loaded(tmp_path)
    there = InProcessReader(whole.database)
    moment = SEALED + timedelta(hours=30)
    recent = window(SEALED, moment, moment)
    wanted = there.query("binary", "demo", **recent, step="hour", first=0, last=0)
    ingest = opened(with_reference(tmp_path, "binary"), tmp_path)
    ingest.collect()
    kept(ingest)
    reader = InProcessReader(ingest.database)
    # what has its raw rows can be told as of any moment
    found = reader.query("binary", "demo", **recent, step="hour", first=0, last=0)
    assert_frame_equal(found, wanted)
    # a label came after the moment to an hour that has none
    asked = window(SEALED - 2 * DAY, moment, SEALED - DAY)
    with pytest.raises(StoreError, match=r"no longer known: raw rows before 2024-03-05"):
        reader.query("binary", "demo", **asked, step="hour", first=0, last=0)
    # but how it stands now is
    now = window(SEALED - 2 * DAY, moment, NOW.replace(tzinfo=None))
    found = reader.query("binary", "demo", **now, step="hour", first=0, last=0)
    assert_frame_equal(found, there.query("binary", "demo", **now, step="hour", first=0, last=0))
    # volume does not change with labels
    asked = window(SEALED - 2 * DAY, SEALED, SEALED)
    assert reader.query("volume", "demo", **asked, step="hour").height > 0
    reader.close()
    there.close()


@pytest.mark.parametrize("task", TASKS)
def test_old_hours_become_days_and_figures_by_the_day_stay(tmp_path: Path, task: str) -> None:
    ingest = loaded(tmp_path, task)
    stored = store_of(ingest)
    reader = InProcessReader(ingest.database)
    name = {"binary": "binary", "multiclass": "multiclass"}.get(task, "regression")
    end = BEGIN + 10 * DAY
    spans = [
        window(BEGIN, end),
        window(BEGIN + DAY, BEGIN + 2 * DAY),
        window(BEGIN + 2 * DAY, SEALED + timedelta(hours=5)),
    ]
    asked: list[tuple[str, dict[str, Any]]] = []
    for span in spans:
        for step in ("day", "all"):
            some = {**span, "step": step}
            asked += [(q, {**some, "first": -9, "last": 9}) for q in (name, "totals", "features")]
            asked += [(q, some) for q in ("volume", "delay")]
        asked.append(("latency", span))
    asked += [("versions", {"end": end}), ("extent", {"end": end})]
    before = [reader.query(q, "demo", **params) for q, params in asked]
    settings_ = RetentionSettings(raw=KEEP, hours=KEEP + DAY)
    kept(ingest, settings_)
    assert retained(stored)["hours"][0] == SEALED - DAY
    hours = f"SELECT min(bucket) FROM {stored.layout.schema}.rollup_volume"
    first = stored.database.connection.execute(hours).fetchall()[0][0]
    assert first >= SEALED - DAY
    for (query, params), wanted in zip(asked, before, strict=True):
        found = reader.query(query, "demo", **params)
        # when a version was first and last seen is known to the day
        seen = ("first_seen", "last_seen") if query == "versions" else ()
        assert_frame_equal(
            found.drop(*seen), wanted.drop(*seen), check_exact=False, rel_tol=1e-9, abs_tol=1e-9
        )
    for span, step in ((spans[0], "hour"), (window(BEGIN + timedelta(hours=5), end), "day")):
        with pytest.raises(StoreError, match="by the day"):
            reader.query("volume", "demo", **span, step=step)
    stored.rebuild(everything=True)
    stored.sum_days()
    for (query, params), wanted in zip(asked, before, strict=True):
        if query != "versions":
            found = reader.query(query, "demo", **params)
            assert_frame_equal(found, wanted, check_exact=False, rel_tol=1e-9, abs_tol=1e-9)
    reader.close()


def test_in_the_end_all_of_a_time_goes(tmp_path: Path) -> None:
    ingest = loaded(tmp_path)
    stored = store_of(ingest)
    kept(ingest, RetentionSettings(raw=KEEP, days=KEEP + DAY))
    limit = SEALED - DAY
    assert retained(stored)["days"][0] == limit
    for table in ("buckets", "rollup_binary", "day_binary", "day_totals", "rollup_feature"):
        oldest = f"SELECT min(bucket) FROM {stored.layout.table(table)}"
        found = stored.database.connection.execute(oldest).fetchall()[0][0]
        assert found is None or found >= limit, table
    again = predictions(200, 1, hours=24 * DAYS)
    write(again, tmp_path / "predictions" / "again", ".csv")
    assert ingest.collect().n_new == 0


def sums(stored: StoredDeployment) -> list[Any]:
    """What of the binary outcomes depends on no bin, per day and segment value."""
    return stored.database.connection.execute(
        "SELECT date_trunc('day', bucket) AS d, version, segment, value, predicted, sum(n), "
        "sum(n_labelled), sum(n_positive), round(sum(log_loss_sum), 9), sum(fallback_tp) "
        f"FROM {stored.layout.table('rollup_binary')} GROUP BY ALL HAVING sum(n) <> 0 ORDER BY ALL"
    ).fetchall()


def test_another_reference_costs_what_depends_on_its_bins_and_says_so(tmp_path: Path) -> None:
    ingest = loaded(tmp_path)
    stored = store_of(ingest)
    kept(ingest)
    before = sums(stored)
    others = [r for r in predictions(300, 98) if r["error"] is None]
    for row in others:
        row["x"] = None if row["x"] is None else row["x"] * 3
    write(others, tmp_path / "reference", ".parquet")
    assert not ingest.collect().problems
    assert sums(stored) == before
    gone = retained(stored)
    assert {"features", "score bins", "conditions"} <= set(gone)
    assert all(gone[what][0] == SEALED for what in ("features", "score bins", "conditions"))
    query = stored.database.connection.execute
    table = stored.layout.table("rollup_binary")
    old = f"FROM {table} WHERE bucket < TIMESTAMP '{SEALED}' AND bin >= 0"
    assert query(f"SELECT count(*) {old}").fetchall() == [(0,)]
    assert query(f"SELECT count(*) {old.replace('<', '>=', 1)}").fetchall()[0][0] > 0
    # rows since then are built on the new bins, and a rebuild changes nothing
    found = rollups(stored)
    stored.rebuild(everything=True)
    assert_same(rollups(stored), found)
    # what of the features kept its bins is still there: the predicted class
    features = query(
        f"SELECT DISTINCT feature FROM {stored.layout.table('rollup_feature')} "
        f"WHERE bucket < TIMESTAMP '{SEALED}'"
    ).fetchall()
    assert (-2,) in features
    assert (0,) not in features


def test_another_segment_leaves_those_that_are_the_same(tmp_path: Path) -> None:
    with Database(tmp_path / "s.duckdb") as database:
        ingest = loaded(tmp_path, database=database, crosses=True)
        kept(ingest)
        before = sums(store_of(ingest))
    size = {"name": "size", "column": "x", "edges": [0.0, 1.0]}
    more = {"name": "size2", "column": "x", "edges": [0.5]}
    contract = with_reference(tmp_path, "binary", crosses=True, segments=["shop", size, more])
    with Database(tmp_path / "s.duckdb") as database:
        ingest = opened(contract, tmp_path, database)
        assert not ingest.collect().problems
        stored = store_of(ingest)
        found = sums(stored)
        # 1 shop, 2 size, and their cross, which was 3 and is 4 behind the new segment
        of = {0: 0, 1: 1, 2: 2, 3: 4}
        moved = sorted((*r[:2], of[r[2]], *r[3:]) for r in before if r[0] < SEALED)
        assert sorted(r for r in found if r[0] < SEALED) == moved
        assert {r[2] for r in found if r[0] >= SEALED} == {0, 1, 2, 3, 4, 5, 6}


def test_hours_that_wait_for_a_rebuild_are_built_before_their_rows_go(tmp_path: Path) -> None:
    with Database(tmp_path / "s.duckdb") as database:
        loaded(tmp_path, database=database)
    contract = with_reference(tmp_path, "binary", segments=["shop"])
    with Database(tmp_path / "s.duckdb") as database, Database(None) as empty:
        ingest = opened(contract, tmp_path, database)
        kept(ingest)  # nothing was collected since the segments changed: no hour is built
        ingest.collect()
        fresh = opened(contract, tmp_path, empty)
        fresh.collect()
        assert_same(rollups(store_of(ingest)), rollups(store_of(fresh)))


def test_other_tables_go_by_age(tmp_path: Path) -> None:
    ingest = loaded(tmp_path)
    stored = store_of(ingest)
    (tmp_path / "predictions" / "bad.csv").write_text("id,ts\n1,never\n")
    ingest.collect()
    n = len(quarantined(stored))
    assert n > 0
    query = stored.database.connection.execute
    query(
        "INSERT INTO system_metrics VALUES (TIMESTAMP '2024-01-01', 'demo', 'cpu', '', 1, 1), "
        "(TIMESTAMP '2024-03-09', 'demo', 'cpu', '', 2, 1)"
    )
    query(
        "INSERT INTO split_readings VALUES (TIMESTAMP '2024-01-01', 'demo', '', '1', 1, 0, 0, ''), "
        "(TIMESTAMP '2024-03-09', 'demo', '', '1', 2, 0, 0, '')"
    )
    query("UPDATE quarantine SET at_time = TIMESTAMP '2024-01-01' WHERE position = 1")
    query("UPDATE batches SET loaded_at = TIMESTAMP '2024-01-01' WHERE kind = 'labels'")
    wanted = RetentionSettings(quarantine=30 * DAY, metrics=30 * DAY, batches=30 * DAY)
    kept(ingest, wanted)
    assert query("SELECT value FROM system_metrics").fetchall() == [(2.0,)]
    assert query("SELECT weight FROM split_readings").fetchall() == [(2,)]
    assert 1 not in [position for position, _ in quarantined(stored)]
    # where rows came from is kept as long as any of them may be here
    assert query("SELECT count(*) FROM batches WHERE kind = 'labels'").fetchall()[0][0] > 0
    kept(ingest, RetentionSettings(raw=KEEP, batches=30 * DAY))
    assert query("SELECT count(*) FROM batches WHERE kind = 'labels'").fetchall() == [(0,)]
    assert query("SELECT count(*) FROM batches WHERE kind = 'reference'").fetchall() != [(0,)]


def test_by_size_the_oldest_days_go_until_it_fits(tmp_path: Path) -> None:
    with Database(tmp_path / "s.duckdb") as database:
        ingest = loaded(tmp_path, n=300, database=database)
        stored = store_of(ingest)
        before = rollups(stored)
        database.connection.execute("CHECKPOINT")
        assert kept(ingest, RetentionSettings(size=used_bytes(database.connection))) == 0
        # far too small: everything but the newest day goes, and it ends
        assert kept(ingest, RetentionSettings(size=1), most=2) == 1
        days = kept(ingest, RetentionSettings(size=1))
        assert days >= 5
        left = database.connection.execute(
            f"SELECT DISTINCT date_trunc('day', ts) FROM {stored.layout.table('predictions')}"
        ).fetchall()
        assert len(left) == 1
        assert_same(rollups(stored), before)


def test_logs_without_times_are_kept(tmp_path: Path) -> None:
    rows = predictions(20, 1)
    write([{"score": r["score"]} for r in rows if r["score"]], tmp_path / "predictions" / "a")
    contract = Deployment.model_validate(
        {
            "name": "demo",
            "task": "binary",
            "predictions": {"path": "predictions"},
            "score": "score",
            "timestamp": "",
            "id": "",
        }
    )
    ingest = opened(contract, tmp_path)
    ingest.collect()
    n = count(store_of(ingest))
    assert n > 0
    assert kept(ingest, RetentionSettings(raw=DAY, hours=30 * DAY, days=40 * DAY)) == 0
    assert count(store_of(ingest)) == n


CHILD = """
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from collectors.contract import Deployment
from collectors.ingest import Ingest
from collectors.store.database import Database
from collectors.store.keeping import RetentionSettings
from collectors.store.retention import retain
base, contract = Path(sys.argv[1]), Deployment.model_validate_json(sys.argv[2])
now = datetime(2024, 3, 10, tzinfo=timezone.utc)
with Database(base / "s.duckdb") as database:
    ingest = Ingest(database, [contract], base, lambda: now)
    wanted = RetentionSettings(raw=timedelta(days=3), hours=timedelta(days=5))
    print("open", flush=True)
    retain(database, ingest.stored, wanted, now, most=None, told=lambda w: print(w, flush=True))
    print("done", flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with Database(tmp_path / "s.duckdb") as database:
        ingest = loaded(tmp_path, database=database)
        before = sums(store_of(ingest))
    contract = with_reference(tmp_path, "binary")
    random_ = random.Random(3)
    reached = set()
    for kill in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), contract.model_dump_json()],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child:
            assert child.stdout is not None
            for _ in range(1 + kill % 2):
                child.stdout.readline()
            select.select([child.stdout], [], [], random_.uniform(0, 0.1))
            child.send_signal(signal.SIGKILL)
        with Database(tmp_path / "s.duckdb") as database:
            sealed = sealed_of(database.connection, "demo").raw
            reached.add(sealed)
            old = 'SELECT count(*) FROM "deployment demo".predictions WHERE ts < ?'
            n = database.connection.execute(old, [sealed or BEGIN]).fetchall()
            assert n == [(0,)]
    assert len(reached) > 1
    with Database(tmp_path / "s.duckdb") as database:
        ingest = opened(contract, tmp_path, database)
        kept(ingest, RetentionSettings(raw=3 * DAY))
        stored = store_of(ingest)
        assert retained(stored)["raw"][0] == NOW.replace(tzinfo=None) - 3 * DAY
        if "hours" not in retained(stored):
            assert sums(stored) == before


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("rows"), st.integers(0, 3)),
        st.tuples(st.just("labels"), st.integers(0, 3)),
        st.tuples(st.just("again"), st.integers(0, 3)),
        st.tuples(st.just("retain"), st.integers(1, 3)),
        st.tuples(st.just("rebuild"), st.just(0)),
    ),
    min_size=4,
    max_size=12,
)


SOME = settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,
)


@SOME
@given(events=EVENTS)
def test_whenever_it_deletes_figures_are_of_each_row_once(events: list[tuple[str, int]]) -> None:
    each_row_once(events)


@pytest.mark.slow
@settings(SOME, max_examples=40)
@given(events=EVENTS)
def test_whenever_it_deletes_figures_are_of_each_row_once_more(
    events: list[tuple[str, int]],
) -> None:
    each_row_once(events)


def each_row_once(events: list[tuple[str, int]]) -> None:
    """What was accepted counts once; what was refused is in quarantine; nothing is lost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = predictions(120, 1, hours=24 * DAYS)
        truths = labels(rows, 2)
        for kind in ("predictions", "labels"):
            (folder / kind).mkdir()
        contract = with_reference(folder, "binary")
        ingest = opened(contract, folder)
        stored = store_of(ingest)
        sent: list[Row] = []
        for step, (what, k) in enumerate(events):
            match what:
                case "rows" | "again":
                    some = rows[k::4] if what == "rows" else rows[: 30 * k + 10]
                    sent += some
                    write(some, folder / "predictions" / str(step), ".jsonl")
                case "labels":
                    write(truths[k::4], folder / "labels" / str(step), ".jsonl")
                case "retain":
                    kept(ingest, RAW, most=k)
                case _:
                    stored.rebuild(everything=True)
            assert not ingest.collect().problems
            assert_adds_up(stored)
        counted = f"SELECT CAST(sum(n) AS BIGINT) FROM {stored.layout.table('rollup_volume')}"
        (n,) = stored.database.connection.execute(counted).fetchall()[0]
        accepted = "SELECT CAST(sum(n_new) AS BIGINT) FROM batches WHERE kind = 'predictions'"
        assert stored.database.connection.execute(accepted).fetchall() == [(n,)]
        assert (n or 0) <= len({r["id"] for r in sent})
        refused = stored.database.connection.execute(
            "SELECT DISTINCT json_extract_string(content, '$.id') FROM quarantine "
            "WHERE kind = 'predictions'"
        ).fetchall()
        assert (n or 0) + len(refused) >= len({r["id"] for r in sent})
        found = rollups(stored)
        stored.rebuild(everything=True)
        assert_same(rollups(stored), found)


def test_a_deployment_without_rows_has_nothing_to_delete(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    (tmp_path / "labels").mkdir()
    ingest = opened(deployment(), tmp_path)
    ingest.collect()
    everything = RetentionSettings(DAY, 1, 30 * DAY, 60 * DAY, DAY, DAY, DAY)
    assert kept(ingest, everything) == 0
