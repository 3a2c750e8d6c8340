"""An MLflow tracking server as far as aliases of registered models go, by its REST contract."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["FakeMlflow"]

_BASE = "/api/2.0/mlflow/"


class FakeMlflow:
    """Listens on 127.0.0.1 at a free port. versions: model -> version -> status."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[str, str]] = {}
        self.aliases: dict[tuple[str, str], str] = {}
        self.token = ""
        self._server = _Server(("127.0.0.1", 0), self)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        """To one request."""
        parts = urlsplit(target)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        given = json.loads(body) if body else query
        name = given.get("name", "")
        if (method, parts.path) == ("GET", f"{_BASE}model-versions/get"):
            return self._version(name, given.get("version", ""))
        if parts.path != f"{_BASE}registered-models/alias":
            return 404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "no such endpoint"}
        if method == "POST":
            return self._set(name, given["alias"], given.get("version", ""))
        return self._aliased(name, given["alias"])

    def _aliased(self, name: str, alias: str) -> tuple[int, Any]:
        if name not in self.versions:
            return _missing(f"Registered Model with name={name} not found")
        version = self.aliases.get((name, alias))
        if version is None:
            said = f"Registered model alias {alias} not found."
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": said}
        return self._version(name, version)

    def _set(self, name: str, alias: str, version: str) -> tuple[int, Any]:
        if version not in self.versions.get(name, {}):
            return _missing(f"Model Version (name={name}) not found")
        self.aliases[name, alias] = version
        return 200, {}

    def _version(self, name: str, version: str) -> tuple[int, Any]:
        status = self.versions.get(name, {}).get(version)
        if status is None:
            return _missing(f"Model Version (name={name}, version={version}) not found")
        return 200, {"model_version": {"name": name, "version": version, "status": status}}


def _missing(message: str) -> tuple[int, Any]:
    return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], fake: FakeMlflow) -> None:
        self.fake = fake
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 20

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is written."""

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fake = self.server.fake
        code, made = fake.answer(self.command, self.path, body)
        if fake.token and self.headers.get("authorization") != f"Bearer {fake.token}":
            code, made = 401, {"error_code": "UNAUTHENTICATED", "message": "who are you?"}
        sent = json.dumps(made).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = _do  # noqa: N815
