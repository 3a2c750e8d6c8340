"""What a real PostgreSQL does to a reader: late commits, every type, crashes, limits, refusals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from postgres_server import ESCAPED, PASSWORD, ServedByPostgres
from synthetic import NOW, assert_adds_up, count, deployment, opened, predictions, store_of

from collectors.errors import SourceError
from collectors.source_settings import SqlSource
from collectors.sources.sql import SqlPuller
from collectors.store.database import Database

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedByPostgres]:
    made = ServedByPostgres()
    monkeypatch.setenv("SERVED_DB", made.environment["SERVED_DB"])
    yield made
    made.close()


def source(sql: str, watermark: str, **changes: Any) -> SqlSource:
    settings = {"uri_env": "SERVED_DB", "sql": sql, "watermark": watermark}
    return SqlSource.model_validate(settings | changes)


def look(
    puller: SqlPuller, known: dict[str, str], folder: Path, now: datetime = NOW
) -> list[dict[str, Any]]:
    """Rows of the pages, each kept before the next one is asked for."""
    rows: list[dict[str, Any]] = []
    for page in puller.pages(known, folder, now):
        if page.path.stat().st_size:
            rows += pl.read_parquet(page.path).to_dicts()
        known[page.source] = page.cursor
    return rows


def ids(rows: list[dict[str, Any]]) -> list[Any]:
    return sorted(row["id"] for row in rows)


# -- late commits ----------------------------------------------------------------------------------


def test_a_row_committed_late_is_found_as_far_as_the_overlap_reaches(
    served: ServedByPostgres, tmp_path: Path
) -> None:
    served.execute("CREATE TABLE log (id int, at timestamptz)")
    slow = served.server.connect(served.database, autocommit=False)
    with slow.cursor() as cursor:
        cursor.execute("INSERT INTO log VALUES (1, '2024-03-09 11:40Z'), (2, '2024-03-09 11:55Z')")
    served.execute("INSERT INTO log VALUES (3, '2024-03-09 11:30Z'), (4, '2024-03-09 12:00Z')")
    known: dict[str, str] = {}
    puller = SqlPuller(source("SELECT * FROM log", "at"), tmp_path)
    assert ids(look(puller, known, tmp_path)) == [3, 4]
    slow.commit()
    slow.close()
    # ten minutes before the newest row: the other one is missed
    assert ids(look(puller, known, tmp_path)) == [2]
    assert look(puller, known, tmp_path) == []
    # and found by a longer overlap
    longer = SqlPuller(source("SELECT * FROM log", "at", overlap="30m"), tmp_path)
    assert 1 in ids(look(longer, known, tmp_path))
    assert look(longer, known, tmp_path) == []


# -- watermarks ------------------------------------------------------------------------------------

KINDS = {
    "timestamptz": "'2024-03-01 00:00Z'::timestamptz + {n} * interval '1 hour'",
    "timestamp": "'2024-03-01'::timestamp + {n} * interval '1 hour'",
    "timestamp(0)": "'2024-03-01'::timestamp + {n} * interval '1 hour'",
    "date": "'2024-01-01'::date + {n}",
    "smallint": "{n}",
    "bigint": "9007199254740993 + {n}",
    "numeric": "12345678901234567890.5 + {n}",
    "numeric(20,4)": "{n} / 8.0",
    "double precision": "{n} / 8.0",
    "real": "{n} / 8.0",
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_watermark(kind: str, served: ServedByPostgres, tmp_path: Path) -> None:
    def insert(*numbers: int) -> None:
        for n in numbers:
            served.execute(f"INSERT INTO log VALUES ({n}, {KINDS[kind].format(n=n)})")

    served.execute(f'CREATE TABLE log (id int, "the ""mark""" {kind})')
    known: dict[str, str] = {}
    wanted = source("SELECT * FROM log;", 'the "mark"')
    puller = SqlPuller(wanted, tmp_path, page_rows=2)
    assert look(puller, known, tmp_path) == []
    insert(1, 3, 2, 5, 4)
    served.execute("INSERT INTO log VALUES (0, NULL)")
    assert ids(look(puller, known, tmp_path)) == [1, 2, 3, 4, 5]  # looked for NULL just before
    assert look(puller, known, tmp_path) == []
    insert(6, 7)
    assert ids(look(puller, known, tmp_path)) == [6, 7]
    insert(8)
    again = SqlPuller(wanted, tmp_path, page_rows=2)
    # a new one; a number that no float holds may come again
    assert ids(look(again, known, tmp_path))[-1:] == [8]
    assert look(again, known, tmp_path) == []
    later = look(again, known, tmp_path, now=NOW + timedelta(hours=1))
    assert ids(later) == [0]


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_a_time_in_the_future_does_not_hide_what_comes(
    kind: str, served: ServedByPostgres, tmp_path: Path
) -> None:
    served.execute(f"CREATE TABLE log (id int, at {kind})")
    served.execute(
        "INSERT INTO log VALUES (1, '2024-03-09'), (2, '9999-12-31'), (3, 'infinity'), "
        "(4, '-infinity'), (5, '294276-01-01'), (6, '4713-01-01 BC')"
        if kind != "date"
        else "INSERT INTO log VALUES (1, '2024-03-09'), (2, '9999-12-31'), (3, 'infinity'), "
        "(4, '-infinity'), (5, '5874897-01-01'), (6, '4713-01-01 BC')"
    )
    known: dict[str, str] = {}
    puller = SqlPuller(source("SELECT * FROM log", "at"), tmp_path)
    assert ids(look_ids(puller, known, tmp_path)) == [1, 2, 3, 4, 5, 6]
    assert look_ids(puller, known, tmp_path) == []
    served.execute("INSERT INTO log VALUES (7, '2024-03-09 13:00')")
    assert ids(look_ids(puller, known, tmp_path)) == [7]


