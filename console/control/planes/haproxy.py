"""HAProxy: weights of one backend's servers, over the runtime API. The arms are the servers."""

from __future__ import annotations

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
from console.control.plane_settings import HaproxyPlane
from console.control.planes.arms import shown, worst, wrong_weights
from console.control.planes.haproxy_api import Api, ApiError, Server, is_name
from console.control.planes.several import each
from console.control.split import Split

__all__ = ["Haproxy"]

_BY_WEIGHT = ("", "roundrobin", "random", "unknown")
"""How shares follow weights; 2.8 calls `random` "unknown"."""


class Haproxy(ControlPlane):
    """One backend in every process. base: the folder that paths of sockets are relative to.

    Raises PlaneError for an arm that is no server's name.
    """

    def __init__(self, settings: HaproxyPlane, arms: tuple[str, ...], base: Path) -> None:
        for arm in arms:
            if not is_name(arm):
                raise PlaneError(
                    f"{clean(arm)!r} is no name of a server of HAProxy: it has letters, digits, "
                    "'-', '_', '.' and ':'"
                )
        self.arms = arms
        self._backend = settings.backend
        self._total = settings.total
        timeout = settings.timeout.total_seconds()
        self._replicas = tuple(Api(place, base, timeout) for place in settings.socket)
        self.name = shown("HAProxy", tuple(one.name for one in self._replicas))

    @property
    def capabilities(self) -> Capabilities:
        """It carries no id: a variable could, but setting one needs the experimental mode."""
        return Capabilities(
            total=self._total,
            compare_and_swap=False,
            dry_run=False,
            atomic=False,
            persistent=False,
            counts=True,
            carries_id=False,
            note="a restarted or reloaded HAProxy has the weights of its file again",
        )

    def read(self) -> Observed:
        """What every process was told, with the state of the servers."""
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
        """HAProxy can try nothing; this finds what it would refuse, or take and serve wrongly."""
        yield from wrong_weights(change.after, self.arms, self._total)
        seen = each(self._rehearsed, self._replicas)
        if not any(one.asked for one in seen):
            raise PlaneError(seen[0].problems[0])
        yield from dict.fromkeys(text for one in seen if one.asked for text in one.problems)

    def apply(self, change: Change) -> Receipt:
        """One line for all servers, those that get more first: never is none left to ask."""
        wrong = next(wrong_weights(change.after, self.arms, self._total), "")
        if wrong:
            return Receipt.one(self.name, Answer.REJECTED, wrong)
        before = change.before or Split(())
        weights = sorted(
            change.after.weights, key=lambda one: one[1] - before.weight(one[0]), reverse=True
        )
        return Receipt(each(lambda one: self._told(one, weights), self._replicas))

    def counts(self) -> Counts:
        """Requests given to each server; errors are those with 5xx and those without an answer."""
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

    # --- one replica -------------------------------------------------------------------------

    def _look(self, one: Api) -> _Look:
        with one.asked():
            try:
                servers, balance = one.servers(self._backend)
            except PlaneError as error:
                return _Look(Replica(one.name, None, problem=str(error)))
        weights = {arm: servers[arm].weight if arm in servers else 0 for arm in self.arms}
        weights |= {
            name: server.weight
            for name, server in servers.items()
            if name not in self.arms and server.weight
        }
        split = Split.of(weights)
        problems = list(self._doubts(one, servers, balance))
        if split.total == 0:
            problems.append(f"{one.name}: all weights are 0, so every request is answered with 503")
        for arm in self.arms:
            status = servers[arm].status if arm in servers else ""
            if weights[arm] and status.startswith(("MAINT", "DRAIN", "NOLB")):
                problems.append(f"{one.name}: {arm} is in {status}: it gets no new requests")
        health = {arm: _health(arm, servers.get(arm)) for arm in self.arms}
        return _Look(Replica(one.name, split), tuple(problems), health)

    def _doubts(self, one: Api, servers: Mapping[str, Server], balance: str) -> Iterator[str]:
        """What of the configuration does not fit to the backend."""
        listed = clean(", ".join(servers), 300)
        for arm in self.arms:
            if arm not in servers:
                yield f"{one.name}: the backend has no server {arm!r}; it has {listed}"
            elif servers[arm].backup:
                yield (
                    f"{one.name}: {arm} is a backup server, which gets requests only when all "
                    "others are down"
                )
        for name in servers:
            if name not in self.arms:
                yield (
                    f"{one.name}: the backend's server {clean(name)!r} is none of the arms; list "
                    "it in `arms`"
                )
        if balance not in _BY_WEIGHT:
            yield (
                f"{one.name}: the backend balances by {balance}, so shares do not follow weights; "
                "use `balance roundrobin` or `balance random`"
            )

    def _rehearsed(self, one: Api) -> _Rehearsal:
        with one.asked():
            try:
                servers, balance = one.servers(self._backend)
            except ApiError as error:
                # one that is away is no reason not to change the others
                return _Rehearsal(False, (str(error),))
            except PlaneError as error:
                return _Rehearsal(True, (str(error),))
        return _Rehearsal(True, tuple(self._doubts(one, servers, balance)))

    def _told(self, one: Api, weights: list[tuple[str, int]]) -> ReplicaAnswer:
        try:
            with one.asked():
                verdict = one.weigh(self._backend, weights)
        except ApiError as error:
            answer = Answer.UNKNOWN if error.sent else Answer.REJECTED
            return ReplicaAnswer(one.name, answer, str(error))
        if verdict.done:
            return ReplicaAnswer(one.name, Answer.ACKED)
        if verdict.refused:
            return ReplicaAnswer(one.name, Answer.REJECTED, f"HAProxy said {verdict.said!r}")
        said = f"HAProxy said {verdict.said!r}" if verdict.said else "it broke off its answer"
        return ReplicaAnswer(one.name, Answer.UNKNOWN, f"{said}; some weights may be set")

    def _counted(self, one: Api) -> list[ArmCount] | str:
        with one.asked():
            try:
                epoch = one.began()
                servers, _ = one.servers(self._backend)
            except PlaneError as error:
                return str(error)
        return [
            ArmCount(one.name, arm, servers[arm].n, servers[arm].failed, epoch)
            for arm in self.arms
            if arm in servers
        ]


@dataclass(frozen=True, slots=True)
class _Look:
    replica: Replica
    problems: tuple[str, ...] = ()
    health: Mapping[str, ArmHealth] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rehearsal:
    asked: bool
    problems: tuple[str, ...]


def _health(arm: str, server: Server | None) -> ArmHealth:
    if server is None:
        return ArmHealth(arm, Health.UNKNOWN, "HAProxy does not know it")
    if server.status.startswith("UP"):
        return ArmHealth(arm, Health.UP, server.status)
    if server.status == "no check":
        return ArmHealth(arm, Health.UNKNOWN, "HAProxy does not check it")
    known = server.status.startswith(("DOWN", "MAINT", "DRAIN", "NOLB"))
    return ArmHealth(arm, Health.DOWN if known else Health.UNKNOWN, server.status)
