"""Control planes as a configuration names them: one model per kind, told apart by `kind`.

Secrets are never among the keys: one that ends in `_env` names a variable of the environment, and
one that ends in `_file` a file, that holds the secret.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from collectors.durations import Duration
from collectors.source_settings import Model

__all__ = [
    "AnyPlane",
    "EnvoyPlane",
    "FlagdPlane",
    "HaproxyPlane",
    "HttpPlane",
    "HttpRoutePlane",
    "KservePlane",
    "KubernetesPlane",
    "MlflowPlane",
    "TraefikPlane",
    "VirtualServicePlane",
    "WebPlane",
]

_LARGEST_TOTAL = 1_000_000


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


class EnvoyPlane(WebPlane):
    """Envoy's runtime layer, over the admin interface of every replica.

    admin: addresses like http://10.0.0.1:9901. prefix: the route's `runtime_key_prefix`. clusters:
    arm -> the cluster's name, where they differ. total: the sum of the weights.
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

    socket: paths of unix sockets, or host:port on this host.
    """

    kind: Literal["haproxy"]
    socket: Annotated[tuple[str, ...], Field(min_length=1)]
    backend: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")]
    total: Annotated[int, Field(ge=1, le=256)] = 100


class HttpPlane(WebPlane):
    """A JSON document with an ETag, of which one part is the weights; Caddy's admin API for one.

    url: of the document or a part of it. weights: JSON pointer to an object (arm -> weight) or to a
    list of weights in the order of the arms.
    """

    kind: Literal["http"]
    url: str
    weights: str = ""
    total: Annotated[int, Field(ge=1, le=_LARGEST_TOTAL)] = 100

    _address = field_validator("url")(classmethod(lambda _cls, value: web_address(value)))


class TraefikPlane(WebPlane):
    """A weighted service in a file of Traefik's file provider, read back over Traefik's API."""

    kind: Literal["traefik"]
    file: str
    service: str
    api: tuple[str, ...] = ()
    total: Annotated[int, Field(ge=1, le=_LARGEST_TOTAL)] = 100


class FlagdPlane(_Plane):
    """A flag in flagd's flag file, whose `fractional` targeting divides the traffic."""

    kind: Literal["flagd"]
    file: str
    flag: str
    total: Annotated[int, Field(ge=1, le=_LARGEST_TOTAL)] = 100


class KubernetesPlane(WebPlane):
    """An object on a Kubernetes API server.

    kubeconfig, context: as kubectl has them; url: the server, where there is no kubeconfig (an
    address, or `unix:` and the path of `kubectl proxy`'s socket). In a pod neither is needed.
    """

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = "default"
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
    kubeconfig: str = ""
    context: str = ""
    url: str = ""
    field_manager: str = "modelwatch"


class HttpRoutePlane(KubernetesPlane):
    """Gateway API: the weights of one rule's backends in an HTTPRoute. rule: from 0."""

    kind: Literal["httproute"]
    rule: Annotated[int, Field(ge=0, le=15)] = 0
    total: Annotated[int, Field(ge=1, le=_LARGEST_TOTAL)] = 100


class VirtualServicePlane(KubernetesPlane):
    """Istio: the weights of one HTTP route of a VirtualService. route: its name, or its place."""

    kind: Literal["virtualservice"]
    route: str = "0"


class KservePlane(KubernetesPlane):
    """KServe: canaryTrafficPercent of an InferenceService, in serverless mode only."""

    kind: Literal["kserve"]


class MlflowPlane(WebPlane):
    """An alias of a registered model: all or nothing, and no traffic of its own."""

    kind: Literal["mlflow"]
    url: str
    model: str
    alias: str

    _address = field_validator("url")(classmethod(lambda _cls, value: web_address(value)))


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