def look_ids(puller: SqlPuller, known: dict[str, str], folder: Path) -> list[dict[str, Any]]:
    """Like `look`, of rows with times that Python has not."""
    rows: list[dict[str, Any]] = []
    for page in puller.pages(known, folder, NOW):
        if page.path.stat().st_size:
            rows += pl.read_parquet(page.path, columns=["id"]).to_dicts()
        known[page.source] = page.cursor
    return rows


# -- types -----------------------------------------------------------------------------------------

ODD = {
    "a_uuid": "uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
    "a_numeric": "numeric '1.50'",
    "a_nan": "numeric 'NaN'",
    "a_real": "real 'infinity'",
    "a_json": """json '{"a": [1, "[bold]"]}'""",
    "a_jsonb": "jsonb 'null'",
    "an_array": "ARRAY[1, NULL]",
    "a_matrix": "ARRAY[ARRAY['a'], ARRAY['b']]",
    "a_bytea": r"bytea '\xdeadbeef'",
    "an_interval": "interval '1 mon 2 days 3 sec'",
    "a_time": "time '10:00'",
    "a_timetz": "timetz '10:00+02'",
    "an_inet": "inet '127.0.0.1'",
    "a_range": "int4range(1, 5)",
    "a_point": "point '(1,2)'",
    "a_money": "money '12.50'",
    "a_bit": "bit '101'",
    "an_xml": "'<a/>'::text",
    "an_enum": "mood 'fine'",
    "a_domain": "positive '3'",
    "a_null": "NULL",
    "a_far_time": "timestamp 'infinity'",
    "a_far_day": "date '-infinity'",
    "?column?": "1",
    "\x1b[31mred": "2",
    "ta\"b'le": "3",
}


