"""The live console's backend: the store of a configuration, fed while it is looked at."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from collectors.errors import CollectorError
from collectors.ingest import Ingest
from collectors.reader import InProcessReader
from console.clocks import LiveClock
from console.commands.common import open_store, settled_clock
from console.config import Config
from console.session import Session

__all__ = ["live_session"]


def live_session(options: argparse.Namespace, path: Path, config: Config) -> Session:
    """A session that collects. Raises StoreBusyError when another process owns the store."""
    database = open_store(options, path, config, read_only=False)
    ingest = Ingest(database, config.deployment, path.resolve().parent, lambda: datetime.now(UTC))
    session: Session

    def start() -> Iterator[str]:
        yield "collecting what is new"
        feed()

    def feed() -> bool:
        collected = ingest.collect(whole=False)
        for stored in ingest.stored.values():
            stored.settle()
        if collected.n_new or session.starting:
            reader = InProcessReader(database)
            session.clock = settled_clock(config, reader)  # "latest" goes on with the rows
            reader.close()
        if collected.problems:
            raise CollectorError("; ".join(p.message for p in collected.problems[:2]))
        return collected.n_new > 0

    session = Session(database, config.deployment, LiveClock(), start=start, feed=feed)
    return session
