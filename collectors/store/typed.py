"""From a staged table, as the file had it, to typed columns with a reason for each bad record.

A record is kept when it says which prediction it is, when, and what was predicted. A feature that
cannot be read becomes missing and is counted; it does not cost the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from collectors.contract import Deployment, LabelColumns, Task
from collectors.store.layout import Column, Layout, Role
from collectors.store.names import quote, text
from collectors.store.rollups import stamp

__all__ = ["Reason", "StagedColumns", "label_select", "prediction_select"]

EARLIEST = "TIMESTAMP '1970-01-02'"
CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far a source's clock may run ahead of ours before its rows count as being in the future."""

LARGEST = "1e75"
"""Regression sums go to the fourth power of an error; beyond this they would not be finite."""


class Reason(StrEnum):
    """Why a record is in quarantine."""

    NOT_READABLE = "not readable"
    NOT_UTF8 = "not UTF-8"
    TOO_LONG = "line too long"
    NO_ID = "no id"
    ID_TOO_LONG = "id too long"
    NO_TIMESTAMP = "no timestamp"
    BAD_TIMESTAMP = "timestamp not readable"
    NO_ZONE = "timestamp without zone"
    FUTURE = "timestamp in the future"
    TOO_OLD = "timestamp before 1970"
    NO_PREDICTION = "no prediction"
    BAD_PREDICTION = "prediction not readable"
    BAD_SCORE = "score not between 0 and 1"
    BAD_NUMBER = "number not usable"
    NO_LABEL = "no label"
    BAD_LABEL = "label not readable"
    CONFLICT = "same id, other content"


@dataclass(frozen=True, slots=True)
class StagedColumns:
    """Columns of a staged table: name in the file -> DuckDB type."""

    types: dict[str, str]

    def has(self, name: str) -> bool:
        """Whether the file has this column."""
        return bool(name) and name in self.types

    def kind(self, name: str) -> str:
        """The column's type, upper case."""
        return self.types[name].upper()


def prediction_select(layout: Layout, staged: StagedColumns, now: datetime) -> str:
    """SELECT position, id, ts, version, <columns>, problem FROM stage."""
    d = layout.deployment
    ts = _moment(staged, d.timestamp, d.timezone)
    values = [(c.name, _value(layout, staged, c)) for c in layout.columns]
    listed = "".join(f", {sql} AS {name}" for name, sql in values)
    version = _text(staged, d.version) if d.version else "'all'"
    inner = (
        f"SELECT position, {_text(staged, d.id)} AS id, {ts} AS ts, "
        f"coalesce({version}, '(none)') AS version{listed}, "
        f"{_timestamp_problem(staged, d)} AS ts_problem, "
        f"{_output_problem(layout, staged)} AS output_problem FROM stage"
    )
    error = "error IS NULL" if staged.has(d.error) else "true"
    problem = (
        f"CASE WHEN id IS NULL OR id = '' THEN {text(Reason.NO_ID)} "
        f"WHEN length(id) > 500 THEN {text(Reason.ID_TOO_LONG)} "
        f"WHEN ts_problem IS NOT NULL THEN ts_problem "
        f"WHEN ts IS NULL THEN {text(Reason.BAD_TIMESTAMP)} "
        f"WHEN ts < {EARLIEST} THEN {text(Reason.TOO_OLD)} "
        f"WHEN ts > {stamp(now + CLOCK_TOLERANCE)} THEN {text(Reason.FUTURE)} "
        f"WHEN {error} AND output_problem IS NOT NULL THEN output_problem "
        f"WHEN {error} AND predicted IS NULL THEN {text(Reason.NO_PREDICTION)} END"
    )
    names = ", ".join(c.name for c in layout.columns)
    return f"SELECT position, id, ts, version, {names}, {problem} AS problem FROM ({inner}) AS t"  # noqa: S608


