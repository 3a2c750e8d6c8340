"""Binary figures against scikit-learn, the certified bounds against every order of rows."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from console.analysis.binary import (
    BINARY_METRICS,
    ECE_BINS,
    Confusion,
    ScoreBins,
    average_precision,
    binary_metrics,
    brier,
    expected_calibration_error,
    log_loss,
    roc_auc,
    single_score,
)
from console.analysis.estimate import State
from console.analysis.intervals import wilson

EPS = float(np.finfo(float).eps)


def binned(scores, labels, edges, weights=None):
    """Score bins [edge, next edge), the last closed; weight 0 leaves a row unlabelled."""
    s, y = np.asarray(scores, float), np.asarray(labels, float)
    place = np.clip(np.searchsorted(edges, s, side="right") - 1, 0, len(edges) - 2)
    w = np.ones(len(s)) if weights is None else np.asarray(weights, float)
    p = np.clip(s, EPS, 1 - EPS)
    loss = -(y * np.log(p) + (1 - y) * np.log1p(-p))

    def total(values):
        return np.bincount(place, values, len(edges) - 1)

    counts = (total(np.ones(len(s))), total(w), total(w * y))
    sums = (total(w * s), total(w * s * s), total(w * y * s), total(w * loss))
    return ScoreBins(*(c.astype(np.int64) for c in counts), *sums)


def one_bin_per_score(scores, labels):
    distinct = np.unique(scores)
    return binned(scores, labels, np.append(distinct, distinct[-1] + 1))


def confusion(scores, labels, threshold=0.5):
    predicted = np.asarray(scores) >= threshold
    y = np.asarray(labels) == 1
    cells = (predicted & y, predicted & ~y, ~predicted & y, ~predicted & ~y)
    return Confusion(*(int(cell.sum()) for cell in cells))


def sample(seed, n=3000, tie=None):
    rng = np.random.default_rng(seed)
    p = rng.beta(1.5, 4, n)
    y = (rng.random(n) < p).astype(int)
    s = np.clip(p + rng.normal(0, 0.1, n), 0, 1)
    return (s if tie is None else np.round(s * tie) / tie), y


# Few distinct values, so that ties, edges and one-class samples come up often.
ROWS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.floats(0, 1)),
        st.integers(0, 1),
    ),
    max_size=40,
)
EDGES = st.lists(st.floats(0.001, 0.999), max_size=12, unique=True).map(
    lambda inner: np.array([0.0, *sorted(inner), 1.0])
)


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_scikit_learns(seed):
    s, y = sample(seed)
    out = binary_metrics(confusion(s, y), None)
    p = (s >= 0.5).astype(int)
    record = {
        "accuracy": sk.accuracy_score(y, p),
        "precision": sk.precision_score(y, p),
        "recall": sk.recall_score(y, p),
        "f1": sk.f1_score(y, p),
        "specificity": sk.recall_score(y, p, pos_label=0),
        "fpr": 1 - sk.recall_score(y, p, pos_label=0),
        "fnr": 1 - sk.recall_score(y, p),
        "balanced_accuracy": sk.balanced_accuracy_score(y, p),
        "mcc": sk.matthews_corrcoef(y, p),
    }
    assert {name: out[name].value for name in record} == pytest.approx(record, abs=1e-12)
    assert tuple(out) == BINARY_METRICS
    assert out["precision"].n == p.sum()
    assert (out["roc_auc"].state, out["ece"].state) == (State.CANNOT_TELL, State.CANNOT_TELL)


def test_f1_interval_is_that_of_jaccard_carried_over():
    out = binary_metrics(Confusion(80, 30, 20, 70), None)["f1"]
    low, high = (2 * j / (1 + j) for j in wilson(80, 130))
    assert (out.low, out.high) == pytest.approx((low, high))


@pytest.mark.parametrize("tie", [4, 20, 100])
def test_score_figures_are_exact_where_bins_hold_one_score(tie):
    s, y = sample(7, tie=tie)
    bins = one_bin_per_score(s, y)
    exact = single_score(bins)
    assert exact.all()
    out = binary_metrics(confusion(s, y), bins, exact)
    record = {
        "roc_auc": sk.roc_auc_score(y, s),
        "average_precision": sk.average_precision_score(y, s),
        "log_loss": sk.log_loss(y, np.clip(s, EPS, 1 - EPS)),
        "brier": sk.brier_score_loss(y, s),
    }
    assert {name: out[name].value for name in record} == pytest.approx(record, abs=1e-9)
    assert out["roc_auc"].bin_error == out["average_precision"].bin_error == 0
    assert out["log_loss"].bin_error is None


def test_sums_stay_exact_and_bin_error_small_with_128_bins():
    s, y = sample(11)
    bins = binned(s, y, np.linspace(0, 1, 129))
    auc, ap = roc_auc(bins), average_precision(bins)
    assert log_loss(bins).value == pytest.approx(sk.log_loss(y, np.clip(s, EPS, 1 - EPS)))
    assert brier(bins).value == pytest.approx(sk.brier_score_loss(y, s))
    assert abs(auc.value - sk.roc_auc_score(y, s)) <= auc.bin_error < 0.01
    assert abs(ap.value - sk.average_precision_score(y, s)) <= ap.bin_error < 0.03


@settings(deadline=None)  # the library of record is slow at its first call
@given(ROWS, EDGES)
def test_bounds_hold_the_exact_value_for_any_rows_and_bins(rows, edges):
    s, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    bins = binned(s, y, edges)
    auc, ap = roc_auc(bins), average_precision(bins)
    if 0 < y.sum() < len(y):
        assert abs(auc.value - sk.roc_auc_score(y, s)) <= auc.bin_error + 1e-12
    else:
        assert auc.value is None
    if y.sum() > 0:
        assert abs(ap.value - sk.average_precision_score(y, s)) <= ap.bin_error + 1e-12


def test_bounds_are_reached_by_the_best_and_worst_order():
    """One bin with 3 positives and 2 negatives: nothing narrower is true for the AUC."""
    bins = binned([0.5] * 5, [1, 1, 1, 0, 0], np.array([0.0, 1.0]))
    auc, ap = roc_auc(bins), average_precision(bins)
    assert (auc.value - auc.bin_error, auc.value + auc.bin_error) == (0, 1)
    worst = (1 / 3 + 2 / 4 + 3 / 5) / 3
    assert ap.value == pytest.approx(0.6)
    assert ap.bin_error == pytest.approx(max(1 - 0.6, 0.6 - worst), abs=0.01)
    many = average_precision(binned([0.5] * 110, [1] * 100 + [0] * 10, np.array([0.0, 1.0])))
    worst = sum(i / (10 + i) for i in range(1, 101)) / 100
    assert many.bin_error == pytest.approx(100 / 110 - worst, abs=1e-4)


def test_auc_interval_is_delongs_on_the_logit_scale():
    s, y = sample(3, n=400)
    out = roc_auc(one_bin_per_score(s, y))
    pairs = (s[y == 1][:, None] > s[y == 0]) + 0.5 * (s[y == 1][:, None] == s[y == 0])
    m, n = pairs.shape
    se = math.sqrt(pairs.mean(1).var(ddof=1) / m + pairs.mean(0).var(ddof=1) / n)
    area = pairs.mean()
    half = 1.959963985 * se / (area * (1 - area))
    centre = math.log(area / (1 - area))
    ends = [1 / (1 + math.exp(half - centre)), 1 / (1 + math.exp(-half - centre))]
    assert (out.value, out.low, out.high) == pytest.approx((area, *ends), abs=1e-9)


def test_average_precision_interval_is_boyds():
    bins = ScoreBins(*(np.array(c) for c in ([50, 50], [50, 50], [10, 30])), *[np.zeros(2)] * 4)
    out = average_precision(bins)
    value = (30 / 50 * 30 + 40 / 100 * 10) / 40
    half = 1.959963985 / math.sqrt(40 * value * (1 - value))
    centre = math.log(value / (1 - value))
    ends = [1 / (1 + math.exp(half - centre)), 1 / (1 + math.exp(-half - centre))]
    assert (out.value, out.low, out.high) == pytest.approx((value, *ends))


@pytest.mark.parametrize(
    ("figure", "bins", "tolerance"),
    [(log_loss, 128, 0.02), (brier, 128, 0.002), (log_loss, 4, 0.2), (brier, 4, 0.02)],
)
def test_loss_intervals_are_near_those_of_the_rows(figure, bins, tolerance):
    s, y = sample(5)
    s = p = np.clip(s, 0.002, 0.998)
    rows = (s - y) ** 2 if figure is brier else -(y * np.log(p) + (1 - y) * np.log1p(-p))
    out = figure(binned(s, y, np.linspace(0, 1, bins + 1)))
    width = 2 * 1.96 * rows.std() / math.sqrt(len(s))
    assert out.high - out.low == pytest.approx(width, rel=tolerance)


def test_ece_over_ten_groups_of_equal_count():
    rng = np.random.default_rng(2)
    s = np.sort(rng.random(5000))
    y = (rng.random(5000) < s**2).astype(int)
    out = expected_calibration_error(one_bin_per_score(s, y))
    parts = [abs(np.subtract(*group.mean(0))) for group in np.split(np.c_[s, y], 10)]
    assert ECE_BINS == 10
    assert out.value == pytest.approx(np.mean(parts))
    assert out.low > 0


def test_ece_puts_a_bin_where_the_middle_of_its_ranks_falls():
    n, positive = np.array([9, 2, 9, 80]), np.array([9, 0, 0, 40])
    sums = n * np.array([0.1, 0.2, 0.3, 0.5])
    out = expected_calibration_error(ScoreBins(n, n, positive, sums, sums, sums, sums))
    # groups 0, 1 and 1, 6 of ten: bins 1 and 2 are judged together
    assert out.value == pytest.approx((9 * 0.9 + 0.4 + 2.7) / 100)


def test_ece_of_a_calibrated_model_may_be_zero():
    rng = np.random.default_rng(3)
    s = rng.random(1000)
    out = expected_calibration_error(
        binned(s, (rng.random(1000) < s).astype(int), np.linspace(0, 1, 129))
    )
    assert out.value > 0
    assert out.low == 0


@settings(deadline=None)
@given(ROWS, ROWS, EDGES)
def test_merged_buckets_give_the_figures_of_all_rows(one, two, edges):
    def parts(rows):
        s, y = [r[0] for r in rows], [r[1] for r in rows]
        return binned(s, y, edges), confusion(s, y)

    (bins1, table1), (bins2, table2) = parts(one), parts(two)
    bins, table = parts(one + two)
    merged, whole = binary_metrics(table1 + table2, bins1 + bins2), binary_metrics(table, bins)
    for name in BINARY_METRICS:
        assert merged[name].state is whole[name].state
        assert merged[name].value == pytest.approx(whole[name].value, abs=1e-9)
        assert merged[name].bin_error == pytest.approx(whole[name].bin_error, abs=1e-12)


@settings(deadline=None)
@given(ROWS, EDGES, st.booleans())
def test_every_figure_is_finite_and_in_range(rows, edges, labelled):
    s, y = [r[0] for r in rows], [r[1] for r in rows]
    bins = binned(s, y, edges, np.full(len(s), float(labelled)))
    table = confusion(s, y) if labelled else Confusion(0, 0, 0, 0)
    for name, out in binary_metrics(table, bins).items():
        floor, top = (-1 if name == "mcc" else 0), (math.inf if name == "log_loss" else 1)
        if out.value is None:
            assert out.low is out.high is None
            assert out.state is (State.CANNOT_TELL if labelled and rows else State.NO_LABELS)
        else:
            assert math.isfinite(out.value)
            assert floor <= out.value <= top
            assert type(out.value) is float
            assert (out.state is State.TOO_FEW) or len(rows) >= 30
            if out.low is not None:
                assert floor <= out.low <= out.value <= out.high <= top


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_cannot_tell_what_needs_two(label):
    s = np.linspace(0, 1, 50)
    y = np.full(50, label)
    out = binary_metrics(confusion(s, y), binned(s, y, np.linspace(0, 1, 11)))
    unknown = {name for name, figure in out.items() if figure.state is State.CANNOT_TELL}
    one_sided = {"specificity", "fpr"} if label else {"recall", "fnr", "average_precision"}
    assert unknown == {"balanced_accuracy", "mcc", "roc_auc", *one_sided}
    assert out["accuracy"].state is State.OK


def test_equal_scores_rank_nothing():
    out = roc_auc(binned([0.3] * 80, [0, 1] * 40, np.array([0.0, 0.3, 0.30001, 1.0])), [True] * 3)
    assert (out.value, out.bin_error, out.state) == (0.5, 0, State.OK)
    assert out.low < 0.5 < out.high


def test_perfect_separation_keeps_an_interval():
    out = binary_metrics(
        Confusion(40, 0, 0, 60), binned([0.9] * 40 + [0.1] * 60, [1] * 40 + [0] * 60, [0, 0.5, 1])
    )
    for name in ("roc_auc", "mcc", "average_precision", "accuracy"):
        assert out[name].value == 1
        assert out[name].low < 0.98


def test_mcc_interval_holds_more_than_the_value_and_changes_sign_with_it():
    high = binary_metrics(Confusion(20, 1, 0, 39))["mcc"]
    low = binary_metrics(Confusion(1, 20, 39, 0))["mcc"]
    assert high.low + 0.05 < high.value < high.high - 0.01
    assert (-low.value, -low.high, -low.low) == pytest.approx((high.value, high.low, high.high))
    assert high.state is State.TOO_FEW  # 20 positives


def test_the_smaller_class_decides_what_a_ranking_is_worth():
    s = np.linspace(0, 1, 1000)
    y = (np.arange(1000) % 100 == 0).astype(int)
    out = binary_metrics(confusion(s, y), binned(s, y, np.linspace(0, 1, 65)))
    assert out["roc_auc"].state is out["average_precision"].state is State.TOO_FEW
    assert (out["roc_auc"].n, out["accuracy"].state) == (1000, State.OK)


@pytest.mark.parametrize("broken", [math.nan, math.inf, 1e200])
def test_broken_sums_are_a_state_not_a_warning(broken):
    s, y = sample(1, n=100)
    bins = binned(s, y, np.linspace(0, 1, 5))
    for name in ("score_sum", "score_sq", "positive_score_sum", "log_loss_sum"):
        getattr(bins, name)[1] = broken
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = binary_metrics(confusion(s, y), bins)
    for figure in out.values():
        assert figure.value is None or math.isfinite(figure.value)
        assert figure.low is None or math.isfinite(figure.low)


def test_no_bins_at_all():
    nothing = ScoreBins(*[np.zeros(0, np.int64)] * 3, *[np.zeros(0)] * 4)
    out = binary_metrics(Confusion(0, 0, 0, 0), nothing)
    assert {figure.state for figure in out.values()} == {State.NO_LABELS}


def test_scores_that_differ_within_a_bin_are_not_single():
    bins = binned([0.1, 0.1, 0.6, 0.600_01], [0, 1, 0, 1], np.array([0, 0.5, 1]))
    assert single_score(bins).tolist() == [True, False]
