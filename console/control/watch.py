"""Looks at one deployment's traffic again and again, and says how it stands.

Asks the plane and the audit, never the store; whoever owns the store keeps the readings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from console.control.acting import split_words
from console.control.audit import Audit, Entry
from console.control.errors import AuditError, PlaneError
from console.control.fallback_state import fallback_of, fallback_words
from console.control.health import HealthChecks
from console.control.history import Change, changes_of, desired_of
from console.control.pilot import NOBODY, is_piloted
from console.control.plane import ControlPlane, Counts, Health, Observed
from console.control.ramp_state import RampState, ramp_of, ramp_words
from console.control.setbacks import setbacks_of
from console.control.settings import Control
from console.control.state import ControlState, Desired
from console.control.verify import Measured, between

__all__ = ["Watch"]

MEASURED_OVER = timedelta(minutes=1)
"""What the measured split is of, at most: since the last change, if that is not so long ago."""

_HEALTH_EVERY = timedelta(seconds=10)
_RECENT = 20
_ENDED = timedelta(hours=1)
"""How long a ramp that has ended is still told of, if nothing newer has happened."""

_IN_FLIGHT = timedelta(seconds=60)
"""An intent this young may still be carried out by whoever wrote it."""


class Watch:
    """One deployment's traffic, for one thread. refused: why nothing may be changed; "" if it may.

    words: what is under way by itself (a ramp, a fallback), from the audit: (ramp, fallback).
    """

    def __init__(
        self,
        deployment: str,
        control: Control,
        plane: ControlPlane,
        audit: Audit,
        *,
        refused: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.deployment, self.control, self.plane = deployment, control, plane
        self.audit, self.refused, self.clock = audit, refused, clock
        self._checks = HealthChecks(control.health, control.plane.timeout.total_seconds())
        self._health: Mapping[str, tuple[Health, str]] = {}
        self._checked: datetime | None = None
        self._observed: Observed | None = None
        self._counts: deque[Counts] = deque()

    def look(self) -> ControlState:
        """How it stands now. What cannot be known is said, nothing expected is raised."""
        now = self.clock()
        problem, counted = "", ""
        try:
            self._see(self.plane.read())
        except PlaneError as error:
            problem = str(error)
        try:
            counts = None if problem else self.plane.counts()
        except PlaneError as error:
            counts, counted = None, str(error)
        if counts is not None:
            self._remember(counts)
        self._ask_health(now)
        entries: tuple[Entry, ...] = ()
        try:
            entries = self.audit.entries()
        except AuditError as error:
            counted = str(error)
        changes = changes_of(entries, self.deployment)
        last = desired_of(changes)
        mine = [e for e in entries if e.deployment == self.deployment]
        ramp = ramp_of(mine, self.deployment)
        return ControlState(
            deployment=self.deployment,
            plane=self.plane.name,
            arms=tuple(self.control.arms.items()),
            stable=self.control.stable,
            refused=self.refused,
            capabilities=self.plane.capabilities,
            asked=now,
            observed=self._observed,
            problem=problem or counted,
            locked=bool(problem),
            late="" if problem else self._late(changes, last, now),
            health=tuple((arm, *told) for arm, told in self._health.items()),
            desired=_desired(last),
            measured=self._measured(now),
            counts=counts,
            unresolved=tuple(c.intent for c in changes if c.result is None),
            recent=tuple(reversed(mine[-_RECENT:])),
            ramp=self._ramp(ramp, changes, now),
            ramping=ramp is not None and not ramp.phase.ended,
            fallback=self._fallback(mine, now),
            on_fallback=fallback_of(mine, self.deployment).on,
            setbacks=setbacks_of(mine, self.deployment, now),
        )

    def _ramp(self, state: RampState | None, changes: Sequence[Change], now: datetime) -> str:
        words = _ramp(state, changes, now)
        if state is None or state.phase.ended or is_piloted(self.audit.path, self.deployment):
            return words
        return f"{words}; {NOBODY}"

    def _fallback(self, entries: Sequence[Entry], now: datetime) -> str:
        settings = self.control.fallback
        if settings is None:
            return ""
        words = fallback_words(fallback_of(entries, self.deployment), settings, now)
        watched = settings.automatic and settings.rule
        if not watched or is_piloted(self.audit.path, self.deployment):
            return words
        return f"{words}; no recorder that may write is running, so no rule acts"

    def _see(self, observed: Observed) -> None:
        """A new reading; what was counted under another split is not measured of this one."""
        before = self._observed
        if before is not None and [r.weights for r in before.replicas] != [
            r.weights for r in observed.replicas
        ]:
            self._counts.clear()
        self._observed = observed

    def _remember(self, counts: Counts) -> None:
        self._counts.append(counts)
        while len(self._counts) > 2 and self._counts[1].at <= counts.at - MEASURED_OVER:
            self._counts.popleft()

    def _measured(self, now: datetime) -> Measured | None:
        """Requests of the last minute; None where the newest counts are older than that."""
        if len(self._counts) < 2 or self._counts[-1].at < now - MEASURED_OVER:
            return None
        return between(self._counts[0], self._counts[-1])

    def _ask_health(self, now: datetime) -> None:
        if self._checked is None or not timedelta(0) <= now - self._checked < _HEALTH_EVERY:
            self._health, self._checked = self._checks.ask(), now

    def _late(self, changes: tuple[Change, ...], last: Change | None, now: datetime) -> str:
        """That the plane is not as it was last asked to be, and nobody is just changing it."""
        observed = self._observed
        if observed is None or last is None or last.after is None or observed.split is None:
            return ""
        if last.result is None and now - last.intent.at < _IN_FLIGHT:
            return ""
        if observed.split.same_shares(last.after):
            return ""
        wanted = f"{last.after} was asked for ({last.id})"
        older = {c.id for c in changes} - {last.id}
        if observed.change_id in older:
            return f"{observed.change_id} has arrived after it was given up; {wanted}"
        return f"it reads {split_words(observed)}, but {wanted}: restarted, or changed elsewhere"


def _ramp(state: RampState | None, changes: Sequence[Change], now: datetime) -> str:
    """How a ramp stands; also for some time after its end, until something newer happens."""
    if state is None:
        return ""
    if state.phase.ended:
        newer = any(c.took_effect and c.intent.at > state.since for c in changes)
        if newer or now - state.since > _ENDED:
            return ""
    return ramp_words(state)


def _desired(last: Change | None) -> Desired | None:
    if last is None or last.after is None:
        return None
    how = last.outcome or "no result"
    return Desired(last.after, last.intent.at, last.intent.who.in_words, last.id, how)
