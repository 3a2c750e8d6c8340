"""PELT against ruptures and against every segmentation; the noise that decides its penalty."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from console.analysis.change_points import noise_variance, pelt, share_variance

# ruptures 1.1.10: Pelt(model="l2", min_size=m, jump=1).fit(y).predict(pen=2 ln n + 4), y of the
# seeds 0, 1, ... by `steps`: (m, n, breakpoints)
RUPTURES: list[tuple[int, int, tuple[int, ...]]] = [
    (1, 343, (90, 174)),
    (2, 199, (10, 147, 186)),
    (3, 338, (39,)),
    (4, 328, ()),
    (5, 296, (149, 272)),
    (1, 274, (141, 218)),
    (2, 189, (65, 175)),
    (3, 379, (219, 256)),
    (4, 293, (71,)),
    (5, 180, (52, 106, 118, 165)),
    (1, 315, (67, 83, 164, 255)),
    (2, 70, ()),
    (3, 252, (241,)),
    (4, 360, (28, 333)),
    (5, 77, (10, 52)),
    (1, 373, (87, 129, 258, 300)),
    (2, 224, (96, 183)),
    (3, 301, (47, 137, 178)),
    (4, 359, (78, 255)),
    (5, 243, (87, 221)),
    (1, 359, (95,)),
    (2, 134, (50, 62, 79)),
    (3, 313, (67, 204)),
    (4, 33, (7, 11, 17)),
    (5, 165, (121,)),
    (1, 211, ()),
    (2, 347, (83, 191)),
    (3, 20, ()),
    (4, 273, (206, 238)),
    (5, 375, ()),
    (1, 60, (43,)),
    (2, 228, (18, 110, 128, 151)),
    (3, 353, ()),
    (4, 353, (200,)),
    (5, 43, ()),
    (1, 59, (27, 45)),
    (2, 165, (68,)),
    (3, 80, (22, 47)),
    (4, 114, (33,)),
    (5, 391, (92, 214, 298)),
]


def steps(seed: int) -> NDArray[np.float64]:
    """Noise of sd 1 with up to five steps."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(20, 400)), int(rng.integers(0, 6))
    cuts = np.sort(rng.choice(np.arange(4, n - 4), k, replace=False))
    level = np.zeros(n)
    for cut in cuts:
        level[cut:] += rng.normal(0, 2.5)
    return level + rng.normal(size=n)


def cost(v: NDArray[np.float64], w: NDArray[np.float64], points: tuple[int, ...]) -> float:
    total = 0.0
    for a, b in zip((0, *points), (*points, len(v)), strict=True):
        mean = np.average(v[a:b], weights=w[a:b])
        total += float((w[a:b] * (v[a:b] - mean) ** 2).sum())
    return total


@pytest.mark.parametrize("seed", range(len(RUPTURES)))
def test_change_points_are_those_of_ruptures(seed: int) -> None:
    min_size, n, record = RUPTURES[seed]
    y = steps(seed)
    assert len(y) == n
    assert pelt(y, np.ones(n), 2 * math.log(n) + 4, min_size) == record


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3).map(float), st.integers(1, 9).map(float)),
        min_size=1,
        max_size=9,
    ),
    st.integers(1, 3),
    st.sampled_from([0.5, 3.0, 20.0]),
)
def test_no_other_segmentation_costs_less(
    rows: list[tuple[float, float]], min_size: int, penalty: float
) -> None:
    v, w = (np.array(part) for part in zip(*rows, strict=True))
    found = pelt(v, w, penalty, min_size)
    sizes = np.diff((0, *found, len(v)))
    assert len(v) < 2 * min_size or sizes.min() >= min_size
    every = (
        points
        for k in range(len(v))
        for points in combinations(range(1, len(v)), k)
        if k == 0 or np.diff((0, *points, len(v))).min() >= min_size
    )
    least = min(cost(v, w, points) + penalty * len(points) for points in every)
    assert cost(v, w, found) + penalty * len(found) == pytest.approx(least, abs=1e-9)


def test_long_series_are_pruned_and_stay_exact() -> None:
    y = np.concatenate([steps(seed) + 3 * (seed % 2) for seed in range(8)])
    found = pelt(y, np.ones(len(y)), 14.0, 2)
    assert found
    assert pelt(y[::-1], np.ones(len(y)), 14.0, 2) == tuple(len(y) - p for p in reversed(found))


def test_a_value_far_from_0_loses_no_digits() -> None:
    y = steps(2)
    assert pelt(y + 1e7, np.ones(len(y)), 15.0) == pelt(y, np.ones(len(y)), 15.0)


def test_a_weight_is_that_many_rows() -> None:
    v = np.array([0.0, 0, 0, 1, 1, 1])
    assert pelt(v, np.ones(6), 2.0) == ()
    assert pelt(v, np.full(6, 2.0), 2.0) == (3,)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="weights"):
        pelt([1.0, 2.0], [1.0], 1.0)
    for min_size, penalty in ((0, 1.0), (1, math.nan), (1, -1.0)):
        with pytest.raises(ValueError, match="min_size"):
            pelt([1.0], [1.0], penalty, min_size)


def test_noise_is_told_from_steps_and_slopes() -> None:
    rng = np.random.default_rng(3)
    w = rng.uniform(0.2, 1, 400)
    y = rng.normal(0, 2 / np.sqrt(w))
    true = pytest.approx(4, rel=0.25)
    assert noise_variance(y, w) == true
    assert noise_variance(y + 50 * (np.arange(400) > 200), w) == true
    assert noise_variance(y + 0.05 * np.arange(400), w) == true


def test_noise_of_what_hardly_ever_differs() -> None:
    assert noise_variance(np.repeat([0.0, 5.0], 10), np.ones(20)) == 0
    assert noise_variance([1.0, 2.0], [1.0, 1.0]) == 0
    rare = np.zeros(60)
    rare[::5] = 1.0
    assert noise_variance(rare, np.ones(60)) > 0.1


def test_a_share_has_the_noise_of_its_rows_and_never_none() -> None:
    assert share_variance(np.full(50, 0.5), np.full(50, 1e4)) == pytest.approx(0.25, abs=1e-4)
    jump = np.repeat([0.0, 1.0], 25)
    assert 0 < share_variance(jump, np.full(50, 100.0)) < 0.03
    assert share_variance(np.zeros(5), np.ones(5)) > 0.05
    assert share_variance([], []) == 0.25
