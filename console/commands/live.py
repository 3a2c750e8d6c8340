"""The live console's backend: through a running recorder, else the store itself."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from collectors.errors import SourceError, StoreBusyError, StoreGoneError
from collectors.ingest import Ingest
from collectors.live.client import SocketReader, connected
from collectors.live.clock import SteadyClock
from collectors.live.pulling import Pulls
from collectors.live.recorder import Recorder, RecorderState
from collectors.live.server import StoreServer
from collectors.reader import InProcessReader
from collectors.store.database import Database
from console.clocks import LiveClock
from console.commands.common import as_recorded, open_store, settled_clock, store_path
from console.config import Config
from console.control.audit import Audit, audit_path
from console.control.readings import Readings
from console.session import Session

__all__ = ["live_session"]

_POLL_S = 0.25
"""Seconds between two questions whether the recorder has news; an answer costs 0.1 ms."""

_RESTS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds to wait for an owner that only starts or ends."""


def live_session(
    options: argparse.Namespace,
    path: Path,
    config: Config,
    readings: Readings | None = None,
) -> Session:
    """A session through whoever owns the store; one that collects itself when nobody does.

    readings: of planes, to be written to the store where it is ours; a recorder has its own. Raises
    StoreBusyError when another process owns it and does not answer.
    """
    store = store_path(options, path, config)
    for rest in (*_RESTS, None):
        reader = connected(store)
        if reader is not None:
            return _looking(config, reader, Audit(audit_path(store)))
        try:
            database = open_store(options, path, config, read_only=False)
        except StoreBusyError:
            if rest is None:
                raise
            time.sleep(rest)
            continue
        return _collecting(path, config, database, Audit(audit_path(store)), readings)
    raise AssertionError("the last try returns or raises")


def _looking(config: Config, reader: SocketReader, audit: Audit) -> Session:
    """Through the recorder, which collects."""
    seen = -1
    session: Session

    def feed() -> bool:
        nonlocal seen
        state = reader.state()
        before, seen = seen, int(state.get("generation", 0))
        if seen != before:
            session.clock = settled_clock(config, reader)
        doing, problems = str(state.get("doing", "")), state.get("problems") or []
        session.told(doing)
        if problems:
            raise SourceError(_first([str(p) for p in problems]), partial=seen != before)
        return seen != before

    recorded = as_recorded(config, reader)
    session = Session(
        None,
        recorded.deployment,
        settled_clock(config, reader),
        feed=feed,
        reader=reader,
        poll_s=_POLL_S,
        audit=audit,
        controls=config.controls,
    )
    return session


def _collecting(
    path: Path, config: Config, database: Database, audit: Audit, readings: Readings | None
) -> Session:
    """Over our own store; others may look through us."""
    clock = SteadyClock()
    ingest = Ingest(database, config.deployment, path.resolve().parent, clock)
    state = RecorderState(doing="")
    wanted = threading.Event()
    session: Session

    def make_room() -> None:
        wanted.set()
        session.wake()

    mode = int(config.recorder.socket_mode, 8)
    server = StoreServer(database, state.document, mode=mode, on_yield=make_room)
    jobs = [(job, ingest.known(job)) for job in ingest.jobs() if job.is_pulled]
    pulls = Pulls(jobs, ingest.base, lambda: None)
    recorder = Recorder(
        ingest,
        state,
        interval=config.console.refresh,
        report=lambda _: None,
        least_free=config.recorder.least_free * 1_000_000,
    )

    def start() -> Iterator[str]:
        yield "collecting what is new"
        feed()

    def feed() -> bool:
        before = state.n_new
        recorder.one_pass(pulls)
        came = state.n_new > before
        kept = readings is not None and readings.flush(database)
        if came or session.starting:
            reader = InProcessReader(database)
            session.clock = settled_clock(config, reader)  # "latest" goes on with the rows
            reader.close()
        if state.problems:
            raise SourceError(_first(state.problems), partial=came or kept)
        return came or kept

    ingest.stopped = wanted.is_set  # also within a first load of many gigabytes

    def look() -> None:
        if wanted.is_set():
            raise StoreGoneError("a recorder takes over")

    def end() -> None:
        pulls.stop(1.0)
        server.close()

    session = Session(
        database,
        config.deployment,
        LiveClock(),
        start=start,
        feed=feed,
        look=look,
        on_close=end,
        audit=audit,
        controls=config.controls,
    )
    return session


def _first(problems: Sequence[str]) -> str:
    """One problem, and how many there are; the Data pane has them all."""
    more = f" (and {len(problems) - 1} more on the Data pane)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}"
