"""What the audit says of a deployment's traffic: desired split, last increase, what to go back to.

Pure: entries in, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.control.entries import Entry, EntryKind
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.split import Split

__all__ = ["Change", "before_fallback", "changes_of", "desired_of", "last_increase"]

_NOTHING = frozenset({Result.REFUSED.value, Result.CONFLICT.value})
"""Results after which the plane is as it was."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its intent, and its result where there is one."""

    intent: Entry
    result: Entry | None

    @property
    def id(self) -> str:
        """Like c-20261121T104512-3f9a."""
        return self.intent.change

    @property
    def purpose(self) -> str:
        """What it was for."""
        return _text(self.intent.fields.get("purpose"))

    @property
    def before(self) -> Split | None:
        """What it found; None where replicas differed or that was not known."""
        return split_in(self.intent.fields.get("before"))

    @property
    def after(self) -> Split | None:
        """What it wanted."""
        return split_in(self.intent.fields.get("after"))

    @property
    def outcome(self) -> str:
        """How it ended; "" while that is not known."""
        return _text(self.result.fields.get("outcome")) if self.result is not None else ""

    @property
    def took_effect(self) -> bool:
        """Whether it surely or possibly changed something."""
        return self.outcome not in _NOTHING


def changes_of(entries: Iterable[Entry], deployment: str) -> tuple[Change, ...]:
    """All changes of a deployment, oldest first."""
    found: dict[str, Change] = {}
    for entry in entries:
        if entry.deployment != deployment:
            continue
        if entry.kind is EntryKind.INTENT:
            found[entry.change] = Change(entry, None)
        elif entry.kind is EntryKind.RESULT and entry.change in found:
            found[entry.change] = Change(found[entry.change].intent, entry)
    return tuple(found.values())


def desired_of(changes: Iterable[Change]) -> Change | None:
    """The change whose split is wanted now: the last one that may have taken effect."""
    last = None
    for change in changes:
        if change.took_effect and change.after is not None:
            last = change
    return last


def last_increase(changes: Iterable[Change], stable: str) -> datetime | None:
    """When an arm beside the stable one last got more."""
    last = None
    for change in changes:
        after, before = change.after, change.before
        if not change.took_effect or after is None:
            continue
        if any(
            arm != stable and after.share(arm) > (before.share(arm) if before is not None else 0.0)
            for arm in after.arms
        ):
            last = change.intent.at
    return last


def before_fallback(changes: Iterable[Change]) -> Split | None:
    """What traffic was split like before the fallback that it is on now; None when it is on none.

    From one fallback to the next it is still what was before the first.
    """
    found: Split | None = None
    falling = False
    for change in _effective(changes):
        if change.purpose == Purpose.FALLBACK:
            if not falling:
                found, falling = change.before, True
        elif change.purpose not in (Purpose.COMPLETE, Purpose.UNDO):
            found, falling = None, False
    return found


def _effective(changes: Iterable[Change]) -> Iterator[Change]:
    return (c for c in changes if c.took_effect)


def split_in(value: object) -> Split | None:
    """A split as entries hold it; None of anything else."""
    if not isinstance(value, Mapping) or not value:
        return None
    pairs = [(arm, weight) for arm, weight in value.items() if isinstance(arm, str)]
    if len(pairs) < len(value) or any(type(w) is not int or w < 0 for _, w in pairs):
        return None
    return Split(tuple(pairs))


def split_document(split: Split | None) -> dict[str, Any] | None:
    """A split for an entry."""
    return None if split is None else dict(split.weights)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
