"""Envoy: weights of a route's clusters, in the runtime layer that the admin interface writes.

Envoy says "OK" to everything: weights that add up to nothing, misspelt keys, text. So what it would
serve is worked out from what it holds, as it does it itself: for each cluster of the route the
runtime's value where that is a number, else the weight in the route. The arms are the clusters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from collectors.text import clean
from console.control.errors import PlaneError
from console.control.plane import (
    Answer,
    ArmCount,
    ArmHealth,
    Capabilities,
    Change,
    ControlPlane,
    Counts,
    Health,
    Observed,
    Receipt,
    Replica,
    ReplicaAnswer,
)
from console.control.plane_settings import EnvoyPlane
from console.control.planes.arms import shown, worst, wrong_weights
from console.control.planes.envoy_admin import Admin, ClusterStats, Route
from console.control.planes.several import each
from console.control.planes.web import Web, WebPlaneError, whole
from console.control.split import Split

__all__ = ["Envoy"]

_REVISION = "_rev"
"""The runtime key beside the weights that says whose they are."""

_MOST = 2**32 - 1
"""What weights may add up to; Envoy answers 404 to every request above it."""


class Envoy(ControlPlane):
    """One route on every replica. base: the folder that files of the settings are relative to."""

    def __init__(self, settings: EnvoyPlane, arms: tuple[str, ...], base: Path) -> None:
        self.arms = arms
        self._settings = settings
        self._prefix = settings.prefix
        timeout = settings.timeout.total_seconds()
        self._replicas = tuple(
            Admin(Web.of(settings, address, base), timeout) for address in settings.admin
        )
        self.name = shown("Envoy", tuple(one.name for one in self._replicas))

    @property
    def capabilities(self) -> Capabilities:
        """All arms of a replica at once; what changed meanwhile is only noticed."""
        return Capabilities(
            total=self._settings.total,
            compare_and_swap=False,
            dry_run=False,
            atomic=True,
            persistent=False,
            counts=True,
            carries_id=True,
            note="a restarted Envoy has the weights of its route again",
        )

    def read(self) -> Observed:
        """What every replica serves, with the health of the clusters as Envoy sees it."""
        at = datetime.now(UTC)
        seen = each(self._look, self._replicas)
        if all(look.replica.weights is None for look in seen):
            raise PlaneError(seen[0].replica.problem)
        problems = dict.fromkeys(text for look in seen for text in look.problems)
        answered = [look.health for look in seen if look.replica.weights is not None]
        return Observed(
            at,
            tuple(look.replica for look in seen),
            "",
            tuple(worst(arm, [health[arm] for health in answered]) for arm in self.arms),
            "; ".join(problems),
        )

    def dry_run(self, change: Change) -> Iterator[str]:
        """Envoy can try nothing; this finds what it would take and serve wrongly."""
        yield from wrong_weights(change.after, self.arms, self._settings.total)
        if _REVISION in self.arms:
            yield f"a cluster cannot be called {_REVISION} here: the change's id has that key"
        seen = each(self._rehearsed, self._replicas)
        if not any(one.asked for one in seen):
            raise PlaneError(seen[0].problems[0])
        yield from dict.fromkeys(text for one in seen if one.asked for text in one.problems)

    def apply(self, change: Change) -> Receipt:
        """One request for all keys: with one for each, Envoy would answer 404 in between."""
        wrong = next(wrong_weights(change.after, self.arms, self._settings.total), "")
        if wrong:
            return Receipt.one(self.name, Answer.REJECTED, wrong)
        values: dict[str, str | int] = {f"{self._prefix}.{_REVISION}": change.id}
        values |= {f"{self._prefix}.{arm}": weight for arm, weight in change.after.weights}
        return Receipt(each(lambda one: _told(one, values), self._replicas))

    def counts(self) -> Counts:
        """Answers to requests of each cluster; errors are those with 5xx.

        `upstream_rq_completed`, not `upstream_rq_total`: only the former counts requests for which
        there was no connection, and both count time-outs and resets (Envoy's own 503 and 504).
        """
        at = datetime.now(UTC)
        rows, missing, problem = list[ArmCount](), list[str](), ""
        for one, found in zip(self._replicas, each(self._counted, self._replicas), strict=True):
            if isinstance(found, str):
                missing.append(one.name)
                problem = problem or found
            else:
                rows += found
        if len(missing) == len(self._replicas):
            raise PlaneError(problem)
        return Counts(at, tuple(rows), tuple(missing))

    def close(self) -> None:
        """End connections."""
        for one in self._replicas:
            one.close()

    # --- one replica -------------------------------------------------------------------------

    def _look(self, one: Admin) -> _Look:
        with one.asked():
            try:
                runtime = one.runtime(self._prefix)
                route = self._route(one)
                stats = one.clusters(self.arms)
            except PlaneError as error:
                return _Look(Replica(one.name, None, problem=str(error)))
        problems = list(self._doubts(one, route))
        weights, odd = _effective(route, runtime.values, self._prefix)
        problems += [f"{one.name}: {text}" for text in odd]
        split = Split.of(
            {arm: weights.get(arm, 0) for arm in self.arms}
            | {arm: w for arm, w in weights.items() if w and arm not in self.arms}
        )
        if split.total == 0:
            problems.append(f"{one.name}: all weights are 0, so every request is answered with 404")
        elif split.total > _MOST:
            problems.append(
                f"{one.name}: the weights add up to more than 2^32, so every request is answered "
                "with 404"
            )
        change_id = clean(runtime.values.get(f"{self._prefix}.{_REVISION}", ""), 100)
        health = {arm: _health(arm, stats.get(arm)) for arm in self.arms}
        return _Look(Replica(one.name, split, change_id), tuple(problems), health)

    def _route(self, one: Admin) -> Route:
        routes = [route for route in one.routes() if route.prefix == self._prefix]
        if not routes:
            raise PlaneError(
                f"{one.name} has no route whose runtime_key_prefix is {self._prefix!r}; give the "
                "one of its weighted_clusters as `prefix`"
            )
        if any(route.clusters != routes[0].clusters for route in routes[1:]):
            raise PlaneError(
                f"{one.name} has several routes with the prefix {self._prefix!r} and other "
                "clusters or weights; give each a prefix of its own"
            )
        return routes[0]

    def _doubts(self, one: Admin, route: Route) -> Iterator[str]:
        """What of the configuration does not fit to the route's clusters."""
        clusters = [name for name, _ in route.clusters]
        listed = clean(", ".join(clusters), 300)
        for arm in self.arms:
            if arm not in clusters:
                yield f"{one.name}: the route has no cluster {arm!r}; it has {listed}"
        for name in clusters:
            if name not in self.arms:
                yield (
                    f"{one.name}: the route's cluster {clean(name)!r} is none of the arms; list "
                    "it in `arms`"
                )
        if route.unnamed:
            yield f"{one.name}: the route takes a cluster's name from a header, which has no weight"

    def _rehearsed(self, one: Admin) -> _Rehearsal:
        with one.asked():
            try:
                route = self._route(one)
                runtime = one.runtime(self._prefix)
                admin = one.admin_layer()
            except WebPlaneError as error:
                # one that is away is no reason not to change the others
                return _Rehearsal(False, (str(error),))
            except PlaneError as error:
                return _Rehearsal(True, (str(error),))
        problems = list(self._doubts(one, route))
        if admin is None:
            problems.append(
                f"{one.name} has no admin layer in its `layered_runtime`, so nothing can be written"
            )
        elif admin in runtime.layers:
            above = runtime.layers[runtime.layers.index(admin) + 1 :]
            for layer in sorted(runtime.holding & set(above)):
                problems.append(
                    f"{one.name}: the runtime layer {clean(layer)!r} is above the admin layer and "
                    f"has weights of {self._prefix}, so ours would not count"
                )
        return _Rehearsal(True, tuple(problems))

    def _counted(self, one: Admin) -> list[ArmCount] | str:
        with one.asked():
            try:
                epoch = one.began()
                stats = one.clusters(self.arms)
            except PlaneError as error:
                return str(error)
        rows = [
            ArmCount(one.name, arm, found.completed, found.failed, epoch)
            for arm in self.arms
            if (found := stats.get(arm)) is not None and found.completed is not None
        ]
        return rows or f"{one.name} does not count requests of {', '.join(self.arms)}"


@dataclass(frozen=True, slots=True)
class _Look:
    replica: Replica
    problems: tuple[str, ...] = ()
    health: Mapping[str, ArmHealth] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rehearsal:
    asked: bool
    problems: tuple[str, ...]


def _told(one: Admin, values: dict[str, str | int]) -> ReplicaAnswer:
    try:
        with one.asked():
            reply = one.write(values)
    except WebPlaneError as error:
        answer = Answer.UNKNOWN if error.sent else Answer.REJECTED
        return ReplicaAnswer(one.name, answer, str(error))
    if reply.ok and reply.body.strip() == b"OK":
        return ReplicaAnswer(one.name, Answer.ACKED)
    refused = 300 <= reply.status < 500 or b"No admin layer" in reply.body
    return ReplicaAnswer(one.name, Answer.REJECTED if refused else Answer.UNKNOWN, reply.problem)


def _effective(
    route: Route, values: dict[str, str], prefix: str
) -> tuple[dict[str, int], list[str]]:
    """Weights as Envoy takes them, and what it would not be asked to."""
    weights, odd = dict[str, int](), list[str]()
    for name, static in route.clusters:
        key = f"{prefix}.{name}"
        text = values.get(key, "")
        weight = whole(text)
        if text and (weight is None or text != str(weight)):
            weight = _as_envoy(text)
            taken = "the weight of the route" if weight is None else f"{weight}"
            odd.append(f"{clean(key)} holds {clean(text, 40)!r}, which Envoy takes as {taken}")
        weights[name] = static if weight is None else weight
    return weights, odd


def _as_envoy(text: str) -> int | None:
    """A number that is no plain whole one, as Envoy reads it; None where it does not.

    Found by driving 1.40: blanks around it, a sign, fractions (cut off), exponents and hexadecimal
    are taken, up to 2^64; negative ones and words are not.
    """
    text = text.strip(" \t\n\r\v\f")
    if re.fullmatch(r"\+?0[xX][0-9a-fA-F]{1,16}", text):
        return int(text, 16)
    if not re.fullmatch(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", text[:400], re.ASCII):
        return None
    value = float(text)
    return int(value) if value <= 2**64 else None


def _health(arm: str, stats: ClusterStats | None) -> ArmHealth:
    """Down where no endpoint is left; up only where Envoy itself looks (active health checks)."""
    if stats is None or stats.members is None or stats.healthy is None:
        return ArmHealth(arm, Health.UNKNOWN, "Envoy does not know the cluster")
    detail = f"{stats.healthy} of {stats.members} endpoints"
    if stats.healthy == 0:
        return ArmHealth(arm, Health.DOWN, detail)
    if not stats.checked:
        return ArmHealth(arm, Health.UNKNOWN, f"{detail}, which Envoy does not check")
    return ArmHealth(arm, Health.UP, detail)
