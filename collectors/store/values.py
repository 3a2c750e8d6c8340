"""How a written value is read, and why one cannot be: SQL over single columns of `stage`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from collectors.contract import Deployment, LabelColumns, Task
from collectors.store.layout import Column, Layout, Role
from collectors.store.moments import NO_TIME, moment, without_zone
from collectors.store.names import text
from collectors.store.reasons import Reason
from collectors.store.staged import StagedColumns

__all__ = [
    "LONGEST_NAME",
    "answer",
    "id_of",
    "label_time_problem",
    "moment_of",
    "number_of",
    "output_problem",
    "text_of",
    "timestamp_problem",
    "unusable_answer",
    "value_of",
]

LARGEST = "1e75"
"""Regression sums go to the fourth power of an error; beyond this they would not be finite."""

LONGEST_NAME = 500
"""Characters of an id or a class."""


def answer(layout: Layout, staged: StagedColumns, name: str) -> str:
    """A predicted or true value by task: 0/1, a class name, a number."""
    if not staged.has(name):
        return f"CAST(NULL AS {layout.label_type})"
    if layout.task is Task.REGRESSION:
        return number_of(staged, name)
    written = text_of(staged, name)
    if layout.task is Task.MULTICLASS:
        return f"nullif({written}, '')"
    positive = layout.deployment.positive
    if positive:
        return f"CASE WHEN {written} = {text(positive)} THEN 1 WHEN {written} <> '' THEN 0 END"
    low = f"lower(trim({written}))"
    number = f"TRY_CAST({written} AS DOUBLE)"
    return (
        f"CASE WHEN {low} IN ('true', 't', 'yes') OR {number} = 1 THEN 1 "
        f"WHEN {low} IN ('false', 'f', 'no') OR {number} = 0 THEN 0 END"
    )


def value_of(layout: Layout, staged: StagedColumns, column: Column) -> str:
    """What the store keeps of a column, as SQL over `stage`."""
    special = _SPECIAL.get(column.role)
    if special is not None:
        return special(layout, staged, column)
    if column.type == "DOUBLE":
        return number_of(staged, column.source)
    return f"nullif({text_of(staged, column.source)}, '')"


def _predicted(layout: Layout, staged: StagedColumns, column: Column) -> str:
    if layout.task is Task.BINARY and not column.source:
        return _by_threshold(layout, staged)
    return answer(layout, staged, column.source)


def _fallback(layout: Layout, staged: StagedColumns, column: Column) -> str:
    fallback = layout.deployment.fallback
    if fallback is None:
        return f"CAST(NULL AS {column.type})"
    if layout.task is Task.REGRESSION:
        number = number_of(staged, column.source or fallback.score)
        return f"CASE WHEN {number} >= -{LARGEST} AND {number} <= {LARGEST} THEN {number} END"
    if column.source:
        return answer(layout, staged, column.source)
    limit = 0.5 if fallback.threshold is None else fallback.threshold
    return _at_least(number_of(staged, fallback.score), repr(float(limit)))


def _error(_: Layout, staged: StagedColumns, column: Column) -> str:
    written = f"lower(trim({text_of(staged, column.source)}))"
    fine = "'', 'false', 'ok', 'none', 'success'"
    number = f"TRY_CAST({written} AS DOUBLE)"  # a frame writes codes as 200.0
    return (
        f"CASE WHEN {written} IN ({fine}) OR {number} = 0 OR ({number} >= 200 AND {number} < 300) "
        f"THEN NULL ELSE left({written}, 200) END"
    )


_SPECIAL: Mapping[Role, Callable[[Layout, StagedColumns, Column], str]] = {
    Role.PREDICTED: _predicted,
    Role.FALLBACK_PREDICTED: _fallback,
    Role.ERROR: _error,
}


def _at_least(score: str, limit: str) -> str:
    return f"CASE WHEN {score} >= {limit} THEN 1 WHEN {score} IS NOT NULL THEN 0 END"


def _by_threshold(layout: Layout, staged: StagedColumns) -> str:
    d = layout.deployment
    score = number_of(staged, d.score)
    limits = d.threshold if isinstance(d.threshold, dict) else {}
    limit = repr(float(d.threshold_of("")))
    if limits and staged.has(d.version):
        cases = " ".join(
            f"WHEN {text(version)} THEN {float(value)!r}" for version, value in limits.items()
        )
        limit = f"CASE {text_of(staged, d.version)} {cases} ELSE {limit} END"
    return _at_least(score, limit)


def output_problem(layout: Layout, staged: StagedColumns) -> str:
    """Why what was predicted cannot be used, or NULL."""
    d = layout.deployment
    tests = []
    scores = [d.score] if layout.has_score else list(d.class_scores.values())
    for source in scores:
        if staged.has(source):
            score, written = number_of(staged, source), text_of(staged, source)
            bad = text(Reason.BAD_SCORE)
            tests.append(f"WHEN {written} <> '' AND {score} IS NULL THEN {bad}")
            tests.append(f"WHEN NOT ({score} >= 0 AND {score} <= 1) THEN {bad}")
    if d.prediction and staged.has(d.prediction):
        value = answer(layout, staged, d.prediction)
        written = text_of(staged, d.prediction)
        tests.append(
            f"WHEN {written} <> '' AND ({value}) IS NULL THEN {text(Reason.BAD_PREDICTION)}"
        )
        tests.append(unusable_answer(layout, f"({value})", Reason.BAD_PREDICTION))
    return f"CASE {' '.join(tests)} END" if tests else "CAST(NULL AS VARCHAR)"


def unusable_answer(layout: Layout, value: str, reason: Reason) -> str:
    """WHEN for an answer that can be read and still not be summed up or shown."""
    if layout.task is Task.REGRESSION:
        limits = f"{value} >= -{LARGEST} AND {value} <= {LARGEST}"
        return f"WHEN NOT ({limits}) THEN {text(Reason.BAD_NUMBER)}"
    if layout.task is Task.MULTICLASS:
        return f"WHEN length({value}) > {LONGEST_NAME} THEN {text(reason)}"
    return ""


def timestamp_problem(staged: StagedColumns, name: str, zone: str) -> str:
    """Why a time that a record needs cannot be used, or NULL."""
    if not staged.has(name):
        return text(Reason.NO_TIMESTAMP)
    written = text_of(staged, name)
    no_zone = "false" if zone else without_zone(staged.sql(name), staged.kind(name))
    return (
        f"CASE WHEN {written} IS NULL OR {written} = '' THEN {text(Reason.NO_TIMESTAMP)} "
        f"WHEN {no_zone} THEN {text(Reason.NO_ZONE)} END"
    )


def label_time_problem(staged: StagedColumns, columns: LabelColumns, d: Deployment) -> str:
    """Why a label's times cannot be used, or NULL; it may have none."""
    tests = []
    for name in (columns.received, columns.event):
        if staged.has(name):
            if not d.timezone:
                no_zone = without_zone(staged.sql(name), staged.kind(name))
                tests.append(f"WHEN {no_zone} THEN {text(Reason.NO_ZONE)}")
            unread = (
                f"{text_of(staged, name)} <> '' AND ({moment_of(staged, name, d.timezone)}) IS NULL"
            )
            tests.append(f"WHEN {unread} THEN {text(Reason.BAD_TIMESTAMP)}")
    return f"CASE {' '.join(tests)} END" if tests else "CAST(NULL AS VARCHAR)"


def moment_of(staged: StagedColumns, name: str, zone: str) -> str:
    """A column as naive UTC, NULL where it is not there or cannot be read."""
    if not staged.has(name):
        return NO_TIME
    return moment(staged.sql(name), staged.kind(name), zone)


def id_of(staged: StagedColumns, name: str, source: str) -> str:
    """An id; where none is logged, the record's place: in which source, and the how manieth."""
    if name:
        return text_of(staged, name)
    place = hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{text(place + '#')} || CAST(position AS VARCHAR)"


def text_of(staged: StagedColumns, name: str) -> str:
    """A column as text, NULL where it is not there."""
    if not staged.has(name):
        return "CAST(NULL AS VARCHAR)"
    return f"CAST({staged.sql(name)} AS VARCHAR)"


def number_of(staged: StagedColumns, name: str) -> str:
    """A column as a number, NULL where it is not there or cannot be read."""
    if not staged.has(name):
        return "CAST(NULL AS DOUBLE)"
    if staged.kind(name) == "BOOLEAN":
        return f"CAST(CAST({staged.sql(name)} AS INTEGER) AS DOUBLE)"
    return f"TRY_CAST({staged.sql(name)} AS DOUBLE)"