def test_rows_of_every_type_come_through_or_are_in_quarantine(
    served: ServedByPostgres, tmp_path: Path
) -> None:
    served.add("predictions", predictions(30, 1))
    served.execute("CREATE TYPE mood AS ENUM ('fine')")
    served.execute("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
    served.execute("UPDATE predictions SET x = 'NaN' WHERE id = 'r1-1'")
    served.execute("UPDATE predictions SET score = 'infinity' WHERE id = 'r1-2'")
    served.execute("UPDATE predictions SET ts = 'infinity' WHERE id = 'r1-3'")
    served.execute("UPDATE predictions SET ts = '-infinity' WHERE id = 'r1-4'")
    served.execute("UPDATE predictions SET ts = NULL WHERE id = 'r1-5'")
    served.execute("UPDATE predictions SET latency = 'NaN' WHERE id = 'r1-6'")
    columns = ", ".join(
        f'{sql} AS "{name.replace(chr(34), chr(34) * 2)}"' for name, sql in ODD.items()
    )
    wanted = served.source("predictions") | {"sql": f"SELECT *, {columns}, id FROM predictions"}
    # half of them as features, so that their content is looked at
    contract = deployment(
        predictions=wanted,
        labels=None,
        features={"numeric": ["x", "a_numeric", "a_nan", "a_real"], "categorical": list(ODD)[4:]},
    )
    ingest = opened(contract, tmp_path)
    for _ in range(2):
        assert not ingest.collect().problems
        stored = store_of(ingest)
        assert_adds_up(stored)
        found = stored.database.connection.execute(
            "SELECT json_extract_string(content, '$.id'), reason FROM quarantine ORDER BY 1"
        ).fetchall()
        assert found == [
            ("r1-2", "score not between 0 and 1"),
            ("r1-3", "timestamp in the future"),
            ("r1-4", "timestamp before 1970"),
            ("r1-5", "no timestamp"),
        ]
        assert count(stored) == 26


# -- breaking off ----------------------------------------------------------------------------------

N = 60_000


def many(served: ServedByPostgres) -> None:
    served.execute(
        "INSERT INTO predictions SELECT 'r' || i, timestamptz '2024-03-01 22:00Z' + i * interval "
        "'100 ms', 'v1', i, 0.1, NULL, i % 7, 'red', repeat('north', 40), 0.5, 1, 0 "
        f"FROM generate_series(1, {N}) AS i"
    )


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT])
def test_a_server_that_dies_while_it_answers_loses_no_row(
    how: int, served: ServedByPostgres, tmp_path: Path
) -> None:
    many(served)
    contract = deployment(predictions=served.source("predictions"), labels=None)
    ingest = opened(contract, tmp_path, Database(tmp_path / "store.duckdb"))
    (job,) = ingest.jobs()
    assert isinstance(job.source, SqlSource)
    n_pages = 0
    with (
        pytest.raises(SourceError) as failed,
        SqlPuller(job.source, tmp_path, page_rows=1000) as puller,
    ):
        for page in puller.pages(ingest.known(job), tmp_path, NOW):
            ingest.page(job, page)
            n_pages += 1
            if n_pages == 3:
                served.server.stop(how)
    assert "\n" not in str(failed.value)
    assert PASSWORD not in str(failed.value)
    loaded = count(store_of(ingest))
    assert 3000 <= loaded < N
    served.start()
    assert not ingest.collect().problems
    assert count(store_of(ingest)) == N
    assert_adds_up(store_of(ingest))
    (read,) = ingest.database.connection.execute("SELECT sum(n_duplicate) FROM batches").fetchall()
    assert read == (0,)  # what was given before is known again


def test_a_look_that_takes_too_long_goes_on_where_it_was(
    served: ServedByPostgres, tmp_path: Path
) -> None:
    many(served)
    served.execute("CREATE INDEX ON predictions (ts)")
    served.execute(
        "CREATE FUNCTION slow(id text) RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN "
        "IF right(id, 4) = '5000' THEN PERFORM pg_sleep(0.3); END IF; RETURN id; END $$"
    )
    options = {"statement_timeout": "1s", "enable_sort": "off", "enable_seqscan": "off"}
    wanted = source("SELECT *, slow(id) FROM predictions", "ts", options=options, overlap="1s")
    rows = look(SqlPuller(wanted, tmp_path, page_rows=1000), {}, tmp_path)
    assert len(rows) == N
    assert len({row["id"] for row in rows}) == N


# -- refusals --------------------------------------------------------------------------------------


