"""Rows of a query: no row is lost or given for nothing, whatever the database and its types do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from sqlite_file import ServedBySqlite
from synthetic import NOW, deployment

from collectors.errors import SourceError
from collectors.source_settings import SqlSource
from collectors.sources.sql import SqlPuller, open_source
from collectors.sources.sql_rows import Marks, largest, plain, row_hashes

BASE = Path("/nowhere")


class Numbered(ServedBySqlite):
    """A SQLite file with a table `log` of ids and marks."""

    def __init__(self) -> None:
        super().__init__()
        self.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, mark INTEGER, note TEXT)")

    def insert(self, marks: Sequence[int | None], note: str = "") -> None:
        for mark in marks:
            self.execute("INSERT INTO log (mark, note) VALUES (?, ?)", mark, note)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Numbered]:
    made = Numbered()
    monkeypatch.setenv("SERVED_DB", str(made.path))
    yield made
    made.close()


def settings_of(**changes: Any) -> SqlSource:
    return SqlSource.model_validate(
        {
            "driver": "sqlite",
            "uri_env": "SERVED_DB",
            "sql": "SELECT * FROM log",
            "watermark": "mark",
            "overlap_rows": 5,
        }
        | changes
    )


class Reader:
    """A store that keeps ids and the cursor, and asks like a recorder does."""

    def __init__(self, source: SqlSource, page_rows: int = 3) -> None:
        self.source, self.page_rows = source, page_rows
        self.known: dict[str, str] = {}
        self.ids: set[int] = set()
        self.restart()

    def restart(self) -> None:
        self.puller = SqlPuller(self.source, BASE, self.page_rows)

    def look(self, most: int | None = None, *, fail: bool = False, now: Any = NOW) -> list[int]:
        """Ids as given, page after page. most: pages until it is killed; fail: the last of them
        is given and not kept."""
        given: list[int] = []
        with tempfile.TemporaryDirectory() as folder:
            pages = self.puller.pages(self.known, Path(folder), now)
            for n, page in enumerate(islice(pages, most), 1):
                found = []  # of a page that only moves the cursor
                if page.path.stat().st_size:
                    found = pl.read_parquet(page.path)["id"].to_list()
                    assert 0 < len(found) <= self.page_rows
                given += found
                if not (fail and n == most):
                    self.ids |= set(found)
                    assert page.cursor != self.known.get(page.source)
                    self.known[page.source] = page.cursor
            pages.close()  # type: ignore[attr-defined]
            assert list(Path(folder).iterdir()) == [] or most is not None
        return given


# -- exactly what is new ---------------------------------------------------------------------------


def test_asking_again_gives_nothing_even_to_a_new_process(log: Numbered) -> None:
    log.insert([1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 8])
    reader = Reader(settings_of())
    assert sorted(reader.look()) == list(range(1, 12))
    assert reader.look() == []
    reader.restart()
    assert reader.look() == []
    log.insert([9, 6])  # one of them late
    assert sorted(reader.look()) == [12, 13]


def test_after_a_restart_a_late_row_brings_only_its_part_of_the_overlap_again(
    log: Numbered,
) -> None:
    log.insert(range(1, 1025))
    reader = Reader(settings_of(overlap_rows=512), page_rows=2000)
    reader.look()
    reader.restart()
    log.insert([1000])
    assert sorted(reader.look()) == [*range(992, 1008), 1025]  # 16 to 32 before the end
    assert reader.look() == []
    reader.restart()
    log.insert([600])
    assert len(reader.look()) == 257  # the first half
    reader.restart()
    assert reader.look() == []


@pytest.mark.parametrize(
    "kept", ["", "{}", "nonsense", "[1]", "null", '{"query": 7}', '{"rows": "x"}', '{"odd": 1}']
)
def test_a_cursor_of_something_else_means_from_the_start(log: Numbered, kept: str) -> None:
    log.insert([1, 2])
    reader = Reader(settings_of())
    reader.known = {reader.source.shown: kept}
    assert reader.look() == [1, 2]


def test_a_row_that_is_later_than_the_overlap_is_missed_until_the_overlap_is_longer(
    log: Numbered,
) -> None:
    log.insert(range(1, 11))
    reader = Reader(settings_of())
    reader.look()
    log.insert([4])
    assert reader.look() == []
    reader.source = settings_of(overlap_rows=8)
    reader.restart()
    assert 11 in reader.look()


def test_a_changed_row_is_given_again(log: Numbered) -> None:
    log.insert(range(1, 11))
    reader = Reader(settings_of())
    reader.look()
    log.execute("UPDATE log SET note = 'other' WHERE id IN (2, 9)")
    assert reader.look() == [9]  # 2 is before the overlap


@pytest.mark.parametrize("change", [{"sql": "SELECT * FROM log WHERE id > 2"}, {"start": "3"}])
def test_a_changed_query_is_read_from_its_start(log: Numbered, change: dict[str, str]) -> None:
    log.insert(range(1, 11))
    reader = Reader(settings_of(), page_rows=100)
    reader.look()
    reader.source = settings_of(**change)
    reader.restart()
    assert sorted(reader.look()) == list(range(3, 11))
    assert reader.look() == []


def test_nothing_before_start_is_read(log: Numbered) -> None:
    log.insert(range(1, 11))
    reader = Reader(settings_of(start="9"), page_rows=100)
    assert sorted(reader.look()) == [9, 10]
    log.insert([7, 11])
    assert reader.look() == [12]


ACTIONS = st.lists(
    st.one_of(
        st.lists(st.integers(-5, 4), min_size=1, max_size=8),
        st.tuples(st.integers(0, 4), st.booleans(), st.booleans()),
    ),
    max_size=12,
)


@settings(max_examples=12, deadline=None)
@given(actions=ACTIONS, page_rows=st.integers(1, 5))
def test_whatever_is_killed_or_refused_no_row_is_lost(actions: list[Any], page_rows: int) -> None:
    log = Numbered()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVED_DB", str(log.path))
        reader, largest_mark, n = Reader(settings_of(), page_rows), 100, 0
        for action in actions:
            if isinstance(action, list):  # rows, some late, none later than the overlap
                marks = [largest_mark + a for a in action]
                log.insert(marks)
                n += len(marks)
                largest_mark = max(largest_mark, *marks)
            else:
                pages, fail, new_process = action
                reader.look(pages, fail=fail)
                if new_process:
                    reader.restart()
        reader.look()
        assert reader.ids == set(range(1, n + 1))
        assert reader.look() == []
    log.close()


# -- rows without a watermark ----------------------------------------------------------------------


def test_rows_without_a_watermark_are_given_once(log: Numbered) -> None:
    log.insert([None, 1, None, 2])
    reader = Reader(settings_of(), page_rows=10)
    assert sorted(reader.look()) == [1, 2, 3, 4]
    assert reader.look() == []
    reader.restart()
    assert reader.look() == []
    log.insert([None])
    reader.restart()
    assert reader.look() == []  # they are looked for once an hour
    reader.restart()
    later = NOW + timedelta(hours=1)
    assert reader.look(now=later) == [1, 3, 5]
    log.insert([None])
    assert reader.look(now=later + timedelta(hours=1)) == [6]


def test_too_many_rows_without_a_watermark_are_told_beside_the_others(log: Numbered) -> None:
    log.insert([7])
    many = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 100001) "
        "SELECT i + 1 AS id, NULL AS mark FROM n UNION ALL SELECT id, mark FROM log"
    )
    reader = Reader(settings_of(sql=many))
    for _ in range(2):
        with pytest.raises(SourceError, match=r"more than 100,000 rows .* coalesce"):
            reader.look()
        assert reader.ids == {1}


# -- what cannot be asked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sql": "SELECT * FROM nope"}, "no such table: nope"),
        ({"sql": "SELEC 1"}, "syntax error"),
        ({"sql": "SELECT 1 AS mark; DROP TABLE log"}, "cannot read sqlite SERVED_DB"),
        ({"sql": "DELETE FROM log RETURNING mark"}, "syntax error"),
        ({"watermark": "nope"}, "has no column 'nope'; it has id, mark, note"),
        ({"watermark": "note"}, "'note' of sqlite SERVED_DB is neither a time nor a number"),
        ({"start": "yesterday"}, "`start` of sqlite SERVED_DB is no number"),
        ({"options": {"a": "b"}}, "SQLite takes no `options`"),
        ({"uri_env": "NOT_THERE"}, "the environment variable NOT_THERE is not set"),
        ({"uri_env": "", "uri_file": "a/secret"}, "cannot read the file /nowhere/a/secret"),
        ({"driver": "snowflake"}, "pip install 'modelwatch[snowflake]'"),
        ({"driver": "flightsql"}, "pip install 'modelwatch[flightsql]'"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    log: Numbered, change: dict[str, Any], said: str
) -> None:
    log.insert([1], note="text")
    with pytest.raises(SourceError) as failed:
        Reader(settings_of(**change)).look()
    assert said in str(failed.value)
    assert "\n" not in str(failed.value)
    log.insert([2])
    assert len(Reader(settings_of()).look()) == 2  # it was only read


def test_the_name_may_be_written_in_other_case(log: Numbered) -> None:
    log.insert([1])
    assert Reader(settings_of(watermark="MARK")).look() == [1]


def test_rows_without_an_id_are_refused() -> None:
    from_database = {"predictions": settings_of().model_dump(), "labels": None}
    assert deployment(**from_database)
    with pytest.raises(ValueError, match="or pushed need `id`"):
        deployment(**from_database, id="")


def test_a_missing_secret_or_driver_is_told_when_the_source_is_opened() -> None:
    with pytest.raises(SourceError, match="not set"):
        open_source(settings_of(uri_env="NOT_THERE"), BASE)


# -- addresses -------------------------------------------------------------------------------------

SECRET = "hunter2secret"  # noqa: S105


@pytest.mark.parametrize(
    ("driver", "address"),
    [
        ("postgresql", f"postgresql://u:{SECRET}@127.0.0.1:1/db"),
        ("postgresql", f"postgresql://u:{SECRET}@127.0.0.1:1"),
        ("postgresql", f"postgresql://127.0.0.1:1/db?user=u&password={SECRET}"),
        ("postgresql", f"host=127.0.0.1 port=1 user=u password={SECRET}"),
        ("postgresql", f"host=127.0.0.1 port=1 user=u password='{SECRET} x'"),
        ("postgresql", f"postgresql://u:a/{SECRET}@127.0.0.1:1/db"),
        ("postgresql", f"postgresql://u:7/{SECRET}@127.0.0.1:1/db"),
        ("postgresql", f"postgresql://u:a?{SECRET}@127.0.0.1:1/db"),
        ("postgresql", f"postgresql://u:a#{SECRET}@127.0.0.1:1/db"),
        ("postgresql", f"postgresql://u:a@{SECRET}@127.0.0.1:1/db"),
        ("postgresql", f"postgresql://u:{SECRET}%zz@127.0.0.1:1/db"),
        ("postgresql", f"postgresql://u:[{SECRET}@127.0.0.1:1/db"),
        ("postgresql", f"postgresql://u@127.0.0.1:{SECRET}/db"),
        ("postgresql", f"postgres//u:{SECRET}@127.0.0.1:1/db"),
        ("postgresql", f"password={SECRET} host"),
        ("postgresql", f"password='{SECRET}"),
        ("postgresql", SECRET),
        ("postgresql", f"\x00{SECRET}"),
        ("postgresql", f"mysql://u:{SECRET}@127.0.0.1:1/db"),
    ],
)
def test_no_address_is_quoted(
    driver: str, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = settings_of(driver=driver, uri_env="", uri_file="address")
    (tmp_path / "address").write_text(address)
    with pytest.raises(SourceError) as failed, SqlPuller(source, tmp_path) as puller:
        list(puller.pages({}, tmp_path, NOW))
    assert SECRET not in str(failed.value)
    assert failed.value.__cause__ is None  # nor by --debug
    assert "\n" not in str(failed.value)


# -- types -----------------------------------------------------------------------------------------


@given(
    numbers=st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1, max_size=5),
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    zone=st.sampled_from([None, "America/New_York"]),
)
@settings(max_examples=60, deadline=None)
def test_every_time_can_be_read(numbers: list[int | None], unit: str, zone: str | None) -> None:
    column = pa.array(numbers, pa.timestamp(unit, zone))
    found = through_duckdb(plain(pa.record_batch([column], names=["x"])), "x")
    per_us = {"s": 10**6, "ms": 1000, "us": 1, "ns": None}[unit]
    for number, text in zip(numbers, found, strict=True):
        if number is None:
            assert text is None
            continue
        us = number * per_us if per_us else int(number / 1000)
        if abs(us) > 2**62:
            assert text in ("infinity", "-infinity")
        elif 0 <= us < 10**15:
            assert (
                text
                == duckdb.execute(f"SELECT CAST(make_timestamp({us}) AS VARCHAR)").fetchall()[0][0]
            )


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_every_day_can_be_read(days: list[int]) -> None:
    batch = pa.record_batch([pa.array(days, pa.date32())], names=["x"])
    for day, text in zip(days, through_duckdb(plain(batch), "x"), strict=True):
        if not -719_162 <= day <= 2_932_896:  # the years 1 to 9999
            assert text in ("infinity", "-infinity")
        else:
            assert text is not None and len(text) == 10


def through_duckdb(table: Any, name: str) -> list[str | None]:
    """A column as the store's reader of Parquet sees it, as a naive time in UTC."""
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        parquet.write_table(table, file.name)
        kind = table.schema.field(name).type
        utc = "timezone('UTC', x)" if getattr(kind, "tz", None) else "x"
        query = f"SELECT CAST({utc} AS VARCHAR) FROM read_parquet('{file.name}')"
        return [row[0] for row in duckdb.execute(query).fetchall()]


