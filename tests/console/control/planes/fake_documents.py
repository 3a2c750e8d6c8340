"""A server of one JSON document, in this process: as strict or as careless as a test wants it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from patches import BadPatchError, RefusedPatchError, json_patched, merge_patched

__all__ = ["DocumentServer"]


class DocumentServer:
    """GET, PUT, POST and PATCH of a document. etags: what it gives and minds.

    before_write: called when a change has arrived, before it is looked at. answer: the status that
    it answers changes with instead of making them; made_anyway: or after making them.
    """

    def __init__(self, document: Any, etags: Literal["strong", "weak", "none"] = "strong") -> None:
        self.document = document
        self.etags = etags
        self.path = "/model?part=split"
        self.before_write: Callable[[], None] = lambda: None
        self.answer = 0
        self.made_anyway = False
        self.writes: list[tuple[str, str, str]] = []
        """Method, content type and If-Match of each."""
        served = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1

            def do_GET(self) -> None:
                if self.path == served.path:
                    self._say(200, served.text().encode(), served.etag())
                else:
                    self._say(404, b"there is no such thing")

            def do_PUT(self) -> None:
                sent = self.rfile.read(int(self.headers["content-length"]))
                kind, match = self.headers["content-type"], self.headers["if-match"] or ""
                served.writes.append((self.command, kind, match))
                served.before_write()
                if served.answer and not served.made_anyway:
                    self._say(served.answer, b"no")
                elif match and match != served.etag():
                    self._say(412, b"it has changed")
                else:
                    self._make(kind, sent)

            do_POST = do_PUT  # noqa: N815 - as the base class calls it
            do_PATCH = do_PUT  # noqa: N815

            def _make(self, kind: str, sent: bytes) -> None:
                try:
                    if kind == "application/merge-patch+json":
                        served.document = merge_patched(served.document, json.loads(sent))
                    elif kind == "application/json-patch+json":
                        served.document = json_patched(served.document, json.loads(sent))
                    else:
                        served.document = json.loads(sent)
                except BadPatchError as error:
                    self._say(400, str(error).encode())
                except RefusedPatchError as error:
                    self._say(422, str(error).encode())
                else:
                    self._say(served.answer or 204)

            def _say(self, status: int, body: bytes = b"", etag: str = "") -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                if etag:
                    self.send_header("etag", etag)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{self.path}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def text(self) -> str:
        return self.document if isinstance(self.document, str) else json.dumps(self.document)

    def etag(self) -> str:
        digest = hashlib.sha256(self.text().encode()).hexdigest()[:8]
        return {"strong": f'"{digest}"', "weak": f'W/"{digest}"', "none": ""}[self.etags]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
