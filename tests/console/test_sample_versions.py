"""What the versions pane says of the canary in the shipped sample."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest
import sample_rows
from sample_store import Sample
from scipy import stats

from collectors.contract import Trial
from console.analysis.comparison import Verdict
from console.analysis.trial import TrialSnapshot
from console.snapshots import Taker
from console.views.versions import view


def taken(
    sample: Sample, start: str, end: str, name: str = "flight-late", **terms: object
) -> TrialSnapshot:
    ask = sample.ask(start, end, name)
    d = ask.deployment.model_copy(update={"trial": Trial.model_validate(terms)})
    taker = Taker(sample.reader, [d], load_times=False)
    return taker.versions(dataclasses.replace(ask, deployment=d))


def test_the_canary_wins_on_f1_though_accuracy_looks_worse(sample: Sample) -> None:
    s = taken(sample, "2013-06-03", "2013-07-01")
    row = s.rows[0]
    assert (row.version, row.against) == ("v2", "v1")
    verdicts = {c.metric: c.verdict for c in row.comparisons}
    assert verdicts["f1"] is Verdict.BETTER
    assert verdicts["recall"] is Verdict.BETTER
    assert verdicts["accuracy"] is not Verdict.BETTER
    assert "v2 beats the champion v1" in s.findings[0].text


def test_june_was_split_by_half(sample: Sample) -> None:
    s = taken(sample, "2013-06-03", "2013-07-01", split={"v1": 50, "v2": 50})
    assert s.ratio.log_bayes_factor is not None
    assert s.ratio.log_bayes_factor < 0
    assert not s.ratio.mismatch


def test_a_plan_that_was_not_kept_is_found(sample: Sample) -> None:
    s = taken(sample, "2013-06-03", "2013-07-01", split={"v1": 60, "v2": 40})
    assert s.ratio.mismatch
    assert s.findings[0].text.startswith("sample-ratio mismatch: v1 got 49.8% of 8,791")


def test_before_the_canary_there_is_one_version(sample: Sample) -> None:
    s = taken(sample, "2013-03-01", "2013-04-01")
    assert [r.fallback for r in s.rows] == [True]
    assert view(s).headline[0].text.startswith("only v1 has predictions")


def test_days_before_the_canary_do_not_count_against_the_split(sample: Sample) -> None:
    s = taken(sample, "2013-04-20", "2013-06-01", split={"v1": 90, "v2": 10})
    assert s.ratio_since is not None
    assert f"{s.ratio_since:%m-%d}" in ("05-06", "05-07")
    assert not s.ratio.mismatch


def test_minutes_have_no_margin_unless_one_is_given(sample: Sample) -> None:
    s = taken(sample, "2013-06-03", "2013-07-01", "flight-delay")
    assert s.margin is None
    assert s.rows[0].first.more_rows is None
    given = taken(sample, "2013-06-03", "2013-07-01", "flight-delay", margin=1.5)
    first = given.rows[0].first
    assert first.margin == pytest.approx(1.5)
    assert first.verdict is not Verdict.CANNOT_TELL or (first.more_days or 0) > 0


def test_the_fallback_is_tested_on_the_very_same_rows(sample: Sample) -> None:
    """Against the raw rows: who was right, row by row."""
    s = taken(sample, "2013-07-01", "2013-08-01")
    rows = sample_rows.rows().filter(
        pl.col("month") == 7, pl.col("version") == "v1", pl.col("late").is_not_null()
    )
    late = rows["late"].to_numpy().astype(bool)
    model = rows["late_predicted"].to_numpy().astype(bool) == late
    rule = (rows["fallback_score"].to_numpy() >= 0.2472556077683916) == late
    (found,) = [p for p in s.pairs if p.version == "v1"]
    assert found.only_beside == int((rule & ~model).sum())
    assert found.only_version == int((model & ~rule).sum())
    assert found.both_right == int((model & rule).sum())
    assert found.n == len(rows)
    record = stats.binomtest(found.only_beside, found.only_beside + found.only_version)
    assert found.p_value == pytest.approx(record.pvalue)
