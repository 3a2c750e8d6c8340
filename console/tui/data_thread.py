"""The one thread that reads: it owns the backend and publishes frozen frames.

Latest wins both ways: a new request replaces the one before it, and a frame nobody took yet is
replaced by the next one. `publish` is called at most once until the frame was taken, so a stalled
terminal never piles up messages. Nothing here imports Textual.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from collectors.errors import StoreGoneError
from collectors.text import clean
from console.feed import Backend, Frame, Mode, Request, Waking
from console.tui.requests import same_but_threshold

__all__ = ["DataThread", "Update"]

_log = logging.getLogger(__name__)

_BUSY_WAIT_S = 0.01  # between pieces of work: a replay that always has more must not spin
_CLOCK_FRAME_S = 5.0  # without new data the clock and the age of the data still move
_NICENESS = 10  # of the store's threads
_RETRY_S = (1.0, 2.0, 5.0, 10.0)  # after a failure; a changed request retries at once
_STOPPED_CLOCKS = frozenset({Mode.OFFLINE, Mode.AS_OF})


@dataclass(frozen=True, slots=True)
class Update:
    """What the thread has to say: a frame, a sentence about what went wrong, or both.

    request: what the frame answers, for telling a late answer from the one waited for.
    """

    frame: Frame | None = None
    problem: str = ""
    request: Request | None = None


class DataThread:
    """Runs `backend_factory` and then the backend, all on one thread of its own."""

    def __init__(
        self,
        backend_factory: Callable[[], Backend],
        request: Request,
        notify: Callable[[], object],
        *,
        refresh_s: float = 1.0,
    ) -> None:
        self._factory = backend_factory
        self._notify = notify
        self._refresh_s = refresh_s
        self._changed = threading.Condition()
        self._request = request
        self._answered: Request | None = None
        self._forced = False
        self._paused = False
        self._stopping = False
        self._in_frame = False
        self._backend: Backend | None = None
        self._slot: Update | None = None
        self._notified = False
        self._failures = 0
        self._dirty = False  # data changed since the last frame
        self._clock_moves = True
        self._last_frame = float("-inf")
        self._thread = threading.Thread(target=self._run, name="modelwatch-data", daemon=True)

    def start(self) -> None:
        """Start reading; the backend is made on the thread."""
        self._thread.start()

    def set_request(self, request: Request) -> None:
        """Ask for something else; a query for the old request is interrupted."""
        with self._changed:
            if request == self._request:
                return
            old, self._request = self._request, request
            # a threshold that is moved quickly must be seen to move: each place is shown
            if self._in_frame and not same_but_threshold(old, request):
                # under the lock: it must not hit the work after this frame
                _interrupt(self._backend)
            self._changed.notify_all()

    def set_paused(self, paused: bool) -> None:
        """While paused nothing advances; a changed request is still answered."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def refresh(self) -> None:
        """Ask for a new frame of the same request now."""
        with self._changed:
            self._forced = True
            self._changed.notify_all()

    def take(self) -> Update | None:
        """The newest update, once; after this the next one notifies again."""
        with self._changed:
            update, self._slot = self._slot, None
            self._notified = False
            return update

    def stop(self, timeout: float = 1.0) -> bool:
        """Interrupt a running query and end; False if the thread is still busy after that."""
        with self._changed:
            self._stopping = True
            backend = self._backend
            self._changed.notify_all()
        if not self._thread.is_alive():
            return True
        deadline = time.monotonic() + timeout
        while self._thread.is_alive() and time.monotonic() < deadline:
            _interrupt(backend)  # again: the first may fall between two queries
            self._thread.join(0.05)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping:
                wait = self._round()
                self._sleep(wait)
        finally:
            if self._backend is not None:
                try:
                    self._backend.close()
                except Exception:
                    _log.exception("closing the backend failed")

    def _round(self) -> float | None:
        """One piece of work and one frame if it is time; seconds until the next, None: no need."""
        with self._changed:
            request, paused = self._request, self._paused
            forced, self._forced = self._forced, False
        try:
            if self._backend is None:
                self._backend = _made_gently(self._factory)
                if isinstance(self._backend, Waking):
                    self._backend.waking(self.refresh)
            advanced = False
            if not paused and request == self._answered:
                advanced = self._backend.advance()
            return self._answer(self._backend, request, paused, forced, advanced)
        except BaseException as error:  # a panic in a compiled library is not an Exception
            return self._failed(error, request, paused)

    def _answer(
        self, backend: Backend, request: Request, paused: bool, forced: bool, advanced: bool
    ) -> float | None:
        now = time.monotonic()
        self._dirty = self._dirty or advanced
        since = now - self._last_frame
        wanted = (
            forced
            or request != self._answered
            or (self._dirty and since >= self._refresh_s)
            or (not paused and self._clock_moves and since >= max(_CLOCK_FRAME_S, self._refresh_s))
        )
        if wanted and not self._show(backend, request):
            return 0.0
        if paused:
            return None
        poll = backend.poll_s if isinstance(backend, Waking) else None
        return _BUSY_WAIT_S if advanced else min(poll or self._refresh_s, self._refresh_s)

    def _show(self, backend: Backend, request: Request) -> bool:
        """Publish the frames of a request; False if another one came before the last."""
        frames = backend.frames(request)
        while True:
            with self._changed:
                if self._stopping or not same_but_threshold(request, self._request):
                    return False
                self._in_frame = True
            try:
                frame = next(frames, None)
            finally:
                with self._changed:
                    self._in_frame = False
            if frame is None:
                break
            self._clock_moves = frame.status.mode not in _STOPPED_CLOCKS
            self._publish(Update(frame, request=request))
            if request != self._request:
                return False  # the threshold went on: what there is of this one was shown
        self._answered, self._dirty, self._failures = request, False, 0
        self._last_frame = time.monotonic()
        return True

    def _failed(self, error: BaseException, request: Request, paused: bool) -> float | None:
        with self._changed:
            if self._stopping or request != self._request:
                return 0.0  # interrupted because nobody wants the answer any more
        _log.error("the backend failed", exc_info=error)
        if isinstance(error, StoreGoneError) and self._backend is not None:
            gone, self._backend = self._backend, None  # made anew, with whoever owns it then
            with contextlib.suppress(Exception):
                gone.close()
        self._answered = request
        self._dirty = True
        self._publish(Update(problem=_sentence(error)))
        delay = _RETRY_S[min(self._failures, len(_RETRY_S) - 1)]
        self._failures += 1
        self._last_frame = time.monotonic() - self._refresh_s  # the next round asks again
        return None if paused else delay

    def _sleep(self, seconds: float | None) -> None:
        """Wait, but wake at once for a request, a refresh, a change of pause, or the end."""
        with self._changed:
            paused = self._paused
            self._changed.wait_for(
                lambda: (
                    self._stopping
                    or self._forced
                    or self._paused != paused
                    or self._request != self._answered
                ),
                timeout=seconds,
            )

    def _publish(self, update: Update) -> None:
        with self._changed:
            if self._stopping:
                return
            if self._slot and self._slot.frame and update.frame is None:
                update = replace(self._slot, problem=update.problem)  # nobody took it yet
            self._slot = update
            if self._notified:
                return
            self._notified = True
        self._notify()


def _made_gently(factory: Callable[[], Backend]) -> Backend:
    """The backend, made on a thread that lets others go first, and so do the threads it starts.

    Those are the store's own: they use every core while rows are loaded, and never hold the
    interpreter, so that nothing waits for them. Linux only: elsewhere niceness is of processes.
    """
    if sys.platform != "linux":
        return factory()
    made: list[Backend | BaseException] = []

    def make() -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        try:
            made.append(factory())
        except BaseException as error:  # told on the thread that waits
            made.append(error)

    thread = threading.Thread(target=make, name="modelwatch-open", daemon=True)
    thread.start()
    thread.join()
    if isinstance(made[0], BaseException):
        raise made[0]
    return made[0]


def _interrupt(backend: Backend | None) -> None:
    if backend is None:
        return
    try:
        backend.interrupt()
    except Exception:
        _log.exception("interrupting the backend failed")


def _sentence(error: BaseException) -> str:
    """What went wrong in one line: the error's own first line, else its kind."""
    lines = str(error).strip().splitlines()
    return clean(lines[0], 300) if lines else f"the data failed ({type(error).__name__})"
