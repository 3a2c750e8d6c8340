"""The faulty proxy does what it says: a fault that did not happen would make tests pass."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from faulty_proxy import Fault, FaultyProxy


class Echo:
    """Answers what it is sent, in capitals, and remembers it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                one, _ = self._socket.accept()
            except OSError:
                return
            with one:
                said = one.recv(100)
                self.heard.append(said)
                one.sendall(said.upper())

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.stop()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultyProxy]:
    with FaultyProxy(echo.address) as made:
        yield made


def ask(proxy: FaultyProxy, said: bytes = b"hello", seconds: float = 10) -> bytes:
    """Everything that comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=seconds) as talk:
        talk.sendall(said)
        back = b""
        while piece := talk.recv(100):
            back += piece
        return back


def test_it_passes_and_remembers(proxy: FaultyProxy, echo: Echo) -> None:
    assert ask(proxy) == b"HELLO"
    assert proxy.seen == [b"hello"]
    assert echo.heard == [b"hello"]


def test_it_refuses_and_comes_back(proxy: FaultyProxy) -> None:
    proxy.set(Fault.REFUSE)
    with pytest.raises(ConnectionRefusedError):
        ask(proxy)
    proxy.set(Fault.PASS)
    assert ask(proxy) == b"HELLO"


def test_it_hangs(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.set(Fault.HANG)
    with pytest.raises(TimeoutError):
        ask(proxy, seconds=0.1)
    assert echo.heard == []


def test_it_drops_the_reply(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.set(Fault.DROP_REPLY)
    assert ask(proxy) == b""
    assert echo.heard == [b"hello"]


def test_it_holds_the_reply(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.set(Fault.HOLD_REPLY)
    back: list[bytes] = []
    asking = threading.Thread(target=lambda: back.append(ask(proxy)))
    asking.start()
    assert proxy.delivered.acquire(timeout=10)
    assert echo.heard == [b"hello"]
    assert back == []
    proxy.release()
    asking.join(10)
    assert back == [b"HELLO"]


def test_it_holds_the_request_though_the_client_is_gone(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.set(Fault.HOLD_REQUEST)
    with pytest.raises(TimeoutError):
        ask(proxy, seconds=0.1)
    assert echo.heard == []
    proxy.release()
    assert proxy.delivered.acquire(timeout=10)
    assert echo.heard == [b"hello"]


def test_what_is_held_never_arrives_after_a_reset(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.set(Fault.HOLD_REQUEST)
    with pytest.raises(TimeoutError):
        ask(proxy, seconds=0.1)
    proxy.reset()
    assert ask(proxy, b"next") == b"NEXT"
    assert echo.heard == [b"next"]
    assert proxy.seen == [b"next"]


def test_it_cuts(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.set(Fault.CUT, keep=2)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as talk:
        talk.sendall(b"hello")
        back = b""
        with pytest.raises(ConnectionResetError):
            while True:
                back += talk.recv(1)
                assert len(back) <= 2
    assert echo.heard == [b"hello"]


def test_it_says_something_else(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.set(Fault.SAY, reply=b"no")
    assert ask(proxy) == b"no"
    assert echo.heard == []


@pytest.mark.parametrize("fault", [Fault.ENDLESS, Fault.DRIP])
def test_it_never_ends(proxy: FaultyProxy, fault: Fault) -> None:
    proxy.set(fault, reply=b"so")
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as talk:
        talk.sendall(b"hello")
        back = b""
        while len(back) < 5:
            back += talk.recv(1)
        assert back == b"soxxx"


def test_only_some_requests(proxy: FaultyProxy) -> None:
    proxy.set(Fault.SAY, reply=b"no", when=lambda request: b"write" in request)
    assert ask(proxy, b"read") == b"READ"
    assert ask(proxy, b"write") == b"no"


def test_it_ends_with_all_its_connections(echo: Echo) -> None:
    proxy = FaultyProxy(echo.address)
    proxy.set(Fault.HANG)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as talk:
        talk.sendall(b"hello")
        while not proxy.seen:
            threading.Event().wait(0.01)
        proxy.stop()
        assert talk.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        ask(proxy)
