"""The loop that runs the collectors and owns the store.

One pass: pages that were fetched, what is new in files, rollups, retention. Between passes it waits
for its interval, or for news. Whoever looks is served by threads of their own.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from collectors.errors import StoreError, StoreGoneError
from collectors.ingest import Collected, Ingest
from collectors.live.clock import SteadyClock
from collectors.live.pulling import Pulls
from collectors.store.database import Database

__all__ = ["Recorder", "RecorderState", "StoreLostError"]


_NICENESS = 5

_WAITING = "waiting for"

_MUCH, _BREATH_S = 10_000, 0.05
"""Records of a pass from which on the next one follows soon, and how soon at the least."""

_LONG_S = 1.5
"""Seconds from which on a pass is worth saying what it is busy with."""


class StoreLostError(StoreGoneError):
    """The open store is of no use any more; what is committed is safe, and it must be reopened."""


@dataclass(slots=True)
class RecorderState:
    """What a recorder says of itself; read by other threads, written by the loop.

    generation: goes up whenever there is something new to see. sign_of_life: monotonic seconds.
    """

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    generation: int = 0
    passes: int = 0
    n_read: int = 0
    n_new: int = 0
    n_duplicate: int = 0
    n_quarantined: int = 0
    doing: str = "starting"
    problems: tuple[str, ...] = ()
    last_pass_s: float = 0.0
    sign_of_life: float = field(default_factory=time.monotonic)
    pass_began: float = field(default_factory=time.monotonic)

    def alive(self, within: float) -> bool:
        """Whether the loop has given a sign of life within so many seconds."""
        return time.monotonic() - self.sign_of_life <= within

    def document(self) -> dict[str, Any]:
        """For those who look."""
        return {
            "pid": os.getpid(),
            "started": self.started.isoformat(),
            "generation": self.generation,
            "doing": self.doing if time.monotonic() - self.pass_began > _LONG_S else "",
            "problems": list(self.problems),
        }


class Recorder:
    """Collects until it is told to stop.

    upkeep: what else is to be done between passes; whether it changed anything. report: told what
    each pass brought. least_free: bytes that must be free on the store's disk. tell: hears what is
    wrong with this host.
    """

    def __init__(
        self,
        ingest: Ingest,
        state: RecorderState,
        *,
        interval: float,
        report: Callable[[Collected], object],
        upkeep: Callable[[], bool] | None = None,
        least_free: int = 0,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        self.ingest, self.state, self.interval = ingest, state, interval
        self._report, self._upkeep, self._least_free = report, upkeep, least_free
        self._tell = tell
        self._news = threading.Event()

    def wake(self) -> None:
        """There is something to load; callable from any thread."""
        self._news.set()

    def run(self, stop: threading.Event) -> None:
        """Pass after pass until `stop`. Raises StoreLostError when the store must be reopened."""
        self.ingest.stopped = stop.is_set
        jobs = [(job, self.ingest.known(job)) for job in self.ingest.jobs() if job.is_pulled]
        pulls = Pulls(jobs, self.ingest.base, self.wake)
        _step_back()
        try:
            while not stop.is_set():
                self._news.clear()
                began, before = time.monotonic(), self.state.n_read
                self.one_pass(pulls)
                took = self.state.last_pass_s = time.monotonic() - began
                # where much comes there is more already; a trickle is left to gather
                busy = self.state.n_read - before >= _MUCH
                self._rest(stop, max(self.interval - took, _BREATH_S) if busy else self.interval)
        finally:
            pulls.stop()

    def _rest(self, stop: threading.Event, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not stop.is_set():
            left = until - time.monotonic()
            if left <= 0 or self._news.wait(min(left, 0.5)):
                return
            self.state.sign_of_life = time.monotonic()

    def one_pass(self, pulls: Pulls | None = None) -> None:
        """Collect once, and keep what follows from it."""
        state, database = self.state, self.ingest.database
        state.pass_began = time.monotonic()
        try:
            full = _full(database.path, self._least_free)
        except StoreError as error:
            raise _lost(database, error) from error
        if full:
            if self._tell is not None and not state.doing.startswith(_WAITING):
                self._tell(full)
            self._say((full,))
            state.doing, state.sign_of_life = f"{_WAITING} room on the disk", time.monotonic()
            self._keep_up(database)  # what is too old may go, and make room
            return
        state.doing = "collecting"
        try:
            collected = self.ingest.collect(self._progress, whole=False, pulls=pulls)
            changed = False
            for stored in self.ingest.stored.values():
                changed = stored.settle() > 0 or changed
        except (duckdb.Error, StoreError) as error:
            raise _lost(database, error) from error
        changed = self._keep_up(database) or changed
        for _, _, c in collected.counts:
            state.n_read += c.n_read
            state.n_new += c.n_new
            state.n_duplicate += c.n_duplicate
            state.n_quarantined += c.n_quarantined
        if collected.problems:
            _refuse_lost(database)
        problems = tuple(f"{p.deployment} {p.kind}: {p.message}" for p in collected.problems)
        clock = self.ingest.clock
        if isinstance(clock, SteadyClock) and clock.behind:
            seconds = clock.behind.total_seconds()
            problems += (f"the host's clock went back by {seconds:.0f} s; ours waits for it",)
        state.passes += 1
        if collected.n_new or changed or state.passes == 1:
            state.generation += 1
        state.doing, state.sign_of_life = "", time.monotonic()
        self._say(problems)
        self._report(collected)

    def _keep_up(self, database: Database) -> bool:
        try:
            return self._upkeep() if self._upkeep is not None else False
        except (duckdb.Error, StoreError) as error:
            raise _lost(database, error) from error

    def _say(self, problems: tuple[str, ...]) -> None:
        if problems != self.state.problems:
            self.state.problems = problems
            self.state.generation += 1

    def _progress(self, what: str, done: int, total: int) -> None:
        share = f" {done / total:.0%}" if total else ""
        self.state.doing, self.state.sign_of_life = f"{what}{share}", time.monotonic()


def _step_back() -> None:
    """Let the threads of those who look go first: their queries are short, loading never ends.

    Linux only: elsewhere niceness is of processes.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _full(store: Path | None, least: int) -> str:
    """What to say when the store's disk has too little room; else empty."""
    if store is None or not least:
        return ""
    try:
        free = shutil.disk_usage(store.parent).free
    except OSError as error:
        raise StoreError(f"the folder of the store cannot be read: {error.strerror}") from error
    if free >= least:
        return ""
    return (
        f"the disk of the store has {free / 1e6:,.0f} MB free, {least / 1e6:,.0f} are needed; "
        "nothing is loaded until there is room, and nothing is lost"
    )


def _refuse_lost(database: Database) -> None:
    """Raise StoreLostError when a failure of a source was one of the store."""
    try:
        database.connection.execute("SELECT count(*) FROM deployments").fetchall()
    except duckdb.Error as error:
        raise _lost(database, error) from error


def _lost(database: Database, error: Exception) -> StoreLostError:
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return StoreLostError(f"the store {database.path} failed: {first}", "it is opened again")
