"""A source that cannot be read is on the Data pane and among the findings until it can be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.contract import Deployment
from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from collectors.store.database import Database
from collectors.store.source_states import SourceState, note_states
from console.analysis.data import DataSnapshot
from console.panes import view
from console.snapshots import Taker
from console.views.data import document
from console.windows import make_ask

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    contract = Deployment.model_validate(
        {
            "name": "demo",
            "task": "binary",
            "predictions": {"path": "logs"},
            "score": "score",
            "labels": {"source": {"url": "http://127.0.0.1:9/labels"}},
        }
    )
    (tmp_path / "logs").mkdir()
    rows = [
        {"id": str(i), "timestamp": (NOW - timedelta(minutes=i)).isoformat(), "score": 0.5}
        for i in range(30)
    ]
    (tmp_path / "logs" / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return Ingest(Database(None), [contract], tmp_path, lambda: NOW)


def taken(ingest: Ingest, at: datetime = NOW) -> DataSnapshot:
    (d,) = (s.deployment for s in ingest.stored.values())
    reader = InProcessReader(ingest.database)
    try:
        return Taker(reader, [d]).data(make_ask(d, at, timedelta(hours=6)))
    finally:
        reader.close()


def test_it_is_said_since_when_and_why(ingest: Ingest) -> None:
    for _ in range(3):
        ingest.collect()
    snapshot = taken(ingest)
    (failing,) = snapshot.failing
    assert (failing.kind, failing.n_failures, failing.since) == ("labels", 3, NOW)
    assert failing.last_ok is None
    assert any(
        "labels from http://127.0.0.1:9/labels fail since 01 Mar 12:00" in f.text
        for f in snapshot.findings
    )
    rows = view("data", snapshot).table.rows
    assert [c.text for c in rows[0].cells][:2] == ["labels fail", "3 times since 01 Mar 12:00"]
    (written,) = document(snapshot)["failing_sources"]
    assert written["since"] == "2026-03-01T12:00:00Z"
    assert "refused" in written["problem"]


def test_it_is_over_when_the_source_works_again(ingest: Ingest) -> None:
    ingest.collect()
    key = ("demo", "labels", "http://127.0.0.1:9/labels")
    note_states(ingest.database, [SourceState(key)], NOW + timedelta(minutes=5))
    assert taken(ingest, NOW + timedelta(minutes=6)).failing == ()


def test_a_moment_before_it_failed_knows_nothing_of_it(ingest: Ingest) -> None:
    ingest.collect()
    assert taken(ingest, NOW - timedelta(minutes=1)).failing == ()


def test_a_success_that_follows_another_is_not_written_each_time(ingest: Ingest) -> None:
    key = ("demo", "predictions", "logs")
    for second in range(10):
        note_states(ingest.database, [SourceState(key)], NOW + timedelta(seconds=second))
    found = ingest.database.connection.execute(
        "SELECT last_ok FROM source_state WHERE kind = 'predictions'"
    ).fetchall()
    assert found == [(NOW.replace(tzinfo=None),)]
