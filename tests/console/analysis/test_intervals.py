"""Intervals and quantiles against scipy, and against the frozen values of docs/STATISTICS."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from console.analysis.estimate import TOO_FEW, State
from console.analysis.intervals import (
    chi2_quantile,
    difference,
    figure,
    gamma_p,
    gamma_q,
    logit_interval,
    mean,
    mean_interval,
    newcombe,
    normal_quantile,
    proportion,
    t_quantile,
    wilson,
)

COUNTS = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_wilson_has_the_published_values():
    assert wilson(81, 263) == pytest.approx((0.25529, 0.36621), abs=5e-6)  # Newcombe 1998
    assert wilson(0, 20) == pytest.approx((0, 0.16113), abs=5e-6)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (1, 2), (3, 7), (500, 501), (10**6, 10**9)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_wilson_is_scipys(k, n, level):
    record = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    assert wilson(k, n, level) == pytest.approx((record.low, record.high), rel=1e-9, abs=1e-12)


@settings(deadline=None)  # the library of record is slow at its first call
@given(COUNTS)
def test_wilson_mirrors_and_holds_its_share(counts):
    k, n = counts
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert low < high
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_newcombe_has_the_published_values():
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.05243, 0.33387), abs=5e-6)


@settings(deadline=None)
@given(COUNTS, COUNTS)
def test_newcombe_stays_in_range_and_swaps_signs(one, two):
    low, high = newcombe(*one, *two)
    assert -1 - 1e-12 <= low <= one[0] / one[1] - two[0] / two[1] <= high <= 1 + 1e-12
    assert newcombe(*two, *one) == pytest.approx((-high, -low), abs=1e-12)


def test_nothing_counted_says_nothing():
    assert wilson(0, 0) == (0, 1)
    assert newcombe(0, 0, 1, 2) == newcombe(1, 2, 0, 0) == (-1, 1)
    assert mean_interval(3.0, 9.0, 1) is None
    assert mean_interval(math.inf, math.inf, 9) is None
    assert mean_interval(1e308, 1e308, 9) is not None


@pytest.mark.parametrize("q", [1e-9, 0.025, 0.5, 0.975, 1 - 1e-9])
def test_normal_quantile_is_scipys(q):
    assert normal_quantile(q) == pytest.approx(stats.norm.ppf(q), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("df", "tolerance"),
    [(1, 1e-12), (2, 1e-12), (3, 1.3e-3), (5, 1.1e-4), (15, 1e-6), (30, 1e-7), (10**6, 1e-9)],
)
def test_t_quantile_keeps_its_stated_error(df, tolerance):
    assert t_quantile(0.975, df) == pytest.approx(stats.t.ppf(0.975, df), rel=tolerance)


@pytest.mark.parametrize("df", [0.5, 1, 2, 3, 9, 11, 50, 300, 20_000])
@pytest.mark.parametrize("q", [1e-6, 0.01, 0.5, 0.95, 0.999, 1 - 1e-9])
def test_chi2_quantile_is_scipys(q, df):
    assert chi2_quantile(q, df) == pytest.approx(stats.chi2.ppf(q, df), rel=1e-8)


def test_chi2_quantile_without_freedom_is_zero():
    assert chi2_quantile(0.95, 0) == 0


@pytest.mark.parametrize("a", [0.5, 1, 4.5, 30, 1000, 10_000])
@pytest.mark.parametrize("ratio", [0, 0.01, 0.9, 0.999, 1.001, 1.2, 1.5])
def test_incomplete_gamma_is_scipys(a, ratio):
    x = a * ratio
    assert gamma_p(a, x) == pytest.approx(special.gammainc(a, x), rel=1e-10, abs=1e-300)
    assert gamma_q(a, x) == pytest.approx(special.gammaincc(a, x), rel=1e-10, abs=1e-300)


def test_mean_interval_is_students():
    values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6, 5.3, 5.8, 9.7, 9.3, 2.3, 8.4, 6.2, 6.4, 3.3, 8.3]
    n = len(values)
    record = stats.t.interval(0.95, n - 1, sum(values) / n, stats.sem(values))
    assert mean_interval(sum(values), sum(v * v for v in values), n) == pytest.approx(
        record, rel=1e-6
    )
    assert mean_interval(3.0, 3.0, 3) == (1, 1)


def test_logit_interval_is_the_delta_method_on_the_logit_scale():
    low, high = logit_interval(0.9, 0.02)
    centre, half = special.logit(0.9), 1.959964 * 0.02 / 0.09
    assert (low, high) == pytest.approx(special.expit([centre - half, centre + half]), abs=1e-6)
    assert logit_interval(1.0, 0.1) == logit_interval(0.0, 0.1) == (0, 1)
    assert logit_interval(0.5, 1e9) == pytest.approx((0, 1))


def test_states_follow_counts_and_keep_the_value():
    assert proportion(0, 0).state is State.NO_LABELS
    few = proportion(3, TOO_FEW - 1)
    assert (few.state, few.value) == (State.TOO_FEW, 3 / (TOO_FEW - 1))
    enough = proportion(3, TOO_FEW)
    assert (enough.state, enough.n, enough.bin_error) == (State.OK, TOO_FEW, None)
    assert difference(5, 1000, 2, 10).state is State.TOO_FEW
    assert difference(5, 1000, 0, 0).state is State.NO_LABELS
    gap = difference(56, 70, 48, 80)
    assert (gap.value, gap.n, gap.state) == (pytest.approx(0.2), 150, State.OK)
    assert mean(0.0, 0.0, 0).state is State.NO_LABELS
    assert mean(3.0, 9.0, 40, floor=0.0).low == 0
    assert figure(math.nan, None, 50).state is State.CANNOT_TELL
    assert figure(0.5, (math.nan, 1.0), 50).low is None
