"""A plane that is one object on a Kubernetes API server: read it, try a patch, apply it.

What differs between kinds (where weights are, what a patch looks like, what a status says) is
theirs; that a patch rests on a revision, that a controller's own object is left alone and that the
answer is compared with what was sent is here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import (
    Answer,
    ArmHealth,
    Capabilities,
    Change,
    ControlPlane,
    Counts,
    Observed,
    Receipt,
    Replica,
)
from console.control.plane_settings import KubernetesPlane
from console.control.planes.arms import wrong_weights
from console.control.planes.kubernetes import Kubernetes, at, told
from console.control.planes.object_owner import kept_by, owner
from console.control.planes.web import Reply, WebPlaneError, parsed
from console.control.split import Split

__all__ = ["CHANGE", "Kind", "ObjectPlane", "Patch", "put_change", "weights_text"]

CHANGE = "modelwatch.io/change"
"""The annotation with the id of the change that an object holds."""

_REFUSED = frozenset((400, 401, 403, 404, 405, 406, 410, 413, 415, 422, 429))
"""Answers after which nothing has happened. A 5xx may come from what stands before the server."""

_TRIES = 3
"""Of a patch that was refused as stale though the specification is the one of the plan."""

_CHANGED = "it has been changed since the plan was made"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object. versions: of its group, the best first. needs: what brings it."""

    name: str
    group: str
    versions: tuple[str, ...]
    plural: str
    needs: str


@dataclass(frozen=True, slots=True)
class Patch:
    """What is sent. kind: its media type."""

    kind: str
    body: bytes