def refused(wanted: SqlSource, folder: Path) -> str:
    with pytest.raises(SourceError) as failed:
        look(SqlPuller(wanted, folder), {}, folder)
    said = str(failed.value)
    assert "\n" not in said
    assert len(said) < 400
    assert failed.value.__cause__ is None
    for secret in (PASSWORD, ESCAPED, "wr0ng"):
        assert secret not in said
    return said


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM nope", 'relation "nope" does not exist; check `sql`'),
        ("SELECT now() AS ts, 1/0", "division by zero"),
        ("SELECT ts FROM predictions WHERE id = $1", "there is no parameter $1"),
        ("SELECT 1; DROP TABLE predictions", "syntax error"),
        ("SELECT now() AS ts) AS q; DROP TABLE predictions; --", "syntax error"),
        ("SELECT now() AS ts, ROW(1, 'x')", "ReadRecord"),
        ("SELECT now() AS ts, nextval('numbers')", "read-only transaction"),
        (
            "SELECT now() AS ts, set_config('transaction_read_only', 'off', false)",
            "read-write mode",
        ),
        ("SELECT now() AS ts, pg_sleep(3)", "raise `statement_timeout` in `options`"),
        ("SELECT ts, ts FROM predictions", "ambiguous"),
        ("SELECT id AS ts FROM predictions", "neither a time nor a number"),
        ("SELECT now() AS ts, E'\\x1b[31m'::int", "\ufffd[31m"),
    ],
)
def test_what_the_server_refuses_is_one_sentence(
    sql: str, said: str, served: ServedByPostgres, tmp_path: Path
) -> None:
    served.execute("CREATE SEQUENCE numbers")
    served.add("predictions", predictions(3, 1))
    assert said in refused(source(sql, "ts", options={"statement_timeout": "1s"}), tmp_path)
    assert (
        len(look(SqlPuller(source("SELECT * FROM predictions", "ts"), tmp_path), {}, tmp_path)) == 3
    )


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://mw:wr0ng@127.0.0.1:{port}/postgres", "password authentication failed"),
        ("host=127.0.0.1 port={port} user=mw password=wr0ng dbname=postgres", "authentication"),
        ("postgresql://mw:{password}@127.0.0.1:{port}/nope", 'database "nope" does not exist'),
        ("postgresql://mw:{password}@127.0.0.1:1/postgres", "refused; is the server running?"),
        ("postgresql://mw:{password}@nowhere.invalid/postgres", "check the name of the host"),
        ("postgresql://mw:{password}@127.0.0.1:{port}/postgres?sslmode=require", "SSL"),
    ],
)
def test_an_address_that_does_not_work(
    address: str,
    said: str,
    served: ServedByPostgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filled = address.format(port=served.server.port, password=ESCAPED)
    monkeypatch.setenv("SERVED_DB", filled)
    assert said in refused(source("SELECT 1", "a"), tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"default_transaction_read_only": "off"}, "cannot set 'default_transaction_read_only'"),
        ({"x = 1; DROP TABLE predictions; --": ""}, "cannot set"),
        ({"statement_timeout": "soon"}, "`statement_timeout` of postgresql SERVED_DB"),
        ({"no_such_setting": "1"}, "unrecognized configuration parameter"),
        ({"work_mem": "1MB'; DROP TABLE predictions; --"}, "invalid value"),
    ],
)
def test_options_that_cannot_be_set(
    options: dict[str, str], said: str, served: ServedByPostgres, tmp_path: Path
) -> None:
    assert said in refused(source("SELECT * FROM predictions", "ts", options=options), tmp_path)
    served.execute("SELECT * FROM predictions")


def test_a_user_who_may_only_read_is_enough(
    served: ServedByPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.add("predictions", predictions(3, 1))
    served.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    try:
        address = served.server.uri(served.database, user="reader")
        monkeypatch.setenv("SERVED_DB", address)
        wanted = source("SELECT * FROM predictions", "ts")
        assert "permission denied" in refused(wanted, tmp_path)
        served.execute("GRANT SELECT ON predictions TO reader")
        assert len(look(SqlPuller(wanted, tmp_path), {}, tmp_path)) == 3
    finally:
        served.execute("DROP OWNED BY reader")
        served.execute("DROP ROLE reader")


# -- size ------------------------------------------------------------------------------------------

MEASURE = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
import polars, pyarrow.parquet
from collectors.source_settings import SqlSource
from collectors.sources.sql import SqlPuller
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = SqlSource(uri_env="SERVED_DB", sql="SELECT * FROM big", watermark="ts")
n = pages = 0
for page in SqlPuller(source, Path()).pages({}, Path(sys.argv[1]), datetime.now(UTC)):
    if not page.path.stat().st_size:
        continue
    n += pyarrow.parquet.read_metadata(page.path).num_rows
    pages += 1
print(n, pages, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_million_rows_take_little_memory(served: ServedByPostgres, tmp_path: Path) -> None:
    served.execute(
        "CREATE TABLE big AS SELECT 'r' || i AS id, timestamptz '2024-03-01' + i * interval "
        "'10 ms' AS ts, random() AS score, md5(i::text) AS note, md5((-i)::text) AS other "
        "FROM generate_series(1, 1000000) AS i"
    )
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    n, pages, megabytes = map(int, done.stdout.split())
    assert n == 1_000_000
    assert 10 <= pages <= 14
    assert megabytes < 150  # the rows are 120 MB; the driver would hold them with a bound parameter
