"""What an alias of MLflow does beyond what every plane does; the server is a fake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_mlflow import FakeMlflow

from console.control.errors import PlaneError
from console.control.plane import Answer, Change, Health
from console.control.plane_settings import MlflowPlane
from console.control.planes.mlflow import MlflowAlias
from console.control.split import Split

FIRST, SECOND = Split((("3", 1), ("4", 0))), Split((("3", 0), ("4", 1)))


@pytest.fixture
def server() -> Iterator[FakeMlflow]:
    made = FakeMlflow()
    made.versions = {"fraud": {"3": "READY", "4": "READY", "5": "READY"}}
    made.aliases = {("fraud", "champion"): "3"}
    try:
        yield made
    finally:
        made.stop()


def alias(server: FakeMlflow, name: str = "champion", model: str = "fraud") -> MlflowAlias:
    url = f"http://127.0.0.1:{server.port}"
    settings = MlflowPlane(kind="mlflow", url=url, model=model, alias=name)
    return MlflowAlias(settings, ("3", "4"), Path())


def test_it_says_that_an_alias_is_no_traffic(server: FakeMlflow) -> None:
    with alias(server) as plane:
        can = plane.capabilities
        assert "An alias is not traffic" in can.note
        assert not can.compare_and_swap
        assert "fraud@champion" in plane.name


def test_an_alias_that_is_not_there_yet_can_be_set(server: FakeMlflow) -> None:
    with alias(server, "alias-of alias") as plane:
        seen = plane.read()
        assert seen.split is not None
        assert seen.split.total == 0
        assert plane.apply(Change("c-1", seen.split, SECOND, "")).answer is Answer.ACKED
        assert plane.read().split == SECOND


def test_one_that_was_moved_meanwhile_is_left_alone(server: FakeMlflow) -> None:
    with alias(server) as plane:
        before = plane.read().split
        server.aliases["fraud", "champion"] = "4"
        receipt = plane.apply(Change("c-1", before, FIRST, ""))
        assert receipt.answer is Answer.CONFLICT
        assert "points at 4" in receipt.detail
        server.aliases["fraud", "champion"] = "5"
        receipt = plane.apply(Change("c-1", before, SECOND, ""))
        assert receipt.answer is Answer.REJECTED
        assert "points at version 5, which is none of the arms" in receipt.detail
    assert server.aliases["fraud", "champion"] == "5"


def test_a_version_that_failed_or_is_gone_is_not_taken(server: FakeMlflow) -> None:
    server.versions["fraud"]["4"] = "FAILED_REGISTRATION"
    with alias(server) as plane:
        seen = plane.read()
        assert seen.health_of("3") is Health.UP
        assert seen.health_of("4") is Health.DOWN
        wanted = Change("c-1", seen.split, SECOND, "")
        assert "version 4 cannot be used" in " ".join(plane.dry_run(wanted))
        del server.versions["fraud"]["4"]
        assert "MLflow has no such version" in " ".join(plane.dry_run(wanted))
        assert plane.apply(wanted).answer is Answer.REJECTED
    assert server.aliases["fraud", "champion"] == "3"


def test_a_model_that_is_not_there_is_said(server: FakeMlflow) -> None:
    with alias(server, model="alias") as plane, pytest.raises(PlaneError) as caught:
        plane.read()
    assert "check `model` and `url`" in str(caught.value)
