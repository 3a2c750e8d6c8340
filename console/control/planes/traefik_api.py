"""One instance of Traefik, asked over its API: what it serves, what it checks, what it counts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import ArmCount, ArmHealth, Health
from console.control.plane_settings import TraefikPlane
from console.control.planes.web import Web, whole

__all__ = ["Instance"]

_METRIC = re.compile(
    rb"^traefik_service_requests_total\{([^}\n]{1,2000})\} ([0-9.e+]{1,30})$", re.M
)
_STARTED = re.compile(rb"^process_start_time_seconds ([0-9.e+]{1,30})$", re.M)
_CODE = re.compile(rb'(?:^|,)code="(\d{3})"')
_SERVICE = re.compile(rb'(?:^|,)service="((?:[^"\\]|\\.)*)"')


class Instance:
    """One address. base: the folder that files of the settings are relative to."""

    def __init__(self, settings: TraefikPlane, address: str, base: Path) -> None:
        self._service = settings.service
        self._web = Web.of(settings, address, base)
        self.name = self._web.where

    def close(self) -> None:
        """End connections."""
        self._web.close()

    def weights(self) -> dict[str, int]:
        """Those in use, by name. Raises PlaneError, also where Traefik does not serve it."""
        name = clean(self._service, 60)
        found = self._asked(self._service)
        if found is None:
            raise PlaneError(
                f"{self.name} has no service {name!r} from a file; is `service` right?"
            )
        weighted = found.get("weighted")
        items = weighted.get("services") if isinstance(weighted, dict) else None
        if not isinstance(items, list):
            raise PlaneError(f"{self.name}: the service {name!r} is not of the kind `weighted`")
        if found.get("status") == "disabled":
            said = found.get("error")
            why = clean(said[0] if isinstance(said, list) and said else "see its log", 200)
            raise PlaneError(f"{self.name} has disabled the service {name!r}: {why}")
        weights: dict[str, int] = {}
        for item in items:
            item = item if isinstance(item, dict) else {}  # noqa: PLW2901
            weight = item.get("weight", 1)
            if isinstance(weight, int) and not isinstance(weight, bool) and weight < 0:
                weight = 0  # as Traefik takes it
            number = whole(weight)
            if number is None or not isinstance(item.get("name"), str):
                raise PlaneError(f"{self.name} gave a weight that is none: {clean(weight, 40)}")
            weights[item["name"]] = number
        return weights

    def health(self, arm: str) -> ArmHealth:
        """By its servers' health checks; a service without is only known to exist.

        Raises PlaneError.
        """
        found = self._asked(arm)
        if found is None:
            return ArmHealth(arm, Health.DOWN, "Traefik has no such service")
        if found.get("status") == "disabled":
            return ArmHealth(arm, Health.DOWN, "Traefik has disabled it")
        balancer, status = found.get("loadBalancer"), found.get("serverStatus")
        if not isinstance(balancer, dict) or not isinstance(status, dict):
            return ArmHealth(arm, Health.UNKNOWN)
        up = sum(1 for value in status.values() if value == "UP")
        detail = f"{up} of {len(status)} servers"
        if up == 0:
            return ArmHealth(arm, Health.DOWN, detail)
        if not balancer.get("healthCheck"):
            return ArmHealth(arm, Health.UNKNOWN, f"{detail}, which Traefik does not check")
        return ArmHealth(arm, Health.UP, detail)

    def counts(self, arms: tuple[str, ...]) -> list[ArmCount] | str | None:
        """Requests by arm. None where it does not count; a text where it could not be asked."""
        try:
            reply = self._web.ask("GET", "/metrics")
            if reply.status == 404 or (
                reply.ok and b"traefik_config_reloads_total" not in reply.body
            ):
                return None
            if not reply.ok:
                return reply.problem
        except PlaneError as error:
            return str(error)
        n, n_error = dict.fromkeys(arms, 0), dict.fromkeys(arms, 0)
        names = {(a if "@" in a else f"{a}@file").encode(): a for a in arms}
        for labels, value in _METRIC.findall(reply.body):
            service, code = _SERVICE.search(labels), _CODE.search(labels)
            arm = names.get(service.group(1)) if service else None
            number = _number(value)
            if arm is None or number is None:
                continue
            n[arm] += number
            n_error[arm] += number if code and code.group(1) >= b"500" else 0
        started = _STARTED.search(reply.body)
        epoch = started.group(1).decode() if started else ""
        return [ArmCount(self.name, arm, n[arm], n_error[arm], epoch) for arm in arms]

    def problem_of_asking(self) -> str:
        """Why it cannot be asked; "" where it can."""
        try:
            self._asked(self._service)
        except PlaneError as error:
            return str(error)
        return ""

    def _asked(self, service: str) -> dict[str, Any] | None:
        """A service as the API knows it; None where it knows none."""
        name = service if "@" in service else f"{service}@file"
        reply = self._web.ask("GET", f"/api/http/services/{quote(name, safe='@')}")
        if reply.status == 404 and b"service not found" in reply.body:
            return None
        found = reply.json()
        if not isinstance(found, dict) or found.get("name") != name:
            raise PlaneError(f"{self.name} is no API of Traefik; is `api` right?")
        return found


def _number(text: bytes) -> int | None:
    try:
        return whole(float(text))
    except ValueError:
        return None
