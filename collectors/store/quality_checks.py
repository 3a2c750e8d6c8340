"""Rules on single records, as vectorised SQL over typed rows: set apart, or noted by the hour.

What failed is noted per (batch, rule, column, hour), so it adds up to the same however a log is cut
into batches. A record that a rule sends to quarantine is judged before repetitions are looked for,
a row that is only flagged once it is new. Without rules nothing is run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from collectors.quality_rules import Action, ColumnRule
from collectors.store.batches import Batch, BatchCounts
from collectors.store.database import Cursor, count, temp_table
from collectors.store.layout import Layout
from collectors.store.moments import naive_utc, stamp
from collectors.store.names import text
from collectors.store.places import number
from collectors.store.quarantine import keep_records
from collectors.store.reasons import Reason
from collectors.store.staged import StagedColumns

__all__ = ["LEAST_RECORDS", "QualityChecks", "RowCheck", "forget_set_apart", "row_checks"]

LEAST_RECORDS = 10
"""Records of a batch from which its share of bad ones gets a verdict."""

_REASONS = {
    "range": Reason.OUT_OF_RANGE,
    "values": Reason.NOT_ALLOWED,
    "required": Reason.REQUIRED,
}


@dataclass(frozen=True, slots=True)
class RowCheck:
    """One rule on one column. fails: SQL over the physical columns, never NULL. detail: for people.

    rule: range, values or required.
    """

    rule: str
    subject: str
    fails: str
    detail: str
    quarantines: bool


def row_checks(layout: Layout) -> tuple[RowCheck, ...]:
    """The rules of a deployment that judge single records, in the order of the configuration."""
    quality = layout.deployment.quality
    if quality is None:
        return ()
    physical = _physical(layout)
    return tuple(
        check
        for subject, rule in quality.columns.items()
        for check in _of_column(subject, rule, *physical[subject])
    )


class QualityChecks:
    """The checks of one deployment's batches; all within the transaction of the batch."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.quality = layout.deployment.quality
        self.checks = row_checks(layout)

    def set_apart(self, cursor: Cursor, staged: StagedColumns, batch: Batch) -> int:
        """Move rows of `typed` that fail a rule which quarantines to quarantine; their number.

        A half is judged by the values that it has. A row that the store already holds as it is
        came before the rule: it stays, and repeats itself.
        """
        checks = [
            c for c in self.checks if c.quarantines and not (staged.halves and c.rule == "required")
        ]
        if not checks:
            return 0
        self._keep_failing(cursor, "set_apart", "typed WHERE problem IS NULL", checks)
        if not count(cursor, "set_apart"):
            return 0
        if not staged.halves:
            self._forgive_stored(cursor)
        reason = " ".join(
            f"WHEN b{i} THEN {text(_REASONS[c.rule].value)}" for i, c in enumerate(checks)
        )
        detail = " ".join(f"WHEN b{i} THEN {text(c.detail)}" for i, c in enumerate(checks))
        n = keep_records(
            cursor,
            staged,
            batch,
            f"SELECT position, CASE {reason} END AS problem, CASE {detail} END AS detail "
            "FROM set_apart",
            detailed=True,
        )
        self._note(
            cursor, batch, "typed WHERE problem IS NULL", "set_apart", checks, quarantined=True
        )
        cursor.execute("DELETE FROM typed WHERE position IN (SELECT position FROM set_apart)")
        return n

    def flag(self, cursor: Cursor, batch: Batch, *, first: bool) -> None:
        """Note which new rows of `good` fail a rule. first: the log's beginning, which is old and
        not late.
        """
        checks = list(self.checks)
        if self.quality is not None and self.quality.late is not None and not first:
            since = stamp(naive_utc(batch.now) - self.quality.late.after)
            checks.append(RowCheck("late", "predictions", f"ts < {since}", "", quarantines=False))
        if checks:
            self._keep_failing(cursor, "flagged", "good", checks)
            if count(cursor, "flagged"):
                self._note(cursor, batch, "good", "flagged", checks, quarantined=False)

    def judge(self, cursor: Cursor, batch: Batch, counts: BatchCounts) -> None:
        """Note a batch of which too large a part went to quarantine."""
        quality = self.quality
        if quality is None or counts.n_read < LEAST_RECORDS:
            return
        if counts.n_quarantined > quality.max_bad * counts.n_read:
            cursor.execute(
                "INSERT INTO failed_checks VALUES (?, ?, 'batch', ?, NULL, true, ?, ?, NULL, NULL, "
                "?)",
                [
                    *(batch.deployment, batch.number, batch.part.source),
                    *(counts.n_read, counts.n_quarantined, batch.now),
                ],
            )

    def judge_again(self, cursor: Cursor) -> None:
        """Judge the rows that the store holds by changed rules: what was noted of them is replaced.

        Hours whose rows are gone keep their notes; so does what was late, which was so on arrival.
        """
        stored = self.layout.table("predictions")
        name = self.layout.name
        cursor.execute(
            "DELETE FROM failed_checks WHERE deployment = ? AND NOT quarantined "
            f"AND rule <> 'late' AND bucket >= (SELECT date_trunc('hour', min(ts)) FROM {stored})",
            [name],
        )
        if not self.checks:
            return
        sums = ", ".join(
            f"count(*) FILTER ({c.fails}) AS n{i}, min(ts) FILTER ({c.fails}) AS first{i}, "
            f"max(ts) FILTER ({c.fails}) AS last{i}"
            for i, c in enumerate(self.checks)
        )
        temp_table(
            cursor,
            "judged_again",
            f"SELECT batch, date_trunc('hour', ts) AS bucket, count(*) AS n, {sums} "
            f"FROM {stored} GROUP BY ALL",
        )
        for i, c in enumerate(self.checks):
            cursor.execute(
                f"INSERT INTO failed_checks SELECT {text(name)}, j.batch, {text(c.rule)}, "
                f"{text(c.subject)}, bucket, false, n, n{i}, first{i}, last{i}, "
                f"coalesce(loaded_at, last{i}) "
                "FROM judged_again AS j LEFT JOIN batches AS b ON b.batch = j.batch "
                f"WHERE n{i} > 0"
            )

    # -- steps -----------------------------------------------------------------------------------

    @staticmethod
    def _keep_failing(cursor: Cursor, table: str, rows: str, checks: Iterable[RowCheck]) -> None:
        """The few rows that fail anything, with a column per check."""
        fails = [c.fails for c in checks]
        marks = ", ".join(f"{sql} AS b{i}" for i, sql in enumerate(fails))
        joined = "AND" if "WHERE" in rows else "WHERE"
        temp_table(
            cursor,
            table,
            f"SELECT position, ts, {marks} FROM {rows} {joined} ({' OR '.join(fails)})",
        )

    def _forgive_stored(self, cursor: Cursor) -> None:
        names = ["ts", "version", *(c.name for c in self.layout.columns)]
        same = " AND ".join(f"a.{n} IS NOT DISTINCT FROM b.{n}" for n in names)
        low, high = cursor.execute("SELECT min(ts), max(ts) FROM set_apart").fetchall()[0]
        cursor.execute(
            "DELETE FROM set_apart WHERE position IN (SELECT a.position FROM typed AS a "
            f"JOIN {self.layout.table('predictions')} AS b ON a.id = b.id AND {same} "
            "WHERE a.position IN (SELECT position FROM set_apart) "
            f"AND b.ts >= {stamp(low)} AND b.ts <= {stamp(high)})"
        )

    def _note(
        self,
        cursor: Cursor,
        batch: Batch,
        rows: str,
        failing: str,
        checks: Iterable[RowCheck],
        *,
        quarantined: bool,
    ) -> None:
        """Count what failed by the hour, beside how many rows of the hour were looked at."""
        hour = "date_trunc('hour', ts)"
        parts = [
            f"SELECT {text(c.rule)} AS rule, {text(c.subject)} AS subject, {hour} AS bucket, "
            f"count(*) AS n_failed, min(ts) AS first_ts, max(ts) AS last_ts "
            f"FROM {failing} WHERE b{i} GROUP BY {hour}"
            for i, c in enumerate(checks)
        ]
        cursor.execute(
            f"INSERT INTO failed_checks SELECT ?, ?, rule, subject, f.bucket, {quarantined}, h.n, "
            f"n_failed, first_ts, last_ts, ? FROM ({' UNION ALL '.join(parts)}) AS f "
            f"JOIN (SELECT {hour} AS bucket, count(*) AS n FROM {rows} GROUP BY {hour}) AS h "
            "ON h.bucket IS NOT DISTINCT FROM f.bucket",
            [batch.deployment, batch.number, batch.now],
        )


