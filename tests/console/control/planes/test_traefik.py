"""Traefik: what its file says, what it serves, and what is said when they differ."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import Upstream, send, until
from web_servers import TraefikServer

from console.control.errors import PlaneError
from console.control.plane import Answer, Change, Health
from console.control.plane_settings import TraefikPlane
from console.control.planes.traefik import Traefik
from console.control.split import Split

ARMS = ("v1", "v2")

TOML = """# who gets what
[http.routers.models]
rule = "PathPrefix(`/`)"
service = "model"

[[http.services.model.weighted.services]]
name = "v1"
weight = 75  # the stable one
[[http.services.model.weighted.services]]
name = "v2"
weight = 25
{more}

[http.services.v1.loadBalancer]
servers = [{{url = "http://127.0.0.1:{v1}"}}]
[http.services.v2.loadBalancer]
servers = [{{url = "http://127.0.0.1:{v2}"}}]
[http.services.v2.loadBalancer.healthCheck]
path = "/"
interval = "50ms"
timeout = "40ms"
"""


class Running:
    """A Traefik with a file in TOML."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.upstreams = {arm: Upstream(arm) for arm in ARMS}
        self.file = folder / "models.toml"
        self.write(self.text())
        self.server = TraefikServer(folder, self.file, **more)

    def text(self, more: str = "") -> str:
        ports = {arm: upstream.port for arm, upstream in self.upstreams.items()}
        return TOML.format(**ports, more=more)

    def write(self, text: str) -> None:
        beside = self.file.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.file)

    def serves(self, v1: int, v2: int) -> None:
        until(lambda: self.server.weights("model") == {"v1": v1, "v2": v2}, "Traefik to serve it")

    def plane(self, **more: Any) -> Traefik:
        api = (f"http://127.0.0.1:{self.server.api}",)
        given = {"kind": "traefik", "file": "models.toml", "service": "model", "api": api}
        return Traefik(TraefikPlane(**(given | more)), ARMS, self.file.parent)

    def stop(self) -> None:
        self.server.stop()
        for upstream in self.upstreams.values():
            upstream.stop()


@pytest.fixture(scope="module")
def module_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("traefik"))
    try:
        made.server.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def running(module_running: Running) -> Running:
    module_running.write(module_running.text())
    module_running.serves(75, 25)
    for upstream in module_running.upstreams.values():
        upstream.status = 200
    return module_running


def change(made: Traefik, v1: int, v2: int) -> Change:
    seen = made.read()
    return Change("c-1", seen.split, Split.of({"v1": v1, "v2": v2}), seen.revision)


def test_toml_is_changed_in_place_and_served(running: Running) -> None:
    before = running.file.read_text()
    with running.plane() as made:
        assert made.apply(change(made, 10, 90)).answer is Answer.ACKED
    expected = before.replace("weight = 75 ", "weight = 10 ").replace("weight = 25", "weight = 90")
    assert running.file.read_text() == expected
    assert send(running.server.port, 100) == {"v1": 10, "v2": 90}


def test_a_file_that_traefik_cannot_use_shows(running: Running) -> None:
    """It keeps its last good configuration and says nothing but in its log."""
    running.write(running.text().replace("weight = 75", "wieght = 75"))
    with running.plane() as made:
        seen = made.read()
        assert seen.split == Split.of({"v1": 75, "v2": 25})
        assert "serves v1 75%, v2 25% and the file says v1 3.846%" in seen.problem
    running.write("[http\n")
    with running.plane() as made:
        seen = made.read()
        assert seen.split == Split.of({"v1": 75, "v2": 25})
        assert "it is no TOML" in seen.problem
        assert seen.revision != ""
        receipt = made.apply(change(made, 0, 100))
        assert receipt.answer is Answer.REJECTED
        assert "nothing was written" in receipt.detail
    with running.plane(api=()) as made, pytest.raises(PlaneError, match="it is no TOML"):
        made.read()


def test_a_written_file_that_is_not_taken_is_unknown(running: Running) -> None:
    """Another line that Traefik does not know: the weights are right, and it ignores the file."""
    running.write(running.text() + "[http.services.v1.loadBalancer.nonsense]\nx = 1\n")
    with running.plane(settle=timedelta(seconds=1)) as made:
        receipt = made.apply(change(made, 0, 100))
        assert receipt.answer is Answer.UNKNOWN
        assert "does not serve it yet" in receipt.detail
        assert "has not taken it" in made.read().problem


def test_a_service_that_traefik_has_disabled_is_said(running: Running) -> None:
    running.write(running.text().replace("[http.services.v2.", "[http.services.other."))

    def disabled() -> bool:
        found = httpx.get(f"http://127.0.0.1:{running.server.api}/api/http/services/model@file")
        return bool(found.json()["status"] == "disabled")

    until(disabled, "Traefik to disable it")
    with running.plane() as made, pytest.raises(PlaneError, match="has disabled the service"):
        made.read()


