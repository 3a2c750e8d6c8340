"""Effect sizes against their libraries and papers; causes add up to the PSI they explain."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from console.analysis.distances import psi
from console.analysis.drift_effects import (
    Cause,
    Causes,
    Moments,
    causes_rows,
    cramers_v,
    mean_difference,
)
from console.analysis.estimate import State


def causes(ref, cur, unseen=None, unseen_ref=None, nulls=-1):
    """Of one feature; its last bin is that of missing values."""
    ref, cur = np.array([ref], dtype=float), np.array([cur], dtype=float)
    none = np.zeros_like(ref)
    out, out_ref = (none if x is None else np.array([x], dtype=float) for x in (unseen, unseen_ref))
    return causes_rows(ref, cur, out_ref, out, np.array([nulls % ref.shape[1]]))[0]


def test_values_that_stop_coming_are_all_of_it():
    found = causes([300, 300, 300, 100], [150, 150, 150, 550])
    assert found.main == (Cause.MISSING, pytest.approx(1))
    assert found.shape == pytest.approx(0, abs=1e-12)


def test_a_new_category_is_all_of_it():
    found = causes([500, 500, 0, 0], [300, 300, 400, 0], unseen=[0, 0, 400, 0])
    assert found.main == (Cause.UNSEEN, pytest.approx(1))


def test_another_spread_of_known_values_is_shape():
    found = causes([500, 300, 200], [200, 300, 500], nulls=0)
    assert causes([500, 300, 200, 0], [200, 300, 500, 0]).main == (Cause.SHAPE, 1.0)
    assert found.missing > 0  # the first bin as that of missing values


def test_values_beyond_the_range_lie_in_the_last_bin_and_are_told_apart():
    """July's temperatures: nearly all above the reference's maximum, so all in the top decile."""
    found = causes([100] * 10 + [0], [0] * 9 + [1000, 0], unseen=[0] * 9 + [1000, 0])
    assert found.main == (Cause.UNSEEN, pytest.approx(1))
    some = causes([100] * 10 + [0], [0] * 9 + [1000, 0], unseen=[0] * 9 + [270, 0])
    assert some.main[0] is Cause.SHAPE
    assert 0.1 < some.unseen / (some.unseen + some.shape) < 0.4


def test_missing_and_unseen_share_by_the_chain_rule():
    """Ordinary rows .9 -> .4 in the same spread; missing .1 -> .3; unseen 0 -> .3."""
    found = causes([450, 450, 0, 100], [200, 200, 300, 300], unseen=[0, 0, 300, 0])
    ordinary = math.log(0.4 / 0.9)
    assert found.missing == pytest.approx(0.2 * (math.log(3) - ordinary), rel=1e-3)
    assert found.unseen == pytest.approx(0.3 * (math.log(0.3 / 1e-4) - ordinary), rel=1e-3)
    assert found.shape == pytest.approx(0, abs=1e-12)


def test_what_was_unseen_on_both_sides_is_no_cause():
    found = causes([300, 700, 0], [300, 700, 0], unseen=[0, 700, 0], unseen_ref=[0, 700, 0])
    assert (found.missing, found.unseen, found.shape) == (0, 0, 0)
    assert found.main is None


COUNTS = st.integers(2, 8).flatmap(
    lambda k: st.tuples(
        st.lists(st.integers(0, 500), min_size=k, max_size=k),
        st.lists(st.integers(0, 500), min_size=k, max_size=k),
        st.lists(st.floats(0, 1), min_size=k, max_size=k),
        st.lists(st.floats(0, 1), min_size=k, max_size=k),
    )
)


@settings(deadline=None)
@given(COUNTS)
def test_causes_add_up_to_the_psi(drawn):
    ref, cur, outside, outside_ref = (np.array(part) for part in drawn)
    out, out_ref = np.floor(cur * outside), np.floor(ref * outside_ref)
    out[-1] = out_ref[-1] = 0
    found = causes(ref, cur, out, out_ref)
    if not ref.sum() or not cur.sum():
        assert found is None
        return
    assert isinstance(found, Causes)
    parts = (found.missing, found.unseen, found.shape)
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(psi(ref, cur), abs=1e-9)


def cohens_d(a: np.ndarray, b: np.ndarray) -> float:
    return float((b.mean() - a.mean()) / math.sqrt((a.var() + b.var()) / 2))


def moments(values: np.ndarray) -> Moments | None:
    return Moments.of(len(values), float(values.sum()), float((values**2).sum()))


def test_the_standardised_mean_difference_is_cohens():
    rng = np.random.default_rng(5)
    a, b = rng.normal(3, 2, 400), rng.normal(4, 3, 150)
    found = mean_difference(moments(a), moments(b))
    assert found.value == pytest.approx(cohens_d(a, b))
    assert found.low < found.value < found.high
    assert found.n == 550
    assert mean_difference(moments(b), moments(a)).value == pytest.approx(-found.value)


@pytest.mark.parametrize(("n", "m", "shift", "spread"), [(50, 2000, 0.0, 1), (200, 200, 1, 3)])
def test_its_interval_holds_the_truth_as_often_as_said(n, m, shift, spread):
    rng = np.random.default_rng(n)
    truth = shift / math.sqrt((1 + spread**2) / 2)
    held = 0
    for _ in range(600):
        a, b = rng.normal(0, 1, m), rng.normal(shift, spread, n)
        found = mean_difference(moments(a), moments(b))
        held += found.low <= truth <= found.high
    assert 0.925 <= held / 600 <= 0.975


@pytest.mark.parametrize(
    ("ref", "cur"),
    [
        (None, Moments(5, 1.0, 1.0)),
        (Moments(5, 1.0, 1.0), None),
        (Moments(1, 1.0, 0.0), Moments(5, 1.0, 1.0)),
        (Moments(9, 1.0, 0.0), Moments(5, 2.0, 0.0)),
        (Moments(9, 1e199, 1e200), Moments(5, 2.0, 1e200)),
    ],
)
def test_without_spread_or_rows_it_cannot_be_told(ref, cur):
    found = mean_difference(ref, cur)
    assert (found.value, found.state) == (None, State.CANNOT_TELL)


def test_two_equal_constants_do_not_differ():
    assert mean_difference(Moments(90, 2.0, 0.0), Moments(50, 2.0, 0.0)).value == 0
    assert Moments.of(0, 0.0, 0.0) is None
    assert Moments.of(3, math.inf, 1.0) is None


def bergsma(table: np.ndarray) -> float:
    """Bergsma 2013, with scipy's chi-square."""
    n, (rows, columns) = table.sum(), table.shape
    phi = stats.chi2_contingency(table, correction=False).statistic / n
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    r = rows - (rows - 1) ** 2 / (n - 1)
    c = columns - (columns - 1) ** 2 / (n - 1)
    return math.sqrt(phi / (min(r, c) - 1))


