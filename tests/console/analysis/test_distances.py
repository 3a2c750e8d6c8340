"""Distances against scipy, on counts that are awkward: empty, constant, unseen, zero-inflated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from console.analysis.distances import (
    DriftState,
    chi_square,
    drift_state,
    hellinger,
    jensen_shannon,
    js_noise,
    ks_bracket,
    psi,
    psi_noise,
    used_bins,
    wasserstein,
)

PAIRS = st.integers(1, 12).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 1000), min_size=k, max_size=k)] * 2)
)
SAMPLES = st.lists(
    st.one_of(st.sampled_from([0.0, 1.0, 5.0]), st.floats(0, 10)), min_size=1, max_size=60
)
EDGES = st.lists(st.floats(0.01, 9.99), max_size=8, unique=True).map(
    lambda inner: np.array([0.0, *sorted(inner), 10.0])
)


def counts(values, edges):
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return np.bincount(place, minlength=len(edges) - 1)


def test_psi_by_hand():
    expected = (0.4 - 0.5) * math.log(0.4 / 0.5) + (0.6 - 0.5) * math.log(0.6 / 0.5)
    assert psi([50, 50], [40, 60]) == pytest.approx(expected)
    unseen = (0.5 - 1) * math.log(0.5) + (0.5 - 1e-4) * math.log(0.5 / 1e-4)
    assert psi([10, 0], [5, 5]) == pytest.approx(unseen)
    assert psi([10, 0], [5, 5], eps=1e-2) < unseen


@settings(deadline=None)  # the library of record is slow at its first call
@given(PAIRS)
def test_distances_are_scipys(pair):
    ref, cur = np.array(pair[0]), np.array(pair[1])
    assume(ref.sum() > 0 and cur.sum() > 0)
    record = distance.jensenshannon(ref, cur, base=2)
    assert jensen_shannon(ref, cur) == pytest.approx(record, abs=1e-7)
    overlap = np.sqrt(ref / ref.sum() * (cur / cur.sum())).sum()
    assert hellinger(ref, cur) == pytest.approx(math.sqrt(max(1 - overlap, 0)), abs=1e-7)
    held = ref + cur > 0
    out = chi_square(ref, cur)
    expected = stats.chi2_contingency(np.array([ref[held], cur[held]]), correction=False)
    assert (out.statistic, out.df) == pytest.approx((expected.statistic, expected.dof), abs=1e-9)
    assert out.p_value == pytest.approx(expected.pvalue, rel=1e-8, abs=1e-290)


@settings(deadline=None)
@given(PAIRS)
def test_nothing_is_nan_or_out_of_range(pair):
    ref, cur = pair
    results = [f(ref, cur) for f in (psi, jensen_shannon, hellinger, chi_square, ks_bracket)]
    if sum(ref) == 0 or sum(cur) == 0:
        assert results == [None] * 5
        return
    index, js, he, chi, (low, high) = results
    assert 0 <= index < math.inf
    assert 0 <= js <= 1
    assert 0 <= he <= 1
    assert chi.statistic >= 0
    assert 0 <= chi.p_value <= 1
    assert 0 <= low <= high <= 1


@settings(deadline=None)
@given(PAIRS, st.integers(2, 9))
def test_distances_see_shares_not_sizes(pair, factor):
    ref, cur = pair
    assume(sum(ref) > 0 and sum(cur) > 0)
    larger = [factor * c for c in cur]
    for figure in (psi, jensen_shannon, hellinger):
        assert figure(ref, larger) == pytest.approx(figure(ref, cur), abs=1e-7)
        assert figure(ref, [factor * r for r in ref]) == pytest.approx(0, abs=1e-7)


def test_a_constant_feature_and_an_unseen_category():
    assert (psi([70], [9]), jensen_shannon([70], [9]), hellinger([70], [9])) == (0, 0, 0)
    assert chi_square([70, 0], [9, 0]) == (0, 0, 1)
    assert jensen_shannon([70, 0], [0, 9]) == hellinger([70, 0], [0, 9]) == 1
    assert chi_square([70, 0], [0, 9]).p_value < 1e-15
    assert ks_bracket([70, 0], [0, 9]) == (1, 1)


def test_a_zero_inflated_feature_shows_its_change():
    ref, cur = [9000, 300, 400, 300], [7000, 900, 1200, 900]
    assert psi(ref, cur) > psi_noise(4, 10_000, 10_000).q95
    assert psi(ref, [8990, 303, 405, 302]) < psi_noise(4, 10_000, 10_000).q95


@settings(deadline=None)
@given(SAMPLES, SAMPLES, EDGES)
def test_ks_bracket_holds_the_exact_statistic(ref, cur, edges):
    low, high = ks_bracket(counts(ref, edges), counts(cur, edges))
    exact = max(
        abs(np.mean(np.array(ref) <= x) - np.mean(np.array(cur) <= x)) for x in {*ref, *cur}
    )
    assert low - 1e-12 <= exact <= high + 1e-12


def test_ks_bracket_closes_with_one_value_per_bin():
    low, high = ks_bracket([5, 0, 5, 0], [0, 2, 0, 8])
    exact = stats.ks_2samp([0] * 5 + [2] * 5, [1] * 2 + [3] * 8).statistic
    assert low == high == pytest.approx(exact) == pytest.approx(0.8)


@settings(deadline=None)
@given(SAMPLES, SAMPLES, EDGES, st.floats(0, 5))
def test_wasserstein_error_holds_the_exact_distance(ref, cur, edges, scale):
    out = wasserstein(edges[:-1], edges[1:], counts(ref, edges), counts(cur, edges), scale)
    unit = max(scale, 0.001)
    exact = stats.wasserstein_distance(ref, cur) / unit
    assert abs(out.value - exact) <= out.bin_error * (1 + 1e-9) + 1e-9
    assert out.bin_error <= np.diff(edges).max() / unit * (1 + 1e-9)


def test_wasserstein_is_exact_for_spikes_and_refuses_open_bins():
    spikes = [0, 1, 7]
    out = wasserstein(spikes, spikes, [2, 1, 1], [0, 1, 3], 2.0)
    exact = stats.wasserstein_distance([0, 0, 1, 7], [1, 7, 7, 7]) / 2
    assert (out.value, out.bin_error) == (pytest.approx(exact), 0)
    assert wasserstein([0, 1], [1, math.inf], [1, 1], [1, 1], 1.0) is None
    assert wasserstein([0, 1], [1, math.inf], [1, 0], [1, 0], 1.0) == (0, 1)
    assert wasserstein([0], [1], [0], [1], 1.0) is None
    assert wasserstein([0], [1], [1], [1], math.nan) is None
    assert wasserstein([5], [5], [10], [10], 0.0) == (0, 0)


def test_noise_by_its_formula():
    expected, q95 = psi_noise(10, 100, 50_000)
    assert expected == pytest.approx(9 * 0.01002)
    assert q95 == pytest.approx(stats.chi2.ppf(0.95, 9) * 0.01002)
    assert js_noise(10, 100, 50_000) == pytest.approx(
        [math.sqrt(part / (8 * math.log(2))) for part in (expected, q95)]
    )
    assert psi_noise(1, 10, 10) == js_noise(1, 10, 10) == (0, 0)
    assert psi_noise(10, 0, 10) is psi_noise(10, 10, 0) is js_noise(10, 0, 10) is None


def test_noise_is_what_samples_of_one_distribution_show():
    rng = np.random.default_rng(4)
    shares, n, m, draws = np.ones(10) / 10, 400, 2000, 1500
    pairs = list(
        zip(rng.multinomial(m, shares, draws), rng.multinomial(n, shares, draws), strict=True)
    )
    indices = [psi(ref, cur) for ref, cur in pairs]
    noise = psi_noise(10, n, m)
    assert np.mean(indices) == pytest.approx(noise.expected, rel=0.06)
    assert np.mean([index > noise.q95 for index in indices]) == pytest.approx(0.05, abs=0.02)
    distances = [jensen_shannon(ref, cur) for ref, cur in pairs]
    assert np.quantile(distances, 0.95) == pytest.approx(js_noise(10, n, m).q95, rel=0.05)


@pytest.mark.parametrize(
    ("value", "q95", "n", "m", "expected"),
    [
        (0.3, 0.02, 1000, 1000, DriftState.DRIFTED),
        (0.05, 0.02, 1000, 1000, DriftState.SMALL),
        (0.02, 0.02, 1000, 1000, DriftState.OK),
        (0.15, 0.19, 1000, 1000, DriftState.OK),
        (9.0, 0.02, 99, 1000, DriftState.TOO_FEW),
        (0.0, 0.02, 1000, 99, DriftState.TOO_FEW),
        (None, None, 0, 1000, DriftState.CANNOT_TELL),
        (None, None, 1000, 0, DriftState.CANNOT_TELL),
        (0.3, None, 1000, 1000, DriftState.CANNOT_TELL),
    ],
)
def test_verdict(value, q95, n, m, expected):
    assert drift_state(value, q95, n, m) is expected


def test_eight_rows_raise_no_alarm():
    ref, cur = [100] * 10, [8, *[0] * 9]
    noise = psi_noise(used_bins(ref, cur), 8, 1000)
    assert drift_state(psi(ref, cur), noise.q95, 8, 1000) is DriftState.TOO_FEW


def test_counts_over_other_bins_are_refused():
    with pytest.raises(ValueError, match="same bins"):
        psi([1, 2], [1, 2, 3])
