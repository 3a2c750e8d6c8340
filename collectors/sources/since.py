"""Times and numbers that say how far a source was read: which is later, and how to ask for more.

A value is written as it came: a server takes back what it gave. Values later than the clock are
left out, since one wrong record of the year 9999 would hide all that come after it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

__all__ = ["Farthest", "Mark", "read_mark"]

Kind = Literal["time", "epoch", "number"]

_NUMBER = re.compile(r"[+-]?\d{1,19}(\.\d{1,18})?", re.ASCII)
_SIZES = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (math.inf, 1e9))
"""Numbers below the first are units of which the second makes a second."""

_SINCE = 946_684_800  # 2000: what is smaller is taken for a number, not for a time
_YEAR_S = 366 * 86400
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Mark:
    """A time or number as a server writes it.

    kind: a written time, a number that may be one, another number. value: of a written time the
    seconds since 1970, else the number itself.
    """

    kind: Kind
    text: str
    value: float | int

    def later(self, now: datetime) -> bool:
        """Whether it is a time beyond the clock."""
        seconds = self.value / _scale(self.value) if self.kind == "epoch" else self.value
        return self.kind != "number" and seconds > now.timestamp()

    def back(self, overlap: timedelta) -> str:
        """That much before, in the same form; of a plain number itself."""
        return self.text if self.kind == "number" else self._moved(-overlap.total_seconds())

    def before(self) -> str:
        """The smallest step before, so that a server that takes it as "after" gives it again."""
        return self._moved(-self._step())

    def after(self) -> str:
        """The smallest step behind."""
        return self._moved(self._step())

    def _step(self) -> float:
        if self.kind == "time":
            if len(self.text) == len("2024-03-01"):
                return 86400
            return 10.0 ** -_digits(self.text)
        whole = "." not in self.text
        if self.kind == "number":
            return 1 if whole else 0.001
        return (1 if whole else 0.001) / _scale(self.value)

    def _moved(self, seconds: float) -> str:
        """The same form, so many seconds (of a plain number: ones) away."""
        if self.kind == "time":
            return _shifted(self.text, seconds)
        shift = seconds if self.kind == "number" else seconds * _scale(self.value)
        if "." in self.text:
            places = len(self.text.partition(".")[2])
            return f"{float(self.text) + shift:.{max(places, 3)}f}"
        return str(int(self.text) + round(shift))


class Farthest:
    """The latest of many values, one per kind; which kind counts is told by the most of them."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._latest: dict[Kind, Mark] = {}
        self._n: dict[Kind, int] = {}

    def add(self, value: object) -> None:
        """Look at a value; what is no time or number is left out."""
        mark = read_mark(value, self._now)
        if mark is None:
            return
        self._n[mark.kind] = self._n.get(mark.kind, 0) + 1
        if mark.later(self._now):
            return
        known = self._latest.get(mark.kind)
        if known is None or mark.value > known.value:
            self._latest[mark.kind] = mark

    def kind(self) -> Kind | None:
        """What most values are; None when there was none."""
        return max(self._n.items(), key=lambda item: item[1])[0] if self._n else None

    def of(self, kind: Kind | None) -> Mark | None:
        """The latest of a kind, not later than the clock; None when there is none.

        Numbers that could be times count as plain numbers where those are wanted.
        """
        if kind is None:
            return None
        if kind != "number":
            return self._latest.get(kind)
        both = [self._latest[k] for k in ("number", "epoch") if k in self._latest]
        latest = max(both, key=lambda m: m.value, default=None)
        return None if latest is None else Mark("number", latest.text, latest.value)

    def any(self, kind: Kind | None) -> bool:
        """Whether there was a value of that kind at all, be it later than the clock."""
        return kind is not None and (kind in self._n or (kind == "number" and "epoch" in self._n))


def read_mark(value: object, now: datetime) -> Mark | None:
    """A time (ISO 8601; without a zone it is UTC) or a number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = value.strip() if isinstance(value, str) else _written(value)
    if not 0 < len(text) <= _LONGEST:
        return None
    if _NUMBER.fullmatch(text):
        number = float(text) if "." in text else int(text)
        in_time = _SINCE <= number / _scale(number) <= now.timestamp() + _YEAR_S
        return Mark("epoch" if in_time else "number", text, number)
    moment = _moment(text)
    return None if moment is None else Mark("time", text, moment.timestamp())


def _written(value: int | float) -> str:
    if isinstance(value, int):
        return str(value) if abs(value) < 10**19 else ""
    return f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1e19 else ""  # no NaN either


def _scale(number: float | int) -> float:
    return next(scale for limit, scale in _SIZES if abs(number) < limit)


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        moment = found if found.tzinfo else found.replace(tzinfo=UTC)
        moment.timestamp()
    except (ValueError, OverflowError):
        return None
    return moment


def _digits(text: str) -> int:
    fraction = re.search(r"[.,](\d+)", text)
    return min(len(fraction.group(1)), 6) if fraction else 0


def _shifted(text: str, seconds: float) -> str:
    """A written time moved, in the same form: a date, its separator, its digits, its zone."""
    shift = timedelta(seconds=seconds)
    try:
        if len(text) == len("2024-03-01") and text[4:5] == "-":
            whole = math.floor(seconds / 86400)  # 5 minutes before a day begin the day before
            return (date.fromisoformat(text) + timedelta(days=whole)).isoformat()
        moment = datetime.fromisoformat(text) + shift
    except (ValueError, OverflowError):
        return text
    digits = _digits(text)
    body = moment.replace(tzinfo=None).isoformat(sep="T" if "T" in text else " ")
    main, _, fraction = body.partition(".")
    if digits:
        main = f"{main}.{(fraction or '0').ljust(6, '0')[:digits]}"
    if text[-1] in "Zz":
        return main + "Z"
    zone = re.search(r"[+-]\d{2}:?\d{2}(?::?\d{2})?$|[+-]\d{2}$", text)
    return main + zone.group() if zone and moment.tzinfo else main
