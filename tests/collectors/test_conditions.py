"""Rows whose feature is missing, or outside what the reference has seen, have sums of their own."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from synthetic import (
    START,
    TASKS,
    Row,
    assert_same,
    deployment,
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
from collectors.reader import InProcessReader
from console.analysis.figures import figures

BEGIN = START.replace(tzinfo=None)
FAR = BEGIN + timedelta(days=9)
WINDOW: dict[str, Any] = {"start": BEGIN, "end": FAR, "step": "all"}
FEATURES = {"first": 0, "last": 9}


def odd(n: int, seed: int, task: str) -> list[Row]:
    """Rows with values that no reference has, of a version without one too."""
    random_ = random.Random(seed)
    rows = predictions(n, seed, task)
    for row in rows:
        if row["x"] is not None and random_.random() < 0.2:
            row["x"] = random_.choice([99.0, -99.0, math.nan, math.inf, -math.inf])
        if random_.random() < 0.1:
            row["colour"] = random_.choice(["violet", ""])
        if random_.random() < 0.1:
            row["model"] = "v3"
    return rows


@pytest.fixture(scope="module", params=TASKS)
def ingest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ingest:
    base, task = tmp_path_factory.mktemp("conditions"), request.param
    rows = odd(300, 3, task)
    truths = labels(rows, 4, task)
    ingest = opened(with_reference(base, task), base)
    for name, part in (("a", slice(None, 200)), ("b", slice(200, None))):
        write(rows[part], base / "predictions" / name, ".parquet")
        write(truths[part], base / "labels" / name, ".jsonl")
        ingest.collect()
    return ingest


@pytest.fixture
def reader(ingest: Ingest) -> Iterator[InProcessReader]:
    reader = InProcessReader(ingest.database)
    yield reader
    reader.close()


def frame(ingest: Ingest, sql: str, **params: Any) -> pl.DataFrame:
    return pl.DataFrame(ingest.database.connection.sql(sql, params=params))


def wanted(ingest: Ingest, as_of: datetime) -> Counter[tuple[str, int, str]]:
    """(version, feature, condition) -> rows, by hand."""
    layout = store_of(ingest).layout
    raw = frame(
        ingest,
        f"SELECT version, f0, f1 FROM {layout.table('predictions')} "
        "WHERE error IS NULL AND ts < $as_of",
        as_of=as_of,
    )
    seen: dict[str, list[tuple[float | None, str | None]]] = {}
    known = frame(ingest, f"SELECT version, f0, f1 FROM {layout.table('reference')}")
    for version, x, colour in known.rows():
        seen.setdefault(version, []).append((x, colour))
    found: Counter[tuple[str, int, str]] = Counter()
    for version, x, colour in raw.rows():
        if x is None or not math.isfinite(x):
            found[version, 0, "missing"] += 1
        elif version in seen:
            values = [v for v, _ in seen[version] if v is not None]
            found[version, 0, "outside"] += not min(values) <= x <= max(values)
        if colour is None:
            found[version, 1, "missing"] += 1
        elif version in seen:
            found[version, 1, "outside"] += colour not in {c for _, c in seen[version]}
    return +found


def counted(found: pl.DataFrame) -> dict[tuple[Any, ...], int]:
    keys = ["version", "segment", "value"]
    return {tuple(k): n for *k, n in found.group_by(keys).agg(pl.col("n").sum()).rows()}


def test_conditions_equal_those_counted_by_hand(ingest: Ingest, reader: InProcessReader) -> None:
    random_ = random.Random(1)
    moments = [BEGIN + timedelta(seconds=random_.randrange(86_400)) for _ in range(4)]
    for as_of in (FAR, *moments):
        found = reader.query("conditions", "demo", **WINDOW, **FEATURES, as_of=as_of)
        assert counted(found) == wanted(ingest, as_of)
    assert {v for _, _, v in counted(found)} == {"missing", "outside"}
    only = reader.query("conditions", "demo", **WINDOW, first=1, last=1)
    assert set(only["segment"]) == {1}


def test_a_condition_is_a_part_of_the_whole(ingest: Ingest, reader: InProcessReader) -> None:
    contract = store_of(ingest).deployment
    found = reader.query("conditions", "demo", **WINDOW, **FEATURES)
    whole = reader.query(contract.task.value, "demo", **WINDOW, first=0, last=0)
    assert list(found.schema.items()) == list(whole.schema.items())
    totals = {f.group.version: f for f in figures(contract, whole)}
    for part in figures(contract, found):
        total = totals[part.group.version]
        assert 0 < part.n <= total.n
        assert part.n_labelled <= total.n_labelled


def test_totals_are_the_outcomes_without_score_bins(
    ingest: Ingest, reader: InProcessReader
) -> None:
    task = store_of(ingest).deployment.task.value
    given = {"start": BEGIN, "end": FAR, "first": 0, "last": 9}
    for name, more in ((task, {"step": "day"}), (f"reference_{task}", {})):
        asked: dict[str, Any] = (given if more else {"first": 0, "last": 9}) | more
        whole = reader.query(name, "demo", **asked)
        totals = reader.query(name.replace(task, "totals"), "demo", **asked)
        assert totals.columns == whole.columns
        keys = ["start", "version", "segment", "value", "value2", "predicted", "actual"]
        if task == "regression":
            keys = keys[:5]
        keys = [key for key in keys if key in whole.columns]
        sums = [c for c in whole.columns if c not in (*keys, "bin")]
        merged = whole.group_by(keys).agg(pl.col(sums).sum()).sort(keys)
        assert_frame_equal(totals.select(merged.columns).sort(keys), merged)


def test_sums_of_a_condition_are_those_of_its_rows(tmp_path: Path) -> None:
    # every row lacks x: the sums of "x is missing" are those of the whole
    for task in TASKS:
        base = tmp_path / task
        rows = [row | {"x": None} for row in odd(150, 5, task)]
        write(rows, base / "predictions" / "a", ".jsonl")
        write(labels(rows, 6, task), base / "labels" / "a", ".jsonl")
        reader = InProcessReader(opened_after(with_reference(tmp_path / task, task), base))
        found = reader.query("conditions", "demo", **WINDOW, first=0, last=0)
        whole = reader.query(task, "demo", **WINDOW, first=0, last=0)
        keys = [k for k in ("version", "predicted", "actual") if k in whole.columns]
        sums = [c for c in whole.columns if c not in (*keys, "start", "segment", "bin")]
        sums = [c for c in sums if not c.startswith("value")]
        merged = [f.group_by(keys).agg(pl.col(sums).sum()).sort(keys) for f in (found, whole)]
        for name in sums:
            assert merged[0][name].to_list() == pytest.approx(merged[1][name].to_list()), name


def opened_after(contract: Deployment, base: Path) -> Any:
    ingest = opened(contract, base)
    assert not ingest.collect().problems
    return ingest.database


def test_the_references_own_values_are_inside(ingest: Ingest, reader: InProcessReader) -> None:
    found = reader.query("reference_conditions", "demo", **FEATURES)
    layout = store_of(ingest).layout
    missing = frame(
        ingest,
        "SELECT version, count(*) FILTER (f0 IS NULL) AS x, count(*) FILTER (f1 IS NULL) AS c "
        f"FROM {layout.table('reference')} GROUP BY version",
    )
    assert set(found["value"]) == {"missing"}
    by_hand = {(v, i, "missing"): n[i] for v, *n in missing.rows() for i in (0, 1) if n[i]}
    assert counted(found) == by_hand
    assert "start" not in found.columns


def test_a_version_without_a_reference_is_held_against_the_one_of_no_version(
    tmp_path: Path,
) -> None:
    known = [row | {"x": 5.0, "colour": "red", "label": 1} for row in predictions(50, 1)]
    known = [row for row in known if row["error"] is None]
    path = write(known, tmp_path / "all", ".parquet")
    wide = write([row | {"x": i} for i, row in enumerate(known)], tmp_path / "v2", ".parquet")
    rows = [row | {"x": 7.0, "colour": "green"} for row in predictions(80, 2)]
    write(rows, tmp_path / "predictions" / "a", ".parquet")
    (tmp_path / "labels").mkdir()
    n = Counter(row["model"] for row in rows if row["error"] is None)
    own = {"path": str(wide), "version": "v2"}
    plain = deployment(version="no such column", reference=[{"path": str(path)}])
    for references, wants in (
        ([], {}),
        ([own], {("v2", 1, "outside"): n["v2"]}),
    ):
        contract = deployment(reference=references)
        reader = InProcessReader(opened_after(contract, tmp_path))
        assert counted(reader.query("conditions", "demo", **WINDOW, **FEATURES)) == wants
    # rows of a log without versions are held against the one reference without a version
    reader = InProcessReader(opened_after(plain, tmp_path))
    found = counted(reader.query("conditions", "demo", **WINDOW, **FEATURES))
    assert sum(found.values()) == 2 * sum(n.values())


def test_another_reference_makes_the_conditions_anew(tmp_path: Path) -> None:
    rows = [row | {"x": 7.0} for row in predictions(40, 2)]
    write(rows, tmp_path / "predictions" / "a", ".parquet")
    (tmp_path / "labels").mkdir()
    ingest = opened(with_reference(tmp_path, "binary"), tmp_path)
    ingest.collect()
    reader = InProcessReader(ingest.database)
    outside = pl.col("value") == "outside"
    before = reader.query("conditions", "demo", **WINDOW, first=0, last=0).filter(outside)
    known = [row | {"label": 1, "x": 7.0} for row in rows if row["error"] is None]
    write(known, tmp_path / "reference", ".parquet")
    ingest.collect()
    after = reader.query("conditions", "demo", **WINDOW, first=0, last=0).filter(outside)
    assert before["n"].sum() == len(known)
    assert after.is_empty()
    stored = store_of(ingest)
    kept = rollups(stored)
    stored.rebuild(everything=True)
    assert_same(kept, rollups(stored))


def test_class_scores_say_which_class_was_predicted(tmp_path: Path) -> None:
    rows = odd(200, 7, "multiclass")
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    write(labels(rows, 8, "multiclass"), tmp_path / "labels" / "a", ".jsonl")
    contract = with_reference(tmp_path, "multiclass")
    reader = InProcessReader(opened_after(contract, tmp_path))
    found = reader.query("class_score", "demo", **WINDOW)
    fine = [row for row in rows if row["error"] is None]
    for number, name in enumerate(contract.class_scores):
        of_class = found.filter((pl.col("class") == number) & (pl.col("predicted") == 1))
        assert of_class["n"].sum() == sum(row["predicted"] == name for row in fine)
        every = found.filter(pl.col("class") == number)
        assert every["n"].sum() == len(fine)
    reference = reader.query("reference_class_score", "demo")
    assert reference.columns == [c for c in found.columns if c != "start"]
    assert reference["n_labelled"].sum() == reference["n"].sum() > 0
