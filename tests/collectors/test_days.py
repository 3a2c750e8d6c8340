"""Whole days that were summed up give the figures that their hours give."""

from __future__ import annotations

import os
import random
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from synthetic import START, TASKS, labels, opened, predictions, store_of, with_reference, write

from collectors.ingest import Ingest
from collectors.reader import QUERIES, STEPS, InProcessReader
from collectors.store import catalog, days
from collectors.store.catalog import StoredDeployment
from collectors.store.days import DAY, Span

BEGIN = START.replace(tzinfo=None)
HOURS = 24 * 8  # up to where the store's clock stands
EXAMPLES = int(os.environ.get("ARRIVAL_EXAMPLES", "3"))
SOME = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=EXAMPLES < 10,
)

WHAT = st.sampled_from(["predictions", "labels", "corrections", "settle", "sum", "sum", "rebuild"])


def summed(stored: StoredDeployment) -> dict[str, int]:
    found = days.summed(stored.database.connection, stored.layout)
    return {part: len(some) for part, some in found.items()}


def assert_same_answers(ingest: Ingest, random_: random.Random, times: int) -> int:
    """Every query of some windows, with the days and without them; how many used days."""
    stored = store_of(ingest)
    kept = {t.name for t in stored.rollups.tables}
    reader, plain = InProcessReader(ingest.database), InProcessReader(ingest.database)
    plain.use_days = False
    used = 0
    for _ in range(times):
        hours = sorted(random_.choices(range(-5, HOURS + 30), k=2))
        start, end = (BEGIN + timedelta(hours=h) for h in hours)
        moment = BEGIN + timedelta(minutes=random_.randrange(HOURS * 60))
        as_of = random_.choice([None, None, end, moment])
        for name, spec in QUERIES.items():
            if not spec.rollups or not {"start", "end"} <= set(spec.params):
                continue
            if not set(spec.rollups) <= {*kept, "outcome"}:
                continue
            given = {"start": start, "end": end, "as_of": as_of, "first": -9, "last": 9}
            given |= {"step": random_.choice(list(STEPS))}
            asked: dict[str, Any] = {k: v for k, v in given.items() if k in spec.params}
            answer = reader.query(name, "demo", **asked)
            wanted = plain.query(name, "demo", **asked)
            # sums differ by their last digits, since they were added up in another order
            assert_frame_equal(answer, wanted, rel_tol=1e-9, abs_tol=1e-9)
        listed = days.summed(ingest.database.connection, stored.layout)
        used += bool(days.spans(listed[days.INPUT_PART], start, end))
    reader.close()
    plain.close()
    return used


