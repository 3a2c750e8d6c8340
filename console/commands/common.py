"""What several commands do: find the configuration, open its store, choose a deployment."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.contract import SHOWN_ONLY, Deployment
from collectors.errors import StoreBusyError
from collectors.reader import InProcessReader, Reader
from collectors.store.catalog import stored_contract
from collectors.store.database import Database
from console.analysis.ask import Ask
from console.audited import AuditedReader
from console.clocks import Clock, FixedClock, LiveClock
from console.config import Config, find_config, load_config
from console.control.audit import Audit, audit_path
from console.errors import UsageError
from console.feed import Mode
from console.messages import complain
from console.snapshots import Taker
from console.windows import latest_moment

if TYPE_CHECKING:
    from collectors.live.client import SocketReader
    from console.bundle import Bundle

__all__ = [
    "Opened",
    "as_recorded",
    "chosen",
    "configuration",
    "free_or_answered",
    "kept_until",
    "open_store",
    "opened",
    "own_store",
    "recorded",
    "settled_clock",
    "store_path",
]

_ROOM_S = 8.0
"""Seconds in which a console makes room for a recorder, at the latest."""

_NOW = timedelta(seconds=5)
"""How near the clock a moment is that means now."""


def configuration(options: argparse.Namespace) -> tuple[Path, Config]:
    """The configuration that the options mean. Raises UsageError."""
    path = find_config(options.config, os.environ)
    return path, load_config(path)


def store_path(options: argparse.Namespace, path: Path, config: Config) -> Path:
    """The store of the options, else of the configuration."""
    return Path(options.store) if options.store else config.store_path(path, os.environ)


def open_store(
    options: argparse.Namespace, path: Path, config: Config, *, read_only: bool
) -> Database:
    """Open the store. Raises StoreError with what to do when there is none."""
    return Database(store_path(options, path, config), config.engine(), read_only=read_only)


def own_store(options: argparse.Namespace, path: Path, config: Config) -> Database:
    """Open the store to record into it: a console that holds it makes room, a reader is waited for.

    Raises StoreBusyError when another recorder owns it, StoreError.
    """
    from collectors.live.client import yielded  # noqa: PLC0415

    until = time.monotonic() + _ROOM_S
    while True:
        try:
            return open_store(options, path, config, read_only=False)
        except StoreBusyError:
            if time.monotonic() > until:
                raise
            yielded(store_path(options, path, config))
            time.sleep(0.2)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store to read: its configuration as recorded, a reader, and the clock to go by.

    database: None of a bundle, which holds answers and no store, and of a store that another
    process owns and answers for. exported: of an opened log.
    """

    config: Config
    database: Database | None
    reader: Reader
    clock: Clock
    exported: bool = False

    def taker(self, ask: Ask | None = None) -> Taker:
        """Takes snapshots of it. ask: of now, unless it says another time."""
        offline = self.clock.mode is Mode.OFFLINE
        now = abs(self.clock.now() - ask.as_of) < _NOW if ask is not None else False
        return Taker(
            self.reader,
            self.config.deployment,
            load_times=not offline,
            exported=self.exported,
            live=ask.as_of if ask is not None and now and not offline else None,
        )


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Opened]:
    """The store that a command reads: of exported logs where `--log` names some, else recorded.

    Raises UsageError, CollectorError.
    """
    from console.opening import bundle_of, opened_logs, refuse_without_log  # noqa: PLC0415

    if options.log and (bundle := bundle_of(options.log)) is not None:
        refuse_without_log(options, "a bundle says itself how its log is read")
        yield _of_bundle(options, bundle)
        return
    if options.log:
        with opened_logs(options) as (config, database):
            yield _read(config, database, exported=True)
        return
    refuse_without_log(options)
    with recorded(options) as store:
        yield store


