"""How a staged rollout stands, folded from the audit. Pure.

Nothing else is kept: the recorder survives its restart, and a command in another process starts,
pauses and aborts a ramp by adding an entry that the recorder reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Any

from console.analysis.ask import floor_hour
from console.control.entries import Entry, EntryKind
from console.control.history import split_in
from console.control.outcome import Result
from console.control.plan import Purpose
from console.control.plane import ArmCount, Counts
from console.control.split import Split

__all__ = [
    "Event",
    "Pending",
    "Phase",
    "RampState",
    "counts_document",
    "exact",
    "ramp_of",
    "ramp_running",
    "ramp_words",
]

_CAME_TO_NOTHING = frozenset({Result.REFUSED.value, Result.CONFLICT.value})


class Event(StrEnum):
    """What an entry of a ramp tells; its field `event`."""

    STARTED = "started"
    STEP = "step"
    WAITS = "waits"
    """Why it does not go on now; with `person`, that only a person makes it go on."""
    PAUSED = "paused"
    RESUMED = "resumed"
    PROMOTED = "promoted"
    """A person lets it go on though it cannot be told."""
    FAILING = "failing"
    """It is to be rolled back, and why."""
    ABORTING = "aborting"
    """A person wants it rolled back."""
    TRIED = "tried"
    """A try to roll back that did not, or not surely, reach zero."""
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    TAKEN_OVER = "taken_over"
    """Somebody else changed the split: the ramp is over, and leaves it as it is."""
    DONE = "done"


class Phase(StrEnum):
    """Where a ramp is."""

    RUNNING = "running"
    PAUSED = "paused"
    PERSON = "waits for a person"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    ABORTED = "aborted"
    TAKEN_OVER = "taken over"
    DONE = "done"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self in (Phase.ROLLED_BACK, Phase.ABORTED, Phase.TAKEN_OVER, Phase.DONE)


_ENDS = {
    Event.ROLLED_BACK: Phase.ROLLED_BACK,
    Event.ABORTED: Phase.ABORTED,
    Event.TAKEN_OVER: Phase.TAKEN_OVER,
    Event.DONE: Phase.DONE,
}


@dataclass(frozen=True, slots=True)
class Pending:
    """The ramp's own change to a step that is not entered as reached. outcome: "" before one."""

    change: str
    step: int
    after: Split
    at: datetime
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class RampState:
    """A ramp by the audit. steps: percent for the arm, as they were confirmed at the start.

    step: the place in steps that is reached, since `at`. split: what traffic must be like. counts:
    of the plane when the step was reached, None where it does not count. since: when the phase
    began. asked: when a person last let it go on, from which patience counts. why, key: what was
    last said, and what tells it from others. tries: of rolling back, when. aborting: whether a
    person wanted that. other: a change of somebody else that came in between. clean: from when
    figures of performance are the ramp's own, which are kept by the hour.
    """

    id: str
    deployment: str
    arm: str
    steps: tuple[Fraction, ...]
    pause: timedelta
    least: int
    by: str
    reason: str
    started: datetime
    step: int
    at: datetime
    split: Split
    clean: datetime
    asked: datetime
    since: datetime
    phase: Phase = Phase.RUNNING
    counts: Counts | None = None
    why: str = ""
    key: str = ""
    pending: Pending | None = None
    promoted: bool = False
    tries: tuple[datetime, ...] = ()
    aborting: bool = False
    other: str = ""

    @property
    def is_last(self) -> bool:
        """Whether the last step is reached."""
        return self.step >= len(self.steps) - 1

    @property
    def next(self) -> Fraction:
        """Percent of the next step. Only where the last one is not reached."""
        return self.steps[self.step + 1]

    @property
    def place(self) -> str:
        """Like "step 2 of 5 (5%)"."""
        return f"step {self.step + 1} of {len(self.steps)} ({float(self.steps[self.step]):g}%)"


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
        steps = tuple(Fraction(str(s)) for s in fields["steps"])
        split = split_in(fields["split"])
        pause = timedelta(seconds=float(fields["pause_s"]))
        least = int(fields["least"])
        arm, name = fields["arm"], fields["ramp"]
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    if not steps or split is None or not isinstance(arm, str) or not isinstance(name, str):
        return None
    hour = floor_hour(entry.at)
    if (
        before is not None
        and before.arm == arm
        and (not before.phase.ended or before.since >= hour)
    ):
        hour += timedelta(hours=1)  # of this one it is not told apart what the last ramp did
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
        step=0,
        at=entry.at,
        split=split,
        clean=hour,
        asked=entry.at,
        since=entry.at,
        counts=_counts_in(fields.get("counts")),
    )


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
            if state.phase is Phase.ROLLING_BACK:
                return replace(said, aborting=aborting, tries=())
            return replace(said, phase=Phase.ROLLING_BACK, since=at, tries=(), aborting=aborting)
        case Event.TRIED if state.phase is Phase.ROLLING_BACK:
            return replace(said, tries=(*state.tries, at))
        case Event.ROLLED_BACK | Event.ABORTED | Event.TAKEN_OVER | Event.DONE:
            return replace(said, phase=_ENDS[Event(str(event))], since=at, pending=None)
        case _:
            return state


def _stepped(state: RampState, entry: Entry) -> RampState:
    """A step is reached: its time begins with this entry. Never one that was not the next."""
    step, split = entry.fields.get("place"), split_in(entry.fields.get("split"))
    if state.phase is Phase.ROLLING_BACK or split is None or step != state.step + 1:
        return state
    if state.is_last:
        return state
    return replace(
        state,
        step=step,
        at=entry.at,
        asked=entry.at,
        split=split,
        counts=_counts_in(entry.fields.get("counts")),
        pending=None,
        promoted=False,
        other="",
    )


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
