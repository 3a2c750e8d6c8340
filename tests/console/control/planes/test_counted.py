"""Requests as a real Prometheus counts them: of proxies that are up, fresh, and never made up."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from memory_plane import MemoryPlane
from servers import until

from console.control.errors import PlaneError
from console.control.plane import Change
from console.control.plane_settings import PrometheusCounts
from console.control.planes.counted import Counted
from console.control.split import Split
from tests.collectors.sources.prometheus_server import (
    HAS_PROMETHEUS,
    NO_PROMETHEUS,
    prometheus,
)

VERSIONS = {"old": "v1", "new": "v2"}


class Answers:
    """A server that says what it is told to."""

    def __init__(self, body: bytes = b"", port: int = 0) -> None:
        outer = self
        self.body, self.queries = body, []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.queries.append(self.path)
                body = outer.body
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def answers():
    server = Answers()
    yield server
    server.close()


def counted(url: str, **more) -> Counted:
    settings = PrometheusCounts(
        prometheus=url,
        requests='requests_total{job="proxy"}',
        errors='requests_total{job="proxy",code="500"}',
        arm_label="version",
        up='up{job="proxy"}',
        **more,
    )
    plane = MemoryPlane({"old": 50, "new": 50}, counted=False)
    return Counted(plane, settings, VERSIONS, Path())


@pytest.mark.skipif(not HAS_PROMETHEUS, reason=NO_PROMETHEUS)
def test_a_real_prometheus_and_a_proxy_that_dies(tmp_path):
    proxy = Answers(
        b'requests_total{version="v1",code="200"} 70\nrequests_total{version="v1",code="500"} 5\n'
    )
    with prometheus(tmp_path, {"proxy": f"127.0.0.1:{proxy.port}"}) as server:
        plane = counted(server.url)
        replica = f"127.0.0.1:{proxy.port}"

        def rows():
            try:
                return plane.counts().rows
            except PlaneError:
                return ()

        until(rows, "the first scrape")
        found = plane.counts()
        assert {(r.replica, r.arm): (r.n, r.n_error) for r in found.rows} == {
            (replica, "old"): (75, 5),
            (replica, "new"): (0, 0),  # it counts, so what it never saw is none
        }
        assert found.missing == ()
        assert plane.capabilities.counts
        proxy.close()
        until(lambda: plane.counts().missing, "up to become 0")
        gone = plane.counts()
        assert (gone.rows, gone.missing) == ((), (replica,))
        plane.close()


def test_a_proxy_nobody_knows_is_an_error_not_zero(answers):
    answers.body = json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": []}}
    ).encode()
    with pytest.raises(PlaneError, match="knows no series of this proxy"):
        counted(f"http://127.0.0.1:{answers.port}").counts()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"status":"success","data":{"resultType":"matrix","result":[]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":3}]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1]}]}}',
        b'{"status":"error"}',
        b"<html>",
    ],
)
def test_what_makes_no_sense_is_one_sentence(answers, body):
    answers.body = body
    with pytest.raises(PlaneError):
        counted(f"http://127.0.0.1:{answers.port}").counts()


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1e308"])
def test_numbers_that_are_no_counts_count_nothing(answers, value):
    one = {"metric": {"instance": "p", "version": "v1"}, "value": [1e9, value]}
    answers.body = json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": [one]}}
    ).encode()
    found = counted(f"http://127.0.0.1:{answers.port}", stale=timedelta(days=365)).counts()
    assert all(row.n == 0 for row in found.rows)


def test_a_change_goes_to_the_plane(answers):
    plane = counted(f"http://127.0.0.1:{answers.port}")
    assert plane.read().split.weight("new") == 50
    assert list(plane.dry_run(_change(plane))) == []
    assert plane.apply(_change(plane)).answer.value == "acked"


def _change(plane: Counted):
    observed = plane.read()
    return Change("c", observed.split, Split.of({"old": 0, "new": 100}), observed.revision)
