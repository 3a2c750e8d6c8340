"""Multiclass figures against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from console.analysis.binary import BINARY_METRICS, ScoreBins, expected_calibration_error
from console.analysis.estimate import State
from console.analysis.intervals import wilson
from console.analysis.multiclass import MulticlassSums, multiclass_metrics

CLASSES = ("ant", "bee", "cat", "dog")


def sample(n=3000, seed=1):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([2, 1, 1, 0.5], n)
    y = np.array([rng.choice(4, p=row) for row in p])
    return y, p


def one_vs_rest(y, p, bins=128):
    out = []
    for k in range(p.shape[1]):
        s, t = p[:, k], (y == k).astype(float)
        place = np.minimum((s * bins).astype(int), bins - 1)
        q = np.clip(s, 1e-15, 1 - 1e-15)
        loss = -(t * np.log(q) + (1 - t) * np.log1p(-q))
        n, m, *rest = (np.bincount(place, w, bins) for w in (t + 1 - t, t, s, s * s, s * t, loss))
        out.append(ScoreBins(n, n, m, *rest))
    return tuple(out)


def table(y, predicted, k=4):
    return np.bincount(np.asarray(y) * k + predicted, minlength=k * k).reshape(k, k)


def whole(y, p):
    loss = -np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1)).sum()
    square = ((p - np.eye(4)[y]) ** 2).sum()
    return MulticlassSums(table(y, p.argmax(1)), CLASSES, one_vs_rest(y, p), loss, square)


def test_overall_figures_are_scikit_learns():
    y, p = sample()
    out = multiclass_metrics(whole(y, p)).overall
    z = p.argmax(1)
    record = {
        "accuracy": sk.accuracy_score(y, z),
        "precision": sk.precision_score(y, z, average="macro"),
        "recall": sk.recall_score(y, z, average="macro"),
        "f1": sk.f1_score(y, z, average="macro"),
        "balanced_accuracy": sk.balanced_accuracy_score(y, z),
        "mcc": sk.matthews_corrcoef(y, z),
        "log_loss": sk.log_loss(y, p),
        "brier": sk.brier_score_loss(y, p, scale_by_half=False),
    }
    assert {name: out[name].value for name in record} == pytest.approx(record, abs=1e-9)
    auc = sk.roc_auc_score(y, p, multi_class="ovr", average="macro")
    assert abs(out["roc_auc"].value - auc) <= out["roc_auc"].bin_error < 0.02
    assert tuple(out) == BINARY_METRICS
    assert {figure.state for figure in out.values()} == {State.OK}


def test_specificity_and_error_rates_are_means_over_classes():
    y, p = sample()
    out = multiclass_metrics(whole(y, p))
    tn, fp, fn, tp = sk.multilabel_confusion_matrix(y, p.argmax(1)).reshape(4, 4).T
    assert out.overall["specificity"].value == pytest.approx(np.mean(tn / (tn + fp)))
    assert out.overall["fpr"].value == pytest.approx(np.mean(fp / (tn + fp)))
    assert out.overall["fnr"].value == pytest.approx(np.mean(fn / (tp + fn)))
    assert out.by_class["bee"]["recall"].value == pytest.approx(tp[1] / (tp[1] + fn[1]))
    assert out.by_class["bee"]["recall"].n == tp[1] + fn[1]


def test_ece_is_the_mean_over_classes():
    y, p = sample()
    parts = [expected_calibration_error(bins).value for bins in one_vs_rest(y, p)]
    assert multiclass_metrics(whole(y, p)).overall["ece"].value == pytest.approx(np.mean(parts))


def test_macro_follows_the_classes_present_and_leaves_out_what_is_undefined():
    y = np.array([0, 0, 1, 1, 1, 0] * 10)
    z = np.array([0, 2, 0, 0, 0, 0] * 10)  # 1 never predicted, 2 never labelled, 3 in neither
    out = multiclass_metrics(MulticlassSums(table(y, z), CLASSES))
    for name, record in (
        ("precision", sk.precision_score),
        ("recall", sk.recall_score),
        ("f1", sk.f1_score),
    ):
        expected = record(y, z, average="macro", zero_division=np.nan)
        assert out.overall[name].value == pytest.approx(expected)
    assert out.by_class["bee"]["precision"].state is State.CANNOT_TELL
    assert out.by_class["bee"]["recall"].value == 0
    assert out.by_class["cat"]["recall"].state is State.CANNOT_TELL
    assert out.by_class["cat"]["f1"].value == 0
    assert {figure.state for figure in out.by_class["dog"].values()} == {State.CANNOT_TELL}
    assert out.overall["roc_auc"].state is State.CANNOT_TELL
    assert out.overall["log_loss"].state is State.CANNOT_TELL


@pytest.mark.parametrize("name", ["precision", "recall", "f1", "specificity", "fpr", "fnr"])
def test_macro_interval_is_the_wider_of_two(name):
    """The slope is checked by moving each cell a little, on another path than the code's."""
    cells = np.array([[200, 30, 10], [20, 150, 40], [5, 25, 300]], float)

    def value(matrix):
        r, c, d = matrix.sum(1), matrix.sum(0), np.diagonal(matrix)
        rest = matrix.sum() - r
        return {
            "precision": np.mean(d / c),
            "recall": np.mean(d / r),
            "f1": np.mean(2 * d / (r + c)),
            "specificity": np.mean((rest - c + d) / rest),
            "fpr": np.mean((c - d) / rest),
            "fnr": np.mean(1 - d / r),
        }[name]

    variance = 0.0
    for i, j in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[i, j] = 1e-3
        slope = (value(cells + step) - value(cells - step)) / 2e-3
        variance += cells[i, j] * slope**2
    figures = multiclass_metrics(MulticlassSums(cells.astype(int), CLASSES[:3]))
    out, parts = figures.overall[name], [figures.by_class[one][name] for one in CLASSES[:3]]
    half = 1.959963985 * math.sqrt(variance)
    down = math.hypot(*(part.value - part.low for part in parts)) / 3
    up = math.hypot(*(part.high - part.value for part in parts)) / 3
    assert out.value - out.low == pytest.approx(max(half, down), rel=1e-6)
    assert out.high - out.value == pytest.approx(max(half, up), rel=1e-6)


