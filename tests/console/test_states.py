"""A figure that cannot be had says why, in every pane, for every task; it is never a good one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import awkward
import numpy as np
import pytest
from shown import Store
from sklearn import metrics as sk

from console.analysis.distances import DriftState
from console.analysis.drift import DriftSnapshot
from console.analysis.estimate import TOO_FEW, State
from console.analysis.figures import Figures
from console.analysis.findings import Finding, Severity
from console.analysis.overview import OverviewSnapshot
from console.analysis.performance import PerformanceSnapshot
from console.analysis.traffic import TrafficSnapshot
from console.panes import PANES, view
from console.snapshots import Taker
from console.views.model import Cell, Tone
from console.views.words import finding_cells

DEPLOYMENTS = ("binary", "multi", "number", "bare", "scoreless")
BEFORE = {"start": awkward.FIRST - timedelta(days=9), "end": awkward.FIRST - timedelta(days=8)}
AFTER = {"start": awkward.FIRST + timedelta(days=30), "end": awkward.FIRST + timedelta(days=31)}


def performance(store: Store, deployment: str, **more: Any) -> PerformanceSnapshot:
    snapshot = store.take("performance", deployment, **{"step": "all", **more})
    assert isinstance(snapshot, PerformanceSnapshot)
    return snapshot


def whole_of(store: Store, deployment: str, version: str) -> Figures:
    """The version's only line over the window."""
    (found,) = [f for f in performance(store, deployment).whole if f.group.version == version]
    return found


def states(metrics: Any, *names: str) -> set[State]:
    return {e.state for name, e in metrics.items() if not names or name in names}


@pytest.mark.parametrize("window", [BEFORE, AFTER], ids=["before the first row", "after the last"])
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_a_window_without_rows_is_empty_in_every_pane(
    awkward_store: Store, deployment: str, window: dict[str, datetime]
) -> None:
    for pane in PANES:
        document = json.loads(awkward_store.show(pane, deployment, **window))
        assert document["rows"] == [], pane
        table = awkward_store.show(pane, deployment, "table", **window)
        bad = any(said in table for said in ("no predictions", "no segments", "no such row"))
        assert bad, pane
        assert "nan" not in table.lower()


def later(store: Store, **hours: float) -> Store:
    """The same store, looked at some time after its newest row."""
    return replace(store, clock=awkward.at(awkward.ROWS) + timedelta(**hours))


def as_it_comes(store: Store, **hours: float) -> Store:
    """The same, of a service that is recorded while it runs: loading has a time of its own."""
    taker = Taker(store.taker.reader, store.config.deployment, load_times=True)
    return replace(later(store, **hours), taker=taker)


def test_a_window_without_rows_is_a_finding(awkward_store: Store) -> None:
    document = json.loads(
        later(awkward_store, hours=5).show("data", "binary", window=timedelta(hours=2))
    )
    assert document["rows"] == []
    assert document["findings"][0] == {
        "severity": "bad",
        "pane": "data",
        "text": "no predictions in this window; the newest is of 2024-03-31 23:53",
    }


def test_a_window_before_the_first_row_is_one_too(awkward_store: Store) -> None:
    document = json.loads(awkward_store.show("data", "binary", **BEFORE))
    assert document["findings"][0]["severity"] == "bad"


def test_an_outage_of_nine_days_is_no_quiet_hour(awkward_store: Store) -> None:
    store = later(awkward_store, days=9)
    document = json.loads(store.show("data", "binary", window=timedelta(days=1)))
    assert document["findings"][0]["severity"] == "bad"


def test_stale_is_told_from_the_clock(awkward_store: Store) -> None:
    """Without a week of history two hours decide."""
    for hours, cried in ((1.5, False), (3.0, True)):
        document = json.loads(later(awkward_store, hours=hours).show("data", "binary"))
        found = [f["text"] for f in document["findings"] if "no predictions for" in f["text"]]
        assert found == (["no predictions for 3 h"] if cried else [])


