"""What the fallback would have done in the shipped sample, against scikit-learn on its raw rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import sample_rows
from sample_store import Sample
from shown import Store
from sklearn import metrics as sk

from collectors.contract import Costs
from console.analysis.comparison import Verdict
from console.analysis.estimate import IntervalKind
from console.analysis.fallback_preview import PreviewSnapshot, PreviewTarget, TargetKind
from console.snapshots import Taker
from console.views.fallback import document, effect_of, view
from console.windows import FAR, make_ask

START, END = "2013-06-03", "2013-07-01"
BEGAN, ENDED = datetime(2013, 6, 3, tzinfo=UTC), datetime(2013, 7, 1, tzinfo=UTC)
THRESHOLD = 0.2472556077683916
LOGGED = PreviewTarget("heuristic", "fallback")
COSTS = {"false_positive": 1, "false_negative": 5}


def taken(
    sample: Sample,
    *targets: PreviewTarget,
    start: str = START,
    end: str = END,
    name: str = "flight-late",
    **more: object,
) -> PreviewSnapshot:
    ask = sample.ask(start, end, name, **more)
    costs = Costs.model_validate(COSTS if name == "flight-late" else {"over": 1, "under": 2})
    d = ask.deployment.model_copy(update={"costs": costs})
    taker = Taker(sample.reader, [d], load_times=False)
    return taker.fallback_preview(replace(ask, deployment=d), targets)


@pytest.fixture(scope="module")
def june() -> pl.DataFrame:
    return sample_rows.rows().filter(
        (pl.col("timestamp") >= BEGAN)
        & (pl.col("timestamp") < ENDED)
        & pl.col("late").is_not_null()
    )


def answers(rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, what was served, what the fallback would have said."""
    y = rows["late"].cast(pl.Int64).to_numpy()
    served = rows["late_predicted"].cast(pl.Int64).to_numpy()
    beside = (rows["fallback_score"].to_numpy() >= THRESHOLD).astype(int)
    return y, served, beside


def test_figures_are_scikit_learns_on_the_same_rows(sample: Sample, june: pl.DataFrame) -> None:
    s = taken(sample, LOGGED)
    t = s.targets[0]
    y, served, beside = answers(june)
    assert (t.kind, t.n, t.same_rows) == (TargetKind.LOGGED, len(y), True)
    for name, score in {
        "f1": sk.f1_score,
        "precision": sk.precision_score,
        "recall": sk.recall_score,
        "accuracy": sk.accuracy_score,
    }.items():
        row = t.row(name)
        assert row is not None
        assert row.fallback.value == pytest.approx(score(y, beside), rel=1e-12)
        assert row.served.value == pytest.approx(score(y, served), rel=1e-12)
        gap = score(y, beside) - score(y, served)
        assert row.difference.value == pytest.approx(gap, abs=1e-12)
    cost = t.row("cost")
    assert cost is not None
    paid = [1000 * np.mean((p == 1) & (y == 0)) + 5000 * np.mean((p == 0) & (y == 1))
            for p in (beside, served)]  # fmt: skip
    assert cost.fallback.value == pytest.approx(paid[0], rel=1e-12)
    assert cost.served.value == pytest.approx(paid[1], rel=1e-12)


def test_the_difference_has_the_bootstraps_interval(sample: Sample, june: pl.DataFrame) -> None:
    t = taken(sample, LOGGED).targets[0]
    y, served, beside = answers(june)
    rng = np.random.default_rng(7)
    gaps: dict[str, list[float]] = {"f1": [], "precision": [], "recall": []}
    for _ in range(400):
        i = rng.integers(0, len(y), len(y))
        for name, found in gaps.items():
            score = getattr(sk, f"{name}_score")
            found.append(score(y[i], beside[i]) - score(y[i], served[i]))
    for name, found in gaps.items():
        row = t.row(name)
        assert row is not None and row.difference.low is not None
        assert row.difference.high is not None
        half = (row.difference.high - row.difference.low) / 2
        assert half == pytest.approx(1.96 * np.std(found), rel=0.12)


def test_the_sentence_says_it(sample: Sample) -> None:
    s = taken(sample, LOGGED)
    said = effect_of(s, "heuristic")
    assert s.targets[0].verdict is Verdict.WORSE
    assert said[0].startswith("heuristic would have been worse: f1 ")
    assert said[0].endswith(f" on the same {s.targets[0].n:,} labelled rows")
    assert said[1].startswith("cost per 1,000: ")
    assert "the rows of the logged fallback do not say how long heuristic takes" in said
    assert effect_of(s, "other") == ()


def test_peek_safe_intervals_are_wider(sample: Sample) -> None:
    fixed = taken(sample, LOGGED, end="2014-01-01").targets[0].rows[0]
    watched = taken(sample, LOGGED, end="2014-01-03", watched=True).targets[0].rows[0]
    assert fixed.difference.interval is IntervalKind.FIXED
    assert watched.difference.interval is IntervalKind.PEEK_SAFE
    assert watched.difference.low < fixed.difference.low  # type: ignore[operator]


