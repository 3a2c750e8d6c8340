"""Arms that traffic was taken from because something was wrong, and why. Pure.

Figures get better by themselves when the window moves on, or when the other arm gets worse too.
That an arm was rolled back does not go away until somebody gives it traffic again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.control.entries import Entry, EntryKind
from console.control.history import Change, changes_of
from console.control.plan import Purpose

__all__ = ["Setback", "setbacks_of"]

_REMEMBERED = timedelta(days=7)
"""By then an arm of the same name is likely something else."""

_HOW = {Purpose.ROLLBACK.value: "rolled back", Purpose.FALLBACK.value: "left for a fallback"}


@dataclass(frozen=True, slots=True)
class Setback:
    """An arm that has had no traffic since. how: like "rolled back". what: in a word or two, as of
    a ramp "errors", "" where nobody said; why: in full. by: who did it.
    """

    arm: str
    at: datetime
    how: str
    what: str
    why: str
    by: str

    @property
    def text(self) -> str:
        """A sentence without its end."""
        why = f": {self.why}" if self.why else ""
        return f"{self.arm} was {self.how} at {self.at:%d %b %H:%M} UTC by {self.by}{why}"


def setbacks_of(
    entries: Iterable[Entry], deployment: str, now: datetime
) -> tuple[Setback, ...]:  # fmt: skip
    """The newest of each arm, by entries of the audit, oldest first."""
    known = [e for e in entries if e.deployment == deployment]
    changes = {c.intent.n: c for c in changes_of(known, deployment) if c.took_effect}
    found: dict[str, Setback] = {}
    failing: dict[str, tuple[str, str]] = {}  # of an arm's ramp: what, and why in full
    for entry in known:
        if entry.n in changes:
            _moved(found, failing, changes[entry.n])
        elif entry.kind is EntryKind.RAMP and _text(entry, "event") == "failing":
            what = _text(entry, "key").removeprefix("failed ")
            failing[_text(entry, "arm")] = what, _text(entry, "why")
    return tuple(s for s in found.values() if now - s.at <= _REMEMBERED)


def _moved(found: dict[str, Setback], failing: dict[str, tuple[str, str]], change: Change) -> None:
    """What one change took from whom, and gave to whom."""
    after, before = change.after, change.before
    if after is None:
        return
    intent = change.intent
    for arm in after.arms:
        if after.share(arm) > 0:
            if before is None or after.share(arm) > before.share(arm):
                found.pop(arm, None)
                failing.pop(arm, None)
        elif change.purpose in _HOW and before is not None and before.share(arm) > 0:
            what, why = failing.get(arm, ("", _text(intent, "reason")))
            found[arm] = Setback(
                arm, intent.at, _HOW[change.purpose], what, why, intent.who.in_words
            )


def _text(entry: Entry, key: str) -> str:
    value = entry.fields.get(key)
    return value if isinstance(value, str) else ""
