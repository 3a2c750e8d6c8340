"""What is Envoy's own: it takes everything, so what it would serve is worked out and warned of.

Against real Envoys, each with what is odd about it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom
from servers import EnvoyServer, Upstream, free_port, send, until

from console.control.errors import PlaneError
from console.control.plane import Answer, Change, Health
from console.control.plane_settings import EnvoyPlane
from console.control.planes.envoy import Envoy
from console.control.split import Split

PREFIX = "split.model"
ALL_V1 = {"v1": 100, "v2": 0}


@contextmanager
def running(
    folder: Path,
    weights: Mapping[str, int] = ALL_V1,
    ports: Mapping[str, int] | None = None,
    arms: tuple[str, ...] | None = None,
    **more: Any,
) -> Iterator[tuple[EnvoyServer, Envoy]]:
    """An Envoy and its plane. ports: of upstreams that are not started here."""
    upstreams = {arm: Upstream(arm) for arm in weights if arm not in (ports or {})}
    known = {arm: upstream.port for arm, upstream in upstreams.items()} | dict(ports or {})
    server = EnvoyServer(folder, known, weights, PREFIX, **more)
    try:
        server.start()
        with made(server, arms or tuple(weights)) as plane:
            yield server, plane
    finally:
        server.stop()
        for upstream in upstreams.values():
            upstream.stop()


def made(server: EnvoyServer, arms: tuple[str, ...], prefix: str = PREFIX) -> Envoy:
    settings = EnvoyPlane(
        kind="envoy",
        admin=(f"http://127.0.0.1:{server.admin}",),
        prefix=prefix,
        timeout=timedelta(seconds=5),
    )
    return Envoy(settings, arms, Path())


def to(plane: Envoy, *weights: int) -> Change:
    return Change("c-1", None, Split(tuple(zip(plane.arms, weights, strict=True))), "")


def route(config: dict[str, Any]) -> dict[str, Any]:
    """The weighted clusters in an Envoy's configuration."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    routes = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    found: dict[str, Any] = routes[0]["route"]["weighted_clusters"]
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EnvoyServer, Envoy]]:
    with running(tmp_path_factory.mktemp("plain")) as both:
        yield both


@pytest.fixture
def envoy(plain: tuple[EnvoyServer, Envoy]) -> tuple[EnvoyServer, Envoy]:
    server, plane = plain
    server.modify(dict.fromkeys(server.runtime(), ""))
    return server, plane


ODD_WEIGHTS = (
    *("50", "0", "50.7", "abc", "-5", "1e2", " 25", "0x10", "\n5", "true", "05", "+5", "1e400"),
    *("nan", "inf", "1_0", "0x", "５", "99999999999999999999999"),
)


@pytest.mark.parametrize("text", ODD_WEIGHTS)
def test_reading_what_others_wrote_agrees_with_what_envoy_does(
    envoy: tuple[EnvoyServer, Envoy], text: str
) -> None:
    server, plane = envoy
    server.modify({f"{PREFIX}.v1": text, f"{PREFIX}.v2": 40})
    seen = plane.read()
    assert seen.split is not None
    assert (seen.problem == "") == (text in ("50", "0")), seen.problem
    assert seen.problem.isprintable()
    answers = send(server.port, 300)
    assert answers[""] == 0
    share = seen.split.share("v1")
    assert 2 * min(
        binom.cdf(answers["v1"], 300, share), binom.sf(answers["v1"] - 1, 300, share)
    ) > (1e-9), (seen, answers)


@pytest.mark.parametrize("weights", [(0, 0), (2**32, 0), (2**32 - 1, 1), (2**63, 5), (2**64, 0)])
def test_weights_that_no_request_survives(
    envoy: tuple[EnvoyServer, Envoy], weights: tuple[int, int]
) -> None:
    server, plane = envoy
    server.modify({f"{PREFIX}.v1": weights[0], f"{PREFIX}.v2": weights[1]})
    assert send(server.port, 5) == {"": 5}
    seen = plane.read()
    assert "every request is answered with 404" in seen.problem
    assert plane.apply(to(plane, 100, 0)).answer is Answer.ACKED
    assert plane.read().problem == ""
    assert send(server.port, 5) == {"v1": 5}


