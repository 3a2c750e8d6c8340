"""How far a load is, on stderr: what is done, rows a second, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from console.messages import say

__all__ = ["LoadProgress"]

_EVERY_S = 0.1
_WIDTH = 24


class LoadProgress:
    """Prints one line that is drawn over on a terminal; elsewhere only the end.

    Phases follow each other; each has its own share done (0..1), rate and time left.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown = 0.0
        self._what = ""
        self._began = clock()
        self._phase = self._began
        self._live = sys.stderr.isatty()

    def step(self, what: str, share: float | None, rows: int = 0) -> None:
        """share: how much of this phase is done, None when that is not known."""
        now = self._clock()
        if what != self._what:
            self._what, self._phase, self._shown = what, now, 0.0
        if not self._live or now - self._shown < _EVERY_S:
            return
        self._shown = now
        print(f"\r\x1b[K{self.line(share, rows, now)}", end="", file=sys.stderr, flush=True)  # noqa: T201

    def line(self, share: float | None, rows: int, now: float) -> str:
        """The line: a bar, the rate, the time left."""
        passed = now - self._phase
        parts = [self._what]
        if share is not None:
            done = min(max(share, 0.0), 1.0)
            filled = round(done * _WIDTH)
            parts.append(f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {done:4.0%}")
        if rows:
            parts.append(f"{rows:,} rows")
            if passed > 0:
                parts.append(f"{rows / passed:,.0f}/s")
        if share and passed > 0.5:
            parts.append(f"{_length(passed * (1 - share) / share)} left")
        return "  ".join(parts)

    def end(self, said: str) -> None:
        """Clear the line and say what became of it."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201
        if said:
            say(f"{said} in {_length(self._clock() - self._began)}", sys.stderr)


def _length(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
