"""A model that is served over HTTP, in a process of its own: `model_server.py PORT`.

A scikit-learn classifier in two versions behind `/v2/models/digits/versions/VERSION/infer`, and at
`/metrics` what MLServer and a client library write about it: real counts, real latencies, the
process's own CPU time and memory. Of the standard library, apart from the model.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; those that Prometheus's client library takes unless it is told otherwise."""

PATH = "/v2/models/digits/versions/"


class Metrics:
    """Counts of one server; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.n: dict[str, int] = defaultdict(int)
        self.failed: dict[str, int] = defaultdict(int)
        self.seconds: dict[str, float] = defaultdict(float)
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def took(self, version: str, seconds: float, *, failed: bool) -> None:
        with self._lock:
            self.n[version] += 1
            self.failed[version] += failed
            self.seconds[version] += seconds
            self.total += seconds
            for i, bound in enumerate((*BOUNDS, float("inf"))):
                self.buckets[i] += seconds <= bound

    def text(self) -> str:
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        name = "model_infer_request"
        yield f"# TYPE {name}_success_total counter"
        yield f"# TYPE {name}_failure_total counter"
        yield f"# TYPE {name}_duration summary"
        for version, n in self.n.items():
            labels = f'{{model="digits",version="{version}"}}'
            yield f"{name}_success_total{labels} {n - self.failed[version]}"
            yield f"{name}_failure_total{labels} {self.failed[version]}"
            yield f"{name}_duration_count{labels} {n}"
            yield f"{name}_duration_sum{labels} {self.seconds[version]!r}"
        name = "rest_server_request_duration_seconds"
        path = "/v2/models/{model_name}/versions/{model_version}/infer"
        labels = f'app_name="mlserver",method="POST",path="{path}"'
        yield f"# TYPE {name} histogram"
        for bound, n in zip((*BOUNDS, "+Inf"), self.buckets, strict=True):
            yield f'{name}_bucket{{{labels},le="{bound}"}} {n}'
        yield f"{name}_count{{{labels}}} {self.buckets[-1]}"
        yield f"{name}_sum{{{labels}}} {self.total!r}"
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        yield "# TYPE process_cpu_seconds_total counter"
        yield f"process_cpu_seconds_total {time.process_time()!r}"
        yield "# TYPE process_resident_memory_bytes gauge"
        yield f"process_resident_memory_bytes {pages * os.sysconf('SC_PAGE_SIZE')}"


def main(port: int) -> None:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415

    x, y = load_digits(return_X_y=True)
    models = {
        version: RandomForestClassifier(n_estimators=trees, random_state=1).fit(x, y)
        for version, trees in (("v1", 3), ("v2", 20))
    }
    metrics = Metrics()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200, metrics.text().encode(), "text/plain; version=0.0.4")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            version = self.path.removeprefix(PATH).partition("/")[0]
            began, failed = time.perf_counter(), False
            try:
                row = json.loads(body)["inputs"][0]["data"]
                answer: Any = {"outputs": models[version].predict([row]).tolist()}
            except (ValueError, KeyError, TypeError) as error:
                answer, failed = {"error": str(error)[:200]}, True
            metrics.took(version, time.perf_counter() - began, failed=failed)
            self._answer(400 if failed else 200, json.dumps(answer).encode(), "application/json")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
