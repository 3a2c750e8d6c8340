"""The shipped sample holds what its README says, read from the Parquet files alone.

Figures were measured with scikit-learn when the sample was built; here polars
computes them again from the shipped rows.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data"
FEATURES = [
    "origin", "carrier", "dest", "distance", "dep_minute", "dow", "sched_load",
    "temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib",
    "cong_mean", "cong_count",
]  # fmt: skip
PREDICTIONS = [
    "request_id", "timestamp", "version", *FEATURES,
    "late_score", "late_predicted", "delay_predicted", "fallback_score", "fallback_delay",
]  # fmt: skip
REFERENCE = [*PREDICTIONS[:-1], "late", "delay_minutes"]
LABELS = ["request_id", "received_at", "late", "delay_minutes"]


@pytest.fixture(scope="module")
def predictions() -> pl.DataFrame:
    return _read("predictions")


@pytest.fixture(scope="module")
def labels() -> pl.DataFrame:
    return _read("labels")


@pytest.fixture(scope="module")
def judged(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Labelled predictions, with the fallback's decision."""
    threshold = _models()["fallback"]["late_threshold"]
    return predictions.join(labels, on="request_id", validate="1:1").with_columns(
        (pl.col("fallback_score") >= threshold).alias("fallback_predicted")
    )


# --- files -------------------------------------------------------------------


def test_the_whole_sample_is_under_8_mb() -> None:
    sizes = [path.stat().st_size for path in SAMPLE.rglob("*.parquet")]
    assert sum(sizes) < 8_000_000


def test_there_is_one_file_per_utc_month() -> None:
    months = [f"2013-{month:02}" for month in range(2, 13)]
    assert [path.stem for path in _files("predictions")] == months
    assert [path.stem for path in _files("labels")] == [*months, "2014-01"]


@pytest.mark.parametrize(
    ("folder", "clock", "columns"),
    [("predictions", "timestamp", PREDICTIONS), ("labels", "received_at", LABELS)],
)
def test_each_file_holds_its_month_in_order(folder: str, clock: str, columns: list[str]) -> None:
    for path in _files(folder):
        rows = pl.read_parquet(path)
        assert rows.columns == columns
        assert rows.schema[clock] == pl.Datetime("us", "UTC")
        assert rows[clock].dt.strftime("%Y-%m").unique().to_list() == [path.stem]
        order = [clock, "request_id"]
        assert rows.select(order).equals(rows.select(order).sort(order))


def test_missing_values_are_null_and_never_nan(predictions: pl.DataFrame) -> None:
    floats = predictions.select(pl.selectors.float())
    assert not any(floats[name].is_nan().any() for name in floats.columns)
    nullable = {name for name in predictions.columns if predictions[name].null_count()}
    weather = {"temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"}
    assert nullable == weather | {"cong_mean"}


def test_scores_keep_double_precision(predictions: pl.DataFrame) -> None:
    scores = ("late_score", "delay_predicted", "fallback_score", "fallback_delay")
    assert {predictions.schema[name] for name in scores} == {pl.Float64()}


# --- counts, ids, labels -------------------------------------------------------


def test_counts(predictions: pl.DataFrame, labels: pl.DataFrame) -> None:
    assert predictions.height == 103_388
    assert labels.height == 100_373


def test_ids_are_unique_and_every_label_has_its_prediction(
    predictions: pl.DataFrame, labels: pl.DataFrame
) -> None:
    assert predictions["request_id"].is_unique().all()
    assert labels["request_id"].is_unique().all()
    assert labels.join(predictions, on="request_id", how="anti").is_empty()


def test_ids_name_the_departure_two_hours_after_the_prediction(predictions: pl.DataFrame) -> None:
    parts = predictions.select(
        departure=(pl.col("timestamp") + pl.duration(hours=2)).dt.strftime("%Y%m%dT%H%M"),
        told=pl.col("request_id").str.slice(0, 13),
        ends=pl.format("-{}-{}", "origin", "dest") == pl.col("request_id").str.slice(-8),
    )
    assert (parts["departure"] == parts["told"]).all()
    assert parts["ends"].all()


def test_late_means_more_than_15_minutes(labels: pl.DataFrame) -> None:
    assert (labels["late"] == (labels["delay_minutes"] > 15)).all()


def test_about_2_8_percent_never_get_a_label(
    predictions: pl.DataFrame, labels: pl.DataFrame
) -> None:
    missing = 1 - labels.height / predictions.height
    assert missing == pytest.approx(0.028, abs=0.002)  # 0.0292 here, 0.0280 over the whole year