def forget_set_apart(cursor: Cursor, deployment: str, kind: str, source: str) -> None:
    """Forget what a source's records in quarantine failed, and its failing batches: they are read
    anew. Within a transaction, while the batches are still known.
    """
    cursor.execute(
        "DELETE FROM failed_checks WHERE deployment = $1 AND quarantined AND batch IN "
        "(SELECT batch FROM batches WHERE deployment = $1 AND kind = $2 AND source = $3)",
        [deployment, kind, source],
    )


def _physical(layout: Layout) -> dict[str, tuple[str, bool]]:
    """What a rule may name -> (physical column, whether it is a number)."""
    d = layout.deployment
    kinds = {c.name: c.type != "VARCHAR" for c in layout.columns}
    found = {"prediction": "predicted", "score": "score"}
    found |= {name: name for name in ("latency_ms", "cost")}
    found |= {s.source_column: f"s{i}" for i, s in enumerate(d.segments)}
    found |= {f.name: f"f{i}" for i, f in enumerate(d.features)}
    return {name: (column, kinds[column]) for name, column in found.items() if column in kinds}


def _of_column(subject: str, rule: ColumnRule, column: str, is_number: bool) -> Iterable[RowCheck]:
    quarantines = rule.action is Action.QUARANTINE
    shown = subject[:100]
    ends = []
    if rule.min is not None:
        ends.append(f"{column} < {number(rule.min)}")
    if rule.max is not None:
        ends.append(f"{column} > {number(rule.max)}")
    if ends:
        # NaN sorts above all numbers: without an upper end it would pass
        if rule.max is None:
            ends.append(f"isnan(CAST({column} AS DOUBLE))")
        allowed = _range_words(rule)
        yield RowCheck(
            "range",
            subject,
            f"coalesce({' OR '.join(ends)}, false)",
            f"{shown}: allowed are {allowed}",
            quarantines,
        )
    if rule.values:
        listed = ", ".join(_literal(v, is_number) for v in rule.values)
        yield RowCheck(
            "values",
            subject,
            f"coalesce({column} NOT IN ({listed}), false)",
            f"{shown}: not among the {len(rule.values)} allowed values",
            quarantines,
        )
    if rule.required:
        missing = f"{column} IS NULL"
        if is_number:
            missing = f"({missing} OR isnan(CAST({column} AS DOUBLE)))"
        if column in ("predicted", "score"):  # a request that failed has no answer
            missing = f"(error IS NULL AND {missing})"
        yield RowCheck("required", subject, missing, f"{shown}: has no value", quarantines)


def _range_words(rule: ColumnRule) -> str:
    if rule.min is None:
        return f"{rule.max:g} and below"
    return f"{rule.min:g} and above" if rule.max is None else f"{rule.min:g} to {rule.max:g}"


def _literal(value: float | str, is_number: bool) -> str:
    if not is_number:
        return text(str(value))
    found = float(value)
    return number(found) if math.isfinite(found) else "NULL"
