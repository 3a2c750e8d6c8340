"""A control plane in memory: exact, at once, and able to fail in every way that real ones do."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from console.control.errors import PlaneError
from console.control.plane import (
    Answer,
    ArmCount,
    ArmHealth,
    Capabilities,
    Change,
    ControlPlane,
    Counts,
    Health,
    Observed,
    Receipt,
    Replica,
    ReplicaAnswer,
)
from console.control.split import Split

__all__ = ["MemoryPlane", "MemoryReplica"]


@dataclass(slots=True)
class MemoryReplica:
    """One replica. Each fault is of the next calls until it is taken back.

    takes: what `apply` does here: "" applies; "refuse" rejects; "lose" applies and gives no
    answer; "drop" neither; "late" gives no answer and applies when `arrive` is called.
    """

    name: str
    weights: dict[str, int]
    change_id: str = ""
    version: int = 1
    down: bool = False
    takes: str = ""
    n: dict[str, int] = field(default_factory=dict)
    n_error: dict[str, int] = field(default_factory=dict)
    epoch: int = 1
    late: list[Change] = field(default_factory=list)

    def set(self, split: Split, change_id: str) -> None:
        """Take new weights."""
        self.weights = dict(split.weights)
        self.change_id = change_id
        self.version += 1


class MemoryPlane(ControlPlane):
    """Weights by arm on some replicas. traffic: requests that come before each `counts`.

    error_rates: by arm. swap: whether it compares revisions. counted: whether it counts.
    """

    def __init__(
        self,
        weights: Mapping[str, int],
        *,
        replicas: int = 1,
        total: int = 100,
        traffic: int = 0,
        swap: bool = True,
        counted: bool = True,
        seed: int = 1,
    ) -> None:
        self.name = "memory"
        self.arms = tuple(weights)
        self.replicas = [MemoryReplica(f"r{n + 1}", dict(weights)) for n in range(replicas)]
        self.traffic, self.total, self.swap, self.counted = traffic, total, swap, counted
        self.error_rates: dict[str, float] = {}
        self.health: dict[str, Health] = dict.fromkeys(self.arms, Health.UP)
        self.problems: tuple[str, ...] = ()
        self.problem = ""
        self.applied: list[Change] = []
        self.before_apply = lambda: None
        self._random = random.Random(seed)  # noqa: S311 - traffic of a test

    @property
    def capabilities(self) -> Capabilities:
        """Everything, unless said otherwise."""
        return Capabilities(
            total=self.total,
            compare_and_swap=self.swap,
            dry_run=True,
            atomic=True,
            persistent=True,
            counts=self.counted,
            carries_id=True,
        )

    @property
    def revision(self) -> str:
        """Of all replicas."""
        return "/".join(str(r.version) for r in self.replicas) if self.swap else ""

    def read(self) -> Observed:
        """As it is."""
        if all(r.down for r in self.replicas):
            raise PlaneError("memory cannot be reached; is it running?")
        replicas = tuple(
            Replica(r.name, None, "", "cannot be reached")
            if r.down
            else Replica(r.name, Split.of(r.weights), r.change_id)
            for r in self.replicas
        )
        health = tuple(ArmHealth(arm, h) for arm, h in self.health.items())
        return Observed(datetime.now(UTC), replicas, self.revision, health, self.problem)

    def dry_run(self, change: Change) -> Iterator[str]:
        """What was set as problems, and all-zero weights."""
        if all(r.down for r in self.replicas):
            raise PlaneError("memory cannot be reached; is it running?")
        yield from self.problems
        if change.after.total <= 0:
            yield "no arm would get traffic"

    def apply(self, change: Change) -> Receipt:
        """On every replica, with its fault."""
        self.before_apply()
        self.applied.append(change)
        if self.swap and change.base != self.revision:
            return Receipt.one(self.name, Answer.CONFLICT, "it has another revision")
        return Receipt(tuple(self._told(r, change) for r in self.replicas))

    def _told(self, replica: MemoryReplica, change: Change) -> ReplicaAnswer:
        if replica.down or replica.takes == "refuse":
            return ReplicaAnswer(replica.name, Answer.REJECTED, "not taken")
        if replica.takes == "late":
            replica.late.append(change)
        elif replica.takes != "drop":
            replica.set(change.after, change.id)
        if replica.takes:
            return ReplicaAnswer(replica.name, Answer.UNKNOWN, "no answer in 3 s")
        return ReplicaAnswer(replica.name, Answer.ACKED)

    def arrive(self) -> None:
        """Requests that were delayed arrive now, whatever has happened meanwhile."""
        for replica in self.replicas:
            for change in replica.late:
                replica.set(change.after, change.id)
            replica.late.clear()

    def restart(self, weights: Mapping[str, int]) -> None:
        """Back to a configuration of its own, counters anew."""
        for replica in self.replicas:
            replica.set(Split.of(weights), "")
            replica.n, replica.n_error, replica.epoch = {}, {}, replica.epoch + 1

    def serve(self, n: int) -> None:
        """Requests, on the replicas in turn."""
        for place in range(n):
            replica = self.replicas[place % len(self.replicas)]
            if replica.down or not sum(replica.weights.values()):
                continue
            arms, weights = zip(*replica.weights.items(), strict=True)
            arm = self._random.choices(arms, weights)[0]
            replica.n[arm] = replica.n.get(arm, 0) + 1
            if self._random.random() < self.error_rates.get(arm, 0.0):
                replica.n_error[arm] = replica.n_error.get(arm, 0) + 1

    def counts(self) -> Counts | None:
        """What was served, after more of it."""
        if not self.counted:
            return None
        if all(r.down for r in self.replicas):
            raise PlaneError("memory gives no counts")
        self.serve(self.traffic)
        rows = tuple(
            ArmCount(r.name, arm, r.n.get(arm, 0), r.n_error.get(arm, 0), str(r.epoch))
            for r in self.replicas
            if not r.down
            for arm in self.arms
        )
        missing = tuple(r.name for r in self.replicas if r.down)
        return Counts(datetime.now(UTC), rows, missing)
