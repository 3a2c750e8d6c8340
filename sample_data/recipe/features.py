"""What the models see: schedule, weather and congestion, all known at prediction time."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

CATEGORIES = ("origin", "carrier", "dest")
SCHEDULE = ("distance", "dep_minute", "dow", "sched_load")
WEATHER = (
    "temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib",
)  # fmt: skip
CONGESTION = ("cong_mean", "cong_count")
NUMBERS = SCHEDULE + WEATHER + CONGESTION
FEATURES = CATEGORIES + NUMBERS

CONGESTION_SPAN = timedelta(hours=3)
WEATHER_LAG = timedelta(hours=1)  # a report of the full hour before the last one

_Ints = npt.NDArray[np.int64]


def with_features(flights: pl.DataFrame, weather: pl.DataFrame) -> pl.DataFrame:
    """Add the FEATURES columns to `requests()`; unknown values are null."""
    return _with_congestion(_with_weather(_with_schedule(flights), weather))


def _with_schedule(flights: pl.DataFrame) -> pl.DataFrame:
    """Add distance (miles), dep_minute and dow (New York clock), sched_load.

    sched_load counts the flights scheduled from the same origin in the same
    clock hour, the flight itself and later cancellations included.
    """
    hour = pl.col("scheduled").dt.truncate("1h")
    return flights.with_columns(
        pl.col("distance").cast(pl.Int16),
        (pl.col("hour") * 60 + pl.col("minute")).cast(pl.Int16).alias("dep_minute"),
        pl.col("local_date").dt.weekday().cast(pl.Int8).alias("dow"),
        pl.len().over("origin", hour).cast(pl.Int16).alias("sched_load"),
    )


def _with_weather(flights: pl.DataFrame, weather: pl.DataFrame) -> pl.DataFrame:
    """Add the origin's weather report of floor_h(timestamp) - 1 h; null where there is none."""
    reports = weather.select(
        "origin",
        pl.col("time_hour").alias("report"),
        *(pl.col(name).cast(pl.Float64) for name in WEATHER),
    )
    wanted = pl.col("timestamp").dt.truncate("1h") - WEATHER_LAG
    return flights.with_columns(wanted.alias("report")).join(
        reports, on=("origin", "report"), how="left", validate="m:1"
    )


def _with_congestion(flights: pl.DataFrame) -> pl.DataFrame:
    """Add mean delay and count of the flights that left the origin in (t - 3 h, t]."""
    return pl.concat(
        _congestion_at(group) for group in flights.partition_by("origin", maintain_order=True)
    )


def _congestion_at(flights: pl.DataFrame) -> pl.DataFrame:
    """Congestion for one origin, by prefix sums over its departures in time order."""
    left = (
        flights.filter(pl.col("dep_delay").is_not_null())
        .select("dep_delay", at=pl.col("scheduled") + pl.duration(minutes=pl.col("dep_delay")))
        .sort("at")
    )
    at = _micros(left["at"])
    total = np.concatenate([[0], np.cumsum(left["dep_delay"].to_numpy())])
    now = _micros(flights["timestamp"])
    span = int(CONGESTION_SPAN.total_seconds() * 1_000_000)
    first = np.searchsorted(at, now - span, side="right")
    after = np.searchsorted(at, now, side="right")
    sums = flights.with_columns(
        pl.Series("cong_sum", total[after] - total[first]),
        pl.Series("cong_count", after - first).cast(pl.Int16),
    )
    mean = pl.col("cong_sum") / pl.col("cong_count")
    known = pl.when(pl.col("cong_count") > 0).then(mean)
    return sums.with_columns(known.alias("cong_mean")).drop("cong_sum")


def _micros(times: pl.Series) -> _Ints:
    return times.dt.epoch("us").to_numpy()
