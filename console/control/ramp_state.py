"""How a staged rollout stands, folded from the audit. Pure.

Nothing else is kept: the recorder survives its restart, and a command in another process starts,
pauses and aborts a ramp by adding an entry that the recorder reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from console.analysis.ask import floor_hour
from console.control.entries import Entry, EntryKind
from console.control.history import split_in
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.plane import ArmCount, Counts
from console.control.ramp_types import (
    PERSON_KEY,
    Event,
    Pending,
    Phase,
    RampState,
    Served,
    Tries,
)
from console.control.verify import between

__all__ = [
    "PERSON_KEY",
    "Event",
    "Pending",
    "Phase",
    "RampState",
    "Served",
    "Tries",
    "counts_document",
    "exact",
    "ramp_of",
    "ramp_running",
    "ramp_words",
]

_CAME_TO_NOTHING = frozenset({Result.REFUSED.value, Result.CONFLICT.value})

_LONGEST_NUMBER = 60
"""Characters of a step in an entry, which may be forged."""

_ENDS = {
    Event.ROLLED_BACK: Phase.ROLLED_BACK,
    Event.ABORTED: Phase.ABORTED,
    Event.TAKEN_OVER: Phase.TAKEN_OVER,
    Event.DONE: Phase.DONE,
    Event.NOT_BEGUN: Phase.NOT_BEGUN,
}


def exact(percent: float) -> Fraction:
    """A share in percent as it is written, so that 0.1 is a tenth."""
    return Fraction(repr(float(percent)))


def ramp_of(entries: Iterable[Entry], deployment: str) -> RampState | None:
    """The newest ramp that entries of the audit, oldest first, tell of; None where none ever was.

    Entries that make no sense are passed over.
    """
    state: RampState | None = None
    for entry in entries:
        if entry.deployment == deployment:
            state = _after(state, entry)
    return state


def ramp_running(entries: Iterable[Entry], deployment: str) -> str:
    """A ramp that is under way, in words; "" for none. A change of the split would end it."""
    state = ramp_of(entries, deployment)
    if state is None or state.phase.ended:
        return ""
    return f"a ramp of {state.arm} is under way ({state.place})"


def ramp_words(state: RampState) -> str:
    """How a ramp stands, in a sentence without its end."""
    why = f": {state.why}" if state.why else ""
    if state.phase is Phase.NOT_BEGUN:
        return f"the ramp of {state.arm} was not begun at {_at(state.since)}{why}"
    if state.phase.ended:
        return f"the ramp of {state.arm} is {state.phase.value} since {_at(state.since)}{why}"
    doing = "" if state.phase is Phase.RUNNING else f"; {state.phase.value}"
    return f"ramp of {state.arm}: {state.place} since {_at(state.at)}{doing}{why}"


def _at(moment: datetime) -> str:
    return f"{moment:%d %b %H:%M} UTC"


def counts_document(counts: Counts | None) -> dict[str, Any] | None:
    """Counts for an entry: what a step's own are counted from, also after a restart."""
    if counts is None:
        return None
    rows = [[r.replica, r.arm, r.n, r.n_error, r.epoch] for r in counts.rows]
    return {"at": counts.at.isoformat(), "rows": rows, "missing": list(counts.missing)}


# -- the fold --------------------------------------------------------------------------------------


def _after(  # noqa: PLR0911 - one per kind
    state: RampState | None, entry: Entry
) -> RampState | None:
    if entry.kind is EntryKind.RAMP:
        event = entry.fields.get("event")
        if event == Event.STARTED:
            return _started(entry, state) or state
        if state is None or state.phase.ended or entry.fields.get("ramp") != state.id:
            return state
        return _told(state, entry, event)
    if state is None or state.phase.ended or state.phase is Phase.ROLLING_BACK:
        return state
    if entry.kind is EntryKind.INTENT:
        return _intended(state, entry)
    if entry.kind is EntryKind.RESULT:
        return _resulted(state, entry)
    return state


def _started(entry: Entry, before: RampState | None) -> RampState | None:
    fields = entry.fields
    try:
        steps = tuple(_percent(s) for s in fields["steps"])
        split, first = split_in(fields["split"]), split_in(fields["first"])
        pause = timedelta(seconds=float(fields["pause_s"]))
        least = int(fields["least"])
        arm, name = fields["arm"], fields["ramp"]
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    if not steps or not isinstance(arm, str) or not isinstance(name, str):
        return None
    if split is None or first is None:
        return None
    return RampState(
        id=name,
        deployment=entry.deployment,
        arm=arm,
        steps=steps,
        pause=pause,
        least=least,
        by=str(entry.who),
        reason=_text(fields.get("reason")),
        started=entry.at,
        step=-1,
        at=entry.at,
        split=split,
        clean=_clean(entry.at, arm, before),
        asked=entry.at,
        since=entry.at,
        counts=_counts_in(fields.get("counts")),
        pending=Pending(entry.change, 0, first, entry.at, sent=False),
    )


def _percent(value: object) -> Fraction:
    """Raises ValueError for what is no percentage; never works on a huge number."""
    text = _text(value)
    if not (0 < len(text) <= _LONGEST_NUMBER and set(text) <= set("0123456789/.")):
        raise ValueError(text)
    found = Fraction(text)
    if not 0 < found <= 100:
        raise ValueError(text)
    return found


