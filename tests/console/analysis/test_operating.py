"""Figures at another threshold against scikit-learn on the rows; their certified bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from collectors.contract import Deployment, Task
from collectors.store.outcomes import OUTCOMES
from console.analysis.operating import MERGED_BINS, Operating, operating

EDGES = np.sort(np.concatenate(([0.5], np.linspace(0.03, 0.97, 24))))
COSTS = {"false_positive": 1.0, "false_negative": 4.0}


def deployment(**more: object) -> Deployment:
    return Deployment.model_validate(
        {
            "name": "d", "task": "binary", "score": "s", "predictions": {"path": "p"},
            "segments": ["a", "b"], **more,
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Rows:
    score: NDArray[np.float64]
    y: NDArray[np.bool_]
    said: NDArray[np.bool_]

    def frame(self, merged: int = 1, segment: int = 0) -> pl.DataFrame:
        """As the outcome query answers: bins with an inclusive upper end."""
        number = np.searchsorted(EDGES, self.score, side="left") // merged
        rows = pl.DataFrame(
            {"bin": number, "predicted": self.said.astype(int), "y": self.y.astype(int)}
        )
        value = "x" if segment else ""
        return (
            rows.group_by("bin", "predicted")
            .agg(pl.len().alias("n"), pl.col("y").sum().alias("n_positive"))
            .with_columns(
                pl.col("n").alias("n_labelled"), pl.lit("v").alias("version"),
                pl.lit(segment).alias("segment"), pl.lit(value).alias("value"),
                pl.lit("").alias("value2"),
            )
        )  # fmt: skip


BINS = pl.DataFrame(
    {
        "feature": [-1] * (len(EDGES) + 1),
        "bin": range(len(EDGES) + 1),
        "upper": [*EDGES.tolist(), None],
    }
)


def rows_of(seed: int, n: int, threshold: float = 0.42) -> Rows:
    random = np.random.default_rng(seed)
    score = random.beta(1.5, 2.5, n)
    return Rows(score, random.random(n) < score, score >= threshold)


def found(rows: Rows, threshold: float | None = None, **more: object) -> Operating:
    (one,) = operating(deployment(**more), rows.frame(), BINS, threshold).values()
    return one


def exact(rows: Rows, threshold: float) -> dict[str, float]:
    said = rows.score >= threshold
    out = {
        "selection_rate": float(said.mean()),
        "accuracy": float(sk.accuracy_score(rows.y, said)),
        "cost": 1000 * float(np.mean(1.0 * (said & ~rows.y) + 4.0 * (~said & rows.y))),
    }
    if said.any():
        out["precision"] = float(sk.precision_score(rows.y, said))
    if rows.y.any():
        out["recall"] = float(sk.recall_score(rows.y, said))
        out["f1"] = float(sk.f1_score(rows.y, said))
    if not rows.y.all():
        out["fpr"] = float((said & ~rows.y).sum() / (~rows.y).sum())
    if 0 < rows.y.mean() < 1 and 0 < said.mean() < 1:
        out["mcc"] = float(sk.matthews_corrcoef(rows.y, said))
        out["balanced_accuracy"] = float(sk.balanced_accuracy_score(rows.y, said))
    return out


@pytest.mark.parametrize("edge", [0, 7, 12, 24])
def test_at_an_edge_of_the_bins_the_figures_are_exact(edge: int) -> None:
    rows = rows_of(1, 500)
    threshold = math.nextafter(float(EDGES[edge]), 1)
    at = found(rows, threshold, costs=COSTS).at
    assert at is not None
    assert at.uncertain == 0
    for name, value in exact(rows, threshold).items():
        assert at.metrics[name].value == pytest.approx(value, abs=1e-12), name
        assert at.metrics[name].bin_error == 0


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 200), st.floats(0, 1))
def test_within_a_bin_the_exact_figure_is_inside_the_bound(
    seed: int, n: int, threshold: float
) -> None:
    rows = rows_of(seed, n)
    at = found(rows, threshold, costs=COSTS).at
    assert at is not None
    for name, value in exact(rows, threshold).items():
        e = at.metrics[name]
        if e.value is None:
            continue
        assert e.bin_error is not None
        assert abs(e.value - value) <= e.bin_error + 1e-9, name


def test_merged_bins_of_a_segment_hold_the_same_rows() -> None:
    rows = rows_of(2, 800)
    for merged, segment in ((MERGED_BINS[1], 1), (MERGED_BINS[2], 3)):
        for threshold in (0.2, 0.5, 0.77):
            frame = rows.frame(merged, segment)
            (one,) = operating(deployment(), frame, BINS, threshold).values()
            assert one.at is not None
            e = one.at.metrics["recall"]
            assert e.value is not None
            assert e.bin_error is not None
            assert abs(e.value - exact(rows, threshold)["recall"]) <= e.bin_error + 1e-12


def test_the_store_merges_as_many_bins_as_is_thought_here() -> None:
    assert (1, *OUTCOMES[Task.BINARY].coarse) == MERGED_BINS


def test_the_threshold_that_the_logged_answers_follow_is_found() -> None:
    one = found(rows_of(3, 5000, threshold=0.42), prediction="said")
    assert one.now == pytest.approx(0.42, abs=0.02)
    assert one.configured is None  # the answers are logged, and no threshold was given


def test_answers_that_follow_another_threshold_are_said() -> None:
    rows = rows_of(4, 5000, threshold=0.42)
    agrees = found(rows, threshold=None)
    assert agrees.configured == 0.5
    between = int(((rows.score >= 0.42) & (rows.score < 0.5)).sum())
    in_its_bin = int(((rows.score > 0.46) & (rows.score <= 0.5)).sum())
    assert between - in_its_bin <= agrees.disagreeing <= between
    assert agrees.disagrees
    assert not found(rows, prediction="said", threshold=None).disagrees


@pytest.mark.parametrize(("used", "between"), [(0.3, (0.3, 0.5)), (0.7, (0.5, 0.7))])
def test_answers_on_either_side_of_the_configured_threshold_count(
    used: float, between: tuple[float, float]
) -> None:
    rows = rows_of(10, 4000, threshold=used)
    low, high = between
    off = int(((rows.score >= low) & (rows.score < high)).sum())
    one = found(rows)
    # all of them but those in the bin that the threshold is in
    assert 0.75 * off <= one.disagreeing <= off


def test_a_threshold_on_a_frequent_score_takes_its_rows_with_it() -> None:
    """A value with many rows has a bin of its own, which ends at it."""
    edges = [0.2, math.nextafter(0.5, 0), 0.5, 0.8]
    score = np.repeat([0.1, 0.5, 0.9], [30, 50, 20])
    y = np.arange(100) % 3 == 0
    number = np.searchsorted(edges, score, side="left")
    frame = (
        pl.DataFrame({"bin": number, "predicted": (score > 0.5).astype(int), "y": y.astype(int)})
        .group_by("bin", "predicted")
        .agg(pl.len().alias("n"), pl.col("y").sum().alias("n_positive"))
        .with_columns(
            pl.col("n").alias("n_labelled"), pl.lit("v").alias("version"),
            pl.lit(0).alias("segment"), pl.lit("").alias("value"), pl.lit("").alias("value2"),
        )
    )  # fmt: skip
    bins = pl.DataFrame({"feature": [-1] * 5, "bin": range(5), "upper": [*edges, None]})
    for threshold, said in ((0.5, 70), (math.nextafter(0.5, 1), 20)):
        (one,) = operating(deployment(), frame, bins, threshold).values()
        assert one.at is not None
        assert one.at.uncertain == 0
        assert one.at.confusion.tp + one.at.confusion.fp == said


def test_answers_at_random_follow_no_threshold() -> None:
    rows = rows_of(5, 2000)
    coin = np.random.default_rng(6).random(2000) < 0.5
    assert found(Rows(rows.score, rows.y, coin), prediction="said").now is None


def test_the_best_threshold_is_as_good_as_any_and_now_is_what_was_logged() -> None:
    rows = rows_of(7, 3000)
    one = found(rows, costs=COSTS, prediction="said")
    by_name = {name: s for s in one.settings for name in s.what.split(" and ") if name}
    edges = [exact(rows, math.nextafter(float(e), 1)) for e in EDGES]
    assert by_name["best F1"].f1 == pytest.approx(max(e["f1"] for e in edges))
    assert by_name["least cost"].cost == pytest.approx(min(e["cost"] for e in edges))
    assert by_name["now"].recall == pytest.approx(sk.recall_score(rows.y, rows.said))
    for s in one.settings:
        if s.what == "now":
            continue
        there = exact(rows, s.threshold)
        assert s.selection_rate == pytest.approx(there["selection_rate"])
        assert s.f1 == pytest.approx(there["f1"])


@pytest.mark.parametrize("kind", ["one row", "one class", "one score", "no labels", "zero", "one"])
def test_there_is_always_a_state_and_never_a_nan(kind: str) -> None:
    rows = rows_of(8, 1 if kind == "one row" else 60)
    if kind == "one class":
        rows = Rows(rows.score, np.zeros(60, bool), rows.said)
    if kind in ("one score", "zero", "one"):
        score = {"one score": 0.5, "zero": 0.0, "one": 1.0}[kind]
        rows = Rows(np.full(60, score), rows.y, rows.said)
    frame = rows.frame()
    if kind == "no labels":
        frame = frame.with_columns(n_labelled=pl.lit(0), n_positive=pl.lit(0))
    for threshold in (0.0, 0.3, 0.5, 1.0):
        (one,) = operating(deployment(costs=COSTS), frame, BINS, threshold).values()
        assert one.at is not None
        for e in one.at.metrics.values():
            assert e.value is None or math.isfinite(e.value)
        for s in one.settings:
            numbers = (s.threshold, s.precision, s.recall, s.f1, s.fpr, s.cost)
            assert all(v is None or math.isfinite(v) for v in numbers)
            assert 0 <= s.threshold <= 1


def test_without_scores_there_is_nothing_to_move() -> None:
    frame = rows_of(9, 50).frame().with_columns(pl.lit(-1).alias("bin"))
    assert operating(deployment(), frame, BINS, 0.4) == {}
    assert operating(deployment(), rows_of(9, 50).frame(), BINS.clear(), 0.4) == {}
    assert operating(deployment(), frame.clear(), BINS, 0.4) == {}
