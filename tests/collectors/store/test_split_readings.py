"""How traffic was split over time: kept whole, asked by window and by step, deleted in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.reader import InProcessReader
from collectors.store.copying import copy_file
from collectors.store.database import Database, StoreSettings
from collectors.store.info import store_info
from collectors.store.split_readings import SplitReading, keep_readings

START = datetime(2024, 3, 1, tzinfo=UTC)
WINDOW = {"start": START.replace(tzinfo=None), "end": datetime(2024, 3, 2)}


def reading(second: float, arm: str, weight: int | None, **more: object) -> SplitReading:
    at = START + timedelta(seconds=second)
    return SplitReading(at, "demo", str(more.pop("replica", "a")), arm, weight, **more)  # type: ignore[arg-type]


def asked(database: Database, name: str, **params: float) -> pl.DataFrame:
    reader = InProcessReader(database)
    try:
        return reader.query(name, "demo", **WINDOW, **params)
    finally:
        reader.close()


def test_readings_of_a_window_come_back_as_they_were() -> None:
    with Database(None) as database:
        keep_readings(database, ())
        keep_readings(
            database,
            (
                reading(0, "v1", 90, n=10, n_error=1),
                reading(0, "v2", 10),
                reading(5, "", None, replica="b", problem="no answer"),
                reading(86_400, "v1", 1),
                SplitReading(START, "another", "a", "v1", 7),
            ),
        )
        found = asked(database, "split_readings")
    at = WINDOW["start"]
    assert found.rows() == [
        (at, "a", "v1", 90, 10, 1, ""),
        (at, "a", "v2", 10, None, None, ""),
        (at + timedelta(seconds=5), "b", "", None, None, None, "no answer"),
    ]


def test_what_a_plane_says_cannot_break_the_store() -> None:
    with Database(None) as database:
        hostile = "\x1b[31m'; DROP TABLE split_readings; --\ud800\x00"
        keep_readings(
            database,
            (
                reading(0, hostile, 2**70, replica=hostile, n=-(2**80), problem="x" * 10_000),
                reading(1, "v1", 2**63 - 1, n=2**63 - 1),
                reading(2, "v1", 2**63, n=2**63 - 1),
            ),
        )
        found = asked(database, "split_readings")
        series = asked(database, "split_series", seconds=60)
    assert found["weight"].to_list() == [None, 2**63 - 1, None]
    assert found["problem"].to_list()[2] == "a number was no count, or too large to be kept"
    assert found["problem"].str.len_chars().max() == 500
    assert all(text.isprintable() for text in found["arm"])
    assert series.filter(pl.col("arm") == "v1")["n"].to_list() == [2**63 - 1]


def test_a_series_has_the_last_weight_of_each_step_and_what_it_was_between() -> None:
    with Database(None) as database:
        keep_readings(
            database,
            [
                reading(0, "v2", 0, n=5, n_error=0),
                reading(30, "v2", 25, n=7, n_error=2),
                reading(59.9, "v2", None, problem="timed out"),
                reading(60, "v2", 50),
                reading(86_399, "v2", 0, n=1),
            ],
        )
        found = asked(database, "split_series", seconds=60)
    at = WINDOW["start"]
    assert found.drop("replica", "arm").rows() == [
        (at, 25, 0, 25, 12, 2, 3, 1, "timed out"),
        (at + timedelta(seconds=60), 50, 50, 50, None, None, 1, 0, ""),
        (at + timedelta(days=1, seconds=-60), 0, 0, 0, 1, None, 1, 0, ""),
    ]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.integers(0, 86_399), st.sampled_from(["v1", "v2"]), st.none() | st.integers(0, 99)
        ),
        max_size=20,
    ),
    st.integers(1, 20),
    st.sampled_from([1, 60, 3600, 86_400]),
)
def test_no_request_is_lost_in_a_series(
    drawn: list[tuple[int, str, int | None]], size: int, seconds: int
) -> None:
    rows = [reading(at, arm, 1, n=n) for at, arm, n in drawn]
    with Database(None) as database:
        for first in range(0, len(rows), size):
            keep_readings(database, rows[first : first + size])
        found = asked(database, "split_series", seconds=seconds)
    assert found["n"].sum() == sum(r.n or 0 for r in rows)
    assert found["n_readings"].sum() == len(rows)


def test_a_copy_and_the_look_at_a_store_have_them(tmp_path: Path) -> None:
    path, copy = tmp_path / "s.duckdb", tmp_path / "copy.duckdb"
    with Database(path) as database:
        keep_readings(database, [reading(n, "v1", n) for n in range(9)])
    copy_file(path, StoreSettings(), copy)
    with Database(copy, read_only=True) as database:
        assert asked(database, "split_readings").height == 9
        tables = {table.name: table.rows for table in store_info(database).tables}
    assert tables["split_readings"] == 9


def test_a_store_of_the_release_before_has_none(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    with Database(path) as database:
        full = {name: asked(database, name, **p).schema for name, p in _QUERIES.items()}
        database.connection.execute("DROP TABLE split_readings")
    with Database(path, read_only=True) as database:
        for name, params in _QUERIES.items():
            found = asked(database, name, **params)
            assert found.is_empty()
            assert found.schema == full[name]


_QUERIES: dict[str, dict[str, float]] = {"split_readings": {}, "split_series": {"seconds": 60}}
