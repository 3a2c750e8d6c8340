"""Where a Kubernetes API server is and who we are there: a kubeconfig, a pod's account, an address.

Read as kubectl reads it, but nothing is asked and nothing is run. What kubectl would do and we do
not (a proxy, another's name, an unchecked certificate) is refused in a sentence, never left out.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane_settings import KubernetesPlane, web_address

__all__ = ["SERVICE_ACCOUNT", "Access", "Plugin", "access"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its account."""

_LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Plugin:
    """A command that gives credentials, as EKS and GKE have. cluster: what it wants to know of it.

    version: like client.authentication.k8s.io/v1. hint: what to do where the command is missing.
    """

    version: str
    command: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    cluster: Mapping[str, Any] | None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """A server and who we are. source: where that is from, as shown. unix: a socket to go through.

    ca, certificate, key: in PEM; empty for none. token_file: read for each request, as it changes.
    server_name: what the server's certificate says, where that is not its address.
    """

    source: str
    server: str
    unix: str = ""
    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = b""
    token: str = ""
    token_file: str = ""
    plugin: Plugin | None = None
    namespace: str = ""
    server_name: str = ""


def access(
    settings: KubernetesPlane,
    base: Path,
    environment: Mapping[str, str],
    account: Path = SERVICE_ACCOUNT,
) -> Access:
    """As the configuration says, else as kubectl finds it, else a pod's own account.

    Raises PlaneError.
    """
    if settings.url.startswith("unix:"):
        path = str(base / Path(settings.url.removeprefix("unix:")).expanduser())
        return Access("`url`", "http://localhost", unix=path)
    if settings.url:
        return Access("`url`", settings.url)
    if settings.kubeconfig:
        return _of_files((base / Path(settings.kubeconfig).expanduser(),), settings.context)
    listed = [p for p in environment.get("KUBECONFIG", "").split(os.pathsep) if p]
    if listed:
        found = tuple(p for p in map(Path, listed) if p.exists())  # kubectl skips what is not there
        if not found:
            raise PlaneError(f"KUBECONFIG names {clean(listed[0])}, which is not there")
        return _of_files(found, settings.context)
    usual = Path(environment.get("HOME") or "~").expanduser() / ".kube" / "config"
    if usual.exists():
        return _of_files((usual,), settings.context)
    return _of_pod(environment, account)


def _of_pod(environment: Mapping[str, str], account: Path) -> Access:
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (account / "token").exists():
        raise PlaneError(
            "there is no kubeconfig, and this is no pod; give `kubeconfig`, or the server in `url`"
        )
    ca = account / "ca.crt"
    namespace = account / "namespace"
    return Access(
        source=str(account),
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca=_bytes(ca) if ca.exists() else b"",
        token_file=str(account / "token"),
        namespace=_bytes(namespace).decode("utf-8", "replace").strip()
        if namespace.exists()
        else "",
    )


# --- kubeconfig -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """A named cluster, user or context. folder: what its files are relative to."""

    what: str
    values: Mapping[str, Any]
    folder: Path

    def text(self, key: str) -> str:
        """A text; "" where there is none."""
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise PlaneError(f"{self.what}: `{key}` is no text")
        return value

    def on(self, key: str) -> bool:
        """Whether a switch is on."""
        return self.values.get(key) is True

    def path(self, key: str) -> str:
        """A file's path, "" where none is named."""
        name = self.text(key)
        return str(self.folder / Path(name).expanduser()) if name else ""

    def pem(self, key: str) -> bytes:
        """What `key`-data holds, else the file that `key` names; empty for neither."""
        data = self.text(f"{key}-data")
        if data:
            try:
                return base64.b64decode(data, validate=False)
            except (binascii.Error, ValueError):
                raise PlaneError(f"{self.what}: `{key}-data` is no base64") from None
        path = self.path(key)
        return _bytes(Path(path)) if path else b""


def _of_files(paths: tuple[Path, ...], context: str) -> Access:
    """Of several files, the first that says a thing counts, as with kubectl."""
    documents = tuple((path, _document(path)) for path in paths)
    source = clean(", ".join(str(path) for path in paths), 200)
    name = context or next(
        (d["current-context"] for _, d in documents if d.get("current-context")), ""
    )
    if not isinstance(name, str) or not name:
        raise PlaneError(f"{source} has no current context; name one in `context`")
    chosen = _named(documents, source, "contexts", "context", name)
    cluster = _named(documents, source, "clusters", "cluster", chosen.text("cluster"))
    user = _Entry("no user", {}, Path())
    if chosen.text("user"):
        user = _named(documents, source, "users", "user", chosen.text("user"))
    for problem in _unusable(cluster, user):
        raise PlaneError(problem)
    try:
        server = web_address(cluster.text("server")).rstrip("/")
    except ValueError as error:
        raise PlaneError(f"{cluster.what}: `server` is no address: {error}") from None
    certificate, key = user.pem("client-certificate"), user.pem("client-key")
    if bool(certificate) != bool(key):
        raise PlaneError(f"{user.what}: a client certificate and its key go together")
    token = user.text("token")
    return Access(
        source=source,
        server=server,
        ca=cluster.pem("certificate-authority"),
        certificate=certificate,
        key=key,
        token=token,
        token_file=user.path("tokenFile"),
        plugin=None if token or user.text("tokenFile") else _plugin(cluster, user),
        namespace=chosen.text("namespace"),
        server_name=cluster.text("tls-server-name"),
    )