def test_a_misspelt_key_of_another_operator_is_not_a_weight(
    envoy: tuple[EnvoyServer, Envoy],
) -> None:
    server, plane = envoy
    server.modify({f"{PREFIX}.V2": 50, "split.modle.v2": 50})
    seen = plane.read()
    assert seen.split == Split.of(ALL_V1)


def test_another_operators_change_leaves_our_id_but_not_our_split(
    envoy: tuple[EnvoyServer, Envoy],
) -> None:
    server, plane = envoy
    plane.apply(to(plane, 25, 75))
    assert plane.read().change_id == "c-1"
    server.modify({f"{PREFIX}.v1": 50, f"{PREFIX}.v2": 50})
    seen = plane.read()
    assert seen.change_id == "c-1"
    assert seen.split is not None
    assert not seen.split.same_shares(Split.of({"v1": 25, "v2": 75}))


def test_no_route_has_the_prefix(envoy: tuple[EnvoyServer, Envoy]) -> None:
    server, _ = envoy
    with made(server, ("v1", "v2"), prefix="split.modle") as plane:
        with pytest.raises(PlaneError, match=r"has no route whose runtime_key_prefix"):
            plane.read()
        assert any("runtime_key_prefix" in text for text in plane.dry_run(to(plane, 0, 100)))


@pytest.mark.parametrize("with_runtime", [True, False])
def test_an_envoy_whose_runtime_cannot_be_written(tmp_path: Path, with_runtime: bool) -> None:
    def change(config: dict[str, Any]) -> None:
        if with_runtime:
            config["layered_runtime"]["layers"].pop()
        else:
            del config["layered_runtime"]

    with running(tmp_path, change=change) as (server, plane):
        assert plane.read().split == Split.of(ALL_V1)
        said = list(plane.dry_run(to(plane, 0, 100)))
        assert len(said) == 1
        assert "no admin layer" in said[0]
        receipt = plane.apply(to(plane, 0, 100))
        assert receipt.answer is Answer.REJECTED
        assert "No admin layer" in receipt.detail
        assert send(server.port, 5) == {"v1": 5}


