"""A fallback on the same rows: McNemar as scipy has it, and an interval that covers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from collectors.contract import Task
from console.analysis.estimate import IntervalKind, State
from console.analysis.paired import mcnemar, paired, right_difference


@settings(deadline=None)
@given(st.integers(0, 3_000), st.integers(0, 3_000))
def test_mcnemar_is_scipys_exact_binomial(first, second):
    record = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(record, rel=1e-9, abs=1e-200)


def test_mcnemar_of_many_rows():
    assert mcnemar(500_000, 502_000) == pytest.approx(
        stats.binomtest(500_000, 1_002_000).pvalue, rel=1e-6
    )


@pytest.mark.parametrize("n", [50, 200, 1000])
def test_the_paired_interval_covers(n):
    rng = np.random.default_rng(6)
    shares = (0.6, 0.15, 0.08, 0.17)
    held, runs = 0, 4_000
    for _, first, second, _ in rng.multinomial(n, shares, runs):
        e = right_difference(int(first), int(second), n, watched=False)
        held += (e.low or 0) <= 0.07 <= (e.high or 0)
    assert held / runs == pytest.approx(0.95, abs=0.015)


def test_rows_that_never_differ_are_no_certainty():
    e = right_difference(0, 0, 100, watched=False)
    assert e.value == 0
    assert (e.low or 0) < 0 < (e.high or 0)
    assert right_difference(0, 0, 0, watched=True).state is State.NO_LABELS


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_watching_is_wider_and_the_sides_swap(first, second, same):
    n = first + second + same
    if not n:
        return
    once = right_difference(first, second, n, watched=False)
    ever = right_difference(first, second, n, watched=True)
    assert ever.interval is IntervalKind.PEEK_SAFE
    assert (ever.low or 0) <= (once.low or 0) <= (once.high or 0) <= (ever.high or 0)
    back = right_difference(second, first, n, watched=True)
    assert (back.low or 0) == pytest.approx(-(ever.high or 0))


def test_the_exact_sequence_has_the_last_word():
    """31 against 11 rows that tell them apart: beyond the asymptotic one, within the exact one."""
    e = right_difference(31, 11, 1000, watched=True)
    assert (e.low or 0) == 0
    assert (right_difference(35, 11, 1000, watched=True).low or 0) > 0


def test_cells_of_the_rollup_become_a_test():
    frame = pl.DataFrame(
        {
            "version": ["v1", "v1", "v1", "v2"],
            "predicted": [1, 1, 0, 1],
            "fallback_tp": [5, 1, 7, 0],
            "fallback_fn": [9, 2, 3, 0],
            "fallback_fp": [4, 0, 11, 0],
            "fallback_tn": [8, 1, 60, 0],
        }
    )
    (one,) = paired(Task.BINARY, "rule", frame, watched=False)
    # said 1: right where the label is 1; said 0: right where it is 0
    assert one.both_right == 5 + 1 + 60
    assert one.only_version == 9 + 2 + 11
    assert one.only_beside == 8 + 1 + 7
    assert one.neither == 4 + 0 + 3
    assert one.n == 66 + 22 + 16 + 7
    assert one.p_value == pytest.approx(stats.binomtest(16, 38).pvalue)
    assert one.difference.value == pytest.approx((16 - 22) / one.n)
    assert paired(Task.BINARY, "rule", frame.clear(), watched=False) == ()


def test_classes_are_right_on_the_diagonal():
    frame = pl.DataFrame(
        {
            "version": ["v1"] * 3,
            "predicted": ["a", "a", "b"],
            "actual": ["a", "b", None],
            "n_fallback": [10, 8, 0],
            "fallback_right": [7, 3, 0],
        }
    )
    (one,) = paired(Task.MULTICLASS, "rule", frame, watched=False)
    assert (one.both_right, one.only_version, one.only_beside, one.neither) == (7, 3, 3, 5)