def _unusable(cluster: _Entry, user: _Entry) -> Iterator[str]:
    if cluster.on("insecure-skip-tls-verify"):
        yield (
            f"{cluster.what} does not check the server's certificate; give its authority in "
            "`certificate-authority` and take `insecure-skip-tls-verify` away"
        )
    if cluster.text("proxy-url"):
        yield f"{cluster.what} goes through a proxy, which modelwatch cannot; use `kubectl proxy`"
    if any(key.startswith("as") for key in user.values):
        yield f"{user.what} acts as somebody else, which modelwatch cannot; use `kubectl proxy`"
    if "auth-provider" in user.values:
        yield f"{user.what} has an `auth-provider`, which Kubernetes gave up; use an `exec` plugin"
    if "username" in user.values:
        yield f"{user.what} has a password, which Kubernetes gave up; use a token or a certificate"


def _plugin(cluster: _Entry, user: _Entry) -> Plugin | None:
    told = user.values.get("exec")
    if told is None:
        return None
    if not isinstance(told, dict):
        raise PlaneError(f"{user.what}: `exec` is no mapping")
    own = _Entry(f"{user.what}, `exec`", told, user.folder)
    version = own.text("apiVersion")
    if version not in _PLUGIN_VERSIONS:
        known = " or ".join(_PLUGIN_VERSIONS)
        raise PlaneError(f"{own.what}: `apiVersion` must be {known}; renew your kubeconfig")
    if own.text("interactiveMode") == "Always":
        raise PlaneError(f"{own.what} asks questions on a terminal, which modelwatch cannot answer")
    command = own.text("command")
    if not command:
        raise PlaneError(f"{own.what}: there is no `command`")
    if "/" in command:  # relative to the kubeconfig, as kubectl has it; a bare name is on the PATH
        command = str(user.folder / command)
    arguments = told.get("args") or []
    variables = told.get("env") or []
    if not isinstance(arguments, list) or not all(isinstance(a, str) for a in arguments):
        raise PlaneError(f"{own.what}: `args` is no list of texts")
    if not isinstance(variables, list) or not all(isinstance(v, dict) for v in variables):
        raise PlaneError(f"{own.what}: `env` is no list of names and values")
    entries = [_Entry(own.what, v, user.folder) for v in variables]
    return Plugin(
        version=version,
        command=command,
        arguments=tuple(arguments),
        environment=tuple((e.text("name"), e.text("value")) for e in entries),
        cluster=_told_of(cluster) if own.on("provideClusterInfo") else None,
        hint=clean(own.text("installHint"), 300),
    )


_PLUGIN_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


def _told_of(cluster: _Entry) -> Mapping[str, Any]:
    told: dict[str, Any] = {"server": cluster.text("server")}
    ca = cluster.pem("certificate-authority")
    if ca:
        told["certificate-authority-data"] = base64.b64encode(ca).decode("ascii")
    if cluster.text("tls-server-name"):
        told["tls-server-name"] = cluster.text("tls-server-name")
    extensions = cluster.values.get("extensions")
    for entry in extensions if isinstance(extensions, list) else ():
        if isinstance(entry, dict) and entry.get("name") == "client.authentication.k8s.io/exec":
            told["config"] = entry.get("extension")
    return told


def _named(
    documents: tuple[tuple[Path, dict[str, Any]], ...], source: str, many: str, one: str, name: str
) -> _Entry:
    known: list[str] = []
    for path, document in documents:
        entries = document.get(many)
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, dict):
                continue
            known.append(clean(entry.get("name"), 60))
            if entry.get("name") == name:
                values = entry.get(one)
                what = f"{clean(path, 150)}: the {one} {clean(name, 60)}"
                return _Entry(what, values if isinstance(values, dict) else {}, path.parent)
    there = f"; there is {', '.join(known[:10])}" if known else ""
    raise PlaneError(f"{source} has no {one} {clean(name, 60)!r}{there}")


def _document(path: Path) -> dict[str, Any]:
    """JSON without any help, YAML where PyYAML is there."""
    body = _bytes(path)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = _yaml(body, path)
    if not isinstance(found, dict):
        raise PlaneError(f"{clean(path, 150)} is no kubeconfig")
    return found


def _yaml(body: bytes, path: Path) -> Any:
    try:
        yaml: Any = import_module("yaml")  # only who uses Kubernetes has it
    except ImportError:
        raise PlaneError(
            f"reading {clean(path, 150)} needs PyYAML: pip install 'modelwatch[kubernetes]'; "
            "or write it as JSON: kubectl config view --raw --flatten -o json"
        ) from None
    try:
        return yaml.safe_load(body)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)  # never the text around: it holds secrets
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise PlaneError(f"{clean(path, 150)} is no YAML{where}") from None


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise PlaneError(f"there is no file {clean(path, 200)}")
        with path.open("rb") as file:
            body = file.read(_LARGEST + 1)
    except OSError as error:
        raise PlaneError(f"cannot read {clean(path, 200)}: {error.strerror or error}") from None
    if len(body) > _LARGEST:
        raise PlaneError(f"{clean(path, 200)} has more than {_LARGEST >> 20} MiB")
    return body
