"""Traffic of a real Envoy, moved by keys in a real terminal."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pexpect
import pytest
from servers import EnvoyServer, Upstream, until
from test_terminal import end, terminal

from console.control.audit import Audit, EntryKind

PREFIX = "split.model"


class Load:
    """Requests through a proxy, one after the other, until it is stopped."""

    def __init__(self, port: int) -> None:
        self._port, self._stop = port, threading.Event()
        self.failed = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._stop.wait(0.002):
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                self.failed += answer.status != 200
            except (OSError, HTTPException):
                self.failed += 1
                connection.close()
        connection.close()


@pytest.fixture
def envoys(tmp_path: Path) -> Iterator[list[EnvoyServer]]:
    upstreams = [Upstream(name) for name in ("v1", "v2")]
    ports = {u.name: u.port for u in upstreams}
    weights = {"v1": 90, "v2": 10}
    servers = [
        EnvoyServer(tmp_path / f"e{n}", ports, weights, PREFIX, checks=True) for n in range(2)
    ]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()
        for upstream in upstreams:
            upstream.stop()


def control(envoys: list[EnvoyServer]) -> str:
    admin = [f"http://127.0.0.1:{e.admin}" for e in envoys]
    plane = {"kind": "envoy", "admin": admin, "prefix": PREFIX}
    arms = {"v1": "v1", "v2": "v2"}
    return json.dumps({"plane": plane, "arms": arms, "stable": "v1", "poll": "1s"})


def weights(envoy: EnvoyServer) -> tuple[str | None, str | None]:
    known = envoy.runtime()
    return known.get(f"{PREFIX}.v1"), known.get(f"{PREFIX}.v2")


def test_a_rollback_by_keys_reaches_every_proxy(envoys: list[EnvoyServer], tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    loads = [Load(e.port) for e in envoys]
    arguments = ("--control", control(envoys), "--audit", str(audit), "--write")
    try:
        with terminal(80, 24, *arguments) as screen:
            screen.until("> flight-delay")
            screen.keys("5")
            screen.until("v1 90%, v2 10% on all 2 replicas")
            envoys[1].modify({f"{PREFIX}.v1": 50, f"{PREFIX}.v2": 50})
            screen.until("PARTIAL")
            screen.keys("Rcanary fails\r")
            screen.until("type flight-delay to confirm")
            assert "canary fails" not in screen.lines[-1]
            began = time.monotonic()
            screen.keys("flight-delay\r")
            screen.until("APPLIED")
            took = time.monotonic() - began
            assert [weights(e) for e in envoys] == [("100", "0"), ("100", "0")]
            screen.keys("\x1b")
            screen.until("● v1 100%, v2 0% on all 2 replicas")
            assert "PARTIAL" not in screen.text
            assert end(screen) == 0
    finally:
        for load in loads:
            load.stop()
    assert took < 20, took
    assert [load.failed for load in loads] == [0, 0]
    kinds = [e.kind for e in Audit(audit).entries()]
    assert kinds == [EntryKind.INTENT, EntryKind.RESULT]
    assert Audit(audit).entries()[0].fields["reason"] == "canary fails"


@pytest.mark.slow
def test_read_only_sends_nothing(envoys: list[EnvoyServer], tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    before = [e.runtime() for e in envoys]
    with terminal(80, 24, "--control", control(envoys), "--audit", str(audit)) as screen:
        screen.until("> flight-delay")
        screen.keys("5")
        screen.until("v1 90%, v2 10% on all 2 replicas")
        screen.keys("R\r")
        screen.until("only a plan: this is read-only")
        screen.keys("flight-delay\r\x1b")
        screen.until("m move")
        assert end(screen) == 0
    assert [e.runtime() for e in envoys] == before and not audit.exists()


def test_a_terminal_that_goes_away_leaves_the_truth(
    envoys: list[EnvoyServer], tmp_path: Path
) -> None:
    """Nobody sends requests, so the change waits for its proof when the line drops."""
    audit = tmp_path / "audit.jsonl"
    arguments = ("--control", control(envoys), "--audit", str(audit), "--write")
    with terminal(80, 24, *arguments) as screen:
        screen.until("> flight-delay")
        screen.keys("5")
        screen.until("v1 90%, v2 10% on all 2 replicas")
        screen.keys("R\r")
        screen.until("type flight-delay to confirm")
        screen.keys("flight-delay\r")
        screen.until("read back: v1 100%")
        screen.keys("q")
        screen.until("a change is under way")
        with suppress(pexpect.ExceptionPexpect):  # it ends when the result is written down
            screen.child.close(force=False)  # hangs up
        until(lambda: len(Audit(audit).entries()) == 2, "the result to be written down")
    result = Audit(audit).entries()[1]
    assert result.kind is EntryKind.RESULT and result.fields["outcome"] == "not verified"
    assert [weights(e) for e in envoys] == [("100", "0"), ("100", "0")]
