"""A Kubernetes API server as far as a client of one object sees it. No cluster is behind it.

It keeps what a real one keeps: a revision that every write raises and a patch may rest on (409), a
generation that a change of the spec raises, a status that controllers write later (`lag`), field
managers, dry runs, fields that are left out or refused (`fieldValidation`), 401, 403, 404, 422.

    with FakeKubernetes() as server:
        server.put(an_object)
        ... f"http://127.0.0.1:{server.port}" ...
"""

from __future__ import annotations

import copy
import json
import re
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from fake_kinds import KINDS, FakeKind, invalid, pruned, unknown
from patches import BadPatchError, RefusedPatchError, json_patched, merge_patched

__all__ = ["FakeKubernetes", "Seen"]

_PATH = re.compile(r"/apis/([^/]+)/([^/]+)/namespaces/([^/]+)/([^/]+)(?:/([^/]+))?")
_SELECTOR = re.compile(r"([\w./-]+) in \(([^)]*)\)")

Key = tuple[str, str, str]


class Seen:
    """A request that came."""

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.headers, self.body = method, headers, body
        parts = urlsplit(target)
        self.path = unquote(parts.path)
        self.query = {k: v[0] for k, v in parse_qs(parts.query).items()}


class _Answer(Exception):  # noqa: N818 - it is an answer, good or bad
    def __init__(self, code: int, body: Any) -> None:
        super().__init__(code)
        self.code, self.body = code, body


def failure(code: int, reason: str, message: str) -> _Answer:
    """An error as the server says it."""
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return _Answer(code, status | {"message": message, "reason": reason, "code": code})


