"""Regression figures against scikit-learn and numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from console.analysis.estimate import State
from console.analysis.regression import (
    REGRESSION_METRICS,
    RegressionSums,
    error_quantiles,
    regression_metrics,
)


def sums(y, p):
    y, p = np.asarray(y, float), np.asarray(p, float)
    e, held = p - y, y != 0
    ape = np.abs(e[held]) / np.abs(y[held])
    parts = (y.sum(), (y**2).sum(), e.sum(), np.abs(e).sum(), (e**2).sum(), (e**4).sum())
    return RegressionSums(len(y), *parts, ape.sum(), (ape**2).sum(), int(held.sum()))


def sample(n=2000, seed=1):
    rng = np.random.default_rng(seed)
    y = rng.normal(50, 10, n)
    return y, y + rng.normal(1, 4, n)


def test_values_are_scikit_learns():
    y, p = sample()
    out = regression_metrics(sums(y, p))
    record = {
        "mae": sk.mean_absolute_error(y, p),
        "rmse": sk.root_mean_squared_error(y, p),
        "mape": sk.mean_absolute_percentage_error(y, p),
        "bias": np.mean(p - y),
        "r2": sk.r2_score(y, p),
    }
    assert {name: figure.value for name, figure in out.items()} == pytest.approx(record)
    assert tuple(out) == REGRESSION_METRICS


def test_mean_intervals_are_students():
    y, p = sample(60)
    out = regression_metrics(sums(y, p))
    for name, values in (("bias", p - y), ("mae", abs(p - y)), ("mape", abs(p - y) / abs(y))):
        record = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))
        assert (out[name].low, out[name].high) == pytest.approx(record, rel=1e-6)


@pytest.mark.parametrize("name", ["rmse", "r2"])
def test_interval_covers_as_stated(name):
    truth = regression_metrics(sums(*sample(200_000, seed=99)))[name].value
    drawn = [regression_metrics(sums(*sample(150, seed=i)))[name] for i in range(400)]
    covered = np.mean([one.low <= truth <= one.high for one in drawn])
    assert 0.91 < covered < 0.985


def test_errors_of_one_size_leave_rmse_nothing_to_vary():
    out = regression_metrics(sums([0.0] * 40, [1.0, -1.0] * 20))["rmse"]
    assert (out.value, out.low, out.high) == (1, 1, 1)


def test_zero_labels_leave_mape_fewer_rows():
    out = regression_metrics(sums([0, 0, 2, 4] * 10, [1, 0, 3, 3] * 10))
    assert (out["mape"].value, out["mape"].n, out["mape"].state) == (0.375, 20, State.TOO_FEW)
    assert regression_metrics(sums([0, 0], [1, 1]))["mape"].state is State.CANNOT_TELL


@pytest.mark.parametrize("level", [0.0, 0.1, 5.0, 1e9])
def test_a_constant_label_has_no_r2(level):
    out = regression_metrics(sums([level] * 50, np.linspace(level, level + 1, 50)))
    assert out["r2"].state is State.CANNOT_TELL
    assert out["mae"].value == pytest.approx(0.5)


def test_no_labels_and_one_label():
    assert {f.state for f in regression_metrics(sums([], [])).values()} == {State.NO_LABELS}
    one = regression_metrics(sums([2.0], [3.0]))
    assert (one["mae"].value, one["rmse"].value, one["mae"].low) == (1, 1, None)
    assert (one["r2"].state, one["rmse"].state) == (State.CANNOT_TELL, State.TOO_FEW)


VALUES = st.integers(-(10**9), 10**9).map(lambda i: i / 1000)
ROWS = st.lists(st.tuples(VALUES, VALUES), max_size=40)


@settings(deadline=None)  # the library of record is slow at its first call
@given(ROWS, ROWS)
def test_merged_buckets_give_the_figures_of_all_rows(one, two):
    def part(rows):
        return sums([r[0] for r in rows], [r[1] for r in rows])

    merged, whole = part(one) + part(two), part(one + two)
    for name in ("mae", "rmse", "bias", "mape"):
        ours, theirs = regression_metrics(merged)[name], regression_metrics(whole)[name]
        assert ours.state is theirs.state
        if theirs.value is not None:
            assert ours.value == pytest.approx(theirs.value, rel=1e-9, abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1e150, 1e150), st.floats(-1e70, 1e70)), max_size=40))
def test_every_figure_is_finite_whatever_the_scale(rows):
    with np.errstate(all="ignore"):
        given_sums = sums([r[0] for r in rows], [r[1] for r in rows])
    for name, out in regression_metrics(given_sums).items():
        if out.value is not None:
            assert math.isfinite(out.value)
            assert name not in {"mae", "rmse", "mape"} or out.value >= 0
            assert out.low is None or -math.inf < out.low <= out.value <= out.high < math.inf


def signed_log_edges():
    tail = np.geomspace(0.01, 1000, 60)
    edges = np.concatenate((-tail[::-1], tail))
    return edges[:-1], edges[1:]


@settings(deadline=None)
@given(st.lists(st.floats(-900, 900), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_error_quantile_bound_holds_the_exact_one(errors, level):
    lower, upper = signed_log_edges()
    place = np.clip(np.searchsorted(lower, errors, side="right") - 1, 0, len(lower) - 1)
    out = error_quantiles(lower, upper, np.bincount(place, minlength=len(lower)), (level,))[level]
    exact = np.quantile(errors, level, method="inverted_cdf")
    assert abs(out.value - exact) <= out.bin_error + 1e-9
    assert out.low <= out.value <= out.high


def test_error_quantiles_read_off_within_the_bin():
    out = error_quantiles([-2, 0, 1], [0, 1, 5], [10, 80, 10])
    assert {level: one.value for level, one in out.items()} == pytest.approx(
        {0.05: -1, 0.25: 0.1875, 0.5: 0.5, 0.75: 0.8125, 0.95: 3}
    )
    assert out[0.5].low == pytest.approx((100 * 0.4038 - 10) / 80, abs=1e-3)  # wilson(50, 100)
    assert error_quantiles([0], [1], [0])[0.5].state is State.NO_LABELS


def test_an_open_bin_does_not_invent_a_quantile():
    out = error_quantiles([-1, 1], [1, math.inf], [50, 50], (0.25, 0.45, 0.9))
    assert out[0.9].state is State.CANNOT_TELL
    assert out[0.25].state is State.OK
    assert out[0.25].high is not None
    assert (out[0.45].value, out[0.45].high) == (pytest.approx(0.8), None)
