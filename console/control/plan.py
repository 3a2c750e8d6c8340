"""A plan: what would be changed, on what it rests, until when it holds. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from console.control.plane import Change
from console.control.split import Split

__all__ = ["Plan", "Purpose", "ShareChange"]


class Purpose(StrEnum):
    """What a change is for."""

    SET = "set"
    RAMP = "ramp"
    ROLLBACK = "rollback"
    FALLBACK = "fallback"
    RETURN = "return"
    """From the fallback to what was before."""
    COMPLETE = "complete"
    """A change that reached only some replicas, on the others too."""
    UNDO = "undo"
    """Back to what was before a change."""

    @property
    def from_anywhere(self) -> bool:
        """Whether it is only about where it ends: what was in between does not stop it."""
        return self in (Purpose.ROLLBACK, Purpose.FALLBACK)


@dataclass(frozen=True, slots=True)
class ShareChange:
    """One arm's share, 0 to 1, before and after; before is None where replicas differ."""

    arm: str
    before: float | None
    after: float

    @property
    def is_increase(self) -> bool:
        """Whether it gets more, or may: nobody knows what it has."""
        return self.after > (self.before if self.before is not None else 0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """One change of one deployment's traffic. id: like c-20261121T104512-3f9a.

    before: None where replicas differ or could not all be read. base: the revision that it was
    planned on. reason: who wants it said why.
    """

    id: str
    deployment: str
    plane: str
    purpose: Purpose
    before: Split | None
    after: Split
    base: str
    made: datetime
    expires: datetime
    reason: str

    @property
    def change(self) -> Change:
        """What the plane is told."""
        return Change(self.id, self.before, self.after, self.base)

    @property
    def changes(self) -> tuple[ShareChange, ...]:
        """Every arm's share, in order."""
        return tuple(self._changes())

    def _changes(self) -> Iterator[ShareChange]:
        for arm in self.after.arms:
            before = None if self.before is None else self.before.share(arm)
            yield ShareChange(arm, before, self.after.share(arm))

    @property
    def increases(self) -> tuple[ShareChange, ...]:
        """The arms that get more."""
        return tuple(c for c in self.changes if c.is_increase)

    def expired(self, now: datetime) -> bool:
        """Whether what it rests on may have changed, where it rests on anything."""
        return now > self.expires and not self.purpose.from_anywhere

    @property
    def is_nothing(self) -> bool:
        """Whether all is as planned already."""
        return self.before is not None and self.before.same_shares(self.after)