def test_labels_arrive_hours_after_the_prediction(judged: pl.DataFrame) -> None:
    hours = (judged["received_at"] - judged["timestamp"]).dt.total_minutes() / 60
    assert hours.quantile(0.5) == pytest.approx(4.8, abs=0.05)
    assert hours.quantile(0.99) == pytest.approx(9.8, abs=0.05)
    assert (hours > 2).all()


# --- routing -------------------------------------------------------------------


def test_routing_and_thinning_follow_the_hash(predictions: pl.DataFrame) -> None:
    hashes = [
        int(hashlib.sha256(request_id.encode()).hexdigest()[:8], 16)
        for request_id in predictions["request_id"]
    ]
    assert all(number // 100 % 3 == 0 for number in hashes)
    expected = [
        "v2" if number % 100 < _share(day) else "v1"
        for number, day in zip(hashes, predictions["timestamp"].dt.date(), strict=True)
    ]
    assert predictions["version"].to_list() == expected


# --- models and references ------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_decisions_follow_the_threshold(predictions: pl.DataFrame, version: str) -> None:
    rows = predictions.filter(version=version)
    threshold = _models()[version]["late_threshold"]
    assert (rows["late_predicted"] == (rows["late_score"] >= threshold)).all()
    assert rows["late_score"].is_between(0, 1).all()


@pytest.mark.parametrize(("version", "rows"), [("v1", 26_398), ("v2", 35_148)])
def test_reference_predicts_as_many_late_as_there_were(version: str, rows: int) -> None:
    reference = _reference(version)
    assert reference.columns == REFERENCE
    assert reference.height == rows
    assert reference["version"].unique().to_list() == [version]
    predicted = reference["late_predicted"].cast(pl.Int64).sum() / rows
    late = reference["late"].cast(pl.Int64).sum() / rows
    assert predicted == pytest.approx(late, abs=0.005)  # v2's is thinned, its threshold is not
    assert _auc(reference) == pytest.approx(_models()[version]["out_of_fold_auc"], abs=0.003)


def test_no_reference_row_is_traffic_of_its_own_version(predictions: pl.DataFrame) -> None:
    for version in ("v1", "v2"):
        answered = predictions.filter(version=version)
        assert answered.join(_reference(version), on="request_id", how="semi").is_empty()


# --- what a user finds -----------------------------------------------------------


def test_v1_is_dead_in_july_but_still_ranks(judged: pl.DataFrame) -> None:
    july = _month(judged, 7).filter(version="v1")
    assert _recall(july) == pytest.approx(0.03, abs=0.01)
    assert _auc(july) == pytest.approx(0.67, abs=0.04)  # 0.70 on these 941, 0.67 on all flights
    assert _accuracy(july) > 0.65


def test_the_fallback_beats_v1_on_f1_from_april_to_october(judged: pl.DataFrame) -> None:
    beaten = []
    for month in range(2, 13):
        rows = _month(judged, month).filter(version="v1")
        if _f1(rows, "fallback_predicted") > _f1(rows):
            beaten.append(month)
    assert beaten == [4, 5, 6, 7, 8, 9, 10]


def test_the_canary_wins_on_f1_while_its_accuracy_looks_worse(judged: pl.DataFrame) -> None:
    for start, end in ((date(2013, 5, 6), date(2013, 6, 3)), (date(2013, 6, 3), date(2013, 7, 1))):
        stage = judged.filter(pl.col("timestamp").dt.date().is_between(start, end, closed="left"))
        v1, v2 = stage.filter(version="v1"), stage.filter(version="v2")
        assert _f1(v2) > _f1(v1) + 0.2
        assert _accuracy(v2) < _accuracy(v1)


@pytest.mark.parametrize(("feature", "july"), [("temp", 7.97), ("dewp", 8.18)])
def test_weather_leaves_the_training_range(
    predictions: pl.DataFrame, feature: str, july: float
) -> None:
    trained_on = _reference("v1")[feature]
    edges = pl.Series(sorted({trained_on.quantile(step / 10) for step in range(1, 10)}))
    drift = {
        month: _psi(_binned(trained_on, edges), _binned(_month(predictions, month)[feature], edges))
        for month in range(2, 8)
    }
    assert drift[2] < 1
    assert all(drift[month] > 1 for month in range(3, 8))
    assert drift[7] == pytest.approx(july, abs=0.05)


@pytest.mark.parametrize("feature", ["carrier", "origin"])
def test_carrier_and_origin_stay_put(predictions: pl.DataFrame, feature: str) -> None:
    trained_on = _reference("v1")[feature]
    months = (_month(predictions, month)[feature] for month in range(2, 13))
    assert max(_psi(trained_on, seen) for seen in months) < 0.03


def test_a_broken_sensor_reports_1048_mph_on_12_february(predictions: pl.DataFrame) -> None:
    broken = predictions.filter(pl.col("wind_speed") > 100)
    assert broken.height == 10
    assert broken["timestamp"].dt.date().unique().to_list() == [date(2013, 2, 12)]
    assert broken["wind_speed"].round(0).unique().to_list() == [1048.0]
    assert (broken["late_score"] > 0.999).all()


def test_the_blizzard_halves_label_coverage(
    predictions: pl.DataFrame, judged: pl.DataFrame
) -> None:
    blizzard = pl.col("timestamp").dt.date().is_between(date(2013, 2, 8), date(2013, 2, 9))
    asked, landed = predictions.filter(blizzard).height, judged.filter(blizzard).height
    assert landed / asked == pytest.approx(0.47, abs=0.01)


def test_the_last_day_has_no_weather(predictions: pl.DataFrame) -> None:
    outage = predictions.filter(pl.col("timestamp") >= datetime(2013, 12, 31, 1, tzinfo=UTC))
    assert outage.height == 239
    assert outage.select("temp", "wind_speed", "visib").null_count().row(0) == (239, 239, 239)
    day_before = predictions.filter(pl.col("timestamp").dt.date() == date(2013, 12, 30))
    assert day_before["temp"].null_count() == 0


def test_v2_misses_early_morning_delays(judged: pl.DataFrame) -> None:
    v2 = judged.filter(version="v2")
    early = v2.filter((pl.col("dep_minute") // 60).is_between(5, 8))
    assert _recall(early) == pytest.approx(0.13, abs=0.01)
    assert _recall(v2) > 0.5


def test_precipitation_is_zero_inflated(predictions: pl.DataFrame) -> None:
    known = predictions["precip"].drop_nulls()
    assert known.eq(0).sum() / known.len() == pytest.approx(0.93, abs=0.01)


# --- helpers ---------------------------------------------------------------------


def _files(folder: str) -> list[Path]:
    return sorted((SAMPLE / folder).glob("*.parquet"))


def _read(folder: str) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(path) for path in _files(folder))


def _reference(version: str) -> pl.DataFrame:
    return pl.read_parquet(SAMPLE / "reference" / f"{version}.parquet")


def _models() -> dict[str, dict[str, float]]:
    content: dict[str, dict[str, float]] = json.loads((SAMPLE / "models.json").read_text())
    return content


def _share(day: date) -> int:
    """Percent of v2 on a UTC date, as the README states it."""
    if day >= date(2013, 7, 1):
        return 90
    if day >= date(2013, 6, 3):
        return 50
    return 10 if day >= date(2013, 5, 6) else 0


def _month(rows: pl.DataFrame, month: int) -> pl.DataFrame:
    return rows.filter(pl.col("timestamp").dt.month() == month)


def _recall(rows: pl.DataFrame) -> float:
    late = rows.filter("late")
    return late.filter("late_predicted").height / late.height


def _accuracy(rows: pl.DataFrame) -> float:
    return rows.filter(pl.col("late") == pl.col("late_predicted")).height / rows.height


def _f1(rows: pl.DataFrame, decision: str = "late_predicted") -> float:
    hits = rows.filter("late", decision).height
    return 2 * hits / (rows.filter("late").height + rows.filter(decision).height)


def _auc(rows: pl.DataFrame) -> float:
    """Mann-Whitney: mean rank of the late rows, ties shared."""
    ranked = rows.with_columns(pl.col("late_score").rank("average").alias("rank")).filter("late")
    n_late = ranked.height
    above = float(ranked["rank"].sum()) - n_late * (n_late + 1) / 2
    return above / (n_late * (rows.height - n_late))


def _binned(values: pl.Series, edges: pl.Series) -> pl.Series:
    """Number of the bin of each known value; a bin includes its lower edge."""
    return edges.search_sorted(values.drop_nulls(), side="right")


def _psi(expected: pl.Series, seen: pl.Series) -> float:
    """Population stability index over equal values; shares floored at 0.0001."""
    shares = [
        series.alias("bin").value_counts(normalize=True, name=name)
        for series, name in ((expected, "p"), (seen, "q"))
    ]
    both = shares[0].join(shares[1], on="bin", how="full").select("p", "q")
    p, q = (both[name].fill_null(0.0).clip(lower_bound=1e-4) for name in ("p", "q"))
    return float(((p - q) * (p / q).log()).sum())
