"""However many classes and versions a log names, rollups stay bounded and their sums exact."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
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
WINDOW = {"start": BEGIN, "end": BEGIN + timedelta(days=3), "step": "all"}


def contract(task: str = "multiclass", **changes: Any) -> Deployment:
    given = {"class_scores": {}, "fallback": None, "segments": [], "features": {}, "error": ""}
    return deployment(task, **(given | changes))


def records(n: int, kinds: int, versions: int = 1) -> list[Row]:
    random_ = random.Random(n)
    return [
        {
            "id": f"r{i}",
            "ts": (START + timedelta(seconds=i)).isoformat(),
            "model": f"v{random_.randrange(versions)}",
            "predicted": f"k{random_.randrange(kinds)}",
            "latency": 5.0,
            "cost": 0.5,
        }
        for i in range(n)
    ]


def truths(rows: list[Row], kinds: int, seed: int) -> list[Row]:
    """True classes: half of them as predicted, some that are never predicted."""
    random_ = random.Random(seed)
    at = (START + timedelta(hours=2 + seed)).isoformat()
    return [
        {
            "id": row["id"],
            "label": row["predicted"]
            if random_.random() < 0.5
            else f"k{random_.randrange(kinds + 300)}",
            "received": at,
            "event": None,
            "by": "ann",
        }
        for row in rows
    ]


def right(frame: pl.DataFrame) -> int:
    return int(frame.filter(pl.col("predicted") == pl.col("actual"))["n"].sum())


def asked(ingest: Ingest, query: str = "multiclass", **more: Any) -> pl.DataFrame:
    given = {"first": 0, "last": 0} if query == "multiclass" else {}
    return InProcessReader(ingest.database).query(query, "demo", **(WINDOW | given | more))


def test_classes_beyond_two_hundred_share_one(tmp_path: Path) -> None:
    rows = records(4000, 900)
    first, second = truths(rows, 900, 1), truths(rows[:3000], 900, 2)
    write(rows[:50], tmp_path / "predictions" / "a", ".csv")
    (tmp_path / "labels").mkdir()
    ingest = opened(contract(), tmp_path)
    ingest.collect()
    write(rows[50:], tmp_path / "predictions" / "b", ".csv")
    ingest.collect()
    write(first, tmp_path / "labels" / "a", ".csv")
    ingest.collect()
    write(second, tmp_path / "labels" / "b", ".csv")  # corrections take back what was added
    ingest.collect()

    found = asked(ingest)
    names = {*found["predicted"], *found["actual"].drop_nulls()}
    assert len(names) == 202
    assert {"(other)", "(another)"} <= names
    assert {row["predicted"] for row in rows[:50]} <= names
    label = {row["id"]: row["label"] for row in [*first, *second]}
    assert found["n"].sum() == found.filter(pl.col("actual").is_not_null())["n"].sum() == 4000
    assert right(found) == sum(label[row["id"]] == row["predicted"] for row in rows)

    label = {row["id"]: row["label"] for row in first}
    then = right(asked(ingest, as_of=BEGIN + timedelta(hours=3, minutes=30)))
    assert then == sum(label[row["id"]] == row["predicted"] for row in rows)

    stored = store_of(ingest)
    added = rollups(stored)
    stored.rebuild(everything=True)
    assert_same(rollups(stored), added)


def test_classes_of_labels_that_waited_and_of_a_first_load_are_bounded_too(tmp_path: Path) -> None:
    rows = records(1000, 600)
    said = truths(rows, 600, 1)
    write(said, tmp_path / "labels" / "a", ".csv")
    (tmp_path / "predictions").mkdir()
    waiting = opened(contract(), tmp_path)
    waiting.collect()
    write(rows, tmp_path / "predictions" / "a", ".csv")
    waiting.collect()
    whole = opened(contract(), tmp_path)
    whole.collect()
    for ingest in (waiting, whole):
        found = asked(ingest)
        assert len({*found["predicted"], *found["actual"].drop_nulls()}) == 202
        label = {row["id"]: row["label"] for row in said}
        assert right(found) == sum(label[row["id"]] == row["predicted"] for row in rows)


def test_classes_of_the_contract_keep_their_own_rollups(tmp_path: Path) -> None:
    rows = [row | {f"p_{c}": 0.1 for c in CLASSES} for row in records(2000, 500)]
    rows += [
        rows[0] | {"id": f"c{i}", "predicted": c, f"p_{c}": 0.8} for i, c in enumerate(CLASSES)
    ]
    write(rows, tmp_path / "predictions" / "a", ".csv")
    scored = {"class_scores": {c: f"p_{c}" for c in CLASSES}}
    ingest = opened(contract(labels=None, **scored), tmp_path)
    ingest.collect()
    found = asked(ingest)
    assert set(CLASSES) <= set(found["predicted"])
    assert found["predicted"].n_unique() == 201


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_versions_beyond_a_hundred_share_one(tmp_path: Path, task: str) -> None:
    rows = records(4000, 3, versions=700)
    changes: dict[str, Any] = {"labels": None, "features": {"numeric": ["cost"]}}
    if task == "regression":
        rows = [row | {"predicted": 1.0} for row in rows]
        changes |= {"task": task}
    write(rows[:40], tmp_path / "predictions" / "a", ".csv")
    ingest = opened(contract(**changes), tmp_path)
    ingest.collect()
    write(rows[40:], tmp_path / "predictions" / "b", ".csv")
    ingest.collect()
    own = {row["model"] for row in rows[:40]}
    for query in (task, "volume", "latency", "features"):
        given = {"first": -2, "last": 9} if query == "features" else {}
        given |= {"first": 0, "last": 0} if query == task else {}
        window = {k: v for k, v in WINDOW.items() if query != "latency" or k != "step"}
        for as_of in (None, BEGIN + timedelta(minutes=30)):
            reader = InProcessReader(ingest.database)
            found = reader.query(query, "demo", **window, **given, as_of=as_of)
            n_versions = found["version"].n_unique()
            assert n_versions <= 101 if as_of else n_versions == 101, query
            assert own < set(found["version"])
            made = 1800 if as_of else 4000
            each = found.group_by(found["feature"]) if query == "features" else None
            n = each.agg(pl.col("n").sum())["n"].unique().to_list() if each else [found["n"].sum()]
            assert n == [made], query
    versions = InProcessReader(ingest.database).query(
        "versions", "demo", end=BEGIN + timedelta(minutes=30)
    )
    assert 41 <= versions.height <= 101
    assert versions["n"].sum() == 1800
    stored = store_of(ingest)
    added = rollups(stored)
    stored.rebuild(everything=True)
    assert_same(rollups(stored), added)


def test_a_thousand_versions_leave_bins_a_bounded_number_of_edges(tmp_path: Path) -> None:
    rows = [row | {"cost": math.sqrt(i)} for i, row in enumerate(records(3000, 3, versions=1000))]
    write(rows, tmp_path / "predictions" / "a", ".csv")
    ingest = opened(contract(labels=None, features={"numeric": ["cost"]}), tmp_path)
    ingest.collect()
    found = InProcessReader(ingest.database).query("bins", "demo")
    assert found.filter(pl.col("feature") == 0).height <= 1200
