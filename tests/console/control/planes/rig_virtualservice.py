"""A VirtualService on the fake API server; two destinations are subsets, one is a host."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fake_kubernetes import FakeKubernetes
from faulty_proxy import FaultyProxy
from rig import Rig

from console.control.plane_settings import VirtualServicePlane
from console.control.planes.virtualservice import VirtualService

_PLACES = {
    "v1": {"host": "fraud.ml.svc.cluster.local", "subset": "v1"},
    "v2": {"host": "fraud.ml.svc.cluster.local", "subset": "v2"},
    "rules": {"host": "rules", "port": {"number": 8080}},
}


def service(weights: Mapping[str, int], **metadata: Any) -> dict[str, Any]:
    """A VirtualService whose route is called split."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "fraud", "namespace": "ml", **metadata},
        "spec": {
            "hosts": ["fraud"],
            "http": [
                {
                    "match": [{"headers": {"x-test": {"exact": "1"}}}],
                    "route": [{"destination": {"host": "test"}}],
                },
                {
                    "name": "split",
                    "route": [
                        {"destination": _PLACES[arm], "weight": weight}
                        for arm, weight in weights.items()
                    ],
                },
            ],
        },
    }


class VirtualServiceRig(Rig):
    """One object, one server."""

    kind = "virtualservice"
    write_marks = (b"PATCH ",)
    arms = ("v1", "v2", "rules")
    initial = {"v1": 100, "v2": 0, "rules": 0}  # noqa: RUF012 - as in the base

    def start(self) -> None:
        self.server = FakeKubernetes()
        self.proxies = (FaultyProxy(("127.0.0.1", self.server.port)),)

    def stop(self) -> None:
        if hasattr(self, "server"):
            self.server.stop()

    def reset(self) -> None:
        self.server.put(service(self.initial))

    def plane(self, arms: tuple[str, ...] | None = None, timeout: float = 5) -> VirtualService:
        settings = VirtualServicePlane(
            kind="virtualservice",
            url=f"http://{self.proxies[0].address}",
            namespace="ml",
            name="fraud",
            route="split",
            timeout=timedelta(seconds=timeout),
        )
        return VirtualService(settings, arms or self.arms, self.folder)

    def truth(self) -> tuple[Mapping[str, int], ...]:
        listed = self.server.one()["spec"]["http"][1]["route"]
        return (dict(zip(self.arms, (d.get("weight", 0) for d in listed), strict=True)),)

    def change_behind(self, weights: Mapping[str, int], replica: int | None = None) -> None:
        http = self.server.one()["spec"]["http"]
        for arm, one in zip(self.arms, http[1]["route"], strict=True):
            one["weight"] = weights.get(arm, one.get("weight", 0))
        self.server.edit("virtualservices", "ml", "fraud", {"spec": {"http": http}})

    def is_write(self, request: bytes) -> bool:
        return request.startswith(b"PATCH ") and b"dryRun" not in request
