"""Confidence sequences: frozen values, the definition, and what they are for: looking often."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from collectors.contract import Deployment
from console.analysis.ask import Ask, Step
from console.analysis.binary import Confusion, binary_metrics
from console.analysis.estimate import Estimate, IntervalKind, State
from console.analysis.figures import Figures, Group
from console.analysis.intervals import wilson
from console.analysis.regression import RegressionSums, regression_metrics
from console.analysis.sequences import (
    TUNED,
    boundary,
    difference_sequence,
    peek_safe,
    rate_sequence,
    watch,
)

COUNTS = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_exact_sequence_has_the_frozen_values():
    # docs/STATISTICS: Beta(1/2, 1/2) and Beta(1, 1), alpha 5 %
    assert rate_sequence(1000, 10_000) == pytest.approx((0.088549, 0.112286), abs=5e-7)
    assert rate_sequence(90, 100, 0.05, 1, 1) == pytest.approx((0.771729, 0.971158), abs=5e-7)


def test_the_difference_has_growthbooks_value():
    # SequentialTwoSidedTTest, 1000/10000 against 1080/10000, absolute, tuning 5000
    variance = 0.1 * 0.9 / 10_000 + 0.108 * 0.892 / 10_000
    found = difference_sequence(0.008, variance, 20_000, tuned=5000)
    assert found == pytest.approx((-0.005499, 0.021499), abs=5e-7)


def log_bayes_factor(p, k, n):
    mixture = special.betaln(0.5 + k, 0.5 + n - k) - special.betaln(0.5, 0.5)
    return mixture - special.xlogy(k, p) - special.xlog1py(n - k, -p)


@settings(deadline=None)
@given(COUNTS)
def test_at_its_ends_the_evidence_is_twenty_to_one(counts):
    k, n = counts
    low, high = rate_sequence(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert low < high
    for end in (low, high):
        if 0 < end < 1:
            assert log_bayes_factor(end, k, n) == pytest.approx(math.log(20), abs=1e-5)
    assert rate_sequence(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@settings(deadline=None)
@given(COUNTS)
def test_looking_often_costs_width(counts):
    k, n = counts
    low, high = rate_sequence(k, n)
    once_low, once_high = wilson(k, n)
    assert high - low > 0.99 * (once_high - once_low)


@pytest.mark.parametrize("n", [1, 7, 1e6, 1e9])
def test_nothing_or_everything_is_no_certainty(n):
    low, high = rate_sequence(0, n)
    assert low == 0
    assert 0 < high < 1
    assert rate_sequence(n, n) == pytest.approx((1 - high, 1))


def test_no_rows_say_nothing():
    assert rate_sequence(0, 0) == (0, 1)
    assert boundary(0) == math.inf


def test_the_boundary_is_lowest_near_the_rows_it_is_tuned_for():
    at = {n: boundary(n) for n in (TUNED / 100, TUNED / 10, TUNED, TUNED * 10, TUNED * 100)}
    assert min(at, key=lambda n: at[n]) == TUNED
    assert at[TUNED] == pytest.approx(3.035, abs=1e-3)


def misses_when_peeking(runs: int, looks: int, p: float, seed: int) -> tuple[float, float]:
    """Share of runs in which the truth is outside at any look: exact sequence, Wilson."""
    rng = np.random.default_rng(seed)
    n = np.arange(1, looks + 1)
    sequence = fixed = 0
    for _ in range(runs):
        k = np.cumsum(rng.random(looks) < p)
        sequence += bool((log_bayes_factor(p, k, n) > math.log(20)).any())
        # Wilson misses where the score statistic is beyond 1.96; from 30 rows on
        score = np.abs(k - n * p) / np.sqrt(n * p * (1 - p))
        fixed += bool((score[29:] > stats.norm.ppf(0.975)).any())
    return sequence / runs, fixed / runs


def test_who_looks_at_each_row_is_misled_at_most_5_times_in_100():
    sequence, fixed = misses_when_peeking(500, 20_000, 0.3, seed=1)
    assert sequence <= 0.05
    assert fixed > 0.5  # why fixed intervals are not for watching


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.5, 0.1, 0.01])
def test_peeking_to_twenty_thousand(p):
    sequence, _ = misses_when_peeking(3_000, 20_000, p, seed=2)
    assert sequence <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["exponential", "normal", "uniform"])
def test_peeking_at_a_mean(shape):
    """From 30 rows on, as a figure with fewer is marked as too few."""
    rng = np.random.default_rng(3)
    runs, looks = 2_000, 20_000
    truth = {"exponential": 1.0, "normal": 0.0, "uniform": 0.5}[shape]
    n = np.arange(1, looks + 1)
    width = np.array([boundary(int(i)) for i in n])
    missed = 0
    for _ in range(runs):
        draw = getattr(rng, "standard_exponential" if shape == "exponential" else shape)
        x = draw(size=looks)
        mean = np.cumsum(x) / n
        variance = np.maximum(np.cumsum(x * x) / n - mean**2, 0) * n / np.maximum(n - 1, 1)
        outside = np.abs(mean - truth) > width * np.sqrt(variance / n)
        missed += bool(outside[29:].any())
    assert missed / runs <= 0.05


CELLS = st.integers(0, 5000)


@settings(deadline=None)
@given(CELLS, CELLS, CELLS, CELLS)
def test_every_figure_of_a_classifier_gets_wider_and_holds_its_value(tp, fp, fn, tn):
    before = binary_metrics(Confusion(tp, fp, fn, tn))
    after = peek_safe(before)
    for name, e in after.items():
        was = before[name]
        assert e.value == was.value
        if was.low is None or was.high is None or e.value is None:
            assert e == was
            continue
        assert e.interval is IntervalKind.PEEK_SAFE
        floor = -1 if name == "mcc" else 0
        assert floor <= e.low <= e.value <= e.high <= 1
        assert e.high - e.low >= 0.99 * (was.high - was.low)
    assert peek_safe(after) == after


def test_recall_and_f1_are_exact():
    made = peek_safe(binary_metrics(Confusion(90, 20, 10, 80)))
    assert (made["recall"].low, made["recall"].high) == rate_sequence(90, 100)
    low, high = rate_sequence(90, 120)
    assert made["f1"].low == pytest.approx(2 * low / (1 + low))
    assert made["f1"].high == pytest.approx(2 * high / (1 + high))


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=30),
    st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=30),
)
def test_errors_of_any_size_get_finite_ends(y, e):
    n = min(len(y), len(e))
    y, e = np.array(y[:n]), np.array(e[:n])
    with np.errstate(all="ignore"):
        sums = RegressionSums(
            n, y.sum(), (y**2).sum(), e.sum(), np.abs(e).sum(), (e**2).sum(), (e**4).sum(), 1, 1, n
        )
    for made in peek_safe(regression_metrics(sums)).values():
        for end in (made.low, made.high):
            assert end is None or math.isfinite(end)


def figure_of(start: datetime | None, state: State = State.OK) -> Figures:
    e = Estimate(0.5, 0.4, 0.6, 100, state)
    return Figures(
        Group(start, "v1", 0, "", ""), 100, 100, {"accuracy": e}, Confusion(50, 0, 50, 0)
    )


def ask_of(*, watched: bool) -> Ask:
    d = Deployment.model_validate(
        {
            "name": "d", "task": "binary", "predictions": {"path": "p.csv"}, "id": "id",
            "timestamp": "t", "score": "s",
        }
    )  # fmt: skip
    start = NOON - timedelta(days=3)
    return Ask(d, start, NOON, NOON - timedelta(minutes=5), Step.DAY, watched=watched)


def test_only_what_is_watched_and_still_open_gets_a_sequence():
    now, past = NOON - timedelta(hours=2), NOON - timedelta(days=3)

    def kind(f: Figures, *, watched: bool = True, end: datetime | None = None) -> IntervalKind:
        return watch(ask_of(watched=watched), f, end).metrics["accuracy"].interval

    assert kind(figure_of(now)) is IntervalKind.PEEK_SAFE
    assert kind(figure_of(now), watched=False) is IntervalKind.FIXED
    assert kind(figure_of(past)) is IntervalKind.FIXED
    assert kind(figure_of(past, State.PROVISIONAL)) is IntervalKind.PEEK_SAFE
    assert kind(figure_of(past), end=NOON) is IntervalKind.PEEK_SAFE


def test_macro_figures_are_widened_and_not_taken_for_shares():
    e = Estimate(0.5, 0.45, 0.55, 100)
    macro = peek_safe({"recall": e}, binary=False)["recall"]
    exact = peek_safe({"recall": e})["recall"]
    assert macro.high - macro.low < exact.high - exact.low
