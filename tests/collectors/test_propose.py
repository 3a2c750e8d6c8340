"""The guess: realistic tables come out right, ambiguous ones with the flag that settles them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.contract import Task
from collectors.formats.records import Takes
from collectors.profile import profile_log
from collectors.propose import Given, LogSources, Proposal, propose

N = 800
RNG = np.random.default_rng(7)
SCORE = RNG.beta(2, 3, N)
TRUTH = (RNG.random(N) < SCORE).astype(int)
YES = (SCORE > 0.5).astype(int)
TIMES = [f"2024-03-{1 + i // 30:02d}T{i % 24:02d}:{i % 60:02d}:00" for i in range(N)]
EPOCH = [1_709_251_200 + 60 * i for i in range(N)]
IDS = [f"req-{i}" for i in range(N)]
X = RNG.normal(size=N)
CITY = RNG.choice(["Bonn", "Köln", "Ulm"], N)
DIRICHLET = RNG.dirichlet([2, 2, 1], N)
CLASSES = np.array(["ant", "bee", "cat"])

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A table, and what must come of it: roles by field, or the flag of the first doubt."""

    table: Table
    wanted: Mapping[str, Any] | None = None
    doubt: str = ""
    given: Given = field(default_factory=Given)


def case(table: Table, doubt: str = "", given: Given | None = None, **wanted: Any) -> Case:
    return Case(table, wanted or None, doubt, given or Given())


BASE = {"x": X, "city": CITY}

