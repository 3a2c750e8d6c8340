"""Parquet as it comes: types, row groups, damage, and names that would clash."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from synthetic import Logs

from collectors.contract import FileFormat
from collectors.formats.tabular import stage_file
from collectors.store.batches import Offset
from collectors.store.database import Database

AT = datetime(2024, 3, 1, 10, 0, tzinfo=UTC)


def frame(n: int = 3, **more: object) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [f"r{i}" for i in range(n)], "score": [0.5] * n, "shop": ["a"] * n}
    ).with_columns(**({"ts": pl.lit(AT)} | more))


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def write(logs: Logs, rows: pl.DataFrame, name: str = "a.parquet", **options: object) -> Path:
    path = logs.base / "predictions" / name
    rows.write_parquet(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_times_with_a_zone_become_utc(logs: Logs, unit: str, zone: str) -> None:
    local = pl.Series([AT.astimezone(ZoneInfo(zone))]).cast(pl.Datetime(unit, zone))
    write(logs, frame(1, ts=local))
    assert logs.collect() == []
    assert logs.rows("ts") == [(AT.replace(tzinfo=None),)]


def test_times_without_a_zone_need_one_in_the_configuration(tmp_path: Path) -> None:
    naive = pl.Series([AT.replace(tzinfo=None)] * 3)
    strict = Logs(tmp_path)
    write(strict, frame(ts=naive))
    strict.collect()
    assert [reason for _, reason in strict.bad()] == ["timestamp without zone"] * 3
    (tmp_path / "berlin").mkdir()
    berlin = Logs(tmp_path / "berlin", timezone="Europe/Berlin")
    write(berlin, frame(ts=naive))
    berlin.collect()
    assert {ts for (ts,) in berlin.rows("ts")} == {datetime(2024, 3, 1, 9, 0)}


def test_row_groups_and_batches_do_not_change_positions(logs: Logs) -> None:
    path = write(logs, frame(1000), row_group_size=64)
    with Database(None) as database:
        seen: list[int] = []
        for staged in stage_file(
            database.connection, path, FileFormat.PARQUET, Offset(), whole=True, rows=300
        ):
            rows = database.connection.execute("SELECT position, c0 FROM stage").fetchall()
            assert all(name == f"r{position - 1}" for position, name in rows)
            seen += [position for position, _ in rows]
            assert staged.after.position == len(seen)
    assert sorted(seen) == list(range(1, 1001))


@pytest.mark.parametrize("cut", [0.3, 0.99])
def test_a_truncated_file_is_reported_and_loaded_once_it_is_complete(
    logs: Logs, cut: float
) -> None:
    path = write(logs, frame(5000))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    (problem,) = logs.collect()
    assert "is it complete?" in problem
    path.write_bytes(data)
    assert logs.collect() == []
    assert len(logs.ids()) == 5000


def test_damage_in_the_middle_is_reported_with_a_sentence(logs: Logs) -> None:
    path = write(logs, frame(5000), compression="zstd")
    data = bytearray(path.read_bytes())
    data[40:400] = bytes(360)
    path.write_bytes(data)
    problems = logs.collect()
    assert len(problems) == 1 or len(logs.ids()) == 5000


def test_a_wrong_suffix_is_told_by_the_content(logs: Logs) -> None:
    write(logs, frame(), "really_parquet.csv")
    logs.put("really_json.csv", '{"id": "j", "ts": "2024-03-01T10:00:00Z", "score": 0.1}\n')
    logs.put("really_csv.parquet", "id,ts,score\n")
    (problem,) = logs.collect()
    assert "named .parquet but is no Parquet file" in problem
    assert logs.ids() == ["j", "r0", "r1", "r2"]


def test_columns_named_like_our_own_keep_their_values(tmp_path: Path) -> None:
    logs = Logs(tmp_path, features={"numeric": ["position", "file_row_number", "s", "bin"]})
    ours = {
        name: pl.Series([7.0, 8.0, 9.0]) for name in ("position", "file_row_number", "s", "bin")
    }
    write(logs, frame(**ours).with_columns(score=pl.Series([0.5, 2.0, 0.5])))
    assert logs.collect() == []
    assert logs.rows("id, f0, f1, f2, f3") == [("r0", 7, 7, 7, 7), ("r2", 9, 9, 9, 9)]
    assert logs.bad("position, json_extract_string(content, '$.position')") == [(2, "8.0")]


def test_columns_of_any_type_are_no_reason_to_stop(logs: Logs) -> None:
    odd = pl.DataFrame(
        {
            "id": [1, 2],
            "ts": [AT, None],
            "score": [True, False],
            "shop": [{"a": 1}, {"a": 2}],
            "note": [[1, 2], []],
            "blob": [b"\xff\x00", b""],
            "span": [AT - AT, None],
            "day": [AT.date(), None],
            "time": [AT.time(), None],
            "label": ["nested", None],
        }
    )
    write(logs, odd)
    assert logs.collect() == []
    assert logs.ids() == ["1"]
    assert logs.bad() == [(2, "no timestamp")]


@pytest.mark.parametrize(
    "values",
    [
        [AT.date()] * 3,
        [True] * 3,
        [b"\xff"] * 3,
        [AT.time()] * 3,
        [{"a": 1}] * 3,
        [[AT]] * 3,
        ["infinity"] * 3,
        [float("nan"), float("inf"), 1e300],
        [-1, 0, 10**18 * 9],
    ],
    ids=["date", "bool", "bytes", "time", "struct", "list", "infinity", "floats", "integers"],
)
@pytest.mark.parametrize("column", ["ts", "id", "score"])
def test_any_type_in_any_column_ends_in_the_store_or_in_quarantine(
    logs: Logs, values: list[object], column: str
) -> None:
    write(logs, frame().with_columns(pl.Series(column, values)))
    assert logs.collect() == []
    repeated = 0 if column != "id" or not logs.ids() else 3 - len(set(map(str, values)))
    assert len(logs.ids()) + len(logs.bad()) + repeated == 3


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_the_lowest_time_there_is_costs_its_row_and_not_the_store(
    tmp_path: Path, zone: str | None
) -> None:
    numbers = pl.Series("ts", [-(2**63), 0, 1_709_330_400_000_000], dtype=pl.Int64)
    times = numbers.cast(pl.Datetime("us", zone))
    logs = Logs(tmp_path, timezone="UTC")
    table = pl.DataFrame({"id": ["a", "b", "c"], "ts": times, "score": [0.1, 0.2, 0.3]})
    table.write_parquet(tmp_path / "predictions" / "a.parquet")
    assert logs.collect() == []
    assert logs.ids() == ["c"]
    assert len(logs.bad()) == 2
