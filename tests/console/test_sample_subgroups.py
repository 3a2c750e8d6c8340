"""Calibration, disparity and the worst slice of the shipped sample, against its raw rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from sample_rows import of
from sample_store import Sample
from scipy import stats
from scipy.stats.contingency import relative_risk

from console.analysis.against import Against, Side
from console.analysis.ask import Step
from console.analysis.estimate import State
from console.panes import view
from console.show import to_json

JUNE = ("2013-06-01", "2013-07-01")


def test_the_calibration_gap_is_score_minus_label(sample: Sample) -> None:
    snapshot = sample.taker.subgroups(sample.ask(*JUNE, segment="departure"))
    for row in snapshot.rows:
        known = of(6, row.figures.group.version).filter(pl.col("departure") == row.value)
        known = known.drop_nulls("late")
        gap = (known["late_score"] - known["late"].cast(pl.Float64)).to_numpy()
        e = row.figures.calibration_gap
        assert e is not None
        if not len(gap):
            assert e.state is State.NO_LABELS
            continue
        assert e.value == pytest.approx(gap.mean(), abs=1e-9)
        if len(gap) > 30:
            low, high = stats.t.interval(0.95, len(gap) - 1, gap.mean(), stats.sem(gap))
            assert (e.low, e.high) == pytest.approx((low, high), abs=1e-6)


def test_disparity_is_the_ratio_to_the_largest_group(sample: Sample) -> None:
    rows = sample.taker.subgroups(sample.ask(*JUNE, version="v2", segment="carrier")).rows
    raw = of(6, "v2")
    largest = raw.group_by("carrier").len().sort("len", descending=True)["carrier"][0]
    base = raw.filter(pl.col("carrier") == largest)
    for row in rows:
        assert row.disparity is not None
        assert row.disparity.against == largest
        mine = raw.filter(pl.col("carrier") == row.value)
        e = row.disparity.ratios["selection_rate"]
        yes = int(mine["late_predicted"].sum())
        if row.value == largest or not yes:
            continue
        record = relative_risk(yes, mine.height, int(base["late_predicted"].sum()), base.height)
        assert e.value == pytest.approx(record.relative_risk)
        assert e.high == pytest.approx(record.confidence_interval(0.95).high)


@pytest.mark.parametrize(
    ("start", "end"),
    [("2013-07-01", "2014-01-01"), ("2013-10-01", "2013-11-01"), ("2013-07-01", "2013-07-08")],
)
def test_the_early_morning_is_found_without_being_told(
    sample: Sample, start: str, end: str
) -> None:
    snapshot = sample.taker.subgroups(sample.ask(start, end, step=Step.ALL))
    (worst,) = [w for w in snapshot.worst if w.version == "v2"]
    assert worst.values == (("departure", "05-08 h"),)
    assert worst.looked > 40
    said = [f.text for f in snapshot.findings if f.text.startswith("v2")]
    assert "departure=05-08 h" in said[0]
    notes = " ".join(n.text for n in view("subgroups", snapshot).notes)
    assert f"v2: the worst of {worst.looked} values and crosses is departure=05-08 h" in notes


def test_the_worst_slice_has_the_figures_of_its_rows(sample: Sample) -> None:
    (worst,) = [w for w in sample.taker.subgroups(sample.ask(*JUNE)).worst if w.version == "v2"]
    raw = of(6, "v2")
    for name, value in worst.values:
        raw = raw.filter(pl.col(name) == value)
    known = raw.drop_nulls("late")
    y, said = known["late"], known["late_predicted"]
    assert worst.n == raw.height
    assert worst.share == pytest.approx(raw.height / of(6, "v2").height)
    assert worst.value == pytest.approx(2 * (y & said).sum() / (y.sum() + said.sum()))


def test_one_segment_is_asked_for_and_nothing_else_is_searched(sample: Sample) -> None:
    assert sample.taker.subgroups(sample.ask(*JUNE, segment="departure")).worst == ()


def test_shrunken_figures_lie_between_their_own_and_the_mean(sample: Sample) -> None:
    rows = sample.taker.subgroups(sample.ask(*JUNE, version="v2", segment="carrier")).rows
    own = {r.value: r.figures.metrics["f1"].value for r in rows}
    drawn = {r.value: r.shrunken.value for r in rows}
    known = [v for v in own if own[v] is not None and drawn[v] is not None]
    spread = np.ptp([own[v] or 0.0 for v in known])
    assert np.ptp([drawn[v] or 0.0 for v in known]) < spread


def test_a_change_is_the_figure_now_minus_then(sample: Sample) -> None:
    ask = sample.ask("2013-06-15", "2013-07-01", against="before", step=Step.ALL)
    assert ask.against == Against(Side.BEFORE)
    snapshot = sample.taker.subgroups(ask)
    past = sample.taker.subgroups(sample.ask("2013-05-30", "2013-06-15", step=Step.ALL))
    then = {(r.figures.group.version, r.segment, r.value): r for r in past.rows}
    seen = 0
    for r in snapshot.rows:
        old = then.get((r.figures.group.version, r.segment, r.value))
        assert r.change is not None
        now = r.figures.metrics["f1"]
        was = old.figures.metrics["f1"] if old is not None else None
        if now.value is None or was is None or was.value is None:
            assert r.change.value is None
            continue
        assert r.change.value == pytest.approx(now.value - was.value)
        assert r.change.low is not None
        assert r.change.high is not None
        assert r.change.low <= r.change.value <= r.change.high
        seen += 1
    assert seen > 20
    assert "since then" in [c.title for c in view("subgroups", snapshot).table.columns]
    document = json.loads(to_json("subgroups", snapshot))
    assert all("change" in row for row in document["rows"])


def test_a_change_against_another_version_is_to_that_version(sample: Sample) -> None:
    ask = sample.ask(*JUNE, version="v2", segment="origin", against="version=v1")
    plain = sample.taker.subgroups(sample.ask(*JUNE, version="v1", segment="origin"))
    was = {r.value: r.figures.metrics["f1"].value for r in plain.rows}
    for r in sample.taker.subgroups(ask).rows:
        assert r.then is not None
        assert r.then.value == was[r.value]


def test_before_the_first_row_there_is_no_slice(sample: Sample) -> None:
    snapshot = sample.taker.subgroups(sample.ask("2012-01-01", "2012-02-01", against="week"))
    assert (snapshot.rows, snapshot.worst, snapshot.findings) == ((), (), ())
    assert sample.ask("2012-01-01", "2012-02-01").start == datetime(2012, 1, 1, tzinfo=UTC)
