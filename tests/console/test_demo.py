"""The headless demo: its summary, and a replay that ends with what a batch load has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sample_rows import SAMPLE, predictions
from shown import Store
from test_cli import COMMAND, environment

from collectors.errors import StoreError
from collectors.reader import InProcessReader
from collectors.replay import Replay
from collectors.store.batches import BatchCounts
from collectors.store.database import Database
from console.cli import main
from console.config import load_config
from console.snapshots import Taker
from console.windows import latest_moment

FROM = datetime(2013, 2, 24, tzinfo=UTC)
CONFIG = """
[console]
clock = "latest"

[[deployment]]
name = "late"
task = "binary"
predictions = { path = "predictions.parquet" }
id = "request_id"
timestamp = "timestamp"
version = "version"
score = "late_score"
prediction = "late_predicted"
segments = ["origin", "carrier"]
features = { numeric = ["temp", "precip"], categorical = ["origin"] }
[deployment.labels]
source = { path = "labels.parquet" }
id = "request_id"
value = "late"
received = "received_at"
[deployment.fallback]
score = "fallback_score"
threshold = 0.25
[[deployment.reference]]
path = "reference.parquet"
version = "v1"

[[deployment]]
name = "delay"
task = "regression"
predictions = { path = "predictions.parquet" }
id = "request_id"
timestamp = "timestamp"
version = "version"
prediction = "delay_predicted"
features = { numeric = ["wind_speed"] }
[deployment.labels]
source = { path = "labels.parquet" }
id = "request_id"
value = "delay_minutes"
received = "received_at"
[[deployment.reference]]
path = "reference.parquet"
version = "v1"
"""


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last days of February of the sample, as a folder of its own."""
    folder = tmp_path_factory.mktemp("week")
    few = pl.read_parquet(SAMPLE / "predictions" / "2013-02.parquet").filter(
        pl.col("timestamp") >= FROM
    )
    few.write_parquet(folder / "predictions.parquet")
    pl.read_parquet(SAMPLE / "labels" / "2013-0[23].parquet").join(
        few.select("request_id"), on="request_id", how="semi"
    ).write_parquet(folder / "labels.parquet")
    pl.read_parquet(SAMPLE / "reference" / "v1.parquet").head(2000).write_parquet(
        folder / "reference.parquet"
    )
    (folder / "modelwatch.toml").write_text(CONFIG)
    return folder


def test_the_demo_tells_of_the_wind_sensor(tmp_path: Path) -> None:
    store = tmp_path / "demo.duckdb"
    found = subprocess.run(
        [*COMMAND, "demo", "--headless", "--as-of", "2013-02-13", "--store", str(store)],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "wind_speed reaches 1,048" in found.stdout
    assert "as of 2013-02-13 00:00 UTC" in found.stdout
    assert "Traceback" not in found.stderr
    assert "loading the predictions of flight-late" in found.stderr
    # half open: what came at that very moment belongs to the next window
    before = predictions().filter(pl.col("timestamp") < datetime(2013, 2, 13, tzinfo=UTC)).height
    assert f"{2 * before:,} predictions in 2 deployments" in found.stdout
    # nothing later than the clock is in the store
    with Database(store, read_only=True) as database:
        newest = database.connection.execute("SELECT count(*), max(loaded_at) FROM batches")
        assert newest.fetchall()[0][1] <= datetime(2013, 2, 13)  # noqa: DTZ001


def test_a_demo_without_a_terminal_says_what_it_would_show(
    week: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoTerminal:
        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", NoTerminal())
    assert main(["demo", "--sample", str(week), "--as-of", "2013-02-26"]) == 0
    out, err = capsys.readouterr()
    assert "there is no terminal here" in err
    assert "modelwatch: the last 7d" in out


def test_a_demo_whose_feed_keeps_failing_ends_with_its_reason(
    week: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Replay, moment: datetime) -> BatchCounts:
        raise StoreError("the disk is \x1b[31mfull")

    monkeypatch.setattr(Replay, "advance", full)
    words = ["demo", "--headless", "--sample", str(week), "--start", "2013-02-26T05:00"]
    assert main(words) == 3
    out, err = capsys.readouterr()
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("modelwatch: the disk is \N{REPLACEMENT CHARACTER}[31mfull")
    assert "Traceback" not in err
    assert "\x1b" not in err


def close(a: Any, b: Any, place: str = "") -> None:
    """The same, but for the last digits of sums that were added in another order."""
    if isinstance(a, dict):
        assert list(a) == list(b), place
        for key in a:
            close(a[key], b[key], f"{place}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), place
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            close(x, y, f"{place}[{i}]")
    elif isinstance(a, float):
        assert a == pytest.approx(b, rel=1e-9, abs=1e-12), place
    else:
        assert a == b, place


def test_a_replayed_store_ends_like_a_batch_load(
    week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(week / "modelwatch.toml")
    replayed, batch = (str(tmp_path / f"{name}.duckdb") for name in ("replayed", "batch"))
    words = ["demo", "--headless", "--sample", str(week), "--start", "2013-02-26T05:00"]
    assert main([*words, "--store", replayed]) == 0
    assert main(["record", "--once", "--config", config, "--store", batch]) == 0
    capsys.readouterr()
    documents = [dict(answers(Path(store), Path(config))) for store in (replayed, batch)]
    close(*documents)
    performance = documents[0]["late performance"]
    rows, labels = (
        pl.read_parquet(week / f"{n}.parquet").height for n in ("predictions", "labels")
    )
    assert sum(row["n"] for row in performance["rows"]) == rows
    assert sum(row["n_labelled"] for row in performance["rows"]) == labels


def answers(path: Path, config_path: Path) -> Iterator[tuple[str, Any]]:
    """Every pane's document over the week, but for what tells by which way the rows came."""
    config = load_config(config_path)
    with Database(path, config.engine(), read_only=True) as database:
        reader = InProcessReader(database)
        clock = latest_moment(reader, config.deployment)
        store = Store(config, Taker(reader, config.deployment), clock)
        for deployment in ("late", "delay"):
            for pane in ("performance", "drift", "subgroups", "traffic", "data"):
                shown = store.show(pane, deployment, window=timedelta(days=7), step="day")
                document = json.loads(shown)
                for of_the_way in ("sources", "schema_changes"):
                    document.pop(of_the_way, None)
                yield f"{deployment} {pane}", document
        reader.close()
