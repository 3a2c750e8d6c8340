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
    distance_rows,
    drift_state,
    hellinger,
    homogeneity,
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
@given(SAMPLES, SAMPLES, EDGES)
def test_a_bin_of_one_value_leaves_nothing_open(ref, cur, edges):
    """A spike at 0 of a zero-inflated column: its rows are ties, on both sides alike."""
    spiked = np.array([np.nextafter(0.0, -1), 0.0, *edges[1:]])
    # (lower, upper] as the store's bins are; the first holds 0 alone
    place = [np.searchsorted(spiked, values, side="left") - 1 for values in (ref, cur)]
    counted = [np.bincount(p, minlength=len(spiked) - 1) for p in place]
    tied = np.nextafter(spiked[:-1], math.inf) == spiked[1:]
    assert tied[0]  # others may be, of edges that are neighbours
    low, high = ks_bracket(*counted, tied)
    # scipy's ks_2samp of one row warns of a division by zero
    gaps = [np.mean(np.array(ref) <= x) - np.mean(np.array(cur) <= x) for x in {*ref, *cur}]
    assert low - 1e-12 <= np.abs(gaps).max() <= high + 1e-12
    assert high <= ks_bracket(*counted)[1]


def test_a_spike_with_most_rows_does_not_open_the_bracket():
    ref, cur = [9300, 300, 400], [930, 30, 40]
    low, high = ks_bracket(ref, cur, np.array([True, False, False]))
    assert (low, high) == pytest.approx((0.0, 0.04))
    assert ks_bracket(ref, cur)[1] == pytest.approx(0.93)
    record = stats.ks_2samp([0] * 930 + [1] * 30 + [2] * 40, [0] * 93 + [1] * 3 + [2] * 4)
    assert low <= record.statistic + 1e-12


@settings(deadline=None)
@given(PAIRS)
def test_the_test_of_homogeneity_is_pearsons_where_no_bin_is_rare(pair):
    ref, cur = np.array(pair[0]) + 100, np.array(pair[1]) + 100
    record = stats.chi2_contingency(np.array([ref, cur]), correction=False)
    assume(record.expected_freq.min() >= 5)
    expected = record.pvalue if len(ref) > 1 else 1.0
    assert homogeneity(ref, cur) == pytest.approx(expected, rel=1e-7, abs=1e-290)


@settings(deadline=None)
@given(PAIRS)
def test_homogeneity_is_a_probability_and_has_no_order_of_sides(pair):
    p = homogeneity(*pair)
    assert 0 <= p <= 1
    assert p == pytest.approx(homogeneity(pair[1], pair[0]), rel=1e-9)


def test_a_value_never_seen_is_no_rare_bin_to_be_merged_away():
    """10 of 50 rows, none of 50,000: expected .01 rows, which would drown in a neighbour."""
    assert homogeneity([25_000, 25_000, 0], [20, 20, 10]) < 1e-15
    assert homogeneity([25_000, 25_000, 0], [25, 25, 0]) == pytest.approx(1)
    assert homogeneity([25_000, 25_000, 5], [25, 25, 0]) == pytest.approx(1)
    assert homogeneity([0, 0], [3, 4]) == homogeneity([5], [3]) == 1
    assert homogeneity([0, 50], [50, 0]) < 1e-15


def test_few_rows_in_many_bins_are_merged_not_dropped():
    """40 rows in 10 bins: 4 expected in each, too few for Pearson's test one by one."""
    ref = [1000] * 10
    assert homogeneity(ref, [8] * 5 + [0] * 5) < 1e-4
    assert homogeneity(ref, [4] * 10) == pytest.approx(1)


@pytest.mark.parametrize(("n", "m"), [(50, 1000), (200, 1000), (1000, 50_000)])
@pytest.mark.parametrize("rare", [0, 3])
def test_false_alarms_of_homogeneity_are_at_most_nominal(n, m, rare):
    rng = np.random.default_rng(n + rare)
    shares = np.array([*np.full(10, (1 - 0.002 * rare) / 10), *[0.002] * rare])
    draws = zip(rng.multinomial(m, shares, 600), rng.multinomial(n, shares, 600), strict=True)
    found = np.array([homogeneity(ref, cur) for ref, cur in draws])
    assert np.mean(found < 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)


@settings(deadline=None)
@given(st.lists(PAIRS, min_size=1, max_size=5))
def test_many_features_at_once_are_each_one_alone(pairs):
    """Bins are padded with zeros to the widest feature; a side without rows is not a number."""
    widest = max(len(ref) for ref, _ in pairs)
    ref, cur = (
        np.array([[*pair[i], *[0] * (widest - len(pair[i]))] for pair in pairs], dtype=float)
        for i in (0, 1)
    )
    found = distance_rows(ref, cur)
    for i, (one, other) in enumerate(pairs):
        alone = [f(one, other) for f in (psi, jensen_shannon, hellinger)]
        values = [found.psi[i], found.js[i], found.hellinger[i], found.chi2[i]]
        if sum(one) == 0 or sum(other) == 0:
            assert alone == [None] * 3
            assert np.isnan(values).all()
        else:
            chi = chi_square(one, other)
            assert values == pytest.approx([*alone, chi.statistic], rel=1e-9, abs=1e-9)
            assert found.df[i] == chi.df


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
        (9.0, 0.02, 29, 1000, DriftState.TOO_FEW),
        (0.0, 0.02, 1000, 29, DriftState.TOO_FEW),
        (9.0, 0.02, 30, 30, DriftState.DRIFTED),
        (None, None, 0, 1000, DriftState.CANNOT_TELL),
        (None, None, 1000, 0, DriftState.CANNOT_TELL),
        (0.3, None, 1000, 1000, DriftState.CANNOT_TELL),
    ],
)
def test_verdict(value, q95, n, m, expected):
    assert drift_state(value, q95, n, m) is expected


def test_a_large_distance_that_the_test_does_not_confirm_is_no_drift():
    assert drift_state(0.3, 0.02, 1000, 1000, p=0.06) is DriftState.OK
    assert drift_state(0.3, 0.02, 1000, 1000, p=0.04) is DriftState.DRIFTED
    assert drift_state(0.05, 0.02, 1000, 1000, p=0.04) is DriftState.SMALL


def test_eight_rows_raise_no_alarm():
    ref, cur = [100] * 10, [8, *[0] * 9]
    noise = psi_noise(used_bins(ref, cur), 8, 1000)
    assert drift_state(psi(ref, cur), noise.q95, 8, 1000) is DriftState.TOO_FEW


def test_counts_over_other_bins_are_refused():
    with pytest.raises(ValueError, match="same bins"):
        psi([1, 2], [1, 2, 3])
