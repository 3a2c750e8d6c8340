"""Groups drawn to their mean: by how much, and what it is good for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.analysis.estimate import Estimate, State, missing
from console.analysis.intervals import mean
from console.analysis.shrinkage import shrunken_means, shrunken_shares

ROWS = st.lists(
    st.integers(0, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=30
)


@given(ROWS)
def test_a_shrunken_share_lies_between_its_own_and_the_mean(rows: list[tuple[int, int]]) -> None:
    k, n = [a for a, _ in rows], [b for _, b in rows]
    for hit, row, e in zip(k, n, shrunken_shares(k, n), strict=True):
        if row == 0:
            assert e.value is None
            continue
        whole = sum(k) / sum(n)
        assert e.value is not None
        assert min(hit / row, whole) - 1e-9 <= e.value <= max(hit / row, whole) + 1e-9
        assert e.low is not None
        assert e.high is not None
        assert e.low - 1e-9 <= e.value <= e.high + 1e-9


def test_groups_that_differ_by_chance_only_all_get_the_mean() -> None:
    found = shrunken_shares([50, 51, 49], [100, 100, 100])
    assert [e.value for e in found] == pytest.approx([0.5, 0.5, 0.5])


def test_the_spread_between_groups_is_found() -> None:
    # 2,000 groups from Beta(8, 12): the prior counts 20 rows, so a group of 20 goes half way
    random = np.random.default_rng(11)
    share = random.beta(8, 12, 2000)
    n = np.full(2000, 40)
    n[0] = 20
    k = random.binomial(n, share)
    k[0] = 16
    first = shrunken_shares(k.tolist(), n.tolist())[0]
    assert first.value == pytest.approx((16 + 8) / (20 + 20), abs=0.01)


def test_a_small_group_is_drawn_further_than_a_large_one() -> None:
    small, large, *_ = shrunken_shares([1, 40, 50, 60, 60], [5, 200, 100, 100, 100])
    assert small.value is not None
    assert large.value is not None
    assert 0.2 < large.value < small.value  # both have a share of 0.2
    assert small.state is State.TOO_FEW


def test_shrunken_means_cover_the_truth_and_err_less() -> None:
    random = np.random.default_rng(12)
    truth = random.normal(10, 1.0, 300)
    rows = [random.normal(t, 4.0, 12) for t in truth]
    raw = [mean(float(r.sum()), float((r**2).sum()), len(r)) for r in rows]
    found = shrunken_means(raw)
    error = [abs((e.value or 0) - t) for e, t in zip(found, truth, strict=True)]
    plain = [abs((e.value or 0) - t) for e, t in zip(raw, truth, strict=True)]
    assert np.mean(error) < 0.85 * np.mean(plain)
    held = [
        e.low is not None and e.high is not None and e.low <= t <= e.high
        for e, t in zip(found, truth, strict=True)
    ]
    assert np.mean(held) > 0.9


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e200, 1e307])
def test_what_is_huge_or_not_there_makes_no_nan(scale: float) -> None:
    estimates = [
        Estimate(scale, scale * 0.9, scale * 1.1, 40),
        Estimate(2 * scale, scale * 1.8, scale * 2.2, 40),
        Estimate(scale, scale, scale, 40),
        Estimate(scale, None, None, 1),
        missing(State.NO_LABELS),
    ]
    for e in (*shrunken_means(estimates), *shrunken_means(estimates[-1:])):
        for number in (e.value, e.low, e.high):
            assert number is None or math.isfinite(number)
    assert shrunken_shares([], []) == ()
    assert shrunken_shares([0], [0])[0].state is State.NO_LABELS
