"""A store follows its configuration: contracts change, references change, rollups are rebuilt."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from synthetic import (
    START,
    assert_adds_up,
    assert_same,
    count,
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
from collectors.errors import ContractError, StoreError
from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from collectors.store.database import Database, read_sql


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a log of 120 predictions and their labels."""
    rows = predictions(120, 1)
    write(rows[:80], tmp_path / "predictions" / "a", ".jsonl")
    write(labels(rows, 2), tmp_path / "labels" / "a", ".jsonl")
    return tmp_path


def later(base: Path) -> None:
    """The rest of the log comes."""
    write(predictions(120, 1)[80:], base / "predictions" / "b", ".jsonl")


def loaded(contract: Deployment, base: Path, database: Database) -> Ingest:
    ingest = opened(contract, base, database)
    assert not ingest.collect().problems
    return ingest


def fresh(contract: Deployment, base: Path) -> dict[str, Any]:
    """The rollups of a new store over the same files."""
    with Database(None) as database:
        return rollups(store_of(loaded(contract, base, database)))


def test_a_feature_appended_keeps_the_store(base: Path) -> None:
    old = with_reference(base, "binary", features={"numeric": ["x"]})
    new = with_reference(base, "binary", features={"numeric": ["x"], "categorical": ["colour"]})
    with Database(base / "s.duckdb") as database:
        loaded(old, base, database)
    later(base)
    with Database(base / "s.duckdb") as database:
        ingest = loaded(new, base, database)
        stored = store_of(ingest)
        assert count(stored) == 120
        batches = database.connection.execute(
            f"SELECT DISTINCT batch FROM {stored.layout.table('predictions')}"
        ).fetchall()
        assert all(isinstance(b, int) for (b,) in batches)
        colours = database.connection.execute(
            f"SELECT f1, count(*) FROM {stored.layout.table('predictions')} GROUP BY ALL"
        ).fetchall()
        assert {"red", "green", "blue", None} == {colour for colour, _ in colours}
        assert stored.rollups.bins.has(1)
        added = rollups(stored)
        stored.rebuild(everything=True)
        assert_same(added, rollups(stored))


@pytest.mark.parametrize(
    "change",
    [
        {"features": {"categorical": ["colour"], "numeric": ["x"]}},
        {"features": {"numeric": ["x", "latency"]}},
        {"features": {}},
        {"task": "regression", "score": ""},
    ],
    ids=["reordered", "retyped", "removed", "other task"],
)
def test_a_contract_that_does_not_fit_the_store_is_a_sentence(
    base: Path, change: dict[str, Any]
) -> None:
    with Database(None) as database:
        loaded(deployment(), base, database)
        with pytest.raises(ContractError, match=r"changed .* since the store was made"):
            opened(deployment(**change), base, database)
        assert count(store_of(opened(deployment(), base, database))) == 80


def test_a_first_configuration_that_brought_no_row_can_be_mended(base: Path) -> None:
    with Database(base / "s.duckdb") as database:
        loaded(deployment(timestamp="no such column"), base, database)
    with Database(base / "s.duckdb") as database:
        stored = store_of(loaded(deployment(), base, database))
        assert count(stored) == 80
        bad = database.connection.execute("SELECT count(*) FROM quarantine").fetchall()
        assert bad == [(0,)]
        assert_same(rollups(stored), fresh(deployment(), base))


def test_labels_that_could_not_be_read_are_read_again_when_their_column_is_mended(
    base: Path,
) -> None:
    contract = deployment()
    assert contract.labels is not None
    wrong = contract.labels.model_copy(update={"value": "no such column"})
    with Database(base / "s.duckdb") as database:
        loaded(contract.model_copy(update={"labels": wrong}), base, database)
    with Database(base / "s.duckdb") as database:
        assert_same(rollups(store_of(loaded(contract, base, database))), fresh(contract, base))


def test_a_contract_of_another_release_is_a_sentence(base: Path) -> None:
    with Database(None) as database:
        loaded(deployment(), base, database)
        database.connection.execute("""UPDATE deployments SET contract = '{"name": "demo"}'""")
        with pytest.raises(StoreError, match="another release"):
            opened(deployment(), base, database)


def test_other_paths_are_no_reason_for_a_rebuild(base: Path) -> None:
    with Database(None) as database:
        loaded(deployment(), base, database)
        moved = deployment(predictions={"path": "elsewhere/*.csv"})
        seen: list[str] = []
        opened(moved, base, database).collect(lambda what, *_: seen.append(what))
        assert not [what for what in seen if "building" in what]


def test_a_segment_added_rebuilds_with_progress(base: Path) -> None:
    old = with_reference(base, "binary", segments=["shop"])
    new = with_reference(base, "binary", segments=["shop", "colour"])
    with Database(None) as database:
        loaded(old, base, database)
        seen: list[tuple[str, int, int]] = []
        ingest = opened(new, base, database)
        ingest.collect(lambda *step: seen.append(step))
        steps = [step for step in seen if step[0].startswith("building")]
        assert steps[-1][1] == steps[-1][2] > 0
        assert_same(rollups(store_of(ingest)), fresh(new, base))


