"""Times: written ones to naive UTC in SQL, and ours into SQL.

A time in a log needs a zone: its own, or the deployment's `timezone`. With a zone that changes its
clocks, an hour that exists twice is read as the second one, and one that was skipped as if the
clock had not been changed yet (ICU's rule). Numbers are seconds, milli-, micro- or nanoseconds
since 1970, told by their size.
"""

from __future__ import annotations

from datetime import UTC, datetime

from collectors.store.names import text

__all__ = [
    "AT_ONCE",
    "AT_ONCE_END",
    "EARLIEST",
    "NO_TIME",
    "UNTIMED",
    "moment",
    "naive_utc",
    "stamp",
    "without_zone",
]

EARLIEST = "TIMESTAMP '1970-01-02'"
NO_TIME = "CAST(NULL AS TIMESTAMP)"
AT_ONCE, AT_ONCE_END = "TIMESTAMP '1900-01-01'", "TIMESTAMP '1960-01-01'"
"""From when labels are received that count as known with their prediction, until it is found."""

UNTIMED = "TIMESTAMP '2000-01-01'"
"""Where rows of a log without times lie, all in one hour. It is never shown."""

# a zone at the end of a written time: Z, +01, +01:00, +0100; a date's own '-01' has no time before
_ZONED = r"'[T ]\d{1,2}:\d{2}.*(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)\s*$'"
_NUMBER = r"'^\s*[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?\s*$'"


def naive_utc(moment: datetime) -> datetime:
    """An aware time in UTC without its zone; a naive one is taken as UTC already."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def stamp(moment: datetime) -> str:
    """A time (aware, or naive UTC) as SQL."""
    return f"TIMESTAMP '{naive_utc(moment).isoformat(sep=' ')}'"


def moment(column: str, kind: str, zone: str) -> str:
    """A column of type `kind` as naive UTC, NULL where it cannot be read."""
    if _has_zone(kind):
        return f"timezone('UTC', CAST({column} AS TIMESTAMPTZ))"
    naive = f"timezone('UTC', timezone({text(zone)}, {{}}))" if zone else "{}"
    if _is_time(kind):
        return naive.format(f"TRY_CAST({column} AS TIMESTAMP)")
    if kind in ("VARCHAR", "JSON"):
        local = naive.format(f"TRY_CAST({column} AS TIMESTAMP)")
        return (
            f"CASE WHEN regexp_matches({column}, {_NUMBER}) "
            f"THEN {_epoch(f'TRY_CAST({column} AS DOUBLE)')} "
            f"WHEN regexp_matches({column}, {_ZONED}) "
            f"THEN timezone('UTC', TRY_CAST({column} AS TIMESTAMPTZ)) ELSE {local} END"
        )
    return _epoch(f"TRY_CAST({column} AS DOUBLE)")


def without_zone(column: str, kind: str) -> str:
    """Whether a written time has no zone; SQL true or false."""
    if _has_zone(kind):
        return "false"
    if _is_time(kind):
        return f"{column} IS NOT NULL"
    if kind in ("VARCHAR", "JSON"):
        return (
            f"(TRY_CAST({column} AS TIMESTAMP) IS NOT NULL AND NOT regexp_matches({column}, "
            f"{_ZONED}) AND NOT regexp_matches({column}, {_NUMBER}))"
        )
    return "false"


def _has_zone(kind: str) -> bool:
    return kind == "TIMESTAMP WITH TIME ZONE" or kind.startswith("TIMESTAMPTZ")


def _is_time(kind: str) -> bool:
    return kind == "DATE" or kind.startswith("TIMESTAMP")


def _epoch(number: str) -> str:
    """Since 1970 in seconds, milli-, micro- or nanoseconds: 1973 to 2286, and the first day.

    Between a day and 1e8 a number is rather a date written without separators: not readable.
    """
    scaled = (
        f"CASE WHEN abs({number}) < 1e5 THEN {number} * 1e6 WHEN abs({number}) < 1e8 THEN NULL "
        f"WHEN abs({number}) < 1e11 THEN {number} * 1e6 WHEN abs({number}) < 1e14 "
        f"THEN {number} * 1e3 WHEN abs({number}) < 1e17 THEN {number} "
        f"WHEN abs({number}) < 1e20 THEN {number} / 1e3 END"
    )
    return f"make_timestamp(TRY_CAST({scaled} AS BIGINT))"
