"""Calibrated probabilities are those of scikit-learn's isotonic regression."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from console.analysis.calibration import Calibration, calibrate, isotonic


def made(bins: object, labelled: object, positive: object) -> Calibration:
    found = calibrate(bins, labelled, positive)  # type: ignore[arg-type]
    assert isinstance(found, Calibration)
    return found


CELLS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 300), st.floats(0, 1)), min_size=1, max_size=60
)


@given(CELLS)
def test_blocks_are_those_of_scikit_learn(cells: list[tuple[int, int, float]]) -> None:
    bins = np.array([c[0] for c in cells])
    labelled = np.array([c[1] for c in cells])
    positive = np.round(labelled * np.array([c[2] for c in cells]))
    found = calibrate(bins, labelled, positive)
    if not 0 < positive.sum() < labelled.sum():
        assert isinstance(found, str)
        return
    assert isinstance(found, Calibration)
    held = labelled > 0
    theirs = IsotonicRegression().fit(
        bins[held].astype(float), positive[held] / labelled[held], sample_weight=labelled[held]
    )
    asked = np.arange(-3, 64)
    mine = found.at(asked)
    # in between, both go straight from one known bin to the next; outside they keep the last
    clipped = np.clip(asked, found.bins[0], found.bins[-1])
    np.testing.assert_allclose(mine.p, theirs.predict(clipped.astype(float)), atol=1e-12)
    np.testing.assert_array_equal(mine.beyond, clipped != asked)
    assert (np.diff(mine.p) >= -1e-12).all()
    assert (mine.p >= 0).all()
    assert (mine.p <= 1).all()


@given(CELLS, st.integers(1, 5))
def test_the_same_rows_in_more_cells_give_the_same_map(
    cells: list[tuple[int, int, float]], parts: int
) -> None:
    bins = np.array([c[0] for c in cells])
    labelled = np.array([c[1] for c in cells]) * parts
    positive = np.floor(labelled / parts * np.array([c[2] for c in cells])) * parts
    one = calibrate(bins, labelled, positive)
    many = calibrate(
        np.tile(bins, parts), np.tile(labelled / parts, parts), np.tile(positive / parts, parts)
    )
    if isinstance(one, str):
        assert many == one
        return
    assert isinstance(many, Calibration)
    np.testing.assert_allclose(many.at(np.arange(61)).p, one.at(np.arange(61)).p, atol=1e-12)
    assert many.n == one.n


def test_a_map_needs_labels_of_both_classes() -> None:
    assert calibrate([], [], []) == "the reference has no labels with a score"
    assert calibrate([1, 2], [0, 0], [0, 0]) == "the reference has no labels with a score"
    for positive in ([0, 0], [3, 4]):
        said = calibrate([1, 2], [3, 4], positive)
        assert said == "the reference has labels of one class only"


def test_one_bin_serves_every_score() -> None:
    found = made([5], [10], [4])
    np.testing.assert_allclose(found.at([0, 5, 9]).p, 0.4)
    assert found.variance == pytest.approx((4.5 / 11) * (6.5 / 11) / 10)


def test_a_pure_block_is_not_certain() -> None:
    found = made([0, 1], [50, 50], [0, 50])
    assert found.p.tolist() == [0.0, 1.0]
    assert (found.variance > 0).all()


def test_what_never_falls_is_left_as_it_is() -> None:
    assert isotonic([0.1, 0.2, 0.3], [1, 1, 1]).tolist() == [0, 1, 2]
    assert isotonic([0.3, 0.2, 0.1], [1, 1, 1]).tolist() == [0, 0, 0]
    assert isotonic([0.1, 0.3, 0.1, 0.4], [1, 1, 3, 1]).tolist() == [0, 1, 1, 2]