@pytest.mark.parametrize(
    ("deployment", "said"),
    [
        ("bare", "no labels in this window: performance cannot be told"),
        ("scoreless", "no reference, or too few labels: performance cannot be judged"),
        ("number", "no reference, or too few labels: performance cannot be judged"),
    ],
)
def test_nothing_found_is_not_good_where_nothing_could_be_judged(
    awkward_store: Store, deployment: str, said: str
) -> None:
    assert performance(awkward_store, deployment).judged == 0
    (cell,) = view("performance", awkward_store.take("performance", deployment)).headline
    assert (cell.text, cell.tone) == (said, Tone.UNKNOWN)
    shown = awkward_store.take("overview")
    assert isinstance(shown, OverviewSnapshot)
    (row,) = [r for r in view("overview", shown).table.rows if r.key == deployment]
    assert row.cells[1].tone is not Tone.GOOD
    assert not any(r.judged for r in shown.rows if r.deployment == deployment)


def test_nothing_can_be_told_of_no_rows(awkward_store: Store) -> None:
    said = "no predictions in this window: nothing can be told"
    for pane in ("performance", "traffic"):
        (cell,) = view(pane, awkward_store.take(pane, "binary", **BEFORE)).headline
        assert (cell.text, cell.tone) == (said, Tone.UNKNOWN)
    for pane in PANES:
        made = view(pane, awkward_store.take(pane, "binary", **BEFORE))
        assert Tone.GOOD not in {cell.tone for cell in made.headline}, pane


def test_good_news_need_a_comparison() -> None:
    assert finding_cells(()) == (Cell("nothing found in this window", Tone.GOOD),)
    assert finding_cells((), unknown="why") == (Cell("why", Tone.UNKNOWN),)
    warned = (Finding(Severity.WARNING, "data", "look"),)
    assert finding_cells(warned, unknown="why") == (Cell("look", Tone.WARN),)


def test_before_the_first_row_nothing_has_an_age(awkward_store: Store) -> None:
    moment = awkward.FIRST - timedelta(days=3)
    document = json.loads(awkward_store.show("data", "binary", as_of=moment))
    assert document["last_prediction"] is None
    assert document["age_seconds"] is None


def test_the_newest_row_of_a_moment_is_one_that_had_come(awkward_store: Store) -> None:
    moment = awkward.at(1) + timedelta(minutes=5)
    document = json.loads(awkward_store.show("data", "binary", as_of=moment))
    assert document["age_seconds"] == 300


def test_the_newest_label_of_a_moment_is_one_that_had_come(awkward_store: Store) -> None:
    moment = awkward.FIRST + timedelta(hours=1, minutes=30)
    document = json.loads(awkward_store.show("data", "binary", as_of=moment))
    assert document["label_coverage"]["value"] == 0.0
    assert document["last_label"] is None


def test_a_record_is_not_in_quarantine_before_it_was_read(awkward_store: Store) -> None:
    """Its label could not be read when the logs were recorded, at LAST_KNOWN."""
    store = as_it_comes(awkward_store, days=1)
    for as_of, known in ((awkward.LAST_KNOWN - timedelta(seconds=1), False), (None, True)):
        document = json.loads(store.show("data", "binary", as_of=as_of))
        reasons = [(q["reason"], q["n"], q["n_recent"]) for q in document["quarantine"]]
        assert reasons == ([("label not readable", 1, 1)] if known else [])
        contents = [json.loads(r["content"]) for r in document["quarantine_records"]]
        assert [(c["id"], c["label"]) for c in contents] == ([("r1", "perhaps")] if known else [])
        assert bool(document["sources"]) is known
        told = [f["text"] for f in document["findings"] if "quarantine" in f["text"]]
        assert told == (["1 records went to quarantine: label not readable 1"] if known else [])


def test_quarantine_of_exported_logs_is_shown_whenever_they_were_read(awkward_store: Store) -> None:
    for more in ({}, {"as_of": awkward.at(100)}):
        document = json.loads(awkward_store.show("data", "binary", **more))
        reasons = [(q["reason"], q["n"], q["n_recent"]) for q in document["quarantine"]]
        assert reasons == [("label not readable", 1, 1)]
        assert len(document["quarantine_records"]) == 1
        assert document["sources"]


