"""Tables whose names promise what their values do not keep: each must be refused or said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_propose import (
    BASE,
    CITY,
    CLASSES,
    DIRICHLET,
    EPOCH,
    IDS,
    RNG,
    SCORE,
    TIMES,
    TRUTH,
    YES,
    Case,
    N,
    X,
    case,
    proposed,
)

from collectors.profile import profile_log
from collectors.propose import Given, LogSources, propose

SURE = np.where(YES, SCORE, 1 - SCORE)
"""How sure the answer is, whatever it is."""

FRAUD, TRUE_FRAUD = np.where(YES, "fraud", "fine"), np.where(TRUTH, "fraud", "fine")

CASES: dict[str, Case] = {
    "a confidence is no probability": case(
        {**BASE, "prediction": YES, "score": SURE, "target": TRUTH}, score="", numeric=["x"]
    ),
    "a confidence beside a truth alone": case(
        {**BASE, "score": 0.5 + SCORE / 2, "label": TRUTH}, doubt="--score"
    ),
    "a confidence, told": case(
        {**BASE, "prediction": YES, "score": SURE, "target": TRUTH},
        given=Given(score="score"),
        score="score",
    ),
    "the probability of the other class": case(
        {**BASE, "y_pred": YES, "y_pred_proba": 1 - SCORE, "y_true": TRUTH}, doubt="--positive"
    ),
    "the probability of the other class, told": case(
        {**BASE, "y_pred": YES, "y_pred_proba": 1 - SCORE, "y_true": TRUTH},
        given=Given(positive="0"),
        positive="0",
        score="y_pred_proba",
    ),
    "words against numbers": case(
        {**BASE, "prediction": FRAUD, "target": TRUTH, "score": SCORE}, doubt="--target"
    ),
    "classes against codes": case(
        {
            **BASE,
            "prediction": CLASSES[DIRICHLET.argmax(1)],
            "target": RNG.integers(0, 3, N),
        },
        doubt="--target",
    ),
    "true and 1 are one": case({**BASE, "prediction": YES == 1, "target": TRUTH}, task="binary"),
    "a positive that nobody says": case(
        {**BASE, "prediction": FRAUD, "target": TRUE_FRAUD},
        given=Given(positive="frau"),
        doubt="--positive",
    ),
    "1 is also 1.0": case(
        {**BASE, "prediction": YES, "target": TRUTH.astype(float)},
        given=Given(positive="1"),
        positive="",
    ),
    "a residual is no failure": case(
        {**BASE, "prediction": X, "target": X + 1, "error": X / 10}, error="", numeric=["x"]
    ),
    "what most rows have is no failure": case(
        {**BASE, "prediction": X, "target": X + 1, "error": "E17"}, error=""
    ),
    "some fail": case(
        {**BASE, "prediction": X, "status_code": RNG.choice([200, 200, 500], N)},
        error="status_code",
    ),
    "a date of birth is no time of a prediction": case(
        {**BASE, "prediction": X, "date_of_birth": TIMES}, timestamp="", numeric=["x"]
    ),
    "customers come again": case({**BASE, "customer_id": range(N), "prediction": X}, id=""),
    "a model of a car": case(
        {**BASE, "model": [f"m{i % 40}" for i in range(N)], "prediction": X}, version=""
    ),
    "a model of few": case(
        {**BASE, "model": [f"m{i % 4}" for i in range(N)], "prediction": X}, version="model"
    ),
    "a score that is an input": case(
        {**BASE, "fraud_score": RNG.random(N), "prediction": YES, "target": TRUTH}, score=""
    ),
    "a score of a hundred": case(
        {**BASE, "score": (SCORE * 100).round(), "target": TRUTH}, doubt="--score"
    ),
    "a score of a hundred is no input": case(
        {**BASE, "score": (SCORE * 100).round(), "prediction": YES, "target": TRUTH},
        score="",
        numeric=["x"],
    ),
    "the truth again is no input": case(
        {**BASE, "score": SCORE, "target": TRUTH, "is_bad": TRUTH}, categorical=["city"]
    ),
    "when the truth came": case(
        {
            **BASE,
            "prediction": YES,
            "timestamp": TIMES,
            "target": TRUTH,
            "label_timestamp": TIMES,
        },
        received="label_timestamp",
    ),
    "an interval is no input": case(
        {**BASE, "prediction": X, "prediction_lower": X - 1, "prediction_upper": X + 1},
        prediction="prediction",
        numeric=["x"],
    ),
    "an interval without its middle": case(
        {**BASE, "prediction_lower": X - 1, "prediction_upper": X + 1, "target": X},
        doubt="--prediction",
    ),
    "a constant that is called prediction": case(
        {**BASE, "score": SCORE, "prediction_batch": "b1", "target": TRUTH},
        prediction="",
        categorical=["city"],
    ),
    "how the table was made": case(
        {**BASE, "score": SCORE, "period": "analysis", "sample_weight": X, "target": TRUTH},
        numeric=["x"],
        categorical=["city"],
    ),
    "two scores": case(
        {**BASE, "score": SCORE, "probability": SCORE, "target": TRUTH}, doubt="--score"
    ),
    "named after what it predicts": case(
        {**BASE, "predicted_tip": X, "tip": X + 0.1}, label="tip", task="regression"
    ),
    "predicted is_fraud": case(
        {**BASE, "predicted_is_fraud": YES, "is_fraud": TRUTH}, label="is_fraud", task="binary"
    ),
    "named after itself": case({**BASE, "vorhersage": X, "predict_at": TIMES}, label=None),
    "p0 and p1": case(
        {**BASE, "predict": YES, "p0": 1 - SCORE, "p1": SCORE, "response": TRUTH},
        score="p1",
        prediction="predict",
        label="response",
    ),
    "mlflow": case({**BASE, "predictions": X, "targets": X + 1}, label="targets"),
    "arize": case(
        {
            **BASE,
            "prediction_label": FRAUD,
            "prediction_score": SCORE,
            "actual_label": TRUE_FRAUD,
            "prediction_ts": EPOCH,
            "prediction_id": IDS,
        },
        positive="fraud",
        score="prediction_score",
        timestamp="prediction_ts",
        id="prediction_id",
    ),
    "ja and nein, told apart by the score": case(
        {
            "stadt": CITY,
            "vorhersage": np.where(YES, "ja", "nein"),
            "ziel": np.where(TRUTH, "ja", "nein"),
            "score": SCORE,
        },
        positive="ja",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_values_do_not_keep_is_not_taken(name: str, tmp_path: Path) -> None:
    c = CASES[name]
    found = proposed(tmp_path, c.table, c.given)
    if c.doubt:
        assert found.deployment is None
        assert [d.flag for d in found.doubts][:1] == [c.doubt]
        return
    assert found.doubts == ()
    d = found.deployment
    assert d is not None
    shown = d.model_dump() | {"task": d.task.value}
    shown["label"] = d.labels.value if d.labels is not None else None
    shown["received"] = d.labels.received if d.labels is not None else None
    shown["numeric"] = [f.name for f in d.features if f.kind == "numeric"]
    shown["categorical"] = [f.name for f in d.features if f.kind == "categorical"]
    assert {key: shown[key] for key in c.wanted or {}} == c.wanted


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({**BASE, "score": TRUTH * 0.8 + SCORE / 10, "target": TRUTH}, "without a mistake"),
        ({**BASE, "prediction": TRUTH, "target": TRUTH}, "equals target"),
        ({**BASE, "prediction": X}, "no ground truth: nothing"),
        ({**BASE, "score": RNG.random(N)}, "estimated from scores"),
    ],
)
def test_what_looks_too_good_or_is_missing_is_said(
    table: dict[str, object], said: str, tmp_path: Path
) -> None:
    assert said in " ".join(proposed(tmp_path, table, Given()).notes)


def test_every_column_without_a_role_says_why(tmp_path: Path) -> None:
    table = {
        **BASE,
        "prediction": YES,
        "score": SURE,
        "target": TRUTH,
        "is_bad": TRUTH,
        "customer_id": range(N),
        "date_of_birth": TIMES,
    }
    found = proposed(tmp_path, table, Given())
    left = {r.column for r in found.reasons if not r.role}
    assert left == {"score", "is_bad", "customer_id", "date_of_birth"}
    assert all(r.why.startswith("left out: ") for r in found.reasons if not r.role)


def test_digits_in_a_typed_text_are_a_code(tmp_path: Path) -> None:
    codes = [str(i % 7) for i in range(N)]
    typed = proposed(tmp_path, {**BASE, "schooling": codes, "prediction": X}, Given())
    assert typed.deployment is not None
    kinds = {f.name: f.kind.value for f in typed.deployment.features}
    assert kinds == {"x": "numeric", "city": "categorical", "schooling": "categorical"}


def test_a_flag_takes_a_column_that_was_left_out(tmp_path: Path) -> None:
    table = {**BASE, "score": SCORE, "target": TRUTH, "is_bad": TRUTH}
    found = proposed(tmp_path, table, Given(features=("x", "is_bad")))
    assert found.deployment is not None
    assert {f.name for f in found.deployment.features} == {"x", "is_bad"}


def test_ids_that_begin_anew_in_each_file_are_none(tmp_path: Path) -> None:
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i}.parquet")
        pl.DataFrame({"index": range(N), "x": X, "prediction": X + i}).write_parquet(paths[-1])
    profile = profile_log(paths)
    assert profile is not None
    found = propose(LogSources("m", (str(tmp_path),), profile), Given())
    assert found.deployment is not None
    assert found.deployment.id == ""
