"""The sample's rows straight from its Parquet files: what every figure is checked against."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path

import polars as pl

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data"
VERSIONS = ("v1", "v2")
MONTHS = tuple(range(2, 13))


@cache
def predictions() -> pl.DataFrame:
    """Every prediction; `month` in UTC, `band` as the configuration cuts the day."""
    bands = (
        ("05-08 h", 300),
        ("08-12 h", 480),
        ("12-16 h", 720),
        ("16-20 h", 960),
        ("20-24 h", 1200),
    )
    band = pl.lit("00-05 h")
    for name, minute in bands:
        band = pl.when(pl.col("dep_minute") >= minute).then(pl.lit(name)).otherwise(band)
    return pl.read_parquet(SAMPLE / "predictions" / "*.parquet").with_columns(
        month=pl.col("timestamp").dt.month(), departure=band
    )


@cache
def labels() -> pl.DataFrame:
    return pl.read_parquet(SAMPLE / "labels" / "*.parquet")


@cache
def rows() -> pl.DataFrame:
    """Predictions with the label that came for them, null where none did."""
    return predictions().join(labels(), on="request_id", how="left")


@cache
def reference(version: str) -> pl.DataFrame:
    return pl.read_parquet(SAMPLE / "reference" / f"{version}.parquet")


def known_at(moment: datetime) -> pl.DataFrame:
    """Rows and labels as they were known just at `moment`."""
    return (
        predictions()
        .filter(pl.col("timestamp") < moment)
        .join(labels().filter(pl.col("received_at") <= moment), on="request_id", how="left")
    )


@cache
def of(month: int, version: str) -> pl.DataFrame:
    return rows().filter((pl.col("month") == month) & (pl.col("version") == version))
