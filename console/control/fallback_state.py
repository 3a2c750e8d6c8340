"""How a deployment's fallback stands, folded from the audit. Pure.

Nothing else is kept: the recorder survives its restart, and a command in another process sees the
same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from console.control.entries import Entry, EntryKind
from console.control.history import Change, changes_of
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.settings import FallbackSettings
from console.control.split import Split
from console.views.words import age as age_words

__all__ = ["FallbackState", "fallback_of", "fallback_words"]

_AUTOMATIC = frozenset({Purpose.FALLBACK.value, Purpose.RETURN.value})

_CAME_TO_NOTHING = frozenset({Result.REFUSED.value, Result.CONFLICT.value})


@dataclass(frozen=True, slots=True)
class FallbackState:
    """How the fallback stands by the audit. on: the arm that was fallen back to, "" for none.

    since, by: when and who. by_rule: whether a rule did. changes: when rules changed something,
    oldest first. before: the split before the fallback. refused: changes by rules in a row that
    came to nothing, the last at refused_at. told: rules told to be broken, and since when. person:
    why a person is needed, as last said; person_key tells the reason from others. watching: since
    when a recorder looks, None where none ever did.
    """

    on: str = ""
    since: datetime | None = None
    by: str = ""
    by_rule: bool = False
    rule: str = ""
    changes: tuple[datetime, ...] = ()
    before: Split | None = None
    refused: int = 0
    refused_at: datetime | None = None
    told: Mapping[str, datetime] = field(default_factory=dict)
    person: str = ""
    person_key: str = ""
    watching: datetime | None = None

    def used(self, settings: FallbackSettings, now: datetime) -> int:
        """Changes by rules that still count; those that a clock put ahead of now count too."""
        return sum(1 for at in self.changes if at > now - settings.within)


def fallback_of(entries: Sequence[Entry], deployment: str) -> FallbackState:
    """The state that entries of the audit, oldest first, add up to."""
    mine = [e for e in entries if e.deployment == deployment]
    state = _changed(FallbackState(), changes_of(mine, deployment))
    tries = {e.change for e in mine if e.kind is EntryKind.INTENT and _by_rule(e)}
    for entry in mine:
        if entry.kind is EntryKind.FALLBACK:
            state = _told(state, entry)
        elif entry.kind is EntryKind.REFUSED and _by_rule(entry):
            state = replace(state, refused=state.refused + 1, refused_at=entry.at)
        elif entry.kind is EntryKind.RESULT and entry.change in tries:
            came = entry.fields.get("outcome") not in _CAME_TO_NOTHING
            refused = 0 if came else state.refused + 1
            state = replace(state, refused=refused, refused_at=None if came else entry.at)
    return state


def _changed(state: FallbackState, changes: Iterable[Change]) -> FallbackState:
    for change in changes:
        if not change.took_effect:
            continue
        taking = change.after.taking if change.after is not None else ()
        if _by_rule(change.intent):
            state = replace(state, changes=(*state.changes, change.intent.at))
        if change.purpose == Purpose.FALLBACK.value and len(taking) == 1:
            state = replace(
                state,
                on=taking[0],
                since=change.intent.at,
                by=str(change.intent.who),
                by_rule=_by_rule(change.intent),
                # from one fallback to the next it is still what was before the first
                before=state.before if state.on else change.before,
            )
        elif change.purpose != Purpose.COMPLETE.value or taking != (state.on,):
            state = replace(state, on="", since=None, by="", by_rule=False, before=None)
    return state


def _by_rule(entry: Entry) -> bool:
    return entry.who.program == "recorder" and entry.fields.get("purpose") in _AUTOMATIC


def _told(state: FallbackState, entry: Entry) -> FallbackState:
    """What the recorder said that it saw."""
    event, rule, why, key = (_text(entry.fields.get(k)) for k in ("event", "rule", "why", "key"))
    if event == "limited":
        return replace(state, person=why, person_key=key)
    if event == "broken":
        return replace(state, told={**state.told, rule: entry.at})
    if event == "kept" and rule:
        return replace(state, told={k: v for k, v in state.told.items() if k != rule})
    if event == "armed":
        state = replace(state, watching=entry.at, told={})
    elif event in ("entered", "left"):
        state = replace(state, rule=rule if event == "entered" else "")
    return replace(state, person="", person_key="")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def fallback_words(state: FallbackState, settings: FallbackSettings, now: datetime) -> str:
    """How it stands, in a sentence without its end."""
    if state.on:
        since = f" since {state.since:%d %b %H:%M} UTC" if state.since else ""
        rule = f" by rule ({state.rule})" if state.rule else " by rule"
        how = rule if state.by_rule else f" by {state.by}" if state.by else ""
        words = f"on the fallback {state.on}{since}{how}"
        if state.before is not None:
            words += f"; before it {state.before}"
    else:
        words = f"ready: {', then '.join(t.arm for t in settings.target)}"
        if settings.rule:
            used = state.used(settings, now)
            left = f", {used} of {settings.most} changes in {age_words(settings.within)} used"
            words += f"; rules {'act' + left if settings.automatic else 'only tell'}"
    for rule, at in state.told.items():
        if state.on and rule == state.rule:
            continue  # that it was broken is why
        words += f"; {rule}: broken, told at {at:%H:%M} UTC"
    return f"{words}; a person is needed: {state.person}" if state.person else words
