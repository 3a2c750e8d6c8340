"""Raw rows behind a figure: the same counts as the figure, from the shipped Parquet files."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest
from sample_rows import SAMPLE
from sample_store import Sample

from collectors.row_kinds import RowKind
from console.analysis.ask import Ask, RowsAsk, SegmentAsk
from console.analysis.raw_rows import RowsSnapshot
from console.cli import main
from console.feed import Explain, RowsRequest
from console.panes import view
from console.row_origins import parse_kind, rows_ask

JULY = ("2013-07-01", "2013-08-01")


def logged(month: str = "2013-07") -> pl.DataFrame:
    """The month's predictions with their labels, straight from the files."""
    labels = pl.concat([pl.read_parquet(p) for p in sorted((SAMPLE / "labels").glob("*.parquet"))])
    rows = pl.read_parquet(SAMPLE / "predictions" / f"{month}.parquet")
    return rows.join(labels, on="request_id", how="left")


def taken(
    sample: Sample, ask: Ask, kind: RowKind, most: int = 100, subject: str = ""
) -> RowsSnapshot:
    return sample.taker.rows(replace(ask, rows=RowsAsk(kind, subject, most)))


def test_counts_are_those_of_the_confusion_matrix(sample: Sample) -> None:
    ask = sample.ask(*JULY)
    for f in sample.taker.performance(ask).whole:
        of = replace(ask, version=f.group.version)
        c = f.confusion
        assert c is not None
        assert taken(sample, of, RowKind.FALSE_NEGATIVE).n == c.fn
        assert taken(sample, of, RowKind.FALSE_POSITIVE).n == c.fp
        assert taken(sample, of, RowKind.WRONG).n == c.fn + c.fp
        assert taken(sample, of, RowKind.UNLABELLED).n == f.n - f.n_labelled
        assert taken(sample, of, RowKind.ALL).n == f.n


def test_rows_are_the_logged_ones_in_the_order_of_their_error(sample: Sample) -> None:
    ask = replace(sample.ask(*JULY), version="v1", segment=SegmentAsk(("origin",), ("EWR",)))
    found = taken(sample, ask, RowKind.FALSE_NEGATIVE, most=20)
    raw = (
        logged()
        .filter(
            (pl.col("version") == "v1")
            & (pl.col("origin") == "EWR")
            & (pl.col("late_predicted").cast(pl.Int8) == 0)
            & (pl.col("late").cast(pl.Int8) == 1)
        )
        .sort(1 - pl.col("late_score"), "request_id", descending=[True, False])
    )
    assert found.n == raw.height
    assert [r.score for r in found.rows] == raw["late_score"].head(20).to_list()
    by_id = {r["request_id"]: r for r in raw.to_dicts()}
    for row in found.rows:
        for feature in row.features:
            value = by_id[row.id][feature.name]
            assert feature.value == value or (value is None and feature.value is None)


def test_largest_errors_of_a_regression(sample: Sample) -> None:
    ask = sample.ask(*JULY, deployment="flight-delay")
    found = taken(sample, ask, RowKind.WRONG, most=10)
    raw = logged().with_columns(
        (pl.col("delay_predicted") - pl.col("delay_minutes")).abs().alias("e")
    )
    expected = raw["e"].drop_nulls().sort(descending=True).head(10).to_list()
    assert [r.error_size for r in found.rows] == pytest.approx(expected, rel=1e-12)


def test_rows_of_which_a_feature_is_outside_the_reference(sample: Sample) -> None:
    ask = replace(sample.ask(*JULY), version="v1")
    found = taken(sample, ask, RowKind.OUTSIDE, subject="temp")
    reference = pl.concat(
        [
            pl.read_parquet(SAMPLE / "reference" / f"{v}.parquet").select("temp")
            for v in ("v1", "v2")
        ]
    )["temp"]
    raw = logged().filter(pl.col("version") == "v1")["temp"]
    low, high = reference.min(), reference.max()
    outside = raw.is_null() | (raw < low) | (raw > high)  # type: ignore[operator]
    assert found.n == outside.sum()


def test_a_label_that_came_later_is_not_known_then(sample: Sample) -> None:
    ask = sample.ask("2013-07-10", "2013-07-11")
    past = replace(ask, as_of=datetime(2013, 7, 10, 18, tzinfo=UTC))
    raw = logged().with_columns(pl.col("timestamp", "received_at").dt.replace_time_zone("UTC"))
    window = raw.filter(
        (pl.col("timestamp") >= ask.start)
        & (pl.col("timestamp") < ask.end)
        & (pl.col("timestamp") <= past.as_of)
    )
    known = window.filter(pl.col("received_at") <= past.as_of)
    assert taken(sample, past, RowKind.ALL).n == window.height
    assert taken(sample, past, RowKind.UNLABELLED).n == window.height - known.height
    assert taken(sample, ask, RowKind.UNLABELLED).n < taken(sample, past, RowKind.UNLABELLED).n


def test_a_figure_leads_to_its_own_rows(sample: Sample) -> None:
    ask = sample.ask(*JULY)
    for row, column, kind, version in (
        ("v1", "recall", RowKind.FALSE_NEGATIVE, "v1"),
        ("v1/reference", "prec", RowKind.FALSE_POSITIVE, "v1"),
        ("v2", "labelled", RowKind.UNLABELLED, "v2"),
        ("v2", "F1", RowKind.WRONG, "v2"),
    ):
        found = rows_ask(sample.taker, ask, RowsRequest(Explain("performance", row, column)))
        assert (found.rows.kind, found.version) == (kind, version)
    drift = rows_ask(sample.taker, ask, RowsRequest(Explain("drift", "v1/temp", "PSI")))
    assert drift.rows == RowsAsk(RowKind.OUTSIDE, "temp")
    slices = rows_ask(
        sample.taker, ask, RowsRequest(Explain("subgroups", "v1/origin=EWR", "F1 gap"))
    )
    assert slices.segment == SegmentAsk(("origin",), ("EWR",))
    assert slices.version == "v1"


def test_a_page_says_where_a_value_lies_in_the_reference(sample: Sample) -> None:
    ask = replace(sample.ask(*JULY), version="v1")
    shown = view("rows", taken(sample, ask, RowKind.WRONG, most=5))
    assert len(shown.table.rows) == len(shown.details) == 5
    _, page = shown.details[0]
    places = {row.key: row.cells[2].text for row in page.tables[0].rows}
    assert places["temp"].startswith("above all of it")
    assert places["origin"] == "seen"


@pytest.mark.parametrize("text", ["", "nope", "outside", "outside=", "wrong=temp"])
def test_another_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no kind of row"):
        parse_kind(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rows", "--kind", "outside=nope"], "give the feature"),
        (["rows", "--limit", "0"], "--limit"),
        (["performance", "--limit", "3"], "about the panes rows"),
        (["rows", "--deployment", "flight-delay", "--kind", "false_negative"], "regression"),
    ],
)
def test_what_cannot_be_listed_is_a_sentence(
    sample: Sample, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", *words, *sample.options]) == 2
    assert said in capsys.readouterr().err


def test_the_json_holds_the_rows_whole(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--start", JULY[0], "--end", JULY[1], "--limit", "7", "--format", "json"]
    assert main(["show", "rows", *sample.options, *words]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["rows"]) == 7
    assert document["n_found"] > 1000
    assert set(document["rows"][0]["features"]) >= {"temp", "origin"}
