"""Cost per 1,000 predictions against the mean of what each row costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collectors.contract import Costs, Task
from console.analysis.binary import Confusion
from console.analysis.costs import confusion_cost, cost_of_errors, error_cost, has_costs
from console.analysis.estimate import State
from console.analysis.intervals import proportion

PRICES = Costs(true_positive=-2, false_positive=1, false_negative=10)
COUNTS = st.integers(0, 10**6)
HUGE = (0.0, 1.0, -5.0, 1e308, -1e308)


def test_a_confusion_costs_what_its_rows_cost() -> None:
    rows = np.repeat([-2.0, 1.0, 10.0, 0.0], [30, 12, 7, 200])
    cost = confusion_cost(Confusion(30, 12, 7, 200), PRICES)
    assert cost.value == pytest.approx(1000 * rows.mean(), rel=1e-12)
    low, high = stats.t.interval(0.95, len(rows) - 1, rows.mean(), stats.sem(rows))
    # half a row added to each cell moves it a little, and it is never narrower than that
    assert cost.low == pytest.approx(1000 * low, abs=20)
    assert cost.high == pytest.approx(1000 * high, abs=60)
    assert cost.n == len(rows)


@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), min_size=1, max_size=5))
def test_merged_counts_cost_the_mean_of_their_parts(parts: list[tuple[int, int, int, int]]) -> None:
    confusions = [Confusion(*part) for part in parts]
    whole = sum(confusions[1:], confusions[0])
    cost = confusion_cost(whole, PRICES)
    if whole.n == 0:
        assert cost.state is State.NO_LABELS
        return
    total = sum((confusion_cost(c, PRICES).value or 0.0) * c.n for c in confusions)
    assert cost.value == pytest.approx(total / whole.n, rel=1e-9, abs=1e-9)
    assert cost.low is not None
    assert cost.high is not None
    assert cost.low <= cost.value <= cost.high


@pytest.mark.parametrize("n", [300, 3000])
def test_the_interval_of_a_confusion_holds_95_per_cent(n: int) -> None:
    shares, prices = [0.2, 0.15, 0.1, 0.55], np.array([-2.0, 1.0, 10.0, 0.0])
    true = 1000 * float(np.dot(shares, prices))
    random = np.random.default_rng(20240101)
    held = 0
    for counts in random.multinomial(n, shares, 1000):
        cost = confusion_cost(Confusion(*(int(k) for k in counts)), PRICES)
        assert cost.low is not None
        assert cost.high is not None
        held += cost.low <= true <= cost.high
    assert 0.93 <= held / 1000 <= 0.97


def test_no_errors_yet_is_no_proof_that_there_are_none() -> None:
    cost = confusion_cost(Confusion(0, 0, 0, 100), Costs(false_negative=100))
    assert cost.value == 0
    assert cost.high is not None
    assert cost.high > 1000  # one missed in a hundred


def test_a_wrong_class_costs_with_wilsons_interval() -> None:
    right = proportion(80, 100)
    cost = error_cost(right, Costs(error=5))
    assert right.low is not None
    assert right.high is not None
    assert cost.value == pytest.approx(1000)
    assert (cost.low, cost.high) == (5000 * (1 - right.high), 5000 * (1 - right.low))
    gain = error_cost(right, Costs(error=-5))
    assert gain.low is not None
    assert gain.high is not None
    assert gain.low < -1000 < gain.high


def test_errors_of_a_regression_cost_by_their_side() -> None:
    error = np.random.default_rng(3).normal(1.0, 3.0, 400)
    sums = (float(error.sum()), float(np.abs(error).sum()), float((error**2).sum()), len(error))
    cost = cost_of_errors(*sums, Costs(over=2, under=7))
    each = np.where(error > 0, 2 * error, -7 * error)
    assert cost.value == pytest.approx(1000 * each.mean(), rel=1e-12)
    low, high = stats.t.interval(0.95, 399, each.mean(), stats.sem(each))
    assert cost.low is not None
    assert cost.high is not None
    assert cost.low <= 1000 * low
    assert cost.high >= 1000 * high


def test_where_both_sides_cost_the_same_the_interval_is_the_t_interval() -> None:
    error = np.random.default_rng(4).normal(0, 3, 50)
    sums = (float(error.sum()), float(np.abs(error).sum()), float((error**2).sum()), 50)
    cost = cost_of_errors(*sums, Costs(over=2, under=2))
    each = 2 * np.abs(error)
    low, high = stats.t.interval(0.95, 49, each.mean(), stats.sem(each))
    assert cost.low == pytest.approx(1000 * low, rel=1e-6)
    assert cost.high == pytest.approx(1000 * high, rel=1e-6)


@pytest.mark.parametrize("price", HUGE)
def test_no_price_makes_a_number_that_is_none(price: float) -> None:
    prices = Costs(false_positive=price, true_positive=1, over=price, under=-1, error=price)
    for n in (0, 1, 2, 50):
        found = [
            confusion_cost(Confusion(n, n, 0, 0), prices),
            cost_of_errors(1e308 * n, 1e308 * n, math.inf, n, prices),
            error_cost(proportion(0, n), prices),
        ]
        for cost in found:
            for number in (cost.value, cost.low, cost.high):
                assert number is None or math.isfinite(number)


def test_a_cost_that_the_task_cannot_have_is_none() -> None:
    assert not has_costs(Task.BINARY, None)
    assert not has_costs(Task.BINARY, Costs(over=1, error=1))
    assert has_costs(Task.BINARY, Costs(false_positive=-1))
    assert has_costs(Task.MULTICLASS, Costs(error=1))
    assert has_costs(Task.REGRESSION, Costs(under=1))
