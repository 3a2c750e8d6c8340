"""Performance figures of the shipped sample against scikit-learn on the raw Parquet rows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sample_rows import MONTHS, VERSIONS, known_at, of, reference
from sample_store import Sample
from sklearn import metrics as sk

from console.cli import main

FALLBACK_THRESHOLD = 0.2472556077683916
AUC_DISTANCE = 2e-3
AP_DISTANCE = 2e-3
ECE_DISTANCE = 6e-3
"""Ours are whole score bins put together to ten groups, theirs exact tenths: the share of rows
that sit in another group moves the value by at most this much in the sample."""

YEAR = ["--start", "2013-02-01", "--end", "2014-01-01", "--step", "month"]


def present(month: int) -> tuple[str, ...]:
    return tuple(v for v in VERSIONS if not of(month, v).is_empty())


CASES = [(month, version) for month in MONTHS for version in present(month)]


def shown(sample: Sample, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["show", *words, *sample.options, "--format", "json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def by_month(document: dict[str, Any]) -> dict[tuple[int, str], dict[str, Any]]:
    return {
        (datetime.fromisoformat(row["start"]).month, row["version"]): row
        for row in document["rows"]
    }


def values(row: dict[str, Any], section: str = "metrics") -> dict[str, float]:
    return {name: e["value"] for name, e in row[section].items()}


def equal_count_ece(y: NDArray[np.float64], s: NDArray[np.float64]) -> float:
    order = np.argsort(s, kind="stable")
    groups = np.array_split(order, 10)
    return float(sum(abs(s[g].sum() - y[g].sum()) for g in groups) / len(s))


def check_binary(row: dict[str, Any], raw: pl.DataFrame) -> None:
    """One row of the JSON against the raw rows of its month and version."""
    assert row["n"] == raw.height
    raw = raw.drop_nulls("late")
    assert row["n_labelled"] == raw.height
    y, said = raw["late"].to_numpy(), raw["late_predicted"].to_numpy()
    s = raw["late_score"].to_numpy()
    tn, fp, fn, tp = (int(v) for v in sk.confusion_matrix(y, said, labels=[False, True]).ravel())
    assert {k: row[k] for k in ("tp", "fp", "fn", "tn")} == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    found = values(row)
    exact = {
        "accuracy": sk.accuracy_score(y, said),
        "precision": sk.precision_score(y, said),
        "recall": sk.recall_score(y, said),
        "f1": sk.f1_score(y, said),
        "specificity": sk.recall_score(y, said, pos_label=False),
        "fpr": fp / (fp + tn),
        "fnr": fn / (fn + tp),
        "balanced_accuracy": sk.balanced_accuracy_score(y, said),
        "mcc": sk.matthews_corrcoef(y, said),
        "log_loss": sk.log_loss(y, s),
        "brier": sk.brier_score_loss(y, s),
    }
    for name, value in exact.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    for name, value, most in (
        ("roc_auc", sk.roc_auc_score(y, s), AUC_DISTANCE),
        ("average_precision", sk.average_precision_score(y, s), AP_DISTANCE),
    ):
        error = abs(found[name] - value)
        assert error <= row["metrics"][name]["bin_error"], name
        assert error <= most, name
    off = abs(found["ece"] - equal_count_ece(y.astype(float), s))
    assert off <= ECE_DISTANCE
    for name, e in row["metrics"].items():
        assert e["low"] <= e["value"] <= e["high"], name


def check_regression(row: dict[str, Any], raw: pl.DataFrame) -> None:
    assert row["n"] == raw.height
    raw = raw.drop_nulls("delay_minutes")
    assert row["n_labelled"] == raw.height
    y, said = raw["delay_minutes"].to_numpy().astype(float), raw["delay_predicted"].to_numpy()
    nonzero = y != 0  # a share of nothing is left out, where scikit-learn divides by epsilon
    exact = {
        "mae": sk.mean_absolute_error(y, said),
        "rmse": sk.root_mean_squared_error(y, said),
        "mape": sk.mean_absolute_percentage_error(y[nonzero], said[nonzero]),
        "bias": float(np.mean(said - y)),
        "r2": sk.r2_score(y, said),
    }
    found = values(row)
    for name, value in exact.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
    assert row["metrics"]["mape"]["n"] == nonzero.sum()


def test_figures_equal_an_independent_computation(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    found = by_month(shown(sample, capsys, "performance", *YEAR))
    assert sorted(found) == CASES
    for case in CASES:
        check_binary(found[case], of(*case))


def test_regression_figures_equal_an_independent_computation(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    found = by_month(shown(sample, capsys, "performance", "--deployment", "flight-delay", *YEAR))
    assert sorted(found) == CASES
    for case in CASES:
        check_regression(found[case], of(*case))


def test_every_interval_is_around_its_value_and_counts_its_rows(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    for row in shown(sample, capsys, "performance", *YEAR)["rows"]:
        counts = {name: e["n"] for name, e in row["metrics"].items()}
        assert counts["precision"] == row["tp"] + row["fp"]
        assert counts["recall"] == row["tp"] + row["fn"]
        assert counts["specificity"] == row["tn"] + row["fp"]
        assert counts["accuracy"] == counts["log_loss"] == row["n_labelled"]


def test_the_fallback_is_judged_on_the_same_rows(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    found = by_month(shown(sample, capsys, "performance", *YEAR))
    for case in CASES:
        raw = of(*case).drop_nulls("late")
        y, said = raw["late"], raw["fallback_score"] >= FALLBACK_THRESHOLD
        got = values(found[case]["baselines"], "fallback")
        assert got["f1"] == pytest.approx(sk.f1_score(y, said), abs=1e-12)
        assert got["recall"] == pytest.approx(sk.recall_score(y, said), abs=1e-12)
        assert got["precision"] == pytest.approx(sk.precision_score(y, said), abs=1e-12)
        assert got["accuracy"] == pytest.approx(sk.accuracy_score(y, said), abs=1e-12)
        majority = max(y.mean(), 1 - y.mean())
        assert values(found[case]["baselines"], "majority")["accuracy"] == pytest.approx(majority)


def test_the_regression_baselines_equal_an_independent_computation(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    found = by_month(shown(sample, capsys, "performance", "--deployment", "flight-delay", *YEAR))
    for case in CASES:
        raw = of(*case).drop_nulls("delay_minutes")
        y, said = raw["delay_minutes"].to_numpy(), raw["fallback_delay"].to_numpy()
        got = values(found[case]["baselines"], "fallback")
        assert got["mae"] == pytest.approx(sk.mean_absolute_error(y, said), rel=1e-9)
        assert got["rmse"] == pytest.approx(sk.root_mean_squared_error(y, said), rel=1e-9)
        assert got["bias"] == pytest.approx(float(np.mean(said - y)), rel=1e-9)
        spread = values(found[case]["baselines"], "mean")["rmse"]
        assert spread == pytest.approx(float(np.std(y)), rel=1e-9)


def test_error_quantiles_are_within_their_bin_error(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--deployment", "flight-delay", "--start", "2013-06-01", "--end", "2013-07-01"]
    found = shown(sample, capsys, "performance", *words, "--step", "week")["error_quantiles"]
    assert sorted(found) == list(VERSIONS)
    for version in VERSIONS:
        raw = of(6, version).drop_nulls("delay_minutes")
        error = (raw["delay_predicted"] - raw["delay_minutes"]).to_numpy()
        assert sorted(found[version]) == ["0.05", "0.25", "0.5", "0.75", "0.95"]
        for level, e in found[version].items():
            exact = np.quantile(error, float(level), method="inverted_cdf")
            assert abs(e["value"] - exact) <= e["bin_error"] + 1e-9, (version, level)
            assert e["low"] <= e["value"] <= e["high"]
            assert e["n"] == len(error)
            # an eighth of a power of e, and never more than that
            assert e["bin_error"] <= 0.14 * (1 + abs(exact))
    one = shown(sample, capsys, "performance", *words, "--version", "v2", "--step", "week")
    assert one["error_quantiles"] == {"v2": found["v2"]}


def test_a_classifier_has_no_error_quantiles(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--start", "2013-06-01", "--end", "2013-06-08"]
    assert "error_quantiles" not in shown(sample, capsys, "performance", *words)


def test_the_reference_is_judged_like_the_window(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    of_version = {r["version"]: r for r in shown(sample, capsys, "performance", *YEAR)["reference"]}
    assert set(of_version) == set(VERSIONS)
    for version in VERSIONS:
        raw = reference(version)
        y, said, s = raw["late"], raw["late_predicted"], raw["late_score"]
        got = values(of_version[version])
        assert of_version[version]["n"] == raw.height
        assert got["f1"] == pytest.approx(sk.f1_score(y, said), abs=1e-12)
        assert got["log_loss"] == pytest.approx(sk.log_loss(y, s), abs=1e-9)
        assert got["roc_auc"] == pytest.approx(sk.roc_auc_score(y, s), abs=AUC_DISTANCE)


def test_one_figure_over_the_window_is_that_of_all_its_rows(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    """Months merge to the whole: the same rows, not a mean of the months' figures."""
    words = ["--start", "2013-06-01", "--end", "2013-09-01", "--step", "all", "--version", "v2"]
    (row,) = shown(sample, capsys, "performance", *words)["rows"]
    check_binary(row, pl.concat(of(month, "v2") for month in (6, 7, 8)))


