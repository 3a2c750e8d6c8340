"""What good data is: rules per column, per batch and per hour, as a configuration says them.

Rules say what is broken (validation). What has only changed is the matter of drift. A rule either
flags, so that the row stays and its hour is marked, or sends the record to quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from collectors.durations import Duration
from collectors.source_settings import Model

__all__ = ["Action", "ColumnRule", "Late", "Quality", "Subject", "wrong_rules"]

_KINDS = ("predictions", "labels", "metrics")

MOST_VALUES = 1_000
"""Allowed values of one column: they become one list in a statement."""

Share = Annotated[float, Field(ge=0, le=1)]
Allowed = (
    Annotated[int, Field(ge=-(2**63), lt=2**63)] | float | Annotated[str, Field(max_length=500)]
)


class Action(StrEnum):
    """What becomes of a record that fails: it stays and its hour is marked, or it is set apart."""

    FLAG = "flag"
    QUARANTINE = "quarantine"


class ColumnRule(Model):
    """What the values of one column may be.

    range: [low, high], another way to write min and max, both included. required: never missing.
    nulls, unseen: the largest shares of a feature's rows without a value, and outside what the
    reference has seen. tolerance: the share of an hour's rows that may fail before it is marked.
    """

    min: float | None = None
    max: float | None = None
    values: Annotated[tuple[Allowed, ...], Field(max_length=MOST_VALUES)] = ()
    required: bool = False
    nulls: Share | None = None
    unseen: Share | None = None
    tolerance: Share = 0.0
    action: Action = Action.FLAG

    @model_validator(mode="before")
    @classmethod
    def _range(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "range" not in value:
            return value
        both = value["range"]
        if not isinstance(both, list | tuple) or len(both) != 2:
            raise ValueError("range takes [low, high]; for one end there is min or max")
        if "min" in value or "max" in value:
            raise ValueError("give range, or min and max, not both")
        rest = {key: v for key, v in value.items() if key != "range"}
        return {**rest, "min": both[0], "max": both[1]}

    @field_validator("values", mode="before")
    @classmethod
    def _as_written(cls, value: Any) -> Any:
        """True and false as a log writes them; a number stays one, however large."""
        if not isinstance(value, list | tuple):
            return value
        return [str(v).lower() if isinstance(v, bool) else v for v in value]

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("the lower end of the range is above the upper one")
        shares = (self.nulls, self.unseen)
        if not (self.by_row or any(s is not None for s in shares)):
            raise ValueError("give range, min, max, values, required, nulls or unseen")
        if self.action is Action.QUARANTINE and not self.by_row:
            raise ValueError("only rules on single records can send them to quarantine")
        return self

    @property
    def by_row(self) -> bool:
        """Whether it judges single records."""
        limited = self.min is not None or self.max is not None
        return limited or bool(self.values) or self.required


class Late(Model):
    """Which rows are late, and the largest share of an hour's rows that may be."""

    after: Duration
    share: Share = 0.0


class Quality(Model):
    """The rules of a deployment.

    max_bad: share of a batch's records in quarantine from which the batch is failing. freshness:
    kind of source -> greatest age of its newest row; one length is that of predictions. volume:
    [low, high], times what is usual for the hour. late_labels: likewise, by the time since their
    prediction. duplicates: largest share of records that repeat
    earlier ones. nulls, unseen: of every feature that has no limit of its own.
    """

    max_bad: Share = 0.5
    freshness: dict[str, Duration] = Field(default_factory=dict)
    volume: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]] | None = None
    duplicates: Share | None = None
    late: Late | None = None
    late_labels: Late | None = None
    nulls: Share | None = None
    unseen: Share | None = None
    columns: dict[str, ColumnRule] = Field(default_factory=dict)

    @field_validator("freshness", mode="before")
    @classmethod
    def _of_predictions(cls, value: Any) -> Any:
        return {"predictions": value} if isinstance(value, str) else value

    @field_validator("freshness")
    @classmethod
    def _known_kinds(cls, value: dict[str, timedelta]) -> dict[str, timedelta]:
        for kind in value:
            if kind not in _KINDS:
                raise ValueError(f"{kind!r} is no kind of source; there is {', '.join(_KINDS)}")
        return value

    @field_validator("volume")
    @classmethod
    def _rising(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError("volume takes [low, high], times the usual, and low is below high")
        return value

    @property
    def judges_features(self) -> bool:
        """Whether shares of missing or unseen values are judged."""
        shares = (
            self.nulls,
            self.unseen,
            *(s for rule in self.columns.values() for s in (rule.nulls, rule.unseen)),
        )
        return any(share is not None for share in shares)


class Subject(StrEnum):
    """What a rule may be about, by what can be asked of it."""

    NUMBER = "number"
    TEXT = "text"


def wrong_rules(
    quality: Quality, subjects: Mapping[str, Subject], features: frozenset[str]
) -> Iterator[InitErrorDetails]:
    """Rules that cannot be about what they name, each with its place in the deployment.

    subjects: what there is; features: those of them that are features.
    """
    for name, rule in quality.columns.items():
        subject = subjects.get(name)
        if subject is None:
            known = ", ".join(list(subjects)[:12])
            yield _wrong((name,), f"there is no such column to judge; there is {known}", name)
            continue
        if subject is Subject.TEXT and (rule.min is not None or rule.max is not None):
            yield _wrong((name,), "a range is for numbers, and this is none; use values", name)
        if subject is Subject.NUMBER and any(isinstance(v, str) for v in rule.values):
            yield _wrong((name, "values"), "the values of a number are numbers", name)
        if name not in features and (rule.nulls is not None or rule.unseen is not None):
            yield _wrong((name,), "nulls and unseen are for features; use required", name)


def _wrong(place: tuple[str, ...], what: str, given: str) -> InitErrorDetails:
    # the text is a template: braces in it would be taken for fields
    error = PydanticCustomError("rule", "{what}", {"what": what})
    return InitErrorDetails(type=error, loc=("quality", "columns", *place), input=given)
