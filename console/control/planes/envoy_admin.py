"""What Envoy's admin interface says, taken apart with care: one replica.

Facts about its answers were found by driving 1.40; see docs/planes.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from console.control.errors import PlaneError
from console.control.planes.web import LARGEST, Reply, Web, whole

__all__ = ["Admin", "ClusterStats", "Route", "Runtime"]

_LARGEST_CONFIG = 64 * 1024 * 1024
"""Bytes of all routes: a mesh's sidecar knows those of the whole mesh."""

_FIGURES = ("membership_healthy", "membership_total", "upstream_rq_completed", "upstream_rq_5xx")
_CHECKS = "health_check.attempt"


@dataclass(frozen=True, slots=True)
class Route:
    """A route with weighted clusters: names and the weights that are written in it.

    unnamed: whether a cluster's name comes from a header, so that it is none we know.
    """

    prefix: str
    clusters: tuple[tuple[str, int], ...]
    unnamed: bool


@dataclass(frozen=True, slots=True)
class Runtime:
    """values: key -> what counts. layers: from the lowest. holding: layers with such a key."""

    values: dict[str, str]
    layers: tuple[str, ...]
    holding: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClusterStats:
    """Figures of a cluster; None where Envoy does not keep them. checked: by active checks.

    completed: requests that were answered, by the cluster or for want of it. failed: with 5xx.
    """

    healthy: int | None
    members: int | None
    checked: bool
    completed: int | None
    failed: int | None


