"""Istio: the weights of one HTTP route of a VirtualService.

Istio wants weights that add up to 100; a weight that is left out is 0, except of a lone
destination, which gets all. Its status is often empty: then nobody says what proxies made of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import ArmHealth, Change, Health
from console.control.plane_settings import VirtualServicePlane
from console.control.planes.backends import placed
from console.control.planes.endpoints import services_health
from console.control.planes.kubernetes import JSON_PATCH, at, conditions, entries
from console.control.planes.kubernetes_object import Kind, ObjectPlane, Patch, put_change
from console.control.planes.web import whole
from console.control.split import Split

__all__ = ["VirtualService"]

_TOTAL = 100


class VirtualService(ObjectPlane):
    """One HTTP route. Arms: destinations by subset, host, short host, or host/subset."""

    kind = Kind(
        name="VirtualService",
        group="networking.istio.io",
        versions=("v1", "v1beta1", "v1alpha3"),
        plural="virtualservices",
        needs="is Istio installed there?",
    )

    def __init__(self, settings: VirtualServicePlane, arms: tuple[str, ...], base: Path) -> None:
        super().__init__(settings, arms, base)
        self._route = settings.route
        shown = clean(self._route, 60)
        self.name = f"VirtualService {self._object} route {shown} at {self.cluster.where}"

    @property
    def total(self) -> int:
        """What the weights add up to."""
        return _TOTAL

    def weights(self, found: Mapping[str, Any]) -> Split:
        """Of the route's destinations. Raises PlaneError when they are not exactly the arms."""
        _, listed = self._destinations(found)
        return Split(
            tuple((arm, _weight(arm, listed[place])) for arm, place in self._placed(found))
        )

    def patch(self, found: Mapping[str, Any], change: Change) -> Patch:
        """A JSON patch that tests the destination whose weight it sets."""
        steps = [*put_change(found, change)]
        number, listed = self._destinations(found)
        route = f"/spec/http/{number}"
        name = at(found, "spec", "http", number, "name")
        if name is not None:
            steps.append({"op": "test", "path": f"{route}/name", "value": name})
        for arm, place in self._placed(found):
            path = f"{route}/route/{place}"
            destination = listed[place]["destination"]
            steps.append({"op": "test", "path": f"{path}/destination", "value": destination})
            weight = change.after.weight(arm)
            steps.append({"op": "add", "path": f"{path}/weight", "value": weight})
        return Patch(JSON_PATCH, json.dumps(steps).encode("ascii"))

    def problems(self, found: Mapping[str, Any]) -> Iterator[str]:
        """What Istio says of it, where it writes a status."""
        generation = at(found, "metadata", "generation")
        seen = whole(at(found, "status", "observedGeneration"))
        if isinstance(generation, int) and seen is not None and seen < generation:
            yield "not yet taken up by Istio"
        for message in entries(found, "status", "validationMessages"):
            if str(message.get("level")).upper() == "ERROR":
                name = at(message, "type", "name") or at(message, "type", "code")
                yield f"Istio finds an error in it ({clean(name, 80)})"
        for condition in conditions(entries(found, "status", "conditions")):
            if condition.kind == "Reconciled" and condition.status != "True":
                yield f"not all proxies have it ({condition.message or condition.reason})"

    def health(self, found: Mapping[str, Any]) -> tuple[ArmHealth, ...]:
        """By the endpoints of the Services; a subset's own are not known."""
        _, listed = self._destinations(found)
        places = {arm: listed[place]["destination"] for arm, place in self._placed(found)}
        services = {}
        for arm, destination in places.items():
            service = _service(destination, self.cluster.namespace)
            if service is not None and not destination.get("subset"):
                services[arm] = service
        known = services_health(self.cluster, services.values())
        told = []
        for arm in self.arms:
            if arm in services:
                told.append(ArmHealth(arm, *known[services[arm]]))
                continue
            what = "a subset" if places[arm].get("subset") else "a host outside the cluster"
            detail = f"{what} is not looked at; give its address in [control.health]"
            told.append(ArmHealth(arm, Health.UNKNOWN, detail))
        return tuple(told)

    def _destinations(self, found: Mapping[str, Any]) -> tuple[int, tuple[Mapping[str, Any], ...]]:
        routes = at(found, "spec", "http")
        routes = routes if isinstance(routes, list) else []
        number = next((i for i, r in enumerate(routes) if at(r, "name") == self._route), None)
        if number is None and self._route.isascii() and self._route.isdigit():
            number = int(self._route) if len(self._route) < 5 else None
        listed = None if number is None else at(routes, number, "route")
        where = f"the route {clean(self._route, 60)} of {self._object}"
        if number is None or not isinstance(listed, list) or not listed:
            names = [clean(at(r, "name") or str(i), 60) for i, r in enumerate(routes[:10])]
            there = f"; there is {', '.join(names)}" if names else ""
            raise PlaneError(f"{where} has no destinations{there}")
        for one in listed:
            if not isinstance(at(one, "destination", "host"), str):
                raise PlaneError(f"{where} has a destination without a host")
        return number, tuple(listed)

    def _placed(self, found: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
        _, listed = self._destinations(found)
        names = [_names(one["destination"]) for one in listed]
        return placed(self.arms, names, f"the route {clean(self._route, 60)} of {self._object}")


def _names(destination: Mapping[str, Any]) -> tuple[str, ...]:
    host, subset = destination["host"], destination.get("subset")
    short = host.partition(".")[0]
    port = at(destination, "port", "number")
    hosts = [host, short, f"{host}:{port}", f"{short}:{port}"]
    if not isinstance(subset, str) or not subset:
        return tuple(dict.fromkeys(hosts))
    return tuple(dict.fromkeys((subset, *(f"{h}/{subset}" for h in hosts))))


def _weight(arm: str, one: Mapping[str, Any]) -> int:
    value = one.get("weight", 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise PlaneError(f"the weight of {clean(arm)} is no whole number from 0")
    return value


def _service(destination: Mapping[str, Any], namespace: str) -> tuple[str, str] | None:
    """(namespace, Service) of a host in the cluster: v1, v1.shop or v1.shop.svc.cluster.local."""
    parts = destination["host"].split(".")
    if len(parts) == 1:
        return namespace, parts[0]
    if len(parts) == 2 or parts[2:3] == ["svc"]:
        return parts[1], parts[0]
    return None
