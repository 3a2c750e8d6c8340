"""Opening a store: what cannot be one is refused with a sentence, and nothing of it is changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from synthetic import opened, predictions, with_reference, write

from collectors.errors import StoreBusyError, StoreError
from collectors.store.catalog import StoredDeployment
from collectors.store.database import Database, StoreSettings

HOLDER = """
import sys
from pathlib import Path
from collectors.store.database import Database
with Database(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_told_who_owns_the_store(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"open\n"
        for read_only in (False, True):
            with pytest.raises(StoreBusyError, match=f"process {holder.pid}"):
                Database(path, read_only=read_only)
        holder.stdin.write(b"\n")
        holder.stdin.flush()
        holder.wait()
    Database(path).close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    with Database(path) as database:
        database.connection.execute("INSERT INTO store_schema VALUES (99)")
    with pytest.raises(StoreError, match=r"newer modelwatch \(schema 99"):
        Database(path)


@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_no_store_is_refused_and_left_as_it_is(tmp_path: Path, *, read_only: bool) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but quite long " * 1000)
    with pytest.raises(StoreError, match="cannot open the store"):
        Database(text, read_only=read_only)
    assert text.read_text().startswith("not a database")
    stranger = tmp_path / "other.duckdb"
    with duckdb.connect(str(stranger)) as connection:
        connection.execute("CREATE TABLE theirs (a INTEGER)")
    with pytest.raises(StoreError, match="no modelwatch store"):
        Database(stranger, read_only=read_only)
    with duckdb.connect(str(stranger)) as connection:
        assert connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [
            ("theirs",)
        ]


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the folder"):
        Database(tmp_path / "file" / "below" / "store.duckdb")
    with pytest.raises(StoreError, match="cannot open the store"):
        Database(tmp_path)
    with pytest.raises(StoreError, match=r"cannot open the store|cannot make the folder"):
        Database(Path("/proc/nowhere/store.duckdb"))
    with pytest.raises(StoreError, match="no store at"):
        Database(tmp_path / "none.duckdb", read_only=True)


def test_settings_reach_the_engine(tmp_path: Path) -> None:
    settings = StoreSettings("300MB", 1, str(tmp_path / "spill"))
    with Database(tmp_path / "s.duckdb", settings) as database:
        threads = database.connection.execute("SELECT current_setting('threads')").fetchall()
    assert threads == [(1,)]


def test_a_store_opened_to_read_needs_its_deployments(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    write(predictions(5, 1), tmp_path / "predictions" / "a", ".csv")
    contract = with_reference(tmp_path, "binary", labels=None)
    with Database(path) as database:
        opened(contract, tmp_path, database).collect()
    with Database(path, read_only=True) as database:
        stored = StoredDeployment(database, contract)
        assert not stored.is_empty()
        other = contract.model_copy(update={"name": "other"})
        with pytest.raises(StoreError, match="no deployment other"):
            StoredDeployment(database, other)


def test_what_fails_in_a_transaction_leaves_nothing(tmp_path: Path) -> None:
    with Database(None) as database:
        before = database.connection.execute("SELECT * FROM store_schema").fetchall()
        with pytest.raises(ZeroDivisionError), database.transaction() as cursor:
            cursor.execute("INSERT INTO store_schema VALUES (1)")
            raise ZeroDivisionError
        assert database.connection.execute("SELECT * FROM store_schema").fetchall() == before
