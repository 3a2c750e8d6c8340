"""Hands for tests of the screen: states, plans and outcomes made by hand, given when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from console.control.audit import Entry, EntryKind
from console.control.errors import ControlError
from console.control.evidence import ArmEvidence, Evidence
from console.control.guards import Guard, GuardVerdict
from console.control.outcome import Outcome, Proposal, Result
from console.control.plan import Plan, Purpose
from console.control.plane import (
    ArmCount,
    ArmHealth,
    Capabilities,
    Health,
    Observed,
    Replica,
)
from console.control.settings import Control
from console.control.split import Split
from console.control.state import ControlState, Desired
from console.control.verify import Measured
from console.control.who import Who

NOW = datetime(2026, 11, 20, 2, 14, 30, tzinfo=UTC)
NAME = "flight-delay"
MEI = Who("mei", "gateway", "10.0.0.7", "console")
CAN = Capabilities(100, False, True, True, False, True, True, "a restart forgets the weights")


def control(arms: Mapping[str, str] | None = None, **more: Any) -> Control:
    known = dict(arms or {"v1": "v1", "v2": "v2"})
    plane = {"kind": "envoy", "admin": ["http://127.0.0.1:9901"], "prefix": "split"}
    stable = next(iter(known))
    return Control.model_validate({"plane": plane, "arms": known, "stable": stable, **more})


def split(*weights: int, arms: tuple[str, ...] = ("v1", "v2")) -> Split:
    return Split(tuple(zip(arms, weights, strict=True)))


def observed(*splits: Split | None, problem: str = "", age_s: float = 3) -> Observed:
    replicas = tuple(
        Replica(f"proxy-{n}", s, problem="" if s is not None else "connection refused")
        for n, s in enumerate(splits, start=1)
    )
    first = next(s for s in splits if s is not None)
    health = tuple(ArmHealth(arm, Health.UP, "2 of 2 endpoints") for arm in first.arms)
    return Observed(NOW - timedelta(seconds=age_s), replicas, "7", health, problem)


def entry(kind: EntryKind, age_s: float, change: str = "c-1", **fields: Any) -> Entry:
    at = NOW - timedelta(seconds=age_s)
    return Entry(7, at, kind, NAME, change, MEI, fields, "", "abc")


def state(seen: Observed | None = None, **more: Any) -> ControlState:
    seen = observed(split(90, 10)) if seen is None else seen
    first = next(r.weights for r in seen.replicas if r.weights is not None)
    counts = tuple(
        ArmCount(r.name, arm, 9 * weight, 0) for r in seen.replicas for arm, weight in first.weights
    )
    whole = ControlState(
        deployment=NAME,
        plane="Envoy 127.0.0.1:9901",
        arms=tuple((arm, arm) for arm in first.arms),
        stable=first.arms[0],
        refused="",
        capabilities=CAN,
        asked=NOW - timedelta(seconds=3),
        observed=seen,
        desired=Desired(first, NOW - timedelta(hours=1), str(MEI), "c-0", "applied"),
        measured=Measured(NOW - timedelta(seconds=63), NOW - timedelta(seconds=3), counts),
    )
    return replace(whole, **more)


def evidence(*arms: str) -> Evidence:
    known = tuple(ArmEvidence(arm, arm, 900, {}) for arm in arms or ("v1", "v2"))
    start = NOW - timedelta(days=7)
    return Evidence(NOW, start, NOW, timedelta(minutes=2), "f1", True, known)


def proposal(
    after: Split | None = None,
    *,
    before: Split | None = None,
    purpose: Purpose = Purpose.SET,
    reason: str = "it looks fine",
    guards: tuple[Guard, ...] = (Guard("weights", GuardVerdict.PASS, "whole numbers"),),
    deployment: str = NAME,
    problems: tuple[str, ...] = (),
) -> Proposal:
    after = after or split(75, 25)
    plan = Plan(
        "c-2", deployment, "Envoy", purpose, before or split(90, 10), after, "7", NOW,
        NOW + timedelta(minutes=5), reason,
    )  # fmt: skip
    seen = observed(before or split(90, 10))
    known = evidence(*after.arms)
    effect = ("failed requests: 1% -> 2% expected",)
    return Proposal(plan, seen, known, guards, problems, effect, 460, ("a restart forgets",))


def outcome(
    result: Result, text: str = "read back: v1 75%, v2 25%", todo: str = "", **more: Any
) -> Outcome:
    plan = proposal().plan
    return Outcome(result, plan, text, todo, observed(plan.after), **more)


@dataclass
class FakeHands:
    """Remembers what was asked; the test says what comes back, and when."""

    controls: dict[str, Control] = field(default_factory=lambda: {NAME: control()})
    states: dict[str, ControlState] = field(default_factory=lambda: {NAME: state()})
    proposed: list[tuple[Any, ...]] = field(default_factory=list)
    acted: list[tuple[Proposal, str]] = field(default_factory=list)
    acting: bool = False
    closed: bool = False
    changed: Callable[[], object] = lambda: None

    def start(self, changed: Callable[[], object]) -> None:
        self.changed = changed

    def state(self, deployment: str) -> ControlState | None:
        return self.states.get(deployment)

    def problem(self, deployment: str) -> str:
        return ""

    def propose(  # noqa: PLR0917
        self,
        deployment: str,
        purpose: Purpose,
        percent: Mapping[str, Fraction] | None,
        reason: str,
        evidence: Evidence | None,
        done: Callable[[Proposal | ControlError | ValueError], object],
    ) -> None:
        self.proposed.append((deployment, purpose, percent, reason, evidence))
        self.made = done

    def act(
        self,
        proposal: Proposal,
        confirmed: str,
        told: Callable[[str], object],
        done: Callable[[Outcome | ControlError], object],
    ) -> None:
        self.acted.append((proposal, confirmed))
        self.told, self.ended, self.acting = told, done, True

    def close(self, wait_s: float = 5.0) -> None:
        self.closed = True