TYPES = {
    "null": pa.nulls(2),
    "half": pa.array([1.5, None], pa.float16()),
    "text": pa.array(["a", None], pa.large_string()),
    "view": pa.array(["a", None], pa.string_view()),
    "words": pa.array(["a", None]).dictionary_encode(),
    "bytes": pa.array([b"\xff", None], pa.large_binary()),
    "fixed": pa.array([b"ab", None], pa.binary(2)),
    "uuid": pa.array([b"0123456789abcdef", None], pa.uuid()),
    "json": pa.array(['{"a": 1}', None], pa.json_()),
    "wide": pa.array([10**60, None], pa.decimal256(70, 0)),
    "decimal": pa.array([10**30, None], pa.decimal128(38, 2)),
    "time": pa.array([1, None], pa.time64("ns")),
    "length": pa.array([2**62, None], pa.duration("s")),
    "interval": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    "list": pa.array([[1, None], None]),
    "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    "record": pa.array([{"a": {"b": 1}}, None]),
    "day": pa.array([0, None], pa.date64()),
    "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
    "number": pa.array([float("nan"), float("inf")]),
}


@pytest.mark.parametrize("name", list(TYPES))
def test_every_type_goes_through(name: str, tmp_path: Path) -> None:
    batch = pa.record_batch([pa.array([1, 2]), TYPES[name]], names=["mark", "x"])
    table = plain(batch)
    assert len(row_hashes(table, "mark", Marks.INTEGER)) == 2
    path = tmp_path / "x.parquet"
    parquet.write_table(table, path)
    first, second = duckdb.execute(
        f"SELECT CAST(x AS VARCHAR) FROM read_parquet('{path}') ORDER BY mark"
    ).fetchall()
    assert first != second or name == "null"
    expected = {
        "uuid": "30313233-3435-3637-3839-616263646566",
        "wide": str(10**60),
        "half": "1.5",
        "unsigned": str(2**64 - 1),
        "json": '{"a": 1}',
    }
    assert name not in expected or first == (expected[name],)


