"""What a recorder says and takes over HTTP, on the loopback only: health, metrics, pushed records.

GET  /healthz                            200 or 503, JSON
GET  /metrics                            OpenMetrics
POST /v1/DEPLOYMENT/predictions|labels   JSON lines, JSON, or CloudEvents; needs the token
"""

from __future__ import annotations

import hmac
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from collectors.errors import SourceError
from collectors.live.openmetrics import CONTENT_TYPE, Family, as_text
from collectors.live.push import Spool, push_problem
from collectors.text import clean

__all__ = ["WebServer", "as_lines"]

_log = logging.getLogger(__name__)

LARGEST_BODY = 32 * 1024 * 1024
_TIMEOUT_S = 30
_MOST_AT_ONCE = 64
_PARSING = threading.BoundedSemaphore(2)
_BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_EVENT, _EVENTS = "application/cloudevents+json", "application/cloudevents-batch+json"
_LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines", "text/plain")


class WebServer:
    """Serves until it is closed.

    health: whether all is well, and the document that says so. metrics: made anew at each request.
    spools: where pushed records go, by (deployment, kind). token: what a sender must show; empty:
    nobody may send. Raises OSError when the address is taken.
    """

    def __init__(
        self,
        where: tuple[str, int],
        *,
        health: Callable[[], tuple[bool, Mapping[str, Any]]],
        metrics: Callable[[], Sequence[Family]],
        spools: Mapping[tuple[str, str], Spool],
        token: str,
        news: Callable[[], object],
    ) -> None:
        self.health, self.metrics, self.spools = health, metrics, spools
        self.token, self.news = token, news
        family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        kind = type("_Server", (_Server,), {"address_family": family})
        self._server = kind(where, _Handler)
        self._server.owner = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="modelwatch-web", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # one that hangs must not hold up the end
    allow_reuse_address = True
    owner: WebServer

    def __init__(self, where: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._room = threading.BoundedSemaphore(_MOST_AT_ONCE)
        super().__init__(where, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """One thread each, up to a limit: beyond it the system's queue holds them."""
        if not self._room.acquire(blocking=False):  # waiting here would hold up health and the end
            with suppress(OSError):
                request.sendall(_BUSY)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """See ThreadingMixIn."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A connection that breaks is no news."""
        _log.debug("a connection failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "modelwatch"
    sys_version = ""
    timeout = _TIMEOUT_S
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """To our own log, cleaned: what a client sends never reaches a terminal as it is."""
        _log.debug("%s", clean(format % args, 300))

    def do_GET(self) -> None:
        """Health and metrics."""
        owner = self.server.owner
        match self.path.partition("?")[0]:
            case "/healthz":
                well, document = owner.health()
                self._reply(200 if well else 503, json.dumps(document).encode())
            case "/metrics":
                self._reply(200, as_text(owner.metrics()).encode(), CONTENT_TYPE)
            case _:
                self._say(404, "there is /healthz and /metrics")

    do_HEAD = do_GET  # noqa: N815 - the base class's

    def do_POST(self) -> None:
        """Pushed records."""
        owner = self.server.owner
        if not owner.token:
            self._refuse(403, "nobody may send: the recorder has no token")
            return
        shown = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(shown.encode(), owner.token.encode()):
            self._refuse(401, "the token is missing or wrong")
            return
        parts = [unquote(p) for p in self.path.partition("?")[0].strip("/").split("/")]
        spool = owner.spools.get((parts[1], parts[2])) if len(parts) == 3 else None
        if parts[0] != "v1" or spool is None:
            self._refuse(404, "no source with `push = true` is called so")
            return
        body = self._body()
        if body is None:
            return
        lines, problem = as_lines(body, self.headers)
        problem = problem or push_problem(lines)
        if problem:
            self._say(400, problem)
            return
        try:
            spool.append(lines)
        except SourceError as error:
            self._say(507, str(error))
            return
        owner.news()
        self._reply(202, b'{"taken": true}')

    def _body(self) -> bytes | None:
        """The whole body; None when it was refused."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or self.headers.get("Transfer-Encoding"):
            self._refuse(411, "say how long the body is (Content-Length)")
            return None
        if self.headers.get("Content-Encoding", "identity") != "identity":
            self._refuse(415, "send the body as it is, not packed")
            return None
        if int(length[:12]) > LARGEST_BODY or len(length) > 12:
            self._refuse(413, f"a body may have {LARGEST_BODY:,} bytes; send it in parts")
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        return body

    def _refuse(self, code: int, message: str) -> None:
        """Say no without having read the body, so that the connection must end."""
        self.close_connection = True
        self._say(code, message)

    def _say(self, code: int, message: str) -> None:
        self._reply(code, json.dumps({"error": message}).encode())

    def _reply(self, code: int, body: bytes, kind: str = "application/json") -> None:
        with suppress(OSError):
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)


def as_lines(body: bytes, headers: Message) -> tuple[bytes, str]:
    """A body as JSON lines, and why it cannot be.

    A binary CloudEvent (its attributes are headers) becomes a line of headers and body, as KServe's
    own dumps are written.
    """
    kind = headers.get_content_type()
    if any(name.lower() == "ce-type" for name in headers):
        return _binary_event(body, headers, kind)
    if kind in _LINES:
        return body, ""
    if kind not in ("application/json", _EVENT, _EVENTS):
        return b"", f"send application/x-ndjson or application/json, not {clean(kind, 60)}"
    try:
        with _PARSING:  # a small body may become much in memory
            value = json.loads(body)
            records = value if isinstance(value, list) else [value]
            return b"".join(json.dumps(r).encode() + b"\n" for r in records), ""
    except (ValueError, RecursionError) as error:
        lines = kind == "application/json" and b"\n" in body.strip()  # under the usual name
        return (body, "") if lines else (b"", f"no JSON: {clean(str(error), 100)}")


def _binary_event(body: bytes, headers: Message, kind: str) -> tuple[bytes, str]:
    kept = {n.lower(): v for n, v in headers.items() if n.lower().startswith("ce-")}
    kept["content-type"] = kind
    try:
        with _PARSING:
            event = {"headers": kept, "body": json.loads(body)}
            return json.dumps(event).encode() + b"\n", ""
    except (ValueError, RecursionError):
        return b"", "the event's data are no JSON"
