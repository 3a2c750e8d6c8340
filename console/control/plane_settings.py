"""Control planes as a configuration names them: one model per kind, told apart by `kind`.

Secrets are never among the keys: one that ends in `_env` names a variable of the environment, and
one that ends in `_file` a file, that holds the secret.
"""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from collectors.durations import Duration
from collectors.source_settings import Model

__all__ = [
    "PLANE_KINDS",
    "AnyPlane",
    "EnvoyPlane",
    "FlagdPlane",
    "HaproxyPlane",
    "HttpPlane",
    "HttpRoutePlane",
    "KservePlane",
    "KubernetesPlane",
    "MlflowPlane",
    "PrometheusCounts",
    "TraefikPlane",
    "VirtualServicePlane",
    "WebPlane",
]

_LARGEST_TOTAL = 1_000_000

JsonPointer = Annotated[str, Field(pattern=r"^(/([^~/]|~[01])*)*$", max_length=500)]
"""RFC 6901: empty for the whole document."""


class _Plane(Model):
    """What all planes have. timeout: of one request to one replica."""

    timeout: Duration = timedelta(seconds=3)


class WebPlane(_Plane):
    """What is reached over HTTP. token_env, token_file: where the bearer token is.

    headers: name -> variable of the environment with the value. ca_file: whom to trust instead of
    the host's. cert_file, key_file: what we show (mutual TLS).
    """

    token_env: str = ""
    token_file: str = ""
    headers: dict[str, str] = {}
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    @field_validator("headers")
    @classmethod
    def _variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name, variable in value.items():
            if not re.fullmatch(r"[A-Za-z0-9-]+", name):
                raise ValueError(f"{name!r} is no name of a header")
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
                raise ValueError(
                    f"give the environment variable with the value of {name}, not the value"
                )
        return value

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file go together")
        return self


