"""Whether an arm is there: real servers that are slow, hang, redirect, fail or talk nonsense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from servers import free_port

from console.control.health import HealthChecks
from console.control.plane import Health

SLOW_S = 0.4
"""Of one check; long enough for a machine that is busy to connect."""


@contextmanager
def answering(talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A server on 127.0.0.1 that talks so to whoever comes."""
    over = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def one(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            talk(peer, over)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/healthz?deep=1"
    finally:
        over.set()
        server.close()


def says(text: str) -> Callable[[socket.socket, threading.Event], None]:
    def talk(peer: socket.socket, _: threading.Event) -> None:
        peer.recv(65536)
        peer.sendall(text.encode())

    return talk


def reply(status: str, body: str = "", more: str = "") -> str:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{more}\r\n{body}"


def hangs(peer: socket.socket, over: threading.Event) -> None:
    peer.recv(65536)
    over.wait()


def drips(peer: socket.socket, over: threading.Event) -> None:
    """A byte now and then, for ever."""
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    while not over.wait(0.05):
        peer.sendall(b"y")


def pours(peer: socket.socket, over: threading.Event) -> None:
    """A body without an end."""
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not over.is_set():
        peer.sendall(b"x" * 65536)


def asked(address: str, timeout: float = 10) -> tuple[Health, str]:
    return HealthChecks({"v1": address}, timeout).ask()["v1"]


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
def test_an_answer_of_two_hundred_is_up(status):
    with answering(says(reply(status))) as address:
        assert asked(address)[0] is Health.UP


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (reply("503 Service Unavailable", "loading the model"), "503 Service Unavailable: loading"),
        (reply("404 Not Found"), "404 Not Found"),
        (reply("302 Found", more="location: http://127.0.0.1:1/\r\n"), "302, a redirect"),
        ("hello\r\n\r\n", "broke off before it had answered"),
        ("", "broke off before it had answered"),
        (reply("500 \x1b[31m", "\x1b]0;x\x07"), "500"),
    ],
)
def test_any_other_answer_is_down(text, why):
    with answering(says(text)) as address:
        health, said = asked(address)
    assert health is Health.DOWN
    assert why in said
    assert "\x1b" not in said


def test_nobody_there_is_down():
    health, said = asked(f"http://127.0.0.1:{free_port()}/")
    assert health is Health.DOWN
    assert "cannot reach" in said


@pytest.mark.parametrize("talk", [hangs, drips])
def test_no_answer_in_time_is_down(talk):
    with answering(talk) as address:
        health, said = asked(address, SLOW_S)
    assert health is Health.DOWN
    assert "did not answer within 0.4 s" in said


def test_an_endless_answer_comes_to_an_end():
    with answering(pours) as address:
        assert asked(address)[0] is Health.DOWN


def test_a_name_that_nobody_here_knows_says_nothing_of_the_arm():
    health, said = asked("http://no-such-host.invalid/")
    assert health is Health.UNKNOWN
    assert "nobody here knows where" in said


def test_all_are_asked_at_once_and_one_that_hangs_holds_up_none():
    with answering(hangs) as slow, answering(says(reply("200 OK"))) as up:
        checks = HealthChecks({"a": slow, "b": slow, "c": slow, "d": up}, SLOW_S)
        for _ in range(3):
            found = checks.ask()
            assert [found[arm][0] for arm in "abcd"] == [Health.DOWN] * 3 + [Health.UP]
        assert sum(t.name == "health" for t in threading.enumerate()) <= len(found)


def test_no_addresses_no_answers():
    assert HealthChecks({}, 1).ask() == {}