class FakeKubernetes:
    """Listens on 127.0.0.1 at a free port. context: for TLS. token: that it wants, "" for none."""

    def __init__(self, context: ssl.SSLContext | None = None, token: str = "") -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.extra: dict[str, Any] = {}
        """Path -> what else there is: revisions, lists of endpoint slices."""
        self.seen: list[Seen] = []
        self.token = token
        self.forbidden: set[tuple[str, str]] = set()
        """(verb, plural) that nobody may."""
        self.missing: set[tuple[str, str]] = set()
        """(group, version) that it does not serve."""
        self.lag = False
        """Whether controllers rest: a status stays as it is until `settle`."""
        self.strict = True
        """Whether it knows `fieldValidation`; old ones do not."""
        self.prunes: str = ""
        """A field of any object that this server does not know, whatever its schema says."""
        self.meanwhile: list[Callable[[], None]] = []
        """What somebody else does right before a patch is looked at, one for each."""
        self._revision = 1000
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), self)
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- for tests ----------------------------------------------------------------------------

    def put(self, wanted: dict[str, Any]) -> None:
        """Make an object, in place of any, as somebody with kubectl does."""
        with self._lock:
            made = copy.deepcopy(wanted)
            kind = self._kind_of(made)
            made["metadata"] |= {"generation": 1, "uid": f"uid-{self._revision}"}
            made["spec"] = pruned(made["spec"], kind.spec)
            self._store(kind, made)
            kind.settle(made)

    def edit(self, plural: str, namespace: str, name: str, patch: Any) -> None:
        """A merge patch by somebody else, whom nothing is refused."""
        with self._lock:
            key = (plural, namespace, name)
            before = self.objects[key]
            made = merge_patched(copy.deepcopy(before), patch)
            self._written(self._kind_of(made), before, made)

    def settle(self) -> None:
        """Controllers do their work."""
        with self._lock:
            for found in self.objects.values():
                self._kind_of(found).settle(found)

    def one(self) -> dict[str, Any]:
        """The only object."""
        with self._lock:
            (found,) = self.objects.values()
            return copy.deepcopy(found)

    # --- what it does -------------------------------------------------------------------------

    def answer(self, seen: Seen) -> tuple[int, Any]:
        """To one request."""
        with self._lock:
            self.seen.append(seen)
            if seen.method == "PATCH" and self.meanwhile:
                self.meanwhile.pop(0)()
            try:
                self._known(seen)
                return 200, self._found(seen)
            except _Answer as said:
                return said.code, said.body

    def _known(self, seen: Seen) -> None:
        if self.token and seen.headers.get("authorization") != f"Bearer {self.token}":
            raise failure(401, "Unauthorized", "Unauthorized")

    def _found(self, seen: Seen) -> Any:
        at = _PATH.fullmatch(seen.path)
        if at is None:
            raise _Answer(404, "404 page not found\n")
        group, version, namespace, plural, name = at.groups()
        verb = {"GET": "get" if name else "list", "PATCH": "patch"}.get(seen.method)
        if verb is None:
            raise failure(405, "MethodNotAllowed", "the server does not allow this method")
        if (verb, plural) in self.forbidden:
            raise failure(
                403,
                "Forbidden",
                f'{plural}.{group} "{name}" is forbidden: User "system:serviceaccount:ml:watch" '
                f'cannot {verb} resource "{plural}" in the namespace "{namespace}"',
            )
        kind = KINDS.get((group, plural))
        if kind is None:
            return self._other(seen, group, plural, namespace, name)
        if version not in kind.versions or (group, version) in self.missing or not name:
            raise _Answer(404, "404 page not found\n")
        before = self.objects.get((plural, namespace, name))
        if before is None:
            raise failure(404, "NotFound", f'{plural}.{group} "{name}" not found')
        made = before if verb == "get" else self._patched(seen, kind, before)
        return _shown(made, f"{group}/{version}")

    def _other(self, seen: Seen, group: str, plural: str, namespace: str, name: str | None) -> Any:
        listed = self.extra.get(f"{namespace}/{plural}" if name is None else seen.path)
        if listed is None and name is not None:
            raise failure(404, "NotFound", f'{plural}.{group} "{name}" not found')
        if name is not None:
            return listed
        items = listed or []
        chosen = _SELECTOR.fullmatch(seen.query.get("labelSelector", ""))
        if chosen is not None:
            key, values = chosen[1], chosen[2].split(",")
            items = [i for i in items if i["metadata"]["labels"].get(key) in values]
        return {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}

    def _patched(self, seen: Seen, kind: FakeKind, before: dict[str, Any]) -> dict[str, Any]:
        made = self._changed(seen, _shown(before, before["apiVersion"]))
        wanted = made.get("metadata", {}).get("resourceVersion")
        name = made.get("metadata", {}).get("name")
        if wanted and wanted != before["metadata"]["resourceVersion"]:
            raise failure(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {kind.plural}.{kind.group} "{name}": the object '
                "has been modified; please apply your changes to the latest version and try again",
            )
        extra = list(unknown(made.get("spec"), kind.spec, "spec"))
        if extra and self.strict and seen.query.get("fieldValidation") == "Strict":
            raise failure(400, "BadRequest", f"strict decoding error: {', '.join(extra)}")
        made["spec"] = pruned(made.get("spec"), kind.spec)
        if self.prunes:
            made = _without(made, self.prunes)
            made["spec"] = pruned(made["spec"], kind.spec)
        wrong = list(invalid(made["spec"], kind.spec, "spec"))
        if wrong:
            said = f'{kind.kind}.{kind.group} "{name}" is invalid: {"; ".join(wrong)}'
            raise failure(422, "Invalid", said)
        for problem in kind.check(made):
            said = f"admission webhook denied the request: configuration is invalid: {problem}"
            raise failure(400, "BadRequest", said)
        made["status"] = copy.deepcopy(before.get("status"))  # a subresource of its own
        if made["status"] is None:
            del made["status"]
        manager = seen.query.get("fieldManager") or seen.headers.get("user-agent", "")
        if seen.query.get("dryRun") == "All":
            _managed(before, made, manager)
            return made
        if "dryRun" in seen.query:
            raise failure(400, "BadRequest", "invalid dryRun")
        return self._written(kind, before, made, manager)

    def _changed(self, seen: Seen, before: dict[str, Any]) -> dict[str, Any]:
        try:
            patch = json.loads(seen.body)
        except ValueError:
            raise failure(400, "BadRequest", "the patch is no JSON") from None
        media = seen.headers.get("content-type", "")
        try:
            if media == "application/json-patch+json":
                made = json_patched(before, patch)
            elif media == "application/merge-patch+json":
                made = merge_patched(before, patch)
            else:
                raise failure(415, "UnsupportedMediaType", f"no patch is {media}")
        except BadPatchError as error:
            raise failure(400, "BadRequest", str(error)) from None
        except RefusedPatchError:
            message = "the server rejected our request due to an error in our request"
            raise failure(422, "Invalid", message) from None
        if not isinstance(made, dict) or not isinstance(made.get("metadata"), dict):
            raise failure(422, "Invalid", "it is no object any more")
        return made

    def _written(
        self,
        kind: FakeKind,
        before: dict[str, Any],
        made: dict[str, Any],
        manager: str = "kubectl-edit",
    ) -> dict[str, Any]:
        _managed(before, made, manager)
        if _bare(made) == _bare(before):
            return before  # nothing has changed: no new revision
        if made["spec"] != before["spec"]:
            made["metadata"]["generation"] = before["metadata"]["generation"] + 1
        self._store(kind, made)
        answered = copy.deepcopy(made)
        if not self.lag:
            kind.settle(made)
        return answered

    def _store(self, kind: FakeKind, made: dict[str, Any]) -> None:
        self._revision += 1
        meta = made["metadata"]
        meta["resourceVersion"] = str(self._revision)
        self.objects[kind.plural, meta["namespace"], meta["name"]] = made

    def _kind_of(self, found: dict[str, Any]) -> FakeKind:
        return next(k for k in KINDS.values() if k.kind == found["kind"])


