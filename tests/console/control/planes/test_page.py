"""What docs/planes.md tells people to write is what works."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import TypeAdapter
from servers import Process, Upstream, envoy_binary, free_port, haproxy_binary, send, until

from console.control.plane import Answer, Change, ControlPlane, Health
from console.control.plane_settings import AnyPlane, EnvoyPlane, HaproxyPlane
from console.control.planes.envoy import Envoy
from console.control.planes.haproxy import Haproxy
from console.control.planes.registry import PLANES
from console.control.settings import Control
from console.control.split import Split

PAGE = Path(__file__).parents[4] / "docs" / "planes.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def planes() -> list[str]:
    found = [
        line
        for block in blocks("toml")
        for line in re.findall(r"^plane = .*$", block, re.MULTILINE)
    ]
    assert found
    return found


@pytest.mark.parametrize("line", planes())
def test_every_plane_of_the_page_is_understood(line: str) -> None:
    plane = TypeAdapter(AnyPlane).validate_python(tomllib.loads(line)["plane"])
    assert plane.kind in PLANES  # type: ignore[attr-defined]


def test_every_whole_block_of_the_page_is_understood() -> None:
    whole = [block for block in blocks("toml") if "[[control]]" in block]
    assert whole
    for block in whole:
        for control in tomllib.loads(block)["control"]:
            Control.model_validate(control)


def test_every_plane_has_an_example() -> None:
    shown = {tomllib.loads(line)["plane"]["kind"] for line in planes()}
    assert shown == set(PLANES)


@pytest.fixture
def ports() -> Iterator[dict[str, str]]:
    """The page's ports -> free ones, with models behind 8001 and 8002."""
    models = {"8001": Upstream("v1"), "8002": Upstream("v2")}
    found = {page: str(model.port) for page, model in models.items()}
    yield found | {"8080": str(free_port()), "9901": str(free_port())}
    for model in models.values():
        model.stop()


def written(text: str, ports: dict[str, str], path: Path) -> Path:
    path.write_text(re.sub("|".join(ports), lambda found: ports[found[0]], text))
    return path


def works(plane: ControlPlane, port: int) -> None:
    """Healthy by its checks, split as its file says, and moved."""
    until(lambda: {h.health for h in plane.read().health} == {Health.UP}, "health checks")
    seen = plane.read()
    assert seen.split == Split.of({"v1": 100, "v2": 0})
    assert seen.problem == ""
    change = Change("c-1", seen.split, Split.of({"v1": 0, "v2": 100}), "")
    assert list(plane.dry_run(change)) == []
    assert plane.apply(change).answer is Answer.ACKED
    assert send(port, 5) == {"v2": 5}


def test_the_envoy_of_the_page(ports: dict[str, str], tmp_path: Path) -> None:
    (text,) = (block for block in blocks("yaml") if "layered_runtime" in block)
    config = written(text, ports, tmp_path / "envoy.yaml")
    admin = f"http://127.0.0.1:{ports['9901']}"
    process = Process(tmp_path / "log")
    try:
        process.run(
            [envoy_binary(), "-c", config, "--disable-hot-restart", "--concurrency", "1"],
            lambda: _ready(f"{admin}/ready"),
        )
        settings = EnvoyPlane(kind="envoy", admin=(admin,), prefix="split.solar")
        with Envoy(settings, ("v1", "v2"), tmp_path) as plane:
            works(plane, int(ports["8080"]))
    finally:
        process.kill()


def _ready(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_haproxy_of_the_page(ports: dict[str, str], tmp_path: Path) -> None:
    (text,) = blocks("haproxy")
    place = tmp_path / "admin.sock"
    config = written(text, ports | {"/run/haproxy/admin.sock": str(place)}, tmp_path / "cfg")
    process = Process(tmp_path / "log")
    try:
        process.run([haproxy_binary(), "-db", "-f", config], place.exists)
        settings = HaproxyPlane(
            kind="haproxy", socket=(str(place),), backend="models", timeout=timedelta(seconds=3)
        )
        with Haproxy(settings, ("v1", "v2"), tmp_path) as plane:
            works(plane, int(ports["8080"]))
    finally:
        process.kill()