def test_all_zero_is_said(running: Running) -> None:
    running.write(running.text().replace("75", "0").replace("25", "0"))
    running.serves(0, 0)
    assert send(running.server.port, 5) == {"": 5}
    with running.plane() as made:
        assert "every request is answered with 503" in made.read().problem
        assert made.apply(change(made, 100, 0)).answer is Answer.ACKED
    assert send(running.server.port, 5) == {"v1": 5}


def test_health_is_what_traefik_checks(running: Running) -> None:
    with running.plane() as made:
        until(lambda: made.read().health_of("v2") is Health.UP, "v2 to be up")
        assert made.read().health_of("v1") is Health.UNKNOWN, "nobody checks it"
        running.upstreams["v2"].status = 500
        until(lambda: made.read().health_of("v2") is Health.DOWN, "v2 to be down")


def test_errors_are_counted(running: Running) -> None:
    with running.plane() as made:
        assert made.apply(change(made, 100, 0)).answer is Answer.ACKED
        running.upstreams["v1"].status = 503
        before, _ = made.counts(), send(running.server.port, 7)
        after = made.counts()
    assert before is not None
    assert after is not None
    old, new = before.rows[0], after.rows[0]
    assert (new.arm, new.n - old.n, (new.n_error or 0) - (old.n_error or 0)) == ("v1", 7, 7)
    assert new.epoch == old.epoch != ""


def test_a_cookie_does_not_keep_anybody_at_an_arm_with_no_traffic(running: Running) -> None:
    more = "[http.services.model.weighted.sticky.cookie]\nname = 'arm'"
    running.write(running.text(more))
    with running.plane() as made, httpx.Client() as client:
        url = f"http://127.0.0.1:{running.server.port}/"
        until(lambda: "arm" in client.get(url).cookies, "a sticky cookie")
        assert made.read().problem == ""
        assert "sticky" in made.capabilities.note
        here = client.get(url).text
        assert {client.get(url).text for _ in range(20)} == {here}
        weights = (0, 100) if here == "v1" else (100, 0)
        assert made.apply(change(made, *weights)).answer is Answer.ACKED
        assert {client.get(url).text for _ in range(20)} == {"v2" if here == "v1" else "v1"}


def test_one_instance_of_two_is_away(running: Running) -> None:
    """The file is for both: the one that is away is not known, and takes it when it is back."""
    here = f"http://127.0.0.1:{running.server.api}"
    with running.plane(api=(here, "http://127.0.0.1:1")) as made:
        seen = made.read()
        assert seen.split is None
        assert [one.weights is None for one in seen.replicas] == [False, True]
        receipt = made.apply(change(made, 0, 100))
        assert [one.answer for one in receipt.replicas] == [Answer.ACKED, Answer.UNKNOWN]
        assert "the file is written" in receipt.replicas[1].detail
        counts = made.counts()
        assert counts is not None
        assert counts.missing == ("http://127.0.0.1:1",)


def test_without_an_api_the_file_is_all_there_is(running: Running) -> None:
    with running.plane(api=()) as made:
        assert "not read back" in made.capabilities.note
        assert made.counts() is None
        assert made.apply(change(made, 30, 70)).answer is Answer.ACKED
        assert made.read().split == Split.of({"v1": 30, "v2": 70})
    running.serves(30, 70)


def test_a_server_that_is_no_traefik(running: Running) -> None:
    api = f"http://127.0.0.1:{running.upstreams['v1'].port}"
    with running.plane(api=(api,)) as made, pytest.raises(PlaneError, match="no JSON"):
        made.read()


def test_its_usual_pace_is_waited_for(tmp_path: Path) -> None:
    """A second change within the two seconds that Traefik rests is acknowledged when served."""
    made = Running(tmp_path, throttle="500ms", metrics=False)
    try:
        made.server.start()
        made.serves(75, 25)
        with made.plane() as plane:
            for v2 in (1, 2, 3):
                assert plane.apply(change(plane, 100 - v2, v2)).answer is Answer.ACKED
                assert made.server.weights("model") == {"v1": 100 - v2, "v2": v2}
            assert plane.counts() is None
            assert not plane.capabilities.counts
    finally:
        made.stop()


def test_a_reader_never_sees_half_a_file(running: Running) -> None:
    """Whoever reads while we write sees the old or the new file, whole."""
    texts = {running.file.read_text()}
    with running.plane(api=()) as made:
        for v1 in (10, 90):
            assert made.apply(change(made, v1, 100 - v1)).answer is Answer.ACKED
            texts.add(running.file.read_text())
        seen: set[str] = set()
        over = threading.Event()

        def look() -> None:
            while not over.is_set():
                seen.add(running.file.read_text())

        reader = threading.Thread(target=look)
        reader.start()
        for v1 in itertools.islice(itertools.cycle((10, 90)), 60):
            assert made.apply(change(made, v1, 100 - v1)).answer is Answer.ACKED
        over.set()
        reader.join()
    assert seen <= texts
    assert list(running.file.parent.glob("*modelwatch*")) == []
