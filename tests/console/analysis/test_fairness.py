"""Disparity ratios against scipy's relative risk."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats.contingency import relative_risk

from console.analysis.binary import Confusion, binary_metrics
from console.analysis.estimate import State
from console.analysis.fairness import FourFifths, disparities, ratio
from console.analysis.figures import Figures, Group

COUNT = st.integers(0, 10**6)


@pytest.mark.parametrize(("k1", "n1", "k2", "n2"), [(27, 122, 44, 487), (1, 40, 300, 400)])
def test_the_ratio_has_the_interval_of_katz(k1: int, n1: int, k2: int, n2: int) -> None:
    record = relative_risk(k1, n1, k2, n2)
    low, high = record.confidence_interval(0.95)
    e = ratio(k1, n1, k2, n2)
    assert e.value == pytest.approx(record.relative_risk, rel=1e-12)
    assert (e.low, e.high) == pytest.approx((low, high), rel=1e-9)
    assert e.n == n1


@given(COUNT, COUNT, COUNT, COUNT)
def test_a_ratio_is_finite_or_says_why_not(a: int, b: int, c: int, d: int) -> None:
    e = ratio(a, a + b, c, c + d)
    if e.value is None:
        assert e.state is State.CANNOT_TELL
        return
    assert e.low is not None
    assert e.high is not None
    assert math.isfinite(e.high)
    assert 0 <= e.low <= e.value <= e.high


def group(value: str, yes: int, n: int, c: Confusion) -> Figures:
    return Figures(Group(None, "v", 1, value, ""), n, c.n, binary_metrics(c), c, n_yes=yes)


def test_groups_are_compared_with_the_largest_and_marked_by_four_fifths() -> None:
    groups = [
        group("low", 100, 1000, Confusion(50, 50, 50, 850)),
        group("base", 1200, 4000, Confusion(600, 600, 300, 2500)),
        group("same", 600, 2000, Confusion(300, 300, 150, 1250)),
        group("high", 600, 1000, Confusion(300, 300, 0, 400)),
        group("few", 5, 10, Confusion(2, 3, 1, 4)),
    ]
    found = {f.group.value: d for f, d in zip(groups, disparities(groups), strict=True)}
    marks = {value: d.four_fifths for value, d in found.items() if d is not None}
    assert marks == {
        "low": FourFifths.BELOW,
        "base": FourFifths.WITHIN,
        "same": FourFifths.WITHIN,
        "high": FourFifths.ABOVE,
        "few": FourFifths.CANNOT_TELL,
    }
    low = found["low"]
    assert low is not None
    assert low.against == "base"
    assert low.ratios["selection_rate"].value == pytest.approx(0.1 / 0.3)
    assert low.ratios["recall"].value == pytest.approx(0.5 / (600 / 900))
    assert low.ratios["fpr"].value == pytest.approx((50 / 900) / (600 / 3100))
    assert low.ratios["precision"].value == pytest.approx(0.5 / 0.5)


def test_a_group_that_never_gets_a_yes_is_surely_below() -> None:
    some = group("some", 300, 900, Confusion(1, 1, 1, 1))
    none, base = disparities([group("none", 0, 500, Confusion(0, 0, 40, 460)), some])
    assert none is not None
    assert none.four_fifths is FourFifths.BELOW
    assert none.ratios["precision"].state is State.CANNOT_TELL
    assert base is not None


def test_where_the_largest_group_never_gets_a_yes_nothing_can_be_told() -> None:
    some = group("some", 30, 90, Confusion(1, 1, 1, 1))
    none, other = disparities([group("none", 0, 500, Confusion(0, 0, 40, 460)), some])
    assert none is not None
    assert other is not None
    assert other.four_fifths is FourFifths.CANNOT_TELL
    assert none.four_fifths is FourFifths.CANNOT_TELL
    assert disparities([]) == []
