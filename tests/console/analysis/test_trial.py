"""Versions compared: who is held against whom, what is said, and what is not made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from collectors.contract import Deployment
from console.analysis.against import Against, Side
from console.analysis.ask import Ask, Step
from console.analysis.comparison import Verdict
from console.analysis.estimate import IntervalKind, State
from console.analysis.findings import Severity
from console.analysis.maturity import Maturity
from console.analysis.trial import TrialFrames, TrialSnapshot, trial
from console.analysis.whole import whole_of
from console.views.versions import document, view

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
UNKNOWN = Maturity(None, (), (), 0)
Cells = tuple[int, int, int, int]


def deployment(**more: object) -> Deployment:
    return Deployment.model_validate(
        {"name": "d", "task": "binary", "score": "s", "predictions": {"path": "p"}, **more}
    )


def outcomes(
    days: Mapping[int, Mapping[str, Cells]], fallback: Cells = (0, 0, 0, 0)
) -> pl.DataFrame:
    """The series of the query `binary`, without scores: version -> (tp, fp, fn, tn) by day."""
    rows = []
    for day, versions in days.items():
        for version, (tp, fp, fn, tn) in versions.items():
            for predicted, n, positive in ((0, fn + tn, fn), (1, tp + fp, tp)):
                first = predicted == 0
                rows.append(
                    {
                        "start": (START + day * DAY).replace(tzinfo=None), "version": version,
                        "segment": 0, "value": "", "value2": "", "bin": -1, "predicted": predicted,
                        "n": n, "n_labelled": n, "n_positive": positive,
                        "labelled_score_sum": 0.0, "labelled_score_sq": 0.0,
                        "positive_score_sum": 0.0, "log_loss_sum": 0.0,
                        **{
                            f"fallback_{k}": v if first else 0
                            for k, v in zip(("tp", "fp", "fn", "tn"), fallback, strict=True)
                        },
                    }
                )  # fmt: skip
    return pl.DataFrame(rows)


def volume(days: Mapping[int, Mapping[str, int]]) -> pl.DataFrame:
    rows = [
        {"start": (START + day * DAY).replace(tzinfo=None), "version": version, "n": n}
        for day, versions in days.items()
        for version, n in versions.items()
    ]
    return pl.DataFrame(rows, schema={"start": pl.Datetime, "version": pl.String, "n": pl.Int64})


def seen(first: Mapping[str, int]) -> pl.DataFrame:
    moments = [(START + day * DAY).replace(tzinfo=None) for day in first.values()]
    return pl.DataFrame({"version": list(first), "first_seen": moments, "last_seen": moments})


NOBODY = pl.DataFrame(
    schema={"version": pl.String, "first_seen": pl.Datetime, "last_seen": pl.Datetime}
)


def snapshot(
    d: Deployment,
    series: pl.DataFrame,
    counts: pl.DataFrame | None = None,
    versions: pl.DataFrame = NOBODY,
    **more: object,
) -> TrialSnapshot:
    ask = Ask(d, START, START + 10 * DAY, START + 20 * DAY, Step.DAY)
    ask = replace(ask, **more)  # type: ignore[arg-type]
    whole = whole_of(series, START.replace(tzinfo=None))
    frames = TrialFrames(whole, series, volume({}) if counts is None else counts, versions)
    return trial(ask, frames, UNKNOWN)


GOOD: Cells = (400, 100, 100, 400)
POOR: Cells = (250, 250, 250, 250)
TWO = outcomes({0: {"v1": POOR, "v2": GOOD}})


def test_a_better_challenger_is_found_and_said_as_the_performance_pane_says_it():
    s = snapshot(deployment(champion="v1"), TWO)
    (row,) = s.rows
    assert (row.version, row.against, s.metric) == ("v2", "v1", "f1")
    assert row.first.verdict is Verdict.BETTER
    assert row.first.difference.value == pytest.approx(0.3)
    (finding,) = s.findings
    assert finding.text == "v2 beats the champion v1: f1 0.8 against 0.5"
    assert finding.severity is Severity.WARNING


def test_a_worse_one_is_bad():
    s = snapshot(deployment(champion="v2"), TWO)
    (finding,) = s.findings
    assert finding.text == "v1 is worse than the champion v2: f1 0.5 against 0.8"
    assert finding.severity is Severity.BAD


def test_the_same_is_not_told_apart_and_no_finding():
    s = snapshot(deployment(champion="v1"), outcomes({0: {"v1": GOOD, "v2": GOOD}}))
    (row,) = s.rows
    assert row.first.verdict is Verdict.CANNOT_TELL
    assert s.findings == ()
    assert row.first.more_days is not None
    assert row.first.more_days > 0


def test_without_a_champion_the_version_with_most_rows_is_it():
    series = outcomes({0: {"v1": POOR, "v2": (800, 200, 200, 800)}})
    assert snapshot(deployment(), series).against == "v2"
    assert snapshot(deployment(champion="gone"), series).against == "v2"


def test_against_names_the_other_side():
    d = deployment(champion="v1")
    s = snapshot(d, TWO, against=Against(Side.VERSION, version="v2"))
    assert [(r.version, r.against) for r in s.rows] == [("v1", "v2")]
    none = snapshot(d, TWO, against=Against(Side.VERSION, version="v9"))
    assert (none.rows, none.against) == ((), "")
    assert "v9 has no predictions" in view(none).headline[0].text


def test_one_version_only_is_said():
    s = snapshot(deployment(), outcomes({0: {"v1": GOOD}}))
    assert s.rows == ()
    assert view(s).headline[0].text == (
        "only v1 has predictions in this window: nothing to compare"
    )


def test_a_collapse_by_few_labels_is_no_finding():
    series = outcomes({0: {"v1": GOOD, "v2": (1, 25, 30, 20)}})
    s = snapshot(deployment(champion="v1"), series)
    assert s.rows[0].first.verdict is Verdict.WORSE
    assert s.findings == ()


def test_many_challengers_share_the_level():
    """Just sure alone; one of twenty like it is chance."""
    even: Cells = (250, 250, 250, 250)
    ahead: Cells = (274, 226, 226, 274)
    alone = snapshot(
        deployment(champion="v0", trial={"metric": "accuracy"}),
        outcomes({0: {"v0": even, "v1": ahead}}),
    )
    assert alone.findings
    crowd = {f"v{i}": even for i in range(20)} | {"v1": ahead}
    many = snapshot(deployment(champion="v0", trial={"metric": "accuracy"}), outcomes({0: crowd}))
    assert many.findings == ()


def test_watching_an_open_window_takes_the_sequence():
    end = START + 10 * DAY
    d = deployment(champion="v1")
    now = snapshot(d, TWO, as_of=end, watched=True)
    assert now.watched
    assert now.rows[0].first.difference.interval is IntervalKind.PEEK_SAFE
    assert "however often" in view(now).notes[0].text
    over = snapshot(d, TWO, watched=True)
    assert over.rows[0].first.difference.interval is IntervalKind.FIXED
    wide, narrow = now.rows[0].first.difference, over.rows[0].first.difference
    assert (wide.high or 0) - (wide.low or 0) > (narrow.high or 0) - (narrow.low or 0)


def test_no_split_is_made_up():
    s = snapshot(deployment(), TWO, volume({0: {"v1": 9000, "v2": 1000}}), seen({"v1": 0, "v2": 0}))
    assert s.ratio.log_bayes_factor is None
    assert document(s)["sample_ratio"] is None
    assert any("cannot be checked" in n.text for n in view(s).notes)


def test_a_split_that_is_off_is_bad():
    d = deployment(champion="v1", trial={"split": {"v1": 1, "v2": 1}})
    s = snapshot(d, TWO, volume({0: {"v1": 5200, "v2": 4800}}), seen({"v1": 0, "v2": 0}))
    assert s.ratio.log_bayes_factor == pytest.approx(3.6219, abs=5e-5)
    assert s.findings[0].severity is Severity.BAD
    assert s.findings[0].text == (
        "sample-ratio mismatch: v1 got 52.0% of 10,000 predictions where 50.0% were planned; the "
        "versions may not be comparable"
    )


def test_days_before_a_version_came_are_no_mismatch():
    d = deployment(trial={"split": {"v1": 1, "v2": 1}})
    counts = volume({0: {"v1": 9000}, 1: {"v1": 900, "v2": 300}, 2: {"v1": 500, "v2": 520}})
    first = seen({"v1": -50, "v2": 1})
    late = first.with_columns(first_seen=pl.col("first_seen") + timedelta(hours=13))
    s = snapshot(d, TWO, counts, late)  # v2 came at 13:00 of the second day
    assert not s.ratio.mismatch
    assert dict(s.ratio.counts) == {"v1": 500, "v2": 520}
    assert s.ratio_since == START + 2 * DAY


def test_a_planned_version_that_never_came_is_a_mismatch():
    d = deployment(trial={"split": {"v1": 1, "v3": 1}})
    s = snapshot(d, TWO, volume({0: {"v1": 100}}), seen({"v1": 0}))
    assert s.ratio.mismatch


def test_the_fallback_is_held_against_the_champion_on_its_rows():
    series = outcomes({0: {"v1": POOR}}, fallback=GOOD)
    d = deployment(champion="v1", fallback={"score": "f", "name": "rule"})
    (row,) = snapshot(d, series).rows
    assert (row.version, row.against, row.fallback) == ("rule", "v1", True)
    assert row.first.verdict is Verdict.BETTER
    assert snapshot(d, series).findings == ()  # the performance pane says it


def test_a_figure_that_is_not_of_this_task_is_said():
    s = snapshot(deployment(trial={"metric": "mae"}), TWO)
    assert s.metric == "f1"
    assert any("no figure mae" in n.text for n in view(s).notes)


def test_no_rows_at_all():
    empty = TWO.clear()
    s = snapshot(deployment(champion="v1"), empty)
    assert s.rows == ()
    assert view(s).headline[0].text == "no predictions in this window: nothing can be told"
    assert document(s)["rows"] == []


def test_versions_without_labels_have_a_state_and_no_verdict():
    unlabelled = TWO.with_columns(
        pl.lit(0, pl.Int64).alias("n_labelled"), pl.lit(0, pl.Int64).alias("n_positive")
    )
    (row,) = snapshot(deployment(champion="v1"), unlabelled).rows
    assert row.first.verdict is Verdict.CANNOT_TELL
    assert row.first.difference.state is State.NO_LABELS
    assert "no labels" in view(snapshot(deployment(champion="v1"), unlabelled)).headline[0].text


def test_the_pace_is_that_since_both_are_there():
    """v1 alone for five days, then both by half: a thousand labelled rows a day."""
    fifth: Cells = (200, 50, 50, 200)
    days: dict[int, dict[str, Cells]] = {day: {"v1": (800, 200, 200, 800)} for day in range(5)}
    series = outcomes({**days, **{day: {"v1": fifth, "v2": fifth} for day in range(5, 10)}})
    d = deployment(champion="v1", trial={"metric": "accuracy", "margin": 0.015})
    (row,) = snapshot(d, series).rows
    assert row.first.more_rows is not None
    assert row.first.more_days is not None
    assert row.first.more_rows / row.first.more_days == pytest.approx(1_000, rel=1e-2)
