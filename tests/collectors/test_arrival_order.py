"""Any order of arrival gives the rollups of clean order, and those of a rebuild from raw rows."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import (
    TASKS,
    Row,
    assert_adds_up,
    assert_same,
    chunks,
    labels,
    opened,
    predictions,
    rollups,
    store_of,
    with_reference,
    write,
)

from collectors.contract import Deployment
from collectors.ingest import Ingest

EXAMPLES = int(os.environ.get("ARRIVAL_EXAMPLES", "3"))  # .ci/run asks for more
SOME = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=EXAMPLES < 10,
)
SUFFIXES = (".csv", ".jsonl", ".parquet")

arrivals = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "n": st.integers(1, 120),
        "cuts": st.lists(st.integers(1, 300), max_size=3),
        "repeats": st.integers(0, 20),
    }
)


def clean(contract: Deployment, base: Path, rows: list[Row], truths: list[Row]) -> Ingest:
    """Predictions in order, then labels in order, each in one file."""
    ingest = opened(contract, base)
    write(sorted(rows, key=lambda r: r["ts"]), base / "predictions" / "all", ".jsonl")
    write(sorted(truths, key=lambda r: r["received"]), base / "labels" / "all", ".jsonl")
    assert not ingest.collect().problems
    return ingest


@pytest.mark.parametrize("task", TASKS)
@SOME
@given(drawn=arrivals)
def test_any_order_of_arrival_gives_the_same_rollups(task: str, drawn: dict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        contract = with_reference(base, task)
        random_ = random.Random(drawn["seed"])
        rows = predictions(drawn["n"], drawn["seed"], task)
        truths = labels(rows, drawn["seed"] + 1, task)
        orderly = clean(contract, base / "clean", rows, truths)

        mixed = [("predictions", r) for r in rows] + [("labels", r) for r in truths]
        mixed += random_.choices(mixed, k=drawn["repeats"])
        random_.shuffle(mixed)
        ingest = opened(contract, base / "mixed")
        for kind in ("predictions", "labels"):
            (base / "mixed" / kind).mkdir(parents=True)
        for i, batch in enumerate(chunks(mixed, drawn["cuts"])):  # type: ignore[arg-type]
            for kind in ("predictions", "labels"):
                some = [row for k, row in batch if k == kind]
                if some:
                    suffix = random_.choice(SUFFIXES)
                    write(some, base / "mixed" / kind / f"{i:03}", suffix)
            assert not ingest.collect().problems

        wanted, stored = rollups(store_of(orderly)), store_of(ingest)
        assert_adds_up(stored)
        assert_same(rollups(stored), wanted)
        stored.settle(least_changes=1, most=1000)
        assert_same(rollups(stored), wanted)
        stored.rebuild(everything=True)
        assert_same(rollups(stored), wanted)


@pytest.mark.parametrize("task", TASKS)
@SOME
@given(drawn=arrivals)
def test_additions_equal_a_rebuild_without_a_reference(task: str, drawn: dict) -> None:
    # bins then come from the first batch, so orders cannot be compared with each other
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        contract = with_reference(base, task).model_copy(update={"reference": ()})
        rows = predictions(drawn["n"], drawn["seed"], task)
        truths = labels(rows, drawn["seed"] + 1, task)
        ingest = opened(contract, base)
        (base / "labels").mkdir()
        for i, some in enumerate(chunks(rows, drawn["cuts"])):
            write(some, base / "predictions" / f"{i:03}", ".jsonl")
            ingest.collect()
        for i, some in enumerate(chunks(truths, drawn["cuts"])):
            write(some, base / "labels" / f"{i:03}", ".csv")
            ingest.collect()
        stored = store_of(ingest)
        added = rollups(stored)
        stored.rebuild(everything=True)
        assert_same(added, rollups(stored))
        assert_adds_up(stored)
