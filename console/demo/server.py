"""One version of the sample's model, served over HTTP on this host: a process of its own.

`python -m console.demo.server SAMPLE MODEL VERSION` says on stdout where it listens, serves until
its standard input ends, and with it whoever started it, and can be broken on purpose:

    POST /predict   {feature: value}            -> {"version", "score", "late", "threshold"}
    POST /fault     {"kind": "errors" | ...}    -> what is wrong with it from now on
    GET  /health                                -> 200, or 503 when it is down
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from console.demo.scoring import Model, load_model

__all__ = ["Fault", "ModelServer"]

_MOST = 64 * 1024
"""Bytes of a request; the sample's have 400."""

_SLOW_S = 0.5
"""How much later each answer comes when it is slow."""

_FAILS_EVERY = 3
"""One request in so many fails when it fails."""


class Fault(StrEnum):
    """What is wrong with a server."""

    OFF = "off"
    ERRORS = "errors"
    """One request in three fails."""
    LATENCY = "latency"
    """Every answer comes half a second later."""
    FEATURE = "feature"
    """Its input pipeline gives the departure in hours, where the model knows minutes."""
    DOWN = "down"
    """It refuses everything and says that it is not well."""


class ModelServer(ThreadingHTTPServer):
    """Answers with one model, from threads; listens once it is made."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, model: Model, version: str, port: int = 0) -> None:
        self.model, self.version = model, version
        self.fault = Fault.OFF
        self._n = 0
        self._counting = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def answer(self, row: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and document of an answer, with what is wrong at the moment."""
        with self._counting:
            self._n += 1
            n, fault = self._n, self.fault
        if fault is Fault.DOWN:
            return 503, {"version": self.version, "error": "not ready"}
        if fault is Fault.ERRORS and n % _FAILS_EVERY == 0:
            return 500, {"version": self.version, "error": "out of memory"}
        if fault is Fault.LATENCY:
            time.sleep(_SLOW_S)
        seen = {}
        if fault is Fault.FEATURE and isinstance(row.get("dep_minute"), int | float):
            seen = {"dep_minute": round(row["dep_minute"] / 60, 4)}
        score = self.model.score({**row, **seen})
        found = {
            "version": self.version,
            "score": score,
            "late": score >= self.model.threshold,
            "threshold": self.model.threshold,
        }
        return 200, {**found, "seen": seen} if seen else found

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # without these an answer takes 40 ms: two small writes, and Nagle waits for the client
    wbufsize = -1
    disable_nagle_algorithm = True
    server: ModelServer

    def do_GET(self) -> None:
        well = 503 if self.server.fault is Fault.DOWN else 200
        found = well, {"version": self.server.version}
        self._send(*(found if self.path == "/health" else _NO))

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 <= length <= _MOST:
                raise ValueError("too long")
            document = json.loads(self.rfile.read(length) or b"{}")
            if not isinstance(document, dict):
                raise ValueError("no object")
            if self.path == "/predict":
                found = self.server.answer(document)
            elif self.path == "/fault":
                self.server.fault = Fault(str(document.get("kind")))
                found = 200, {"version": self.server.version, "fault": self.server.fault.value}
            else:
                found = _NO
        except (ValueError, TypeError, RecursionError) as error:
            self.close_connection = True
            found = 400, {"error": str(error)}
        self._send(*found)

    def _send(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing is said of a request."""


_NO = (404, {"error": "there is /predict, /fault and /health"})


def main(arguments: list[str]) -> None:
    """Serve until standard input ends."""
    sample, model, version = arguments
    server = ModelServer(load_model(Path(sample), model), version)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.port}), flush=True)  # noqa: T201 - whoever started it reads it
    sys.stdin.buffer.read()  # until the other end is gone, however it went
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
