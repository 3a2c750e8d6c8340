"""The backend of the screen: keeps the store fed and answers requests with frames.

Runs on the data thread. Everything that the app sees of the store passes here as frozen views.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from collectors.contract import Deployment
from collectors.errors import CollectorError
from collectors.reader import InProcessReader
from collectors.store.database import Database
from console.analysis.ask import Ask
from console.analysis.findings import Severity
from console.clocks import Clock
from console.errors import ConsoleError
from console.feed import Frame, Mode, Request, Status
from console.panes import PANES, take, view
from console.snapshots import Taker
from console.views.model import Cell, Table, Tone, View
from console.windows import make_ask

__all__ = ["Session"]

WATCHED = frozenset({Mode.LIVE, Mode.REPLAY})
"""Clocks under which rows come while someone looks."""

MOST_FAILURES = 5  # of the feed in a row, after which waiting for it without a screen is vain


class Session:
    """A `console.feed.Backend` over an open store.

    start: what must be done before the first figures, yielding what it does next. feed: brings
    new rows; returns whether any came. Both may be left out for a store that is only looked at.
    end: when a replay is over.
    """

    def __init__(
        self,
        database: Database,
        deployments: Sequence[Deployment],
        clock: Clock,
        *,
        start: Callable[[], Iterator[str]] | None = None,
        feed: Callable[[], bool] | None = None,
        end: datetime | None = None,
    ) -> None:
        self.database = database
        self.deployments = tuple(deployments)
        self.clock = clock
        self.reader = InProcessReader(database)
        self._starting = start() if start is not None else None
        self._feed = feed
        self._end = end
        self._progress = "opening the store" if self._starting is not None else ""
        self._problem = ""
        self._loaded_until = clock.now()
        self._failures = 0
        self._last: tuple[Request, datetime, Frame] | None = None

    @property
    def starting(self) -> bool:
        """Whether the first figures are not there yet."""
        return self._starting is not None

    @property
    def finished(self) -> bool:
        """Whether the replay has come to its end, or there is nothing to replay."""
        fixed = self._end is None or self.clock.mode is not Mode.REPLAY
        return fixed or self._loaded_until >= (self._end or self._loaded_until)

    @property
    def failed(self) -> str:
        """Why feeding is given up: the same source failed again and again; else empty."""
        return self._problem if self._failures >= MOST_FAILURES else ""

    @property
    def doing(self) -> str:
        """What the start is busy with; empty afterwards."""
        return self._progress

    def advance(self) -> bool:
        """See Backend. One step of the start at a time, so that its progress is seen."""
        if self._starting is not None:
            try:
                self._progress = next(self._starting)
            except StopIteration:
                self._starting, self._progress = None, ""
            return True
        if self._feed is None:
            return False
        tick = getattr(self.clock, "tick", None)
        if tick is not None:
            tick()
        until = self.clock.now()
        try:
            changed = self._feed()
            self._loaded_until = until
            self._problem, self._failures = "", 0
        except CollectorError as error:
            self._problem, changed = str(error), False
            self._failures += 1
        if changed:
            self._last = None
        return changed

    def frame(self, request: Request) -> Frame:
        """See Backend."""
        clock = self.clock.now()
        if self._starting is not None:
            return self._waiting(request, clock)
        deployment = self._deployment(request.deployment)
        ask, problem = self._ask(deployment, request, clock)
        known = self._last
        if known is not None and known[0] == request and known[1] == ask.as_of:
            return known[2]
        taker = Taker(self.reader, self.deployments, load_times=self.clock.mode is not Mode.OFFLINE)
        views = tuple((name, view(name, take(name, taker, ask))) for name in request.panes)
        frame = Frame(request, self._status(request, taker, ask, clock, problem), views)
        self._last = (request, ask.as_of, frame)
        return frame

    def interrupt(self) -> None:
        """See Backend."""
        self.reader.interrupt()

    def close(self) -> None:
        """See Backend."""
        self.reader.close()
        self.database.close()

    def _ask(self, deployment: Deployment, request: Request, clock: datetime) -> tuple[Ask, str]:
        """The window of a request; what of it cannot be is left out, and said."""
        problem = ""
        for of in (
            request,
            replace(request, segment=None),
            replace(request, segment=None, against=None),
            replace(request, segment=None, against=None, as_of=None),
        ):
            try:
                ask = make_ask(
                    deployment,
                    clock,
                    of.window,
                    as_of=of.as_of,
                    version=of.version,
                    segment=of.segment,
                    against=of.against,
                    watched=of.as_of is None and self.clock.mode in WATCHED,
                    threshold=of.threshold,
                )
            except ConsoleError as error:
                problem = problem or str(error)
                continue
            return ask, problem
        return make_ask(deployment, clock, timedelta(days=1)), problem

    def _status(
        self, request: Request, taker: Taker, ask: Ask, clock: datetime, problem: str
    ) -> Status:
        row = taker.overview_row(ask)
        versions = tuple(v.version for v in row.versions)
        return Status(
            deployment=ask.deployment.name,
            deployments=tuple(d.name for d in self.deployments),
            mode=Mode.AS_OF if request.as_of is not None else self.clock.mode,
            clock=clock,
            start=ask.start,
            end=min(ask.end, ask.as_of),
            data_age=row.age,
            findings=sum(1 for f in row.findings if f.severity >= Severity.WARNING),
            progress=self._progress,
            problem=problem or self._problem,
            versions=versions,
            segments=tuple(s.name for s in ask.deployment.segments),
        )

    def _waiting(self, request: Request, clock: datetime) -> Frame:
        """What is shown until the first rollups are there."""
        names = tuple(d.name for d in self.deployments)
        status = Status(
            deployment=self._deployment(request.deployment).name,
            deployments=names,
            mode=self.clock.mode,
            clock=clock,
            start=clock - request.window,
            end=clock,
            data_age=None,
            findings=None,
            progress=self._progress,
            problem=self._problem,
        )
        doing = (Cell(f"{self._progress} ...", Tone.ACCENT),)
        return Frame(
            request,
            status,
            tuple(
                (name, View(PANES[name].title, doing, Table((), (), ""))) for name in request.panes
            ),
        )

    def _deployment(self, name: str | None) -> Deployment:
        return next((d for d in self.deployments if d.name == name), self.deployments[0])
