"""Sums are over the rows that have what is summed, and say how many those are."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from synthetic import (
    CLASSES,
    START,
    Row,
    assert_same,
    deployment,
    opened,
    rollups,
    store_of,
    write,
)

from collectors.contract import Deployment
from collectors.ingest import Ingest
from collectors.reader import InProcessReader

BEGIN = START.replace(tzinfo=None)
WINDOW = {"start": BEGIN, "end": BEGIN + timedelta(days=1), "step": "all"}


def scored(**changes: Any) -> Deployment:
    return deployment("multiclass", features={}, segments=["shop"], fallback=None, **changes)


def record(number: int, predicted: str, *scores: float | None) -> Row:
    row: Row = {
        "id": f"r{number}",
        "ts": (START + timedelta(seconds=number)).isoformat(),
        "model": "v1",
        "predicted": predicted,
        "shop": "north" if number % 2 else "south",
    }
    return row | {f"p_{c}": s for c, s in zip(CLASSES, scores or (None,) * 3, strict=True)}


def labelled(base: Path, rows: list[Row], label: str = "ant") -> Ingest:
    """Predictions and then their labels, each as a batch of its own."""
    (base / "labels").mkdir(exist_ok=True)
    write(rows, base / "predictions" / "a", ".jsonl")
    ingest = opened(scored(), base)
    assert not ingest.collect().problems
    said = [{"id": r["id"], "label": label, "received": r["ts"]} for r in rows]
    write(said, base / "labels" / "a", ".jsonl")
    assert not ingest.collect().problems
    return ingest


def sums(ingest: Ingest, **more: Any) -> dict[str, tuple[Any, ...]]:
    given = {"first": 0, "last": 0} | WINDOW | more
    found = InProcessReader(ingest.database).query("multiclass", "demo", **given)
    columns = ("n", "n_scored", "log_loss_sum", "brier_sum")
    return {row[0]: row[1:] for row in found.select("predicted", *columns).iter_rows()}


def test_rows_without_probabilities_are_counted_and_not_scored(tmp_path: Path) -> None:
    rows = [
        record(0, "ant", 0.7, 0.2, 0.1),
        record(1, "ant"),
        record(2, "ant", 0.5, 0.5, None),  # one is missing: not a distribution
        record(3, "bee"),
        record(4, "bee", None, 0.9, 0.1),
        record(5, "cat", 0.0, 0.0, 1.0),
    ]
    ingest = labelled(tmp_path, rows)
    found = sums(ingest)
    assert found["bee"] == (2, 0, 0, 0)
    assert found["ant"] == (3, 1, pytest.approx(-math.log(0.7)), pytest.approx(0.14))
    assert found["cat"] == (1, 1, pytest.approx(36.04, abs=0.01), pytest.approx(2))
    late = sums(ingest, as_of=BEGIN + timedelta(seconds=1.5))
    assert late["ant"] == (2, 1, pytest.approx(-math.log(0.7)), pytest.approx(0.14))
    stored = store_of(ingest)
    added = rollups(stored)
    stored.rebuild(everything=True)
    assert_same(rollups(stored), added)


def test_a_label_not_known_is_not_scored(tmp_path: Path) -> None:
    write([record(0, "ant", 0.7, 0.2, 0.1)], tmp_path / "predictions" / "a", ".jsonl")
    ingest = opened(scored(labels=None), tmp_path)
    ingest.collect()
    assert sums(ingest) == {"ant": (1, 0, 0, 0)}


def test_a_log_of_classes_alone_has_nothing_scored(tmp_path: Path) -> None:
    rows = [record(i, CLASSES[i % 3]) for i in range(6)]
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    said = [{"id": r["id"], "label": "ant", "received": r["ts"]} for r in rows]
    write(said, tmp_path / "labels" / "a", ".jsonl")
    for contract in (scored(), scored(class_scores={})):
        ingest = opened(contract, tmp_path)
        assert not ingest.collect().problems
        assert sums(ingest) == dict.fromkeys(CLASSES, (2, 0, 0, 0))


def test_a_reference_without_probabilities_is_counted_and_not_scored(tmp_path: Path) -> None:
    rows = [record(0, "ant", 0.7, 0.2, 0.1), record(1, "bee"), record(2, "ant")]
    path = write([row | {"label": "ant"} for row in rows], tmp_path / "reference", ".parquet")
    (tmp_path / "predictions").mkdir()
    (tmp_path / "labels").mkdir()
    ingest = opened(scored(reference=[{"path": str(path)}]), tmp_path)
    assert not ingest.collect().problems
    found = InProcessReader(ingest.database).query("reference_multiclass", "demo", first=0, last=0)
    assert found.sort("predicted").select("predicted", "n", "n_scored").rows() == [
        ("ant", 2, 1),
        ("bee", 1, 0),
    ]


def test_costs_are_summed_over_the_rows_that_have_one(tmp_path: Path) -> None:
    costs = [1.5, None, 0.0, float("inf"), float("nan"), 1e200, 2.5]
    rows = [record(i, "ant") | {"cost": cost} for i, cost in enumerate(costs)]
    write(rows, tmp_path / "predictions" / "a", ".parquet")
    ingest = opened(scored(labels=None), tmp_path)
    ingest.collect()
    reader = InProcessReader(ingest.database)
    found = reader.query("volume", "demo", **WINDOW)
    assert found.select("n", "n_cost", "cost_sum").rows() == [(7, 3, 4.0)]
    then = reader.query("volume", "demo", **WINDOW, as_of=BEGIN + timedelta(seconds=2))
    assert then.select("n", "n_cost", "cost_sum").rows() == [(2, 1, 1.5)]
