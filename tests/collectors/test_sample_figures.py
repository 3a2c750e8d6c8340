"""Figures from the store of the shipped sample equal those of other libraries on its raw files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import metrics
from synthetic import assert_adds_up

from collectors.contract import Deployment
from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from collectors.store.database import Database

SAMPLE = Path(__file__).parents[2] / "sample_data"
BEGIN, END = datetime(2013, 1, 1), datetime(2014, 2, 1)
NUMERIC = ("distance", "dep_minute", "temp", "wind_gust", "precip", "cong_count")


@pytest.fixture(scope="module")
def raw() -> pl.DataFrame:
    """Predictions of both deployments with the latest label."""
    rows = pl.read_parquet(SAMPLE / "predictions" / "*.parquet")
    labels = pl.read_parquet(SAMPLE / "labels" / "*.parquet")
    latest = labels.sort("received_at").unique("request_id", keep="last")
    return rows.join(latest, on="request_id", how="left").with_columns(
        pl.col("timestamp")
        .dt.convert_time_zone("UTC")
        .dt.truncate("1mo")
        .dt.replace_time_zone(None)
        .cast(pl.Datetime("us"))
        .alias("start")
    )


@pytest.fixture(scope="module")
def ingest() -> Iterator[Ingest]:
    config = tomllib.loads((SAMPLE / "modelwatch.toml").read_text())
    deployments = [Deployment.model_validate(d) for d in config["deployment"]]
    # segments multiply the work by seven and are compared with plain SQL elsewhere
    plain = [d.model_copy(update={"segments": d.segments[:1]}) for d in deployments]
    with Database(None) as database:
        ingest = Ingest(database, plain, SAMPLE, lambda: datetime(2014, 3, 1, tzinfo=UTC))
        collected = ingest.collect()
        assert not collected.problems
        yield ingest


@pytest.fixture
def reader(ingest: Ingest) -> Iterator[InProcessReader]:
    reader = InProcessReader(ingest.database)
    yield reader
    reader.close()


def query(reader: InProcessReader, name: str, deployment: str, **more: int) -> pl.DataFrame:
    return reader.query(name, deployment, start=BEGIN, end=END, step="month", **more)


def test_nothing_of_the_sample_is_lost(ingest: Ingest, raw: pl.DataFrame) -> None:
    for stored in ingest.stored.values():
        assert_adds_up(stored)
        predictions = stored.layout.table("predictions")
        sql = f"SELECT count(*) FROM {predictions}"
        assert ingest.database.connection.execute(sql).fetchall() == [(len(raw),)]


def test_confusion_log_loss_and_brier_equal_scikit_learn(
    reader: InProcessReader, raw: pl.DataFrame
) -> None:
    found = query(reader, "binary", "flight-late", first=0, last=0)
    months = 0
    for (start, version), rows in raw.group_by("start", "version"):
        cells = found.filter(pl.col("start") == start, pl.col("version") == version)
        assert cells["n"].sum() == len(rows)
        known = rows.filter(pl.col("late").is_not_null())
        assert cells["n_labelled"].sum() == len(known)
        y, p = known["late"].cast(pl.Int8).to_numpy(), known["late_score"].to_numpy()
        tn, fp, fn, tp = metrics.confusion_matrix(
            y, known["late_predicted"].cast(pl.Int8).to_numpy(), labels=[0, 1]
        ).ravel()
        yes, no = cells.filter(pl.col("predicted") == 1), cells.filter(pl.col("predicted") == 0)
        assert (yes["n_positive"].sum(), no["n_positive"].sum()) == (tp, fn)
        assert yes["n_labelled"].sum() == tp + fp
        assert no["n_labelled"].sum() == tn + fn
        log_loss = metrics.log_loss(y, p, labels=[0, 1], normalize=False)
        assert cells["log_loss_sum"].sum() == pytest.approx(log_loss, rel=1e-9)
        # sum (s - y)^2 = sum s^2 - 2 sum s y + sum y
        brier = cells["labelled_score_sq"].sum() - 2 * cells["positive_score_sum"].sum()
        brier += cells["n_positive"].sum()
        assert brier == pytest.approx(metrics.brier_score_loss(y, p) * len(y), rel=1e-9)
        months += 1
    assert months >= 12


def test_regression_sums_equal_polars(reader: InProcessReader, raw: pl.DataFrame) -> None:
    found = query(reader, "regression", "flight-delay", first=0, last=0)
    e, y = pl.col("delay_predicted") - pl.col("delay_minutes"), pl.col("delay_minutes")
    wanted = (
        raw.filter(y.is_not_null())
        .group_by("start", "version")
        .agg(
            n_labelled=pl.len(),
            y_sum=y.cast(pl.Float64).sum(),
            e_sum=e.sum(),
            e_abs=e.abs().sum(),
            e_sq=e.pow(2).sum(),
            e_quad=e.pow(4).sum(),
            ape_sum=(e / y).abs().filter(y != 0).sum(),
        )
    )
    joined = found.join(wanted, on=["start", "version"], suffix="_w")
    assert joined.height == wanted.height
    for row in joined.iter_rows(named=True):
        assert row["n_labelled"] == row["n_labelled_w"]
        for name in ("y_sum", "e_sum", "e_abs", "e_sq", "e_quad", "ape_sum"):
            assert row[name] == pytest.approx(row[f"{name}_w"], rel=1e-9), name


def test_feature_histograms_equal_numpy_on_the_same_edges(
    reader: InProcessReader, raw: pl.DataFrame, ingest: Ingest
) -> None:
    features = {f.name: i for i, f in enumerate(ingest.stored["flight-late"].deployment.features)}
    found = query(reader, "features", "flight-late", first=0, last=99)
    edges_of = reader.query("bins", "flight-late").filter(pl.col("upper").is_not_null())
    for name in NUMERIC:
        edges = edges_of.filter(pl.col("feature") == features[name])["upper"].to_numpy()
        for (start, version), rows in raw.group_by("start", "version"):
            cells = found.filter(
                pl.col("start") == start,
                pl.col("version") == version,
                pl.col("feature") == features[name],
            )
            values = rows[name].cast(pl.Float64).fill_nan(None)
            inside = values.drop_nulls().to_numpy()
            bins = np.bincount(np.searchsorted(edges, inside, side="left"))
            wanted = {int(b): int(n) for b, n in enumerate(bins) if n}
            counted = dict(cells.select("bin", "n").rows())
            not_there = counted.pop(-1, 0) + counted.pop(-2, 0)
            assert counted == wanted, (name, start, version)
            assert not_there == values.null_count()
            assert cells["value_sum"].sum() == pytest.approx(inside.sum(), rel=1e-9, abs=1e-6)


def test_categories_are_counted_as_in_the_raw_files(
    reader: InProcessReader, raw: pl.DataFrame
) -> None:
    found = query(reader, "features", "flight-late", first=0, last=2)
    bins = reader.query("bins", "flight-late").filter(pl.col("category").is_not_null())
    for number, name in enumerate(("origin", "carrier", "dest")):
        known = dict(bins.filter(pl.col("feature") == number).select("category", "bin").rows())
        wanted: dict[tuple[datetime, str, int], int] = {}
        for start, version, value, n in raw.group_by("start", "version", name).len().rows():
            key = (start, version, known.get(value, -3) if value is not None else -1)
            wanted[key] = wanted.get(key, 0) + n
        cells = found.filter(pl.col("feature") == number).select("start", "version", "bin", "n")
        assert {row[:3]: row[3] for row in cells.rows()} == wanted


def test_deciles_of_each_reference_are_exact_and_among_the_edges(
    reader: InProcessReader, ingest: Ingest
) -> None:
    profile = reader.query("reference_profile", "flight-late")
    edges_of = reader.query("bins", "flight-late")
    for i, feature in enumerate(ingest.stored["flight-late"].deployment.features):
        if feature.name not in NUMERIC:
            continue
        edges = set(edges_of.filter(pl.col("feature") == i)["upper"].drop_nulls().to_list())
        for version in ("v1", "v2"):
            values = (
                pl.read_parquet(SAMPLE / "reference" / f"{version}.parquet")[feature.name]
                .cast(pl.Float64)
                .fill_nan(None)
                .drop_nulls()
                .to_numpy()
            )
            row = profile.filter(pl.col("feature") == i, pl.col("version") == version)
            deciles = np.quantile(values, np.arange(1, 10) / 10)
            np.testing.assert_allclose(row["deciles"][0].to_list(), deciles, rtol=1e-12)
            assert set(row["deciles"][0].to_list()) <= edges
            assert (row["lowest"][0], row["highest"][0]) == (values.min(), values.max())
            assert row["mean"][0] == pytest.approx(values.mean(), rel=1e-9, abs=1e-9)
            assert row["sigma"][0] == pytest.approx(values.std(), rel=1e-6, abs=1e-9)
