"""An InferenceService on the fake API server, with a second revision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fake_kubernetes import FakeKubernetes
from faulty_proxy import FaultyProxy
from rig import Rig

from console.control.plane_settings import KservePlane
from console.control.planes.kserve import Kserve


def service(uri: str = "s3://models/1", **predictor: Any) -> dict[str, Any]:
    """An InferenceService."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "fraud", "namespace": "ml", "annotations": {"team": "risk"}},
        "spec": {"predictor": {"model": {"storageUri": uri}, **predictor}},
    }


def revisions(server: FakeKubernetes, *numbers: int, ready: str = "True") -> None:
    """Knative's revisions, ready or not."""
    for n in numbers:
        name = f"fraud-predictor-{n:05}"
        path = f"/apis/serving.knative.dev/v1/namespaces/ml/revisions/{name}"
        conditions = [{"type": "Active", "status": "False", "reason": "NoTraffic"}]
        conditions.append({"type": "Ready", "status": ready, "reason": "" if ready else "Failed"})
        server.extra[path] = {
            "kind": "Revision",
            "metadata": {"name": name, "resourceVersion": "7"},
            "status": {"conditions": conditions},
        }


class KserveRig(Rig):
    """One object, one server."""

    kind = "kserve"
    write_marks = (b"PATCH ",)
    arms = ("latest", "previous")
    initial = {"latest": 100, "previous": 0}  # noqa: RUF012 - as in the base

    def start(self) -> None:
        self.server = FakeKubernetes()
        revisions(self.server, 1, 2)
        self.proxies = (FaultyProxy(("127.0.0.1", self.server.port)),)

    def stop(self) -> None:
        if hasattr(self, "server"):
            self.server.stop()

    def reset(self) -> None:
        self.server.put(service())
        second = {"model": {"storageUri": "s3://models/2"}}
        self.server.edit("inferenceservices", "ml", "fraud", {"spec": {"predictor": second}})

    def plane(self, arms: tuple[str, ...] | None = None, timeout: float = 5) -> Kserve:
        settings = KservePlane(
            kind="kserve",
            url=f"http://{self.proxies[0].address}",
            namespace="ml",
            name="fraud",
            timeout=timedelta(seconds=timeout),
        )
        return Kserve(settings, arms or self.arms, self.folder)

    def truth(self) -> tuple[Mapping[str, int], ...]:
        """What Knative serves."""
        traffic = self.server.one()["status"]["components"]["predictor"]["traffic"]
        latest = sum(t["percent"] for t in traffic if t["latestRevision"])
        return ({"latest": latest, "previous": 100 - latest},)

    def change_behind(self, weights: Mapping[str, int], replica: int | None = None) -> None:
        predictor = {"canaryTrafficPercent": weights["latest"]}
        self.server.edit("inferenceservices", "ml", "fraud", {"spec": {"predictor": predictor}})

    def is_write(self, request: bytes) -> bool:
        return request.startswith(b"PATCH ") and b"dryRun" not in request