def _shown(found: dict[str, Any], version: str) -> dict[str, Any]:
    made = copy.deepcopy(found) | {"apiVersion": version}
    made.get("status", {}).pop("_template", None)
    return made


def _bare(found: dict[str, Any]) -> dict[str, Any]:
    meta = {
        k: v for k, v in found["metadata"].items() if k not in ("managedFields", "resourceVersion")
    }
    return {"spec": found["spec"], "metadata": meta}


def _without(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {k: _without(v, name) for k, v in value.items() if k != name}
    return [_without(v, name) for v in value] if isinstance(value, list) else value


def _managed(before: dict[str, Any], made: dict[str, Any], manager: str) -> None:
    """Whoever changes a part owns it; lists are owned as a whole."""
    parts = {
        f"f:{top}": {
            f"f:{key}": {}
            for key in {**before.get(top, {}), **made.get(top, {})}
            if before.get(top, {}).get(key) != made.get(top, {}).get(key)
        }
        for top in ("spec",)
    }
    parts = {k: v for k, v in parts.items() if v}
    listed = [dict(e) for e in before["metadata"].get("managedFields", ())]
    if parts:
        for entry in listed:
            fields = {
                top: {k: v for k, v in inner.items() if k not in parts.get(top, {})}
                for top, inner in entry["fieldsV1"].items()
            }
            entry["fieldsV1"] = {k: v for k, v in fields.items() if v}
        entry = {"manager": manager, "operation": "Update", "fieldsV1": parts}
        listed = [e for e in listed if e["fieldsV1"] and e["manager"] != manager] + [entry]
    if listed:
        made["metadata"]["managedFields"] = listed


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], fake: FakeKubernetes) -> None:
        self.fake = fake
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes, or fails to shake hands, is no news."""


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
        headers = {k.lower(): v for k, v in self.headers.items()}
        code, made = self.server.fake.answer(Seen(self.command, self.path, headers, body))
        sent = made.encode() if isinstance(made, str) else json.dumps(made).encode()
        self.send_response(code)
        kind = "text/plain" if isinstance(made, str) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_PATCH = do_PUT = do_POST = do_DELETE = _do  # noqa: N815
