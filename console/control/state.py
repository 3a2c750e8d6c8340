"""How a deployment's traffic stands, for whoever looks: desired, configured, measured, and how old.

Frozen, made by `watch`, without an address or a connection in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from console.control.audit import Entry
from console.control.plane import Capabilities, Counts, Health, Observed
from console.control.setbacks import Setback
from console.control.split import Split
from console.control.verify import Measured

__all__ = ["ControlState", "Desired"]


@dataclass(frozen=True, slots=True)
class Desired:
    """The split last asked for, as the audit has it. by: who; how: the result in a word."""

    split: Split
    since: datetime
    by: str
    change: str
    how: str


@dataclass(frozen=True, slots=True)
class ControlState:
    """One deployment's traffic. arms: arm -> version, in order. refused: why this process may not
    change it; "" when it may.

    asked: when the plane was last asked. observed: the last reading that worked, None before one.
    problem: what went wrong at the last look. locked: whether that was reading the plane, so that
    what is shown is old and nothing can be changed. late: a change that arrived though it was given
    up, or a split that nobody here asked for; "" for none. health: of arms that have an address of
    their own. measured: requests of the last minute or so; None where nobody counts. counts: of the
    last look, since the replicas began. unresolved: intents without a result. recent: newest
    entries of the audit, the newest first. ramp, fallback: how they stand, in words; "" where there
    is none. ramping: whether the ramp is still under way. on_fallback: the arm that traffic fell
    back to; "" for none. setbacks: arms that traffic was taken from, and why.
    """

    deployment: str
    plane: str
    arms: tuple[tuple[str, str], ...]
    stable: str
    refused: str
    capabilities: Capabilities
    asked: datetime
    observed: Observed | None = None
    problem: str = ""
    locked: bool = False
    late: str = ""
    health: tuple[tuple[str, Health, str], ...] = ()
    desired: Desired | None = None
    measured: Measured | None = None
    counts: Counts | None = None
    unresolved: tuple[Entry, ...] = ()
    recent: tuple[Entry, ...] = ()
    ramp: str = ""
    fallback: str = ""
    ramping: bool = False
    on_fallback: str = ""
    setbacks: tuple[Setback, ...] = ()

    def setback(self, arm: str) -> Setback | None:
        """Why an arm that has no traffic has none, where something was wrong."""
        return next((s for s in self.setbacks if s.arm == arm), None)

    @property
    def writable(self) -> bool:
        """Whether this process may change it."""
        return not self.refused

    def age(self, now: datetime) -> timedelta | None:
        """How old the last reading is."""
        return None if self.observed is None else now - self.observed.at
