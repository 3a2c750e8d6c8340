"""What scores promise, against the definition on single rows, and against labels that follow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from collectors.contract import Deployment
from console.analysis.estimate import Estimate, State
from console.analysis.estimated import Estimated, estimated, maps_of

FloatArray = NDArray[np.float64]

BINARY = Deployment.model_validate(
    {"name": "d", "task": "binary", "score": "p", "predictions": {"path": "p"}}
)
MULTI = Deployment.model_validate(
    {
        "name": "d", "task": "multiclass", "prediction": "said", "predictions": {"path": "p"},
        "class_scores": {"a": "p0", "b": "p1", "c": "p2"},
    }
)  # fmt: skip
REGRESSION = Deployment.model_validate(
    {"name": "d", "task": "regression", "prediction": "p", "predictions": {"path": "p"}}
)

BINS = 128


def rollup(
    score: FloatArray,
    label: FloatArray,
    *,
    version: str = "v",
    cut: float = 0.5,
    said: NDArray[np.bool_] | None = None,
) -> pl.DataFrame:
    """The columns of the outcome rollup that are read; label: 0, 1, or NaN where none has come."""
    yes = score >= cut if said is None else said
    known = ~np.isnan(label)
    frame = pl.DataFrame(
        {
            "version": [version] * len(score),
            "bin": np.floor(score * (BINS - 0.01)).astype(np.int64),
            "predicted": yes.astype(np.int64),
            "known": known,
            "label": np.where(known, label, 0.0),
            "score": score,
        }
    )
    sums = frame.group_by("version", "bin", "predicted").agg(
        n=pl.len().cast(pl.Int64),
        n_labelled=pl.col("known").sum().cast(pl.Int64),
        n_positive=pl.col("label").sum().cast(pl.Int64),
        score_sum=pl.col("score").sum(),
        labelled_score_sum=(pl.col("score") * pl.col("known")).sum(),
    )
    whole = {"segment": pl.lit(0), "value": pl.lit(""), "value2": pl.lit("")}
    return sums.with_columns(**whole).sort("version", "bin", "predicted")


def only(found: Mapping[object, Estimated]) -> Estimated:
    (one,) = found.values()
    return one


def of(frame: pl.DataFrame, reference: pl.DataFrame) -> Estimated:
    return only(estimated(BINARY, frame, maps_of(BINARY, reference)))


def centres(score: FloatArray) -> FloatArray:
    """Scores that are one per bin, so that bins lose nothing."""
    return (np.floor(score * (BINS - 0.01)) + 0.5) / BINS


def world(rng: np.random.Generator, n: int, low: float, high: float) -> tuple[FloatArray, ...]:
    score = centres(rng.beta(low, high, n))
    true = score**1.5  # scores are not calibrated
    return score, (rng.random(n) < true).astype(float), true


def test_figures_are_those_of_single_rows() -> None:
    """NannyML's definition, written out per row with scikit-learn's isotonic regression."""
    rng = np.random.default_rng(1)
    ref_score, ref_label, _ = world(rng, 20_000, 1.0, 2.0)
    score, _, _ = world(rng, 3_000, 2.0, 2.0)
    found = of(
        rollup(score, np.full(len(score), np.nan), cut=0.4),
        rollup(ref_score, ref_label, cut=0.4),
    )
    p = IsotonicRegression(out_of_bounds="clip").fit(ref_score, ref_label).predict(score)
    yes = score >= 0.4
    tp, fp, fn, tn = p[yes].sum(), (1 - p[yes]).sum(), p[~yes].sum(), (1 - p[~yes]).sum()
    assert found.cells == pytest.approx((tp, fp, fn, tn))
    exact = {
        "accuracy": (tp + tn) / len(p),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "specificity": tn / (tn + fp),
        "fpr": fp / (tn + fp),
        "fnr": fn / (tp + fn),
        "balanced_accuracy": (tp / (tp + fn) + tn / (tn + fp)) / 2,
        "log_loss": float(-(p * np.log(score) + (1 - p) * np.log(1 - score)).mean()),
        "brier": float((p * (1 - score) ** 2 + (1 - p) * score**2).mean()),
    }
    # every pair of rows, the first a positive by its p and the second a negative by its 1 - p
    order = (score[:, None] > score[None, :]) + 0.5 * (score[:, None] == score[None, :])
    weight = p[:, None] * (1 - p)[None, :]
    pairs = (order * weight).sum() / weight.sum()
    exact["roc_auc"] = float(pairs)
    for name, value in exact.items():
        e = found.metrics[name]
        assert e.value == pytest.approx(value, rel=1e-9), name
        assert e.low is not None
        assert e.high is not None
        assert e.low < value < e.high, name
    assert set(found.metrics) == set(exact)
    assert {e.state for e in found.labelled.values()} == {State.NO_LABELS}


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_merged_buckets_give_the_figures_of_one(seed: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    reference = rollup(*world(rng, 500, 1.0, 2.0)[:2])
    score, label, _ = world(rng, 200, 1.0, 1.0)
    label = np.where(rng.random(200) < 0.3, np.nan, label)
    cut = np.sort(rng.integers(0, 201, parts - 1))
    pieces = zip(np.split(score, cut), np.split(label, cut), strict=True)
    frames = [rollup(s, y) for s, y in pieces if len(s)]
    one, many = of(rollup(score, label), reference), of(pl.concat(frames), reference)
    for a, b in ((one.metrics, many.metrics), (one.labelled, many.labelled)):
        for name, e in a.items():
            assert (b[name].n, b[name].state) == (e.n, e.state)
            for mine, theirs in zip((e.value, e.low, e.high), _ends(b[name]), strict=True):
                assert theirs == pytest.approx(mine, rel=1e-9, abs=1e-12), name


def _ends(e: Estimate) -> tuple[float | None, float | None, float | None]:
    return e.value, e.low, e.high


def realised(score: FloatArray, label: FloatArray, cut: float) -> dict[str, float]:
    yes, one = score >= cut, label == 1
    tp, fp, fn = (yes & one).sum(), (yes & ~one).sum(), (~yes & one).sum()
    tn = len(score) - tp - fp - fn
    rank = np.argsort(np.argsort(score, kind="stable")) + 1.0
    for value in np.unique(score):
        at = score == value
        rank[at] = rank[at].mean()
    area = (rank[one].sum() - one.sum() * (one.sum() + 1) / 2) / (one.sum() * (~one).sum())
    return {
        "accuracy": (tp + tn) / len(score),
        "precision": tp / max(tp + fp, 1),
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "specificity": tn / (tn + fp),
        "roc_auc": float(area),
        "log_loss": float(-np.log(np.where(one, score, 1 - score)).mean()),
        "brier": float(((score - label) ** 2).mean()),
    }


def misses(seed: int, runs: int, n_reference: int, n: int) -> dict[str, float]:
    """How often labels that do follow the scores give a figure outside the interval."""
    rng = np.random.default_rng(seed)
    missed: dict[str, int] = {}
    for _ in range(runs):
        reference = rollup(*world(rng, n_reference, 1.0, 2.0)[:2], cut=0.4)
        score, label, _ = world(rng, n, 1.5, 2.0)
        found = of(rollup(score, label, cut=0.4), reference).labelled
        for name, value in realised(score, label, 0.4).items():
            e = found[name]
            assert e.low is not None
            assert e.high is not None
            missed[name] = missed.get(name, 0) + (not e.low <= value <= e.high)
    return {name: k / runs for name, k in missed.items()}


def test_realised_figures_lie_within_the_interval() -> None:
    for name, share in misses(7, 150, 3_000, 800).items():
        assert share <= 0.12, (name, share)


@pytest.mark.slow
@pytest.mark.parametrize(("n_reference", "n"), [(1_000, 1_000), (20_000, 500), (5_000, 20_000)])
def test_the_interval_misses_about_one_in_twenty(n_reference: int, n: int) -> None:
    for name, share in misses(11, 1_500, n_reference, n).items():
        assert 0.02 <= share <= 0.08, (name, share)


def test_multiclass_figures_are_means_over_the_classes() -> None:
    rng = np.random.default_rng(3)

    def rows(n: int) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.int64]]:
        p = rng.dirichlet([1.0, 1.5, 2.0], n)
        p = np.stack([centres(p[:, k]) for k in range(3)], axis=1)
        label = np.array([rng.choice(3, p=row / row.sum()) for row in p])
        return p, p.argmax(axis=1), label

    def frame(p: FloatArray, said: NDArray[np.int64], label: NDArray[np.int64]) -> pl.DataFrame:
        return pl.concat(
            rollup(p[:, k], (label == k).astype(float), said=said == k)
            .drop("segment", "value", "value2", "score_sum", "labelled_score_sum")
            .with_columns(pl.lit(k).alias("class"))
            for k in range(3)
        )

    ref = rows(4_000)
    p, said, label = rows(1_000)
    maps = maps_of(MULTI, frame(*ref))
    rows_of = frame(p, said, label).with_columns(
        segment=pl.lit(0), value=pl.lit(""), value2=pl.lit("")
    )
    found = only(estimated(MULTI, rows_of, maps, rows_of))
    calibrated = np.stack(
        [
            IsotonicRegression(out_of_bounds="clip").fit(ref[0][:, k], ref[2] == k).predict(p[:, k])
            for k in range(3)
        ],
        axis=1,
    )
    right = calibrated[np.arange(len(p)), said].sum()
    assert found.metrics["accuracy"].value == pytest.approx(right / len(p))
    tp = [calibrated[said == k, k].sum() for k in range(3)]
    yes = [(said == k).sum() for k in range(3)]
    ones = calibrated.sum(axis=0)
    assert found.metrics["recall"].value == pytest.approx(np.mean(tp / ones))
    assert found.metrics["precision"].value == pytest.approx(np.mean(np.divide(tp, yes)))
    assert found.metrics["f1"].value == pytest.approx(np.mean(2 * np.array(tp) / (yes + ones)))
    e = found.labelled["accuracy"]
    assert e.low is not None
    assert e.high is not None
    assert e.low < (said == label).mean() < e.high
    assert found.n_labelled == 1_000
    of_segment = only(estimated(MULTI, rows_of, maps))
    assert of_segment.reason == "class scores are not kept by segment"
    assert {e.state for e in of_segment.metrics.values()} == {State.CANNOT_TELL}
    assert only(estimated(MULTI, rows_of, {}, rows_of)).reason.startswith("there is no reference")


def hostile() -> list[tuple[str, pl.DataFrame, pl.DataFrame]]:
    rng = np.random.default_rng(5)
    score, label, _ = world(rng, 300, 1.0, 1.0)
    good = rollup(score, label)
    same = np.full(300, 0.25)
    unlabelled = rollup(score, np.full(300, np.nan))
    return [
        ("no reference", good, good.clear()),
        ("a reference without labels", good, unlabelled),
        ("a reference of one class", good, rollup(score, np.zeros(300))),
        ("no rows", good.clear(), good),
        ("all scores equal", rollup(same, label), rollup(same, label)),
        ("one row", rollup(score[:1], label[:1]), good),
        ("a reference of one row", good, rollup(score[:1], label[:1])),
        ("no row said yes", rollup(score, label, cut=2.0), good),
        ("no labels", unlabelled, good),
        ("no scores", good.with_columns(bin=pl.lit(-1, pl.Int64)), good),
        ("sums that overflow", good.with_columns(score_sum=pl.lit(1e308)), good),
        ("sums that are no numbers", good.with_columns(score_sum=pl.lit(float("nan"))), good),
        ("scores never seen", rollup(np.full(300, 0.99), label), rollup(score * 0.3, label)),
    ]


@pytest.mark.parametrize(
    ("frame", "reference"), [c[1:] for c in hostile()], ids=[c[0] for c in hostile()]
)
def test_nothing_is_ever_not_a_number(frame: pl.DataFrame, reference: pl.DataFrame) -> None:
    for found in estimated(BINARY, frame, maps_of(BINARY, reference)).values():
        for metrics in (found.metrics, found.labelled):
            for e in metrics.values():
                held = e.value is not None
                assert held or e.state in (State.CANNOT_TELL, State.NO_LABELS)
                for end in _ends(e):
                    assert end is None or np.isfinite(end)
                if e.low is not None and e.high is not None and e.value is not None:
                    assert e.low <= e.value <= e.high
        known = any(e.value is not None for e in found.metrics.values())
        assert known != bool(found.reason)


def test_nothing_is_promised_of_scores_that_the_reference_never_had() -> None:
    rng = np.random.default_rng(5)
    score, label, _ = world(rng, 300, 1.0, 1.0)
    found = of(rollup(np.full(300, 0.99), label), rollup(score * 0.3, label))
    assert found.reason.startswith("more than half of the scores lie outside")


def test_a_regression_has_none_and_says_so() -> None:
    frame = pl.DataFrame({"version": ["v"], "segment": [0], "value": [""], "value2": [""]})
    found = only(estimated(REGRESSION, frame, maps_of(REGRESSION, frame)))
    assert "no estimate of the error of a regression" in found.reason


def test_a_version_without_a_reference_of_its_own_takes_that_of_all() -> None:
    rng = np.random.default_rng(8)
    reference = rollup(*world(rng, 2_000, 1.0, 2.0)[:2], version="")
    window = rollup(*world(rng, 400, 1.0, 2.0)[:2], version="new")
    assert not of(window, reference).reason
    other = reference.with_columns(version=pl.lit("old"))
    assert of(window, other).reason == "there is no reference to calibrate the scores on"


def test_a_segment_is_read_from_merged_bins() -> None:
    rng = np.random.default_rng(9)
    reference = rollup(*world(rng, 40_000, 1.0, 2.0)[:2])
    window = rollup(*world(rng, 4_000, 1.5, 2.0)[:2])
    coarse = window.with_columns(bin=pl.col("bin") // 8)
    fine = of(window, reference).metrics
    merged = only(estimated(BINARY, coarse, maps_of(BINARY, reference, 8))).metrics
    for name in ("accuracy", "recall", "f1", "roc_auc", "brier"):
        assert merged[name].value == pytest.approx(fine[name].value, abs=0.02), name


def test_a_figure_carries_only_what_the_map_can_do_to_it() -> None:
    """With one probability for all, recall is the share of yes whatever that probability is."""
    rng = np.random.default_rng(10)
    window = rollup(centres(rng.random(400)), np.full(400, np.nan))
    widths = {}
    for n in (10, 10**6):
        one_bin = window.head(1).with_columns(n_labelled=pl.lit(n), n_positive=pl.lit(n * 2 // 5))
        maps = maps_of(
            BINARY, pl.concat([one_bin, one_bin.with_columns(bin=pl.lit(127, pl.Int64))])
        )
        found = only(estimated(BINARY, window, maps)).metrics
        for name in ("recall", "accuracy"):
            e = found[name]
            assert e.high is not None
            assert e.low is not None
            widths[name, n] = e.high - e.low
    assert widths["recall", 10] == pytest.approx(widths["recall", 10**6])
    assert widths["accuracy", 10] > 1.001 * widths["accuracy", 10**6]
