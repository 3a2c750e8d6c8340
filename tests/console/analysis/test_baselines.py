"""Persistence against a loop over the days; the champion beside the others."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from collectors.contract import Deployment
from console.analysis.baselines import persistence, with_baselines
from console.analysis.figures import figures

FIRST = datetime(2024, 1, 1)  # noqa: DTZ001 - the store's times are naive UTC
KEYS = ("start", "version", "segment", "value", "value2")


def deployment(task: str, **more: object) -> Deployment:
    columns = {"score": "s"} if task == "binary" else {"prediction": "p"}
    named = {"name": "d", "task": task, "predictions": {"path": "p"}, **columns, **more}
    return Deployment.model_validate(named)


def labels_of(days: int, each: int, seed: int = 1) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    # one day in the middle has no labels at all
    return [
        random.integers(0, 3, 0 if day == days // 2 else each) for day in range(days)
    ]  # fmt: skip


def frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    keys = {"version": "v", "segment": 0, "value": "", "value2": ""}
    return pl.DataFrame([{**keys, **row} for row in rows])


def binary_frame(days: list[np.ndarray], first: datetime, hours: int = 1) -> pl.DataFrame:
    rows = []
    for i, y in enumerate(days):
        for h, part in enumerate(np.array_split(y > 0, hours)):
            start = first + timedelta(days=i, hours=h)
            for predicted in (0, 1):
                rows.append(
                    {
                        "start": start, "bin": 0, "predicted": predicted, "n": len(part) + 1,
                        "n_labelled": len(part) if predicted else 0,
                        "n_positive": int(part.sum()) if predicted else 0,
                    }
                )  # fmt: skip
    return frame(rows)


def said_by(days: list[np.ndarray], before: np.ndarray) -> tuple[list[bool], list[bool]]:
    """(labels, what persistence says of them), day by day."""
    last, truth, said = before, [], []
    for y in days:
        if not len(y):
            continue
        if len(last):
            truth += (y > 0).tolist()
            said += [bool(2 * (last > 0).sum() > len(last))] * len(y)
        last = y
    return truth, said


@pytest.mark.parametrize("hours", [1, 3])
@pytest.mark.parametrize("known", [True, False])
def test_each_day_is_told_by_the_one_before(hours: int, known: bool) -> None:
    days = [y * (i % 3 > 0) for i, y in enumerate(labels_of(9, 40))]
    before = np.ones(10 if known else 0)
    older = binary_frame([before], FIRST - timedelta(days=9))
    found = persistence(deployment("binary"), binary_frame(days, FIRST, hours), older)
    truth, said = said_by(days, before)
    metrics = found["v", "", ""]
    assert metrics["accuracy"].n == len(truth)
    assert metrics["accuracy"].value == pytest.approx(sk.accuracy_score(truth, said))
    assert metrics["f1"].value == pytest.approx(sk.f1_score(truth, said))
    assert metrics["accuracy"].low is not None


def test_persistence_of_classes_is_right_as_often_as_yesterdays_class() -> None:
    days = labels_of(8, 30, seed=2)
    rows = [
        {"start": FIRST + timedelta(days=i), "predicted": "0", "actual": str(c), "n": n}
        for i, y in enumerate(days)
        for c, n in sorted(Counter(y.tolist()).items())
    ]
    rows.append({"start": FIRST, "predicted": "0", "actual": None, "n": 99})
    found = persistence(deployment("multiclass"), frame(rows), frame(rows).clear())
    right = total = 0
    last: np.ndarray | None = None
    for y in days:
        if not len(y):
            continue
        if last is not None:
            counts = Counter(last.tolist())
            most = min(c for c in counts if counts[c] == max(counts.values()))
            right, total = right + int((y == most).sum()), total + len(y)
        last = y
    accuracy = found["v", "", ""]["accuracy"]
    assert accuracy.value == pytest.approx(right / total)
    assert accuracy.n == total


def test_persistence_of_numbers_is_yesterdays_mean() -> None:
    random = np.random.default_rng(3)
    days = [random.normal(i, 2.0, 25) for i in range(6)]
    rows = [
        {
            "start": FIRST + timedelta(days=i), "n": 30, "n_labelled": len(y),
            "y_sum": float(y.sum()), "y_sq": float((y**2).sum()),
        }
        for i, y in enumerate(days)
    ]  # fmt: skip
    found = persistence(deployment("regression"), frame(rows), pl.DataFrame())["v", "", ""]
    error = np.concatenate([a.mean() - b for a, b in pairwise(days)])
    assert found["rmse"].value == pytest.approx(float(np.sqrt((error**2).mean())))
    assert found["bias"].value == pytest.approx(float(error.mean()))
    assert found["bias"].n == len(error)
    assert found["bias"].low is not None


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_without_a_day_before_there_is_none(task: str) -> None:
    one = {
        "binary": {"bin": 0, "predicted": 1, "n_labelled": 5, "n_positive": 2},
        "multiclass": {"predicted": "a", "actual": "a"},
        "regression": {"n_labelled": 5, "y_sum": 1e308, "y_sq": float("inf")},
    }[task]
    rows = frame([{"start": FIRST, "n": 5, **one}])
    assert persistence(deployment(task), rows, rows.clear()) == {}
    assert persistence(deployment(task), rows.clear(), rows) == {}
    found = persistence(deployment(task), rows, rows)
    assert all(e.value is None or np.isfinite(e.value) for e in found["v", "", ""].values())


def test_the_champion_stands_beside_the_others_only() -> None:
    sums = dict.fromkeys(
        ("labelled_score_sum", "labelled_score_sq", "positive_score_sum", "log_loss_sum",
         "fallback_tp", "fallback_fp", "fallback_fn", "fallback_tn"), 0.0,
    )  # fmt: skip
    rows = pl.concat(
        binary_frame(labels_of(3, 40), FIRST)
        .with_columns(pl.lit(v).alias("version"), *(pl.lit(k).alias(n) for n, k in sums.items()))
        .with_columns(pl.lit(FIRST).alias("start"))
        .group_by(*KEYS, "bin", "predicted", maintain_order=True)
        .sum()
        for v in ("champ", "new")
    )
    d = deployment("binary", champion="champ")
    whole = with_baselines(d, figures(d, rows), rows, rows.clear())
    beside = {f.group.version: f.baselines or {} for f in whole}
    assert "champion" not in beside["champ"]
    champion = next(f for f in whole if f.group.version == "champ")
    assert beside["new"]["champion"] == champion.metrics
