"""`modelwatch record`: collect from the configured sources into the store."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from datetime import UTC, datetime

from collectors.ingest import REFERENCE, Collected, Ingest
from console.commands.common import configuration, open_store
from console.errors import UsageError
from console.messages import complain, say

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Collect once or until it is told to stop.

    0; with --once 3 when a source failed, 1 when one brought nothing but bad records.
    """
    path, config = configuration(options)
    try:
        interval = float(options.interval)
    except ValueError as error:
        raise UsageError(f"--interval takes seconds, not {options.interval!r}") from error
    if not 0.1 <= interval <= 86400:
        raise UsageError("--interval takes 0.1 to 86400 seconds")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with open_store(options, path, config, read_only=False) as database:
        ingest = Ingest(
            database, config.deployment, path.resolve().parent, lambda: datetime.now(UTC)
        )
        while True:
            collected = ingest.collect(_progress, whole=options.once)
            _report(collected, quiet=not options.once)
            if options.once:
                return 3 if collected.problems else 1 if _useless(collected) else 0
            for stored in ingest.stored.values():
                stored.settle()
            if stop.wait(interval):
                return 0


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


def _report(collected: Collected, *, quiet: bool) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)  # noqa: T201
    for deployment, kind, c in collected.counts:
        if not c.n_read and (quiet or kind == REFERENCE):
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
