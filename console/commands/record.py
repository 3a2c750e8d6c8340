"""`modelwatch record`: collect from the configured sources into the store, and answer for it."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from collectors.errors import StoreError
from collectors.ingest import REFERENCE, Collected, Ingest
from collectors.live.recorder import StoreLostError
from collectors.store.retention import retain
from console.commands.common import configuration, kept_until, own_store, store_path
from console.config import Config
from console.errors import UsageError
from console.messages import complain, say
from console.recording_log import EventLog

__all__ = ["run"]

_LONGEST_REST_S = 60.0


def run(options: argparse.Namespace) -> int:
    """Collect once or until it is told to stop.

    0; with --once 3 when a source failed, 1 when one brought nothing but bad records.
    """
    path, config = configuration(options)
    interval = _interval(options, config)
    if options.once:
        return _once(options, path, config)
    return _record(options, path, config, interval)


def _interval(options: argparse.Namespace, config: Config) -> float:
    if options.interval is None:
        return config.recorder.interval.total_seconds()
    try:
        interval = float(options.interval)
    except ValueError as error:
        raise UsageError(f"--interval takes seconds, not {options.interval!r}") from error
    if not 0.1 <= interval <= 86400:
        raise UsageError("--interval takes 0.1 to 86400 seconds")
    return interval


def _record(options: argparse.Namespace, path: Path, config: Config, interval: float) -> int:
    """Record until a signal; a store that fails is opened again, with rests between."""
    from console.service import Service, notify_systemd  # noqa: PLC0415 - not for --once

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    log = EventLog(structured=options.log_as == "json")
    store = store_path(options, path, config)
    base = path.resolve().parent
    database = own_store(options, path, config)  # a first failure ends it
    listen = options.listen or config.recorder.listen
    service = Service(config, base, store, log, listen, write=options.write)
    log.say("started", f"recording into {store}", store=str(store))
    notify_systemd("READY=1")
    rest = 1.0
    try:
        while True:
            began = service.state.passes
            try:
                with database:
                    service.run(database, interval, stop)
                break
            except StoreLostError as error:
                log.say("store_lost", str(error), "error")
            rest = 1.0 if service.state.passes > began else min(2 * rest, _LONGEST_REST_S)
            reopened = None
            while reopened is None and not stop.wait(rest):
                try:
                    reopened = own_store(options, path, config)
                except StoreError as error:
                    service.state.problems = (str(error),)
                    log.say("store_lost", str(error), "error")
                    rest = min(2 * rest, _LONGEST_REST_S)
            if reopened is None:
                break
            database = reopened
            log.say("store_opened", f"{store} is open again")
    finally:
        notify_systemd("STOPPING=1")
        service.close()
    log.say("stopped", "stopped; everything that was read is in the store")
    return 0


def _once(options: argparse.Namespace, path: Path, config: Config) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with own_store(options, path, config) as database:
        ingest = Ingest(
            database, config.deployment, path.resolve().parent, lambda: datetime.now(UTC)
        )
        ingest.stopped = stop.is_set
        collected = ingest.collect(_progress)
        _report(collected)
        settings = config.store.retention.settings()
        if settings:
            now = kept_until(config, database, datetime.now(UTC))
            retain(database, ingest.stored, settings, now, most=None, told=_told)
        if stop.is_set():
            complain("stopped; what was read is in the store, the next `record` goes on there")
            return 130
        return 3 if collected.problems else 1 if _useless(collected) else 0


def _told(text: str) -> None:
    say(text, sys.stderr)


def _progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        share = f" {done / total:.0%}" if total else ""
        print(f"\r\x1b[K{what}{share}", end="", file=sys.stderr, flush=True)  # noqa: T201


def _useless(collected: Collected) -> bool:
    """Whether a source brought nothing but bad records: its columns are probably named wrong."""
    useless = [
        (deployment, kind)
        for deployment, kind, c in collected.counts
        if c.n_read and c.n_quarantined == c.n_read
    ]
    for deployment, kind in useless:
        complain(
            f"not one record of the {kind} of {deployment} could be used; "
            "`modelwatch show data` says why; mend the configuration and record again"
        )
    return bool(useless)


def _report(collected: Collected) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)  # noqa: T201
    for deployment, kind, c in collected.counts:
        if not c.n_read and kind == REFERENCE:
            continue
        parts = [f"{c.n_new:,} new"]
        parts += [
            f"{n:,} {word}"
            for n, word in (
                (c.n_duplicate, "repeated"),
                (c.n_waiting, "waiting for their prediction"),
                (c.n_quarantined, "in quarantine"),
            )
            if n
        ]
        say(f"{deployment} {kind}: {c.n_read:,} read, {', '.join(parts)}", sys.stderr)
    for problem in collected.problems:
        complain(f"{problem.deployment} {problem.kind}: {problem.message}")
