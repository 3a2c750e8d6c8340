"""`modelwatch explain` and the key `e` on the shipped sample: what changed, and what carries it."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from sample_rows import of
from sample_store import Sample
from show_schema import ESTIMATE, FINDINGS, MAYBE, NUMBER, STEP, TASK, WINDOW, Stamp, check
from shown import Store

from collectors.contract import Deployment
from console.analysis.ask import Ask, Step
from console.analysis.explain import ExplainFrames, ExplainSnapshot, Verdict, explain
from console.analysis.explain_sums import Kind, SideFrames
from console.analysis.ratios import explainable
from console.cli import main
from console.explaining import explained, explanation
from console.feed import Explain
from console.panes import PANES, take, view
from console.show import rows_to_csv, sections_to_table
from console.views import explain as page

JULY = ("2013-07-02", "2013-08-01")
SENSOR = ("2013-02-12", "2013-02-13")

PART = {
    "dimension": str, "kind": set(Kind), "value": (str, None), "n": int, "n_other": int,
    "share": NUMBER, "share_other": NUMBER, "figure": MAYBE, "figure_other": MAYBE,
    "mix": NUMBER, "within": NUMBER, "metrics": {"contribution": ESTIMATE, "excess": ESTIMATE},
}  # fmt: skip
TOGETHER = {"what": str, "correlation": NUMBER, "p_adjusted": NUMBER, "steps": int}
SCHEMA: dict[str, Any] = {
    "pane": {"explain"}, "deployment": str, "task": TASK, "window": WINDOW, "as_of": Stamp,
    "step": STEP, "rows": [PART], "findings": FINDINGS,
    "figure": str, "asked": str, "version": (str, None),
    "against": {
        "side": str, "words": str, "window?": WINDOW, "version?": (str, None), "as_of?": Stamp,
    },
    "verdict": set(Verdict), "reason": (str, None),
    "value": ESTIMATE, "other": ESTIMATE, "change": ESTIMATE, "looked": int, "approximate": bool,
    "dimensions": [
        {"dimension": str, "kind": set(Kind), "n_values": int, "mix": ESTIMATE, "within": ESTIMATE}
    ],
    "slices": [
        {"kind": set(Kind), "values": dict, "also": list, "n": int, "n_other": int,
         "share": NUMBER, "share_other": NUMBER, "figure": MAYBE, "figure_other": MAYBE,
         "mix": NUMBER, "within": NUMBER, "excess": ESTIMATE}
    ],
    "features": [
        {"feature": str, "state": str, "n": int, "n_other": int, "psi": MAYBE, "noise_q95": MAYBE,
         "mean": MAYBE, "mean_other": MAYBE, "missing": MAYBE, "missing_other": MAYBE,
         "outside": MAYBE, "outside_other": MAYBE, "together": (TOGETHER, None)}
    ],
    "events": [{"at": Stamp, "kind": str, "text": str, "near": bool}],
    "onset": ({"shape": str, "state": str, "start": (Stamp, None), "end": (Stamp, None),
               "before": MAYBE, "after": MAYBE, "text": (str, None)}, None),
}  # fmt: skip


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def texts(found: ExplainSnapshot) -> str:
    return "\n".join(f.text for f in found.findings)


# -- the incidents of the sample -------------------------------------------------------------------


def test_the_sensor_of_february_is_named_without_being_told_where_to_look(sample: Sample) -> None:
    ask = sample.ask(*SENSOR, against="reference")
    found = sample.taker.explain(ask, "log_loss")
    assert found.verdict is Verdict.SLICES
    assert [dict(one.values) for one in found.slices] == [{"wind_speed": "outside"}]
    first = found.slices[0]
    raw = of(2, "v1").filter(pl.col("wind_speed") > 1000)
    assert first.n == raw.drop_nulls("late").height == 10
    assert first.n_other == 0
    assert found.change.value is not None
    assert 0.9 < first.contribution / found.change.value < 1.2
    # the hours of its flights, in UTC
    assert "a spike on 12 Feb 09:00" in texts(found)
    assert "only wind_speed outside" in texts(found)


def test_julys_lost_recall_goes_with_temperatures_never_seen(sample: Sample) -> None:
    ask = sample.ask(*JULY, version="v1", against="reference")
    found = sample.taker.explain(ask, "recall")
    known = of(7, "v1").filter(pl.col("timestamp") >= utc(2013, 7, 2)).drop_nulls("late")
    late = known.filter(pl.col("late"))
    assert found.value.value == pytest.approx(late["late_predicted"].mean())
    assert found.change.value is not None
    assert found.change.value < -0.3
    said = texts(found)
    assert "within segments, not their mix" in said
    assert "temp outside what the reference has went from 0% to 99.6% of the rows" in said
    temp = next(d for d in found.dimensions if d.name == "temp")
    assert temp.mix.value == pytest.approx(found.change.value, rel=0.02)
    assert {"temp", "dewp"} <= {m.feature for m in found.moves[:4]}


def test_the_missing_weather_of_new_years_eve_is_named(sample: Sample) -> None:
    found = sample.taker.explain(
        sample.ask("2013-12-31", "2014-01-01", version="v2", against="before"), "f1"
    )
    assert "missing 0% ->" in texts(found)
    stopped = [e for e in found.events if e.text.startswith("values stopped coming")]
    assert any("temp" in e.text or "dewp" in e.text for e in stopped)


def test_the_split_of_the_traffic_is_an_event(sample: Sample) -> None:
    ask = sample.ask("2013-06-03", "2013-07-01", against="before")
    found = sample.taker.explain(ask, "recall")
    assert found.change.value is not None
    version = next(d for d in found.dimensions if d.kind is Kind.VERSION)
    # half of the traffic went to the version that finds more late flights
    assert version.mix.low is not None
    assert version.mix.low > 0
    assert any("share of the traffic: v1 9" in e.text and "v2 " in e.text for e in found.events)
    assert "version=v2 went from 10% to 50% of the rows" in texts(found)


@pytest.mark.parametrize("deployment", ["flight-late", "flight-delay"])
@pytest.mark.parametrize(
    "against", ["before", "reference", "week", "version=v2", "2013-03-01..2013-04-01"]
)
def test_parts_add_up_on_real_rows(sample: Sample, deployment: str, against: str) -> None:
    ask = sample.ask("2013-06-10", "2013-06-17", deployment, version="v1", against=against)
    figures = explainable(ask.deployment)
    for figure in [f for f in figures if f not in ("auc",)]:
        found = sample.taker.explain(ask, figure)
        if found.change.value is None:
            assert figure == "error_rate", figure
            continue
        size = abs(found.value.value or 0.0) + abs(found.other.value or 0.0)
        for d in found.dimensions:
            total = sum(p.mix + p.within for p in d.parts)
            assert total == pytest.approx(found.change.value, abs=1e-9 * max(size, 1e-9)), d.name


def test_a_slice_is_split_by_its_crosses(sample: Sample) -> None:
    ask = sample.ask(
        "2013-06-10", "2013-06-24", version="v2", segment="origin=EWR", against="before"
    )
    found = sample.taker.explain(ask, "f1")
    rows = of(6, "v2").filter(
        (pl.col("origin") == "EWR")
        & (pl.col("timestamp") >= utc(2013, 6, 10))
        & (pl.col("timestamp") < utc(2013, 6, 24))
    )
    assert found.value.n == rows.drop_nulls("late").height
    assert {d.name for d in found.dimensions} == {"version", "carrier", "departure"}
    whole = sample.taker.performance(replace(ask, step=Step.ALL)).whole[0]
    assert found.value.value == pytest.approx(whole.metrics["f1"].value)


# -- the command -----------------------------------------------------------------------------------


def run(sample: Sample, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["explain", *words, *sample.options])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_prints_the_answer_first(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("recall", "--version", "v1", "--start", JULY[0], "--end", JULY[1])
    code, out, err = run(sample, capsys, *words, "--against", "reference")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("Why recall of flight-late changed, 2013-07-02 00:00 to 2013-08-01")
    assert lines[2].startswith("x v1: recall 0.419 in the reference -> 0.0")
    for title in ("by dimension", "by origin", "features between the two sides"):
        assert title in lines


def test_json_is_as_documented_and_csv_has_its_rows(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("f1", "--version", "v2", "--start", "2013-06-10", "--end", "2013-06-17")
    code, out, _ = run(sample, capsys, *words, "--format", "json")
    document = json.loads(out)
    assert code == 0
    check(document, SCHEMA, "explain")
    assert document["against"]["side"] == "before"
    code, out, _ = run(sample, capsys, *words, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == len(document["rows"])
    assert float(rows[0]["mix"]) == document["rows"][0]["mix"]
    assert float(rows[0]["excess.low"]) == document["rows"][0]["metrics"]["excess"]["low"]


def test_an_unknown_figure_is_a_sentence_with_the_list(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(sample, capsys, "mae")
    assert (code, out) == (2, "")
    assert "has no figure 'mae'; there is f1, precision, recall" in err
    code, _, err = run(sample, capsys, "cost")
    assert code == 2
    assert "configure [deployment.costs]" in err


def test_a_version_that_is_not_there_is_a_slip(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(sample, capsys, "f1", "--version", "v9")[0] == 2


def test_without_a_choice_it_is_the_window_before_where_that_has_labels(sample: Sample) -> None:
    ask = sample.ask("2013-06-10", "2013-06-17", version="v1")
    assert (
        explanation(sample.taker, ask, "f1", chosen=False).ask.against.words == "the window before"
    )
    first = sample.ask("2013-02-01", "2013-02-05")
    assert explanation(sample.taker, first, "f1", chosen=False).ask.against.words == "the reference"


def test_several_versions_have_no_common_reference(sample: Sample) -> None:
    ask = sample.ask("2013-06-10", "2013-06-17", against="reference")
    found = sample.taker.explain(ask, "f1")
    assert found.verdict is Verdict.CANNOT_TELL
    assert "choose one with --version" in found.reason


def test_a_window_before_the_first_row_is_a_sentence(sample: Sample) -> None:
    found = explanation(sample.taker, sample.ask("2012-01-01", "2012-01-05"), "f1", chosen=False)
    assert found.reason == "no predictions in this window: nothing can be told"
    assert page.view(found).headline[0].text.endswith(found.reason)


# -- the key ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("deployment", ["flight-late", "flight-delay"])
@pytest.mark.parametrize("pane", list(PANES))
def test_every_figure_on_the_screen_is_explained_or_says_why_not(
    sample: Sample, deployment: str, pane: str
) -> None:
    ask = sample.ask("2013-07-01", "2013-07-08", deployment)
    shown = view(pane, take(pane, sample.taker, ask))
    answered = 0
    for row in shown.table.rows[:4]:
        for column in shown.table.columns:
            made = explained(sample.taker, ask, Explain(pane, row.key, column.title))
            assert made.headline[0].text
            answered += bool(made.details)
    assert answered or pane in ("data", "traffic", "rows")


def test_a_figure_is_explained_in_its_own_row(sample: Sample) -> None:
    ask = sample.ask("2013-07-01", "2013-07-08")
    made = explained(sample.taker, ask, Explain("performance", "v2", "prec"))
    assert made.headline[0].text.startswith("v2: precision ")
    assert "in the reference" in made.headline[0].text
    other = sample.ask("2013-07-01", "2013-07-08", against="week")
    made = explained(sample.taker, other, Explain("performance", "v2", "AUC"))
    assert "this explains log_loss" in made.headline[0].text
    assert "the week before" in made.headline[1].text
    made = explained(sample.taker, ask, Explain("performance", "v2/majority", "F1"))
    assert "no version of its own" in made.headline[0].text
    row = view("subgroups", sample.taker.subgroups(ask)).table.rows[0]
    made = explained(sample.taker, ask, Explain("subgroups", row.key, "F1 gap"))
    assert ": f1 " in made.headline[0].text
    assert "=" in made.headline[0].text.split(":")[0]


def test_a_difference_between_versions_is_explained_as_one(sample: Sample) -> None:
    ask = sample.ask("2013-07-01", "2013-07-08")
    made = explained(sample.taker, ask, Explain("versions", "v2/recall", "difference"))
    assert made.headline[0].text.startswith("v2: recall ")
    assert "version v1" in made.headline[0].text
    assert not any("version=" in cell.text for cell in made.headline)


def test_a_row_that_has_gone_is_a_sentence(sample: Sample) -> None:
    ask = sample.ask("2013-07-01", "2013-07-08")
    for pane in ("performance", "subgroups", "overview"):
        made = explained(sample.taker, ask, Explain(pane, "nowhere", "F1"))
        assert made.headline
        assert not made.details


# -- anything --------------------------------------------------------------------------------------


@pytest.mark.parametrize("deployment", ["binary", "multi", "number", "bare", "scoreless"])
@pytest.mark.parametrize("against", [None, "before", "week", "2013-01-01..2013-01-02"])
def test_awkward_logs_give_documented_json_and_harmless_text(
    awkward_store: Store, deployment: str, against: str | None
) -> None:
    snapshot: Any = awkward_store.take("performance", deployment, against=against)
    for figure in explainable(snapshot.ask.deployment):
        found = awkward_store.taker.explain(snapshot.ask, figure)
        document = json.loads(json.dumps(page.document(found), allow_nan=False))
        check(document, SCHEMA, figure)
        text = sections_to_table(page.view(found), "title", 100) + rows_to_csv(document["rows"])
        assert all(c.isprintable() or c == "\n" for c in text)


def test_five_thousand_groups_take_no_time() -> None:
    """20 segments of 5 values and their 190 crosses; the goal is 300 ms with its queries."""
    names = [f"s{i}" for i in range(20)]
    d = Deployment.model_validate(
        {"name": "m", "task": "binary", "predictions": "x", "score": "s", "segments": names}
    )
    rng = np.random.default_rng(0)
    rows = []
    for number in range(1 + 20 + 190):
        values = (
            [("", "")]
            if number == 0
            else [(f"v{i}", "") for i in range(5)]
            if number <= 20
            else [(f"v{i}", f"v{j}") for i in range(5) for j in range(5)]
        )
        size = 100_000 // len(values)
        rows += [
            ("v1", number, *v, said, size, size, int(rng.binomial(size, 0.3)))
            for v in values
            for said in (0, 1)
        ]
    schema = ["version", "segment", "value", "value2", "predicted", "n", "n_labelled", "n_positive"]
    side = SideFrames(pl.DataFrame(rows, schema=schema, orient="row"))
    ask = Ask(d, utc(2026, 1, 1), utc(2026, 1, 2), utc(2026, 1, 2), Step.DAY)
    used = []
    for _ in range(3):
        start = time.process_time()
        found = explain(ask, "f1", ExplainFrames(side, side))
        page.view(found)
        used.append(time.process_time() - start)
    assert found.looked == 1 + 100 + 190 * 25
    assert min(used) < 2  # measured: 0.1; a loop over groups in Python would take longer
