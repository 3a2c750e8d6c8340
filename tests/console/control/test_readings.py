"""What is kept of looks at a plane: changes at once, else twice a minute, and never lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from memory_plane import MemoryPlane

from collectors.errors import StoreError
from collectors.reader import InProcessReader
from collectors.store.database import Database
from console.control import readings as readings_module
from console.control.audit import Audit
from console.control.readings import Readings
from console.control.settings import Control
from console.control.split import Split
from console.control.watch import Watch

NAME = "flights"


@pytest.fixture
def look(tmp_path):
    plane = MemoryPlane({"v1": 75, "v2": 25}, replicas=2)
    now = [datetime(2026, 11, 21, 3, 0, tzinfo=UTC)]
    control = Control.model_validate({
        "plane": {"kind": "envoy", "admin": ["http://127.0.0.1:1"], "prefix": "x"},
        "arms": {"v1": "v1", "v2": "v2"},
        "stable": "v1",
    })  # fmt: skip
    watch = Watch(
        NAME, control, plane, Audit(tmp_path / "a.jsonl"), refused="", clock=lambda: now[0]
    )

    def looked(after: float = 5):
        now[0] += timedelta(seconds=after)
        return watch.look()

    looked.plane = plane
    return looked


def rows(database: Database):
    reader = InProcessReader(database)
    try:
        return reader.query(
            "split_readings",
            NAME,
            start=datetime(2026, 11, 21),  # noqa: DTZ001 - naive UTC as stored
            end=datetime(2026, 11, 22),  # noqa: DTZ001
        ).rows(named=True)
    finally:
        reader.close()


def test_each_replica_and_arm_is_a_row_with_what_it_served_since(look):
    kept = Readings()
    kept.put(look())
    look.plane.serve(200)
    look.plane.replicas[1].set(Split.of({"v1": 50, "v2": 50}), "c")
    kept.put(look())
    with Database(None) as database:
        assert kept.flush(database)
        assert not kept.flush(database)
        found = rows(database)
    assert [(r["replica"], r["arm"], r["weight"]) for r in found] == [
        ("r1", "v1", 75), ("r1", "v2", 25), ("r2", "v1", 75), ("r2", "v2", 25),
        ("r1", "v1", 75), ("r1", "v2", 25), ("r2", "v1", 50), ("r2", "v2", 50),
    ]  # fmt: skip
    assert sum(r["n"] for r in found[4:]) == 200


def test_looks_that_say_nothing_new_are_kept_twice_a_minute(look):
    kept = Readings()
    for _ in range(24):  # two minutes
        kept.put(look())
    with Database(None) as database:
        kept.flush(database)
        assert len(rows(database)) == 4 * 4


def test_a_plane_that_cannot_be_read_is_a_row_that_says_why(look):
    kept = Readings()
    kept.put(look())
    for replica in look.plane.replicas:
        replica.down = True
    kept.put(look())
    with Database(None) as database:
        kept.flush(database)
        last = rows(database)[-1]
    assert last["weight"] is None
    assert "cannot be reached" in last["problem"]


def test_a_store_that_cannot_be_written_to_loses_nothing(look, monkeypatch):
    kept = Readings()
    kept.put(look())

    def full(*_):
        raise StoreError("the disk is full")

    with Database(None) as database:
        monkeypatch.setattr(readings_module, "keep_readings", full)
        with pytest.raises(StoreError):
            kept.flush(database)
        monkeypatch.undo()
        kept.flush(database)
        assert len(rows(database)) == 4
