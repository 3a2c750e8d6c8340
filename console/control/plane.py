"""What a control plane is to the console: read it, try a change, apply it, count what it serves.

A plane knows arms and weights. What a change is for, whether it may be, who confirmed it and
whether it worked is the core's; so a plane is small, and one suite of tests fits them all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Self

from console.control.split import Split

__all__ = [
    "Answer",
    "ArmCount",
    "ArmHealth",
    "Capabilities",
    "Change",
    "ControlPlane",
    "Counts",
    "Health",
    "Observed",
    "Receipt",
    "Replica",
    "ReplicaAnswer",
]


class Health(StrEnum):
    """Whether an arm can take requests, as the plane knows."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Answer(StrEnum):
    """What a plane said to a change."""

    ACKED = "acked"
    CONFLICT = "conflict"
    """It has changed meanwhile, and refused: nothing happened."""
    REJECTED = "rejected"
    """It does not take this: nothing happened."""
    UNKNOWN = "unknown"
    """No answer, or none that tells: it may have been applied. Only reading it back tells."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a plane can do.

    total: the sum that weights are written with, so 1/total is the smallest share.
    compare_and_swap: whether it refuses a change of what it no longer is; else a change in between
    is only noticed. dry_run: whether it can try a change without making it. atomic: whether all
    arms change at once in one replica. persistent: whether a change outlives its restart. counts:
    whether it counts requests. carries_id: whether the change's id can be read back. note: what
    one must know.
    """

    total: int
    compare_and_swap: bool
    dry_run: bool
    atomic: bool
    persistent: bool
    counts: bool
    carries_id: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Replica:
    """One instance of a plane. weights: None where they could not be read; then problem says why.

    change_id: of the change it holds, where it carries one; "" for none of ours.
    """

    name: str
    weights: Split | None
    change_id: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ArmHealth:
    """An arm's health on all replicas: the worst. detail: like "2 of 3 endpoints"."""

    arm: str
    health: Health
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """A plane as it was read. revision: what a compare-and-swap rests on, "" where there is none.

    at: when it was asked. problem: what is wrong with the whole, like a status that lags behind; a
    split with a problem is what was written, not surely what is served.
    """

    at: datetime
    replicas: tuple[Replica, ...]
    revision: str
    health: tuple[ArmHealth, ...] = ()
    problem: str = ""

    @property
    def split(self) -> Split | None:
        """The split that every replica has; None where one differs or could not be read."""
        first = self.replicas[0].weights if self.replicas else None
        if first is None or not all(
            r.weights is not None and r.weights.same_shares(first) for r in self.replicas
        ):
            return None
        return first

    @property
    def known(self) -> tuple[Replica, ...]:
        """The replicas that answered."""
        return tuple(r for r in self.replicas if r.weights is not None)

    @property
    def differs(self) -> bool:
        """Whether replicas that answered split traffic differently."""
        known = [r.weights for r in self.replicas if r.weights is not None]
        return any(not w.same_shares(known[0]) for w in known[1:])

    @property
    def change_id(self) -> str:
        """Of the change that every replica holds; "" where they differ or carry none."""
        ids = {r.change_id for r in self.replicas}
        return ids.pop() if len(ids) == 1 else ""

    def health_of(self, arm: str) -> Health:
        """An arm's health."""
        return next((h.health for h in self.health if h.arm == arm), Health.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Change:
    """What a plane is told: from one split to another. base: the revision it was planned on."""

    id: str
    before: Split | None
    after: Split
    base: str


@dataclass(frozen=True, slots=True)
class ReplicaAnswer:
    """What one replica said to a change."""

    name: str
    answer: Answer
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a plane said to a change, replica by replica; a plane in one piece is one replica."""

    replicas: tuple[ReplicaAnswer, ...]

    @classmethod
    def one(cls, name: str, answer: Answer, detail: str = "") -> Receipt:
        """Of a plane in one piece."""
        return cls((ReplicaAnswer(name, answer, detail),))

    @property
    def answer(self) -> Answer:
        """All together: unknown where one is; acked where one is, though others refused."""
        answers = {r.answer for r in self.replicas}
        for answer in (Answer.UNKNOWN, Answer.ACKED, Answer.CONFLICT):
            if answer in answers:
                return answer
        return Answer.REJECTED

    @property
    def detail(self) -> str:
        """What they said, once each."""
        said = dict.fromkeys(f"{r.name}: {r.detail}" for r in self.replicas if r.detail)
        return "; ".join(said)


@dataclass(frozen=True, slots=True)
class ArmCount:
    """Requests since the replica started, or since its counters did. errors: None if not counted.

    epoch: says when the counters began, so that a restart is not read as a fall.
    """

    replica: str
    arm: str
    n: int
    n_error: int | None = None
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a plane has served by arm, as it counts. missing: replicas that gave no counts."""

    at: datetime
    rows: tuple[ArmCount, ...]
    missing: tuple[str, ...] = ()


class ControlPlane(ABC):
    """One deployment's traffic in a serving layer. Used by one thread at a time.

    Every call comes to an end by itself, within the plane's timeout for each replica.
    """

    name: str
    """Where it is, as shown: kind and address, without a secret."""

    arms: tuple[str, ...]
    """All arms, as the configuration lists them."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @abstractmethod
    def read(self) -> Observed:
        """How traffic is split now. Raises PlaneError when no replica can be read."""

    @abstractmethod
    def dry_run(self, change: Change) -> Iterator[str]:
        """What would be wrong with a change, one sentence each, without making it.

        Asks the server where that can try. Raises PlaneError when it cannot be asked.
        """

    @abstractmethod
    def apply(self, change: Change) -> Receipt:
        """Make a change, on every replica, each at most once. Raises nothing that is expected."""

    @abstractmethod
    def counts(self) -> Counts | None:
        """Requests by arm so far; None where it does not count. Raises PlaneError."""

    def close(self) -> None:  # noqa: B027 - most planes hold nothing
        """Give back connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
