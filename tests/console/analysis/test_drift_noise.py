"""What distances show without drift: against simulations, formulas and published points."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from console.analysis.distances import distance_rows, psi_noise, wasserstein
from console.analysis.drift_noise import (
    chi2_noise,
    ks_noise,
    null_rows,
    psi_null,
    wasserstein_noise,
)

DRAWS = 1000
EQUAL = np.full(10, 0.1)
RARE = np.array([*np.full(10, 0.0995), 0.002, 0.003])
SPIKE = np.array([0.93, 0.02, 0.02, 0.01, 0.01, 0.01])
TAIL = 1 / np.arange(1, 101) / (1 / np.arange(1, 101)).sum()


def drawn(shares: np.ndarray, n: int, m: int, draws: int = DRAWS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, m, len(shares)])
    ref, cur = (rng.multinomial(size, shares, draws).astype(float) for size in (m, n))
    return ref, cur


def above(shares: np.ndarray, n: int, m: int) -> dict[str, float]:
    """The share of samples without drift whose distance is above its 95 % point."""
    ref, cur = drawn(shares, n, m)
    found, null = distance_rows(ref, cur), null_rows(ref, cur)
    return {
        name: float(np.mean(getattr(found, name) > getattr(null, name)[:, 1]))
        for name in ("psi", "js", "hellinger")
    }


@pytest.mark.parametrize("m", [1000, 50_000])
@pytest.mark.parametrize("n", [30, 50, 100, 200, 1000, 10_000])
@pytest.mark.parametrize("shares", [EQUAL, RARE, SPIKE], ids=["equal", "rare", "spike"])
def test_false_alarms_are_five_per_cent(shares: np.ndarray, n: int, m: int) -> None:
    """With few rows per bin and with rare bins, where the customary formula has up to 39 %."""
    for name, share in above(shares, n, m).items():
        assert 0.01 <= share <= 0.075, name


@pytest.mark.parametrize("n", [50, 200, 1000, 10_000])
def test_a_hundred_categories_with_a_long_tail_raise_no_alarms(n: int) -> None:
    """The customary formula has 41 % at n = 1,000."""
    for name, share in above(TAIL, n, 50_000).items():
        assert 0.01 <= share <= 0.075, name


def test_the_mean_is_that_of_samples() -> None:
    for shares, n in ((EQUAL, 60), (RARE, 150), (SPIKE, 400)):
        ref, cur = drawn(shares, n, 5000, 4000)
        expected = null_rows(5000 * shares[None], n * shares[None])
        found = distance_rows(ref, cur)
        assert found.psi.mean() == pytest.approx(expected.psi[0, 0], rel=0.05)
        assert np.sqrt((found.js**2).mean()) == pytest.approx(expected.js[0, 0], rel=0.03)


def test_with_filled_bins_it_is_the_customary_formula() -> None:
    found = psi_null(5000 * EQUAL, 2000 * EQUAL)
    assert found == pytest.approx(psi_noise(10, 2000, 5000), rel=0.02)


def test_more_rows_make_less_noise() -> None:
    points = [psi_null(50_000 * RARE, n * RARE).q95 for n in (50, 100, 200, 400, 1000, 10_000)]
    assert points == sorted(points, reverse=True)


@settings(deadline=None)
@given(
    st.integers(1, 12).flatmap(
        lambda k: st.tuples(*[st.lists(st.integers(0, 10**9), min_size=k, max_size=k)] * 2)
    )
)
def test_noise_of_any_counts_is_a_number(pair: tuple[list[int], list[int]]) -> None:
    ref, cur = (np.array([side], dtype=float) for side in pair)
    found = null_rows(ref, cur)
    if not ref.sum() or not cur.sum():
        assert np.isnan([*found]).all()
        assert psi_null(ref[0], cur[0]) is None
        return
    for table in found:
        assert np.isfinite(table).all()
        assert 0 <= table[0, 0] <= table[0, 1] + 1e-12
    assert (found.js <= 1).all()
    assert (found.hellinger <= 1).all()


def test_a_constant_has_no_noise() -> None:
    assert psi_null(np.array([500.0, 0.0]), np.array([20.0, 0.0])) == pytest.approx((0, 0))


def test_kolmogorovs_distribution() -> None:
    n, m = 400, 900
    root = math.sqrt(1 / n + 1 / m)
    mean = stats.kstwobign.mean() * root
    assert ks_noise(n, m) == pytest.approx((mean, stats.kstwobign.ppf(0.95) * root), rel=1e-4)
    assert ks_noise(0, 5) is None
    assert ks_noise(1, 1) == (1, 1)
    assert chi2_noise(9) == (9, pytest.approx(stats.chi2.ppf(0.95, 9)))
    assert chi2_noise(0) == (0, 0)


@pytest.mark.parametrize("family", ["normal", "lognormal", "zeros"])
def test_wasserstein_of_samples_without_drift(family: str) -> None:
    """Of the figure that is shown: samples in 40 bins at the reference's quantiles."""
    rng = np.random.default_rng(11)
    draw = {
        "normal": lambda size: rng.normal(size=size),
        "lognormal": lambda size: rng.lognormal(size=size),
        "zeros": lambda size: np.where(rng.random(size) < 0.8, 0.0, rng.exponential(size=size)),
    }[family]
    n, m = 300, 4000
    large = draw(100_000)
    edges = np.unique(np.quantile(large, np.arange(41) / 40))
    edges = np.unique([*edges, np.nextafter(edges[0], math.inf)])
    sigma = float(large.std())

    def counts(values: np.ndarray) -> np.ndarray:
        return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].astype(float)

    found = [
        wasserstein(edges[:-1], edges[1:], counts(draw(m)), counts(draw(n)), sigma).value
        for _ in range(600)
    ]
    noise = wasserstein_noise(edges[:-1], edges[1:], counts(large), n, m, sigma)
    assert noise.expected == pytest.approx(np.mean(found), rel=0.1)
    assert np.mean(np.array(found) > noise.q95) == pytest.approx(0.05, abs=0.03)


def test_wasserstein_has_no_noise_where_it_has_no_value() -> None:
    edges = np.array([0.0, 1.0, 2.0])
    some = np.array([5.0, 5.0])
    assert wasserstein_noise(edges[:-1], edges[1:], some, 0, 5, 1.0) is None
    assert wasserstein_noise(edges[:-1], edges[1:], some, 5, 5, math.nan) is None
    assert wasserstein_noise(edges[:-1], np.array([1, math.inf]), some, 5, 5, 1.0) is None
    assert wasserstein_noise(edges[:-1], edges[1:], np.array([5.0, 0.0]), 5, 5, 1.0) == (0, 0)
    wide = np.array([-1e308, 0.0, 1e308])
    noise = wasserstein_noise(wide[:-1], wide[1:], some, 5, 5, 0.0)
    assert noise is None or math.isfinite(noise.q95)
