"""Agreement beyond chance against published figures, scikit-learn and formulas written out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from console.analysis.estimate import State
from console.analysis.kappa import (
    cohen_kappa,
    fleiss_kappa,
    intraclass_correlation,
    mean_share,
    pooled_kappa,
)

Matrix = np.ndarray[Any, Any]

DIAGNOSES = np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]])
"""Fleiss, Statistical Methods for Rates and Proportions, 1981, table 13.1: two raters, 100 cases.
Kappa .68 there."""

FOURTEEN = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip
"""Ten subjects, fourteen raters, five categories; kappa 0.210 (Fleiss' kappa, Wikipedia)."""

JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)
"""Shrout & Fleiss 1979, table 2: six targets, four judges; ICC(1,1) = .17."""


def pair_row(table: Matrix) -> dict[str, float]:
    """The sums of the query, from a confusion matrix of counts."""
    marginal = table.sum(axis=0)[:, None] + table.sum(axis=1)[None, :]
    diagonal = np.diag(table)
    return {
        "n": int(table.sum()),
        "n_same": float(diagonal.sum()),
        "marginals": float((table * marginal).sum()),
        "marginals_same": float((diagonal * np.diag(marginal)).sum()),
        "marginals_sq": float((table * marginal.astype(float) ** 2).sum()),
    }


def said(table: Matrix) -> tuple[list[int], list[int]]:
    """The two lists of answers that a confusion matrix counts."""
    pairs = [(i, j) for (i, j), n in np.ndenumerate(table) for _ in range(n)]
    return [i for i, _ in pairs], [j for _, j in pairs]


def fleiss_row(votes: Matrix) -> dict[str, float]:
    """The sums of the query, from votes: subjects by categories."""
    m = votes.sum(axis=1)
    u = (votes * (votes - 1)).sum(axis=1) / (m * (m - 1))
    shares = (votes / m[:, None]).mean(axis=0)
    v = (votes / m[:, None] * shares).sum(axis=1)
    n = len(votes)
    sums = {"u": u, "uu": u * u, "v": v, "vv": v * v, "uv": u * v}
    return {"n": n, **{k: float(x.sum()) for k, x in sums.items()}}


def icc_row(values: Sequence[Sequence[float]]) -> dict[str, float]:
    m = np.array([len(x) for x in values], float)
    centres = np.array([np.mean(x) for x in values])
    whole = float((m * centres).sum() / m.sum())
    within = sum(
        float(((np.array(x) - c) ** 2).sum()) for x, c in zip(values, centres, strict=True)
    )
    between = float((m * (centres - whole) ** 2).sum())
    return {
        "n": len(values), "m": float(m.sum()), "mm": float((m * m).sum()),
        "within": within, "between_items": between,
    }  # fmt: skip


def test_published_kappas() -> None:
    e = cohen_kappa(pair_row(DIAGNOSES))
    assert e.value == pytest.approx(0.6765, abs=5e-5)
    assert fleiss_kappa(fleiss_row(FOURTEEN)).value == pytest.approx(0.210, abs=5e-4)
    assert intraclass_correlation(icc_row(JUDGES.tolist())).value == pytest.approx(0.1657, abs=5e-5)


matrices = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 30), min_size=k, max_size=k), min_size=k, max_size=k)
)


@given(matrices)
def test_cohens_kappa_is_scikit_learns(cells: list[list[int]]) -> None:
    table = np.array(cells)
    if not table.sum():
        return
    e = cohen_kappa(pair_row(table))
    one, other = said(table)
    used = set(one) | set(other)
    if len(used) == 1:  # everybody says the same: 0 / 0
        assert e.state is State.CANNOT_TELL
        assert e.value is None
        return
    assert e.value == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)
    assert e.low is not None
    assert e.high is not None
    assert -1 <= e.low <= e.value <= e.high <= 1


def written_out(table: Matrix) -> float:
    """The standard error of Fleiss, Cohen & Everitt 1969, equation 13 as it stands there."""
    p = table / table.sum()
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    po, pe = float(np.trace(p)), float(rows @ columns)
    total = 0.0
    for (i, j), share in np.ndenumerate(p):
        if i == j:
            total += share * ((1 - pe) - (rows[i] + columns[i]) * (1 - po)) ** 2
        else:
            total += (1 - po) ** 2 * share * (columns[i] + rows[j]) ** 2
    total -= (po * pe - 2 * pe + po) ** 2
    return math.sqrt(total / (table.sum() * (1 - pe) ** 4))


