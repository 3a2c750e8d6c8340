"""Readings of a control plane as shares over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from console.analysis.split_history import split_steps, step_seconds

AT = datetime(2026, 11, 20, 2, tzinfo=UTC).replace(tzinfo=None)  # as the store has it
SCHEMA = {
    "ts": pl.Datetime("us"), "replica": pl.String, "arm": pl.String, "weight": pl.Int64,
    "n": pl.Int64, "n_error": pl.Int64, "n_readings": pl.Int64, "n_problem": pl.Int64,
    "problem": pl.String,
}  # fmt: skip


def frame(*rows: tuple[str, str, int | None, int | None]) -> pl.DataFrame:
    whole = [(AT, r, arm, weight, n, 0, 2, 0, "") for r, arm, weight, n in rows]
    return pl.DataFrame(whole, schema=SCHEMA, orient="row")


def test_a_share_is_of_its_own_replica() -> None:
    steps = split_steps(frame(("a", "v1", 90, 9), ("a", "v2", 10, 1), ("b", "v1", 1, None)))
    assert [(s.replica, s.arm, s.share, s.n) for s in steps] == [
        ("a", "v1", 0.9, 9), ("a", "v2", 0.1, 1), ("b", "v1", 1.0, None),
    ]  # fmt: skip
    assert {s.start for s in steps} == {AT.replace(tzinfo=UTC)}


def test_what_could_not_be_read_has_no_share() -> None:
    steps = split_steps(frame(("a", "", None, None), ("b", "v1", 0, 0), ("b", "v2", 0, 0)))
    assert [s.share for s in steps] == [None, None, None]
    assert split_steps(None) == split_steps(frame()) == ()


@given(st.permutations([("a", "v1", 3, 1), ("a", "v2", 1, 1), ("b", "v1", None, None)]))
def test_the_order_of_rows_changes_nothing(
    rows: list[tuple[str, str, int | None, int | None]],
) -> None:
    assert split_steps(frame(*rows)) == split_steps(frame(*sorted(rows, key=str)))


@given(st.integers(1, 400 * 86400))
def test_a_window_has_few_steps_of_a_minute_at_least(seconds: int) -> None:
    start = AT.replace(tzinfo=UTC)
    step = step_seconds(start, start + timedelta(seconds=seconds))
    assert step >= 60 and seconds / step <= 120
