"""The fallback: January's late rate and mean delay by carrier and origin, shrunk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from recipe.training import day_folds, labelled, threshold_at_base_rate

FIRST, LAST = date(2013, 1, 1), date(2013, 1, 31)  # local days
SHRINK = 200  # pseudo-flights at the overall rate


@dataclass(frozen=True, slots=True)
class Fallback:
    """January's late rate and mean delay by carrier and origin, shrunk to the overall."""

    table: pl.DataFrame  # carrier, origin, fallback_score, fallback_delay
    score: float  # overall late rate, for unseen pairs
    delay: float  # overall mean delay in minutes
    threshold: float


def train(flights: pl.DataFrame) -> Fallback:
    """Rates over January; the threshold is out of fold, as the models' are."""
    rows = labelled(flights, FIRST, LAST)
    late = rows["late"].to_numpy()
    out_of_fold = np.empty(rows.height)
    for fit, held in day_folds(rows):
        part = _rates(rows[fit])
        out_of_fold[held] = add(rows[held], part)["fallback_score"].to_numpy()
    rates = _rates(rows)
    return Fallback(
        rates.table, rates.score, rates.delay, threshold_at_base_rate(out_of_fold, late)
    )


def add(flights: pl.DataFrame, fallback: Fallback) -> pl.DataFrame:
    """Add fallback_score and fallback_delay; an unseen pair gets the overall values."""
    return flights.join(
        fallback.table, on=("carrier", "origin"), how="left", maintain_order="left"
    ).with_columns(
        pl.col("fallback_score").fill_null(fallback.score),
        pl.col("fallback_delay").fill_null(fallback.delay),
    )


def _rates(rows: pl.DataFrame) -> Fallback:
    """Shrunk means: (sum + SHRINK * overall) / (n + SHRINK); the threshold is unset."""
    rate = int(rows["late"].sum()) / rows.height
    delay = int(rows["delay_minutes"].cast(pl.Int64).sum()) / rows.height
    sums = rows.group_by("carrier", "origin").agg(
        pl.len().cast(pl.Int64).alias("n"),
        pl.col("late").cast(pl.Int64).sum().alias("n_late"),
        pl.col("delay_minutes").cast(pl.Int64).sum().alias("minutes"),
    )
    table = sums.select(
        "carrier",
        "origin",
        ((pl.col("n_late") + SHRINK * rate) / (pl.col("n") + SHRINK)).alias("fallback_score"),
        ((pl.col("minutes") + SHRINK * delay) / (pl.col("n") + SHRINK)).alias("fallback_delay"),
    )
    return Fallback(table, rate, delay, float("nan"))
