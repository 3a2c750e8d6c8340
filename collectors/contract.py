"""What a deployment is: its task, and which column of its logs plays which role.

These are the strangers' half of the configuration, so they are pydantic models: every wrong value
is named with its place. Inside the store only physical names (`f0`, `f1`, ...) are used, so no
name from here ever becomes part of SQL.
"""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from collectors.quality_rules import Quality, Subject, wrong_rules
from collectors.source_settings import (
    AnySource,
    BucketSource,
    FileFormat,
    FileSource,
    MlflowSource,
    Model,
    PrometheusSource,
    PushSource,
)

__all__ = [
    "SHOWN_ONLY",
    "Costs",
    "Deployment",
    "Fallback",
    "Feature",
    "FeatureKind",
    "FileFormat",
    "FileSource",
    "LabelColumns",
    "Limit",
    "MetricColumns",
    "MetricSource",
    "Quality",
    "Reference",
    "Segment",
    "Task",
    "Traffic",
    "Trial",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
ColumnName = Annotated[str, Field(min_length=1, max_length=500)]
MetricName = Annotated[str, Field(min_length=1, max_length=200)]


class Task(StrEnum):
    """What the model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class FeatureKind(StrEnum):
    """How a feature is binned: by quantile edges or by category."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


class Traffic(StrEnum):
    """Whose answers: those that were served, or those of a version that only shadowed."""

    SERVED = "served"
    SHADOW = "shadow"


class Feature(Model):
    """One model input that is watched for drift."""

    name: ColumnName
    kind: FeatureKind


class Segment(Model):
    """A subgroup column. `edges` cut a numeric column into [a, b) bands; `labels` name the bands.

    There is one band more than there are edges: below the first and from the last on.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    column: str = ""
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "," in self.name or "=" in self.name:
            raise ValueError("a segment's name cannot contain ',' or '=': they separate segments")
        if any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError("edges must rise")
        if self.labels and len(self.labels) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges make {len(self.edges) + 1} bands to label")
        return self

    @property
    def source_column(self) -> str:
        """The column in the log."""
        return self.column or self.name


class LabelColumns(Model):
    """Where ground truth is and which column says what.

    at_once: labels without a time of their own count as known with their prediction, as in an
    exported table; else they are known from when they were read.
    """

    source: AnySource
    id: str = "id"
    value: ColumnName = "label"
    received: str = ""
    event: str = ""
    labeller: str = ""
    at_once: bool = False


class MetricColumns(FileSource):
    """A file of system metrics, one sample a row, and which column says what.

    version: the column of the model version that a sample is about; empty when it is about all.
    """

    timestamp: ColumnName = "timestamp"
    metric: ColumnName = "metric"
    value: ColumnName = "value"
    version: str = ""


def _kind_of_metrics(value: object) -> str:
    named = isinstance(value, PrometheusSource) or (
        isinstance(value, dict) and "prometheus" in value
    )
    return "prometheus" if named else "path"


MetricSource = Annotated[
    Annotated[MetricColumns, Tag("path")] | Annotated[PrometheusSource, Tag("prometheus")],
    Discriminator(_kind_of_metrics),
]
"""Where system metrics come from."""


class Reference(Model):
    """A training or validation set with the same columns as the predictions, and the label.

    version: the model version that it belongs to; empty when it serves every version.
    """

    path: str
    version: str = ""
    label: str = ""
    format: FileFormat = FileFormat.AUTO


class Fallback(Model):
    """The logged answer of the simple thing one would fall back to, and its threshold."""

    score: str = ""
    prediction: str = ""
    threshold: float | None = None
    name: str = "fallback"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if not self.score and not self.prediction:
            raise ValueError("give the fallback's score column or its prediction column")
        return self


class Costs(Model):
    """What an outcome costs, in any unit of money; a gain is a negative cost.

    The four cells are of a binary model. error: of a wrong class of a multiclass model. over,
    under: of a regression, per unit that a prediction is above or below its label.
    """

    unit: str = ""
    true_positive: float = 0
    false_positive: float = 0
    false_negative: float = 0
    true_negative: float = 0
    error: float = 0
    over: float = 0
    under: float = 0


class Limit(Model):
    """What a system metric must not be above, or below; a number alone is what is too much above.

    In the metric's own unit. At the limit itself it is kept.
    """

    above: float | None = None
    below: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _number_alone(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("a limit is a number, {above = ...} or {below = ...}")
        return {"above": value} if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("give what it must not be above, or below")
        if self.above is not None and self.below is not None and self.below > self.above:
            raise ValueError("no value is between these: `below` is larger than `above`")
        return self

    def is_broken_by(self, value: float) -> bool:
        """Whether a value is beyond it."""
        over = self.above is not None and value > self.above
        return over or (self.below is not None and value < self.below)


class Trial(Model):
    """How versions are compared: by which figure, what loss is bearable, and the planned split.

    metric: empty for the headline figure. margin: in the figure's unit. split: version -> share of
    the traffic that it was meant to get.
    """

    metric: str = ""
    margin: Annotated[float, Field(ge=0)] = 0.01
    split: dict[str, Annotated[float, Field(ge=0)]] = {}

    @field_validator("split")
    @classmethod
    def _some(cls, value: dict[str, float]) -> dict[str, float]:
        if value and not 0 < sum(value.values()) < 1e9:
            raise ValueError("the shares of a split add up to more than nothing")
        return value


class Deployment(Model):
    """One model in service: its task, its columns, its sources.

    id, timestamp: empty where nothing of the kind is logged; then no row repeats another and
    labels stand beside their prediction, and there is no time but the whole. attributions: feature
    -> the column of its contribution to the answer.
    """

    name: str
    task: Task
    predictions: AnySource
    id: str = "id"
    timestamp: str = "timestamp"
    version: str = ""
    prediction: str = ""
    score: str = ""
    class_scores: dict[str, str] = {}
    positive: str = ""
    threshold: float | dict[str, float] = 0.5
    latency_ms: str = ""
    cost: str = ""
    error: str = ""
    attributions: dict[str, ColumnName] = {}
    traffic: Traffic = Traffic.SERVED
    timezone: str = ""
    features: tuple[Feature, ...] = ()
    segments: tuple[Segment, ...] = ()
    crosses: bool = True
    labels: LabelColumns | None = None
    metrics: tuple[MetricSource, ...] = ()
    events: tuple[MlflowSource, ...] = ()
    reference: tuple[Reference, ...] = ()
    fallback: Fallback | None = None
    champion: str = ""
    costs: Costs | None = None
    trial: Trial = Trial()
    quality: Quality | None = None
    limits: dict[MetricName, Limit] = {}

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(
                "a deployment's name has up to 63 letters, digits, '-', '_' or '.', "
                "and starts with a letter or a digit"
            )
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError) as error:
                raise ValueError(f"unknown time zone {value!r}; use a name like UTC") from error
        return value

    @field_validator("features", mode="before")
    @classmethod
    def _features_by_kind(cls, value: object) -> object:
        """Accept {numeric = [...], categorical = [...]}, as a TOML file reads best."""
        if isinstance(value, dict):
            kinds = [k.value for k in FeatureKind]
            wrong = [key for key in value if key not in kinds]
            if wrong:
                raise ValueError(f"{wrong[0]!r} is no kind of feature; there is {kinds}")
            return tuple(
                {"name": name, "kind": kind} for kind, names in value.items() for name in names
            )
        return value

    @field_validator("segments", mode="before")
    @classmethod
    def _segments_by_name(cls, value: object) -> object:
        """Accept plain column names beside full segments."""
        if isinstance(value, list | tuple):
            return tuple({"name": v} if isinstance(v, str) else v for v in value)
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.task is Task.BINARY and not (self.score or self.prediction):
            raise ValueError("a binary deployment needs `score`, `prediction` or both")
        if self.task is not Task.BINARY and not self.prediction:
            raise ValueError(f"a {self.task} deployment needs `prediction`")
        if not self.id and not isinstance(self.predictions, FileSource | BucketSource):
            raise ValueError("rows that are asked for or pushed need `id`: some come twice")
        for what, names in (
            ("feature", [f.name for f in self.features]),
            ("segment", [s.name for s in self.segments]),
            ("source", [s.shown for s in (*self.metrics, *self.events)]),
        ):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]!r} is listed twice")
        features = frozenset(f.name for f in self.features)
        if self.quality is not None and (
            wrong := list(wrong_rules(self.quality, self.subjects, features))
        ):
            raise ValidationError.from_exception_data("Deployment", wrong)
        return self

    @property
    def subjects(self) -> dict[str, Subject]:
        """What rules may be about: outputs by their role, segments and features by their column."""
        answer = Subject.TEXT if self.task is Task.MULTICLASS else Subject.NUMBER
        outputs = {
            "prediction": answer,
            "score": Subject.NUMBER if self.task is Task.BINARY and self.score else None,
            "latency_ms": Subject.NUMBER if self.latency_ms else None,
            "cost": Subject.NUMBER if self.cost else None,
        }
        found = {name: kind for name, kind in outputs.items() if kind is not None}
        found |= {
            s.source_column: Subject.NUMBER if s.edges else Subject.TEXT for s in self.segments
        }
        return found | {
            f.name: Subject.NUMBER if f.kind is FeatureKind.NUMERIC else Subject.TEXT
            for f in self.features
        }

    @property
    def timed(self) -> bool:
        """Whether its log says when."""
        return bool(self.timestamp)

    @property
    def labels_beside(self) -> bool:
        """Whether labels stand in the predictions' own files."""
        if self.labels is None or isinstance(self.predictions, PushSource):
            return False  # what is pushed comes to two places
        if not isinstance(self.predictions, FileSource):
            return self.labels.source == self.predictions
        return self.labels.source.paths == self.predictions.paths

    def threshold_of(self, version: str) -> float:
        """The operating threshold of a version's score."""
        if isinstance(self.threshold, dict):
            return self.threshold.get(version, self.threshold.get("", 0.5))
        return self.threshold

    @property
    def segment_crosses(self) -> tuple[tuple[int, int], ...]:
        """Pairs of segment positions that get a rollup of their own."""
        n = len(self.segments) if self.crosses else 0
        return tuple((i, j) for i in range(n) for j in range(i + 1, n))


SHOWN_ONLY = ("champion", "costs", "trial", "limits")
"""Fields that say how figures are shown; nothing in a store depends on them."""
