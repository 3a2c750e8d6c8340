"""Every row is in the store once: collected again, grown, replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import (
    assert_adds_up,
    assert_same,
    count,
    deployment,
    labels,
    opened,
    predictions,
    rollups,
    store_of,
    write,
)

SUFFIXES = (".csv", ".jsonl", ".parquet")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_collecting_twice_brings_nothing_new(tmp_path: Path, suffix: str) -> None:
    rows = predictions(50, 1)
    write(rows, tmp_path / "predictions" / "a", suffix)
    write(labels(rows, 2), tmp_path / "labels" / "a", suffix)
    ingest = opened(deployment(), tmp_path)
    assert ingest.collect().n_new > 50
    before = rollups(store_of(ingest))
    again = ingest.collect()
    assert sum(c.n_read for _, _, c in again.counts) == 0
    assert_same(rollups(store_of(ingest)), before)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_of_a_grown_file_only_the_new_lines_are_read(tmp_path: Path, suffix: str) -> None:
    rows = predictions(30, 1)
    path = write(rows[:10], tmp_path / "predictions" / "a", suffix)
    (tmp_path / "labels").mkdir()
    ingest = opened(deployment(), tmp_path)
    ingest.collect()
    longer = write(rows, tmp_path / "other" / "a", suffix).read_bytes()
    path.write_bytes(longer)
    grown = ingest.collect()
    assert sum(c.n_read for _, _, c in grown.counts) == 20
    assert count(store_of(ingest)) == 30
    bad = longer + b"broken\n"
    path.write_bytes(bad)
    ingest.collect()
    positions = (
        store_of(ingest).database.connection.execute("SELECT position FROM quarantine").fetchall()
    )
    assert positions == [(31,)]


def test_new_files_in_a_folder_are_found_and_others_left_alone(tmp_path: Path) -> None:
    rows = predictions(20, 1)
    write(rows[:10], tmp_path / "predictions" / "a", ".csv")
    (tmp_path / "labels").mkdir()
    ingest = opened(deployment(), tmp_path)
    ingest.collect()
    write(rows[10:], tmp_path / "predictions" / "deep" / "b", ".jsonl")
    (tmp_path / "predictions" / "notes.txt").write_text("not a log")
    (tmp_path / "predictions" / ".hidden.csv").write_text("id\n1\n")
    assert ingest.collect().n_new == 10


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_a_replaced_file_repeated_rows_are_dropped(tmp_path: Path, suffix: str) -> None:
    rows = predictions(20, 1)
    write(rows[:15], tmp_path / "predictions" / "a", suffix)
    (tmp_path / "labels").mkdir()
    ingest = opened(deployment(), tmp_path)
    ingest.collect()
    write(rows[10:], tmp_path / "predictions" / "a", suffix)
    (_, _, counts), *_ = [c for c in ingest.collect().counts if c[1] == "predictions"]
    assert (counts.n_new, counts.n_duplicate) == (5, 5)
    assert count(store_of(ingest)) == 20
    assert_adds_up(store_of(ingest))


def test_a_file_that_starts_over_with_the_same_header_is_read_anew(tmp_path: Path) -> None:
    header, line = "id,ts,model,predicted,score\n", "{},2024-03-01T10:00:00Z,v1,1,0.9\n"
    path = tmp_path / "predictions" / "a.csv"
    path.parent.mkdir()
    (tmp_path / "labels").mkdir()
    path.write_text(header + "".join(line.format(f"a{i}") for i in range(20)))
    ingest = opened(deployment(), tmp_path)
    ingest.collect()
    path.write_text(header + line.format("b"))
    assert ingest.collect().n_new == 1


def test_a_prediction_that_comes_again_with_other_content_is_a_conflict(tmp_path: Path) -> None:
    rows = predictions(3, 1)
    changed = rows[1] | {"score": 0.123, "latency": 1.0}
    write([*rows, rows[0], changed], tmp_path / "predictions" / "a", ".jsonl")
    write([changed], tmp_path / "predictions" / "b", ".jsonl")
    (tmp_path / "labels").mkdir()
    ingest = opened(deployment(), tmp_path)
    ingest.collect()
    stored = store_of(ingest)
    found = stored.database.connection.execute(
        "SELECT position, reason, json_extract_string(content, '$.score') FROM quarantine "
        "ORDER BY source"
    ).fetchall()
    assert found == [(5, "same id, other content", "0.123"), (1, "same id, other content", "0.123")]
    assert count(stored) == 3
    assert_adds_up(stored)


def test_undated_labels_read_again_are_not_new_and_later_lines_win(tmp_path: Path) -> None:
    rows = predictions(4, 1)
    truth = {"source": {"path": "labels"}, "id": "id", "value": "label"}
    contract = deployment(labels=truth, error="")
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    said = [{"id": r["id"], "label": 1} for r in rows] + [{"id": "early", "label": 1}]
    write([*said, {"id": rows[0]["id"], "label": 0}], tmp_path / "labels" / "a", ".csv")
    ingest = opened(contract, tmp_path)
    ingest.collect()
    stored = store_of(ingest)
    latest = (
        "SELECT value FROM (SELECT value, row_number() OVER (ORDER BY received DESC) AS place "
        f"FROM {stored.layout.table('labels')} WHERE id = ?) AS l WHERE place = 1"
    )

    def value(row: int) -> int:
        found = stored.database.connection.execute(latest, [rows[row]["id"]]).fetchall()
        return int(found[0][0])

    assert value(0) == 0
    said[0]["label"] = 0
    said[1]["label"] = 0
    write(said, tmp_path / "labels" / "a", ".csv")
    counts = next(c for _, kind, c in ingest.collect().counts if kind == "labels")
    assert (counts.n_read, counts.n_new, counts.n_duplicate) == (5, 1, 4)
    assert [value(i) for i in range(4)] == [0, 0, 1, 1]
    added = rollups(stored)
    stored.rebuild(everything=True)
    assert_same(added, rollups(stored))
