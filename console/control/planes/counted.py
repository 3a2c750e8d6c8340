"""Requests by arm as Prometheus has them, for planes that count nothing themselves.

A proxy that is dead leaves its last figures behind for minutes, so a replica counts only while
`up` is 1 and its sample is fresh. A series that was never seen is not there, which is not 0: an arm
of a replica that counts others has had no requests, a replica without any series is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from console.control.errors import PlaneError
from console.control.plane import (
    ArmCount,
    Capabilities,
    Change,
    ControlPlane,
    Counts,
    Observed,
    Receipt,
)
from console.control.plane_settings import PrometheusCounts
from console.control.planes.web import Web, whole

__all__ = ["Counted"]

_QUERY = "/api/v1/query"
_MOST_SERIES = 10_000


class Counted(ControlPlane):
    """Another plane, whose requests are counted by Prometheus.

    A request is of an arm where the series' label says the arm or its version.
    """

    def __init__(
        self, plane: ControlPlane, settings: PrometheusCounts, versions: dict[str, str], base: Path
    ) -> None:
        self._plane, self._settings = plane, settings
        self.name, self.arms = plane.name, plane.arms
        self._arm_of = {version: arm for arm, version in versions.items()} | {
            arm: arm for arm in versions
        }
        self._web = Web.of(settings, settings.prometheus, base)

    @property
    def capabilities(self) -> Capabilities:
        """Of the plane, and it counts."""
        return replace(self._plane.capabilities, counts=True)

    def read(self) -> Observed:
        """The plane."""
        return self._plane.read()

    def dry_run(self, change: Change) -> Iterator[str]:
        """The plane's."""
        return self._plane.dry_run(change)

    def apply(self, change: Change) -> Receipt:
        """The plane's."""
        return self._plane.apply(change)

    def close(self) -> None:
        """Both."""
        self._plane.close()
        self._web.close()

    def counts(self) -> Counts | None:
        """Cumulative requests by replica and arm. Raises PlaneError."""
        s = self._settings
        by = f"sum by ({s.replica_label}, {s.arm_label})"
        totals = self._asked(f"{by} ({s.requests})")
        failed = self._asked(f"{by} ({s.errors})") if s.errors else None
        seen = self._asked(f"max by ({s.replica_label}) (timestamp({s.requests}))")
        up = self._asked(f"max by ({s.replica_label}) ({s.up})")
        at = datetime.now(UTC)
        alive = {self._replica(labels): value == 1 for labels, value, _ in up}
        fresh: dict[str, bool] = {}
        for labels, value, asked in seen:
            fresh[self._replica(labels)] = asked - value <= s.stale.total_seconds()
        errors = {
            (self._replica(labels), self._arm(labels)): value for labels, value, _ in failed or ()
        }
        found: dict[tuple[str, str], float] = {}
        for labels, value, _ in totals:
            key = (self._replica(labels), self._arm(labels))
            found[key] = found.get(key, 0.0) + value
        replicas = dict.fromkeys((*alive, *fresh))
        counting = [r for r in replicas if alive.get(r, False) and fresh.get(r, False)]
        rows = tuple(
            ArmCount(
                replica,
                arm,
                _count(found.get((replica, arm), 0.0)),
                _count(errors.get((replica, arm), 0.0)) if failed is not None else None,
            )
            for replica in counting
            for arm in self.arms
        )
        if not replicas:
            raise PlaneError(
                f"Prometheus at {self._web.where} knows no series of this proxy; "
                "check `requests` and `up` in [control.counts]"
            )
        return Counts(at, rows, tuple(r for r in replicas if r not in counting))

    def _asked(self, query: str) -> list[tuple[dict[str, str], float, float]]:
        """Labels, value and the moment of evaluation (s) of each series. Raises PlaneError."""
        body = self._web.ask("GET", _QUERY, {"query": query}).json()
        try:
            if body["status"] != "success" or body["data"]["resultType"] != "vector":
                raise ValueError
            series = body["data"]["result"]
            if len(series) > _MOST_SERIES:
                raise PlaneError(
                    f"{self._web.where} gave {len(series):,} series; narrow `requests`"
                )
            return [
                (_labels(one["metric"]), float(one["value"][1]), float(one["value"][0]))
                for one in series
            ]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise PlaneError(f"{self._web.where} answered what is no vector of samples") from error

    def _replica(self, labels: dict[str, str]) -> str:
        return labels.get(self._settings.replica_label, "")

    def _arm(self, labels: dict[str, str]) -> str:
        said = labels.get(self._settings.arm_label, "")
        return self._arm_of.get(said, said)


def _labels(found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        raise TypeError
    return {str(key): str(value) for key, value in found.items()}


def _count(value: float) -> int:
    return whole(round(value)) or 0 if 0 <= value < 2**53 else 0
