"""Labelled rows that are not like the others are told, for rows that had time for a label."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from collectors.contract import Deployment
from console.analysis.ask import Ask, Step
from console.analysis.findings import Severity
from console.analysis.maturity import Maturity
from console.analysis.selection import Selection, selection

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TASKS = {
    "binary": {"score": "p"},
    "regression": {"prediction": "p"},
    "multiclass": {"prediction": "p"},
}
AFTER_A_DAY = Maturity(0.9, (86400.0,), (1.0,), 1000)


def ask(task: str, as_of: datetime = START + 9 * DAY) -> Ask:
    d = Deployment.model_validate(
        {"name": "d", "task": task, "predictions": {"path": "p"}, **TASKS[task]}
    )
    return Ask(d, START, START + 7 * DAY, as_of, Step.DAY)


def frame(rows: dict[str, object], day: int = 0) -> pl.DataFrame:
    start = (START + day * DAY).replace(tzinfo=None)
    keys = {"start": start, "version": "v", "segment": 0, "value": "", "value2": ""}
    return pl.DataFrame(rows).with_columns(*(pl.lit(v).alias(k) for k, v in keys.items()))


def scores(score: NDArray[np.float64], known: NDArray[np.bool_], day: int = 0) -> pl.DataFrame:
    """Binary rollup cells, 100 score bins."""
    place = np.floor(score * 99.9).astype(np.int64)
    return frame(
        {
            "bin": np.arange(100),
            "n": np.bincount(place, minlength=100),
            "n_labelled": np.bincount(place[known], minlength=100),
            "score_sum": np.bincount(place, score, 100),
            "labelled_score_sum": np.bincount(place[known], score[known], 100),
        },
        day,
    ).filter(pl.col("n") > 0)


def numbers(said: NDArray[np.float64], y: NDArray[np.float64], known: int) -> pl.DataFrame:
    """Regression sums; the first `known` rows have a label."""
    e = (said - y)[:known]
    sums = {
        "n": len(said), "n_labelled": known, "prediction_sum": said.sum(),
        "y_sum": y[:known].sum(), "y_sq": (y[:known] ** 2).sum(),
        "e_sum": e.sum(), "e_sq": (e**2).sum(),
    }  # fmt: skip
    return frame({k: [float(v)] for k, v in sums.items()})


def classes(one: list[int], other: list[int]) -> pl.DataFrame:
    """Multiclass cells: predicted class, with and without a label."""
    names = [f"c{i}" for i in range(len(one))]
    return frame(
        {"predicted": [*names, *names], "actual": [*names, *[None] * len(names)], "n": one + other}
    )


def only(task: str, rows: pl.DataFrame) -> Selection:
    (found,) = selection(ask(task), rows, rows, AFTER_A_DAY).values()
    return found


def test_a_difference_of_scores_is_measured_in_standard_deviations() -> None:
    rng = np.random.default_rng(1)
    score = rng.beta(2, 5, 20_000)
    known = rng.random(20_000) < 1 - 0.4 * score
    found = only("binary", scores(score, known))
    gap = (score[~known].mean() - score[known].mean()) / score.std()
    assert found.difference == pytest.approx(gap, rel=1e-3)  # spread within a bin is not seen
    assert found.labelled == pytest.approx(score[known].mean())
    assert found.unlabelled == pytest.approx(score[~known].mean())
    assert (found.n_labelled, found.n_unlabelled) == (known.sum(), (~known).sum())
    assert found.sure
    finding = found.finding("v")
    assert (finding is not None) == (abs(gap) >= 0.25)


def test_labels_by_chance_are_no_selection() -> None:
    rng = np.random.default_rng(2)
    cried = 0
    for _ in range(200):
        found = only("binary", scores(rng.beta(2, 5, 2_000), rng.random(2_000) < 0.8))
        cried += found.sure
    assert cried <= 3  # three standard errors: 1 in 370


def test_labels_that_are_merely_late_say_nothing() -> None:
    rng = np.random.default_rng(3)
    score = rng.beta(2, 5, 2_000)
    late = scores(score, score < 0.3, day=6)
    assert selection(ask("binary", START + 7 * DAY), late, late, AFTER_A_DAY) == {}
    ripe = selection(ask("binary", START + 9 * DAY), late, late, AFTER_A_DAY)
    assert [s.sure for s in ripe.values()] == [True]


def test_without_a_usual_coverage_nothing_is_ripe() -> None:
    rng = np.random.default_rng(3)
    rows = scores(rng.beta(2, 5, 500), rng.random(500) < 0.5)
    assert selection(ask("binary"), rows, rows, Maturity(None, (), (), 0)) == {}


def test_a_finding_needs_a_share_of_rows_that_matters() -> None:
    rng = np.random.default_rng(4)
    score = rng.beta(2, 5, 20_000)
    few = only("binary", scores(score, score < np.quantile(score, 0.97)))
    assert few.sure
    assert few.large
    assert few.finding("v") is None
    many = only("binary", scores(score, score < np.quantile(score, 0.9))).finding("v")
    assert many is not None
    assert many.severity is Severity.NOTE
    assert "2,000 of 20,000 rows got no label" in many.text


def test_predictions_of_a_regression() -> None:
    rng = np.random.default_rng(5)
    said = np.concatenate([rng.normal(0, 1, 3_000), rng.normal(2, 1, 600)])
    y = said + rng.normal(0, 1, len(said))
    found = only("regression", numbers(said, y, 3_000))
    assert found.sure
    assert found.large
    assert found.unlabelled == pytest.approx(said[3_000:].mean())
    # the spread is a bound, so the difference is never called larger than it is
    assert found.difference <= (said[3_000:].mean() - said[:3_000].mean()) / said[:3_000].std()
    alike = only("regression", numbers(rng.normal(0, 1, 4_000), rng.normal(0, 1, 4_000), 3_000))
    assert not alike.sure


def test_predicted_classes() -> None:
    found = only("multiclass", classes([500, 300, 200], [10, 20, 170]))
    assert found.sure
    assert found.large
    assert "predicted classes differ" in found.text
    assert not only("multiclass", classes([500, 300, 200], [51, 30, 19])).sure


@settings(max_examples=40)
@given(st.lists(st.floats(-1e308, 1e308), min_size=7, max_size=7), st.integers(0, 60))
def test_hostile_sums_give_nothing_or_numbers(sums: list[float], known: int) -> None:
    names = ("n", "n_labelled", "prediction_sum", "y_sum", "y_sq", "e_sum", "e_sq")
    row = dict(zip(names, sums, strict=True)) | {"n": 100.0, "n_labelled": float(known)}
    cells = frame({k: [v] for k, v in row.items()})
    for found in selection(ask("regression"), cells, cells, AFTER_A_DAY).values():
        assert np.isfinite([found.difference, found.labelled, found.unlabelled]).all()


def test_constant_scores_and_empty_frames() -> None:
    same = np.full(200, 0.4)
    found = only("binary", scores(same, np.arange(200) < 100))
    assert (found.difference, found.sure) == (0.0, False)
    for rows in (scores(same, np.arange(200) < 100).clear(), scores(same, np.arange(200) < 10)):
        assert selection(ask("binary"), rows, rows, AFTER_A_DAY) == {}


def test_days_without_score_bins_do() -> None:
    rng = np.random.default_rng(6)
    score = rng.beta(2, 5, 4_000)
    cells = scores(score, score < 0.5)
    keys = ["start", "version", "segment", "value", "value2"]
    totals = cells.group_by(keys).agg(pl.exclude(*keys).sum()).with_columns(bin=pl.lit(-1))
    (found,) = selection(ask("binary"), totals, cells, AFTER_A_DAY).values()
    assert found == only("binary", cells)
    unscored = cells.with_columns(bin=pl.lit(-1))
    assert selection(ask("binary"), totals, unscored, AFTER_A_DAY) == {}