def test_text_that_is_no_utf8_is_shown_as_such(log: Numbered) -> None:
    log.insert([1, 2, 3])
    log.execute("UPDATE log SET note = CAST(x'61ff62' AS TEXT) WHERE id = 2")
    reader = Reader(settings_of(), page_rows=10)
    with tempfile.TemporaryDirectory() as folder:
        for page in islice(reader.puller.pages({}, Path(folder), NOW), 1):
            found = duckdb.execute(f"SELECT note FROM read_parquet('{page.path}')").fetchall()
    assert found == [("",), ("a\ufffdb",), ("",)]


def test_a_column_that_cannot_be_read_is_named() -> None:
    texts = pa.array([b"\xff"]).view(pa.string())
    lists = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), texts)
    with pytest.raises(SourceError, match="cannot read the column 'x'"):
        plain(pa.record_batch([lists], names=["x"]))


def test_values_of_another_type_than_the_first_are_one_sentence(log: Numbered) -> None:
    log.insert([1])
    mixed = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 11000) "
        "SELECT i AS id, i AS mark, CASE WHEN i < 10500 THEN 1 ELSE 'x' END AS v FROM n"
    )
    with pytest.raises(SourceError, match="Type mismatch in column 2"):
        Reader(settings_of(sql=mixed), page_rows=100_000).look()


def test_columns_of_the_same_name_are_told_apart() -> None:
    batch = pa.record_batch([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a", "a_1"])
    assert plain(batch).to_pydict() == {"a": [1], "a_1": [2], "a_1_1": [3]}


def test_no_watermark_lies_in_the_future_or_nowhere() -> None:
    hour = 3_600_000_000
    table = plain(
        pa.record_batch([pa.array([-(2**63), 5, hour, None], pa.timestamp("us"))], names=["x"])
    )
    rows = row_hashes(table, "x", Marks.NAIVE)
    assert largest(table, rows, "x", Marks.NAIVE, hour) == hour
    assert largest(table, rows, "x", Marks.NAIVE, hour - 1) == 5
    assert largest(table, rows, "x", Marks.NAIVE, 4) is None
    table = plain(pa.record_batch([pa.array([1.5, float("nan"), float("inf")])], names=["x"]))
    assert (
        str(largest(table, row_hashes(table, "x", Marks.NUMBER), "x", Marks.NUMBER, None)) == "1.5"
    )