@pytest.mark.parametrize(
    "table",
    [DIAGNOSES, np.array([[20, 5], [10, 15]]), np.array([[30, 2, 0], [9, 8, 7], [1, 0, 40]])],
)
def test_the_interval_is_that_of_fleiss_cohen_and_everitt(table: Matrix) -> None:
    e = cohen_kappa(pair_row(table))
    assert e.value is not None
    assert e.low == pytest.approx(e.value - 1.959964 * written_out(table), abs=1e-6)
    assert e.high == pytest.approx(min(e.value + 1.959964 * written_out(table), 1), abs=1e-6)


@pytest.mark.parametrize("table", [DIAGNOSES, np.array([[20, 5], [10, 15]])])
def test_all_pairs_of_two_people_are_their_pair(table: Matrix) -> None:
    n = table.sum()
    marginal = (table.sum(axis=0)[:, None] + table.sum(axis=1)[None, :]) / n
    chance = (table * marginal).sum() / (2 * n)
    u, v = np.eye(len(table)), marginal - chance
    sums = {"u": u, "uu": u * u, "v": v, "vv": v * v, "uv": u * v, "um": u, "vm": v}
    row = {"n": n, "m": float(n), "mm": float(n)}
    e = pooled_kappa(row | {k: float((table * x).sum()) for k, x in sums.items()})
    pair = cohen_kappa(pair_row(table))
    assert (e.value, e.low, e.high) == pytest.approx((pair.value, pair.low, pair.high), abs=1e-12)


def test_everybody_agreeing_is_not_certainty() -> None:
    e = cohen_kappa(pair_row(np.diag([20, 20])))
    assert e.value == 1.0
    assert e.low is not None
    assert 0.7 < e.low < 0.95  # Wilson's limit of 40 of 40 agreements is 0.912
    few = cohen_kappa(pair_row(np.diag([2, 2])))
    assert few.low is not None
    assert few.low < 0.1
    assert few.state is State.TOO_FEW


def test_a_share_of_zeros_and_ones_has_wilsons_interval() -> None:
    e = mean_share(81, 81, 263)
    assert (e.low, e.high) == pytest.approx((0.25529, 0.36621), abs=1e-5)
    assert mean_share(50, 50, 50).low == pytest.approx(0.9287, abs=1e-4)
    assert mean_share(0, 0, 50).high == pytest.approx(0.0713, abs=1e-4)


# -- intervals hold what they say -----------------------------------------------------------------


def drawn(rng: np.random.Generator, n: int, people: int, agree: float) -> Matrix:
    """Votes of people who see a truth of three classes with some luck: subjects by people."""
    truth = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
    seen = rng.random((n, people)) < agree
    return np.where(seen, truth[:, None], rng.choice(3, size=(n, people), p=[0.5, 0.3, 0.2]))


def tables(seed: int, n: int, people: int, agree: float, runs: int) -> Iterator[Matrix]:
    rng = np.random.default_rng(seed)
    for _ in range(runs):
        yield drawn(rng, n, people, agree)


def held(ends: Sequence[tuple[float | None, float | None]], truth: float) -> float:
    return sum(a is not None and b is not None and a <= truth <= b for a, b in ends) / len(ends)


@pytest.mark.parametrize("agree", [0.6, 0.9])
def test_nineteen_of_twenty_intervals_hold_cohens_kappa(agree: float) -> None:
    ends = []
    for votes in tables(7, 100, 2, agree, 600):
        table = np.zeros((3, 3), int)
        np.add.at(table, (votes[:, 0], votes[:, 1]), 1)
        e = cohen_kappa(pair_row(table))
        ends.append((e.low, e.high))
    assert 0.92 <= held(ends, agree**2) <= 0.98  # kappa is that both saw the truth


@pytest.mark.parametrize("agree", [0.6, 0.9])
def test_nineteen_of_twenty_intervals_hold_fleiss_kappa(agree: float) -> None:
    ends = []
    for votes in tables(8, 100, 4, agree, 600):
        counts = np.stack([(votes == k).sum(axis=1) for k in range(3)], axis=1)
        e = fleiss_kappa(fleiss_row(counts))
        ends.append((e.low, e.high))
    assert 0.92 <= held(ends, agree**2) <= 0.98


@pytest.mark.parametrize("people", [2, 4])
def test_nineteen_of_twenty_intervals_hold_the_intraclass_correlation(people: int) -> None:
    rng = np.random.default_rng(9)
    ends = []
    for _ in range(400):
        values = rng.normal(0, 1, (60, 1)) + rng.normal(0, 0.7, (60, people))
        e = intraclass_correlation(icc_row(values.tolist()))
        ends.append((e.low, e.high))
    assert 0.92 <= held(ends, 1 / 1.49) <= 0.98
