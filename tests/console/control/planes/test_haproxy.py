"""What is HAProxy's own: many commands in one line, states of servers, how requests are counted.

Against real HAProxys, each with what is odd about it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from faulty_proxy import Fault, FaultyProxy
from pydantic import ValidationError
from servers import HaproxyServer, Upstream, free_port, send, until

from console.control.errors import PlaneError
from console.control.plane import Answer, Change, Health
from console.control.plane_settings import HaproxyPlane
from console.control.planes.haproxy import Haproxy
from console.control.split import Split

ALL_V1 = {"v1": 100, "v2": 0}


@contextmanager
def running(
    folder: Path,
    weights: Mapping[str, int] = ALL_V1,
    ports: Mapping[str, int] | None = None,
    arms: tuple[str, ...] | None = None,
    **more: Any,
) -> Iterator[tuple[HaproxyServer, Haproxy]]:
    """An HAProxy and its plane. ports: of upstreams that are not started here."""
    upstreams = {arm: Upstream(arm) for arm in weights if arm not in (ports or {})}
    known = {arm: upstream.port for arm, upstream in upstreams.items()} | dict(ports or {})
    server = HaproxyServer(folder, known, weights, **more)
    try:
        server.start()
        yield server, made(server.socket, arms or tuple(weights))
    finally:
        server.stop()
        for upstream in upstreams.values():
            upstream.stop()


def made(place: str, arms: tuple[str, ...], backend: str = "models", timeout: float = 5) -> Haproxy:
    settings = HaproxyPlane(
        kind="haproxy", socket=(place,), backend=backend, timeout=timedelta(seconds=timeout)
    )
    return Haproxy(settings, arms, Path())


def to(plane: Haproxy, *weights: int, before: Split | None = None) -> Change:
    return Change("c-1", before, Split(tuple(zip(plane.arms, weights, strict=True))), "")


def test_over_a_socket_file(tmp_path: Path) -> None:
    with running(tmp_path, unix=True) as (server, plane):
        assert plane.name == f"HAProxy {tmp_path}/api.sock"
        assert plane.apply(to(plane, 0, 100)).answer is Answer.ACKED
        assert plane.read().split == Split.of({"v1": 0, "v2": 100})
        assert send(server.port, 5) == {"v2": 5}


@pytest.mark.parametrize("place", ["gone.sock", "folder", "file", "x" * 200])
def test_no_socket_there(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    plane = made(str(tmp_path / place), ("v1", "v2"))
    with pytest.raises(PlaneError, match="cannot reach"):
        plane.read()
    assert plane.apply(to(plane, 0, 100)).answer is Answer.REJECTED


@pytest.mark.parametrize(
    "place",
    [
        *("10.0.0.1:9999", "example.com:9999", "127.evil.example:9999", ":9999", "127.0.0.1:99999"),
        *("", "a\nb", "[2001:db8::1]:9999"),
    ],
)
def test_another_host_is_refused_since_there_is_no_password(place: str) -> None:
    with pytest.raises(ValidationError):
        HaproxyPlane(kind="haproxy", socket=(place,), backend="models")


@pytest.mark.parametrize(
    "place", ["127.0.0.1:9", "localhost:9", "[::1]:9", "/run/a.sock", "a.sock"]
)
def test_this_host_is_allowed(place: str) -> None:
    assert HaproxyPlane(kind="haproxy", socket=(place,), backend="models").socket == (place,)


@pytest.mark.parametrize("arm", ["v1; shutdown sessions", "v1\nhelp", "a b", "v/1", "ü", "x" * 300])
def test_a_name_that_would_end_a_command(arm: str) -> None:
    with pytest.raises(PlaneError, match="no name of a server") as caught:
        made("127.0.0.1:9", ("v1", arm))
    assert str(caught.value).isprintable()


def test_no_such_backend(tmp_path: Path) -> None:
    with running(tmp_path) as (server, _):
        plane = made(server.socket, ("v1", "v2"), backend="modles")
        with pytest.raises(PlaneError, match="has no backend 'modles'"):
            plane.read()
        assert any("has no backend" in text for text in plane.dry_run(to(plane, 0, 100)))
        assert plane.apply(to(plane, 0, 100)).answer is Answer.REJECTED


def test_a_line_of_which_half_was_done_is_unknown(tmp_path: Path) -> None:
    """HAProxy goes on after a command that failed."""
    with running(tmp_path, arms=("nobody", "v2")) as (_, plane):
        receipt = plane.apply(to(plane, 25, 75))
        assert receipt.answer is Answer.UNKNOWN
        assert "No such server" in receipt.detail
        assert "some weights may be set" in receipt.detail


def test_a_socket_that_may_only_look(tmp_path: Path) -> None:
    with running(tmp_path) as (server, _):
        config = tmp_path / "haproxy.cfg"
        config.write_text(config.read_text().replace("level admin", "level operator"))
        server.stop()
        server.start()
        plane = made(server.socket, ("v1", "v2"))
        assert plane.read().split == Split.of(ALL_V1)
        receipt = plane.apply(to(plane, 0, 100))
        assert receipt.answer is Answer.REJECTED
        assert "Permission denied" in receipt.detail
        assert plane.read().split == Split.of(ALL_V1)


@pytest.mark.parametrize(("before", "first"), [((100, 0), "v2"), ((0, 100), "v1")])
def test_who_gets_more_gets_it_first(tmp_path: Path, before: tuple[int, int], first: str) -> None:
    """Or there would be a moment in which nobody is left to ask."""
    with (
        running(tmp_path) as (server, _),
        FaultyProxy(server.address) as proxy,
    ):
        plane = made(proxy.address, ("v1", "v2"))
        was = Split(tuple(zip(plane.arms, before, strict=True)))
        plane.apply(to(plane, before[1], before[0], before=was))
        assert proxy.seen[-1].startswith(f"set server models/{first} weight 100; ".encode())


def test_servers_that_get_nothing_whatever_their_weight(tmp_path: Path) -> None:
    with running(tmp_path, {"v1": 50, "v2": 50}) as (server, plane):
        server.tell("set server models/v2 state drain")
        seen = plane.read()
        assert seen.split == Split.of({"v1": 50, "v2": 50})
        assert "v2 is in DRAIN" in seen.problem
        assert seen.health_of("v2") is Health.DOWN
        assert send(server.port, 5) == {"v1": 5}
        server.tell("set server models/v2 state maint")
        assert "v2 is in MAINT" in plane.read().problem
        server.tell("set server models/v2 state ready")
        assert plane.read().problem == ""


def test_all_weights_are_zero(tmp_path: Path) -> None:
    with running(tmp_path) as (server, plane):
        server.tell("set server models/v1 weight 0")
        assert send(server.port, 2) == {"": 2}
        assert "every request is answered with 503" in plane.read().problem


def test_a_percent_of_another_operator(tmp_path: Path) -> None:
    """`50%` is of the configured weight; what is read is the weight it made."""
    with running(tmp_path, {"v1": 60, "v2": 40}) as (server, plane):
        server.tell("set server models/v1 weight 50%")
        assert plane.read().split == Split.of({"v1": 30, "v2": 40})


@pytest.mark.parametrize(
    ("balance", "follows", "takes"),
    [
        ("roundrobin", True, True),
        ("random", True, True),
        ("leastconn", False, True),
        ("first", False, True),
        ("static-rr", False, False),
        ("uri", False, False),
    ],
)
def test_whether_shares_follow_weights(
    tmp_path: Path, balance: str, follows: bool, takes: bool
) -> None:
    with running(tmp_path, more=f"    balance {balance}") as (_, plane):
        said = list(plane.dry_run(to(plane, 50, 50)))
        assert (said == []) == follows
        assert (plane.read().problem == "") == follows
        receipt = plane.apply(to(plane, 50, 50))
        assert receipt.answer is (Answer.ACKED if takes else Answer.REJECTED), receipt


def test_a_backup_server_is_no_arm(tmp_path: Path) -> None:
    with running(tmp_path) as (server, plane):
        config = tmp_path / "haproxy.cfg"
        config.write_text(config.read_text().replace("weight 0", "weight 0 backup"))
        server.stop()
        server.start()
        assert any("v2 is a backup server" in text for text in plane.dry_run(to(plane, 50, 50)))


def test_health_as_haproxy_checks_it(tmp_path: Path) -> None:
    options = "check inter 50ms fall 1 rise 1"
    with running(tmp_path, ports={"v2": free_port()}, options=options) as (_, plane):
        until(lambda: plane.read().health_of("v2") is Health.DOWN, "v2 to be found down")
        assert plane.read().health_of("v1") is Health.UP


def test_nobody_checks_so_nobody_knows(tmp_path: Path) -> None:
    with running(tmp_path, ports={"v2": free_port()}) as (_, plane):
        assert {one.health for one in plane.read().health} == {Health.UNKNOWN}


class Silent:
    """An upstream that takes requests and does not answer them: it hangs, or hangs up.

    answers: how many it answers before.
    """

    def __init__(self, *, hangs_up: bool, answers: int = 0) -> None:
        self.answers = answers
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._held: list[socket.socket] = []
        self._hangs_up = hangs_up
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                one, _ = self._socket.accept()
            except OSError:
                return
            one.recv(65536)
            if self.answers:
                self.answers -= 1
                one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nv2")
                one.close()
            elif self._hangs_up:
                one.close()
            else:
                self._held.append(one)

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for one in self._held:
            one.close()


@pytest.mark.parametrize(
    "how", ["nobody", "nobody, elsewhere after all", "hangs", "hangs up", "500"]
)
def test_requests_without_an_answer_are_counted_once(tmp_path: Path, how: str) -> None:
    more = "    timeout server 100ms\n    timeout connect 100ms\n    retries 1\n"
    if how == "nobody, elsewhere after all":
        more += "    option redispatch 1\n"
    answers = 3 if how in ("hangs", "hangs up") else 0
    silent = Silent(hangs_up=how == "hangs up", answers=answers)
    failing = Upstream("v2")
    failing.status = 500
    port = free_port() if how.startswith("nobody") else silent.port
    port = failing.port if how == "500" else port
    try:
        with running(tmp_path, ports={"v2": port}, more=more) as (server, plane):
            if how == "nobody, elsewhere after all":
                plane.apply(to(plane, 50, 50))
                assert send(server.port, 10) == {"v1": 10}
                wanted = [("v1", 10, 0), ("v2", 0, 0)]
            else:
                plane.apply(to(plane, 0, 100))
                assert send(server.port, answers) == ({"v2": answers} if answers else {})
                assert send(server.port, 4) == {"": 4}
                plane.apply(to(plane, 100, 0))
                assert send(server.port, 3) == {"v1": 3}
                wanted = [("v1", 3, 0), ("v2", 4 + answers, 4)]
            assert [(row.arm, row.n, row.n_error) for row in plane.counts().rows] == wanted
    finally:
        silent.stop()
        failing.stop()


@pytest.mark.parametrize(
    "said",
    [
        b"\n",  # one of two commands answered
        b"\n\n\n",
        b"\x1b[31mNo such server.\n\n\n",
        b"<html>",
        b"\n" * 1000,
    ],
)
def test_an_answer_to_a_change_that_tells_nothing(said: bytes) -> None:
    with FaultyProxy(("127.0.0.1", 9)) as proxy:
        proxy.set(Fault.SAY, reply=said)
        plane = made(proxy.address, ("v1", "v2"))
        receipt = plane.apply(to(plane, 0, 100))
        assert receipt.answer is Answer.UNKNOWN, receipt
        assert receipt.detail.isprintable()


@pytest.mark.parametrize("question", ["show servers state", "show stat", "show info"])
def test_an_answer_that_ends_too_soon_is_not_taken_for_whole(tmp_path: Path, question: str) -> None:
    """HAProxy ends the connection after each answer, so a cut one ends as a whole one does."""
    with (
        running(tmp_path, {"v1": 75, "v2": 25}) as (server, plane),
        FaultyProxy(server.address) as proxy,
    ):
        through = made(proxy.address, ("v1", "v2"))
        through.read()
        through.counts()
        (asked,) = {said for said in proxy.seen if said.startswith(question.encode())}
        whole = server.tell(asked.decode().strip()).encode()
        truth = plane.read()
        for keep in {*range(0, len(whole), 97), *range(len(whole) - 60, len(whole))}:
            proxy.set(
                Fault.SAY, reply=whole[:keep], when=lambda said: said.startswith(question.encode())
            )
            if question == "show info":
                with pytest.raises(PlaneError):
                    through.counts()
            else:
                with pytest.raises(PlaneError):
                    through.read()
        proxy.set(Fault.PASS)
        assert through.read().split == truth.split
