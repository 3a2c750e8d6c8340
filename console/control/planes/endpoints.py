"""Whether a Kubernetes Service has who answers: its EndpointSlices, counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import Health
from console.control.planes.kubernetes import Kubernetes, at, entries, usable

__all__ = ["services_health"]

_SERVICE = "kubernetes.io/service-name"
_MOST = 500
"""Slices that are asked for; one has up to 100 endpoints."""


def services_health(
    cluster: Kubernetes, services: Iterable[tuple[str, str]]
) -> Mapping[tuple[str, str], tuple[Health, str]]:
    """Health and what it rests on, by (namespace, service). Raises nothing that is expected."""
    wanted: dict[str, list[str]] = {}
    found: dict[tuple[str, str], tuple[Health, str]] = {}
    for namespace, service in dict.fromkeys(services):
        if usable(namespace) and usable(service):
            wanted.setdefault(namespace, []).append(service)
        else:
            found[namespace, service] = (Health.UNKNOWN, "its name is none that can be asked for")
    for namespace, names in wanted.items():
        counted, problem = _counted(cluster, namespace, names)
        for name in names:
            found[namespace, name] = _judged(counted.get(name), problem)
    return found


def _judged(counted: tuple[int, int] | None, problem: str) -> tuple[Health, str]:
    if problem:
        return Health.UNKNOWN, problem
    if counted is None:  # one without a selector, or none at all; the route's status knows
        return Health.UNKNOWN, "no endpoints are listed for it"
    ready, n = counted
    return (Health.UP if ready else Health.DOWN), f"{ready} of {n} endpoints ready"


def _counted(
    cluster: Kubernetes, namespace: str, names: list[str]
) -> tuple[Mapping[str, tuple[int, int]], str]:
    """(ready, all) endpoints by service, and why they are not known."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    wanted = f"{_SERVICE} in ({','.join(names)})"
    try:
        reply = cluster.get(path, {"labelSelector": wanted, "limit": _MOST})
        if not reply.ok:
            return {}, f"its endpoints cannot be listed: {cluster.problem(reply)}"
        body = reply.json()
    except PlaneError as error:
        return {}, f"its endpoints cannot be listed: {error}"
    pods: dict[str, dict[str, bool]] = {}
    for item in entries(body, "items"):
        service = at(item, "metadata", "labels", _SERVICE)
        if not isinstance(service, str):
            continue
        mine = pods.setdefault(service, {})
        for number, endpoint in enumerate(entries(item, "endpoints")):
            mine |= _one(endpoint, number, mine)
    return {name: (sum(p.values()), len(p)) for name, p in pods.items()}, ""


def _one(endpoint: Mapping[str, Any], number: int, known: Mapping[str, bool]) -> dict[str, bool]:
    """A pod with two addresses is in two slices, and one endpoint."""
    pod = at(endpoint, "targetRef", "name") or at(endpoint, "addresses", 0) or number
    ready = at(endpoint, "conditions", "ready") is not False
    name = clean(pod, 200)
    return {name: ready or known.get(name, False)}
