"""What the recorder does by itself: carries ramps on, keeps fallback rules, keeps readings.

Three threads for each deployment with a plane: readings, rules, ramps. What hangs, fails or waits
for its proof holds up nothing else; that two never change traffic at the same time is the lock's
affair. They live as long as the recorder: while the store cannot be asked nothing is increased,
but what surely fails by the plane's own counts is still rolled back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from collectors.contract import Deployment
from collectors.errors import CollectorError, StoreError
from collectors.reader import InProcessReader
from console.analysis.ask import Ask
from console.control.audit import Audit
from console.control.desk import Desk
from console.control.errors import ControlError, LockedError
from console.control.fallback_keeper import FallbackKeeper
from console.control.hands import why_read_only
from console.control.pilot import piloting
from console.control.plane import ControlPlane
from console.control.planes.registry import make_plane
from console.control.ramping import Ramper
from console.control.settings import Control
from console.control.state import ControlState
from console.control.watch import Watch
from console.control.who import Who
from console.snapshots import Taker
from console.windows import make_ask

__all__ = ["Autopilot", "Open"]

Open = Callable[[], tuple[InProcessReader, datetime, bool]]
"""A reader for this thread, the moment that figures are asked for, and whether that is now. Raises
CollectorError where the store is not open."""

_MOST_REST_S = 60.0

_BUSY = 9
"""A job may take up to a tenth of a core: it rests so many times the work that a look was."""

_END_S = 10.0

_JOBS = ("readings", "rules", "ramps")

_Say = Callable[[str, str, str], object]

_LOUD = ("rolled back", "a person", "stopped", "hold:")
"""What somebody should see."""


class Autopilot:
    """Threads over the controls of a recorder. say: takes (event, text, level).

    keep: takes each new state of a plane, to keep its readings. base: what files of the
    configuration are relative to.
    """

    def __init__(
        self,
        deployments: Sequence[Deployment],
        controls: Mapping[str, Control],
        base: Path,
        audit: Audit,
        who: Who,
        *,
        write: bool,
        clock: Callable[[], datetime],
        say: _Say,
        keep: Callable[[ControlState], object] = lambda _: None,
    ) -> None:
        self._deployments = {d.name: d for d in deployments}
        self._controls = dict(controls)
        self._base, self._audit, self._who = base, audit, who
        self._write, self._clock, self._say, self._keep = write, clock, say, keep
        self._open: Open | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failing: dict[tuple[str, str], str] = {}
        self._piloting = ExitStack()
        self._threads = [
            threading.Thread(
                target=self._run, args=(name, job), name=f"modelwatch-{job}-{n}", daemon=True
            )
            for n, (name, control) in enumerate(controls.items())
            for job in _JOBS
            if job != "rules" or control.fallback is not None
        ]

    def start(self) -> None:
        """Begin, and have it known that somebody does."""
        for name, control in self._controls.items():
            if not why_read_only(control, self._write):
                with suppress(LockedError):  # another recorder does, or just looked for one
                    self._piloting.enter_context(piloting(self._audit.path, name))
        for thread in self._threads:
            thread.start()

    def over(self, opened: Open | None) -> None:
        """The store that may be asked from now on; None for none."""
        with self._lock:
            self._open = opened

    def close(self) -> None:
        """End; a change that is under way is recorded as not proven."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_END_S)
        self._piloting.close()

    # -- one deployment ----------------------------------------------------------------------------

    def _run(self, name: str, kind: str) -> None:
        job: _Job | None = None
        rest = poll = min(self._controls[name].poll.total_seconds(), _MOST_REST_S)
        while not self._stop.is_set():
            failed = ""
            try:
                if job is None:
                    job = self._job(name, kind)
                began = time.thread_time()
                job.look(self._opened())
                rest = max(poll, min(_BUSY * (time.thread_time() - began), _MOST_REST_S))
            except ControlError as error:
                failed = str(error)
            except Exception as error:  # the next look may go well
                failed = f"unexpected {type(error).__name__}: {error}"
            self._fail(name, kind, failed)
            self._stop.wait(rest)
        if job is not None:
            job.close()

    def _fail(self, name: str, kind: str, why: str) -> None:
        """Say what is new, once for all three."""
        with self._lock:
            known = {of: told for of, told in self._failing.items() if of[0] == name}
            self._failing[name, kind] = why
        if why and why not in known.values():
            self._say("control_failed", f"{name}: {why}", "error")

    def _opened(self) -> Open | None:
        with self._lock:
            return self._open

    def _job(self, name: str, kind: str) -> _Job:
        """Raises PlaneError for a secret that is missing."""
        control = self._controls[name]
        refused = why_read_only(control, self._write)
        plane = make_plane(control, self._base)
        if kind == "readings":
            watch = Watch(name, control, plane, self._audit, refused=refused, clock=self._clock)
            return _Readings(watch, self._keep)
        desk = Desk(
            name, control, plane, self._audit, self._who, refused=refused, clock=self._clock
        )
        deployment, stopped = self._deployments[name], self._stop.is_set
        if kind == "rules" and control.fallback is not None:
            rules = control.fallback
            if refused:  # it may not act, but it can tell
                rules = rules.model_copy(update={"automatic": False})
            return _Rules(deployment, FallbackKeeper(desk, rules, stopped=stopped), desk, self._say)
        return _Ramps(deployment, Ramper(desk, stopped=stopped), desk, self._say)


