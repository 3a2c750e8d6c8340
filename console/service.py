"""A recorder with all that belongs to it: its socket, its HTTP side, and a look at the figures."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collectors.errors import StoreError
from collectors.ingest import Collected, Ingest, Problem
from collectors.jobs import spool_of
from collectors.live.address import address
from collectors.live.clock import SteadyClock
from collectors.live.openmetrics import Family, Sample
from collectors.live.push import Spool
from collectors.live.recorder import Recorder, RecorderState
from collectors.live.server import StoreServer
from collectors.live.web import WebServer
from collectors.reader import InProcessReader
from collectors.source_settings import PushSource
from collectors.store.database import Database
from collectors.store.retention import MOST, retain
from console.commands.common import kept_until, settled_clock
from console.config import Config
from console.errors import UsageError
from console.feed import Mode
from console.headlines import Headlines, headlines, news_of
from console.recording_log import EventLog
from console.times import parse_duration
from console.windows import make_ask

if TYPE_CHECKING:
    from console.control.autopilot import Autopilot
    from console.control.readings import Readings

__all__ = ["Service"]

_STUCK_S = 120.0
"""Seconds without a sign of life after which a recorder is not healthy."""

_UPKEEP_S = 60.0
"""Seconds between two looks for what can go."""

_BUSY = 9
"""A look at the figures may take up to a tenth of the time: it rests so many times its length."""


class Service:
    """Runs over one open store until it is told to stop, and again over the next one.

    state, spools and the HTTP side outlive the store, which may have to be opened again.
    """

    def __init__(
        self,
        config: Config,
        base: Path,
        store: Path,
        log: EventLog,
        listen: str,
        *,
        write: bool = False,
    ) -> None:
        self.config, self.base, self.store, self.log = config, base, store, log
        self.state = RecorderState()
        self.clock = SteadyClock()
        self._found: Headlines | None = None
        self._sources: list[Sample] = []
        self._n_looking: Callable[[], int] = lambda: 0
        self._wake: Callable[[], object] = lambda: None
        self._kept_up = float("-inf")
        self._told: frozenset[Problem] = frozenset()
        self._spools = self._make_spools()
        self._web = self._listen(listen) if listen else None
        self._readings: Readings | None = None
        self._autopilot = self._pilot(write=write) if config.control else None
        if self._spools and not listen:
            text = "records are pushed to this recorder, but it does not listen; give --listen"
            log.say("not_listening", text, "warning")

    def run(self, database: Database, interval: float, stop: threading.Event) -> None:
        """Record until `stop`. Raises StoreLostError when the store must be opened again."""
        ingest = Ingest(database, self.config.deployment, self.base, self.clock)
        settings = self.config.recorder
        recorder = Recorder(
            ingest,
            self.state,
            interval=interval,
            report=self._report,
            upkeep=lambda: self._upkeep(ingest),
            least_free=settings.least_free * 1_000_000,
            tell=lambda text: self.log.say("waiting", text, "error"),
        )
        server = StoreServer(database, self.state.document, mode=int(settings.socket_mode, 8))
        ended = threading.Event()
        looking = threading.Thread(
            target=self._look, args=(server, ended), name="modelwatch-findings", daemon=True
        )
        self._wake, self._n_looking = recorder.wake, lambda: server.n_clients
        try:
            looking.start()
            if self._autopilot is not None:
                self._autopilot.over(lambda: self._now(server))
            recorder.run(stop)
        finally:
            if self._autopilot is not None:
                self._autopilot.over(None)
            self._wake, self._n_looking = (lambda: None), (lambda: 0)
            ended.set()
            server.close()
            looking.join(5)

    def close(self) -> None:
        """End what outlives a store."""
        if self._autopilot is not None:
            self._autopilot.close()
        if self._web is not None:
            self._web.close()
        for spool in self._spools.values():
            spool.close()

    # -- over HTTP -------------------------------------------------------------------------------

    def _make_spools(self) -> dict[tuple[str, str], Spool]:
        folder = spool_of(self.store)
        wanted = []
        for d in self.config.deployment:
            if isinstance(d.predictions, PushSource):
                wanted.append((d.name, "predictions"))
            if d.labels is not None and isinstance(d.labels.source, PushSource):
                wanted.append((d.name, "labels"))
        if folder is None:
            return {}
        try:
            least = self.config.recorder.least_free * 1_000_000
            return {key: Spool(folder / key[0] / key[1], least) for key in wanted}
        except OSError as error:
            raise StoreError(
                f"there is no place for pushed records at {folder}: {error.strerror or error}"
            ) from error

    def _listen(self, written: str) -> WebServer:
        try:
            where = address(written)
        except ValueError as error:
            raise UsageError(f"--listen: {error}") from error
        settings = self.config.recorder
        token = os.environ.get(settings.token_env, "")
        if self._spools and not token:
            raise UsageError(
                f"records are pushed to this recorder, so {settings.token_env} must hold the token "
                "that senders show"
            )
        try:
            web = WebServer(
                where,
                health=self.health,
                metrics=self.metrics,
                spools=self._spools,
                token=token,
                news=self._tell,
            )
        except OSError as error:
            raise UsageError(f"cannot listen on {written}: {error.strerror or error}") from error
        host = f"[{where[0]}]" if ":" in where[0] else where[0]
        self.log.say("listening", f"listening on http://{host}:{web.port}", port=web.port)
        return web

    def _tell(self) -> None:
        self._wake()  # which one changes with the store

    def health(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether the loop is at work, and what it says; failing sources do not make it ill."""
        alive = self.state.alive(_STUCK_S)
        status = "ok" if alive and not self.state.problems else "degraded" if alive else "stuck"
        return alive, {"status": status, **self.state.document(), "passes": self.state.passes}

    def metrics(self) -> Sequence[Family]:
        """Of the recorder itself, and the headline figures as they were last looked at."""
        s = self.state
        own = [
            _family("up", "gauge", "The loop gives signs of life", float(s.alive(_STUCK_S))),
            _family("passes", "counter", "Passes over all sources", s.passes),
            _family("records_read", "counter", "Records read", s.n_read),
            _family("records_new", "counter", "Records that were new", s.n_new),
            _family(
                "records_repeated", "counter", "Records that were there already", s.n_duplicate
            ),
            _family("records_quarantined", "counter", "Records set apart", s.n_quarantined),
            _family("pass_seconds", "gauge", "How long the last pass took", s.last_pass_s),
            _family("looking", "gauge", "Who looks through the socket now", self._n_looking()),
            _family("start_time_seconds", "gauge", "When it was started", s.started.timestamp()),
            Family(
                "modelwatch_source_failures",
                "gauge",
                "Failures of a source in a row",
                tuple(self._sources),
            ),
        ]
        found = self._found
        if found is None:
            return own
        age = (datetime.now(UTC) - found.at).total_seconds()
        return [
            *own,
            _family("figures_age_seconds", "gauge", "Since the figures were looked at", age),
            *found.families(),
        ]

    # -- beside the loop -------------------------------------------------------------------------

    def _report(self, collected: Collected) -> None:
        for deployment, kind, c in collected.counts:
            if c.n_read:
                self.log.say(
                    "loaded",
                    f"{deployment} {kind}: {c.n_read:,} read, {c.n_new:,} new"
                    + (f", {c.n_duplicate:,} repeated" if c.n_duplicate else "")
                    + (f", {c.n_waiting:,} waiting" if c.n_waiting else "")
                    + (f", {c.n_quarantined:,} in quarantine" if c.n_quarantined else ""),
                    deployment=deployment,
                    kind=kind,
                    n_read=c.n_read,
                    n_new=c.n_new,
                    n_duplicate=c.n_duplicate,
                    n_waiting=c.n_waiting,
                    n_quarantined=c.n_quarantined,
                )
        told, self._told = self._told, frozenset(collected.problems)
        for p in collected.problems:
            if p in told:  # it goes on: once is enough
                continue
            self.log.say(
                "source_failed",
                f"{p.deployment} {p.kind}: {p.message}",
                "error",
                deployment=p.deployment,
                kind=p.kind,
                source=p.source,
            )

    def _upkeep(self, ingest: Ingest) -> bool:
        if self._readings is not None:
            self._readings.flush(ingest.database)
        if time.monotonic() - self._kept_up < _UPKEEP_S:
            return False
        self._kept_up = time.monotonic()
        for (deployment, kind), spool in self._spools.items():
            loaded, wanted = ingest.pushed(deployment, kind)
            gone = spool.forget(loaded, wanted, time.time())
            if gone:
                ingest.forget_sources(deployment, kind, gone)
        return self._retain(ingest)

    def _retain(self, ingest: Ingest) -> bool:
        """Delete what is too old, a few days at a time; whether there was any."""
        settings = self.config.store.retention.settings()
        if not settings:
            return False
        n = retain(
            ingest.database,
            ingest.stored,
            settings,
            kept_until(self.config, ingest.database, self.clock()),
            told=lambda text: self.log.say("retention", text),
        )
        if n >= MOST:
            self._kept_up = float("-inf")  # there is more: go on after the next pass
        return n > 0

    def _look(self, server: StoreServer, ended: threading.Event) -> None:
        """Look at the figures again and again, from a cursor of its own."""
        reader = server.reader()
        every = self.config.recorder.findings.total_seconds()
        rest = 1.0
        try:
            before = self.state.passes
            while not ended.wait(rest):
                if self.state.passes == before:  # what has come meanwhile is not loaded yet
                    continue
                before = -1
                began = time.monotonic()
                try:
                    reader.picture()
                    self._look_once(reader)
                except Exception as error:  # whatever it is: the next look may go well
                    if not ended.is_set():
                        self.log.say("figures_failed", f"no figures: {error}", "error")
                finally:
                    reader.end_picture()
                rest = max(every, _BUSY * (time.monotonic() - began))
        finally:
            reader.close()

    # -- traffic -----------------------------------------------------------------------------------

    def _pilot(self, *, write: bool) -> Autopilot:
        """What looks at planes, and carries on by itself what it may."""
        from console.control.audit import Audit, audit_path  # noqa: PLC0415 - few need it
        from console.control.autopilot import Autopilot  # noqa: PLC0415
        from console.control.readings import Readings  # noqa: PLC0415
        from console.control.who import who  # noqa: PLC0415

        self._readings = Readings()
        pilot = Autopilot(
            self.config.deployment,
            self.config.controls,
            self.base,
            Audit(audit_path(self.store)),
            who("recorder", os.environ),
            write=write,
            clock=self.clock,
            say=self.log.say,
            keep=self._readings.put,
        )
        pilot.start()
        return pilot

    def _now(self, server: StoreServer) -> tuple[InProcessReader, datetime, bool]:
        """A reader, and the moment that figures are of."""
        reader = server.reader()
        clock = settled_clock(self.config, reader)
        live = clock.mode is Mode.LIVE
        return reader, self.clock() if live else clock.now(), live

    def _look_once(self, reader: InProcessReader) -> None:
        window = parse_duration(self.config.console.window)
        clock = settled_clock(self.config, reader)
        live = clock.mode is Mode.LIVE
        now = self.clock() if live else clock.now()
        asks = [make_ask(d, now, window, watched=live) for d in self.config.deployment]
        sources = []
        for d in self.config.deployment:
            for row in reader.query("source_states", d.name).iter_rows(named=True):
                labels = {"deployment": d.name, "kind": row["kind"], "source": row["source"]}
                sources.append(Sample(row["n_failures"], labels))
        self._sources = sources
        found = headlines(reader, self.config.deployment, asks, live=live)
        came, went = news_of(self._found, found)
        self._found = found
        for name, finding in came:
            level = "error" if finding.severity.name == "BAD" else "warning"
            fields = {"deployment": name, "pane": finding.pane, "severity": finding.severity.name}
            self.log.say("finding", f"{name}: {finding.text}", level, **fields)
        for name, finding in went:
            fields = {"deployment": name, "pane": finding.pane, "severity": finding.severity.name}
            self.log.say("finding_gone", f"{name}: no more: {finding.text}", "info", **fields)


def _family(name: str, kind: str, text: str, value: float) -> Family:
    return Family(f"modelwatch_{name}", kind, text, (Sample(value),))


def notify_systemd(message: str) -> None:
    """Tell systemd how it stands, where it asked for that (sd_notify's protocol)."""
    where = os.environ.get("NOTIFY_SOCKET")
    if not where:
        return
    import socket  # noqa: PLC0415 - only under systemd

    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.sendto(message.encode(), "\0" + where[1:] if where.startswith("@") else where)