@pytest.mark.parametrize("task", TASKS)
@SOME
@given(ops=st.lists(WHAT, min_size=2, max_size=4), seed=st.integers(0, 1000))
def test_figures_are_the_same_with_and_without_days(task: str, ops: list[str], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        random_ = random.Random(seed)
        (base / "labels").mkdir()
        ingest = opened(with_reference(base, task), base)
        rows = predictions(250, seed, task, hours=HOURS)
        write(rows[:120], base / "predictions" / "first", ".jsonl")
        ingest.collect()
        stored = store_of(ingest)
        assert summed(stored)[days.INPUT_PART] >= 7  # a first load sums up what it built
        for i, what in enumerate(ops):
            some = random_.sample(rows, 40)
            match what:
                case "predictions":
                    write(some, base / "predictions" / f"{i}", ".jsonl")
                    ingest.collect()
                case "labels" | "corrections":
                    write(labels(some, seed + i, task), base / "labels" / f"{i}", ".jsonl")
                    ingest.collect()
                case "settle":
                    stored.settle(least_changes=1, most=20)
                case "sum":
                    stored.sum_days(most=random_.choice([None, 3]))
                case _:
                    stored.rebuild(everything=True)
            assert_same_answers(ingest, random_, 1)
        stored.sum_days()
        assert_same_answers(ingest, random_, 1)


def test_what_is_added_takes_its_day_off_until_it_is_left_alone(tmp_path: Path) -> None:
    rows = sorted(predictions(200, 1, hours=HOURS), key=lambda r: r["ts"])
    write(rows[5:], tmp_path / "predictions" / "a", ".jsonl")
    (tmp_path / "labels").mkdir()
    ingest = opened(with_reference(tmp_path, "binary"), tmp_path)
    ingest.collect()
    stored = store_of(ingest)
    n = len({row["ts"][:10] for row in rows})
    assert summed(stored) == {days.OUTCOME_PART: n, days.INPUT_PART: n}
    # a label touches the outcomes of its day, a prediction both
    said = {"id": rows[50]["id"], "label": 1, "received": rows[60]["ts"]}
    write([said], tmp_path / "labels" / "a", ".jsonl")
    ingest.collect()
    assert summed(stored) == {days.OUTCOME_PART: n - 1, days.INPUT_PART: n}
    write(rows[:5], tmp_path / "predictions" / "b", ".jsonl")
    ingest.collect()
    assert summed(stored) == {days.OUTCOME_PART: n - 2, days.INPUT_PART: n - 1}
    for _ in range(25):
        assert ingest.collect().n_new == 0
    assert summed(stored) == {days.OUTCOME_PART: n, days.INPUT_PART: n}
    assert_same_answers(ingest, random.Random(6), 3)


def test_what_is_wrong_in_the_days_shows(tmp_path: Path) -> None:
    # the comparison above would be worth nothing if days were never read
    rows = predictions(200, 1, hours=HOURS)
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    (tmp_path / "labels").mkdir()
    ingest = opened(with_reference(tmp_path, "binary"), tmp_path)
    ingest.collect()
    layout = store_of(ingest).layout
    for table in ("day_binary", "day_totals", "day_feature", "day_volume", "day_condition"):
        ingest.database.connection.execute(f"UPDATE {layout.table(table)} SET n = n + 1000")
    window: dict[str, Any] = {"start": BEGIN, "end": BEGIN + 9 * DAY, "step": "day"}
    reader = InProcessReader(ingest.database)
    for name in ("binary", "features", "volume", "conditions", "totals"):
        given = window if name == "volume" else window | {"first": 0, "last": 0}
        assert reader.query(name, "demo", **given)["n"].min() > 1000, name
        reader.use_days = False
        assert reader.query(name, "demo", **given)["n"].max() < 1000, name
        reader.use_days = True


def test_stretches_leave_out_what_is_not_whole() -> None:
    listed = frozenset(BEGIN + i * DAY for i in range(10) if i != 5)

    def found(
        start: timedelta, end: timedelta, without: Span | None = None
    ) -> list[tuple[int, int]]:
        stretches = days.spans(listed, BEGIN + start, BEGIN + end, without)
        return [((s.start - BEGIN) // DAY, (s.end - BEGIN) // DAY) for s in stretches]

    hour = timedelta(hours=1)
    assert found(0 * DAY, 10 * DAY) == [(0, 5), (6, 10)]
    assert found(hour, 10 * DAY - hour) == [(1, 5), (6, 9)]
    assert found(-9 * DAY, 99 * DAY) == [(0, 5), (6, 10)]
    past = Span(BEGIN + DAY + 5 * hour, BEGIN + DAY + 6 * hour)
    assert found(0 * DAY, 5 * DAY, past) == [(2, 5)]
    assert found(2 * DAY, 4 * DAY) == []


def test_a_pass_with_nothing_to_sum_asks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = predictions(100, 1, hours=HOURS)
    write(rows, tmp_path / "predictions" / "a", ".jsonl")
    (tmp_path / "labels").mkdir()
    ingest = opened(with_reference(tmp_path, "binary"), tmp_path)
    ingest.collect()
    ingest.collect()

    def never(*_: object) -> None:
        raise AssertionError("asked for days")

    monkeypatch.setattr(catalog.days, "built", never)
    ingest.collect()
