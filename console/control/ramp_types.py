"""What a staged rollout is made of: its events, phases and state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from console.control.plane import Counts
from console.control.split import Split

__all__ = ["PERSON_KEY", "Event", "Pending", "Phase", "RampState", "Served", "Tries"]

PERSON_KEY = "rollback"
"""Key of a rollback that takes so long that a person is needed."""


class Event(StrEnum):
    """What an entry of a ramp tells; its field `event`."""

    STARTED = "started"
    """Confirmed and about to be made: entered under the lock, just before its first step."""
    NOT_BEGUN = "not_begun"
    """Its first step was never sent."""
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
    """A try to roll back that did not, or not surely, reach zero; `sent`: whether it was sent."""
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
    NOT_BEGUN = "not begun"
    """Its first step was not taken, or never sent."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self in _ENDED


_ENDED = frozenset(
    {Phase.ROLLED_BACK, Phase.ABORTED, Phase.TAKEN_OVER, Phase.DONE, Phase.NOT_BEGUN}
)


@dataclass(frozen=True, slots=True)
class Pending:
    """The ramp's own change to a step that is not entered as reached. outcome: "" before one.

    sent: whether its intent is known; before that nothing can have been sent.
    """

    change: str
    step: int
    after: Split
    at: datetime
    outcome: str = ""
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Tries:
    """To roll back. n: all of them; sent: those that the plane was told of, or may have been."""

    n: int
    sent: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Served:
    """What an arm was asked, and how much of it failed; errors: None where they are not counted."""

    arm: str
    n: int
    errors: int | None


@dataclass(frozen=True, slots=True)
class RampState:
    """A ramp by the audit. steps: percent for the arm, as they were confirmed at the start.

    step: the place in steps that is reached, since `at`; -1 until the first one is. split: what
    traffic must be like. counts: of the plane when the step was reached, None where it does not
    count. earlier: what arms were asked in the steps before. since: when the phase began. asked:
    when a person last let it go on, from which patience counts. why, key: what was last said, and
    what tells it from others. cause: why it is rolled back. tries: of that, None before the first.
    aborting: whether a person wanted it. other: a change of somebody else that came in between.
    clean: from when figures of performance are the ramp's own, which are kept by the hour.
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
    earlier: tuple[Served, ...] = ()
    why: str = ""
    key: str = ""
    cause: str = ""
    pending: Pending | None = None
    promoted: bool = False
    tries: Tries | None = None
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
    def is_begun(self) -> bool:
        """Whether its first step is surely reached."""
        return self.step >= 0

    @property
    def percent(self) -> float:
        """What the arm has, in percent."""
        if self.is_begun:
            return float(self.steps[self.step])
        return 100 * self.split.share(self.arm)

    @property
    def place(self) -> str:
        """Like "step 2 of 5 (5%)"."""
        if not self.is_begun:
            return f"its first step ({float(self.steps[0]):g}%) is under way"
        return f"step {self.step + 1} of {len(self.steps)} ({self.percent:g}%)"

    @property
    def needs_person(self) -> bool:
        """Whether it says that only a person, or a person too, can help."""
        return self.phase is Phase.PERSON or (
            self.phase is Phase.ROLLING_BACK and self.key == PERSON_KEY
        )

    def served(self, arm: str) -> Served:
        """What an arm was asked in the steps before this one."""
        return next((s for s in self.earlier if s.arm == arm), Served(arm, 0, None))