class _Job(Protocol):
    """One thing that is looked after, on one thread."""

    def look(self, opened: Open | None) -> None:
        """One look."""

    def close(self) -> None:
        """Give back connections."""


class _Readings:
    """How the plane splits traffic, for the store."""

    def __init__(self, watch: Watch, keep: Callable[[ControlState], object]) -> None:
        self._watch, self._keep = watch, keep

    def look(self, opened: Open | None) -> None:
        """One reading; the store is not asked."""
        self._keep(self._watch.look())

    def close(self) -> None:
        """Give back connections."""
        _closed(self._watch.plane)


class _Rules:
    """The fallback's rules."""

    def __init__(
        self, deployment: Deployment, keeper: FallbackKeeper, desk: Desk, say: _Say
    ) -> None:
        self._deployment, self._keeper, self._desk, self._say = deployment, keeper, desk, say

    def look(self, opened: Open | None) -> None:
        """All rules once."""
        with closing(_Look(self._deployment, opened)) as look:
            _tell(self._say, "fallback", self._keeper.tick(look.window, self._desk.clock()))

    def close(self) -> None:
        """Give back connections."""
        _closed(self._desk.plane)


class _Ramps:
    """The ramp that is under way, if there is one."""

    def __init__(self, deployment: Deployment, ramper: Ramper, desk: Desk, say: _Say) -> None:
        self._deployment, self._ramper, self._desk, self._say = deployment, ramper, desk, say

    def look(self, opened: Open | None) -> None:
        """One look at its step."""
        with closing(_Look(self._deployment, opened)) as look:
            _tell(self._say, "ramp", self._ramper.tick(look.since, self._desk.clock()))

    def close(self) -> None:
        """Give back connections."""
        _closed(self._desk.plane)


def _tell(say: _Say, event: str, said: Sequence[str]) -> None:
    for text in said:
        loud = any(word in text for word in _LOUD)
        say(event, text, "warning" if loud else "info")


def _closed(plane: ControlPlane) -> None:
    with suppress(Exception):
        plane.close()


class _Look:
    """The store at one moment, opened when somebody asks."""

    def __init__(self, deployment: Deployment, opened: Open | None) -> None:
        self._deployment, self._opened = deployment, opened
        self._made: tuple[InProcessReader, Taker, datetime, bool] | None = None

    @property
    def window(self) -> Callable[[timedelta], tuple[Taker, Ask]] | None:
        """For rules: a window of this length until now."""
        if self._opened is None:
            return None
        return lambda length: self._asked(lambda now: now - length)

    @property
    def since(self) -> Callable[[datetime], tuple[Taker, Ask]] | None:
        """For ramps: from this moment until now."""
        if self._opened is None:
            return None
        return lambda start: self._asked(lambda _: start)

    def _asked(self, start: Callable[[datetime], datetime]) -> tuple[Taker, Ask]:
        _, taker, now, _ = self._taken()
        begin = min(start(now), now)
        ask = make_ask(self._deployment, now, timedelta(0), start=begin, watched=True)
        return taker, taker.asked(ask)

    def _taken(self) -> tuple[InProcessReader, Taker, datetime, bool]:
        if self._made is None:
            if self._opened is None:
                raise StoreError("the store is not open")
            reader, now, live = self._opened()
            reader.picture()
            taker = Taker(reader, (self._deployment,), load_times=live, live=now if live else None)
            self._made = (reader, taker, now, live)
        return self._made

    def close(self) -> None:
        """Let the picture go, and the reader with it."""
        if self._made is not None:
            with suppress(CollectorError):
                self._made[0].end_picture()
            self._made[0].close()