def label_select(layout: Layout, staged: StagedColumns, now: datetime) -> str:
    """SELECT position, id, value, received, event, labeller, problem FROM stage."""
    d = layout.deployment
    columns = d.labels
    if columns is None:
        raise ValueError(f"deployment {d.name} has no labels")
    event = _moment(staged, columns.event, d.timezone) if columns.event else _NO_TIME
    received = _moment(staged, columns.received, d.timezone) if columns.received else _NO_TIME
    labeller = _text(staged, columns.labeller) if columns.labeller else "CAST(NULL AS VARCHAR)"
    zone = _label_zone_problem(staged, columns, d)
    inner = (
        f"SELECT position, {_text(staged, columns.id)} AS id, "
        f"{answer(layout, staged, columns.value)} AS value, "
        f"{_text(staged, columns.value)} AS written, "
        f"coalesce({received}, {event}, {stamp(now)}) AS received, {event} AS event, "
        f"{labeller} AS labeller, {zone} AS zone_problem FROM stage"
    )
    problem = (
        f"CASE WHEN id IS NULL OR id = '' THEN {text(Reason.NO_ID)} "
        f"WHEN length(id) > 500 THEN {text(Reason.ID_TOO_LONG)} "
        f"WHEN zone_problem IS NOT NULL THEN zone_problem "
        f"WHEN written IS NULL OR written = '' THEN {text(Reason.NO_LABEL)} "
        f"WHEN value IS NULL THEN {text(Reason.BAD_LABEL)} "
        + (
            f"WHEN NOT (value >= -{LARGEST} AND value <= {LARGEST}) THEN {text(Reason.BAD_NUMBER)} "
            if layout.task is Task.REGRESSION
            else ""
        )
        + f"WHEN received > {stamp(now + CLOCK_TOLERANCE)} THEN {text(Reason.FUTURE)} "
        f"WHEN received < {EARLIEST} THEN {text(Reason.TOO_OLD)} END"
    )
    return (
        "SELECT position, id, value, received, event, labeller, "  # noqa: S608
        f"{problem} AS problem FROM ({inner}) AS t"
    )


def answer(layout: Layout, staged: StagedColumns, name: str) -> str:
    """A predicted or true value by task: 0/1, a class name, a number."""
    if not staged.has(name):
        return f"CAST(NULL AS {layout.label_type})"
    if layout.task is Task.REGRESSION:
        return _number(staged, name)
    if layout.task is Task.MULTICLASS:
        return _text(staged, name)
    written = _text(staged, name)
    positive = layout.deployment.positive
    if positive:
        return f"CASE WHEN {written} IS NULL THEN NULL WHEN {written} = {text(positive)} THEN 1 ELSE 0 END"
    low = f"lower(trim({written}))"
    return (
        f"CASE WHEN {low} IN ('1', 'true', 't', 'yes', '1.0') THEN 1 "
        f"WHEN {low} IN ('0', 'false', 'f', 'no', '0.0') THEN 0 END"
    )


_NO_TIME = "CAST(NULL AS TIMESTAMP)"


def _value(layout: Layout, staged: StagedColumns, column: Column) -> str:
    d = layout.deployment
    if column.role is Role.PREDICTED and layout.task is Task.BINARY and not d.prediction:
        return _by_threshold(layout, staged)
    if column.role is Role.FALLBACK_PREDICTED and d.fallback is not None and not column.source:
        score = _number(staged, d.fallback.score)
        if layout.task is Task.REGRESSION:
            return score
        limit = 0.5 if d.fallback.threshold is None else d.fallback.threshold
        return f"CASE WHEN {score} >= {float(limit)!r} THEN 1 WHEN {score} IS NOT NULL THEN 0 END"
    if not staged.has(column.source):
        return f"CAST(NULL AS {column.type})"
    if column.role in (Role.PREDICTED, Role.FALLBACK_PREDICTED):
        return answer(layout, staged, column.source)
    if column.role is Role.ERROR:
        written = f"lower(trim({_text(staged, column.source)}))"
        fine = "'', '0', 'false', 'ok', 'none', '200', 'success'"
        return f"CASE WHEN {written} IN ({fine}) THEN NULL ELSE {written} END"
    if column.type == "DOUBLE":
        return _number(staged, column.source)
    return _text(staged, column.source)


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
            score = _number(staged, source)
            tests.append(f"WHEN NOT ({score} >= 0 AND {score} <= 1) THEN {text(Reason.BAD_SCORE)}")
    if d.prediction and staged.has(d.prediction):
        value = answer(layout, staged, d.prediction)
        written = _text(staged, d.prediction)
        tests.append(
            f"WHEN {written} <> '' AND ({value}) IS NULL THEN {text(Reason.BAD_PREDICTION)}"
        )
        if layout.task is Task.REGRESSION:
            tests.append(
                f"WHEN NOT ({value} >= -{LARGEST} AND {value} <= {LARGEST}) "
                f"THEN {text(Reason.BAD_NUMBER)}"
            )
    return f"CASE {' '.join(tests)} END" if tests else "CAST(NULL AS VARCHAR)"