class Stopped(Exception):  # noqa: N818 - as if by the user
    """The user stops the rebuild."""


def test_an_interrupted_rebuild_goes_on_where_it_stopped(base: Path) -> None:
    later(base)
    more = [
        row | {"id": f"d{i}", "ts": (START + timedelta(days=-2 * (i % 6))).isoformat()}
        for i, row in enumerate(predictions(30, 3))
    ]
    write(more, base / "predictions" / "days", ".jsonl")
    contract = with_reference(base, "binary")

    def stop(_: str, done: int, __: int) -> None:
        if done == 3:
            raise Stopped

    with Database(base / "s.duckdb") as database:
        stored = store_of(loaded(contract, base, database))
        wanted = rollups(stored)
        with pytest.raises(Stopped):
            stored.rebuild(stop, everything=True)
    with Database(base / "s.duckdb") as database:
        stored = store_of(opened(contract, base, database))
        reader = InProcessReader(database)
        waiting = reader.query("extent", "demo", end=START + timedelta(days=99))["n_unbuilt"][0]
        assert 0 < waiting < len(wanted["rollup_volume"])
        # rows that come meanwhile are in the rebuilt hours, once
        extra = [row | {"id": "new"} for row in more[:1]]
        write(extra, base / "predictions" / "extra", ".jsonl")
        ingest = loaded(contract, base, database)
        found = rollups(store_of(ingest))
        assert sum(v[0] for v in found["rollup_volume"].values()) == 1 + sum(
            v[0] for v in wanted["rollup_volume"].values()
        )
        store_of(ingest).rebuild(everything=True)
        assert_same(found, rollups(store_of(ingest)))


def test_bins_of_the_first_rows_stay(base: Path) -> None:
    with Database(None) as database:
        ingest = loaded(deployment(), base, database)
        stored = store_of(ingest)
        before = stored.rollups.bins
        assert before.edges(0)
        later(base)
        ingest.collect()
        assert stored.rollups.bins == before
        assert_same(rollups(stored), rollups(store_of(opened(deployment(), base, database))))


def test_bins_of_a_few_first_rows_are_taken_anew_once_there_are_enough(base: Path) -> None:
    contract = deployment(segments=[])
    with Database(None) as database:
        ingest = loaded(contract, base, database)
        stored = store_of(ingest)
        few = stored.rollups.bins
        write(predictions(5200, 9), base / "predictions" / "many", ".parquet")
        ingest.collect()
        firm = stored.rollups.bins
        assert firm != few
        added = rollups(stored)
        stored.rebuild(everything=True)
        assert_same(added, rollups(stored))
        write(predictions(5200, 10), base / "predictions" / "more", ".parquet")
        ingest.collect()
        assert stored.rollups.bins == firm


def test_a_changed_reference_moves_the_bins_and_rebuilds(base: Path) -> None:
    contract = with_reference(base, "binary")
    with Database(None) as database:
        ingest = loaded(contract, base, database)
        stored = store_of(ingest)
        before, edges = rollups(stored), stored.rollups.bins
        assert ingest.references(stored).n_read == 0
        shifted = [
            r | {"x": 5.0 + i / 100, "label": i % 2}
            for i, r in enumerate(predictions(300, 7))
            if r["error"] is None
        ]
        write(shifted, base / "reference", ".parquet")
        ingest.collect()
        assert stored.rollups.bins != edges
        after = rollups(stored)
        assert after["rollup_feature"] != before["rollup_feature"]
        assert_same(after, fresh(contract, base))
        assert_adds_up(stored)
        assert count(stored, "reference") == len(shifted)


def test_unusable_rows_of_a_reference_are_counted_and_set_apart(base: Path) -> None:
    rows = [r | {"label": 1} for r in predictions(10, 7) if r["error"] is None]
    rows[1] |= {"score": 1.5}
    rows[2] |= {"predicted": None}
    rows[3] |= {"label": "maybe"}
    rows[4] |= {"label": None}
    path = write(rows, base / "bad reference", ".jsonl")
    with path.open("a") as file:
        file.write("broken\n")
    contract = deployment(reference=[{"path": str(path), "version": "v9"}])
    with Database(None) as database:
        ingest = opened(contract, base, database)
        stored = store_of(ingest)
        counts = ingest.references(stored)
        assert (counts.n_read, counts.n_new, counts.n_quarantined) == (
            len(rows) + 1,
            len(rows) - 3,
            4,
        )
        found = database.connection.execute(
            "SELECT position, reason FROM quarantine WHERE kind = 'reference' ORDER BY 1"
        ).fetchall()
        assert found == [
            (2, "score not between 0 and 1"),
            (3, "no prediction"),
            (4, "label not readable"),
            (len(rows) + 1, "not readable"),
        ]
        assert_adds_up(stored)
        reader = InProcessReader(database)
        sums = reader.query("reference_binary", "demo", first=0, last=0)
        assert set(sums["version"]) == {"v9"}
        assert (sums["n"].sum(), sums["n_labelled"].sum()) == (len(rows) - 3, len(rows) - 4)
        ingest.collect()
        ingest.references(stored)
        assert_adds_up(stored)