@contextmanager
def recorded(options: argparse.Namespace) -> Iterator[Opened]:
    """The store of the configuration. Raises UsageError, CollectorError."""
    path, config = configuration(options)
    store = store_path(options, path, config)
    with free_or_answered(store, config) as owner:
        if isinstance(owner, Database):
            found = _read(config, owner)
        else:
            config = as_recorded(config, owner)
            found = Opened(config, None, owner, settled_clock(config, owner))
        # what this console changed itself is among the changes that are told
        yield replace(found, reader=AuditedReader(found.reader, Audit(audit_path(store))))


@contextmanager
def free_or_answered(store: Path, config: Config) -> Iterator[Database | SocketReader]:
    """The store itself, or a reader through the process that owns it.

    An owner that only starts or ends is waited for. Raises StoreBusyError, StoreError.
    """
    from collectors.live.client import connected  # noqa: PLC0415

    for rest in (0.1, 0.2, 0.4, 0.8, None):
        reader = connected(store)
        if reader is not None:
            with closing(reader):
                yield reader
            return
        try:
            database = Database(store, config.engine(), read_only=True)
        except StoreBusyError:
            if rest is None:
                raise
            time.sleep(rest)
            continue
        with database:
            yield database
        return


def _of_bundle(options: argparse.Namespace, bundle: Bundle) -> Opened:
    """A bundle's answers; the window is the bundle's where none is asked for."""
    from console.bundle import RecordedReader  # noqa: PLC0415
    from console.opening import configuration_of_bundle  # noqa: PLC0415

    if not any(getattr(options, key, None) for key in ("window", "start", "end", "as_of")):
        options.start, options.end = bundle.start.isoformat(), bundle.end.isoformat()
        options.as_of = bundle.as_of.isoformat()
    clock = FixedClock(bundle.as_of)
    config = configuration_of_bundle(bundle)
    return Opened(config, None, RecordedReader(bundle), clock, bundle.exported)


def _read(config: Config, database: Database, *, exported: bool = False) -> Opened:
    reader = InProcessReader(database)
    config = as_recorded(config, reader)
    return Opened(config, database, reader, settled_clock(config, reader), exported)


def as_recorded(config: Config, reader: Reader) -> Config:
    """The configuration with every deployment as the store was recorded with it.

    Numbers in the store stand for the features and segments of that time, so names must come from
    there too; what only says how figures are shown is the configuration's. Raises UsageError for a
    deployment that was never recorded.
    """
    stored = {row[0]: row[2] for row in reader.query("deployments").rows()}
    found = []
    for d in config.deployment:
        if d.name not in stored:
            raise UsageError(f"the store has no {d.name} yet; run `modelwatch record --once`")
        shown = {name: getattr(d, name) for name in SHOWN_ONLY}
        recorded = stored_contract(stored[d.name]).model_copy(update=shown)
        if recorded != d:
            complain(f"{d.name} was recorded with another configuration; that one is shown")
        found.append(recorded)
    return config.model_copy(update={"deployment": tuple(found)})


def settled_clock(config: Config, reader: Reader) -> Clock:
    """The configuration's clock: the host's, or the newest row's."""
    if config.console.clock == "latest":
        moment = latest_moment(reader, config.deployment)
        if moment is not None:
            return FixedClock(moment)
    return LiveClock()


def kept_until(config: Config, database: Database, now: datetime) -> datetime:
    """The moment that ages of what is kept count from: of logs that have ended, their end.

    Never long after the newest row: a clock that is wrong for a moment must not cost what is kept.
    """
    reader = InProcessReader(database)
    try:
        clock = settled_clock(config, reader)
        newest = latest_moment(reader, config.deployment)
    finally:
        reader.close()
    if clock.mode is not Mode.LIVE:
        return clock.now()
    return now if newest is None else min(now, newest + timedelta(days=1))


def chosen(deployments: Sequence[Deployment], name: str | None) -> Deployment:
    """A deployment by name, or the first. Raises UsageError naming those there are."""
    if not name:
        return deployments[0]
    for d in deployments:
        if d.name == name:
            return d
    raise UsageError(
        f"there is no deployment {name!r}; there is {', '.join(d.name for d in deployments)}"
    )
