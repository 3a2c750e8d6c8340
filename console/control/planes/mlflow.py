"""An alias of a registered model in MLflow: which version it points at, all or nothing.

An alias is not traffic: who loads the model by it may do so at the next start, or never. MLflow
keeps no revision of it, and the last writer wins; so it is read once more right before it is set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import (
    Answer,
    ArmHealth,
    Capabilities,
    Change,
    ControlPlane,
    Counts,
    Health,
    Observed,
    Receipt,
    Replica,
)
from console.control.plane_settings import MlflowPlane
from console.control.planes.arms import wrong_weights
from console.control.planes.kubernetes import at
from console.control.planes.web import Reply, Web, WebPlaneError, parsed
from console.control.split import Split

__all__ = ["MlflowAlias"]

_ALIAS = "/api/2.0/mlflow/registered-models/alias"
_VERSION = "/api/2.0/mlflow/model-versions/get"
_NOTE = (
    "An alias is not traffic: it takes effect when whoever serves the model loads it again. "
    "MLflow refuses no change of what has changed meanwhile, so another's is only noticed."
)


class MlflowAlias(ControlPlane):
    """One alias of one registered model. Arms: versions, as MLflow numbers them."""

    def __init__(self, settings: MlflowPlane, arms: tuple[str, ...], base: Path) -> None:
        self.arms = arms
        self._settings = settings
        self._web = Web.of(settings, settings.url, base)
        self._what = f"{clean(settings.model, 80)}@{clean(settings.alias, 60)}"
        self.name = f"MLflow alias {self._what} at {self._web.where}"

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(
            total=1,
            compare_and_swap=False,
            dry_run=False,
            atomic=True,
            persistent=True,
            counts=False,
            carries_id=False,
            note=_NOTE,
        )

    def read(self) -> Observed:
        """Where the alias points; all weights are 0 where there is none. Raises PlaneError."""
        now = datetime.now(UTC)
        weights = self._weights()
        health = tuple(self._health(arm) for arm in self.arms)
        problem = "; ".join(_missing(health))
        return Observed(now, (Replica(self._what, weights),), "", health, problem)

    def dry_run(self, change: Change) -> Iterator[str]:
        """Whether the version is there. Raises PlaneError."""
        wrong = tuple(wrong_weights(change.after, self.arms, 1))
        if wrong:
            yield from wrong
            return
        self._weights()
        yield from _missing(self._health(arm) for arm in self.arms)

    def apply(self, change: Change) -> Receipt:
        """Set the alias, once, if it still points where the change thinks."""
        answer, detail = self._apply(change)
        return Receipt.one(self._what, answer, detail)

    def counts(self) -> Counts | None:
        """None: an alias counts nothing."""
        return None

    def close(self) -> None:
        """End connections."""
        self._web.close()

    def _apply(self, change: Change) -> tuple[Answer, str]:
        wrong = "; ".join(wrong_weights(change.after, self.arms, 1))
        if wrong:
            return Answer.REJECTED, wrong
        try:
            now = self._weights()
        except PlaneError as error:
            return Answer.REJECTED, str(error)  # nothing but a question was sent
        if change.before is not None and now.taking != change.before.taking:
            where = f"points at {now.taking[0]}" if now.taking else "is gone"
            return Answer.CONFLICT, f"the alias {where} by now"
        body = json.dumps({
            "name": self._settings.model,
            "alias": self._settings.alias,
            "version": change.after.taking[0],
        })  # fmt: skip
        try:
            reply = self._web.ask(
                "POST",
                _ALIAS,
                headers={"content-type": "application/json"},
                body=body.encode("ascii"),
            )
        except WebPlaneError as error:
            return (Answer.UNKNOWN if error.sent else Answer.REJECTED), str(error)
        if reply.ok:
            return Answer.ACKED, ""
        answer = Answer.REJECTED if 400 <= reply.status < 500 else Answer.UNKNOWN
        return answer, reply.problem

    def _weights(self) -> Split:
        s = self._settings
        reply = self._web.ask("GET", _ALIAS, {"name": s.model, "alias": s.alias})
        missing = _not_there(reply)
        if missing.startswith("registered model alias"):
            return Split(tuple((arm, 0) for arm in self.arms))
        if missing:
            raise PlaneError(f"{reply.problem}; check `model` and `url`")
        version = at(reply.json(), "model_version", "version")
        if type(version) is int:
            version = str(version)
        if not isinstance(version, str):
            raise PlaneError(f"{self._web.where} answered with no version of a model")
        if version not in self.arms:
            known = clean(", ".join(self.arms), 200)
            raise PlaneError(
                f"the alias {self._what} points at version {clean(version, 40)}, which is none of "
                f"the arms: {known}"
            )
        return Split(tuple((arm, int(arm == version)) for arm in self.arms))

    def _health(self, arm: str) -> ArmHealth:
        try:
            reply = self._web.ask("GET", _VERSION, {"name": self._settings.model, "version": arm})
            if _not_there(reply):
                return ArmHealth(arm, Health.DOWN, "MLflow has no such version")
            status = at(reply.json(), "model_version", "status")
        except PlaneError as error:
            return ArmHealth(arm, Health.UNKNOWN, str(error))
        if status == "READY":
            return ArmHealth(arm, Health.UP, "registered; nobody says that it is served")
        health = Health.DOWN if status == "FAILED_REGISTRATION" else Health.UNKNOWN
        return ArmHealth(arm, health, clean(status, 60))


def _missing(health: Iterable[ArmHealth]) -> Iterator[str]:
    for one in health:
        if one.health is Health.DOWN:
            yield f"version {clean(one.arm)} cannot be used: {one.detail}"


def _not_there(reply: Reply) -> str:
    """What is missing, in MLflow's words in small letters; "" for any other answer."""
    if reply.status not in (400, 404):
        return ""
    try:
        body: Any = parsed(reply.body)
    except ValueError:
        return ""
    # a missing alias is INVALID_PARAMETER_VALUE in some stores, RESOURCE_DOES_NOT_EXIST in others
    if at(body, "error_code") not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        return ""
    return clean(at(body, "message"), 200).lower() or "something"
