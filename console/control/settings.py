"""[[control]]: where a deployment's traffic is split, and what may be done there.

Nothing here changes anything by itself: a command needs `--write`, or `write = true` here for this
target.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from collectors.durations import Duration
from collectors.source_settings import Model
from console.control.plane_settings import AnyPlane, PrometheusCounts, web_address
from console.gate import Gate

__all__ = ["Control", "FallbackRule", "FallbackSettings", "FallbackTarget", "Ramp"]

Percent = Annotated[float, Field(gt=0, le=100)]


class Ramp(Model):
    """[control.ramp]: a staged rollout. steps: percent of the traffic for the new version.

    pause: how long each step is looked at, at the least. gate: what must hold, as in [[gate]],
    judged on the new version since the ramp began. worst_loss: how much worse its trial figure may
    be than the stable version's; empty for the trial's margin. least: predictions of the new
    version at a step before it can go on. patience: after so long without a decision it waits for
    a person.
    """

    steps: Annotated[tuple[Percent, ...], Field(min_length=1)] = (1, 5, 25, 50, 100)
    pause: Duration = timedelta(minutes=10)
    gate: tuple[Gate, ...] = ()
    worst_loss: Annotated[float, Field(ge=0)] | None = None
    least: Annotated[int, Field(ge=1)] = 500
    patience: Duration = timedelta(hours=6)

    @field_validator("steps")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(a >= b for a, b in pairwise(value)):
            raise ValueError("the steps of a ramp rise")
        return value


class FallbackTarget(Model):
    """[[control.fallback.target]]: what to fall back to, the most wanted first.

    arm: of the same plane, an older version, a heuristic or a static answer. alike: the version or
    logged fallback whose figures it would have, for the preview; empty: the arm's version.
    """

    arm: str
    alike: str = ""


class FallbackRule(Model):
    """[[control.fallback.rule]]: when to fall back without being asked.

    figure: error_rate, latency_p95 (ms), data_age (seconds), or an estimated or realised figure of
    the performance pane. above, below: what it must not be. window: over which it is looked at.
    for: how long it must surely be broken.
    """

    figure: Annotated[str, Field(min_length=1, max_length=100)]
    above: float | None = None
    below: float | None = None
    window: Duration = timedelta(minutes=15)
    lasting: Annotated[Duration, Field(alias="for")] = timedelta(minutes=2)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give what the figure must not be above, or below")
        return self


class FallbackSettings(Model):
    """[control.fallback]. automatic: whether rules act; else they only say so.

    hold: how long at least it stays on the fallback, and how long all rules must be kept before it
    returns by itself. return_automatically: whether it does. most: automatic changes in `within`,
    after which a person is needed.
    """

    target: Annotated[tuple[FallbackTarget, ...], Field(min_length=1)]
    rule: tuple[FallbackRule, ...] = ()
    automatic: bool = False
    hold: Duration = timedelta(minutes=15)
    return_automatically: bool = False
    most: Annotated[int, Field(ge=1)] = 3
    within: Duration = timedelta(hours=6)


class Control(Model):
    """One deployment's traffic.

    deployment: empty for the first. arms: arm of the plane -> version in the logs, in the order
    they are shown. stable: the arm that a rollback goes to. health: arm -> an address that must
    answer with 2xx before the arm gets traffic. max_step: percent points that one
    change may give an arm more. cooldown: between two increases. least: predictions of an arm
    before it may get more. max_age: of the newest row, on which an increase may rest. verify: how
    long measured proof is waited for. poll: between two looks at the plane. expires: how long a
    plan may be confirmed.
    """

    deployment: str = ""
    plane: AnyPlane
    arms: Annotated[dict[str, str], Field(min_length=2)]
    stable: str
    health: dict[str, str] = {}
    write: bool = False
    max_step: Percent = 25
    cooldown: Duration = timedelta(minutes=5)
    least: Annotated[int, Field(ge=0)] = 500
    max_age: Duration = timedelta(minutes=15)
    verify: Duration = timedelta(seconds=30)
    poll: Duration = timedelta(seconds=5)
    expires: Duration = timedelta(minutes=5)
    ramp: Ramp = Ramp()
    fallback: FallbackSettings | None = None
    counts: PrometheusCounts | None = None

    @model_validator(mode="after")
    def _known_arms(self) -> Self:
        listed = ", ".join(self.arms)
        if self.stable not in self.arms:
            raise ValueError(f"stable must be one of the arms: {listed}")
        for arm, url in self.health.items():
            if arm not in self.arms:
                raise ValueError(f"health is told of {arm!r}, which is none of the arms: {listed}")
            web_address(url)
        for target in self.fallback.target if self.fallback else ():
            if target.arm not in self.arms:
                raise ValueError(f"the fallback {target.arm!r} is none of the arms: {listed}")
        return self

    @field_validator("arms")
    @classmethod
    def _plain(cls, value: dict[str, str]) -> dict[str, str]:
        for arm in value:
            if not arm or not arm.isprintable() or len(arm) > 100 or "," in arm or "=" in arm:
                raise ValueError("an arm's name has up to 100 plain characters, no ',' and no '='")
        return {arm: version or arm for arm, version in value.items()}

    def arm_of(self, name: str) -> str:
        """The arm with this name or version. Raises ValueError naming those there are."""
        if name in self.arms:
            return name
        for arm, version in self.arms.items():
            if version == name:
                return arm
        raise ValueError(f"there is no arm {name!r}; there is {', '.join(self.arms)}")
