"""Entries of the audit in words, and as the changes that panes mark. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from collectors.text import clean
from console.analysis.changes import RecordedChange
from console.control.entries import Entry, EntryKind
from console.control.history import Change, changes_of
from console.control.plan import Purpose
from console.control.split import Split, percent_text

__all__ = ["changed_shares", "changes_told", "reason_of", "sentence"]

_KINDS = {
    Purpose.RAMP.value: "ramp",
    Purpose.FALLBACK.value: "fallback",
    Purpose.RETURN.value: "fallback",
}
"""What a change is to those who look at figures; else it is a split."""

_TOLD = {
    EntryKind.RAMP: frozenset(
        {
            *("started", "paused", "resumed", "promoted", "failing", "aborting", "taken_over"),
            *("rolled_back", "aborted", "done"),
        }
    ),
    EntryKind.FALLBACK: frozenset({"armed", "broken", "limited"}),
}
"""Events that are told beside the changes of the split that they bring with them."""

_LONGEST = 500


def changed_shares(before: Split | None, after: Split | None) -> str:
    """`v1 100% -> 90%, v2 0% -> 10%`: what is not the same; "" where nothing is known."""
    if after is None:
        return ""
    if before is None:
        return f"to {after}"
    moved = [
        f"{arm} {percent_text(before.share(arm))} -> {percent_text(after.share(arm))}"
        for arm in dict.fromkeys((*after.arms, *before.arms))
        if before.share(arm) != after.share(arm)
    ]
    return ", ".join(moved) or f"still {after}"


def sentence(entry: Entry, change: Change | None = None) -> str:
    """What an entry tells. change: the one that it belongs to, where there is one."""
    said = entry.fields
    match entry.kind:
        case EntryKind.INTENT:
            shares = changed_shares(Change(entry, None).before, Change(entry, None).after)
            return _joined(said.get("purpose"), shares)
        case EntryKind.RESULT:
            purpose = change.purpose if change is not None else ""
            return _joined(" ".join(filter(None, (purpose, _text(said.get("outcome"))))), said)
        case EntryKind.REFUSED:
            wanted = Change(entry, None).after
            what = f"{_text(said.get('purpose'))} to {wanted}" if wanted is not None else ""
            return _joined(" ".join(filter(None, (what, _text(said.get("outcome"))))), said)
        case EntryKind.RAMP:
            step = said.get("step")
            known = isinstance(step, int | float) and not isinstance(step, bool)
            percent = f"at {step:g}%" if known else _text(step)
            return _joined(_words(said, "event", "arm"), percent, said.get("why"))
        case EntryKind.FALLBACK:
            return _joined(_words(said, "event", "target"), said.get("rule"), said.get("why"))


def reason_of(entry: Entry) -> str:
    """Why somebody wanted it, as typed; "" where nobody said."""
    return _text(entry.fields.get("reason"))


def changes_told(
    entries: Iterable[Entry], deployment: str, start: datetime, end: datetime, as_of: datetime
) -> tuple[RecordedChange, ...]:
    """Changes in [start, end), known at `as_of` (aware), by time.

    Each change of the split that was or may have been made is one, at the moment of its intent;
    what was refused is none.
    """
    known = [e for e in entries if e.deployment == deployment and e.at <= as_of]
    found = [*_splits(changes_of(known, deployment)), *_events(known)]
    return tuple(sorted((c for c in found if start <= c.at < end), key=lambda c: (c.at, c.text)))


def _splits(changes: Iterable[Change]) -> Iterator[RecordedChange]:
    for change in changes:
        if not change.took_effect:
            continue
        before, after = change.before, change.after
        more = [
            arm
            for arm in (after.arms if after is not None else ())
            if after is not None and after.share(arm) > (before.share(arm) if before else 0.0)
        ]
        by = f"{change.purpose} by {change.intent.who.in_words}"
        why = reason_of(change.intent)
        ended = change.outcome or "no result"
        detail = f"{changed_shares(before, after)} ({by}{f': {why}' if why else ''}; {ended})"
        kind = _KINDS.get(change.purpose, "split")
        yield RecordedChange(
            change.intent.at, kind, clean(", ".join(more)), clean(detail, _LONGEST)
        )


def _events(entries: Iterable[Entry]) -> Iterator[RecordedChange]:
    for entry in entries:
        event = _text(entry.fields.get("event"))
        if entry.kind in _TOLD and event in _TOLD[entry.kind]:
            subject = entry.fields.get("arm" if entry.kind is EntryKind.RAMP else "target")
            words = event.replace("_", " ")
            detail = _joined(words, entry.fields.get("rule"), entry.fields.get("why"))
            yield RecordedChange(
                entry.at, entry.kind.value, clean(_text(subject)), clean(detail, _LONGEST)
            )


def _joined(*parts: object) -> str:
    """Texts, one behind the other; of fields their `text`."""
    texts = [_text(p.get("text") if isinstance(p, Mapping) else p) for p in parts]
    return ": ".join(text for text in texts if text)


def _words(said: Mapping[str, Any], *keys: str) -> str:
    """Fields one behind the other, without the underscores that documents have."""
    texts = {key: _text(said.get(key)) for key in keys}
    if "event" in texts:
        texts["event"] = texts["event"].replace("_", " ")
    return " ".join(filter(None, texts.values()))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
