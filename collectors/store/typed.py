"""From a staged table, as the file had it, to typed columns with a reason for each bad record.

A record is kept when it says which prediction it is, when, and what was predicted. A feature that
cannot be read becomes missing and is counted; it does not cost the record.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from collectors.contract import LabelColumns, MetricColumns, Traffic
from collectors.store.layout import Layout
from collectors.store.moments import AT_ONCE, EARLIEST, UNTIMED, stamp
from collectors.store.names import text
from collectors.store.reasons import Reason
from collectors.store.staged import StagedColumns
from collectors.store.values import (
    LONGEST_NAME,
    answer,
    id_of,
    label_time_problem,
    moment_of,
    number_of,
    output_problem,
    text_of,
    timestamp_problem,
    unusable_answer,
    value_of,
)

__all__ = [
    "StagedColumns",
    "expected_labels",
    "expected_metrics",
    "expected_predictions",
    "label_select",
    "metric_select",
    "prediction_select",
    "reference_select",
]

CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far a source's clock may run ahead of ours before its rows count as being in the future."""


def expected_predictions(layout: Layout) -> tuple[str, ...]:
    """The columns of a prediction log that the contract names."""
    d = layout.deployment
    named = [d.id, d.timestamp, d.version, *(c.source for c in layout.columns)]
    if d.labels is not None and d.labels_beside:
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


def prediction_select(
    layout: Layout, staged: StagedColumns, now: datetime, source: str = ""
) -> str:
    """SELECT position, id, ts, version, <columns>, problem FROM stage.

    source: what ids begin with where none is logged.
    """
    d = layout.deployment
    error = "error IS NULL" if staged.has(d.error) else "true"
    asked = answered = shadow = ""
    extra = part = ""
    if staged.halves:  # a response has no time that counts, a request no answer
        asked, answered = "part <> 'response' AND ", "part <> 'request' AND "
        wanted = "true" if d.traffic is Traffic.SHADOW else "false"
        shadow = f"WHEN shadow <> {wanted} THEN {text(Reason.OTHER_TRAFFIC)} "
        part = ", part, request, item, items"
        extra = f"{part}, shadow"
    problem = (
        f"CASE {shadow}WHEN id IS NULL OR id = '' THEN {text(Reason.NO_ID)} "
        f"WHEN length(id) > {LONGEST_NAME} THEN {text(Reason.ID_TOO_LONG)} "
        f"WHEN {asked}ts_problem IS NOT NULL THEN ts_problem "
        f"WHEN {asked}ts IS NULL THEN {text(Reason.BAD_TIMESTAMP)} "
        f"WHEN {asked}ts < {EARLIEST} THEN {text(Reason.TOO_OLD)} "
        f"WHEN {asked}ts > {stamp(now + CLOCK_TOLERANCE)} THEN {text(Reason.FUTURE)} "
        f"WHEN length(version) > 200 THEN {text(Reason.BAD_VERSION)} "
        f"WHEN {answered}{error} AND output_problem IS NOT NULL THEN output_problem "
        f"WHEN {answered}{error} AND predicted IS NULL THEN {text(Reason.NO_PREDICTION)} END"
    )
    names = ", ".join(c.name for c in layout.columns)
    inner = _typed_values(layout, staged, extra, source)
    return (
        f"SELECT position, id, ts, version, {names}{part}, {problem} AS problem FROM ({inner}) AS t"
    )


def reference_select(layout: Layout, staged: StagedColumns, version: str, label: str) -> str:
    """SELECT position, id, ts, version, <columns>, label, problem FROM stage.

    A reference needs no ids and no times, but usable outputs. version: of all its rows; "" takes
    it from the version column, where there is one. label: the column of the true value.
    """
    of_version = text(version) if version else "version"
    if not version and not staged.has(layout.deployment.version):
        of_version = "''"
    written = text_of(staged, label)
    problem = (
        f"CASE WHEN length(version) > 200 THEN {text(Reason.BAD_VERSION)} "
        "WHEN output_problem IS NOT NULL THEN output_problem "
        f"WHEN predicted IS NULL THEN {text(Reason.NO_PREDICTION)} "
        f"WHEN written_label <> '' AND label IS NULL THEN {text(Reason.BAD_LABEL)} "
        f"{unusable_answer(layout, 'label', Reason.BAD_LABEL)} END"
    )
    names = ", ".join(c.name for c in layout.columns)
    extra = f", {answer(layout, staged, label)} AS label, {written} AS written_label"
    inner = _typed_values(layout, staged, extra)
    return (
        f"SELECT position, id, ts, {of_version} AS version, {names}, label, "
        f"{problem} AS problem FROM ({inner}) AS t"
    )


