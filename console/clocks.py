"""Clocks: now, a fixed moment, or a replay that runs at a speed. Queries never ask the host."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from console.feed import Mode

__all__ = ["Clock", "FixedClock", "LiveClock", "ReplayClock", "SteppedClock"]


class Clock(Protocol):
    """What time it is for the data, aware UTC, and what kind of time that is."""

    mode: Mode

    def now(self) -> datetime:
        """The moment that rows and labels are judged by."""


class LiveClock:
    """The host's clock."""

    mode = Mode.LIVE

    def now(self) -> datetime:
        """See Clock."""
        return datetime.now(UTC)


class FixedClock:
    """A moment that stays: offline analysis, or a look at the past."""

    def __init__(self, moment: datetime, mode: Mode = Mode.OFFLINE) -> None:
        self.moment = moment
        self.mode = mode

    def now(self) -> datetime:
        """See Clock."""
        return self.moment


class ReplayClock:
    """Runs from `start` at `speed` seconds a second, and stops at `end`.

    It goes on only in `tick`, which is called before rows are loaded, so figures are never shown
    for a time whose rows have not come. A pause, however long, moves it by two seconds at most.
    """

    mode = Mode.REPLAY
    MOST = 2.0

    def __init__(
        self,
        start: datetime,
        end: datetime,
        speed: float,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at, self._end, self._speed, self._ticks = start, end, speed, ticks
        self._last: float | None = None

    def now(self) -> datetime:
        """See Clock."""
        return self._at

    def tick(self) -> None:
        """On by the time since the last tick, at the replay's speed."""
        now = self._ticks()
        passed = 0.0 if self._last is None else min(now - self._last, self.MOST)
        self._last = now
        self._at = min(self._at + timedelta(seconds=passed * self._speed), self._end)


class SteppedClock:
    """Goes on by a fixed step each time it is told to: a replay as fast as it can be loaded."""

    mode = Mode.REPLAY

    def __init__(self, start: datetime, end: datetime, step: timedelta) -> None:
        self._at, self._end, self._step = start, end, step

    def now(self) -> datetime:
        """See Clock."""
        return self._at

    def tick(self) -> None:
        """One step on."""
        self._at = min(self._at + self._step, self._end)
