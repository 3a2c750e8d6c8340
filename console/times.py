"""Times as a user writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from console.errors import UsageError

__all__ = ["moment_near", "parse_duration", "parse_moment"]

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_moment(text: str) -> datetime:
    """An ISO time as aware UTC; without a zone it is UTC. Raises UsageError with the form."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(f"{text!r} is no time; write it like 2013-02-12T14:00 (UTC)") from error
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise UsageError(f"{text!r} is out of the range of times") from error


def moment_near(text: str, clock: datetime) -> datetime:
    """Like `parse_moment`, with what is left out taken from the clock: 02-12, 02-12 14:00, 14:00.

    A month and day without a year is the last such day before the clock.
    """
    text = text.strip()
    day = re.fullmatch(r"(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}:\d{2}))?", text)
    try:
        if day:
            hour, _, minute = (day.group(3) or "00:00").partition(":")
            parts = (int(day.group(1)), int(day.group(2)), int(hour), int(minute))
            moment = datetime(clock.year, *parts, tzinfo=UTC)
            return moment if moment <= clock else moment.replace(year=clock.year - 1)
        if re.fullmatch(r"\d{1,2}:\d{2}", text):
            hour, _, minute = text.partition(":")
            return clock.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time: {error}") from error
    return parse_moment(text)


def parse_duration(text: str) -> timedelta:
    """`90m`, `6h`, `7d`, `4w`. Raises ValueError with what is accepted."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*([mhdw])\s*", text)
    if not found or int(found.group(1)) == 0:
        raise ValueError(f"{text!r} is no length of time; write it like 90m, 6h, 7d or 4w")
    return timedelta(seconds=int(found.group(1)) * _UNITS[found.group(2)])
