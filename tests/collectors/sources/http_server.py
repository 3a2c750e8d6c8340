"""A real HTTP server over growing lists of rows, in every style of paging, with faults on demand.

    /token/KIND    {"data": {"items": [...]}, "meta": {"next": "..."}}, opaque tokens
    /address/KIND  the same, the next page as a whole address
    /link/KIND     a list, the next page in a Link header
    /since/KIND    a list in the order of time from `since` on, LIMIT rows of it
    /after/KIND    the same, without the rows of that very time
    /both/KIND     from `since` on, newest first, in pages with tokens
    /lines/KIND, /csv/KIND   like /since, written as JSON lines or CSV
    /whole/KIND    all rows as one list

All of them want the token and the key, have ETags, and pack with gzip where it is accepted.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

Row = dict[str, Any]

TOKEN, KEY = "s3cr3t-bearer-4711", "s3cr3t-key-0815"
TIMES = {"predictions": "ts", "labels": "received"}
STYLES = ("token", "address", "link", "since", "after", "both", "lines", "csv", "whole")
TYPES = {"lines": "application/x-ndjson", "csv": "text/csv"}


@dataclass
class Reply:
    """What goes over the wire. length: what Content-Length says, if not the truth."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None


Fault = Callable[[Reply], Reply]


class HttpServer:
    """Serves `rows` until closed. fault: changes every reply while it is set."""

    def __init__(self, limit: int = 7) -> None:
        self.limit = limit
        self.rows: dict[str, list[Row]] = {"predictions": [], "labels": []}
        self.fault: Fault | None = None
        self.asked: list[str] = []
        """Path and query of every request."""
        self.seen: list[Mapping[str, str]] = []
        """Its headers, names in small letters."""
        self.forgotten = ""
        """Tokens that begin so are not known any more."""
        self.prefix = "t/"
        """How tokens begin."""
        self._port = 0
        self._context: ssl.SSLContext | None = None
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._context else ''}://127.0.0.1:{self._port}"

    def wrap(self, context: ssl.SSLContext) -> None:
        """Go on with TLS."""
        self.stop()
        self._context = context
        self.start()

    def start(self) -> None:
        """Listen, on the port it had before."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits 40 ms

            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self._port), Handler)
        if self._context is not None:
            self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def add(self, kind: str, rows: Sequence[Row]) -> None:
        """More rows, behind those that are there."""
        self.rows[kind].extend(rows)

    # --- answers -----------------------------------------------------------------------------

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.asked.append(handler.path)
        self.seen.append(headers)
        reply = self.reply(handler.path, headers)
        if self.fault is not None:
            reply = self.fault(reply)
        with suppress(OSError):  # the client may have had enough
            handler.send_response_only(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            if reply.status != 304:
                length = len(reply.body) if reply.length is None else reply.length
                handler.send_header("Content-Length", str(length))
            handler.end_headers()
            handler.wfile.write(reply.body)
        if reply.length is not None:
            handler.close_connection = True

    def reply(self, path: str, headers: Mapping[str, str]) -> Reply:
        """The honest answer."""
        if headers.get("authorization") != f"Bearer {TOKEN}" or headers.get("x-api-key") != KEY:
            return Reply(401, body=b'{"error": "who are you"}')
        parts = urlsplit(path)
        _, style, kind = parts.path.split("/")
        query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        if self.forgotten and query.get("cursor", "").startswith(self.forgotten):
            return Reply(410, body=b'{"error": "expired"}')
        body, more = self._body(style, kind, query)
        tag = f'"{hashlib.sha256(body).hexdigest()[:12]}"'
        more |= {"ETag": tag, "Content-Type": TYPES.get(style, "application/json; charset=utf-8")}
        if headers.get("if-none-match") == tag:
            return Reply(304, {"ETag": tag})
        if "gzip" in headers.get("accept-encoding", ""):
            body, more = gzip.compress(body, 1), more | {"Content-Encoding": "gzip"}
        return Reply(200, more, body)

    def _body(self, style: str, kind: str, query: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        rows = self.rows[kind]
        if style == "whole":
            return json.dumps(rows).encode(), {}
        if style in ("since", "after", "lines", "csv"):
            rows = _since(rows, TIMES[kind], query.get("since", ""), after=style == "after")
            return _written(style, rows[: self.limit]), {}
        if style == "both":
            rows = _since(rows, TIMES[kind], query.get("since", ""))[::-1]
        begin = _number(query.get("cursor", "")) if style != "link" else int(query.get("at", "0"))
        page, end = rows[begin : begin + self.limit], begin + self.limit
        there = end < len(rows)
        if style == "link":
            link = f'</link/{kind}?{urlencode(query | {"at": str(end)})}>; rel="next"'
            return json.dumps(page).encode(), {"Link": link} if there else {}
        following: str | None = _token(end, self.prefix) if there else None
        if style == "address" and following is not None:
            following = f"{self.url}/address/{kind}?{urlencode(query | {'cursor': following})}"
        return json.dumps(
            {"meta": {"next": following}, "data": {"items": page}}, indent=1
        ).encode(), {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no error."""


def _token(at: int, prefix: str) -> str:
    return prefix + base64.b64encode(str(at).encode()).decode()


def _number(token: str) -> int:
    return int(base64.b64decode(token[2:])) if token[1:2] == "/" else 0


def _since(rows: Sequence[Row], name: str, since: str, *, after: bool = False) -> list[Row]:
    found = sorted(rows, key=lambda row: datetime.fromisoformat(str(row[name])))
    if not since:
        return found
    begin = datetime.fromisoformat(since)
    times = ((row, datetime.fromisoformat(str(row[name]))) for row in found)
    return [row for row, t in times if (t > begin if after else t >= begin)]


def _written(style: str, rows: Sequence[Row]) -> bytes:
    if style == "lines":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if style == "csv":
        out = io.StringIO()
        if rows:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return out.getvalue().encode()
    return json.dumps(rows).encode()


class ServedByHttp:
    """Predictions and labels of an `HttpServer` in one style; the shape of `test_pulled`."""

    secrets = (TOKEN, KEY)
    environment: Mapping[str, str] = {"SERVED_TOKEN": TOKEN, "SERVED_KEY": KEY}

    def __init__(self, style: str) -> None:
        self.style = style
        self.server = HttpServer()

    def source(self, kind: str) -> dict[str, Any]:
        """The source's table of a configuration."""
        found: dict[str, Any] = {
            "url": f"{self.server.url}/{self.style}/{kind}",
            "token_env": "SERVED_TOKEN",
            "headers": {"X-Api-Key": "SERVED_KEY"},
            "timeout": "5s",
        }
        if self.style in ("token", "address", "both"):
            found |= {"records": "data.items", "next": "meta.next"}
        if self.style in ("since", "after", "both", "lines", "csv"):
            found |= {"since_param": "since", "since_field": TIMES[kind], "overlap": "1h"}
        return found

    def add(self, kind: str, rows: Sequence[Row]) -> None:
        self.server.add(kind, rows)

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def close(self) -> None:
        self.server.stop()
