"""Whose a Kubernetes object is: a controller that writes it would undo a change, or fight it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.text import clean
from console.control.planes.kubernetes import at, entries

__all__ = ["kept_by", "owner"]

_MARKS = (
    ("rollouts.argoproj.io/gatewayapi", "Argo Rollouts"),
    ("argo-rollouts.argoproj.io/managed-by-rollouts", "Argo Rollouts"),
    ("flagger.app/", "Flagger"),
    ("serving.kserve.io/inferenceservice", "KServe"),
    ("serving.knative.dev/", "Knative"),
)
"""How labels and annotations begin that a controller puts on what it writes."""

_MANAGERS = (("rollouts", "Argo Rollouts"), ("flagger", "Flagger"), ("kserve", "KServe"))
"""What is in the name of who wrote a spec."""

_REPOSITORIES = (
    ("argocd.argoproj.io/", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/", "Flux"),
    ("helm.toolkit.fluxcd.io/", "Flux"),
)


def owner(found: Mapping[str, Any], kind: str) -> str:
    """A sentence that names the controller that an object belongs to; "" for none.

    An InferenceService is KServe's own kind, and not written by it.
    """
    for reference in entries(found, "metadata", "ownerReferences"):
        if reference.get("controller") is True:
            what = f"{clean(reference.get('kind'), 60)} {clean(reference.get('name'), 60)}"
            return f"it belongs to {what}, which would write it back; change that instead"
    free = "KServe" if kind == "InferenceService" else ""
    for name in _marks(found):
        for start, who in _MARKS:
            if name.startswith(start) and who != free:
                return f"it is written by {who} ({clean(name, 80)}); change it there"
    managed = at(found, "metadata", "labels", "app.kubernetes.io/managed-by")
    for part, who in _MANAGERS:
        if isinstance(managed, str) and part in managed.lower() and who != free:
            return f"it is written by {who} (app.kubernetes.io/managed-by); change it there"
    for entry in entries(found, "metadata", "managedFields"):
        name = clean(entry.get("manager"), 80)
        if entry.get("subresource") or at(entry, "fieldsV1", "f:spec") is None:
            continue
        for part, who in _MANAGERS:
            if part in name.lower() and who != free:
                return (
                    f"{who} wrote its spec ({name} in managedFields), and may again; change it "
                    "there, or, if it does not any more, apply the object once with kubectl"
                )
    return ""


def kept_by(found: Mapping[str, Any]) -> str:
    """A sentence that names what keeps an object as a repository says; "" for none."""
    for name in _marks(found):
        for start, who in _REPOSITORIES:
            if name.startswith(start):
                return f"{who} keeps it as its repository says; have it leave the weights alone."
    return ""


def _marks(found: Mapping[str, Any]) -> tuple[str, ...]:
    names: list[str] = []
    for part in ("labels", "annotations"):
        values = at(found, "metadata", part)
        names += values if isinstance(values, dict) else ()
    return tuple(names)
