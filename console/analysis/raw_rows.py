"""Raw predictions behind a figure, each with where its features lie in the reference."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import polars as pl

from collectors.contract import Deployment, FeatureKind, Task
from console.analysis.ask import Ask, utc
from console.analysis.findings import Finding
from console.analysis.retained import RetainedRow, retained_findings

__all__ = [
    "FeatureValue",
    "LabelStatement",
    "RawRow",
    "RowsFrames",
    "RowsSnapshot",
    "raw_rows",
    "statement",
]

_BATCH_MARK = "#"
"""Between a request's id and a row's place in its batch."""


@dataclass(frozen=True, slots=True)
class RowsFrames:
    """rows: the query's. profile, bins, seen: what the reference has of each feature."""

    rows: pl.DataFrame
    profile: pl.DataFrame
    bins: pl.DataFrame


@dataclass(frozen=True, slots=True)
class FeatureValue:
    """A feature of a row. place: in words, where it lies in the reference; outside: not in it."""

    name: str
    value: float | str | None
    place: str
    outside: bool
    attribution: float | None = None


@dataclass(frozen=True, slots=True)
class LabelStatement:
    """One statement of a label: corrected ones have several."""

    value: float | str
    received: datetime
    event: datetime | None
    labeller: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """One prediction. error_size: |prediction - label| of a regression, |score - label| of a
    binary one, None without a label or a score. siblings: ids of rows of the same request.
    """

    id: str
    at: datetime
    version: str
    predicted: float | str | None
    score: float | None
    label: float | str | None
    received: datetime | None
    error: str | None
    error_size: float | None
    latency_ms: float | None
    cost: float | None
    class_scores: Mapping[str, float | None]
    fallback: tuple[float | None, float | str | None]
    segments: Mapping[str, str]
    features: tuple[FeatureValue, ...]
    source: str
    batch: int
    siblings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowsSnapshot:
    """n: all that match; rows: the first of them, by the kind's order.

    findings: a note where raw rows of the window's beginning were deleted.
    """

    ask: Ask
    n: int
    rows: tuple[RawRow, ...]
    labels: Mapping[str, tuple[LabelStatement, ...]]
    findings: tuple[Finding, ...] = ()


def statement(row: Mapping[str, Any]) -> LabelStatement:
    """One row of the query `row_labels`."""
    event = utc(row["event"]) if row["event"] is not None else None
    return LabelStatement(row["value"], utc(row["received"]), event, row["labeller"] or "")


def raw_rows(
    ask: Ask,
    frames: RowsFrames,
    labels: Mapping[str, tuple[LabelStatement, ...]],
    retained: Sequence[RetainedRow] = (),
) -> RowsSnapshot:
    """The snapshot. Pure. labels: all statements by id, of the rows where there are several."""
    records = frames.rows.to_dicts()
    n = int(records[0]["n_found"]) if records else 0
    places = _Places(ask.deployment, frames)
    families: dict[str, list[str]] = {}
    for r in records:
        families.setdefault(r["id"].rpartition(_BATCH_MARK)[0], []).append(r["id"])
    rows = tuple(_row(ask.deployment, r, places, families) for r in records)
    gone = [row for row in retained if row.what == "raw"]
    return RowsSnapshot(ask, n, rows, labels, tuple(retained_findings(ask, gone)))


def _row(
    d: Deployment, r: Mapping[str, Any], places: _Places, families: Mapping[str, list[str]]
) -> RawRow:
    label, score, predicted = r["label"], r.get("score"), r["predicted"]
    size = None
    if label is not None:
        if d.task is Task.REGRESSION and predicted is not None:
            size = abs(predicted - label)
        elif d.task is Task.BINARY and score is not None:
            size = abs(score - label)
    request = r["id"].rpartition(_BATCH_MARK)[0]
    family = families.get(request, []) if request else []
    columns = {f.name: f"f{i}" for i, f in enumerate(d.features)}
    attributions = list(d.attributions)
    return RawRow(
        id=r["id"],
        at=utc(r["ts"]),
        version=r["version"],
        predicted=predicted,
        score=score,
        label=label,
        received=utc(r["received"]) if r["received"] is not None else None,
        error=r["error"],
        error_size=size,
        latency_ms=r["latency_ms"],
        cost=r["cost"],
        class_scores={name: r.get(f"c{i}") for i, name in enumerate(d.class_scores)},
        fallback=(r.get("fallback_score"), r.get("fallback_predicted")),
        segments={
            s.name: _text(r.get(columns.get(s.source_column, f"s{i}")))
            for i, s in enumerate(d.segments)
        },
        features=tuple(
            FeatureValue(
                f.name,
                r[f"f{i}"],
                *places.of(i, f.kind, r[f"f{i}"], r["version"]),
                r.get(f"a{attributions.index(f.name)}") if f.name in d.attributions else None,
            )
            for i, f in enumerate(d.features)
        ),
        source=str(r["source"] or ""),
        batch=r["batch"],
        siblings=tuple(i for i in family if i != r["id"]),
    )


def _text(value: object) -> str:
    return "(missing)" if value is None else str(value)


class _Places:
    """Where a value lies in the reference: between which deciles, or whether it was seen."""

    def __init__(self, d: Deployment, frames: RowsFrames) -> None:
        self._profiles: dict[tuple[str, int], dict[str, Any]] = {}
        if "deciles" in frames.profile.columns:
            for row in frames.profile.iter_rows(named=True):
                self._profiles[row["version"], row["feature"]] = row
        self._seen: dict[int, set[str]] = {}
        for row in frames.bins.iter_rows(named=True):
            if row["category"] is not None:
                self._seen.setdefault(row["feature"], set()).add(row["category"])
        self._has_reference = bool(self._profiles)

    def of(
        self, feature: int, kind: FeatureKind, value: float | str | None, version: str
    ) -> tuple[str, bool]:
        """(in words, whether it is outside)."""
        if value is None or value == "(redacted)":
            return ("", False) if value else ("missing", True)
        if kind is FeatureKind.CATEGORICAL:
            seen = self._seen.get(feature)
            if seen is None or not self._has_reference:
                return "", False
            return ("seen", False) if value in seen else ("never seen", True)
        profile = self._profiles.get((version, feature)) or self._profiles.get(("", feature))
        if profile is None or profile["lowest"] is None or not isinstance(value, int | float):
            return "", False
        if not profile["lowest"] <= value <= profile["highest"]:
            end = "below" if value < profile["lowest"] else "above"
            edge = profile["lowest"] if value < profile["lowest"] else profile["highest"]
            return f"{end} all of it ({edge:.4g})", True
        return _decile(value, profile["deciles"]), False


def _decile(value: float, deciles: Sequence[float | None] | None) -> str:
    """Between which tenths of the reference a value lies."""
    known = [edge for edge in deciles or () if edge is not None]
    if len(known) != 9:
        return "inside"
    place = bisect_left(known, value)
    same = [i for i, (a, b) in enumerate(pairwise(known)) if a == value == b]
    if same:  # one value is common: it covers several tenths
        return f"p{10 * (same[0] + 1)} to p{10 * (same[-1] + 2)}"
    return f"p{10 * place} to p{10 * (place + 1)}"
