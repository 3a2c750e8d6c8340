"""Other thresholds, costs and persistence on the shipped sample, against its raw rows."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sample_rows import of
from sample_store import Sample
from sklearn import metrics as sk

from collectors.contract import Costs
from console.analysis.ask import Ask, Step
from console.analysis.estimate import State
from console.panes import view
from console.show import to_json
from console.times import parse_moment
from console.views.model import Tone

JUNE = ("2013-06-01", "2013-07-01")
PRICES = Costs(unit="EUR", true_positive=-1, false_positive=2, false_negative=10, over=1, under=3)


def priced(ask: Ask) -> Ask:
    return replace(ask, deployment=ask.deployment.model_copy(update={"costs": PRICES}))


@pytest.mark.parametrize("threshold", [0.05, 0.2472, 0.5, 0.81])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_another_threshold_gives_what_the_rows_give(
    sample: Sample, version: str, threshold: float
) -> None:
    ask = sample.ask(*JUNE, version=version, threshold=threshold, step=Step.ALL)
    at = sample.taker.performance(ask).operating[version, "", ""].at
    assert at is not None
    raw = of(6, version)
    known = raw.drop_nulls("late")
    y, said = known["late"], known["late_score"] >= threshold
    assert at.n == raw.height
    assert at.confusion.n == known.height
    exact = {
        "recall": sk.recall_score(y, said),
        "f1": sk.f1_score(y, said),
        "accuracy": sk.accuracy_score(y, said),
        "selection_rate": float((raw["late_score"] >= threshold).mean() or 0.0),
    }
    for name, value in exact.items():
        e = at.metrics[name]
        assert e.value is not None
        assert e.bin_error is not None
        assert abs(e.value - value) <= e.bin_error + 1e-12
        assert e.bin_error < 0.05


def test_the_threshold_that_was_used_is_read_from_the_answers(sample: Sample) -> None:
    for version, o in (
        (v, sample.taker.performance(sample.ask(*JUNE)).operating[v, "", ""]) for v in ("v1", "v2")
    ):
        raw = of(6, version)
        used = raw.filter(pl.col("late_predicted"))["late_score"].min()
        assert o.now == pytest.approx(used, abs=0.01)
        assert o.configured is None


def test_a_segment_has_its_own_figures_at_the_threshold(sample: Sample) -> None:
    ask = sample.ask(*JUNE, version="v2", segment="origin", threshold=0.3)
    found = sample.taker.performance(ask).operating
    assert set(found) == {("v2", origin, "") for origin in ("EWR", "JFK", "LGA")}
    document = json.loads(to_json("performance", sample.taker.performance(ask)))
    assert [(r["segment"], r["value"]) for r in document["at_threshold"]] == [
        ("origin", value) for value in ("EWR", "JFK", "LGA")
    ]


def test_the_pane_shows_the_tried_threshold_below_its_version(sample: Sample) -> None:
    made = view("performance", sample.taker.performance(sample.ask(*JUNE, threshold=0.2)))
    keys = [row.key for row in made.table.rows]
    assert keys.index("v2") < keys.index("v2/at 0.2") < keys.index("v2/reference")
    detail = dict(made.details)["v2"]
    titles = [[c.title for c in t.columns] for t in detail.tables]
    assert any(t[0] == "threshold" for t in titles)
    number = sample.ask(*JUNE, "flight-delay", threshold=0.2)
    notes = view("performance", sample.taker.performance(number)).notes
    assert "a regression model has no operating threshold to move" in [n.text for n in notes]


def test_a_tried_threshold_is_as_provisional_as_its_rows(sample: Sample) -> None:
    ask = sample.ask("2013-06-15", "2013-06-16", threshold=0.3, as_of=parse_moment("2013-06-15T20"))
    snapshot = sample.taker.performance(ask)
    for f in snapshot.whole:
        at = snapshot.operating[f.group.version, "", ""].at
        assert at is not None
        assert f.metrics["accuracy"].state is State.PROVISIONAL
        assert at.metrics["accuracy"].state is State.PROVISIONAL


def test_costs_are_what_the_rows_cost(sample: Sample) -> None:
    ask = priced(sample.ask(*JUNE, step=Step.ALL, threshold=0.5))
    snapshot = sample.taker.performance(ask)
    for f in snapshot.whole:
        known = of(6, f.group.version).drop_nulls("late")
        y, said = known["late"].to_numpy(), known["late_predicted"].to_numpy()
        each = np.select([y & said, ~y & said, y & ~said], [-1.0, 2.0, 10.0], 0.0)
        assert f.metrics["cost"].value == pytest.approx(1000 * each.mean())
        yes = known["fallback_score"].to_numpy() >= 0.2472556077683916
        fallback = np.select([y & yes, ~y & yes, y & ~yes], [-1.0, 2.0, 10.0], 0.0)
        beside = f.baselines or {}
        assert beside["fallback"]["cost"].value == pytest.approx(1000 * fallback.mean())
        assert beside["majority"]["cost"].value == pytest.approx(1000 * 10 * y.mean())
    made = view("performance", snapshot)
    assert "cost/1000" in [c.title for c in made.table.columns]
    assert all(s.cost is not None for o in snapshot.operating.values() for s in o.settings)


def test_costs_of_a_regression_are_by_side(sample: Sample) -> None:
    ask = priced(sample.ask(*JUNE, "flight-delay", step=Step.ALL))
    for f in sample.taker.performance(ask).whole:
        known = of(6, f.group.version).drop_nulls("delay_minutes")
        error = (known["delay_predicted"] - known["delay_minutes"]).to_numpy()
        each = np.where(error > 0, error, -3 * error)
        assert f.metrics["cost"].value == pytest.approx(1000 * each.mean())
        reference = sample.taker.performance(ask).reference_of(f)
        assert reference is not None
        assert reference.metrics["cost"].value is not None


def test_without_costs_there_is_no_column(sample: Sample) -> None:
    made = view("performance", sample.taker.performance(sample.ask(*JUNE)))
    assert "cost/1000" not in [c.title for c in made.table.columns]


@pytest.mark.parametrize("step", [Step.HOUR, Step.DAY, Step.MONTH, Step.ALL])
def test_persistence_is_the_day_before_whatever_the_step(sample: Sample, step: Step) -> None:
    whole = sample.taker.performance(sample.ask(*JUNE, version="v1", step=step)).whole
    known = of(6, "v1").drop_nulls("late").sort("timestamp")
    truth: list[bool] = []
    said: list[bool] = []
    last = (
        of(5, "v1")
        .drop_nulls("late")
        .filter(pl.col("timestamp") >= pl.datetime(2013, 5, 2, time_zone="UTC"))["late"]
    )  # the window before
    for _, day in known.group_by(pl.col("timestamp").dt.truncate("1d"), maintain_order=True):
        truth += day["late"].to_list()
        said += [2 * last.sum() > len(last)] * day.height
        last = day["late"]
    (f,) = whole
    found = (f.baselines or {})["persistence"]
    assert found["accuracy"].n == len(truth)
    assert found["accuracy"].value == pytest.approx(sk.accuracy_score(truth, said))
    assert found["f1"].value == pytest.approx(sk.f1_score(truth, said))


def test_the_champion_stands_beside_the_challenger(sample: Sample) -> None:
    v1, v2 = sample.taker.performance(sample.ask(*JUNE, step=Step.ALL)).whole
    assert (v2.baselines or {})["champion"]["f1"].value == v1.metrics["f1"].value
    assert "champion" not in (v1.baselines or {})


def test_a_red_cell_is_one_that_the_findings_would_name(sample: Sample) -> None:
    # with a handful of labels one interval may lie wholly below the reference's value
    for start, end in (("2013-07-01", "2013-07-03"), JUNE, ("2013-02-01", "2013-02-03")):
        snapshot = sample.taker.performance(sample.ask(start, end, step=Step.ALL))
        made = view("performance", snapshot)
        headline = [c.title for c in made.table.columns].index("F1")
        red = {r.key for r in made.table.rows if r.cells[headline].tone is Tone.BAD}
        named = {
            f.group.version
            for f in snapshot.whole
            if any(
                finding.text.startswith(f"{f.group.version}: f1") and "reference" in finding.text
                for finding in snapshot.findings
            )
        }
        assert red == named