def test_old_quarantine_is_kept_and_no_longer_a_finding(awkward_store: Store) -> None:
    store = as_it_comes(awkward_store, days=3)
    document = json.loads(store.show("data", "binary", window=timedelta(days=1)))
    assert [(q["n"], q["n_recent"]) for q in document["quarantine"]] == [(1, 0)]
    assert len(document["quarantine_records"]) == 1
    assert not [f for f in document["findings"] if "quarantine" in f["text"]]


def test_a_segment_of_performance_is_slice_by_slice(awkward_store: Store) -> None:
    """Each value has its own figures, and its own reference."""
    snapshot = performance(awkward_store, "binary", segment="band", version="v1")
    values = [f.group.value for f in snapshot.whole]
    assert len(values) == len(set(values)) >= 2
    every = whole_of(awkward_store, "binary", "v1")
    assert sum(f.n for f in snapshot.whole) == every.n
    for f in snapshot.whole:
        reference = snapshot.reference_of(f)
        if reference is not None:
            assert (reference.group.value, reference.group.segment) == (
                f.group.value,
                f.group.segment,
            )
    known = [r for f in snapshot.whole if (r := snapshot.reference_of(f)) is not None]
    assert len(known) >= 2
    assert len({r.n for r in known}) == len(known)
    assert [key for key, _ in snapshot.lines] == sorted({("v1", v, "") for v in values})


def test_a_version_without_labels_says_so(awkward_store: Store) -> None:
    found = whole_of(awkward_store, "binary", awkward.UNLABELLED)
    assert found.n > 0
    assert found.n_labelled == 0
    assert states(found.metrics) == {State.NO_LABELS}


def test_a_deployment_without_labels_shows_its_traffic_all_the_same(awkward_store: Store) -> None:
    found = whole_of(awkward_store, "bare", "all")
    assert (found.n, found.n_labelled) == (120, 0)
    assert states(found.metrics) == {State.NO_LABELS}
    traffic = awkward_store.take("traffic", "bare", step="all")
    assert isinstance(traffic, TrafficSnapshot)
    assert [r.n for r in traffic.whole] == [120]
    assert "no labels" in awkward_store.show("performance", "bare", "table")


def test_few_labels_give_a_value_with_a_mark(awkward_store: Store) -> None:
    snapshot = performance(awkward_store, "binary", version="v1")
    metrics = snapshot.whole[0].metrics
    for name in ("precision", "recall", "specificity"):
        e = metrics[name]
        assert 0 < e.n < TOO_FEW
        assert (e.state, e.value is None) == (State.TOO_FEW, False), name
    assert metrics["accuracy"].n >= TOO_FEW
    assert metrics["accuracy"].state is State.OK
    row = awkward_store.show("performance", "binary", "table", version="v1", step="all")
    assert f"{metrics['recall'].value:.3f}?" in row


def test_one_class_only_leaves_open_what_needs_two(awkward_store: Store) -> None:
    found = whole_of(awkward_store, "scoreless", "all")
    assert found.n_labelled == 60
    # nothing was positive: recall and AUC have no denominator, the false positive rate has
    assert states(found.metrics, "recall", "fnr", "mcc", "roc_auc") == {State.CANNOT_TELL}
    assert found.metrics["precision"].value == 0.0
    assert found.metrics["fpr"].value == 0.5


def test_without_a_score_its_figures_cannot_be_told(awkward_store: Store) -> None:
    found = whole_of(awkward_store, "scoreless", "all")
    scored = ("roc_auc", "average_precision", "log_loss", "brier", "ece")
    assert states(found.metrics, *scored) == {State.CANNOT_TELL}
    assert found.metrics["accuracy"].state is State.STALE  # its log ended before the newest one