def test_the_window_before_is_of_equal_length_and_ends_at_the_start(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--start", "2013-06-01", "--end", "2013-06-15", "--step", "day"]
    before = shown(sample, capsys, "performance", *words)["window_before"]
    for f in before:
        raw = of(5, f["version"]).filter(
            pl.col("timestamp") >= pl.datetime(2013, 5, 18, time_zone="UTC")
        )
        assert f["n"] == raw.height
        known = raw.drop_nulls("late")
        f1 = sk.f1_score(known["late"], known["late_predicted"])
        assert f["metrics"]["f1"]["value"] == pytest.approx(f1, abs=1e-12)
    assert [f["version"] for f in before] == ["v1", "v2"]


@pytest.mark.parametrize("moment", ["2013-02-12T14:00", "2013-06-15T18:30", "2013-02-01T08:30"])
def test_as_of_shows_what_was_known_then(
    sample: Sample, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    words = ["--as-of", moment, "--window", "12d", "--step", "all"]
    document = shown(sample, capsys, "performance", *words)
    at = datetime.fromisoformat(moment + "+00:00")
    start = datetime.fromisoformat(document["window"]["start"])
    raw = known_at(at).filter(pl.col("timestamp") >= start)
    versions = sorted(raw["version"].unique())
    assert [row["version"] for row in document["rows"]] == versions
    for row in document["rows"]:
        mine = raw.filter(pl.col("version") == row["version"])
        assert row["n"] == mine.height
        known = mine.drop_nulls("late")
        assert row["n_labelled"] == known.height
        y, said, s = known["late"], known["late_predicted"], known["late_score"]
        cells = [(y & said).sum(), (~y & said).sum(), (y & ~said).sum(), (~y & ~said).sum()]
        assert [row[k] for k in ("tp", "fp", "fn", "tn")] == cells
        if known.height:
            got = values(row)
            assert got["log_loss"] == pytest.approx(sk.log_loss(y, s), abs=1e-9)
            assert got["brier"] == pytest.approx(sk.brier_score_loss(y, s), abs=1e-9)


def test_as_of_of_the_regression_shows_what_was_known_then(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--deployment",
        "flight-delay",
        "--as-of",
        "2013-02-12T14:00",
        "--window",
        "1d",
        "--step",
        "all",
    ]
    document = shown(sample, capsys, "performance", *words)
    at = datetime.fromisoformat("2013-02-12T14:00+00:00")
    start = datetime.fromisoformat(document["window"]["start"])
    (row,) = document["rows"]
    check_regression(row, known_at(at).filter(pl.col("timestamp") >= start))
    # and what has come since is not in it
    assert (
        row["n_labelled"]
        < of(2, "v1")
        .filter((pl.col("timestamp") >= start) & (pl.col("timestamp") < at))["delay_minutes"]
        .drop_nulls()
        .len()
    )


def test_the_past_is_the_same_whatever_is_asked_first(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["performance", "--as-of", "2013-02-12T14:00", "--window", "2d", "--step", "hour"]
    first = shown(sample, capsys, *words)
    shown(sample, capsys, "performance", "--as-of", "2013-02-12T20:00", "--window", "2d")
    assert shown(sample, capsys, *words) == first
