"""Gateway API: the weights of one rule's backends in an HTTPRoute.

Weights are relative; one that is left out is 1, and a rule whose weights are all 0 answers 500 to
every request. The gateway's controller says in the status what it made of the route.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import ArmHealth, Change, Health
from console.control.plane_settings import HttpRoutePlane
from console.control.planes.backends import placed
from console.control.planes.endpoints import services_health
from console.control.planes.kubernetes import JSON_PATCH, at, conditions, entries
from console.control.planes.kubernetes_object import Kind, ObjectPlane, Patch, put_change
from console.control.split import Split

__all__ = ["HttpRoute"]


class HttpRoute(ObjectPlane):
    """One rule of an HTTPRoute. Arms: backends by name, name:port or namespace/name."""

    kind = Kind(
        name="HTTPRoute",
        group="gateway.networking.k8s.io",
        versions=("v1", "v1beta1"),
        plural="httproutes",
        needs="is Gateway API installed there?",
    )

    def __init__(self, settings: HttpRoutePlane, arms: tuple[str, ...], base: Path) -> None:
        super().__init__(settings, arms, base)
        self._total = settings.total
        self._rule = settings.rule
        self.name = f"HTTPRoute {self._object} rule {self._rule} at {self.cluster.where}"

    @property
    def total(self) -> int:
        """What the weights add up to."""
        return self._total

    def weights(self, found: Mapping[str, Any]) -> Split:
        """Of the rule's backends. Raises PlaneError when they are not exactly the arms."""
        backends = self._backends(found)
        return Split(
            tuple((arm, _weight(arm, backends[place])) for arm, place in self._placed(found))
        )

    def patch(self, found: Mapping[str, Any], change: Change) -> Patch:
        """A JSON patch that tests the name of every backend whose weight it sets."""
        steps = [*put_change(found, change)]
        backends = self._backends(found)
        for arm, place in self._placed(found):
            path = f"/spec/rules/{self._rule}/backendRefs/{place}"
            name = backends[place]["name"]
            steps.append({"op": "test", "path": f"{path}/name", "value": name})
            weight = change.after.weight(arm)
            steps.append({"op": "add", "path": f"{path}/weight", "value": weight})
        return Patch(JSON_PATCH, json.dumps(steps).encode("ascii"))

    def problems(self, found: Mapping[str, Any]) -> Iterator[str]:
        """What gateways make of the route, as its status says."""
        generation = at(found, "metadata", "generation")
        parents = entries(found, "status", "parents")
        if not parents:
            yield "no gateway has taken up the route"
        for parent in parents:
            gateway = clean(at(parent, "parentRef", "name"), 60)
            known = {c.kind: c for c in conditions(entries(parent, "conditions"))}
            for kind in ("Accepted", "ResolvedRefs"):
                condition = known.get(kind)
                if condition is None:
                    continue
                if (
                    isinstance(generation, int)
                    and condition.generation is not None
                    and condition.generation < generation
                ):
                    yield f"not yet taken up by the gateway {gateway}"
                elif condition.status != "True":
                    said = ": ".join(t for t in (condition.reason, condition.message) if t)
                    yield f"the gateway {gateway} says {kind} {condition.status} ({said})"
            if "Accepted" not in known:
                yield f"the gateway {gateway} does not say whether it accepts the route"

    def health(self, found: Mapping[str, Any]) -> tuple[ArmHealth, ...]:
        """By the endpoints of the Services."""
        backends = self._backends(found)
        places = {arm: backends[place] for arm, place in self._placed(found)}
        services = {
            arm: (str(b.get("namespace") or self.cluster.namespace), str(b["name"]))
            for arm, b in places.items()
            if _is_service(b)
        }
        known = services_health(self.cluster, services.values())
        told = []
        for arm in self.arms:
            if arm not in services:
                what = f"a {clean(places[arm].get('kind'), 60)} is not looked at"
                told.append(ArmHealth(arm, Health.UNKNOWN, what))
                continue
            health, detail = known[services[arm]]
            told.append(ArmHealth(arm, health, detail))
        return tuple(told)

    def _backends(self, found: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        listed = at(found, "spec", "rules", self._rule, "backendRefs")
        if not isinstance(listed, list) or not listed:
            n = len(entries(found, "spec", "rules"))
            raise PlaneError(
                f"rule {self._rule} of {self._object} has no backends; it has {n} rules, from 0"
            )
        if not all(isinstance(b, dict) and isinstance(b.get("name"), str) for b in listed):
            raise PlaneError(f"rule {self._rule} of {self._object} has backends without a name")
        return tuple(listed)

    def _placed(self, found: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
        names = [_names(b) for b in self._backends(found)]
        return placed(self.arms, names, f"rule {self._rule} of {self._object}")


def _names(backend: Mapping[str, Any]) -> tuple[str, ...]:
    name = backend["name"]
    port = backend.get("port")
    namespace = backend.get("namespace")
    made = [name, f"{name}:{port}"]
    if isinstance(namespace, str):
        made += [f"{namespace}/{name}", f"{namespace}/{name}:{port}"]
    return tuple(made)


def _weight(arm: str, backend: Mapping[str, Any]) -> int:
    value = backend.get("weight", 1)  # as the specification has it
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise PlaneError(f"the weight of {clean(arm)} is no whole number from 0")
    return value


def _is_service(backend: Mapping[str, Any]) -> bool:
    return backend.get("kind", "Service") == "Service" and not backend.get("group")
