"""Stores that several tests read: the whole shipped sample, loaded once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import awkward
import pytest
from sample_rows import SAMPLE
from sample_store import LOADED, Sample
from shown import Store

from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from collectors.store.database import Database
from console.config import Config, load_config
from console.snapshots import Taker
from console.windows import latest_moment


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    """Everything in sample_data, as `modelwatch record --once` loads it."""
    path = tmp_path_factory.mktemp("sample") / "sample.duckdb"
    config_path = SAMPLE / "modelwatch.toml"
    config = load_config(config_path)
    shutil.copyfile(_built(tmp_path_factory, config), path)
    with Database(path, config.engine(), read_only=True) as database:
        reader = InProcessReader(database)
        taker = Taker(reader, config.deployment, load_times=False)
        yield Sample(path, config_path, config, taker, reader)
        reader.close()


def _built(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Path:
    """The sample's store, which takes 20 CPU-s: made by the first of the processes that test."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    path = folder / "sample-built.duckdb"
    with (folder / "sample-built.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            making = path.with_suffix(".making")
            with Database(making, config.engine()) as database:
                collected = Ingest(database, config.deployment, SAMPLE, lambda: LOADED).collect()
                assert not collected.problems
            making.rename(path)
    return path


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test finds the user's own configuration, store or zone."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "MODELWATCH_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def awkward_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of tests/console/awkward.py, its logs recorded into its store."""
    path = awkward.write(tmp_path_factory.mktemp("awkward"))
    config = load_config(path)
    with Database(path.parent / "store.duckdb", config.engine()) as database:
        clock = awkward.LAST_KNOWN
        collected = Ingest(database, config.deployment, path.parent, lambda: clock).collect()
        assert not collected.problems
    return path


@pytest.fixture(scope="session")
def awkward_store(awkward_config: Path) -> Iterator[Store]:
    """The same store, open for reading."""
    config = load_config(awkward_config)
    with Database(awkward_config.parent / "store.duckdb", config.engine(), read_only=True) as db:
        reader = InProcessReader(db)
        taker = Taker(reader, config.deployment, load_times=False)  # logs that have ended
        yield Store(config, taker, latest_moment(reader, config.deployment))
        reader.close()