CASES: dict[str, Case] = {
    "nannyml binary": case(
        {
            **BASE,
            "timestamp": TIMES,
            "y_pred_proba": SCORE,
            "y_pred": YES,
            "repaid": TRUTH,
            "id": range(N),
        },
        task="binary",
        score="y_pred_proba",
        prediction="y_pred",
        label="repaid",
        id="id",
        timestamp="timestamp",
        timezone="UTC",
    ),
    "nannyml work from home": case(
        {
            **BASE,
            "identifier": IDS,
            "timestamp": TIMES,
            "y_pred_proba": SCORE,
            "y_pred": YES,
            "work_home_actual": TRUTH,
            "period": "reference",
        },
        label="work_home_actual",
        id="identifier",
        score="y_pred_proba",
    ),
    "nannyml multiclass": case(
        {
            **BASE,
            "timestamp": TIMES,
            "y_pred": CLASSES[DIRICHLET.argmax(1)],
            "y_true": CLASSES[RNG.integers(0, 3, N)],
            **{f"y_pred_proba_{c}": DIRICHLET[:, i] for i, c in enumerate(CLASSES)},
        },
        task="multiclass",
        prediction="y_pred",
        label="y_true",
        class_scores={c: f"y_pred_proba_{c}" for c in CLASSES},
    ),
    "nannyml regression": case(
        {**BASE, "timestamp": TIMES, "y_pred": X * 2, "y_true": X * 2 + 1},
        task="regression",
        prediction="y_pred",
        label="y_true",
    ),
    "evidently regression": case(
        {**BASE, "target": X, "prediction": X + 0.1},
        task="regression",
        prediction="prediction",
        label="target",
        timestamp="",
        id="",
    ),
    "evidently probabilities by class": case(
        {
            **BASE,
            "target": CLASSES[RNG.integers(0, 3, N)],
            "prediction": CLASSES[DIRICHLET.argmax(1)],
            **{c: DIRICHLET[:, i] for i, c in enumerate(CLASSES)},
        },
        task="multiclass",
        class_scores={c: c for c in CLASSES},
    ),
    "evidently binary by class": case(
        {
            **BASE,
            "target": np.where(TRUTH, ">50K", "<=50K"),
            "prediction": np.where(YES, ">50K", "<=50K"),
            ">50K": SCORE,
            "<=50K": 1 - SCORE,
        },
        doubt="--positive",
    ),
    "evidently binary, told": case(
        {
            **BASE,
            "target": np.where(TRUTH, ">50K", "<=50K"),
            "prediction": np.where(YES, ">50K", "<=50K"),
            ">50K": SCORE,
            "<=50K": 1 - SCORE,
        },
        given=Given(positive=">50K"),
        task="binary",
        score=">50K",
    ),
    "words, told apart by the score": case(
        {
            **BASE,
            "prediction": np.where(YES, "fraud", "fine"),
            "target": np.where(TRUTH, "fraud", "fine"),
            "score": SCORE,
        },
        task="binary",
        positive="fraud",
        score="score",
    ),
    "words without a score": case(
        {
            **BASE,
            "prediction": np.where(YES, "fraud", "fine"),
            "target": np.where(TRUTH, "fraud", "fine"),
        },
        doubt="--positive",
    ),
    "minus one": case(
        {**BASE, "y_pred": YES * 2 - 1, "y_true": TRUTH * 2 - 1}, task="binary", positive="1"
    ),
    "yes and no": case(
        {**BASE, "prediction": np.where(YES, "yes", "no"), "label": np.where(TRUTH, "yes", "no")},
        task="binary",
        positive="",
    ),
    "booleans": case({**BASE, "prediction": YES == 1, "label": TRUTH == 1}, task="binary"),
    "floats that are two classes": case(
        {**BASE, "prediction": YES.astype(float), "label": TRUTH.astype(float)}, task="binary"
    ),
    "probability called prediction": case(
        {**BASE, "prediction": SCORE, "label": TRUTH},
        task="binary",
        score="prediction",
        prediction="",
    ),
    "score alone, no truth": case(
        {**BASE, "score": SCORE}, task="binary", score="score", label=None
    ),
    "few whole numbers": case(
        {**BASE, "prediction": RNG.integers(1, 6, N), "label": RNG.integers(1, 6, N)},
        doubt="--task",
    ),
    "few whole numbers, told": case(
        {**BASE, "prediction": RNG.integers(1, 6, N), "label": RNG.integers(1, 6, N)},
        given=Given(task="regression"),
        task="regression",
    ),
    "many whole numbers": case(
        {**BASE, "prediction": RNG.integers(0, 500, N), "label": RNG.integers(0, 500, N)},
        task="regression",
    ),
    "several classes in words": case(
        {
            **BASE,
            "predicted_label": CLASSES[RNG.integers(0, 3, N)],
            "actual_label": CLASSES[RNG.integers(0, 3, N)],
        },
        task="multiclass",
        prediction="predicted_label",
        label="actual_label",
    ),
    "fiddler": case(
        {
            **BASE,
            "prediction_score": SCORE,
            "prediction_label": YES,
            "actual_label": TRUTH,
            "prediction_id": IDS,
            "event_timestamp": TIMES,
        },
        score="prediction_score",
        prediction="prediction_label",
        label="actual_label",
        id="prediction_id",
        timestamp="event_timestamp",
    ),
    "two predictions": case(
        {**BASE, "prediction": X, "y_pred": X + 1, "target": X}, doubt="--prediction"
    ),
    "two truths": case({**BASE, "prediction": X, "target": X, "label": X + 1}, doubt="--target"),
    "two models": case(
        {**BASE, "late_predicted": YES, "delay_predicted": X, "late_score": SCORE, "target": TRUTH},
        doubt="--prediction",
    ),
    "two models, told": case(
        {**BASE, "late_predicted": YES, "delay_predicted": X, "late_score": SCORE, "target": TRUTH},
        given=Given(prediction="late_predicted"),
        task="binary",
        score="late_score",
    ),
    "two times": case(
        {**BASE, "prediction": X, "opened": TIMES, "closed": TIMES}, doubt="--timestamp"
    ),
    "a time of any name": case(
        {**BASE, "prediction": X, "target": X, "when": TIMES}, timestamp="when", task="regression"
    ),
    "epoch seconds": case({**BASE, "prediction": X, "ts": EPOCH}, timestamp="ts", timezone=""),
    "epoch milliseconds": case(
        {**BASE, "prediction": X, "timestamp_ms": [e * 1000 for e in EPOCH]},
        timestamp="timestamp_ms",
    ),
    "epoch microseconds": case(
        {**BASE, "prediction": X, "event_time": [e * 10**6 for e in EPOCH]}, timestamp="event_time"
    ),
    "dates": case(
        {**BASE, "prediction": X, "date": [t[:10] for t in TIMES]}, timestamp="date", timezone="UTC"
    ),
    "zones": case(
        {**BASE, "prediction": X, "timestamp": [t + "+02:00" for t in TIMES]}, timezone=""
    ),
    "a zone, told": case(
        {**BASE, "prediction": X, "timestamp": TIMES},
        given=Given(timezone="Europe/Berlin"),
        timezone="Europe/Berlin",
    ),
    "upper case": case(
        {"X": X, "TIMESTAMP": TIMES, "Y_PRED": X, "Y_TRUE": X}, prediction="Y_PRED", label="Y_TRUE"
    ),
    "camel case": case(
        {**BASE, "modelVersion": "v1", "predictedLabel": YES, "trueLabel": TRUTH, "requestId": IDS},
        version="modelVersion",
        prediction="predictedLabel",
        label="trueLabel",
        id="requestId",
    ),
    "german": case(
        {**BASE, "zeitstempel": TIMES, "vorhersage": X},
        timestamp="zeitstempel",
        prediction="vorhersage",
    ),
    "an index column": case(
        {"Unnamed: 0": range(N), **BASE, "prediction": X, "target": X}, id="Unnamed: 0"
    ),
    "an id that repeats": case(
        {**BASE, "customer_id": RNG.integers(0, 30, N), "prediction": X, "target": X}, id=""
    ),
    "names that are hostile": case(
        {
            'a "quoted"; DROP TABLE x': X,
            "select": CITY,
            "\x1b[2J": X,
            "🦄": X,
            "prediction": X,
            "target": X + 1,
        },
        task="regression",
        numeric=['a "quoted"; DROP TABLE x', "\x1b[2J", "🦄"],
        categorical=["select"],
    ),
    "names that differ by case": case(
        {"Age": X, "age": X + 1, "prediction": X}, numeric=["Age", "age_1"]
    ),
    "a credit score is a feature": case(
        {**BASE, "credit_score": RNG.integers(300, 850, N), "prediction": YES, "target": TRUTH},
        numeric=["x", "credit_score"],
        score="",
    ),
    "free text is no feature": case(
        {**BASE, "comment": [f"this is comment number {i}" for i in range(N)], "prediction": X},
        categorical=["city"],
    ),
    "attributions": case(
        {**BASE, "shap_x": X, "city_shap": X, "prediction": X, "target": X + 1},
        attributions={"x": "shap_x", "city": "city_shap"},
        numeric=["x"],
    ),
    "latency, cost and errors": case(
        {**BASE, "prediction": X, "latency_ms": 5, "cost": 0.1, "status_code": 200},
        latency_ms="latency_ms",
        cost="cost",
        error="status_code",
    ),
    "a constant": case({**BASE, "always": "same", "prediction": X}, categorical=["city", "always"]),
    "an unknown column": case(
        {**BASE, "prediction": X}, given=Given(target="targt"), doubt="--target"
    ),
    "nothing to judge": case(BASE, doubt="--prediction"),
}