def web_address(value: str) -> str:
    """An http address without a password in it. Raises ValueError."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must begin with http:// or https://")
    if parts.username or parts.password:
        raise ValueError("a password does not belong into the configuration; use `token_env`")
    return value


Selector = Annotated[str, Field(min_length=1, max_length=2_000)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


class PrometheusCounts(WebPlane):
    """[control.counts]: Prometheus counts the requests, where the plane does not.

    requests, errors: selectors of counters, like istio_requests_total{reporter="source"}.
    arm_label: says the arm, or its version. replica_label: says which proxy counted. up: a selector
    that is 1 while a proxy is watched. stale: how old a sample may be.
    """

    prometheus: str
    requests: Selector
    errors: str = ""
    arm_label: Label
    replica_label: Label = "instance"
    up: Selector = "up"
    stale: Duration = timedelta(minutes=1)

    _address = field_validator("prometheus")(classmethod(lambda _cls, value: web_address(value)))


class EnvoyPlane(WebPlane):
    """Envoy's runtime layer, over the admin interface of every replica.

    admin: addresses like http://10.0.0.1:9901. prefix: the route's `runtime_key_prefix`; the arms
    are its clusters. total: the sum of the weights.
    """

    kind: Literal["envoy"]
    admin: Annotated[tuple[str, ...], Field(min_length=1)]
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$")]
    total: Annotated[int, Field(ge=1, le=_LARGEST_TOTAL)] = 100

    _addresses = field_validator("admin")(
        classmethod(lambda _cls, value: tuple(web_address(v) for v in value))
    )


class HaproxyPlane(_Plane):
    """HAProxy's runtime API: server weights of one backend, over the socket of every replica.

    socket: paths of unix sockets, or host:port on this host: it has no password and no TLS.
    """

    kind: Literal["haproxy"]
    socket: Annotated[tuple[str, ...], Field(min_length=1)]
    backend: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")]
    total: Annotated[int, Field(ge=1, le=256)] = 100

    @field_validator("socket")
    @classmethod
    def _here(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place in value:
            host, colon, port = place.rpartition(":")
            plain = place != "" and place.isprintable() and place.isascii()
            is_path = not colon or "/" in place
            if not plain or not (is_path or re.fullmatch(r"\d{1,5}", port)):
                raise ValueError("give the path of a socket, or host:port")
            if not is_path and int(port) > 65535:
                raise ValueError(f"there is no port {port}")
            if not is_path and not _is_here(host.strip("[]")):
                raise ValueError(
                    f"{host} is another host, and the runtime API has no password; bring its "
                    "socket here, for example with ssh -L 9999:/run/haproxy/admin.sock"
                )
        return value


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class HttpPlane(WebPlane):
    """A JSON document with an ETag, of which one part is the weights; Caddy's admin API for one.

    url: of the document or a part of it. weights: JSON pointer to an object (arm -> weight) or to a
    list of weights in the order of the arms. revision: JSON pointer to where the id of a change may
    be kept. body: what is sent: the whole `document` with new weights, a JSON `merge` patch, or a
    `json-patch` that also tests the old weights. method: empty for PUT with a document, else PATCH.
    lowest_terms: write 3 and 1 for 75 and 25, for servers that take turns in blocks. persistent:
    whether the server keeps the document over its restart.
    """

    kind: Literal["http"]
    url: str
    weights: JsonPointer = ""
    revision: JsonPointer = ""
    body: Literal["document", "merge", "json-patch"] = "document"
    method: Literal["", "PUT", "PATCH", "POST"] = ""
    lowest_terms: bool = False
    persistent: bool = False
    total: Annotated[int, Field(ge=1, le=_LARGEST_TOTAL)] = 100

    _address = field_validator("url")(classmethod(lambda _cls, value: web_address(value)))

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.revision and f"{self.revision}/".startswith(f"{self.weights}/") and self.weights:
            raise ValueError("`revision` must not point into the weights")
        return self


class TraefikPlane(WebPlane):
    """A weighted service in a file of Traefik's file provider, read back over Traefik's API.

    file: .yml, .yaml or .toml. service: its name there. api: addresses of every instance's API;
    without one, what Traefik makes of the file is not read back. settle: how long an instance may
    take to serve a new file (`providersThrottleDuration` is 2 s).
    """

    kind: Literal["traefik"]
    file: Annotated[str, Field(pattern=r"(?i)\.(ya?ml|toml)$")]
    service: Annotated[str, Field(min_length=1, max_length=200)]
    api: tuple[str, ...] = ()
    settle: Duration = timedelta(seconds=5)
    total: Annotated[int, Field(ge=1, le=_LARGEST_TOTAL)] = 100

    _addresses = field_validator("api")(
        classmethod(lambda _cls, value: tuple(web_address(v) for v in value))
    )


class FlagdPlane(_Plane):
    """A flag in flagd's flag file, whose `fractional` targeting divides the traffic.

    file: .json. flag: its key. The arms are variants.
    """

    kind: Literal["flagd"]
    file: Annotated[str, Field(pattern=r"(?i)\.json$")]
    flag: Annotated[str, Field(min_length=1, max_length=200)]
    total: Annotated[int, Field(ge=1, le=_LARGEST_TOTAL)] = 100


class KubernetesPlane(WebPlane):
    """An object on a Kubernetes API server.

    namespace: empty for that of the kubeconfig's context or of the pod. kubeconfig, context: as
    kubectl has them; url: the server, where there is no kubeconfig (an address, or `unix:` and the
    path of `kubectl proxy`'s socket). In a pod neither is needed. field_manager: under which name
    the server remembers what was changed.
    """

    namespace: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$")] = ""
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
    kubeconfig: str = ""
    context: str = ""
    url: str = ""
    field_manager: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = "modelwatch"

    @field_validator("url")
    @classmethod
    def _place(cls, value: str) -> str:
        if not value or (value.startswith("unix:") and len(value) > len("unix:")):
            return value
        return web_address(value)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.url and (self.kubeconfig or self.context):
            raise ValueError("give `url`, or `kubeconfig` and `context`, not both")
        return self


class HttpRoutePlane(KubernetesPlane):
    """Gateway API: the weights of one rule's backends in an HTTPRoute. rule: from 0."""

    kind: Literal["httproute"]
    rule: Annotated[int, Field(ge=0, le=15)] = 0
    total: Annotated[int, Field(ge=1, le=_LARGEST_TOTAL)] = 100


class VirtualServicePlane(KubernetesPlane):
    """Istio: the weights of one HTTP route of a VirtualService. route: its name, or its place."""

    kind: Literal["virtualservice"]
    route: Annotated[str, Field(min_length=1, max_length=200)] = "0"


class KservePlane(KubernetesPlane):
    """KServe: canaryTrafficPercent of an InferenceService, in serverless mode only.

    The arms are `latest` and `previous`, or the names of these two revisions.
    """

    kind: Literal["kserve"]


class MlflowPlane(WebPlane):
    """An alias of a registered model: all or nothing, and no traffic of its own.

    The arms are versions of the model.
    """

    kind: Literal["mlflow"]
    url: str
    model: Annotated[str, Field(min_length=1, max_length=250)]
    alias: Annotated[str, Field(min_length=1, max_length=250)]

    _address = field_validator("url")(classmethod(lambda _cls, value: web_address(value)))


PLANE_KINDS = frozenset({
    "envoy", "haproxy", "http", "traefik", "flagd", "httproute", "virtualservice", "kserve",
    "mlflow",
})  # fmt: skip
"""What `kind` may be."""


AnyPlane = Annotated[
    EnvoyPlane
    | HaproxyPlane
    | HttpPlane
    | TraefikPlane
    | FlagdPlane
    | HttpRoutePlane
    | VirtualServicePlane
    | KservePlane
    | MlflowPlane,
    Field(discriminator="kind"),
]
"""Where traffic is split."""
