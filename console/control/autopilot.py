"""What the recorder does by itself: carries ramps on, keeps fallback rules, keeps readings.

A thread for each deployment that has both a plane and leave to write, so that one that hangs holds
up no other. It lives as long as the recorder: while the store cannot be asked nothing is increased,
but what surely fails by the plane's own counts is still rolled back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from collectors.contract import Deployment
from collectors.errors import CollectorError, StoreError
from collectors.reader import InProcessReader
from console.analysis.ask import Ask
from console.control.audit import Audit
from console.control.desk import Desk
from console.control.errors import ControlError
from console.control.fallback_keeper import FallbackKeeper
from console.control.hands import why_read_only
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
"""A look may take up to a tenth of a core: it rests so many times the work that it was."""

_END_S = 10.0

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
        say: Callable[[str, str, str], object],
        keep: Callable[[ControlState], object] = lambda _: None,
    ) -> None:
        self._deployments = {d.name: d for d in deployments}
        self._controls = dict(controls)
        self._base, self._audit, self._who = base, audit, who
        self._write, self._clock, self._say, self._keep = write, clock, say, keep
        self._open: Open | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(name,), name=f"modelwatch-auto-{n}")
            for n, name in enumerate(controls)
        ]
        for thread in self._threads:
            thread.daemon = True

    def start(self) -> None:
        """Begin."""
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

    # -- one deployment ----------------------------------------------------------------------------

    def _run(self, name: str) -> None:
        pilot: _Pilot | None = None
        told = ""
        rest = poll = min(self._controls[name].poll.total_seconds(), _MOST_REST_S)
        while not self._stop.is_set():
            try:
                if pilot is None:
                    pilot = self._pilot(name)
                began = time.thread_time()
                pilot.look(self._opened)
                rest = max(poll, min(_BUSY * (time.thread_time() - began), _MOST_REST_S))
                told = ""
            except ControlError as error:
                if told != str(error):
                    self._say("control_failed", f"{name}: {error}", "error")
                told = str(error)
            except Exception as error:  # the next look may go well, and others go on
                text = f"unexpected {type(error).__name__}: {error}"
                if told != text:
                    self._say("control_failed", f"{name}: {text}", "error")
                told = text
            self._stop.wait(rest)
        if pilot is not None:
            pilot.close()

    def _opened(self) -> Open | None:
        with self._lock:
            return self._open

    def _pilot(self, name: str) -> _Pilot:
        """Raises PlaneError for a secret that is missing."""
        control = self._controls[name]
        refused = why_read_only(control, self._write)
        desk = Desk(
            name,
            control,
            make_plane(control, self._base),
            self._audit,
            self._who,
            refused=refused,
            clock=self._clock,
        )
        watch = Watch(
            name,
            control,
            make_plane(control, self._base),
            self._audit,
            refused=refused,
            clock=self._clock,
        )
        return _Pilot(
            self._deployments[name], desk, watch, self._stop.is_set, self._say, self._keep
        )


class _Pilot:
    """One deployment's ramp, rules and readings, on one thread."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        deployment: Deployment,
        desk: Desk,
        watch: Watch,
        stopped: Callable[[], bool],
        say: Callable[[str, str, str], object],
        keep: Callable[[ControlState], object],
    ) -> None:
        self._deployment, self._desk, self._watch = deployment, desk, watch
        self._say, self._keep = say, keep
        self._ramper = Ramper(desk, stopped=stopped)
        rules = desk.control.fallback
        self._keeper: FallbackKeeper | None = None
        if rules is not None:
            if desk.refused:  # it may not act, but it can tell
                rules = rules.model_copy(update={"automatic": False})
            self._keeper = FallbackKeeper(desk, rules, stopped=stopped)

    def look(self, opened: Callable[[], Open | None]) -> None:
        """One look at everything."""
        self._keep(self._watch.look())
        look = _Look(self._deployment, opened())
        try:
            # rules first: what makes things safe does not wait for a step
            if self._keeper is not None:
                self._tell("fallback", self._keeper.tick(look.window, self._desk.clock()))
            self._tell("ramp", self._ramper.tick(look.since, self._desk.clock()))
        finally:
            look.close()

    def _tell(self, event: str, said: Sequence[str]) -> None:
        for text in said:
            loud = any(word in text for word in _LOUD)
            self._say(event, text, "warning" if loud else "info")

    def close(self) -> None:
        """Give back connections."""
        for plane in (self._desk.plane, self._watch.plane):
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