def _text(staged: StagedColumns, name: str) -> str:
    if not staged.has(name):
        return "CAST(NULL AS VARCHAR)"
    return f"CAST({quote(name)} AS VARCHAR)"


def _number(staged: StagedColumns, name: str) -> str:
    if not staged.has(name):
        return "CAST(NULL AS DOUBLE)"
    if staged.kind(name) == "BOOLEAN":
        return f"CAST(CAST({quote(name)} AS INTEGER) AS DOUBLE)"
    return f"TRY_CAST({quote(name)} AS DOUBLE)"


# a zone at the end of a written time: Z, +01, +01:00, +0100; a date's own '-01' has no time before
_ZONED = r"'[T ]\d{1,2}:\d{2}.*(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)\s*$'"
_EPOCH = r"'^\s*-?\d{6,19}(\.\d+)?\s*$'"


def _epoch(number: str) -> str:
    """Seconds, milli-, micro- or nanoseconds since 1970, told by size (years 1973 to 2286)."""
    scaled = (
        f"CASE WHEN abs({number}) < 1e11 THEN {number} * 1e6 "
        f"WHEN abs({number}) < 1e14 THEN {number} * 1e3 "
        f"WHEN abs({number}) < 1e17 THEN {number} WHEN abs({number}) < 1e20 THEN {number} / 1e3 END"
    )
    return f"make_timestamp(TRY_CAST({scaled} AS BIGINT))"


def _moment(staged: StagedColumns, name: str, zone: str) -> str:
    """A column as naive UTC, NULL where it cannot be read."""
    if not staged.has(name):
        return _NO_TIME
    column, kind = quote(name), staged.kind(name)
    if "WITH TIME ZONE" in kind:
        return f"CAST(timezone('UTC', {column}) AS TIMESTAMP)"
    naive = f"timezone('UTC', timezone({text(zone)}, {{}}))" if zone else "{}"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return naive.format(f"CAST({column} AS TIMESTAMP)")
    if kind in ("VARCHAR", "JSON"):
        local = naive.format(f"TRY_CAST({column} AS TIMESTAMP)")
        return (
            f"CASE WHEN regexp_matches({column}, {_EPOCH}) "
            f"THEN {_epoch(f'TRY_CAST({column} AS DOUBLE)')} "
            f"WHEN regexp_matches({column}, {_ZONED}) "
            f"THEN timezone('UTC', TRY_CAST({column} AS TIMESTAMPTZ)) ELSE {local} END"
        )
    return _epoch(f"TRY_CAST({column} AS DOUBLE)")


def _without_zone(staged: StagedColumns, name: str) -> str:
    """Whether a written time has no zone; SQL true or false."""
    kind = staged.kind(name)
    if "WITH TIME ZONE" in kind:
        return "false"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"{quote(name)} IS NOT NULL"
    if kind in ("VARCHAR", "JSON"):
        column = quote(name)
        return (
            f"(TRY_CAST({column} AS TIMESTAMP) IS NOT NULL AND NOT regexp_matches({column}, "
            f"{_ZONED}) AND NOT regexp_matches({column}, {_EPOCH}))"
        )
    return "false"


def _timestamp_problem(staged: StagedColumns, d: Deployment) -> str:
    if not staged.has(d.timestamp):
        return text(Reason.NO_TIMESTAMP)
    written = _text(staged, d.timestamp)
    no_zone = "false" if d.timezone else _without_zone(staged, d.timestamp)
    return (
        f"CASE WHEN {written} IS NULL OR {written} = '' THEN {text(Reason.NO_TIMESTAMP)} "
        f"WHEN {no_zone} THEN {text(Reason.NO_ZONE)} END"
    )


def _label_zone_problem(staged: StagedColumns, columns: LabelColumns, d: Deployment) -> str:
    names = [n for n in (columns.received, columns.event) if staged.has(n)]
    if d.timezone or not names:
        return "CAST(NULL AS VARCHAR)"
    either = " OR ".join(_without_zone(staged, n) for n in names)
    return f"CASE WHEN {either} THEN {text(Reason.NO_ZONE)} END"
