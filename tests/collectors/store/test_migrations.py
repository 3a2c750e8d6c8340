"""Stores that older releases wrote: real ones, made by their code (`stores/build.py`)."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
import zstandard
from synthetic import NOW, assert_adds_up, assert_same, predictions, rollups

from collectors.contract import Deployment
from collectors.errors import StoreError
from collectors.ingest import Ingest
from collectors.reader import QUERIES, InProcessReader
from collectors.store.database import SCHEMA_VERSION, Database
from collectors.store.keeping import RetentionSettings
from collectors.store.retention import retain

STORES = Path(__file__).parent / "stores"
sys.path.insert(0, str(STORES))

from build import TASKS, contract  # noqa: E402

SCHEMAS = [path.name.split(".")[0] for path in sorted(STORES.glob("*.duckdb.zst"))]


def unpacked(name: str, folder: Path) -> Path:
    """The store of a release, and the logs that it was made of beside it."""
    path = folder / "s.duckdb"
    packed = (STORES / f"{name}.duckdb.zst").read_bytes()
    path.write_bytes(zstandard.ZstdDecompressor().decompress(packed))
    for task in TASKS:
        shutil.copytree(STORES / task, folder / task)
    return path


def collectors(database: Database, folder: Path) -> Ingest:
    """The configuration that the stores were made with."""
    deployments = [Deployment.model_validate(contract(task, folder)) for task in TASKS]
    return Ingest(database, deployments, folder, lambda: NOW)


def test_every_released_schema_has_a_store() -> None:
    assert [int(name.removeprefix("schema-")) for name in SCHEMAS] == list(range(1, SCHEMA_VERSION))


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_older_store_is_brought_up_to_date_and_gives_the_figures_of_a_fresh_load(
    tmp_path: Path, name: str
) -> None:
    with Database(unpacked(name, tmp_path)) as database, Database(None) as empty:
        found = database.connection.execute("SELECT max(version) FROM store_schema").fetchall()
        assert found == [(SCHEMA_VERSION,)]
        ingest, fresh = collectors(database, tmp_path), collectors(empty, tmp_path)
        assert not fresh.collect().problems
        # the logs lie elsewhere now, so all of it is read again: nothing may come in twice
        collected = ingest.collect()
        assert not collected.problems
        assert sum(c.n_new for _, kind, c in collected.counts if kind == "predictions") == 0
        for task in TASKS:
            of = f"the-{task}.one"
            assert_adds_up(ingest.stored[of])
            assert_same(rollups(ingest.stored[of]), rollups(fresh.stored[of]))
        for task in TASKS:  # and it goes on
            lines = "".join(json.dumps(row) + "\n" for row in predictions(40, 99, task))
            log = tmp_path / task / "predictions.jsonl.gz"
            log.write_bytes(gzip.compress(lines.encode()))
        assert ingest.collect().n_new == fresh.collect().n_new == 40 * len(TASKS)
        for of, stored in ingest.stored.items():
            assert_same(rollups(stored), rollups(fresh.stored[of]))
        settings = RetentionSettings(raw=timedelta(days=7))
        assert retain(database, ingest.stored, settings, NOW, most=None) > 0
        for of, stored in ingest.stored.items():
            assert_same(rollups(stored), rollups(fresh.stored[of]))


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_older_store_that_is_only_read_answers_or_says_what_to_do(
    tmp_path: Path, name: str
) -> None:
    path = unpacked(name, tmp_path)
    before = path.read_bytes()
    given = {"start": NOW.replace(tzinfo=None, day=1), "end": NOW.replace(tzinfo=None)}
    answered = 0
    with Database(path, read_only=True) as database:
        reader = InProcessReader(database)
        for spec in QUERIES.values():
            if not set(spec.params) <= {*given, "deployment", "as_of", "step", "first", "last"}:
                continue
            params = {"as_of": given["end"], "step": "day", "first": 0, "last": 9, **given}
            asked = {k: v for k, v in params.items() if k in spec.params}
            try:
                reader.query(spec.name, "the-binary.one", **asked)  # type: ignore[arg-type]
            except StoreError as error:
                if "multiclass" in str(error) or "regression" in str(error):
                    continue  # another task's
                assert "record --once" in str(error), spec.name
            answered += 1
        main = reader.query("volume", "the-binary.one", **given, as_of=None, step="all")
        assert main["n"].sum() == 90
        reader.close()
    assert answered > 15
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    path = unpacked("schema-2", tmp_path)
    with duckdb.connect(str(path)) as connection:  # somebody has made a table of the same name
        connection.execute("CREATE TABLE source_state (a INTEGER)")
    with pytest.raises(StoreError, match="cannot use"):
        Database(path)
    with duckdb.connect(str(path)) as connection:
        found = connection.execute("SELECT max(version) FROM store_schema").fetchall()
        assert found == [(2,)]
        connection.execute("DROP TABLE source_state")
    Database(path).close()
