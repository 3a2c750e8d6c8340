"""Asks a Kubernetes API server: reads and patches one object, and says in words what it answers.

A change is a patch that carries the revision it rests on, so that the server itself refuses it when
the object is another by now. Nothing is ever put as a whole, and no list is ever replaced.
"""

from __future__ import annotations

import os
import re
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collectors.errors import SourceError
from collectors.sources.credentials import Credentials
from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane_settings import KubernetesPlane
from console.control.planes.exec_credential import Given, run_plugin
from console.control.planes.kubeconfig import SERVICE_ACCOUNT, Access, access
from console.control.planes.web import Reply, Web, WebPlaneError, parsed, trust

__all__ = [
    "JSON_PATCH",
    "MERGE_PATCH",
    "Condition",
    "Kubernetes",
    "at",
    "conditions",
    "entries",
    "told",
    "usable",
]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

_PLUGIN_S = 20.0
"""For a command that gives credentials; a cloud's own takes 1 to 5 s, and is asked once an hour."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")

_HINTS = {
    401: "renew the credentials in {source}",
    403: "docs/planes.md has the role that is needed",
    410: "read it again",
    429: "the server has too much to do; try again in a moment",
}


class Kubernetes:
    """One API server, for one thread. Raises PlaneError for a kubeconfig that cannot be used.

    No connection is made and no command is run before the first request.
    """

    def __init__(
        self,
        settings: KubernetesPlane,
        base: Path,
        environment: Mapping[str, str] | None = None,
        account: Path = SERVICE_ACCOUNT,
    ) -> None:
        self._settings = settings
        self._base = base
        self._environment = os.environ if environment is None else environment
        self._access = access(settings, base, self._environment, account)
        self._credentials = _Credentials(settings, base, self._access)
        try:
            if self._access.plugin is None:
                self._credentials.headers()
        except SourceError as error:
            raise PlaneError(str(error)) from None
        self._web: Web | None = None if self._access.plugin else self._made()
        self.namespace = settings.namespace or self._access.namespace or "default"
        self.where = clean(f"unix:{self._access.unix}" if self._access.unix else self._server, 200)
        """The server as shown."""

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Reply:
        """Any answer to a GET. Raises WebPlaneError."""
        reply = self._ask("GET", path, params)
        if reply.status == 401 and self._credentials.forget():
            reply = self._ask("GET", path, params)  # reading twice does no harm
        return reply

    def patch(self, path: str, body: bytes, kind: str, *, dry: bool) -> Reply:
        """Any answer to a PATCH, sent once. Raises WebPlaneError.

        A field that the server does not know is an error to it, where it can tell (1.25).
        """
        params: dict[str, str | int] = {
            "fieldManager": self._settings.field_manager,
            "fieldValidation": "Strict",
        }
        if dry:
            params["dryRun"] = "All"
        reply = self._ask("PATCH", path, params, body, {"content-type": kind})
        if reply.status == 401:
            self._credentials.forget()
        return reply

    def problem(self, reply: Reply) -> str:
        """What a bad answer says, as a sentence without its end."""
        said = reply.said
        status = _status(reply)
        if status is not None:
            said = self._credentials.hidden(str(status.get("message") or ""), 300)
        hint = _HINTS.get(reply.status, "").format(source=self._access.source)
        what = f"{self.where} answered {reply.status}"
        return f"{what}{f': {said}' if said else ''}{f'; {hint}' if hint else ''}"

    def close(self) -> None:
        """End what is open."""
        if self._web is not None:
            self._web.close()

    @property
    def _server(self) -> str:
        return self._access.server.partition("?")[0].rstrip("/")

    def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        unix = self._access.unix
        if unix and not Path(unix).exists():
            what = f"there is no socket {clean(unix, 200)}"
            hint = f"start kubectl proxy --unix-socket={clean(unix, 200)}"
            raise WebPlaneError(f"{what}; {hint}", sent=False)
        if self._credentials.renew(self._environment) or self._web is None:
            self.close()
            self._web = self._made()
        given = {"accept": "application/json"} | dict(headers or {})
        return self._web.ask(method, path, params, headers=given, body=body)

    def _made(self) -> Web:
        web = Web(
            self._access.server,
            timeout=self._settings.timeout.total_seconds(),
            credentials=self._credentials,
            context=self._trust() if self._access.server.startswith("https:") else None,
            unix=self._access.unix,
            server_name=self._access.server_name,
        )
        if self._access.unix:
            web.where = clean(f"unix:{self._access.unix}", 200)
        return web

    def _trust(self) -> ssl.SSLContext:
        s, a = self._settings, self._access
        given = self._credentials.given
        certificate, key = a.certificate, a.key
        if given is not None and given.certificate:
            certificate, key = given.certificate, given.key
        ca_file, cert_file, key_file = s.ca_file, s.cert_file, s.key_file
        # OpenSSL takes certificates from files only; they are gone when this ends
        with tempfile.TemporaryDirectory(prefix="modelwatch-") as folder:
            if a.ca and not ca_file:
                ca_file = _written(folder, "ca.crt", a.ca)
            if certificate and not cert_file:
                cert_file = _written(folder, "tls.crt", certificate)
                key_file = _written(folder, "tls.key", key)
            try:
                return trust(self._base, ca_file, cert_file, key_file)
            except PlaneError as error:
                said = str(error).replace(folder, clean(a.source, 200))
                raise PlaneError(said) from None


def _written(folder: str, name: str, body: bytes) -> str:
    path = Path(folder) / name
    path.touch(0o600)
    path.write_bytes(body)
    return str(path)


class _Credentials(Credentials):
    """What the configuration gives; where it gives no token, what the kubeconfig does."""

    def __init__(self, settings: KubernetesPlane, base: Path, known: Access) -> None:
        super().__init__(settings, base)
        self._access = known
        self.given: Given | None = None
        """By the command, when it was last run."""

    def headers(self) -> dict[str, str]:
        """Headers of a request. Raises SourceError when one is missing."""
        headers = super().headers()
        if "authorization" in headers:
            return headers
        token = self.given.token if self.given is not None else self._access.token
        if self._access.token_file and not token:
            try:
                with Path(self._access.token_file).open("rb") as file:
                    token = file.read(64 * 1024).decode("utf-8", "replace")
            except OSError as error:
                what = f"cannot read {clean(self._access.token_file, 200)}"
                raise SourceError(f"{what}: {error.strerror or error}") from error
        if token:
            headers["authorization"] = f"Bearer {self._usable(token, self._access.source)}"
        return headers

    def renew(self, environment: Mapping[str, str]) -> bool:
        """Run the command, where there is one and what it gave has ended.

        Whether what we show to the server is another now. Raises WebPlaneError: nothing was sent.
        """
        plugin = self._access.plugin
        if plugin is None or (self.given is not None and self.given.good(datetime.now(UTC))):
            return False
        before = self.given
        try:
            self.given = run_plugin(plugin, environment, _PLUGIN_S)
        except PlaneError as error:
            raise WebPlaneError(str(error), sent=False) from None
        return before is None or before.certificate != self.given.certificate

    def forget(self) -> bool:
        """The server refused what the command gave. Whether there is a command to ask again."""
        if self._access.plugin is None or self.given is None:
            return False
        self.given = None
        return True


def _status(reply: Reply) -> Mapping[str, Any] | None:
    """The server's own error, None where something else has answered."""
    try:
        found = parsed(reply.body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("kind") == "Status" else None


def told(reply: Reply) -> bool:
    """Whether the API server itself answered with an error, not the lack of such an interface."""
    return _status(reply) is not None


# --- parts of objects -------------------------------------------------------------------------


def at(value: Any, *path: str | int) -> Any:
    """What lies at a path; None where anything on it is missing or of another kind."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or not 0 <= step < len(value):
                return None
            value = value[step]
        else:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
    return value


def usable(name: object) -> bool:
    """Whether a name from an object can be asked for: what Kubernetes calls a DNS subdomain."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def entries(value: Any, *path: str | int) -> tuple[Mapping[str, Any], ...]:
    """The mappings in the list at a path."""
    found = at(value, *path)
    return tuple(e for e in found if isinstance(e, dict)) if isinstance(found, list) else ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a status. generation: that it is about; None where it does not say."""

    kind: str
    status: str
    reason: str
    message: str
    generation: int | None


def conditions(values: Sequence[Mapping[str, Any]]) -> Iterator[Condition]:
    """The conditions of a status, for display."""
    for value in values:
        generation = value.get("observedGeneration")
        yield Condition(
            clean(value.get("type"), 60),
            clean(value.get("status"), 20),
            clean(value.get("reason"), 60),
            clean(value.get("message"), 200),
            generation
            if isinstance(generation, int) and not isinstance(generation, bool)
            else None,
        )
