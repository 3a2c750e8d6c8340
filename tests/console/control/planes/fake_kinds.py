"""Kinds that the fake API server has: what it takes of an object, and what controllers make of it.

The checks are those of the custom resource definitions and webhooks of Gateway API 1.x, Istio 1.2x
and KServe 0.1x, as far as traffic goes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["KINDS", "FakeKind", "Schema"]


@dataclass(frozen=True)
class Schema:
    """Of an object (fields), a list (items), or a leaf. open: unknown fields are kept."""

    of: type = dict
    fields: dict[str, Schema] = field(default_factory=dict)
    items: Schema | None = None
    open: bool = False
    needed: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    default: Any = None


def text(default: str | None = None) -> Schema:
    return Schema(str, default=default)


def number(least: int, most: int, default: int | None = None) -> Schema:
    return Schema(int, least=least, most=most, default=default)


def thing(needed: tuple[str, ...] = (), **fields: Schema) -> Schema:
    return Schema(dict, fields=fields, needed=needed)


def many(items: Schema) -> Schema:
    return Schema(list, items=items)


ANY = Schema(dict, open=True)


@dataclass(frozen=True)
class FakeKind:
    """check: what a webhook finds wrong. settle: what controllers write into the status."""

    kind: str
    group: str
    versions: tuple[str, ...]
    plural: str
    spec: Schema
    check: Callable[[dict[str, Any]], Iterator[str]]
    settle: Callable[[dict[str, Any]], None]


def _nothing(_: dict[str, Any]) -> Iterator[str]:
    yield from ()


# --- Gateway API ------------------------------------------------------------------------------


def _routed(found: dict[str, Any]) -> None:
    generation = found["metadata"]["generation"]
    found["status"] = {
        "parents": [
            {
                "parentRef": {"group": "gateway.networking.k8s.io", "name": parent["name"]},
                "controllerName": "example.com/gateway-controller",
                "conditions": [
                    {
                        "type": kind,
                        "status": "True",
                        "reason": kind,
                        "message": "",
                        "observedGeneration": generation,
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }
                    for kind in ("Accepted", "ResolvedRefs")
                ],
            }
            for parent in found["spec"].get("parentRefs", ())
        ]
    }


_BACKEND = thing(
    ("name",),
    name=text(),
    namespace=text(),
    group=text(""),
    kind=text("Service"),
    port=number(1, 65535),
    weight=number(0, 1_000_000, 1),
    filters=many(ANY),
)
_ROUTE = thing(
    parentRefs=many(ANY),
    hostnames=many(text()),
    rules=many(
        thing(name=text(), matches=many(ANY), filters=many(ANY), backendRefs=many(_BACKEND))
    ),
)


# --- Istio ------------------------------------------------------------------------------------


def _destinations(found: dict[str, Any]) -> Iterator[str]:
    for place, route in enumerate(found["spec"].get("http", ())):
        weights = [d.get("weight", 0) for d in route.get("route", ())]
        if len(weights) > 1 and sum(weights) == 0:
            yield f"http[{place}]: total destination weight = 0"


def _unsaid(found: dict[str, Any]) -> None:
    found.pop("status", None)  # as by default


_VIRTUAL = thing(
    hosts=many(text()),
    gateways=many(text()),
    http=many(
        thing(
            name=text(),
            match=many(ANY),
            route=many(
                thing(
                    ("destination",),
                    destination=thing(
                        ("host",),
                        host=text(),
                        subset=text(),
                        port=thing(number=number(1, 65535)),
                    ),
                    weight=number(0, 2**31 - 1),
                    headers=ANY,
                )
            ),
        )
    ),
)


# --- KServe on Knative ------------------------------------------------------------------------

_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration",)


def _template(found: dict[str, Any]) -> str:
    """What a revision is made of: the predictor without its traffic, and the annotations."""
    predictor = {k: v for k, v in found["spec"]["predictor"].items() if k != "canaryTrafficPercent"}
    annotations = {
        k: v for k, v in found["metadata"].get("annotations", {}).items() if k not in _NOT_COPIED
    }
    return json.dumps([predictor, annotations, found["metadata"].get("labels", {})], sort_keys=True)


def _served(found: dict[str, Any]) -> None:
    """As KServe's reconciler and Knative's do: a new template is a new revision."""
    status = found.setdefault("status", {})
    if found["metadata"].get("annotations", {}).get("serving.kserve.io/deploymentMode") in (
        "RawDeployment",
        "Standard",
    ):
        status |= {"deploymentMode": "RawDeployment", "components": {"predictor": {}}}
        status["observedGeneration"] = found["metadata"]["generation"]
        return
    mine = status.setdefault("components", {}).setdefault("predictor", {})
    made = _template(found)
    if status.get("_template") != made:
        n = int(mine.get("latestCreatedRevision", "-0").rpartition("-")[2]) + 1
        name = f"{found['metadata']['name']}-predictor-{n:05}"
        mine["latestCreatedRevision"] = mine["latestReadyRevision"] = name
        status["_template"] = made
    latest, rolled = mine["latestReadyRevision"], mine.get("latestRolledoutRevision", "")
    percent = found["spec"]["predictor"].get("canaryTrafficPercent")
    if rolled == latest and percent is not None and percent < 100:
        rolled = mine.get("previousRolledoutRevision", "")
    share = percent if percent is not None and rolled else 100
    traffic = [{"latestRevision": True, "percent": share, "revisionName": latest}]
    if share < 100:
        traffic.append(
            {
                "latestRevision": False,
                "percent": 100 - share,
                "revisionName": rolled,
                "tag": "prev",
            }
        )
        mine["latestRolledoutRevision"] = rolled
    elif mine.get("latestRolledoutRevision") != latest:
        mine["previousRolledoutRevision"] = mine.get("latestRolledoutRevision", "")
        mine["latestRolledoutRevision"] = latest
    mine["traffic"] = traffic
    status["deploymentMode"] = "Serverless"
    status["observedGeneration"] = found["metadata"]["generation"]
    status["conditions"] = [
        {"type": kind, "status": "True"} for kind in ("PredictorReady", "RoutesReady", "Ready")
    ]


_INFERENCE = thing(
    ("predictor",),
    predictor=thing(
        canaryTrafficPercent=Schema(int),
        minReplicas=number(0, 1000),
        model=ANY,
    ),
)


KINDS = {
    (k.group, k.plural): k
    for k in (
        FakeKind(
            "HTTPRoute",
            "gateway.networking.k8s.io",
            ("v1", "v1beta1"),
            "httproutes",
            _ROUTE,
            _nothing,
            _routed,
        ),
        FakeKind(
            "VirtualService",
            "networking.istio.io",
            ("v1", "v1beta1", "v1alpha3"),
            "virtualservices",
            _VIRTUAL,
            _destinations,
            _unsaid,
        ),
        FakeKind(
            "InferenceService",
            "serving.kserve.io",
            ("v1beta1",),
            "inferenceservices",
            _INFERENCE,
            _nothing,
            _served,
        ),
    )
}


# --- schemas ----------------------------------------------------------------------------------


def pruned(value: Any, schema: Schema) -> Any:
    """Without what the schema does not know, and with its defaults."""
    if schema.of is dict and isinstance(value, dict):
        if schema.open:
            return copy.deepcopy(value)
        made = {k: pruned(value[k], s) for k, s in schema.fields.items() if k in value}
        for key, inner in schema.fields.items():
            if key not in made and inner.default is not None:
                made[key] = inner.default
        return made
    if schema.of is list and isinstance(value, list) and schema.items is not None:
        return [pruned(v, schema.items) for v in value]
    return value


def unknown(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """Fields that the schema does not know."""
    if schema.of is dict and isinstance(value, dict) and not schema.open:
        for key, inner in value.items():
            if key in schema.fields:
                yield from unknown(inner, schema.fields[key], f"{path}.{key}")
            else:
                yield f'unknown field "{path}.{key}"'
    elif schema.of is list and isinstance(value, list) and schema.items is not None:
        for place, inner in enumerate(value):
            yield from unknown(inner, schema.items, f"{path}[{place}]")


def invalid(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """What is of the wrong type or out of range."""
    if not isinstance(value, schema.of) or isinstance(value, bool):
        yield f'{path}: Invalid value: "{type(value).__name__}": must be of another type'
        return
    if isinstance(value, dict) and not schema.open:
        for key in schema.needed:
            if key not in value:
                yield f"{path}.{key}: Required value"
        for key, inner in value.items():
            yield from invalid(inner, schema.fields[key], f"{path}.{key}")
    elif isinstance(value, list) and schema.items is not None:
        for place, inner in enumerate(value):
            yield from invalid(inner, schema.items, f"{path}[{place}]")
    elif isinstance(value, int):
        if schema.least is not None and value < schema.least:
            yield f"{path}: Invalid value: {value}: should be at least {schema.least}"
        if schema.most is not None and value > schema.most:
            yield f"{path}: Invalid value: {value}: should be at most {schema.most}"