def test_without_a_reference_drift_cannot_be_told(awkward_store: Store) -> None:
    for deployment in ("number", "bare"):
        snapshot = awkward_store.take("drift", deployment)
        assert isinstance(snapshot, DriftSnapshot)
        assert not snapshot.has_reference
        assert snapshot.rows
        assert snapshot.findings == ()
        for row in snapshot.rows:
            assert row.state is DriftState.CANNOT_TELL
            assert row.metrics["psi"].state is State.CANNOT_TELL
            assert row.metrics["null_rate"].value is not None
        table = awkward_store.show("drift", deployment, "table")
        assert "no reference" in table
        assert "no drift" not in table.partition("----")[2].partition("PSI against")[0]


def test_null_rates_count_what_is_no_number(awkward_store: Store) -> None:
    snapshot = awkward_store.take("drift", "number")
    assert isinstance(snapshot, DriftSnapshot)
    for version in ("1", "2"):
        (row,) = [r for r in snapshot.rows if (r.version, r.feature) == (version, "num")]
        mine = [i for i in range(150) if ("1" if i % 2 else "2") == version]
        values = [awkward.number_of(i) for i in mine]
        gone = sum(1 for x in values if x is None or not np.isfinite(x))
        assert row.metrics["null_rate"].value == gone / len(mine)


def test_a_deployment_without_segments_says_how_to_get_them(awkward_store: Store) -> None:
    table = awkward_store.show("subgroups", "bare", "table")
    assert "no segments" in table
    assert "configuration" in table


def test_the_last_hours_are_provisional_while_labels_are_due(awkward_store: Store) -> None:
    """Seen in the middle of the stream: labels come two hours after their predictions."""
    moment = awkward.at(100)
    snapshot = performance(awkward_store, "binary", as_of=moment, step="hour")
    by_start: dict[datetime, set[State]] = {}
    for f in snapshot.series:
        if f.group.version == "v1" and f.group.start is not None:
            by_start[f.group.start] = states(f.metrics, "accuracy")
    late = {
        s
        for start, found in by_start.items()
        if start >= moment - timedelta(hours=1)
        for s in found
    }
    early = {
        s for start, found in by_start.items() if start < moment - timedelta(hours=6) for s in found
    }
    assert State.OK not in late
    assert State.PROVISIONAL not in early
    assert snapshot.whole


def test_a_figure_of_due_labels_is_never_plain_ok(awkward_store: Store) -> None:
    moment = awkward.at(60)
    window = {"start": moment - timedelta(hours=3), "end": moment, "as_of": moment}
    for f in performance(awkward_store, "binary", **window).whole:
        assert State.OK not in states(f.metrics), f.group.version


# -- the other tasks end to end ------------------------------------------------------------------


def test_multiclass_figures_equal_an_independent_computation(awkward_store: Store) -> None:
    for f in performance(awkward_store, "multi").whole:
        rows = [i for i in range(200) if ("a" if i % 3 else "b") == f.group.version]
        known = [i for i in rows if i % 10]
        y, said = [awkward.true_class(i) for i in known], [awkward.said_class(i) for i in known]
        assert (f.n, f.n_labelled) == (len(rows), len(known))
        macro = {"average": "macro", "zero_division": np.nan}
        for name, value in (
            ("accuracy", sk.accuracy_score(y, said)),
            ("precision", sk.precision_score(y, said, **macro)),
            ("recall", sk.recall_score(y, said, **macro)),
            ("mcc", sk.matthews_corrcoef(y, said)),
        ):
            assert f.metrics[name].value == pytest.approx(value, abs=1e-12), name
        assert f.by_class is not None
        for name in awkward.CLASSES:
            one, guess = [c == name for c in y], [c == name for c in said]
            recall = f.by_class[name]["recall"]
            if any(one):
                assert recall.value == pytest.approx(sk.recall_score(one, guess), abs=1e-12)
            else:
                assert recall.state is State.CANNOT_TELL
        share = max(y.count(c) for c in set(y)) / len(y)
        assert f.baselines is not None
        assert f.baselines["majority"]["accuracy"].value == pytest.approx(share)
        right = sum(c == awkward.CLASSES[0] for c in y) / len(y)
        assert f.baselines["fallback"]["accuracy"].value == pytest.approx(right)


