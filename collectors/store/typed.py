"""From a staged table, as the file had it, to typed columns with a reason for each bad record.

A record is kept when it says which prediction it is, when, and what was predicted. A feature that
cannot be read becomes missing and is counted; it does not cost the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collectors.contract import Deployment, LabelColumns, MetricColumns, Task
from collectors.store.layout import Column, Layout, Role
from collectors.store.moments import EARLIEST, NO_TIME, moment, stamp, without_zone
from collectors.store.names import quote, text
from collectors.store.reasons import Reason

__all__ = [
    "Reason",
    "StagedColumns",
    "answer",
    "expected_labels",
    "expected_metrics",
    "expected_predictions",
    "label_select",
    "metric_select",
    "prediction_select",
    "reference_select",
    "staged_columns",
]

CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far a source's clock may run ahead of ours before its rows count as being in the future."""

LARGEST = "1e75"
"""Regression sums go to the fourth power of an error; beyond this they would not be finite."""

LONGEST_NAME = 500
"""Characters of an id or a class; a version may have 200."""


@dataclass(frozen=True, slots=True)
class StagedColumns:
    """Columns of a staged table: name in the file -> DuckDB type, and -> its name in `stage`.

    A column without a physical name stands in `stage` under its own.
    """

    types: Mapping[str, str]
    physical: Mapping[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether the file has this column."""
        return bool(name) and name in self.types

    def kind(self, name: str) -> str:
        """The column's type, upper case."""
        return self.types[name].upper()

    def sql(self, name: str) -> str:
        """The column in `stage`, as SQL."""
        return self.physical.get(name) or quote(name)


def staged_columns(types: Mapping[str, str]) -> StagedColumns:
    """Columns that stand in `stage` as c0, c1, ... in this order.

    Names in a file may differ only by case, which DuckDB does not tell apart, or be anything.
    """
    return StagedColumns(types, {name: f"c{i}" for i, name in enumerate(types)})


def expected_predictions(layout: Layout) -> tuple[str, ...]:
    """The columns of a prediction log that the contract names."""
    d = layout.deployment
    named = [d.id, d.timestamp, d.version, *(c.source for c in layout.columns)]
    if d.labels is not None and d.labels.source.paths == d.predictions.paths:
        named += expected_labels(d.labels)
    return tuple(dict.fromkeys(name for name in named if name))


def expected_labels(columns: LabelColumns) -> tuple[str, ...]:
    """The columns of a label file that the contract names."""
    named = (columns.id, columns.value, columns.received, columns.event, columns.labeller)
    return tuple(dict.fromkeys(name for name in named if name))


def expected_metrics(columns: MetricColumns) -> tuple[str, ...]:
    """The columns of a file of system metrics that the contract names."""
    named = (columns.timestamp, columns.metric, columns.value, columns.version)
    return tuple(dict.fromkeys(name for name in named if name))


def prediction_select(layout: Layout, staged: StagedColumns, now: datetime) -> str:
    """SELECT position, id, ts, version, <columns>, problem FROM stage."""
    d = layout.deployment
    error = "error IS NULL" if staged.has(d.error) else "true"
    problem = (
        f"CASE WHEN id IS NULL OR id = '' THEN {text(Reason.NO_ID)} "
        f"WHEN length(id) > {LONGEST_NAME} THEN {text(Reason.ID_TOO_LONG)} "
        "WHEN ts_problem IS NOT NULL THEN ts_problem "
        f"WHEN ts IS NULL THEN {text(Reason.BAD_TIMESTAMP)} "
        f"WHEN ts < {EARLIEST} THEN {text(Reason.TOO_OLD)} "
        f"WHEN ts > {stamp(now + CLOCK_TOLERANCE)} THEN {text(Reason.FUTURE)} "
        f"WHEN length(version) > 200 THEN {text(Reason.BAD_VERSION)} "
        f"WHEN {error} AND output_problem IS NOT NULL THEN output_problem "
        f"WHEN {error} AND predicted IS NULL THEN {text(Reason.NO_PREDICTION)} END"
    )
    names = ", ".join(c.name for c in layout.columns)
    inner = _typed_values(layout, staged)
    return f"SELECT position, id, ts, version, {names}, {problem} AS problem FROM ({inner}) AS t"  # noqa: S608


def reference_select(layout: Layout, staged: StagedColumns, version: str, label: str) -> str:
    """SELECT position, id, ts, version, <columns>, label, problem FROM stage.

    A reference needs no ids and no times, but usable outputs. version: of all its rows; "" takes
    it from the version column, where there is one. label: the column of the true value.
    """
    of_version = text(version) if version else "version"
    if not version and not staged.has(layout.deployment.version):
        of_version = "''"
    written = _text(staged, label)
    problem = (
        f"CASE WHEN length(version) > 200 THEN {text(Reason.BAD_VERSION)} "
        "WHEN output_problem IS NOT NULL THEN output_problem "
        f"WHEN predicted IS NULL THEN {text(Reason.NO_PREDICTION)} "
        f"WHEN written_label <> '' AND label IS NULL THEN {text(Reason.BAD_LABEL)} "
        f"{_unusable_answer(layout, 'label', Reason.BAD_LABEL)} END"
    )
    names = ", ".join(c.name for c in layout.columns)
    extra = f", {answer(layout, staged, label)} AS label, {written} AS written_label"
    inner = _typed_values(layout, staged, extra)
    return (
        f"SELECT position, id, ts, {of_version} AS version, {names}, label, "  # noqa: S608
        f"{problem} AS problem FROM ({inner}) AS t"
    )


def label_select(layout: Layout, staged: StagedColumns, now: datetime) -> str:
    """SELECT position, id, value, received, event, labeller, dated, problem FROM stage.

    dated: whether the file says when. Labels that do not are received now, in their order, so
    that of two for one prediction the later line counts.
    """
    d = layout.deployment
    columns = d.labels
    if columns is None:
        raise ValueError(f"deployment {d.name} has no labels")
    event = _moment(staged, columns.event, d.timezone)
    received = _moment(staged, columns.received, d.timezone)
    inner = (
        f"SELECT position, {_text(staged, columns.id)} AS id, "  # noqa: S608
        f"{answer(layout, staged, columns.value)} AS value, "
        f"{_text(staged, columns.value)} AS written, "
        f"coalesce({received}, {event}) AS written_time, {event} AS event, "
        f"{_text(staged, columns.labeller)} AS labeller, "
        f"{_label_time_problem(staged, columns, d)} AS time_problem FROM stage"
    )
    ordered = (
        "SELECT *, written_time IS NOT NULL AS dated, coalesce(written_time, "  # noqa: S608
        f"{stamp(now)} - to_microseconds(max(position) OVER () - position)) AS received "
        f"FROM ({inner}) AS t"
    )
    problem = (
        f"CASE WHEN id IS NULL OR id = '' THEN {text(Reason.NO_ID)} "
        f"WHEN length(id) > {LONGEST_NAME} THEN {text(Reason.ID_TOO_LONG)} "
        "WHEN time_problem IS NOT NULL THEN time_problem "
        f"WHEN written IS NULL OR written = '' THEN {text(Reason.NO_LABEL)} "
        f"WHEN value IS NULL THEN {text(Reason.BAD_LABEL)} "
        f"{_unusable_answer(layout, 'value', Reason.BAD_LABEL)} "
        f"WHEN received > {stamp(now + CLOCK_TOLERANCE)} THEN {text(Reason.FUTURE)} "
        f"WHEN received < {EARLIEST} THEN {text(Reason.TOO_OLD)} END"
    )
    return (
        "SELECT position, id, value, received, event, labeller, dated, "  # noqa: S608
        f"{problem} AS problem FROM ({ordered}) AS t"
    )


def metric_select(columns: MetricColumns, staged: StagedColumns, now: datetime, zone: str) -> str:
    """SELECT position, ts, metric, version, value, problem FROM stage."""
    inner = (
        f"SELECT position, {_moment(staged, columns.timestamp, zone)} AS ts, "  # noqa: S608
        f"{_text(staged, columns.metric)} AS metric, "
        f"coalesce({_text(staged, columns.version)}, '') AS version, "
        f"{_number(staged, columns.value)} AS value, "
        f"{_timestamp_problem(staged, columns.timestamp, zone)} AS ts_problem FROM stage"
    )
    problem = (
        "CASE WHEN ts_problem IS NOT NULL THEN ts_problem "
        f"WHEN ts IS NULL THEN {text(Reason.BAD_TIMESTAMP)} "
        f"WHEN ts < {EARLIEST} THEN {text(Reason.TOO_OLD)} "
        f"WHEN ts > {stamp(now + CLOCK_TOLERANCE)} THEN {text(Reason.FUTURE)} "
        f"WHEN metric IS NULL OR metric = '' OR length(metric) > 200 "
        f"THEN {text(Reason.NO_METRIC)} "
        f"WHEN length(version) > 200 THEN {text(Reason.BAD_VERSION)} "
        f"WHEN value IS NULL OR NOT (value >= -1e150 AND value <= 1e150) "
        f"THEN {text(Reason.BAD_NUMBER)} END"
    )
    return f"SELECT position, ts, metric, version, value, {problem} AS problem FROM ({inner}) AS t"  # noqa: S608


def answer(layout: Layout, staged: StagedColumns, name: str) -> str:
    """A predicted or true value by task: 0/1, a class name, a number."""
    if not staged.has(name):
        return f"CAST(NULL AS {layout.label_type})"
    if layout.task is Task.REGRESSION:
        return _number(staged, name)
    written = _text(staged, name)
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


def _typed_values(layout: Layout, staged: StagedColumns, extra: str = "") -> str:
    d = layout.deployment
    values = [(c.name, _value(layout, staged, c)) for c in layout.columns]
    listed = "".join(f", {sql} AS {name}" for name, sql in values)
    version = f"nullif({_text(staged, d.version)}, '')" if d.version else "'all'"
    return (
        f"SELECT position, {_text(staged, d.id)} AS id, "  # noqa: S608
        f"{_moment(staged, d.timestamp, d.timezone)} AS ts, "
        f"coalesce({version}, '(none)') AS version{listed}{extra}, "
        f"{_timestamp_problem(staged, d.timestamp, d.timezone)} AS ts_problem, "
        f"{_output_problem(layout, staged)} AS output_problem FROM stage"
    )


def _unusable_answer(layout: Layout, value: str, reason: Reason) -> str:
    """WHEN for an answer that can be read and still not be summed up or shown."""
    if layout.task is Task.REGRESSION:
        limits = f"{value} >= -{LARGEST} AND {value} <= {LARGEST}"
        return f"WHEN NOT ({limits}) THEN {text(Reason.BAD_NUMBER)}"
    if layout.task is Task.MULTICLASS:
        return f"WHEN length({value}) > {LONGEST_NAME} THEN {text(reason)}"
    return ""


def _value(layout: Layout, staged: StagedColumns, column: Column) -> str:
    d = layout.deployment
    if column.role is Role.PREDICTED and layout.task is Task.BINARY and not d.prediction:
        return _by_threshold(layout, staged)
    if column.role is Role.FALLBACK_PREDICTED and d.fallback is not None and not column.source:
        score = _number(staged, d.fallback.score)
        if layout.task is Task.REGRESSION:
            return _limited(score)
        limit = 0.5 if d.fallback.threshold is None else d.fallback.threshold
        return f"CASE WHEN {score} >= {float(limit)!r} THEN 1 WHEN {score} IS NOT NULL THEN 0 END"
    if not staged.has(column.source):
        return f"CAST(NULL AS {column.type})"
    if column.role is Role.FALLBACK_PREDICTED and layout.task is Task.REGRESSION:
        return _limited(_number(staged, column.source))
    if column.role in (Role.PREDICTED, Role.FALLBACK_PREDICTED):
        return answer(layout, staged, column.source)
    if column.role is Role.ERROR:
        written = f"lower(trim({_text(staged, column.source)}))"
        fine = "'', '0', 'false', 'ok', 'none', '200', 'success'"
        return f"CASE WHEN {written} IN ({fine}) THEN NULL ELSE left({written}, 200) END"
    if column.type == "DOUBLE":
        return _number(staged, column.source)
    return f"nullif({_text(staged, column.source)}, '')"


def _by_threshold(layout: Layout, staged: StagedColumns) -> str:
    d = layout.deployment
    score = _number(staged, d.score)
    limits = d.threshold if isinstance(d.threshold, dict) else {}
    limit = repr(float(d.threshold_of("")))
    if limits and staged.has(d.version):
        cases = " ".join(
            f"WHEN {text(version)} THEN {float(value)!r}" for version, value in limits.items()
        )
        limit = f"CASE {_text(staged, d.version)} {cases} ELSE {limit} END"
    return f"CASE WHEN {score} >= {limit} THEN 1 WHEN {score} IS NOT NULL THEN 0 END"


def _output_problem(layout: Layout, staged: StagedColumns) -> str:
    """Why what was predicted cannot be used, or NULL."""
    d = layout.deployment
    tests = []
    if layout.has_score and staged.has(d.score):
        score, written = _number(staged, d.score), _text(staged, d.score)
        bad = text(Reason.BAD_SCORE)
        tests.append(f"WHEN {written} <> '' AND {score} IS NULL THEN {bad}")
        tests.append(f"WHEN NOT ({score} >= 0 AND {score} <= 1) THEN {bad}")
    for source in d.class_scores.values():
        if staged.has(source):
            score, written = _number(staged, source), _text(staged, source)
            bad = text(Reason.BAD_SCORE)
            tests.append(f"WHEN {written} <> '' AND {score} IS NULL THEN {bad}")
            tests.append(f"WHEN NOT ({score} >= 0 AND {score} <= 1) THEN {bad}")
    if d.prediction and staged.has(d.prediction):
        value = answer(layout, staged, d.prediction)
        written = _text(staged, d.prediction)
        tests.append(
            f"WHEN {written} <> '' AND ({value}) IS NULL THEN {text(Reason.BAD_PREDICTION)}"
        )
        tests.append(_unusable_answer(layout, f"({value})", Reason.BAD_PREDICTION))
    return f"CASE {' '.join(tests)} END" if tests else "CAST(NULL AS VARCHAR)"


def _limited(number: str) -> str:
    return f"CASE WHEN {number} >= -{LARGEST} AND {number} <= {LARGEST} THEN {number} END"


def _text(staged: StagedColumns, name: str) -> str:
    if not staged.has(name):
        return "CAST(NULL AS VARCHAR)"
    return f"CAST({staged.sql(name)} AS VARCHAR)"


def _number(staged: StagedColumns, name: str) -> str:
    if not staged.has(name):
        return "CAST(NULL AS DOUBLE)"
    if staged.kind(name) == "BOOLEAN":
        return f"CAST(CAST({staged.sql(name)} AS INTEGER) AS DOUBLE)"
    return f"TRY_CAST({staged.sql(name)} AS DOUBLE)"


def _moment(staged: StagedColumns, name: str, zone: str) -> str:
    if not staged.has(name):
        return NO_TIME
    return moment(staged.sql(name), staged.kind(name), zone)


def _timestamp_problem(staged: StagedColumns, name: str, zone: str) -> str:
    if not staged.has(name):
        return text(Reason.NO_TIMESTAMP)
    written = _text(staged, name)
    no_zone = "false" if zone else without_zone(staged.sql(name), staged.kind(name))
    return (
        f"CASE WHEN {written} IS NULL OR {written} = '' THEN {text(Reason.NO_TIMESTAMP)} "
        f"WHEN {no_zone} THEN {text(Reason.NO_ZONE)} END"
    )


def _label_time_problem(staged: StagedColumns, columns: LabelColumns, d: Deployment) -> str:
    tests = []
    for name in (columns.received, columns.event):
        if staged.has(name):
            if not d.timezone:
                no_zone = without_zone(staged.sql(name), staged.kind(name))
                tests.append(f"WHEN {no_zone} THEN {text(Reason.NO_ZONE)}")
            unread = f"{_text(staged, name)} <> '' AND ({_moment(staged, name, d.timezone)}) IS NULL"
            tests.append(f"WHEN {unread} THEN {text(Reason.BAD_TIMESTAMP)}")
    return f"CASE {' '.join(tests)} END" if tests else "CAST(NULL AS VARCHAR)"