def proposed(tmp_path: Path, table: Table, given: Given, end: str = "parquet") -> Proposal:
    path = tmp_path / f"log.{end}"
    frame = pl.DataFrame(
        {k: list(v) if not isinstance(v, str | int | float) else [v] * N for k, v in table.items()}
    )
    if end == "csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    profile = profile_log([path])
    assert profile is not None
    return propose(LogSources("log", (str(path),), profile), given)


@pytest.mark.parametrize("name", CASES)
def test_a_table_comes_out_right(name: str, tmp_path: Path) -> None:
    c = CASES[name]
    found = proposed(tmp_path, c.table, c.given)
    if c.doubt:
        assert found.deployment is None
        assert [d.flag for d in found.doubts][:1] == [c.doubt]
        return
    assert found.doubts == ()
    d = found.deployment
    assert d is not None
    shown = d.model_dump()
    shown["task"] = d.task.value
    shown["label"] = d.labels.value if d.labels is not None else None
    shown["numeric"] = [f.name for f in d.features if f.kind == "numeric"]
    shown["categorical"] = [f.name for f in d.features if f.kind == "categorical"]
    assert {key: shown[key] for key in c.wanted or {}} == c.wanted
    outputs = {d.score, d.prediction, *d.class_scores.values(), shown["label"]}
    assert not outputs & {f.name for f in d.features}  # no answer and no truth is an input