class ObjectPlane(ControlPlane):
    """One object. Its revision is of its specification, which a written status leaves as it is.

    The patch itself rests on the resourceVersion of an object that was read right before it.
    """

    kind: Kind
    note = ""
    carries_id = True

    def __init__(self, settings: KubernetesPlane, arms: tuple[str, ...], base: Path) -> None:
        self.arms = arms
        self.cluster = Kubernetes(settings, base)
        self._object = f"{self.cluster.namespace}/{settings.name}"
        self._tail = f"/namespaces/{self.cluster.namespace}/{self.kind.plural}/{settings.name}"
        self._version = ""
        self._kept = ""
        self.name = f"{self.kind.name} {self._object} at {self.cluster.where}"

    @property
    @abstractmethod
    def total(self) -> int:
        """What the weights add up to."""

    @abstractmethod
    def weights(self, found: Mapping[str, Any]) -> Split:
        """The weights in an object. Raises PlaneError when they are not over exactly the arms."""

    @abstractmethod
    def patch(self, found: Mapping[str, Any], change: Change) -> Patch:
        """What makes the change, resting on the object's revision."""

    def revision(self, found: Mapping[str, Any]) -> str:
        """Of the specification: the server counts its changes, and not those of the status."""
        generation, uid = at(found, "metadata", "generation"), at(found, "metadata", "uid")
        if type(generation) is not int or not isinstance(uid, str):
            return _revision(found)
        return clean(f"{generation}/{uid}", 80)

    def refusals(self, found: Mapping[str, Any], change: Change) -> Iterator[str]:
        """Why this kind of object must not be changed so, one sentence each."""
        del found, change
        yield from ()

    def problems(self, found: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with what serves the object, one sentence each."""
        del found
        yield from ()

    def health(self, found: Mapping[str, Any]) -> tuple[ArmHealth, ...]:
        """Of all arms. Raises nothing that is expected."""
        del found
        return ()

    # --- what the core asks -----------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(
            total=self.total,
            compare_and_swap=True,
            dry_run=True,
            atomic=True,
            persistent=True,
            counts=False,
            carries_id=self.carries_id,
            note=" ".join(n for n in (self.note, self._kept) if n),
        )

    def read(self) -> Observed:
        """How the object splits traffic. Raises PlaneError."""
        now = datetime.now(UTC)
        found = self._read()
        weights = self.weights(found)
        said = [owner(found, self.kind.name), *self.problems(found)]
        return Observed(
            at=now,
            replicas=(Replica(self._object, weights, self._change_id(found)),),
            revision=self.revision(found),
            health=self.health(found),
            problem="; ".join(dict.fromkeys(s for s in said if s)),
        )

    def dry_run(self, change: Change) -> Iterator[str]:
        """What the object, or the server, would not take. Raises PlaneError."""
        wrong = tuple(wrong_weights(change.after, self.arms, self.total))
        if wrong:
            yield from wrong
            return
        found = self._read()
        wrong = tuple(self._refusals(found, change))
        if wrong:
            yield from wrong
            return
        patch = self.patch(found, change)
        reply = self.cluster.patch(self._path, patch.body, patch.kind, dry=True)
        if reply.status == 409:
            yield f"{self._object} has changed while it was tried; look again"
        elif not reply.ok:
            yield f"it would not be taken: {self.cluster.problem(reply)}"
        else:
            yield from self._compared(reply, change)

    def apply(self, change: Change) -> Receipt:
        """Send the patch, once, if the object is still what the change rests on."""
        answer, detail = self._apply(change)
        return Receipt.one(self._object, answer, detail)

    def counts(self) -> Counts | None:
        """None: an object counts nothing."""
        return None

    def close(self) -> None:
        """End connections."""
        self.cluster.close()

    # --- how --------------------------------------------------------------------------------

    def _apply(self, change: Change) -> tuple[Answer, str]:
        wrong = "; ".join(wrong_weights(change.after, self.arms, self.total))
        if not wrong and not change.base:
            wrong = "the plan rests on no revision; make a new one"
        if wrong:
            return Answer.REJECTED, wrong
        for _ in range(_TRIES):
            try:
                found = self._read()
                if self._holds(found, change):
                    return Answer.ACKED, "it holds this change already"
                if self.revision(found) != change.base:
                    break
                wrong = "; ".join(self._refusals(found, change))
                patch = self.patch(found, change)
            except PlaneError as error:
                return Answer.REJECTED, str(error)  # nothing but questions was sent
            if wrong:
                return Answer.REJECTED, wrong
            answer, detail = self._send(patch, change)
            if answer is Answer.REJECTED and self._moved(change):
                break  # then a test of the patch failed, before the server compared revisions
            if answer is not Answer.CONFLICT:
                return answer, detail
            # a status was written in between, or a specification: the next look tells
        return Answer.CONFLICT, _CHANGED

    def _moved(self, change: Change) -> bool:
        try:
            return self.revision(self._read()) != change.base
        except PlaneError:
            return False

    def _send(self, patch: Patch, change: Change) -> tuple[Answer, str]:
        try:
            reply = self.cluster.patch(self._path, patch.body, patch.kind, dry=False)
        except WebPlaneError as error:
            return (Answer.UNKNOWN if error.sent else Answer.REJECTED), str(error)
        if reply.status == 409:
            return Answer.CONFLICT, _CHANGED
        if not reply.ok:
            answer = Answer.REJECTED if reply.status in _REFUSED else Answer.UNKNOWN
            return answer, self.cluster.problem(reply)
        said = next(self._compared(reply, change), "")
        return (Answer.UNKNOWN, said) if said else (Answer.ACKED, "")

    def _refusals(self, found: Mapping[str, Any], change: Change) -> Iterator[str]:
        if change.base and self.revision(found) != change.base:
            yield f"{self._object} has been changed since the plan was made; look again"
            return
        belongs = owner(found, self.kind.name)
        if belongs:
            yield belongs
        if at(found, "metadata", "deletionTimestamp") is not None:
            yield f"{self._object} is being deleted"
        yield from self.refusals(found, change)

    def _holds(self, found: Mapping[str, Any], change: Change) -> bool:
        if not self.carries_id or self._change_id(found) != clean(change.id, 60):
            return False
        try:
            return self.weights(found) == self._ordered(change.after)
        except PlaneError:
            return False

    def _compared(self, reply: Reply, change: Change) -> Iterator[str]:
        """Whether the object that the server answered with is what was meant.

        A server leaves out what it does not know: a weight under a wrong name would be a 1.
        """
        try:
            made = _object(reply)
            weights = self.weights(made)
        except PlaneError as error:
            yield f"it was taken, but what was answered makes no sense: {error}"
            return
        if weights != self._ordered(change.after):
            said, meant = weights_text(weights), weights_text(change.after)
            yield f"the server made it {said}, where {meant} was sent"
        elif self.carries_id and self._change_id(made) != clean(change.id, 60):
            yield "the server left out the id of the change"

    def _ordered(self, split: Split) -> Split:
        return Split(tuple((arm, split.weight(arm)) for arm in self.arms))

    def _change_id(self, found: Mapping[str, Any]) -> str:
        if not self.carries_id:
            return ""
        return clean(at(found, "metadata", "annotations", CHANGE), 60)

    @property
    def _path(self) -> str:
        return self._path_of(self._version or self.kind.versions[0])

    def _path_of(self, version: str) -> str:
        return f"/apis/{self.kind.group}/{version}{self._tail}"

    def _read(self) -> Mapping[str, Any]:
        reply = self.cluster.get(self._path)
        if not self._version:
            for version in self.kind.versions[1:]:
                if reply.status != 404 or told(reply):
                    break  # there is such a version of the interface
                reply = self.cluster.get(self._path_of(version))
                self._version = version if reply.ok else ""
        where = self.cluster.where
        if reply.status == 404 and told(reply):
            hint = "check `namespace` and `name`"
            raise PlaneError(f"{where} has no {self.kind.name} {self._object}; {hint}")
        if reply.status == 404:
            raise PlaneError(
                f"{where} knows no {self.kind.plural}.{self.kind.group}; {self.kind.needs}"
            )
        if not reply.ok:
            raise PlaneError(self.cluster.problem(reply))
        found = _object(reply)
        self._kept = kept_by(found)
        return found


def put_change(found: Mapping[str, Any], change: Change) -> Iterator[Mapping[str, Any]]:
    """The steps of a JSON patch that rest on a revision and leave the change's id.

    To replace the revision by itself changes nothing, but makes the server compare it.
    """
    yield {"op": "replace", "path": "/metadata/resourceVersion", "value": _revision(found)}
    if not isinstance(at(found, "metadata", "annotations"), dict):
        yield {"op": "add", "path": "/metadata/annotations", "value": {}}
    key = CHANGE.replace("~", "~0").replace("/", "~1")
    yield {"op": "add", "path": f"/metadata/annotations/{key}", "value": change.id}


def weights_text(split: Split) -> str:
    """Weights as they are, like "v1 75, v2 25"."""
    return ", ".join(f"{clean(arm)} {weight}" for arm, weight in split.weights)


def _object(reply: Reply) -> Mapping[str, Any]:
    try:
        found = parsed(reply.body)
    except ValueError as error:
        raise PlaneError(f"{reply.where} answered with {error}") from None
    if not isinstance(found, dict) or not _revision(found):
        raise PlaneError(f"{reply.where} answered with something that is no object of Kubernetes")
    return found


def _revision(found: Mapping[str, Any]) -> str:
    value = at(found, "metadata", "resourceVersion")
    return value if isinstance(value, str) and 0 < len(value) < 100 else ""
