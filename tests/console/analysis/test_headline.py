"""The headline over time is that of the rows, ends where labels are due, and says since when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from collectors.contract import Deployment
from console.analysis.ask import Ask, Step
from console.analysis.estimate import Estimate
from console.analysis.figures import Figures, Group
from console.analysis.headline import Course, SlowChange, headline_courses, headline_points
from console.analysis.maturity import Maturity
from console.analysis.onset import Shape
from console.analysis.performance_findings import judge

START = datetime(2024, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SLICE = ("v1", "", "")
AT_ONCE = Maturity(1.0, (60.0,), (1.0,), 1000)
LATE = Maturity(1.0, (2 * 86_400.0,), (1.0,), 1000)


def deployment(task: str) -> Deployment:
    more = {"prediction": "p"} if task != "binary" else {"score": "p"}
    return Deployment.model_validate(
        {"name": "d", "task": task, "predictions": {"path": "p"}, **more}
    )


def binary(tp: list[int], fp: int = 20, fn: int = 20, first: datetime = START) -> pl.DataFrame:
    """Outcome rows of a day each, the scores in two bins."""
    rows = []
    for i, hits in enumerate(tp):
        keys = {"start": (first + i * DAY).replace(tzinfo=None), "version": "v1", "segment": 0}
        for predicted, n, positive in ((1, hits + fp, hits), (0, 200, fn)):
            third, some = n // 3, positive // 3
            for b, m, k in ((1, n - third, positive - some), (2, third, some)):
                sums = {"n": m, "n_labelled": m, "n_positive": k}
                rows.append(
                    {**keys, "value": "", "value2": "", "bin": b, "predicted": predicted, **sums}
                )
    return pl.DataFrame(rows)


def ask(days: int = 30, task: str = "binary") -> Ask:
    end = START + days * DAY
    return Ask(deployment(task), START, end, end, Step.DAY)


def test_f1_of_a_day_is_that_of_its_rows() -> None:
    points = headline_points(deployment("binary"), binary([60, 0]), ask(), AT_ONCE)[SLICE]
    assert [p.value for p in points] == [pytest.approx(120 / 160), 0.0]
    assert [p.n for p in points] == [100, 40]
    assert [p.start for p in points] == [START, START + DAY]


def test_the_mean_error_and_accuracy_of_a_day() -> None:
    start = START.replace(tzinfo=None)
    keys = {"start": start, "version": "v1", "segment": 0, "value": "", "value2": ""}
    number = pl.DataFrame([{**keys, "e_abs": 30.0, "n_labelled": 10}])
    (found,) = headline_points(deployment("regression"), number, ask(), AT_ONCE)[SLICE]
    assert (found.value, found.n) == (3.0, 10)
    cells = (("a", "a", 6), ("a", "b", 3), ("b", None, 5), ("b", "b", 1))
    classes = pl.DataFrame([{**keys, "predicted": p, "actual": y, "n": n} for p, y, n in cells])
    (found,) = headline_points(deployment("multiclass"), classes, ask(), AT_ONCE)[SLICE]
    assert (found.value, found.n) == (0.7, 10)


def test_days_whose_labels_are_due_are_left_out() -> None:
    frame = binary([60] * 30)
    assert len(headline_points(deployment("binary"), frame, ask(), AT_ONCE)[SLICE]) == 30
    due = headline_points(deployment("binary"), frame, ask(), LATE)[SLICE]
    assert due[-1].start == START + 27 * DAY


def drawn(shares: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    return [int(k) for k in rng.binomial(80, shares)]


def test_a_change_at_the_edge_of_the_window_is_seen_from_the_one_before() -> None:
    before = binary(drawn(np.full(30, 0.75), 1), first=START - 30 * DAY)
    found = headline_courses(ask(), before, binary(drawn(np.full(30, 0.3), 2)), AT_ONCE)
    course = found[SLICE]
    assert (course.onset.shape, course.onset.start) == (Shape.STEP, START)
    assert course.slow is not None
    assert course.slow.since == START
    assert not course.slow.rises


def test_nothing_changed_and_nothing_known() -> None:
    before = binary(drawn(np.full(30, 0.75), 3), first=START - 30 * DAY)
    course = headline_courses(ask(), before, binary(drawn(np.full(30, 0.75), 4)), AT_ONCE)[SLICE]
    assert course.onset.shape is Shape.NONE
    assert course.slow is not None
    assert course.slow.since is None
    assert headline_courses(ask(), before.clear(), before.clear(), AT_ONCE) == {}
    alone = headline_courses(ask(), before.clear(), binary(drawn(np.full(30, 0.75), 5)), AT_ONCE)
    assert alone[SLICE].slow is None


def test_a_long_window_is_put_together_to_weeks() -> None:
    frame = binary(drawn(np.full(120, 0.75), 6))
    course = headline_courses(ask(120), frame.clear(), frame, AT_ONCE)[SLICE]
    assert course.onset.step == timedelta(days=7)


# -- in the findings -----------------------------------------------------------------------------


def figure(value: float, half: float = 0.02) -> Figures:
    e = Estimate(value, value - half, value + half, 1000)
    beside = {name: Estimate(0.5, 0.4, 0.6, 1000) for name in ("recall", "roc_auc")}
    return Figures(Group(None, "v1", 0, "", ""), 1000, 1000, {**beside, "f1": e})


def said(course: Course | None, now: float = 0.5, was: float = 0.6) -> list[str]:
    courses = {SLICE: course} if course is not None else {}
    pairs = [(figure(now), figure(was))]
    found, _ = judge(deployment("binary"), "f1", pairs, courses=courses)
    return [f.text for f in found]


def course(before: float, after: float, seed: int = 0, edge: int = 40) -> Course:
    shares = np.where(np.arange(60) < edge, before, after)
    frame = binary(drawn(shares, seed), first=START - 30 * DAY)
    first, second = frame.head(30 * 4), frame.tail(30 * 4)
    return headline_courses(ask(), first, second, AT_ONCE)[SLICE]


def test_a_worse_figure_says_since_when() -> None:
    assert said(course(0.8, 0.2)) == ["v1: f1 0.5 where its reference has 0.6, abrupt since 11 Feb"]


def test_a_change_for_the_better_is_no_since() -> None:
    (text,) = said(course(0.2, 0.8))
    assert "since" not in text
    (text,) = said(None)
    assert "since" not in text


def test_a_slow_change_is_a_finding_only_where_nothing_else_says_it() -> None:
    slow = SlowChange(7.3, 5.0, START + 3 * DAY, rises=False)
    still = course(0.75, 0.75)
    assert said(Course(still.onset, slow), now=0.6) == [
        "v1: f1 has drifted down slowly since about 04 Feb (CUSUM 7.3, alarm from 5)"
    ]
    (text,) = said(Course(still.onset, slow))
    assert text == "v1: f1 0.5 where its reference has 0.6, slowly worse since about 04 Feb"
    better = SlowChange(7.3, 5.0, START, rises=True)
    assert said(Course(still.onset, better), now=0.6) == []
    quiet = SlowChange(4.9, 5.0, None, rises=False)
    assert said(Course(still.onset, quiet), now=0.6) == []
