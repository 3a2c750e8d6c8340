"""CUSUM's run lengths against published ones, and an alarm for what is slow, not for weather."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from console.analysis.cusum import THRESHOLD, cusum, run_length, standardised, threshold_for


@pytest.mark.parametrize(
    ("h", "shift", "record"),
    # k = 1/2, two sides: Montgomery, Introduction to Statistical Quality Control, table 9.3
    # (h = 4: 168, h = 5: 465 without a shift), and shared/STATISTICS.md (10.4)
    [(5.0, 0.0, 465), (4.0, 0.0, 168), (5.0, 0.5, 38.0), (5.0, 1.0, 10.4), (4.0, 1.0, 8.38)],
)
def test_run_lengths_are_the_published_ones(h: float, shift: float, record: float) -> None:
    assert run_length(h, shift=shift) == pytest.approx(record, rel=4e-3)


def test_run_lengths_agree_with_siegmunds_approximation() -> None:
    """Siegmund 1985: (exp(-2 d b) + 2 d b - 1) / (2 d^2), d = shift - k, b = h + 1.166."""
    for h in (3.0, 5.0, 8.0):
        for shift in (0.0, 0.25, 1.0):
            d, b = shift - 0.5, h + 1.166
            near = (math.exp(-2 * d * b) + 2 * d * b - 1) / (2 * d * d)
            assert run_length(h, shift=shift, sides=1) == pytest.approx(near, rel=0.02)


def test_run_lengths_agree_with_runs() -> None:
    rng = np.random.default_rng(4)
    lengths = []
    for _ in range(400):
        up = cusum(rng.normal(1.0, 1.0, 200).tolist()).up
        lengths.append(1 + next(i for i, value in enumerate(up) if value > THRESHOLD))
    assert np.mean(lengths) == pytest.approx(run_length(5.0, shift=1.0), abs=0.8)


def test_the_threshold_of_a_run_length() -> None:
    assert threshold_for(465.0) == THRESHOLD
    assert run_length(threshold_for(100.0)) == pytest.approx(100, rel=0.01)


def test_the_sums_by_hand() -> None:
    found = cusum([1.0, 2.0, -3.0, 0.0], allowance=0.5, threshold=1.5)
    assert found.up == (0.5, 2.0, 0.0, 0.0)
    assert found.down == (0.0, 0.0, 2.5, 2.0)
    assert (found.at, found.since, found.rises) == (2, 2, False)
    assert cusum([]).at is None


def test_an_alarm_that_passed_is_none() -> None:
    assert cusum([3.0] * 3 + [-1.0] * 4).at is None


def test_one_outlier_is_no_slow_change() -> None:
    assert cusum([0.0, 1e300, math.inf, math.nan, 0.0]).at is None


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_sums_are_never_below_0_and_mirror_each_other(z: list[float]) -> None:
    one, other = cusum(z, threshold=5.0), cusum([-x for x in z], threshold=5.0)
    assert all(0 <= s < math.inf for s in (*one.up, *one.down))
    assert (one.up, one.down) == (other.down, other.up)


def slow(rng: np.random.Generator, total: float) -> NDArray[np.float64]:
    y = rng.normal(size=60)
    y[30:] += np.linspace(0, total, 30)
    return y


def alarms(values: list[NDArray[np.float64]]) -> float:
    ones = np.ones(60)
    return float(np.mean([cusum(standardised(y, ones, 30)).at is not None for y in values]))


def test_a_slow_change_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(6)
    assert alarms([slow(rng, 2.0) for _ in range(200)]) > 0.9
    assert alarms([slow(rng, 0.0) for _ in range(200)]) <= 0.06


def test_days_of_one_weather_are_seldom_an_alarm() -> None:
    """Without the correction for neighbours (r = .4) a quarter of these would be one."""
    rng = np.random.default_rng(7)
    draws = []
    for _ in range(200):
        e = rng.normal(size=110)
        for i in range(1, 110):
            e[i] += 0.4 * e[i - 1]
        draws.append(e[50:])
    assert alarms(draws) <= 0.12


def test_standardised_steps_have_the_spread_of_their_rows() -> None:
    rng = np.random.default_rng(8)
    rows = rng.uniform(1, 100, 4000)
    z = standardised(rng.normal(5, 2 / np.sqrt(rows)), rows, 2000)
    assert np.std(z) == pytest.approx(1, rel=0.1)
    assert standardised(np.ones(6), np.ones(6), 3).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="at least 2"):
        standardised([1.0], [1.0], 1)