@pytest.mark.parametrize(
    "name",
    [n for n in CASES if n not in {"names that are hostile", "names that differ by case", "dates"}],
)
def test_text_is_guessed_like_types(name: str, tmp_path: Path) -> None:
    c = CASES[name]
    typed = proposed(tmp_path, c.table, c.given)
    written = proposed(tmp_path, c.table, c.given, "csv")
    assert [d.flag for d in written.doubts] == [d.flag for d in typed.doubts]
    if typed.deployment is not None and written.deployment is not None:
        paths = {"predictions", "labels"}
        assert written.deployment.model_dump(exclude=paths) == typed.deployment.model_dump(
            exclude=paths
        )


def test_labels_are_joined_by_what_they_share(tmp_path: Path) -> None:
    predictions, labels = tmp_path / "p.parquet", tmp_path / "l.parquet"
    pl.DataFrame({"request": IDS, "x": X, "score": SCORE, "timestamp": TIMES}).write_parquet(
        predictions
    )
    pl.DataFrame(
        {"key": IDS[::-1], "outcome": TRUTH[::-1].tolist(), "received_at": TIMES}
    ).write_parquet(labels)
    log, of = profile_log([predictions]), profile_log([labels], takes=Takes.LABELS)
    assert log is not None
    found = propose(
        LogSources("m", (str(predictions),), log, label_paths=(str(labels),), labels=of), Given()
    )
    d = found.deployment
    assert d is not None and d.labels is not None
    assert (d.id, d.labels.id, d.labels.value) == ("request", "key", "outcome")
    assert d.labels.received == "received_at"
    assert d.task is Task.BINARY


@pytest.mark.slow
@settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_any_table_gives_a_proposal_or_a_doubt(data: st.DataObject, tmp_path: Path) -> None:
    names = data.draw(
        st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True)
    )
    kinds: list[Callable[[], Any]] = [
        lambda: [data.draw(st.text(max_size=6)) for _ in range(5)],
        lambda: [data.draw(st.integers(-(2**40), 2**40)) for _ in range(5)],
        lambda: [data.draw(st.floats()) for _ in range(5)],
        lambda: [None] * 5,
        lambda: [data.draw(st.booleans()) for _ in range(5)],
    ]
    safe = [n for n in names if n.encode("utf-8", "ignore").decode() == n and "\x00" not in n]
    frame = pl.DataFrame({n: data.draw(st.sampled_from(kinds))() for n in safe} or {"a": [1]})
    path = tmp_path / "t.parquet"
    frame.write_parquet(path)
    profile = profile_log([path])
    assert profile is not None
    found = propose(LogSources("m", (str(path),), profile), Given())
    assert (found.deployment is None) == bool(found.doubts)


def test_of_ten_thousand_columns_the_first_are_watched(tmp_path: Path) -> None:
    table = {f"f{i}": [i % 7, 1, 2, 3] for i in range(10_000)}
    frame = pl.DataFrame({**table, "prediction": [0.5, 1.5, 2.5, 3.5]})
    frame.write_parquet(tmp_path / "wide.parquet")
    profile = profile_log([tmp_path / "wide.parquet"], named=["prediction"])
    assert profile is not None
    assert profile.n_left_out > 7_000
    given = Given(prediction="prediction", task="regression")
    found = propose(LogSources("m", ("wide.parquet",), profile), given)
    assert found.deployment is not None
    assert len(found.deployment.features) == 200
    assert any("--feature" in reason.why for reason in found.reasons)
