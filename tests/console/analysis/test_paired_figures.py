"""Two answers to the same rows: the interval of a difference covers, and agrees with counting."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from collectors.contract import Costs
from console.analysis.paired_figures import PAIRED, Joint, constant, joint_of, paired_figures

CELLS = st.lists(st.integers(0, 60), min_size=8, max_size=8)
COSTS = Costs(false_positive=1, false_negative=5)
TRUTH = np.array([[[0.45, 0.03], [0.10, 0.05]], [[0.08, 0.04], [0.10, 0.15]]])


def rows_of(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(served, beside, label) of every row."""
    found = [
        (m, f, y) for (m, f, y), n in np.ndenumerate(cells) for _ in range(int(n))
    ]  # fmt: skip
    served, beside, labels = np.array(found, dtype=int).reshape(-1, 3).T
    return served, beside, labels


@settings(deadline=None, max_examples=30)
@given(CELLS)
def test_figures_are_those_of_the_rows(counts):
    joint = Joint(np.array(counts, dtype=float).reshape(2, 2, 2))
    found = paired_figures(joint, COSTS, watched=False)
    served, beside, y = rows_of(joint.cells)
    for name in PAIRED:
        score = getattr(sk, f"{name}_score")
        f = found[name]
        for e, said in ((f.beside, beside), (f.served, served)):
            if e.value is not None:
                assert e.value == pytest.approx(score(y, said), abs=1e-12)
        d = f.difference
        if d.value is not None and d.low is not None and d.high is not None:
            assert d.low <= d.value <= d.high
            assert d.value == pytest.approx(f.beside.value - f.served.value, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(CELLS)
def test_watched_intervals_hold_the_fixed_ones(counts):
    joint = Joint(np.array(counts, dtype=float).reshape(2, 2, 2))
    fixed, watched = (paired_figures(joint, COSTS, watched=w) for w in (False, True))
    for name, f in fixed.items():
        a, b = f.difference, watched[name].difference
        if a.low is not None and b.low is not None:
            assert b.low <= a.low + 1e-12
            assert b.high >= a.high - 1e-12


@pytest.mark.parametrize("n", [60, 300, 2_000])
def test_the_interval_covers(n):
    p = TRUTH / TRUTH.sum()
    truth = {
        k: f.difference.value
        for k, f in paired_figures(Joint(p * 1e9), COSTS, watched=False).items()
    }
    rng = np.random.default_rng(5)
    runs = 500
    held = dict.fromkeys(truth, 0)
    for _ in range(runs):
        cells = rng.multinomial(n, p.ravel()).reshape(2, 2, 2).astype(float)
        for name, f in paired_figures(Joint(cells), COSTS, watched=False).items():
            low, high = f.difference.low, f.difference.high
            held[name] += low is not None and low <= truth[name] <= high
    assert {k: v / runs for k, v in held.items()} == {
        k: pytest.approx(0.95, abs=0.04) for k in truth
    }


def test_pairs_are_narrower_than_independent_rows():
    # they agree on nearly all rows
    cells = np.array([[[700, 10], [6, 4]], [[5, 5], [90, 180]]], dtype=float)
    d = paired_figures(Joint(cells), None, watched=False)["f1"].difference
    assert d.high - d.low < 0.05


def test_cells_come_from_the_rollup():
    frame = pl.DataFrame(
        {
            "predicted": [1, 1, 0],
            "n_labelled": [10, 5, 20],
            "n_positive": [6, 1, 3],
            "fallback_tp": [4, 1, 2],
            "fallback_fp": [3, 0, 5],
            "fallback_fn": [2, 0, 1],
            "fallback_tn": [1, 4, 12],
        }
    )
    joint = joint_of(frame)
    assert joint.n == 35
    assert (joint.served.tp, joint.served.fp, joint.served.fn, joint.served.tn) == (7, 8, 3, 17)
    assert (joint.beside.tp, joint.beside.fp, joint.beside.fn, joint.beside.tn) == (7, 8, 3, 17)
    never = constant(frame, None)
    assert (never.beside.tp, never.beside.fp, never.beside.fn, never.beside.tn) == (0, 0, 10, 25)
    assert never.served == joint.served
