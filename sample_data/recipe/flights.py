"""Flights as requests: when each was asked, what it is called, when the truth arrived.

Adds to the raw flights the columns request_id, scheduled (UTC departure),
timestamp (prediction time), received_at (actual arrival), late, delay_minutes,
local_date (of the scheduled departure, New York), hash, version and kept.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

import polars as pl

LEAD = timedelta(hours=2)  # how long before the scheduled departure we predict
LATE_AFTER = 15  # minutes of arrival delay
HOME = "America/New_York"
FIRST_DAY = date(2013, 2, 1)  # local; January trained v1, so it is never traffic
END = datetime(2014, 1, 1, tzinfo=UTC)  # prediction time, exclusive

# Where the destination's clock differs from New York's.
_ZONES = {
    "America/Chicago": "AUS BHM BNA DFW DSM HOU IAH MCI MDW MEM MKE MSN MSP MSY OKC OMA "
    "ORD SAT STL TUL XNA",
    "America/Denver": "ABQ BZN DEN EGE HDN JAC MTJ SLC",
    "America/Los_Angeles": "BUR LAS LAX LGB OAK PDX PSP SAN SEA SFO SJC SMF SNA",
    "America/Phoenix": "PHX",
    "America/Puerto_Rico": "BQN PSE SJU STT",
    "Pacific/Honolulu": "HNL",
    "America/Anchorage": "ANC",
}
ZONE_OF = {dest: zone for zone, dests in _ZONES.items() for dest in dests.split()}

# Share of v2 in percent from the given UTC date of the prediction on.
SHARES = (
    (date(2013, 5, 6), 10),
    (date(2013, 6, 3), 50),
    (date(2013, 7, 1), 90),
)


def requests(raw: pl.DataFrame) -> pl.DataFrame:
    """One row per flight of the year, with every column the module docstring names."""
    timed = raw.with_columns(
        _utc("hour", "minute").alias("scheduled"),
        pl.date("year", "month", "day").alias("local_date"),
    ).with_columns((pl.col("scheduled") - LEAD).alias("timestamp"))
    named = timed.with_columns(_request_id().alias("request_id"))
    return _routed(_labelled(named))


def shipped(flights: pl.DataFrame) -> pl.DataFrame:
    """Return the thinned production traffic, February to December.

    Flights whose local day is in January trained v1 and stay out, even those
    asked after midnight UTC; so do the few asked after the year's end in UTC.
    """
    return flights.filter(
        "kept", pl.col("local_date") >= FIRST_DAY, pl.col("timestamp") < END
    ).sort("timestamp", "request_id")


def request_hash(request_id: str) -> int:
    """First 32 bits of the id's SHA-256: the coin that routes and thins."""
    return int(hashlib.sha256(request_id.encode()).hexdigest()[:8], 16)


def _utc(hour: str, minute: str) -> pl.Expr:
    """Turn New York wall clock into UTC. No departure falls into a doubled or skipped hour."""
    local = pl.datetime("year", "month", "day", hour, minute, time_zone=HOME)
    return local.dt.convert_time_zone("UTC")


def _request_id() -> pl.Expr:
    return pl.format(
        "{}-{}{}-{}-{}",
        pl.col("scheduled").dt.strftime("%Y%m%dT%H%M"),
        "carrier",
        "flight",
        "origin",
        "dest",
    )


def _labelled(flights: pl.DataFrame) -> pl.DataFrame:
    """Add late, delay_minutes and received_at; null for cancelled and diverted flights.

    The actual arrival is the scheduled arrival, read on the destination's clock,
    plus arr_delay. It agrees with arr_time, the actual arrival on that clock, for
    327,345 of 327,346 flights; the other one is in the hour that spring skips.
    An arrival clock that is not after the departure belongs to the next local day.
    """
    due = _on_destination_clock(_arrival_clock(0))
    next_due = _on_destination_clock(_arrival_clock(1))
    landed = pl.when(due > pl.col("scheduled")).then(due).otherwise(next_due)
    return (
        flights.with_columns(pl.col("dest").replace_strict(ZONE_OF, default=HOME).alias("zone"))
        .with_columns(
            (landed + pl.duration(minutes="arr_delay")).alias("received_at"),
            (pl.col("arr_delay") > LATE_AFTER).alias("late"),
            pl.col("arr_delay").cast(pl.Int16).alias("delay_minutes"),
        )
        .drop("zone")
    )


def _arrival_clock(days: int) -> pl.Expr:
    """sched_arr_time (hhmm) as a naive time, `days` after the day of departure."""
    clock = pl.col("sched_arr_time")
    start = pl.datetime("year", "month", "day")
    return start + pl.duration(days=days, hours=clock // 100, minutes=clock % 100)


def _on_destination_clock(naive: pl.Expr) -> pl.Expr:
    """Naive local time to UTC in the zone of each row.

    In the doubled hour of autumn the first reading is taken; a schedule never
    uses the skipped hour of spring.
    """
    result = pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    for zone in (HOME, *_ZONES):
        there = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        utc = there.dt.convert_time_zone("UTC")
        result = pl.when(pl.col("zone") == zone).then(utc).otherwise(result)
    return result


def _routed(flights: pl.DataFrame) -> pl.DataFrame:
    """Add hash, version ("v1" or "v2") and kept (true for one flight in three)."""
    hashes = [request_hash(request_id) for request_id in flights["request_id"]]
    day = pl.col("timestamp").dt.date()
    share: pl.Expr = pl.lit(0)
    for start, percent in SHARES:
        share = pl.when(day >= start).then(percent).otherwise(share)
    hashed = flights.with_columns(pl.Series("hash", hashes, dtype=pl.UInt32))
    return hashed.with_columns(
        pl.when(pl.col("hash") % 100 < share)
        .then(pl.lit("v2"))
        .otherwise(pl.lit("v1"))
        .alias("version"),
        (pl.col("hash") // 100 % 3 == 0).alias("kept"),
    )