class Admin:
    """One replica's admin interface. timeout: seconds for all that is asked within `asked()`."""

    def __init__(self, web: Web, timeout: float) -> None:
        self._web = web
        self._timeout = timeout
        self._deadline = 0.0
        self.name = urlsplit(web.where).netloc or web.where

    @contextmanager
    def asked(self) -> Iterator[None]:
        """One look at it, in one timeout."""
        self._deadline = time.monotonic() + self._timeout
        yield

    def close(self) -> None:
        """End its connections."""
        self._web.close()

    def write(self, values: Mapping[str, str | int]) -> Reply:
        """Set runtime keys, all at once. Raises PlaneError."""
        return self._ask("POST", "/runtime_modify", values)

    def runtime(self, prefix: str) -> Runtime:
        """The keys of a prefix. Raises PlaneError."""
        said = self._json("/runtime", {"format": "json"})
        layers = tuple(str(layer) for layer in _list(said, "layers"))
        values, holding = dict[str, str](), set[str]()
        entries = said.get("entries") if isinstance(said, dict) else None
        if not isinstance(entries, dict):
            raise self._nonsense("the runtime")
        for key, entry in entries.items():
            if key.startswith(prefix + ".") and isinstance(entry, dict):
                final = entry.get("final_value")
                values[key] = final if isinstance(final, str) else ""
                held = _list(entry, "layer_values")
                holding |= {name for name, value in zip(layers, held, strict=False) if value}
        return Runtime(values, layers, frozenset(holding))

    def routes(self) -> list[Route]:
        """All routes with weighted clusters and a prefix. Raises PlaneError."""
        mask = "static_route_configs,dynamic_route_configs"
        said = self._json("/config_dump", {"mask": mask}, limit=_LARGEST_CONFIG)
        found = []
        for dump in _list(said, "configs"):
            for kind in mask.split(","):
                for holder in _list(dump, kind):
                    config = _of(holder, "route_config")
                    for host in _list(config, "virtual_hosts"):
                        for route in _list(host, "routes"):
                            weighted = _of(_of(route, "route"), "weighted_clusters")
                            if isinstance(weighted, dict):
                                found.append(self._route(weighted))
        return found

    def admin_layer(self) -> str | None:
        """The name of the layer that can be written; None without one. Raises PlaneError."""
        said = self._json("/config_dump", {"mask": "bootstrap.layered_runtime"})
        for dump in _list(said, "configs"):
            for layer in _list(_of(_of(dump, "bootstrap"), "layered_runtime"), "layers"):
                if isinstance(layer, dict) and "admin_layer" in layer:
                    return str(layer.get("name", ""))
        return None

    def began(self) -> str:
        """When the process read its configuration, to the millisecond. Raises PlaneError."""
        said = self._json("/config_dump", {"mask": "last_updated"})
        for dump in _list(said, "configs"):
            updated = _of(dump, "last_updated")
            if isinstance(updated, str):
                return updated[:40]
        raise self._nonsense("when it began")

    def clusters(self, names: Sequence[str]) -> dict[str, ClusterStats]:
        """Figures of the clusters that are there. Raises PlaneError."""
        found = self._stats({name: name for name in names})
        if len(found) < len(names):  # a cluster may have another name in its statistics
            aliases = self._aliases(names)
            if aliases:
                found |= self._stats(aliases)
        return found

    # --- its answers -------------------------------------------------------------------------

    def _stats(self, names: Mapping[str, str]) -> dict[str, ClusterStats]:
        """names: cluster -> its name in the statistics."""
        # what is no letter or digit matches anything here, and is compared below
        plain = "|".join(
            "".join(c if c.isascii() and c.isalnum() else "." for c in name)
            for name in names.values()
        )
        figures = "|".join((*_FIGURES, _CHECKS))
        said = self._json(
            "/stats", {"format": "json", "filter": f"^cluster.({plain}).({figures})$"}
        )
        if not isinstance(said, dict) or not isinstance(said.get("stats"), list):
            raise self._nonsense("its statistics")
        values = {
            one.get("name"): whole(one.get("value"))
            for one in said["stats"]
            if isinstance(one, dict)
        }
        found = {}
        for cluster, name in names.items():
            start = f"cluster.{name.replace(':', '_')}."
            if any(start + figure in values for figure in _FIGURES):
                healthy, members, completed, failed = (values.get(start + f) for f in _FIGURES)
                if completed is not None and start + _FIGURES[3] not in values:
                    failed = 0  # it appears with the first one
                checked = (values.get(start + _CHECKS) or 0) > 0
                found[cluster] = ClusterStats(healthy, members, checked, completed, failed)
        return found

    def _aliases(self, names: Sequence[str]) -> dict[str, str]:
        said = self._json("/clusters", {"format": "json"})
        return {
            str(one["name"]): alias
            for one in _list(said, "cluster_statuses")
            if isinstance(one, dict)
            and one.get("name") in names
            and isinstance(alias := one.get("observability_name"), str)
            and alias not in ("", one["name"])
        }

    def _route(self, weighted: dict[str, Any]) -> Route:
        clusters, unnamed = dict[str, int](), False
        for one in _list(weighted, "clusters"):
            name = _of(one, "name")
            weight = whole(_of(one, "weight") or 0)
            if weight is None:
                raise self._nonsense("a route")
            if isinstance(name, str) and name:
                clusters[name] = weight
            else:
                unnamed = True
        prefix = weighted.get("runtime_key_prefix")
        return Route(prefix if isinstance(prefix, str) else "", tuple(clusters.items()), unnamed)

    def _json(self, path: str, params: Mapping[str, str], *, limit: int = LARGEST) -> Any:
        return self._ask("GET", path, params, limit=limit).json()

    def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int],
        *,
        limit: int = LARGEST,
    ) -> Reply:
        left = self._deadline - time.monotonic()
        return self._web.ask(method, path, params, timeout=left, limit=limit)

    def _nonsense(self, what: str) -> PlaneError:
        return PlaneError(
            f"{self._web.where} says nothing that can be understood about {what}; is it Envoy's "
            "admin interface?"
        )


def _of(holder: object, key: str) -> Any:
    return holder.get(key) if isinstance(holder, dict) else None


def _list(holder: object, key: str) -> list[Any]:
    value = _of(holder, key)
    return value if isinstance(value, list) else []