def label_select(layout: Layout, staged: StagedColumns, now: datetime, source: str = "") -> str:
    """SELECT position, id, value, received, event, labeller, dated, problem FROM stage.

    dated: whether the file says when. Labels that do not are received now, in their order, so
    that of two for one prediction the later line counts.
    """
    d = layout.deployment
    columns = d.labels
    if columns is None:
        raise ValueError(f"deployment {d.name} has no labels")
    event = moment_of(staged, columns.event, d.timezone)
    received = moment_of(staged, columns.received, d.timezone)
    inner = (
        f"SELECT position, {id_of(staged, columns.id, source)} AS id, "
        f"{answer(layout, staged, columns.value)} AS value, "
        f"{text_of(staged, columns.value)} AS written, "
        f"coalesce({received}, {event}) AS written_time, {event} AS event, "
        f"{text_of(staged, columns.labeller)} AS labeller, "
        f"{label_time_problem(staged, columns, d)} AS time_problem FROM stage"
    )
    if d.labels_beside:  # a prediction without a value beside it has no label yet
        inner = f"SELECT * FROM ({inner}) AS beside WHERE written <> ''"
    undated = f"{stamp(now)} - to_microseconds(max(position) OVER () - position)"
    if columns.at_once:
        undated = f"{AT_ONCE} + to_microseconds(position)"
    ordered = (
        "SELECT *, written_time IS NOT NULL AS dated, "
        f"coalesce(written_time, {undated}) AS received FROM ({inner}) AS t"
    )
    problem = (
        f"CASE WHEN id IS NULL OR id = '' THEN {text(Reason.NO_ID)} "
        f"WHEN length(id) > {LONGEST_NAME} THEN {text(Reason.ID_TOO_LONG)} "
        "WHEN time_problem IS NOT NULL THEN time_problem "
        f"WHEN written IS NULL OR written = '' THEN {text(Reason.NO_LABEL)} "
        f"WHEN value IS NULL THEN {text(Reason.BAD_LABEL)} "
        f"{unusable_answer(layout, 'value', Reason.BAD_LABEL)} "
        f"WHEN received > {stamp(now + CLOCK_TOLERANCE)} THEN {text(Reason.FUTURE)} "
        f"WHEN dated AND received < {EARLIEST} THEN {text(Reason.TOO_OLD)} END"
    )
    return (
        "SELECT position, id, value, received, event, labeller, dated, "
        f"{problem} AS problem FROM ({ordered}) AS t"
    )


def metric_select(columns: MetricColumns, staged: StagedColumns, now: datetime, zone: str) -> str:
    """SELECT position, ts, metric, version, value, problem FROM stage."""
    inner = (
        f"SELECT position, {moment_of(staged, columns.timestamp, zone)} AS ts, "
        f"{text_of(staged, columns.metric)} AS metric, "
        f"coalesce({text_of(staged, columns.version)}, '') AS version, "
        f"{number_of(staged, columns.value)} AS value, "
        f"{timestamp_problem(staged, columns.timestamp, zone)} AS ts_problem FROM stage"
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
    return f"SELECT position, ts, metric, version, value, {problem} AS problem FROM ({inner}) AS t"


def _typed_values(layout: Layout, staged: StagedColumns, extra: str = "", source: str = "") -> str:
    d = layout.deployment
    values = [(c.name, value_of(layout, staged, c)) for c in layout.columns]
    listed = "".join(f", {sql} AS {name}" for name, sql in values)
    version = f"nullif({text_of(staged, d.version)}, '')" if d.version else "'all'"
    time_problem = "CAST(NULL AS VARCHAR)"
    if d.timed:
        time_problem = timestamp_problem(staged, d.timestamp, d.timezone)
    return (
        f"SELECT position, {id_of(staged, d.id, source)} AS id, "
        f"{moment_of(staged, d.timestamp, d.timezone) if d.timed else UNTIMED} AS ts, "
        f"coalesce({version}, '(none)') AS version{listed}{extra}, "
        f"{time_problem} AS ts_problem, "
        f"{output_problem(layout, staged)} AS output_problem FROM stage"
    )