def test_cramers_v_is_bergsmas_for_sides_of_one_size():
    ref, cur = np.array([50.0, 30, 20]), np.array([20.0, 30, 50])
    found = cramers_v(ref, cur)
    assert found.value == pytest.approx(bergsma(np.array([ref, cur])))
    plain = stats.contingency.association(np.array([ref, cur]).astype(int))
    assert found.value < plain < found.value + 0.02


def test_cramers_v_does_not_shrink_with_a_long_reference():
    short = cramers_v(np.array([500.0, 300, 200]), np.array([200.0, 300, 500]))
    long = cramers_v(np.array([50_000.0, 30_000, 20_000]), np.array([200.0, 300, 500]))
    assert long.value == pytest.approx(short.value, abs=0.01)
    assert cramers_v(np.array([500.0, 0]), np.array([0.0, 40])).value == pytest.approx(1)


def test_cramers_v_of_nothing():
    assert cramers_v(np.array([5.0, 5]), np.array([0.0, 0])).state is State.CANNOT_TELL
    assert cramers_v(np.array([50.0, 0]), np.array([40.0, 0])).value == 0
    assert cramers_v(np.array([50.0, 50]), np.array([20.0, 20])).value == 0
    one = cramers_v(np.array([50.0, 50]), np.array([1.0, 0]))
    assert one.state is State.TOO_FEW


def test_without_drift_cramers_v_is_about_nothing():
    rng = np.random.default_rng(7)
    shares = np.full(8, 1 / 8)
    values = [
        cramers_v(rng.multinomial(400, shares).astype(float), rng.multinomial(90, shares) * 1.0)
        for _ in range(300)
    ]
    assert np.mean([v.value**2 for v in values]) < 0.01  # plain V: .024