def test_a_static_answer_by_the_balance_of_the_labels(sample: Sample, june: pl.DataFrame) -> None:
    s = taken(sample, PreviewTarget("no", "majority"), PreviewTarget("yes", "always 1"))
    y, _, _ = answers(june)
    never, always = s.targets
    assert never.row("accuracy").fallback.value == pytest.approx(1 - y.mean())  # type: ignore[union-attr]
    assert always.row("recall").fallback.value == 1.0  # type: ignore[union-attr]
    assert always.row("precision").fallback.value == pytest.approx(y.mean())  # type: ignore[union-attr]
    assert always.row("f1").fallback.value == pytest.approx(  # type: ignore[union-attr]
        sk.f1_score(y, np.ones_like(y))
    )


def test_an_older_version_by_its_own_rows(sample: Sample, june: pl.DataFrame) -> None:
    t = taken(sample, PreviewTarget("old", "v1")).targets[0]
    of = {v: answers(june.filter(pl.col("version") == v)) for v in ("v1", "v2")}
    row = t.row("f1")
    assert row is not None
    assert row.fallback.value == pytest.approx(sk.f1_score(*of["v1"][:2]))
    assert row.served.value == pytest.approx(sk.f1_score(*of["v2"][:2]))
    assert not t.same_rows and t.span is None


def test_an_older_version_that_serves_no_longer_is_of_another_time(sample: Sample) -> None:
    s = taken(sample, PreviewTarget("next", "v2"), start="2013-03-01", end="2013-03-20")
    # as known after the canary had come: it served later, and that is said
    t = s.targets[0]
    assert t.span is not None
    assert "of another time (2013-12-" in effect_of(s, "next")[0]


def test_what_nobody_knows_is_said(sample: Sample) -> None:
    t = taken(sample, PreviewTarget("x", "x\x1b[31m[b]")).targets[0]
    assert (t.kind, t.rows, t.verdict) == (TargetKind.UNKNOWN, (), Verdict.CANNOT_TELL)
    assert "name in `alike`" in t.problem


def test_an_empty_window_is_said(sample: Sample) -> None:
    s = taken(sample, LOGGED, PreviewTarget("no", "majority"), start="2012-01-01", end="2012-01-09")
    assert {t.problem for t in s.targets} == {"no row of this window has a label yet"}


def test_a_regressions_fallback(sample: Sample) -> None:
    s = taken(sample, LOGGED, PreviewTarget("mean", "mean"), name="flight-delay")
    rows = sample_rows.rows().filter(
        (pl.col("timestamp") >= BEGAN)
        & (pl.col("timestamp") < ENDED)
        & pl.col("delay_minutes").is_not_null()
    )
    mae = (rows["fallback_delay"] - rows["delay_minutes"]).abs().mean()
    logged, mean = s.targets
    assert logged.row("mae").fallback.value == pytest.approx(mae, rel=1e-9)  # type: ignore[union-attr]
    assert logged.row("cost") is not None
    assert mean.row("rmse").fallback.value == pytest.approx(  # type: ignore[union-attr]
        rows["delay_minutes"].std(ddof=0), rel=1e-9
    )


def test_the_document_is_json_and_the_view_is_clean(sample: Sample) -> None:
    s = taken(sample, LOGGED, PreviewTarget("x\x1b[31m", "v1"), PreviewTarget("[b]", "none"))
    text = json.dumps(document(s), allow_nan=False)
    assert '"same_rows": true' in text
    shown = view(s)
    cells = [c.text for row in shown.table.rows for c in row.cells]
    cells += [c.text for c in shown.headline]
    cells += [c.text for _, d in shown.details for c in d.notes]
    assert not any("\x1b" in text for text in cells)


def test_awkward_logs_of_every_task(awkward_store: Store) -> None:
    known = ("fallback", "majority", "mean", "always 1", "always 0", "v1", "[bold]", "", "x")
    for d in awkward_store.config.deployment:
        taker = Taker(awkward_store.taker.reader, [d], load_times=False)
        for days in (1, 400):
            for watched in (False, True):
                ask = make_ask(d, awkward_store.clock, timedelta(days=days), watched=watched)
                versions = taker.fixed(ask, "versions", end=FAR)["version"].to_list()
                targets = [PreviewTarget(f"arm {k}\x1b", k) for k in (*known, *versions)]
                s = taker.fallback_preview(ask, targets)
                assert [t.target for t in s.targets] == targets
                json.dumps(document(s), allow_nan=False)
                said = [c.text for c in view(s).headline]
                assert said
                assert not any("\x1b" in text for text in said)
                for t in s.targets:
                    assert bool(t.rows) != bool(t.problem)
