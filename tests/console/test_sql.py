"""SQL on a store: the log's own names, the same figures, and nothing but reading."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from sample_store import Sample

from collectors.reader import InProcessReader
from collectors.store.database import Database
from console.cli import main
from console.clocks import FixedClock
from console.feed import Request
from console.session import Session
from console.sql import SqlDesk, SqlError, SqlStoppedError
from console.windows import latest_moment

JULY = "timestamp >= '2013-07-01' AND timestamp < '2013-08-01'"


@pytest.fixture(scope="module")
def sample(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A copy of the store: SQL locks the settings of all who have a file open in a process."""
    copy = tmp_path_factory.mktemp("sql") / "sample.duckdb"
    shutil.copy(sample.path, copy)
    return replace(sample, path=copy)


def asked(sample: Sample, *words: str) -> list[str]:
    return ["sql", *words, *sample.options]


def answer(
    sample: Sample, capsys: pytest.CaptureFixture[str], query: str
) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main(asked(sample, query, "--format", "json")) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_counts_are_those_of_the_panes(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(
        sample,
        capsys,
        "SELECT version, prediction, label, count(*) AS n FROM predictions "
        f"WHERE {JULY} AND label IS NOT NULL GROUP BY ALL",
    )
    found = {(r["version"], r["prediction"], r["label"]): r["n"] for r in rows}
    for f in sample.taker.performance(sample.ask("2013-07-01", "2013-08-01")).whole:
        c, v = f.confusion, f.group.version
        assert c is not None
        assert (found[v, 1, 1], found[v, 1, 0], found[v, 0, 1], found[v, 0, 0]) == (
            c.tp, c.fp, c.fn, c.tn,
        )  # fmt: skip


def test_features_and_bands_have_the_names_of_the_log(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = answer(
        sample,
        capsys,
        "SELECT departure, min(dep_minute), max(dep_minute) FROM predictions GROUP BY 1",
    )
    bands = {r["departure"]: (r["min(dep_minute)"], r["max(dep_minute)"]) for r in rows}
    low, high = bands["05-08 h"]
    assert low >= 300 and high < 480  # type: ignore[operator]
    columns = answer(sample, capsys, 'DESCRIBE "flight-delay.predictions"')
    assert {"temp", "prediction", "label", "timestamp"} <= {c["column_name"] for c in columns}


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '/tmp/written-by-sql.csv'",
        "ATTACH '/tmp/written-by-sql.db'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM query('COPY (SELECT 1) TO ''/tmp/written-by-sql.csv''')",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET memory_limit = '1TB'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "CALL pragma_version()",
        "CREATE TABLE t AS SELECT 1",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE MACRO f() AS 1",
        "DROP VIEW predictions",
        "DELETE FROM quarantine",
        "INSERT INTO labels VALUES (1)",
        "UPDATE predictions SET score = 1",
        "EXPORT DATABASE '/tmp/written-by-sql'",
        "CHECKPOINT",
        "SELECT * FROM duckdb_secrets()",
        "SELECT getenv('HOME')",
        "SELECT nextval('batch_number')",
        "SELECT 1; DROP VIEW predictions",
        "SELECT 1) UNION ALL (SELECT 2",
        "BEGIN; SELECT 1",
        "PREPARE q AS SELECT 1",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/written-by-sql.csv'",
        "",
        ";",
        "-- nothing",
    ],
)
def test_nothing_but_reading(
    sample: Sample, query: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(sample, query)) == 2
    err = capsys.readouterr().err
    assert err.startswith("modelwatch: ")
    assert "Traceback" not in err
    assert not list(Path(tempfile.gettempdir()).glob("written-by-sql*"))


def test_rows_are_limited_and_that_is_said(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(sample, "SELECT id FROM predictions ORDER BY id -- all", "--limit", "3")) == 0
    out, err = capsys.readouterr()
    assert out.count("-EWR-") + out.count("-JFK-") + out.count("-LGA-") == 3
    assert "there are more: --limit" in err


def test_a_query_is_stopped_by_its_time(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    endless = "SELECT count(*) FROM range(100000000000) AS a, range(1000) AS b"
    began = time.monotonic()
    assert main(asked(sample, endless, "--timeout", "1")) == 2
    assert time.monotonic() - began < 60
    assert "stopped" in capsys.readouterr().err


def test_a_wrong_name_says_which_there_are(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(sample, "SELECT scor FROM predictions")) == 2
    assert '"score"' in capsys.readouterr().err


def test_hostile_values_never_reach_the_terminal(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "SELECT chr(27) || '[2J' AS \"a\x1b[31m\", '=1+1' AS f, 'nan'::DOUBLE AS n, [1, 2] AS l"
    for fmt in ("table", "csv", "json"):
        capsys.readouterr()
        assert main(asked(sample, query, "--format", fmt)) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        if fmt == "csv":
            assert "'=1+1" in out


def test_results_go_to_files_that_are_not_there_yet(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.parquet"
    words = ["SELECT id, score, temp FROM predictions", "--limit", "50", "--format", "parquet"]
    assert main(asked(sample, *words, "--output", str(target))) == 0
    assert pl.read_parquet(target).shape == (50, 3)
    assert target.stat().st_mode & 0o777 == 0o600
    assert main(asked(sample, *words, "--output", str(target))) == 2
    assert main(asked(sample, *words)) == 2  # Parquet needs a file


def test_without_a_query_there_is_a_list_of_tables(sample: Sample) -> None:
    with Database(sample.path, read_only=True) as database:
        desk = SqlDesk(database, sample.config.deployment)
        assert [v.name for v in desk.views][:5] == [
            "predictions", "labels", "reference", "quarantine", "sources",
        ]  # fmt: skip
        desk.close()


def test_a_store_that_is_written_to_has_no_desk(tmp_path: Path, sample: Sample) -> None:
    with Database(tmp_path / "s.duckdb") as database, pytest.raises(SqlError):
        SqlDesk(database, sample.config.deployment)


def test_the_pane_answers_and_a_stopped_query_is_asked_again(sample: Sample) -> None:
    database = Database(sample.path, read_only=True)
    reader = InProcessReader(database)
    moment = latest_moment(reader, sample.config.deployment)
    reader.close()
    assert moment is not None
    session = Session(database, sample.config.deployment, FixedClock(moment))
    try:
        empty = dict(session.frame(Request(("sql",))).views)["sql"]
        assert empty.table.rows[0].key == "predictions"
        asked = Request(("sql",), sql="SELECT count(*) AS n FROM predictions")
        (row,) = dict(session.frame(asked).views)["sql"].table.rows
        assert int(row.cells[0].text) > 100_000
        wrong = dict(session.frame(Request(("sql",), sql="SELECT x")).views)["sql"]
        assert "not found" in wrong.headline[-1].text
    finally:
        session.close()


def test_an_interrupt_stops_the_query(sample: Sample) -> None:
    import threading  # noqa: PLC0415

    with Database(sample.path, read_only=True) as database:
        desk = SqlDesk(database, sample.config.deployment)
        threading.Timer(0.3, desk.interrupt).start()
        with pytest.raises(SqlStoppedError):
            desk.run("SELECT count(*) FROM range(100000000000) AS a, range(1000) AS b")
        assert desk.run("SELECT 1 AS one").records() == [{"one": 1}]
        desk.close()