def test_multiclass_probabilities_are_judged_where_every_label_is_known(
    awkward_store: Store,
) -> None:
    """Of the rows before the first label of an unknown class."""
    window = {"start": awkward.FIRST, "end": awkward.FIRST + timedelta(hours=5)}
    for f in performance(awkward_store, "multi", **window).whole:
        rows = [
            i for i in range(200)
            if ("a" if i % 3 else "b") == f.group.version
            and i % 10
            and awkward.at(i) < window["end"]
        ]  # fmt: skip
        assert f.n_labelled == len(rows)
        y = [awkward.CLASSES.index(awkward.true_class(i)) for i in rows]
        p = np.array([awkward.probabilities(i) for i in rows])
        log_loss = -np.mean(np.log(p[np.arange(len(y)), y]))
        assert f.metrics["log_loss"].value == pytest.approx(log_loss, abs=1e-9)
        brier = np.mean(((p - np.eye(3)[y]) ** 2).sum(axis=1))
        assert f.metrics["brier"].value == pytest.approx(brier, abs=1e-9)
        assert f.by_class is not None
        for k, name in enumerate(awkward.CLASSES):
            truth = np.array(y) == k
            e = f.by_class[name]["roc_auc"]
            if truth.any() and not truth.all():
                assert e.value is not None
                assert e.bin_error is not None
                exact = sk.roc_auc_score(truth, p[:, k])
                assert abs(e.value - exact) <= e.bin_error + 1e-12


def test_regression_figures_leave_out_nothing_but_zeros_of_the_share(
    awkward_store: Store,
) -> None:
    for f in performance(awkward_store, "number").whole:
        rows = [i for i in range(150) if ("1" if i % 2 else "2") == f.group.version]
        y = np.array([awkward.number_truth(i) for i in rows])
        said = np.array([awkward.number_said(i) for i in rows])
        assert f.metrics["mae"].value == pytest.approx(np.abs(said - y).mean())
        assert f.metrics["r2"].value == pytest.approx(sk.r2_score(y, said))
        nonzero = y != 0
        mape = np.abs((said - y)[nonzero] / y[nonzero]).mean()
        assert f.metrics["mape"].value == pytest.approx(mape)
        assert f.metrics["mape"].n == nonzero.sum() < len(rows)


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_every_pane_and_every_detail_of_every_task_is_drawn(
    awkward_store: Store, deployment: str
) -> None:
    for pane in PANES:
        made = view(pane, awkward_store.take(pane, deployment))
        width = len(made.table.columns)
        assert made.headline
        assert all(len(row.cells) == width for row in made.table.rows)
        keys = {row.key for row in made.table.rows}
        assert len(keys) == len(made.table.rows), (pane, "two rows with one key")
        assert {key for key, _ in made.details} <= keys
        for _, detail in made.details:
            for table in detail.tables:
                assert all(len(row.cells) == len(table.columns) for row in table.rows)


def test_a_corrected_label_counts_once_and_as_last_received(awkward_store: Store) -> None:
    """r0 was labelled twice; three hours later the second answer holds."""
    hour = {"start": awkward.FIRST, "end": awkward.FIRST + timedelta(hours=1), "version": "v1"}
    rows = [i for i in range(awkward.ROWS) if awkward.at(i) < hour["end"] and i % 5 == 0]
    assert rows[0] == 0
    for as_of, truth in (
        (awkward.FIRST + timedelta(hours=4), awkward.truth_of(0)),
        (awkward.FIRST + timedelta(hours=6), 1 - awkward.truth_of(0)),
    ):
        (f,) = performance(awkward_store, "binary", as_of=as_of, **hour).whole
        answers = [truth, *(awkward.truth_of(i) for i in rows[1:])]
        assert f.n_labelled == len(rows)
        assert f.confusion is not None
        assert f.confusion.tp + f.confusion.fn == sum(answers)


def test_the_overview_has_every_deployment_once(awkward_store: Store) -> None:
    snapshot = awkward_store.take("overview")
    assert isinstance(snapshot, OverviewSnapshot)
    assert sorted(row.deployment for row in snapshot.rows) == sorted(DEPLOYMENTS)
    severities = [row.severity for row in snapshot.rows]
    assert severities == sorted(severities, reverse=True)