def test_a_layer_above_ours_counts_more(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layers = config["layered_runtime"]["layers"]
        layers.append({"name": "top", "static_layer": {"split": {"model": {"v2": 50}}}})

    with running(tmp_path, change=change) as (server, plane):
        said = list(plane.dry_run(to(plane, 100, 0)))
        assert len(said) == 1
        assert "'top' is above the admin layer" in said[0]
        assert plane.apply(to(plane, 100, 0)).answer is Answer.ACKED
        seen = plane.read()  # it took it, and serves something else
        assert seen.split == Split.of({"v1": 100, "v2": 50})
        assert set(send(server.port, 100)) == {"v1", "v2"}


def test_a_layer_below_ours_counts_until_we_write(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["layered_runtime"]["layers"][0]["static_layer"] = {
            "split": {"model": {"v1": 0, "v2": 100}}
        }

    with running(tmp_path, change=change) as (server, plane):
        assert plane.read().split == Split.of({"v1": 0, "v2": 100})
        assert list(plane.dry_run(to(plane, 100, 0))) == []
        plane.apply(to(plane, 100, 0))
        assert send(server.port, 5) == {"v1": 5}


def test_a_cluster_that_nobody_listed_takes_traffic(tmp_path: Path) -> None:
    weights = {"v1": 50, "v2": 0, "shadow": 50}
    with running(tmp_path, weights, arms=("v1", "v2")) as (_, plane):
        seen = plane.read()
        assert seen.split is not None
        assert seen.split.share("v1") == 0.5, "half of it goes elsewhere"
        assert "'shadow' is none of the arms" in seen.problem


def test_two_routes_of_one_prefix_with_other_weights(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
        host = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]
        more = json.loads(json.dumps(host["routes"][0]))
        more["match"]["prefix"] = "/other"
        more["route"]["weighted_clusters"]["clusters"][0]["weight"] = 7
        host["routes"].insert(0, more)

    with (
        running(tmp_path, change=change) as (_, plane),
        pytest.raises(PlaneError, match="several routes"),
    ):
        plane.read()


def test_routes_that_came_over_xds(tmp_path: Path) -> None:
    """Mesh and gateway controllers send routes; here a file does."""
    routes = tmp_path / "routes.json"

    def change(config: dict[str, Any]) -> None:
        chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
        manager = chain["filters"][0]["typed_config"]
        config["node"] = {"id": "here", "cluster": "here"}
        kind = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
        resource = {"@type": kind, **manager.pop("route_config")}
        routes.write_text(json.dumps({"version_info": "1", "resources": [resource]}))
        manager["rds"] = {
            "route_config_name": "models",
            "config_source": {"path_config_source": {"path": str(routes)}},
        }

    with running(tmp_path, change=change) as (server, plane):
        until(lambda: send(server.port, 1) == {"v1": 1}, "the routes")
        assert plane.read().split == Split.of(ALL_V1)
        assert list(plane.dry_run(to(plane, 0, 100))) == []
        assert plane.apply(to(plane, 0, 100)).answer is Answer.ACKED
        assert send(server.port, 5) == {"v2": 5}


ODD = ("v 1", "a&b", "x:y", "v.1", "v.1.x", "ü", "50%", "a+b", "#1", "a/b?c", "[bold]")


def test_names_that_an_address_could_misread(tmp_path: Path) -> None:
    weights = {name: 100 if name == ODD[0] else 0 for name in ODD}
    with running(tmp_path, weights) as (server, plane):
        for place, name in enumerate(ODD):
            after = to(plane, *(100 if place == other else 0 for other in range(len(ODD))))
            assert list(plane.dry_run(after)) == []
            assert plane.apply(after).answer is Answer.ACKED
            seen = plane.read()
            assert seen.split == after.after
            assert seen.problem == ""
            assert send(server.port, 3) == {name: 3}
        counted = plane.counts()
        assert [(row.arm, row.n) for row in counted.rows] == [(name, 3) for name in ODD]


def test_health_as_envoy_checks_it(tmp_path: Path) -> None:
    with running(tmp_path, ports={"v2": free_port()}, checks=True) as (_, plane):
        until(lambda: plane.read().health_of("v2") is Health.DOWN, "v2 to be found down")
        seen = plane.read()
        assert [(h.arm, h.health, h.detail) for h in seen.health] == [
            ("v1", Health.UP, "1 of 1 endpoints"),
            ("v2", Health.DOWN, "0 of 1 endpoints"),
        ]


def test_nobody_checks_so_nobody_knows(tmp_path: Path) -> None:
    """Envoy counts an endpoint as healthy that it never asked, also a dead one."""
    with running(tmp_path, ports={"v2": free_port()}) as (_, plane):
        assert {one.health for one in plane.read().health} == {Health.UNKNOWN}


def dead(config: dict[str, Any]) -> None:
    """Give up soon."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    host = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]
    host["routes"][0]["route"]["timeout"] = "1s"


def test_requests_that_no_server_took_are_counted_as_errors(tmp_path: Path) -> None:
    with running(tmp_path, ports={"v2": free_port()}, change=dead) as (server, plane):
        plane.apply(to(plane, 0, 100))
        assert send(server.port, 7) == {"": 7}
        plane.apply(to(plane, 100, 0))
        assert send(server.port, 3) == {"v1": 3}
        assert [(row.arm, row.n, row.n_error) for row in plane.counts().rows] == [
            ("v1", 3, 0),
            ("v2", 7, 7),
        ]


def test_a_cluster_with_another_name_in_its_statistics(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        for cluster in config["static_resources"]["clusters"]:
            cluster["alt_stat_name"] = f"model:{cluster['name']}"

    with running(tmp_path, change=change, checks=True) as (server, plane):
        until(lambda: plane.read().health_of("v1") is Health.UP, "v1 to be checked")
        sent = send(server.port, 4)
        assert sent == {"v1": 4}
        assert plane.counts().rows[0].n == 4


def test_a_change_id_cannot_be_a_weight(tmp_path: Path) -> None:
    with running(tmp_path, {"v1": 100, "_rev": 0}) as (_, plane):
        assert any("_rev" in text for text in plane.dry_run(to(plane, 100, 0)))


@pytest.mark.parametrize("text", ["\x1b[31m", "[bold]x", "x" * 10_000])
def test_what_others_wrote_is_shown_harmless(envoy: tuple[EnvoyServer, Envoy], text: str) -> None:
    server, plane = envoy
    server.modify({f"{PREFIX}._rev": text, f"{PREFIX}.v1": text})
    seen = plane.read()
    assert seen.problem.isprintable()
    assert len(seen.problem) < 400
    assert seen.change_id.isprintable()
    assert len(seen.change_id) <= 100
