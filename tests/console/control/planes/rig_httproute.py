"""An HTTPRoute on the fake API server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from fake_kubernetes import FakeKubernetes
from faulty_proxy import FaultyProxy
from rig import Rig

from console.control.plane_settings import HttpRoutePlane
from console.control.planes.httproute import HttpRoute

TOKEN = "MODELWATCH_TEST_KUBE_TOKEN"  # noqa: S105 - a variable's name


def slices(*services: str, ready: bool = True) -> list[dict[str, Any]]:
    """Endpoint slices, two pods for each Service."""
    return [
        {
            "metadata": {"name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": [f"10.0.0.{pod}"],
                    "conditions": {"ready": ready},
                    "targetRef": {"kind": "Pod", "name": f"{name}-{pod}"},
                }
                for pod in range(2)
            ],
        }
        for name in services
    ]


def route(weights: Mapping[str, int], **metadata: Any) -> dict[str, Any]:
    """A route whose second rule is the one."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "fraud", "namespace": "ml", **metadata},
        "spec": {
            "parentRefs": [{"name": "public"}],
            "rules": [
                {"backendRefs": [{"name": "page", "port": 80}]},
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/score"}}],
                    "backendRefs": [
                        {"name": name, "port": 8080, "weight": weight}
                        for name, weight in weights.items()
                    ],
                },
            ],
        },
    }


class HttpRouteRig(Rig):
    """One route, one server, a token."""

    kind = "httproute"
    write_marks = (b"PATCH ",)
    secret = "s3cr3t-kube-token"  # noqa: S105 - of no server

    def start(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv(TOKEN, self.secret)
        self.server = FakeKubernetes(token=self.secret)
        self.server.extra["ml/endpointslices"] = slices(*self.arms)
        self.proxies = (FaultyProxy(("127.0.0.1", self.server.port)),)

    def stop(self) -> None:
        if hasattr(self, "server"):
            self.server.stop()
        self.patch.undo()

    def reset(self) -> None:
        self.server.put(route(self.initial))

    def plane(self, arms: tuple[str, ...] | None = None, timeout: float = 5) -> HttpRoute:
        settings = HttpRoutePlane(
            kind="httproute",
            url=f"http://{self.proxies[0].address}",
            namespace="ml",
            name="fraud",
            rule=1,
            token_env=TOKEN,
            timeout=timedelta(seconds=timeout),
        )
        return HttpRoute(settings, arms or self.arms, self.folder)

    def truth(self) -> tuple[Mapping[str, int], ...]:
        backends = self.server.one()["spec"]["rules"][1]["backendRefs"]
        return ({b["name"]: b["weight"] for b in backends},)

    def change_behind(self, weights: Mapping[str, int], replica: int | None = None) -> None:
        rules = self.server.one()["spec"]["rules"]
        for backend in rules[1]["backendRefs"]:
            backend["weight"] = weights.get(backend["name"], backend["weight"])
        self.server.edit("httproutes", "ml", "fraud", {"spec": {"rules": rules}})

    def is_write(self, request: bytes) -> bool:
        return request.startswith(b"PATCH ") and b"dryRun" not in request