def test_a_broken_reference_leaves_the_one_before_in_place(base: Path) -> None:
    contract = with_reference(base, "binary")
    path = base / "reference.parquet"
    with Database(None) as database:
        ingest = loaded(contract, base, database)
        stored = store_of(ingest)
        before, bins = rollups(stored), stored.rollups.bins
        whole = path.read_bytes()
        path.write_bytes(whole[:-100])
        collected = ingest.collect()
        assert [p.kind for p in collected.problems] == ["reference"]
        assert stored.rollups.bins == bins
        assert count(stored, "reference") > 0
        assert_same(rollups(stored), before)
        path.write_bytes(whole)
        assert not ingest.collect().problems


def test_a_reference_taken_out_of_the_configuration_is_forgotten(base: Path) -> None:
    with Database(None) as database:
        stored = store_of(loaded(with_reference(base, "binary"), base, database))
        bins = stored.rollups.bins
        stored = store_of(loaded(deployment(), base, database))
        assert count(stored, "reference") == 0
        assert stored.rollups.bins == bins


def test_settling_merges_additions_and_changes_no_figure(base: Path) -> None:
    contract = with_reference(base, "binary")
    with Database(None) as database:
        ingest = loaded(contract, base, database)
        for i, row in enumerate(predictions(12, 4, hours=1)):
            write([row], base / "predictions" / f"drip{i:02}", ".jsonl")
            ingest.collect()
        stored = store_of(ingest)
        name = stored.layout.table("rollup_volume")
        before, cells = rollups(stored), count(stored, "rollup_volume")
        assert stored.settle(least_changes=5, most=2) == 1
        assert count(stored, "rollup_volume") <= cells
        assert_same(rollups(stored), before)
        assert database.connection.execute(f"SELECT min(n) FROM {name}").fetchall()[0][0] > 0


def test_a_large_value_that_is_corrected_leaves_no_rounding_error(tmp_path: Path) -> None:
    rows = predictions(20, 3, "regression", hours=1)
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    said = [
        {"id": r["id"], "label": 10.25, "received": "2024-03-05T00:00:00Z", "event": None}
        for r in rows
    ]
    write([said[0] | {"label": 1e60}, *said[1:]], tmp_path / "labels" / "a", ".jsonl")
    contract = with_reference(tmp_path, "regression")
    with Database(None) as database:
        ingest = loaded(contract, tmp_path, database)
        corrected = said[0] | {"received": "2024-03-06T00:00:00Z"}
        write([corrected], tmp_path / "labels" / "b", ".jsonl")
        ingest.collect()
        stored = store_of(ingest)
        found = rollups(stored)
        stored.rebuild(everything=True)
        assert_same(found, rollups(stored))


def to_release_one(database: Database) -> None:
    """What the release before had: no rollups of conditions, none of days, other keys."""
    for (schema,) in database.connection.execute(
        "SELECT DISTINCT schema_name FROM duckdb_tables() WHERE table_name = 'buckets'"
    ).fetchall():
        for table in ("rollup_condition", "reference_condition", "reference_category"):
            database.connection.execute(f'DROP TABLE "{schema}".{table}')
        database.connection.execute(f'DROP TABLE "{schema}".summed_days')
    later = read_sql("migrations/0003_live.sql") + read_sql("migrations/0004_control.sql")
    for table in re.findall(r"CREATE TABLE (\w+)", later):
        database.connection.execute(f"DROP TABLE {table}")
    database.connection.execute("DELETE FROM store_schema WHERE version > 1")
    database.connection.execute("UPDATE deployments SET rollup_key = 'as it was'")


def test_a_store_of_the_release_before_is_built_anew(base: Path) -> None:
    contract = with_reference(base, "binary")
    with Database(base / "s.duckdb") as database:
        loaded(contract, base, database)
        to_release_one(database)
    window = {"start": START.replace(tzinfo=None), "end": START.replace(tzinfo=None, year=2025)}
    with Database(base / "s.duckdb", read_only=True) as database:
        reader = InProcessReader(database)
        main = reader.query("binary", "demo", **window, step="day", first=0, last=0)
        assert main["n"].sum() > 0
        with pytest.raises(StoreError, match="another release"):
            reader.query("conditions", "demo", **window, step="all", first=0, last=9)
        reader.close()
    with Database(base / "s.duckdb") as database:
        stored = store_of(loaded(contract, base, database))
        assert_same(rollups(stored), fresh(contract, base))
