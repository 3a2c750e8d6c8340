"""An alias of a registered model on a fake MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from fake_mlflow import FakeMlflow
from faulty_proxy import FaultyProxy
from rig import Rig

from console.control.plane_settings import MlflowPlane
from console.control.planes.mlflow import MlflowAlias

TOKEN = "MODELWATCH_TEST_MLFLOW_TOKEN"  # noqa: S105 - a variable's name


class MlflowRig(Rig):
    """Two versions; further ones of the model are not arms, and do no harm."""

    kind = "mlflow"
    arms = ("1", "2")
    initial = {"1": 1, "2": 0}  # noqa: RUF012 - as in the base
    secret = "s3cr3t-mlflow-token"  # noqa: S105 - of no server
    write_marks = (b"POST ",)

    def start(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv(TOKEN, self.secret)
        self.server = FakeMlflow()
        self.server.token = self.secret
        self.proxies = (FaultyProxy(("127.0.0.1", self.server.port)),)

    def stop(self) -> None:
        if hasattr(self, "server"):
            self.server.stop()
        self.patch.undo()

    def reset(self) -> None:
        self.server.versions = {"fraud model": {"1": "READY", "2": "READY", "3": "READY"}}
        self.server.aliases = {("fraud model", "champion"): "1"}

    def plane(self, arms: tuple[str, ...] | None = None, timeout: float = 5) -> MlflowAlias:
        settings = MlflowPlane(
            kind="mlflow",
            url=f"http://{self.proxies[0].address}",
            model="fraud model",
            alias="champion",
            token_env=TOKEN,
            timeout=timedelta(seconds=timeout),
        )
        return MlflowAlias(settings, arms or self.arms, self.folder)

    def truth(self) -> tuple[Mapping[str, int], ...]:
        version = self.server.aliases["fraud model", "champion"]
        return ({arm: int(arm == version) for arm in self.arms},)

    def change_behind(self, weights: Mapping[str, int], replica: int | None = None) -> None:
        version = next(arm for arm, weight in weights.items() if weight)
        self.server.aliases["fraud model", "champion"] = version
