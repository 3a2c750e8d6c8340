"""All controls of a console: looked at on a thread of their own, acted on beside it.

A plane is never asked on the screen's thread or the store's. Each plan and each change has a desk
to itself, so that a rollback need not wait for the proof of the change before it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from console.control.audit import Audit
from console.control.desk import Desk
from console.control.errors import ControlError
from console.control.evidence import Evidence
from console.control.outcome import Outcome, Proposal
from console.control.plan import Purpose
from console.control.planes.registry import make_plane
from console.control.settings import Control
from console.control.state import ControlState
from console.control.watch import Watch
from console.control.who import Who

__all__ = ["Hands", "why_read_only"]

Changed = Callable[[], object]
Keep = Callable[[ControlState], object]
"""Takes each new state, on the thread that looks, to keep its readings."""

_MOST_REST_S = 60.0


def why_read_only(control: Control, write: bool) -> str:
    """Why nothing may be changed here; "" when it may. write: whether `--write` was given."""
    if write or control.write:
        return ""
    return "this is read-only: start with --write, or say `write = true` in this [[control]]"


class Hands:
    """Watches and desks by deployment. base: what files of the configuration are relative to."""

    def __init__(
        self,
        controls: Mapping[str, Control],
        base: Path,
        audit: Audit,
        who: Who,
        *,
        write: bool,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        keep: Keep = lambda _: None,
    ) -> None:
        self.controls = dict(controls)
        self.audit, self.who = audit, who
        self._base, self._write, self._clock, self._keep = base, write, clock, keep
        self._states: dict[str, ControlState] = {}
        self._problems: dict[str, str] = {}
        self._idle: dict[str, list[Desk]] = {name: [] for name in controls}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake = {name: threading.Event() for name in controls}
        self._working: set[threading.Thread] = set()
        self._changed: Changed = lambda: None
        self._watches = [
            threading.Thread(
                target=self._watch, args=(name,), name=f"modelwatch-plane-{n}", daemon=True
            )
            for n, name in enumerate(controls)
        ]

    def start(self, changed: Changed) -> None:
        """Begin to look; changed is called from a thread of ours when something is new."""
        self._changed = changed
        for thread in self._watches:
            thread.start()

    def state(self, deployment: str) -> ControlState | None:
        """How a deployment's traffic stood at the last look; None before it, or without one."""
        return self._states.get(deployment)

    def problem(self, deployment: str) -> str:
        """Why there is no state: a secret that is missing, say; "" for nothing."""
        return self._problems.get(deployment, "")

    @property
    def acting(self) -> bool:
        """Whether a plan or a change is under way."""
        with self._lock:
            return bool(self._working)

    def propose(  # noqa: PLR0917 - one after the other as a plan is made
        self,
        deployment: str,
        purpose: Purpose,
        percent: Mapping[str, Fraction] | None,
        reason: str,
        evidence: Evidence | None,
        done: Callable[[Proposal | ControlError | ValueError], object],
    ) -> None:
        """Make a plan; done gets it, or why there is none, on a thread of ours."""

        def work(desk: Desk) -> None:
            try:
                made: Proposal | ControlError | ValueError = desk.propose(
                    purpose, percent, reason, evidence
                )
            except (ControlError, ValueError) as error:
                made = error
            except Exception as error:  # whoever waits for it must be told
                made = ControlError(f"no plan could be made: unexpected {type(error).__name__}")
            done(made)

        self._with_desk(deployment, work, done)

    def act(
        self,
        proposal: Proposal,
        confirmed: str,
        told: Callable[[str], object],
        done: Callable[[Outcome | ControlError], object],
    ) -> None:
        """Carry out a proposal; told gets what is being done, done what became of it."""

        def work(desk: Desk) -> None:
            try:
                ended: Outcome | ControlError = desk.act(
                    proposal, confirmed, told, stopped=self._stop.is_set
                )
            except Exception as error:  # whoever waits for it must be told
                text = f"it broke off: unexpected {type(error).__name__}"
                ended = ControlError(f"{text}; the audit and the Traffic pane say what was sent")
            done(ended)
            self._wake[desk.deployment].set()

        self._with_desk(proposal.plan.deployment, work, done)

    def close(self, wait_s: float = 5.0) -> None:
        """End looking; a change that is under way is recorded as not proven."""
        self._stop.set()
        for wake in self._wake.values():
            wake.set()
        with self._lock:
            working = tuple(self._working)
        until = time.monotonic() + wait_s  # of all together
        for thread in (*working, *self._watches):
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))
        for desks in self._idle.values():
            for desk in desks:
                with suppress(Exception):
                    desk.plane.close()

    # -- threads -----------------------------------------------------------------------------------

    def _with_desk(
        self,
        deployment: str,
        work: Callable[[Desk], None],
        failed: Callable[[ControlError], object],
    ) -> None:
        def run() -> None:
            try:
                desk = self._take(deployment)
            except ControlError as error:
                failed(error)
            else:
                try:
                    work(desk)
                finally:
                    with self._lock:
                        self._idle[deployment].append(desk)
            finally:
                with self._lock:
                    self._working.discard(threading.current_thread())

        thread = threading.Thread(target=run, name="modelwatch-acting", daemon=True)
        with self._lock:
            self._working.add(thread)
        thread.start()

    def _take(self, deployment: str) -> Desk:
        """A desk that nobody uses. Raises PlaneError for a secret that is missing."""
        with self._lock:
            idle = self._idle[deployment]
            if idle:
                return idle.pop()
        control = self.controls[deployment]
        return Desk(
            deployment,
            control,
            make_plane(control, self._base),
            self.audit,
            self.who,
            refused=why_read_only(control, self._write),
            clock=self._clock,
        )

    def _watch(self, deployment: str) -> None:
        control = self.controls[deployment]
        rest = control.poll.total_seconds()
        watch: Watch | None = None
        while not self._stop.is_set():
            try:
                if watch is None:
                    watch = Watch(
                        deployment,
                        control,
                        make_plane(control, self._base),
                        self.audit,
                        refused=why_read_only(control, self._write),
                        clock=self._clock,
                    )
                state = watch.look()
                self._states[deployment] = state
                self._problems.pop(deployment, None)
                self._keep(state)
            except ControlError as error:
                self._problems[deployment] = str(error)
            except Exception as error:  # the next look may go well, and others go on
                self._problems[deployment] = f"unexpected {type(error).__name__} while looking"
            self._changed()
            self._wake[deployment].wait(min(rest, _MOST_REST_S))
            self._wake[deployment].clear()
        if watch is not None:
            with suppress(Exception):
                watch.plane.close()
