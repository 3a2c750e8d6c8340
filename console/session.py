"""The backend of the screen: keeps the store fed and answers requests with frames.

Runs on the data thread. Everything that the app sees of the store passes here as frozen views.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from collectors.contract import Deployment, Task
from collectors.errors import CollectorError, StoreGoneError
from collectors.reader import InProcessReader, Reader
from collectors.row_kinds import row_kinds
from collectors.store.database import Database
from console.analysis.ask import Ask, naive, utc
from console.analysis.findings import Severity
from console.analysis.overview import overview
from console.audited import AuditedReader
from console.clocks import Clock
from console.errors import ConsoleError
from console.feed import Frame, Mode, Request, Status
from console.panes import take, title_of, view
from console.snapshots import Taker
from console.views.model import Cell, Table, Tone, View
from console.windows import make_ask

if TYPE_CHECKING:
    from console.control.audit import Audit
    from console.control.settings import Control
    from console.sql import SqlDesk

__all__ = ["Session"]

WATCHED = frozenset({Mode.LIVE, Mode.REPLAY})
"""Clocks under which rows come while someone looks."""

OVERVIEW, ROWS, SQL = "overview", "rows", "sql"

MOST_REUSED = 32
"""Requests answered from the frames of one moment, which are all kept while it lasts."""

MOST_FAILURES = 5  # of the feed in a row, after which waiting for it without a screen is vain


class ClosingReader(Reader, Protocol):
    """A reader that holds something to give back."""

    def close(self) -> None:
        """Give it back."""


@dataclass(slots=True)
class _Moment:
    """What is known of one deployment and window as of a moment: the frames that were read."""

    key: tuple[object, ...]
    clock: datetime
    taker: Taker
    uses: int = 0


class Session:
    """A `console.feed.Backend` over an open store.

    start: what must be done before the first figures, yielding what it does next. feed: brings
    new rows; returns whether any came. Both may be left out for a store that is only looked at.
    end: when a replay is over. reader: where there is no store to hold: of a bundle, or through the
    process that owns the store. exported: an opened log. on_close: what else is to be ended, before
    the store is closed. look: raises StoreGoneError once the store must be let go. poll_s: how
    often to ask for news, where that costs little; None: as often as pictures are made. audit: its
    changes are told beside those in the store. controls: by deployment, whose arms frames bring
    the evidence of.
    """

    def __init__(
        self,
        database: Database | None,
        deployments: Sequence[Deployment],
        clock: Clock,
        *,
        start: Callable[[], Iterator[str]] | None = None,
        feed: Callable[[], bool] | None = None,
        end: datetime | None = None,
        reader: ClosingReader | None = None,
        exported: bool = False,
        on_close: Callable[[], None] | None = None,
        look: Callable[[], None] | None = None,
        poll_s: float | None = None,
        audit: Audit | None = None,
        controls: Mapping[str, Control] | None = None,
    ) -> None:
        self.database = database
        self._exported = exported
        self._on_close, self._look = on_close, look
        self._audit, self._controls = audit, dict(controls or {})
        self.poll_s = poll_s
        self._woken: Callable[[], object] = lambda: None
        self.deployments = tuple(deployments)
        self.clock = clock
        if database is not None:
            self.reader: ClosingReader = InProcessReader(database)
        elif reader is not None:
            self.reader = reader
        else:
            raise ValueError("a session needs a database or a reader")
        self._rest: Callable[[], None] | None = getattr(self.reader, "rest", None)
        self._starting = start() if start is not None else None
        self._feed = feed
        self._end = end
        self._progress = "opening the store" if self._starting is not None else ""
        self._problem = ""
        self._loaded_until = clock.now()
        self._failures = 0
        self._moment: _Moment | None = None
        self._desk: SqlDesk | None = None
        self._answer: tuple[str, View] | None = None  # the last query's
        self._last: Frame | None = None
        self._overview_of: Request | None = None  # which one was shown with every deployment
        self._complete: tuple[datetime, Frame] | None = None

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

    def waking(self, wake: Callable[[], object]) -> None:
        """See console.feed.Waking."""
        self._woken = wake

    def wake(self) -> None:
        """Have the next piece of work done now, also while it is paused; from any thread."""
        self._woken()

    def told(self, doing: str) -> None:
        """What the owner of the store is busy with; empty: nothing that takes long."""
        if doing != self._progress:
            self._progress, self._complete = doing, None

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
        if self._look is not None:
            self._look()
        if self._feed is None:
            return False
        tick = getattr(self.clock, "tick", None)
        if tick is not None:
            tick()
        until = self.clock.now()
        changed, problem = False, ""
        try:
            changed = self._feed()
            self._loaded_until, self._failures = until, 0
        except StoreGoneError:
            raise
        except CollectorError as error:
            problem = str(error)
            changed = getattr(error, "partial", False)  # rows came all the same
            self._failures += 1
        if changed:
            self._moment = None
        if changed or problem != self._problem:  # a new problem must be seen too
            self._problem, self._complete = problem, None
            return True
        return False

    def frame(self, request: Request) -> Frame:
        """The whole answer at once."""
        *_, frame = self.frames(request)
        return frame

    def frames(self, request: Request) -> Iterator[Frame]:
        """See Backend.

        What was not on the screen comes pane by pane; a refresh of what is there comes whole, so
        that no pane lags behind the others. How many findings there are takes all panes, also
        those that are not asked for, so that comes next; an explanation comes last.
        """
        if self._look is not None:
            self._look()
        if self._starting is not None:
            yield self._waiting(request, self.clock.now())
            return
        deployment = self._deployment(request.deployment)
        known, again = self._complete, self._last is not None and self._last.request == request
        moment = self._at(request, deployment, again=again)
        ask, problem = self._ask(deployment, request, moment.clock)
        ask = moment.taker.asked(ask)
        if known is not None and known[1].request == request and known[0] == ask.as_of:
            yield known[1]
            return
        for frame in self._made(request, moment, ask, problem, whole=again):
            self._last = frame
            yield frame
        self._complete = (ask.as_of, frame)
        if self._rest is not None:
            self._rest()

    def _made(
        self, request: Request, moment: _Moment, ask: Ask, problem: str, *, whole: bool
    ) -> Iterator[Frame]:
        taker, made = moment.taker, dict[str, View]()
        picture = replace(request, panes=(), explain=None, rows=None, sql=None)
        glance = None if whole else self._glance(request, taker, ask, moment.clock, problem)
        # the overview is made from all other panes, of every deployment
        for name in sorted(request.panes, key=lambda n: n == OVERVIEW):
            if name == OVERVIEW and glance is not None and self._overview_of != picture:
                for made[name] in self._overviews(taker, ask):
                    yield Frame(request, glance, _ordered(request, made))
            made[name] = self._view(name, taker, ask, request)
            if glance is not None:
                yield Frame(request, glance, _ordered(request, made))
        status = self._status(request, taker, ask, moment.clock, problem)
        if OVERVIEW in made:
            self._overview_of = picture
        frame = Frame(request, status, _ordered(request, made))
        yield frame
        control = self._controls.get(ask.deployment.name)
        if control is not None:
            from console.control.evidence import evidence_of  # noqa: PLC0415 - most have no control

            frame = replace(frame, evidence=evidence_of(taker, ask, control))
            yield frame
        if request.explain is not None:
            from console.explaining import explained  # noqa: PLC0415  # most sessions never ask

            yield replace(frame, explained=explained(taker, ask, request.explain))

    def _view(self, name: str, taker: Taker, ask: Ask, request: Request) -> View:
        """A pane's view; raw rows are of the figure that they were opened from."""
        if name == SQL:
            return self._queried(request.sql)
        if name == ROWS:
            from console.row_origins import rows_ask  # noqa: PLC0415 - most sessions never ask

            ask = rows_ask(taker, ask, request.rows)
        return view(name, take(name, taker, ask))

    def _queried(self, query: str | None) -> View:
        """What a query gave; asked again it is not run again, since nobody writes."""
        from console.sql import SqlDesk, SqlError, SqlStoppedError  # noqa: PLC0415 - most sessions never ask
        from console.views.sql import failed, result_view, tables_view  # noqa: PLC0415

        if self.database is None:
            return failed(query or "", "there are no rows to query here, only answers")
        if self._desk is None:
            self._desk = SqlDesk(self.database, self.deployments)
        if not query:
            return tables_view(self._desk.views, "i")
        if self._answer is None or self._answer[0] != query:
            try:
                answered = result_view(self._desk.run(query))
            except SqlStoppedError as error:
                return failed(query, str(error))
            except SqlError as error:
                answered = failed(query, str(error))
            self._answer = (query, answered)
        return self._answer[1]

    def _overviews(self, taker: Taker, ask: Ask) -> Iterator[View]:
        """The overview as it grows, the deployment that is shown first, up to the last but one."""
        total = len(self.deployments)
        rows = []
        for d in sorted(self.deployments, key=lambda d: d != ask.deployment)[:-1]:
            rows.append(taker.overview_row(replace(ask, deployment=d)))
            known = view(OVERVIEW, overview(ask, tuple(rows)))
            more = Cell(f"{len(rows)} of {total} deployments so far ...", Tone.ACCENT)
            yield replace(known, headline=(*known.headline, more))

    def interrupt(self) -> None:
        """See Backend."""
        self.reader.interrupt()
        if self._desk is not None:
            self._desk.interrupt()

    def close(self) -> None:
        """See Backend."""
        if self._on_close is not None:
            self._on_close()
        if self._desk is not None:
            self._desk.close()
        self.reader.close()
        if self.database is not None:
            self.database.close()

    def _at(self, request: Request, deployment: Deployment, *, again: bool) -> _Moment:
        """The moment of the picture before, for what else is asked about it; else a new one.

        So panes that are looked at one after the other agree, and what was read is read once. The
        same request again means: newer, please.
        """
        moment = self._moment
        key = (deployment.name, request.window, request.as_of)
        if (
            moment is None
            or moment.key != key
            or moment.uses >= MOST_REUSED
            or (again and moment.clock != self.clock.now())
        ):
            offline = self.clock.mode is Mode.OFFLINE
            now = self.clock.now()
            audit = self._audit
            taker = Taker(
                self.reader if audit is None else AuditedReader(self.reader, audit),
                self.deployments,
                load_times=not offline,
                exported=self._exported,
                live=now if self.clock.mode is Mode.LIVE else None,
            )
            moment = _Moment(key, now, taker)
            self._moment = moment
        moment.uses += 1
        return moment

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
        return replace(
            self._place(request, ask, clock, problem),
            data_age=row.age,
            findings=sum(1 for f in row.findings if f.severity >= Severity.WARNING),
            versions=tuple(v.version for v in row.versions),
            threshold=self._threshold(taker, ask),
        )

    @staticmethod
    def _threshold(taker: Taker, ask: Ask) -> float | None:
        """The operating threshold of the version shown: as logged answers act, else configured."""
        d = ask.deployment
        if d.task is not Task.BINARY or not d.score:
            return None
        known = taker.performance(replace(ask, version=None, segment=None, threshold=None))
        slices = [(version, o) for (version, *of), o in known.operating.items() if not any(of)]
        wanted = ask.version or d.champion
        _, of = next((s for s in slices if s[0] == wanted), slices[0] if slices else ("", None))
        found = None if of is None else of.configured if of.now is None else of.now
        return d.threshold_of(wanted) if found is None else found

    def _glance(
        self, request: Request, taker: Taker, ask: Ask, clock: datetime, problem: str
    ) -> Status:
        """The state line until the findings are known; those of the same picture still count."""
        place = self._place(request, ask, clock, problem)
        last = self._last
        if last is not None and last.status.deployment == place.deployment:
            status = last.status
            same = (status.start, status.end) == (place.start, place.end)
            return replace(
                place,
                data_age=status.data_age if same else self._age(taker, ask),
                findings=status.findings if same else None,
                versions=status.versions,
                threshold=status.threshold,
            )
        return replace(place, data_age=self._age(taker, ask))

    @staticmethod
    def _age(taker: Taker, ask: Ask) -> timedelta | None:
        extent = taker.reader.query("extent", ask.deployment.name, end=naive(ask.as_of))
        last = extent.row(0, named=True)["last_ts"] if extent.height else None
        return None if last is None else max(ask.as_of - utc(last), timedelta(0))

    def _place(self, request: Request, ask: Ask, clock: datetime, problem: str) -> Status:
        """What of the state line needs no figures."""
        d = ask.deployment
        return Status(
            deployment=d.name,
            deployments=tuple(d.name for d in self.deployments),
            mode=Mode.AS_OF if request.as_of is not None else self.clock.mode,
            clock=clock,
            start=ask.start,
            end=min(ask.end, ask.as_of),
            data_age=None,
            findings=None,
            progress=self._progress,
            problem=problem or self._problem,
            segments=tuple(s.name for s in d.segments),
            watched=ask.watched,
            row_kinds=row_kinds(binary=d.task is Task.BINARY),
            timed=d.timed,
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
            tuple((name, View(title_of(name), doing, Table((), (), ""))) for name in request.panes),
        )

    def _deployment(self, name: str | None) -> Deployment:
        return next((d for d in self.deployments if d.name == name), self.deployments[0])


def _ordered(request: Request, made: dict[str, View]) -> tuple[tuple[str, View], ...]:
    return tuple((name, made[name]) for name in request.panes if name in made)