def test_loss_intervals_hold_those_of_the_rows():
    y, p = sample()
    out = multiclass_metrics(whole(y, p)).overall
    loss = -np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1))
    width = 2 * 1.96 * loss.std() / math.sqrt(len(y))
    assert out["log_loss"].high - out["log_loss"].low == pytest.approx(width, rel=0.03)
    square = ((p - np.eye(4)[y]) ** 2).sum(1)
    assert out["brier"].high - out["brier"].low > 2 * 1.96 * square.std() / math.sqrt(len(y))
    assert (out["brier"].low / 2, out["brier"].high / 2) == wilson(square.sum() / 2, len(y))


def test_log_loss_interval_is_scaled_to_the_exact_loss():
    """One wide bin: the mean score of a class says less than the sum of the losses."""
    y, p = sample()
    rows = -np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1))
    sums = MulticlassSums(table(y, p.argmax(1)), CLASSES, one_vs_rest(y, p, 1), rows.sum())
    out = multiclass_metrics(sums).overall["log_loss"]
    n = np.bincount(y)
    coarse = -np.log(np.bincount(y, p[np.arange(len(y)), y]) / n)
    scaled = np.repeat(coarse * rows.sum() / (n @ coarse), n)
    assert out.high - out.low == pytest.approx(
        2 * 1.96 * scaled.std() / math.sqrt(len(y)), rel=2e-3
    )


def test_perfect_predictions_keep_an_interval():
    out = multiclass_metrics(MulticlassSums(np.diag([40, 40, 40]), CLASSES[:3])).overall
    for name in ("accuracy", "precision", "recall", "f1"):
        assert out[name].value == 1
        assert 0.8 < out[name].low < 1
    assert out["mcc"].value == 1


def test_no_labels_and_one_class():
    nothing = multiclass_metrics(MulticlassSums(np.zeros((3, 3), int), CLASSES[:3], None, 0.0, 0.0))
    assert {figure.state for figure in nothing.overall.values()} == {State.NO_LABELS}
    assert nothing.by_class["ant"]["f1"].state is State.NO_LABELS
    single = multiclass_metrics(MulticlassSums(np.diag([50, 0]), CLASSES[:2])).overall
    assert single["accuracy"].value == 1
    assert (single["mcc"].state, single["specificity"].state) == (State.CANNOT_TELL,) * 2


@settings(deadline=None)  # the library of record is slow at its first call
@given(st.lists(st.integers(0, 60), min_size=16, max_size=16))
def test_every_figure_is_finite_and_in_range(cells):
    matrix = np.array(cells).reshape(4, 4)
    out = multiclass_metrics(MulticlassSums(matrix, CLASSES))
    for figures in (out.overall, *out.by_class.values()):
        for name, one in figures.items():
            if one.value is not None:
                floor = -1 if name == "mcc" else 0
                assert floor <= one.value <= 1
                assert one.low is None or floor <= one.low <= one.value <= one.high <= 1
    y, z = (np.repeat(grid.ravel(), matrix.ravel()) for grid in np.indices((4, 4)))
    if len(y):
        record = sk.f1_score(y, z, average="macro", zero_division=np.nan)
        assert out.overall["f1"].value == pytest.approx(record)
