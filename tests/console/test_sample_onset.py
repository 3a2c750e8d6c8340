"""When and how the incidents of the shipped sample began, against its raw rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from sample_rows import predictions
from sample_store import Sample

from console.analysis.onset import Onset, Point, onset_of

V1 = ("v1", "", "")


def by_hour(start: datetime, end: datetime, share: pl.Expr) -> Onset:
    """The onset of a share of rows, by the hour."""
    at = pl.col("timestamp")
    found = (
        predictions()
        .filter((at >= start) & (at < end))
        .group_by(at.dt.truncate("1h").alias("hour"))
        .agg(share.mean().alias("share"), pl.len().alias("n"))
    )
    points = [Point(hour, value, n) for hour, value, n in found.iter_rows()]
    return onset_of(points, share=True)


def test_the_broken_sensor_is_one_hour_of_12_february() -> None:
    window = datetime(2013, 2, 9, tzinfo=UTC), datetime(2013, 2, 15, tzinfo=UTC)
    o = by_hour(*window, pl.col("wind_speed") > 100)
    assert o.words == "a spike on 12 Feb 09:00 to 10:00, over"
    broken = predictions().filter(pl.col("wind_speed") > 100)["timestamp"]
    assert o.start is not None
    assert o.end is not None
    assert o.start <= broken.min() <= broken.max() < o.end  # type: ignore[operator]


def test_the_weather_is_missing_since_an_hour_of_31_december() -> None:
    end = datetime(2014, 1, 1, tzinfo=UTC)
    o = by_hour(end - timedelta(days=4), end, pl.col("temp").is_null())
    assert o.words == "abrupt since 31 Dec 01:00"
    last = predictions().filter(pl.col("temp").is_not_null())["timestamp"].max()
    assert o.start is not None
    assert last < o.start  # type: ignore[operator]
    assert (o.before, o.after) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.01))


def test_the_champion_is_said_to_be_worse_since_april(sample: Sample) -> None:
    """Temperature leaves the range that it was trained on in these weeks."""
    snapshot = sample.taker.performance(sample.ask("2013-04-01", "2013-06-01"))
    (text,) = [f.text for f in snapshot.findings if f.text.startswith("v1: f1")]
    assert " since about 1" in text
    assert text.endswith(" Apr")
    o = snapshot.courses[V1].onset
    assert o.lasting
    assert o.start is not None
    assert o.start.month == 4


def test_a_month_in_which_it_was_dead_all_along_has_no_since(sample: Sample) -> None:
    snapshot = sample.taker.performance(sample.ask("2013-07-01", "2013-08-01", version="v1"))
    (text,) = [f.text for f in snapshot.findings if f.text.startswith("v1: f1")]
    assert "since" not in text


def test_slow_change_for_the_worse_is_an_alarm_in_spring_only(sample: Sample) -> None:
    alarms = []
    for month in range(3, 12):
        ask = sample.ask(f"2013-{month:02d}-20", f"2013-{month + 1:02d}-19")
        for version, _, _ in (courses := sample.taker.performance(ask).courses):
            slow = courses[version, "", ""].slow
            if slow is not None and slow.since is not None and not slow.rises:
                alarms.append((version, month))
    assert alarms == [("v1", 3)]