def _clean(at: datetime, arm: str, before: RampState | None) -> datetime:
    """From when an hour holds nothing of an earlier ramp of the same arm."""
    hour = floor_hour(at)
    if before is None or before.arm != arm:
        return hour
    hour = max(hour, before.clean)
    if before.phase is not Phase.NOT_BEGUN and (not before.phase.ended or before.since >= hour):
        hour += timedelta(hours=1)
    return hour


def _told(state: RampState, entry: Entry, event: object) -> RampState:  # noqa: PLR0911 - one each
    fields, at = entry.fields, entry.at
    said = replace(state, why=_text(fields.get("why")), key=_text(fields.get("key")))
    match event:
        case Event.STEP:
            return _stepped(said, entry)
        case Event.WAITS if state.phase is not Phase.ROLLING_BACK:
            if fields.get("person") is True and state.phase is Phase.RUNNING:
                return replace(said, phase=Phase.PERSON, since=at)
            return said
        case Event.WAITS:
            return said
        case Event.PAUSED if state.phase in (Phase.RUNNING, Phase.PERSON):
            return replace(said, phase=Phase.PAUSED, since=at)
        case Event.RESUMED if state.phase in (Phase.PAUSED, Phase.PERSON):
            return replace(said, phase=Phase.RUNNING, since=at, asked=at)
        case Event.PROMOTED if state.phase is not Phase.ROLLING_BACK:
            return replace(said, phase=Phase.RUNNING, since=at, asked=at, promoted=True)
        case Event.FAILING | Event.ABORTING:
            aborting = state.aborting or event == Event.ABORTING
            since = state.since if state.phase is Phase.ROLLING_BACK else at
            return replace(
                said,
                phase=Phase.ROLLING_BACK,
                since=since,
                cause=said.why,
                tries=None,
                aborting=aborting,
            )
        case Event.TRIED if state.phase is Phase.ROLLING_BACK:
            return replace(said, tries=_tried(state.tries, at, fields.get("sent") is not False))
        case Event.NOT_BEGUN if state.is_begun:
            return state
        case Event.ROLLED_BACK | Event.ABORTED | Event.TAKEN_OVER | Event.DONE | Event.NOT_BEGUN:
            return replace(said, phase=_ENDS[Event(str(event))], since=at, pending=None)
        case _:
            return state


def _tried(before: Tries | None, at: datetime, sent: bool) -> Tries:
    if before is None:
        return Tries(1, int(sent), at, at)
    return Tries(before.n + 1, before.sent + sent, before.first, at)


def _stepped(state: RampState, entry: Entry) -> RampState:
    """A step is reached: its time begins with this entry. Never one that was not the next."""
    step, split = entry.fields.get("place"), split_in(entry.fields.get("split"))
    if state.phase is Phase.ROLLING_BACK or split is None or step != state.step + 1:
        return state
    if state.is_last:
        return state
    counts = _counts_in(entry.fields.get("counts"))
    return replace(
        state,
        step=step,
        at=entry.at,
        asked=entry.at,
        split=split,
        counts=counts,
        earlier=_served(state, counts),
        pending=None,
        promoted=False,
        other="",
    )


def _served(state: RampState, counts: Counts | None) -> tuple[Served, ...]:
    """What arms were asked until now, since the ramp began."""
    if state.counts is None or counts is None:
        return state.earlier
    measured = between(state.counts, counts)
    arms = dict.fromkeys((*(s.arm for s in state.earlier), *(r.arm for r in measured.rows)))
    found = []
    for arm in arms:
        before, n, errors = state.served(arm), measured.of(arm), measured.errors(arm)
        if errors is None:  # of those it is not known how many failed
            found.append(before)
        else:
            found.append(Served(arm, before.n + n, (before.errors or 0) + min(errors, n)))
    return tuple(found)


def _intended(state: RampState, entry: Entry) -> RampState:
    after = split_in(entry.fields.get("after"))
    purpose = entry.fields.get("purpose")
    if purpose == Purpose.RAMP and after is not None and not state.is_last:
        return replace(state, pending=Pending(entry.change, state.step + 1, after, entry.at))
    mine = (state.split, *((state.pending.after,) if state.pending else ()))
    if purpose == Purpose.COMPLETE and after and any(after.same_shares(s) for s in mine):
        return state
    return replace(state, other=entry.change)


def _resulted(state: RampState, entry: Entry) -> RampState:
    outcome = _text(entry.fields.get("outcome"))
    nothing = outcome in _CAME_TO_NOTHING
    if state.pending is not None and entry.change == state.pending.change:
        if nothing and not state.is_begun:
            why = _text(entry.fields.get("text"))
            ended = replace(state, why=why, key="", pending=None)
            return replace(ended, phase=Phase.NOT_BEGUN, since=entry.at)
        pending = None if nothing else replace(state.pending, outcome=outcome or "unknown")
        return replace(state, pending=pending)
    if entry.change == state.other and nothing:
        return replace(state, other="")
    return state


def _counts_in(value: object) -> Counts | None:
    if not isinstance(value, Mapping):
        return None
    try:
        rows = tuple(
            ArmCount(str(replica), str(arm), int(n), None if errors is None else int(errors), epoch)
            for replica, arm, n, errors, epoch in value["rows"]
        )
        missing = tuple(str(name) for name in value.get("missing", ()))
        return Counts(datetime.fromisoformat(value["at"]), rows, missing)
    except (KeyError, TypeError, ValueError):
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
