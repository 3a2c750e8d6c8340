"""What is kept of each look at a plane: configured and measured, replica by replica, over time.

Looks happen on threads of their own; only the thread that owns the store writes to it, when it has
time. A reading that says nothing new is kept twice a minute.
"""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta

from collectors.store.database import Database
from collectors.store.split_readings import SplitReading, keep_readings
from console.control.plane import Counts
from console.control.state import ControlState
from console.control.verify import between

__all__ = ["Readings"]

EVERY = timedelta(seconds=30)

_MOST = 10_000
"""Rows that wait for the store at most: hours of a store that cannot be written to."""


class Readings:
    """Takes states from any thread, and gives rows to the one that owns the store."""

    def __init__(self) -> None:
        self._waiting: deque[SplitReading] = deque(maxlen=_MOST)
        self._last: dict[str, tuple[datetime, object, Counts | None]] = {}
        self._lock = threading.Lock()

    def put(self, state: ControlState) -> None:
        """Remember a look, if it says something new or the last one is old."""
        configured = _configured(state)
        with self._lock:
            at, before, counts = self._last.get(state.deployment, (None, None, None))
            if at is not None and configured == before and state.asked - at < EVERY:
                return
            rows = _rows(state, counts)
            self._last[state.deployment] = (state.asked, configured, state.counts or counts)
            self._waiting.extend(rows)

    def flush(self, database: Database) -> bool:
        """Write what waits; whether there was any. Raises StoreError: it waits on."""
        with self._lock:
            rows = tuple(self._waiting)
        if not rows:
            return False
        keep_readings(database, rows)
        with self._lock:
            for _ in rows:
                self._waiting.popleft()
        return True


def _configured(state: ControlState) -> object:
    """What of a state is worth a row at once when it changes."""
    if state.locked or state.observed is None:
        return state.problem
    return tuple((r.name, r.weights, r.problem) for r in state.observed.replicas)


def _rows(state: ControlState, before: Counts | None) -> list[SplitReading]:
    at, name = state.asked, state.deployment
    if state.locked or state.observed is None:
        return [SplitReading(at, name, state.plane, "", None, problem=state.problem)]
    served: dict[tuple[str, str], tuple[int, int | None]] = {}
    if before is not None and state.counts is not None:
        served = {(r.replica, r.arm): (r.n, r.n_error) for r in between(before, state.counts).rows}
    rows = []
    for replica in state.observed.replicas:
        if replica.weights is None:
            rows.append(SplitReading(at, name, replica.name, "", None, problem=replica.problem))
            continue
        for arm, weight in replica.weights.weights:
            n, errors = served.get((replica.name, arm), (None, None))
            rows.append(SplitReading(at, name, replica.name, arm, weight, n, errors))
    return rows
