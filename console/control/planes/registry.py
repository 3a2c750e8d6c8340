"""The one list of control planes: kind -> where its class is."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from console.control.plane import ControlPlane
from console.control.settings import Control

__all__ = ["PLANES", "make_plane"]

PLANES: Mapping[str, str] = MappingProxyType({
    "envoy": "envoy:Envoy",
    "haproxy": "haproxy:Haproxy",
    "http": "http_json:HttpJson",
    "traefik": "traefik:Traefik",
    "flagd": "flagd:Flagd",
    "httproute": "httproute:HttpRoute",
    "virtualservice": "virtualservice:VirtualService",
    "kserve": "kserve:Kserve",
    "mlflow": "mlflow:MlflowAlias",
})  # fmt: skip
"""Module of this package and class, made with (settings, arms, base)."""


def make_plane(control: Control, base: Path) -> ControlPlane:
    """The plane of a configuration; nothing is asked yet. base: what files are relative to.

    Raises PlaneError for secrets that are missing.
    """
    module, name = PLANES[control.plane.kind].split(":")
    made: Any = getattr(import_module(f"console.control.planes.{module}"), name)
    plane: ControlPlane = made(control.plane, tuple(control.arms), base)
    if control.counts is None:
        return plane
    from console.control.planes.counted import Counted  # noqa: PLC0415 - few need it

    return Counted(plane, control.counts, control.arms, base)
