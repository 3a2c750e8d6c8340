"""Lengths of time as a configuration writes them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

__all__ = ["Duration", "duration", "written_duration"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_FORM = re.compile(r"\s*(\d{1,6})\s*([smhdwy])\s*")


def duration(text: str) -> timedelta:
    """`15s`, `90m`, `6h`, `7d`, `4w`, `1y` (365 days). Raises ValueError with what is accepted."""
    found = _FORM.fullmatch(text)
    if not found or int(found.group(1)) == 0:
        raise ValueError(f"{text!r} is no length of time; write it like 15s, 90m, 6h, 7d or 1y")
    return timedelta(seconds=int(found.group(1)) * _UNITS[found.group(2)])


def written_duration(length: timedelta) -> str:
    """The same in the shortest form that says it exactly."""
    seconds = int(length.total_seconds())
    unit = next(u for u, n in reversed(_UNITS.items()) if seconds % n == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def _given(value: object) -> object:
    return duration(value) if isinstance(value, str) else value


Duration = Annotated[
    timedelta, BeforeValidator(_given), PlainSerializer(written_duration, return_type=str)
]
