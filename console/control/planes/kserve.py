"""KServe: canaryTrafficPercent of an InferenceService, between its latest and previous revision.

Only serverless mode (Knative) divides traffic; in the other modes the same field does nothing, so
where the mode is not surely known nothing is changed. The id of a change is not left in the object:
KServe copies annotations into the revision, and a new one would make a new revision.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import ArmHealth, Change, Health
from console.control.planes.kubernetes import MERGE_PATCH, at, conditions, entries, told, usable
from console.control.planes.kubernetes_object import Kind, ObjectPlane, Patch
from console.control.planes.web import whole
from console.control.split import Split

__all__ = ["Kserve"]

_TOTAL = 100
_MODE = "serving.kserve.io/deploymentMode"
_SERVERLESS = frozenset(("Serverless", "Knative"))
"""The second since KServe 0.16."""

_FIELD = "canaryTrafficPercent"
_LATEST, _PREVIOUS = "latest", "previous"


@dataclass(frozen=True, slots=True)
class _Revisions:
    """latest: that is ready. created: that was made last. previous: that gets what latest does not.

    Each may be "".
    """

    latest: str
    created: str
    previous: str


class Kserve(ObjectPlane):
    """One InferenceService. Arms: `latest` and `previous`, or the names of these revisions."""

    kind = Kind(
        name="InferenceService",
        group="serving.kserve.io",
        versions=("v1beta1",),
        plural="inferenceservices",
        needs="is KServe installed there?",
    )
    carries_id = False
    note = (
        "A new revision becomes the latest by itself, with the share that the latest had. "
        "The id of a change is not left in the object."
    )

    @property
    def total(self) -> int:
        """What the weights add up to."""
        return _TOTAL

    def weights(self, found: Mapping[str, Any]) -> Split:
        """As the specification says: without the field, all is the latest's. Raises PlaneError."""
        value = at(found, "spec", "predictor", _FIELD)
        percent = _TOTAL if value is None else value
        if type(percent) is not int or not 0 <= percent <= _TOTAL:
            raise PlaneError(f"{_FIELD} of {self._object} is no whole number from 0 to 100")
        shares = {_LATEST: percent, _PREVIOUS: _TOTAL - percent}
        return Split(tuple((arm, shares[role]) for arm, role in self._roles(found)))

    def revision(self, found: Mapping[str, Any]) -> str:
        """Also of which revision is the latest: with another one a share means another thing."""
        return f"{super().revision(found)}/{clean(_revisions(found).latest, 80)}"

    def patch(self, found: Mapping[str, Any], change: Change) -> Patch:
        """A merge patch of the one field, with the revision that it rests on."""
        revision = at(found, "metadata", "resourceVersion")
        latest = next(arm for arm, role in self._roles(found) if role == _LATEST)
        body = {
            "metadata": {"resourceVersion": revision},
            "spec": {"predictor": {_FIELD: change.after.weight(latest)}},
        }
        return Patch(MERGE_PATCH, json.dumps(body).encode("ascii"))

    def refusals(self, found: Mapping[str, Any], change: Change) -> Iterator[str]:
        """Another mode, and a share for a revision that is not there."""
        wrong = _not_serverless(found)
        if wrong:
            yield wrong
            return
        revisions = _revisions(found)
        for arm, role in self._roles(found):
            if role == _PREVIOUS and change.after.weight(arm) and not revisions.previous:
                yield (
                    "there is no earlier revision that had all traffic, so the latest would keep "
                    "it all; roll out a second revision first"
                )

    def problems(self, found: Mapping[str, Any]) -> Iterator[str]:
        """What is served as the status says, where it is not what was written."""
        wrong = _not_serverless(found)
        if wrong:
            yield wrong
            return
        generation = at(found, "metadata", "generation")
        seen = whole(at(found, "status", "observedGeneration"))
        if isinstance(generation, int) and seen is not None and seen < generation:
            yield "not yet taken up by KServe"
            return
        revisions = _revisions(found)
        if revisions.created != revisions.latest:
            made, ready = clean(revisions.created, 80), clean(revisions.latest, 80) or "none"
            yield f"the revision {made} is not ready; the latest that is: {ready}"
        yield from self._unserved(found)
        for condition in conditions(entries(found, "status", "conditions")):
            if condition.kind in ("PredictorReady", "RoutesReady") and condition.status != "True":
                said = ": ".join(t for t in (condition.reason, condition.message) if t)
                yield f"KServe says {condition.kind} {condition.status} ({said})"

    def health(self, found: Mapping[str, Any]) -> tuple[ArmHealth, ...]:
        """Whether each revision is ready, as Knative says."""
        revisions = _revisions(found)
        names = {_LATEST: revisions.latest, _PREVIOUS: revisions.previous}
        return tuple(
            ArmHealth(arm, *self._ready(names[role], role)) for arm, role in self._roles(found)
        )

    def _unserved(self, found: Mapping[str, Any]) -> Iterator[str]:
        traffic = entries(found, "status", "components", "predictor", "traffic")
        if not traffic:
            yield "KServe does not say yet which revision gets traffic"
            return
        served = sum(whole(t.get("percent")) or 0 for t in traffic if t.get("latestRevision"))
        written = at(found, "spec", "predictor", _FIELD)
        written = _TOTAL if written is None else written
        if served != written:
            yield f"KServe gives the latest revision {served}%, though {written}% is written"

    def _ready(self, revision: str, role: str) -> tuple[Health, str]:
        shown = clean(revision, 80)
        if not revision:
            what = "no revision is ready" if role == _LATEST else "there is no earlier revision"
            return Health.DOWN, what
        if not usable(revision):
            return Health.UNKNOWN, f"{shown} is no name that can be asked for"
        path = f"/apis/serving.knative.dev/v1/namespaces/{self.cluster.namespace}/revisions/"
        try:
            reply = self.cluster.get(path + revision)
            if reply.status == 404 and told(reply):
                return Health.DOWN, f"the revision {shown} is gone"
            if not reply.ok:
                return Health.UNKNOWN, f"{shown}: {self.cluster.problem(reply)}"
            return _ready_of(reply.json(), shown)
        except PlaneError as error:
            return Health.UNKNOWN, f"{shown}: {error}"

    def _roles(self, found: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """(arm, latest or previous). Raises PlaneError for any other arms."""
        revisions = _revisions(found)
        names = {_LATEST: _LATEST, _PREVIOUS: _PREVIOUS}
        names |= {r: role for role, r in ((_LATEST, revisions.latest),) if r}
        names |= {r: role for role, r in ((_PREVIOUS, revisions.previous),) if r}
        roles = tuple((arm, names.get(arm, "")) for arm in self.arms)
        if sorted(role for _, role in roles) != [_LATEST, _PREVIOUS]:
            there = f"{revisions.latest or 'none'} and {revisions.previous or 'none'}"
            raise PlaneError(
                f"the arms of {self._object} must be latest and previous, or its two revisions, "
                f"now {clean(there, 200)}; the configuration has {clean(', '.join(self.arms), 200)}"
            )
        return roles


def _ready_of(revision: Any, shown: str) -> tuple[Health, str]:
    for condition in conditions(entries(revision, "status", "conditions")):
        if condition.kind != "Ready":
            continue
        if condition.status == "True":
            return Health.UP, shown
        health = Health.DOWN if condition.status == "False" else Health.UNKNOWN
        return health, f"{shown}: {condition.reason or 'not ready'}"
    return Health.UNKNOWN, f"{shown} does not say whether it is ready"


def _not_serverless(found: Mapping[str, Any]) -> str:
    """Why it is not surely divided by Knative; "" where it is."""
    said = [at(found, "status", "deploymentMode"), at(found, "metadata", "annotations", _MODE)]
    modes = {mode for mode in said if isinstance(mode, str) and mode}
    if not modes:
        return (
            "KServe does not say in which mode it serves this, and only serverless mode divides "
            f"traffic; have it say so (status.deploymentMode, or the annotation {_MODE})"
        )
    if not modes <= _SERVERLESS:
        return (
            f"it is served in the mode {clean(', '.join(sorted(modes)), 80)}, in which {_FIELD} "
            "does nothing; divide the traffic in front of it (kind = 'httproute')"
        )
    return ""


def _revisions(found: Mapping[str, Any]) -> _Revisions:
    def name(key: str) -> str:
        value = at(found, "status", "components", "predictor", key)
        return value if isinstance(value, str) else ""

    latest = name("latestReadyRevision")
    previous = ""
    for target in entries(found, "status", "components", "predictor", "traffic"):
        revision = target.get("revisionName")
        if not target.get("latestRevision") and isinstance(revision, str) and revision != latest:
            previous = revision
    if not previous:
        # as KServe does: who had all traffic last, or before that when it is the latest itself
        rolled = name("latestRolledoutRevision")
        previous = rolled if rolled != latest else name("previousRolledoutRevision")
    return _Revisions(latest, name("latestCreatedRevision"), previous)
