"""Changes that the serving system tells of: on the traffic pane, and near a figure's onset."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import awkward
import pytest
from show_schema import PANE_SCHEMAS, check

from collectors.reader import InProcessReader
from collectors.store.database import Database
from console.analysis.changes import MOST_CHANGES
from console.cli import main
from console.config import load_config
from console.panes import take, view
from console.snapshots import Taker
from console.views.model import TimePlot
from console.windows import make_ask

DURING = awkward.FIRST + timedelta(hours=9, minutes=30)
CHANGES = (
    (DURING, "binary", "alias", "champion", "version 3 -> 4"),
    (DURING + timedelta(hours=2), "binary", "\x1b[31mkind", "[bold]", "=cmd()"),
    (DURING, "multi", "alias", "other", "is of another deployment"),
    (awkward.FIRST - timedelta(days=9), "binary", "alias", "old", "before the window"),
    (awkward.LAST_KNOWN + timedelta(days=9), "binary", "deploy", "late", "after the clock"),
)


@pytest.fixture
def config(awkward_config: Path, tmp_path: Path) -> Path:
    """The awkward store, to which a collector has written changes."""
    for name in ("store.duckdb", awkward_config.name):
        shutil.copy(awkward_config.parent / name, tmp_path / name)
    with Database(tmp_path / "store.duckdb") as database:
        database.connection.executemany(
            "INSERT INTO change_events (ts, deployment, kind, subject, detail, source, batch) "
            "VALUES (?, ?, ?, ?, ?, 'registry', 1)",
            [(at.replace(tzinfo=None), *rest) for at, *rest in CHANGES],
        )
    return tmp_path / awkward_config.name


def shown(capsys: pytest.CaptureFixture[str], config: Path, *words: str) -> str:
    capsys.readouterr()
    assert main(["show", "traffic", "--config", str(config), "--window", "2d", *words]) == 0
    return capsys.readouterr().out


def test_the_traffic_pane_tells_them(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(shown(capsys, config, "--format", "json"))
    check(document, PANE_SCHEMAS["traffic"], "traffic")
    assert [(c["kind"], c["subject"], c["detail"]) for c in document["recorded_changes"]] == [
        ("alias", "champion", "version 3 -> 4"),
        ("\x1b[31mkind", "[bold]", "=cmd()"),
    ]
    assert document["n_recorded_changes"] == 2
    text = shown(capsys, config)
    assert f"alias champion: version 3 -> 4 at {DURING:%d %b %H:%M} UTC" in text
    assert "\x1b" not in text


def test_what_is_later_than_the_moment_is_not_known(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (DURING - timedelta(minutes=1)).isoformat()
    assert "champion" not in shown(capsys, config, "--as-of", before)
    after = (DURING + timedelta(minutes=1)).isoformat()
    assert "champion" in shown(capsys, config, "--as-of", after)


def test_they_are_marks_on_both_time_axes_and_events_of_an_explanation(config: Path) -> None:
    loaded = load_config(config)
    with Database(config.parent / "store.duckdb", read_only=True) as database:
        reader = InProcessReader(database)
        taker = Taker(reader, loaded.deployment, load_times=False)
        ask = make_ask(loaded.deployment[0], awkward.LAST_KNOWN, timedelta(days=2))
        drawn = view("traffic", take("traffic", taker, ask))
        explained = taker.explain(ask, "accuracy")
        reader.close()
    for plot in drawn.plots:
        assert isinstance(plot, TimePlot)
        marks = [mark for mark in plot.marks if mark.x == DURING]
        assert [mark.name for mark in marks] == ["alias champion: version 3 -> 4"]
        assert not any("\x1b" in mark.name for mark in plot.marks)
    kinds = {(e.kind.value, e.at, e.text) for e in explained.events}
    assert ("alias", DURING, "alias champion: version 3 -> 4") in kinds
    assert "change" in {kind for kind, _, _ in kinds}  # a kind that nobody knows


def test_an_alias_that_flaps_is_counted_and_not_all_told(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Database(config.parent / "store.duckdb") as database:
        database.connection.execute(
            "INSERT INTO change_events SELECT TIMESTAMP '2024-03-31 00:00:00' + to_seconds(i), "
            "'binary', 'alias', 'flaps', i || ' -> ' || (i + 1), 'registry', 1 "
            "FROM range(5000) AS t(i)"
        )
    document = json.loads(shown(capsys, config, "--format", "json"))
    assert len(document["recorded_changes"]) == MOST_CHANGES
    assert document["n_recorded_changes"] == 5002
    said = [f["text"] for f in document["findings"] if "flaps" in f["text"]]
    assert len(said) <= 3
    assert any(
        "4,999 more changes of the serving system" in f["text"] for f in document["findings"]
    )


def test_a_store_that_knows_no_changes_is_read(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Database(config.parent / "store.duckdb") as database:
        database.connection.execute("DROP TABLE change_events")
    assert json.loads(shown(capsys, config, "--format", "json"))["recorded_changes"] == []
