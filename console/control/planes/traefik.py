"""Traefik: the weights of a weighted service in a file that it watches (file provider).

The file is what is wanted; what Traefik makes of it is asked from the API of every instance, since
it keeps its last good configuration, and says so in its log only, when it cannot use a file. After
a change every instance is asked until it serves the new weights: by default it looks at most every
two seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import (
    Answer,
    ArmCount,
    ArmHealth,
    Capabilities,
    Change,
    ControlPlane,
    Counts,
    Observed,
    Receipt,
    Replica,
    ReplicaAnswer,
)
from console.control.plane_settings import TraefikPlane
from console.control.planes.arms import shown, worst, wrong_weights
from console.control.planes.config_file import ChangedError, ConfigFile, FileText
from console.control.planes.several import each
from console.control.planes.traefik_api import Instance
from console.control.planes.traefik_file import Service, read_service, with_weights
from console.control.split import Split

__all__ = ["Traefik"]

_POLL_S = 0.05


class Traefik(ControlPlane):
    """One weighted service. base: the folder that the file's path is relative to."""

    def __init__(self, settings: TraefikPlane, arms: tuple[str, ...], base: Path) -> None:
        self.arms = arms
        self._settings = settings
        self._file = ConfigFile(base / Path(settings.file).expanduser())
        self._instances = tuple(Instance(settings, address, base) for address in settings.api)
        self._sticky = False
        self._last: tuple[str, _Fitted] | None = None
        self._counted = True
        self.name = f"{shown('Traefik', [self._file.shown])}, service {clean(settings.service, 60)}"

    @property
    def capabilities(self) -> Capabilities:
        """Exact and atomic for what is done by us; an editor's change is noticed."""
        notes = []
        if not self._instances:
            notes.append("without `api`, what Traefik makes of the file is not read back")
        if self._sticky:
            notes.append("sessions are sticky: who has a cookie stays while the arm takes traffic")
        return Capabilities(
            total=self._settings.total,
            compare_and_swap=True,
            dry_run=False,
            atomic=True,
            persistent=True,
            counts=bool(self._instances) and self._counted,
            carries_id=False,
            note="; ".join(notes),
        )

    def read(self) -> Observed:
        """What every instance serves; without `api`, what the file says. Raises PlaneError."""
        at = datetime.now(UTC)
        problem, revision = "", ""
        wanted: _Fitted | None = None
        try:
            found = self._file.read()
            revision = found.revision
            wanted = self._wanted(found)
        except PlaneError as error:
            if not self._instances:
                raise
            problem = str(error)
        if wanted is not None and not self._instances:
            replica = Replica(self._file.shown, wanted.split)
            return Observed(at, (replica,), revision, problem=wanted.doubt)
        seen = each(self._look, self._instances)
        if all(look.replica.weights is None for look in seen):
            raise PlaneError(seen[0].replica.problem)
        problems = [problem, *(look.doubt for look in seen)]
        for look in seen:
            served = look.replica.weights
            if served and wanted and not served.same_shares(wanted.split):
                problems.append(
                    f"{look.replica.name} serves {served} and the file says {wanted.split}: Traefik"
                    " has not taken it (is there an error in its log? is the file mounted alone?)"
                )
        answered = [look.health for look in seen if look.health]
        health = tuple(worst(arm, [h[arm] for h in answered]) for arm in self.arms)
        replicas = tuple(look.replica for look in seen)
        said = "; ".join(dict.fromkeys(text for text in problems if text))
        return Observed(at, replicas, revision, health, said)

    def dry_run(self, change: Change) -> Iterator[str]:
        """What is wrong with the weights, the file, and the right to write it."""
        problems = tuple(wrong_weights(change.after, self.arms, self._settings.total))
        if problems:
            yield from problems
            return
        found = self._file.read()
        if change.base and found.revision != change.base:
            yield f"{self._file.shown} has changed since this was planned"
        try:
            self._edited(found, change.after)
        except PlaneError as error:
            yield str(error)
        self._check_reachable()
        unwritable = self._file.problem_of_writing()
        if unwritable:
            yield unwritable

    def apply(self, change: Change) -> Receipt:
        """Replace the file at once, then wait until every instance serves it, or for `settle`."""
        problem = next(wrong_weights(change.after, self.arms, self._settings.total), "")
        if problem:
            return self._all(Answer.REJECTED, problem)
        try:
            found = self._file.read()
            if change.base and found.revision != change.base:
                return self._all(Answer.CONFLICT, "the file has changed since this was planned")
            text = self._edited(found, change.after)
            self._check_reachable()
            self._file.replace(found.revision, text, self._settings.timeout.total_seconds())
        except ChangedError as error:
            return self._all(Answer.CONFLICT, str(error))
        except PlaneError as error:
            return self._all(Answer.REJECTED, f"{error}; nothing was written")
        if not self._instances:
            return Receipt.one(self._file.shown, Answer.ACKED)
        deadline = time.monotonic() + self._settings.settle.total_seconds()
        return Receipt(
            each(lambda one: self._settled(one, change.after, deadline), self._instances)
        )

    def counts(self) -> Counts | None:
        """Requests of each service, as Prometheus reads them from the same address.

        Those that reach an arm on another way than through the split are among them.
        """
        if not self._instances:
            return None
        at = datetime.now(UTC)
        rows, missing, problem = list[ArmCount](), list[str](), ""
        without = 0
        for one, found in zip(
            self._instances, each(lambda one: one.counts(self.arms), self._instances), strict=True
        ):
            if found is None:
                without += 1
            elif isinstance(found, str):
                missing.append(one.name)
                problem = problem or found
            else:
                rows += found
        self._counted = without < len(self._instances)
        if not self._counted:
            return None
        if not rows:
            raise PlaneError(problem)
        return Counts(at, tuple(rows), tuple(missing))

    def close(self) -> None:
        """End connections."""
        for one in self._instances:
            one.close()

    # --- the file ----------------------------------------------------------------------------

    def _wanted(self, found: FileText) -> _Fitted:
        """What the file says; parsed again only when it has changed."""
        if self._last is None or self._last[0] != found.revision:
            self._last = (found.revision, self._parsed(found))
        return self._last[1]

    def _parsed(self, found: FileText) -> _Fitted:
        service = self._service(found)
        self._sticky = service.sticky
        pairs = [(entry.name, entry.weight) for entry in service.entries]
        for name, weight in pairs:
            if not isinstance(weight, int):
                said = f"the weight of {clean(name, 60)!r} is {clean(weight, 40)!r}"
                raise PlaneError(f"{self._file.shown}: {said}, not a whole number from 0")
        return self._fitted({name: weight for name, weight in pairs if isinstance(weight, int)})

    def _service(self, found: FileText) -> Service:
        try:
            return read_service(found.text, self._file.path, self._settings.service)
        except ValueError as error:
            raise PlaneError(f"{self._file.shown}: {error}") from None

    def _edited(self, found: FileText, after: Split) -> str:
        service = self._service(found)
        by_arm = {_arm(entry.name): entry for entry in service.entries}
        for arm in self.arms:
            if arm not in by_arm:
                listed = clean(", ".join(by_arm), 200)
                raise PlaneError(f"{self._file.shown}: there is no service {arm!r} in {listed}")
        others = [arm for arm in by_arm if arm not in self.arms]
        if others:
            what = f"{self._file.shown}: it also has {clean(', '.join(others), 200)}"
            raise PlaneError(f"{what}; list it in `arms`")
        weights = {by_arm[arm].name: weight for arm, weight in after.weights}
        try:
            return with_weights(found.text, self._file.path, self._settings.service, weights)
        except ValueError as error:
            raise PlaneError(f"{self._file.shown}: {error}") from None

    def _fitted(self, weights: dict[str, int]) -> _Fitted:
        """Weights by a service's name as a split, and what does not fit."""
        by_arm = {_arm(name): weight for name, weight in weights.items()}
        others = [clean(arm, 60) for arm in by_arm if arm not in self.arms]
        missing = [arm for arm in self.arms if arm not in by_arm]
        split = Split.of(
            {arm: by_arm.get(arm, 0) for arm in self.arms}
            | {clean(arm, 60): w for arm, w in by_arm.items() if arm not in self.arms}
        )
        doubts = []
        if split.total == 0:
            doubts.append("all weights are 0, so every request is answered with 503")
        if missing:
            doubts.append(f"the service has no {clean(', '.join(missing), 200)}")
        if others:
            doubts.append(f"it also has {clean(', '.join(others), 200)}; list it in `arms`")
        return _Fitted(split, "; ".join(doubts))

    def _all(self, answer: Answer, detail: str) -> Receipt:
        names = [one.name for one in self._instances] or [self._file.shown]
        return Receipt(tuple(ReplicaAnswer(name, answer, detail) for name in names))

    def _check_reachable(self) -> None:
        """Raises PlaneError when no instance can be asked: what comes of it could not be known."""
        said = each(Instance.problem_of_asking, self._instances)
        if said and all(said):
            raise PlaneError(said[0])

    # --- one instance ------------------------------------------------------------------------

    def _look(self, one: Instance) -> _Look:
        try:
            served = self._fitted(one.weights())
        except PlaneError as error:
            return _Look(Replica(one.name, None, problem=str(error)))
        replica = Replica(one.name, served.split)
        doubt = f"{one.name}: {served.doubt}" if served.doubt else ""
        try:
            return _Look(replica, doubt, {arm: one.health(arm) for arm in self.arms})
        except PlaneError:
            return _Look(replica, doubt)

    def _settled(self, one: Instance, after: Split, deadline: float) -> ReplicaAnswer:
        """Whether it serves what is in the file now."""
        while True:
            try:
                if self._fitted(one.weights()).split.same_shares(after):
                    return ReplicaAnswer(one.name, Answer.ACKED)
                detail = "the file is written, and it does not serve it yet; see its log"
            except PlaneError as error:
                detail = f"the file is written, and what it serves is not known: {error}"
                return ReplicaAnswer(one.name, Answer.UNKNOWN, detail)
            if time.monotonic() > deadline:
                return ReplicaAnswer(one.name, Answer.UNKNOWN, detail)
            time.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A split, and what is odd about it."""

    split: Split
    doubt: str


@dataclass(frozen=True, slots=True)
class _Look:
    replica: Replica
    doubt: str = ""
    health: dict[str, ArmHealth] | None = None


def _arm(name: str) -> str:
    """What an entry is called as an arm: `v1@file` is v1."""
    return name.removesuffix("@file")
