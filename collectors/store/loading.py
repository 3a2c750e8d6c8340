"""A batch into the store: checks, duplicates, labels, rollups and offset in one transaction.

What is committed together: the rows, their rollup additions, the quarantined records, the source's
offset and the batch's counts. Killed at any moment, the store holds every row once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from collectors.contract import MetricColumns
from collectors.store import labels as label_steps
from collectors.store.batches import (
    Batch,
    BatchCounts,
    Offset,
    Reject,
    Slice,
    begin,
    finish,
    offset_of,
)
from collectors.store.bins import freeze_bins
from collectors.store.database import Cursor, Database, count, temp_table
from collectors.store.days import OUTCOME_PART, forget
from collectors.store.halves import join_halves
from collectors.store.late import set_apart_late, set_apart_late_labels
from collectors.store.layout import Layout
from collectors.store.moments import naive_utc, stamp
from collectors.store.names import text
from collectors.store.quality_checks import QualityChecks
from collectors.store.quarantine import keep_records, keep_rejects, keep_typed
from collectors.store.reasons import Reason
from collectors.store.rollups import SETTLE_CHANGES, Rollups
from collectors.store.schema_changes import note_schema
from collectors.store.segment_values import note_classes, note_segment_values
from collectors.store.staged import StagedColumns
from collectors.store.typed import (
    expected_predictions,
    label_select,
    metric_select,
    prediction_select,
)

__all__ = ["BatchCounts", "Loader", "Offset", "Reject", "Slice", "offset_of"]

DUPLICATE_REACH = timedelta(days=1)
"""How far a repeated prediction's time may differ and still be found as a repetition."""


class Loader:
    """Loads staged batches of one deployment. `stage` is a temporary table with `position`."""

    def __init__(self, database: Database, layout: Layout, rollups: Rollups) -> None:
        self.database = database
        self.layout = layout
        self.rollups = rollups
        self.checks = QualityChecks(layout)
        self.defer = False
        """Leave the rollups to a rebuild that follows: for a first load, when one pass over all
        rows and labels is cheaper than adding every file's rows and taking them back."""
        self.touched: set[tuple[str, datetime]] = set()
        """Days of rollups that were added to, by part, since this was last emptied."""

    # -- predictions -----------------------------------------------------------------------------

    def predictions(
        self, staged: StagedColumns, part: Slice, rejects: Sequence[Reject], now: datetime
    ) -> BatchCounts:
        """Load the staged predictions; raises duckdb.Error only for a broken store."""
        layout, d = self.layout, self.layout.deployment
        with self.rollups.transaction(self.database) as cursor:
            batch = begin(cursor, layout.name, part, naive_utc(now))
            temp_table(cursor, "typed", prediction_select(layout, staged, batch.now, part.source))
            if staged.types:
                note_schema(cursor, layout, staged, expected_predictions(layout), batch)
            n_read = count(cursor, "typed") + len(rejects)
            lacking = _lacking(
                staged,
                {
                    Reason.NO_ID: d.id,
                    Reason.NO_TIMESTAMP: d.timestamp,
                    Reason.NO_PREDICTION: d.prediction or d.score,
                },
            )
            n_bad = keep_typed(cursor, staged, batch, lacking)
            n_bad += self.checks.set_apart(cursor, staged, batch)
            columns = ", ".join(c.name for c in layout.columns)
            listed = f"id, ts, version, {columns}"
            n_again = n_conflict = 0
            if staged.halves:
                joined = join_halves(cursor, layout, staged, batch)
                n_bad, n_again = n_bad + joined.n_conflict, joined.n_duplicate
            else:
                temp_table(
                    cursor, "good", f"SELECT position, {listed} FROM typed WHERE problem IS NULL"
                )
            late = set_apart_late(cursor, layout, staged, batch)
            n_bad, n_again = n_bad + late.n_kept, n_again + late.n_known
            n_whole = count(cursor, "good")
            if n_whole:
                n_conflict = self._set_apart_repeated(cursor, staged, batch)
                n_bad += n_conflict
            n_new = count(cursor, "good")
            if n_new:
                self._first_bins(cursor, n_new)
                self._note_segment_values(cursor)
                self.checks.flag(cursor, batch, first=self.defer)
                cursor.execute(
                    f"INSERT INTO {layout.table('predictions')} ({listed}, batch) "
                    f"SELECT {listed}, {batch.number} FROM good ORDER BY ts"
                )
                self._mark(cursor, "good", "count(*)", "NULL")
                if label_steps.take_waiting(cursor, layout):
                    self._mark(cursor, "woken", "0", "max(received)")
                    self._note_classes(cursor, "woken")
                if not self.defer:
                    self.rollups.add(cursor, label_steps.labelled("good", "woken"), "good")
            n_bad += keep_rejects(cursor, rejects, batch)
            n_rest = n_read - n_new - n_bad
            if staged.halves:  # what is neither is a half; one that waited is of a row now
                n_again += n_whole - n_new - n_conflict if n_whole else 0
                counts = BatchCounts(n_read, n_new, n_again, n_rest - n_again, n_bad)
            else:
                counts = BatchCounts(n_read, n_new, n_rest, 0, n_bad)
            self.checks.judge(cursor, batch, counts)
            finish(cursor, batch, counts)
        return counts

    def _set_apart_repeated(self, cursor: Cursor, staged: StagedColumns, batch: Batch) -> int:
        """Drop repeated predictions from `good`; those that differ go to quarantine (count)."""
        names = ["ts", "version", *(c.name for c in self.layout.columns)]
        same = " AND ".join(f"a.{n} IS NOT DISTINCT FROM b.{n}" for n in names)
        span = cursor.execute("SELECT min(ts), max(ts) FROM good").fetchall()[0]
        low, high = stamp(span[0] - DUPLICATE_REACH), stamp(span[1] + DUPLICATE_REACH)
        inside = "SELECT id, min(position) AS first FROM good GROUP BY id HAVING count(*) > 1"
        stored = self.layout.table("predictions")
        again = (
            f"(SELECT id FROM {stored} AS p WHERE ts >= {low} AND ts <= {high} "
            "AND id IN (SELECT id FROM good)) AS a"
        )
        # ids alone first: most batches repeat nothing, and all columns are much to compare
        if not count(cursor, again) and not count(cursor, f"({inside}) AS i"):
            return 0
        temp_table(
            cursor,
            "repeated",
            f"SELECT a.position, NOT ({same}) AS differs FROM good AS a "
            f"JOIN {stored} AS b ON a.id = b.id "
            f"WHERE b.ts >= {low} AND b.ts <= {high} "
            f"UNION ALL SELECT a.position, NOT ({same}) AS differs FROM good AS a "
            f"JOIN ({inside}) AS d ON d.id = a.id JOIN good AS b ON b.position = d.first "
            "WHERE a.position <> d.first",
        )
        if not count(cursor, "repeated"):
            return 0
        conflicts = "SELECT position FROM repeated GROUP BY position HAVING bool_or(differs)"
        n = keep_records(
            cursor,
            staged,
            batch,
            f"SELECT position, {text(Reason.CONFLICT)} AS problem FROM ({conflicts}) AS c",
        )
        cursor.execute("DELETE FROM good WHERE position IN (SELECT position FROM repeated)")
        return n

    def _first_bins(self, cursor: Cursor, n: int) -> None:
        """Freeze bins from the first rows where no reference has given any."""
        if not self.rollups.bins:
            freeze_bins(cursor, self.layout, "good")
            self.rollups.reload(cursor)
            cursor.execute(
                "UPDATE deployments SET rollup_key = ?, bins_from = ? WHERE deployment = ?",
                [self.rollups.key, n, self.layout.name],
            )

    def _note_segment_values(self, cursor: Cursor) -> None:
        if note_segment_values(cursor, self.layout, "good"):
            self.rollups.reload(cursor)

    def _note_classes(self, cursor: Cursor, labels: str) -> None:
        if note_classes(cursor, self.layout, labels, "value"):
            self.rollups.reload(cursor)

    # -- labels ----------------------------------------------------------------------------------

    def labels(
        self, staged: StagedColumns, part: Slice, rejects: Sequence[Reject], now: datetime
    ) -> BatchCounts:
        """Load the staged labels, corrected ones and those ahead of their prediction included."""
        layout, columns = self.layout, self.layout.deployment.labels
        with self.rollups.transaction(self.database) as cursor:
            batch = begin(cursor, layout.name, part, naive_utc(now))
            temp_table(cursor, "typed", label_select(layout, staged, batch.now, part.source))
            n_read = count(cursor, "typed") + len(rejects)
            lacking = (
                _lacking(staged, {Reason.NO_ID: columns.id, Reason.NO_LABEL: columns.value})
                if columns is not None
                else {}
            )
            n_bad = keep_typed(cursor, staged, batch, lacking)
            label_steps.collect_fresh(cursor)
            label_steps.find_predictions(cursor, layout, judged=not self.defer)
            n_bad += set_apart_late_labels(cursor, layout, staged, batch)
            n_waiting = label_steps.keep_waiting(cursor, layout, batch)
            label_steps.drop_known(cursor, layout)
            n_new = count(cursor, "found")
            if n_new:
                label_steps.insert(cursor, layout, batch)
                self._mark(cursor, "found", "0", "max(received)")
                self._note_classes(cursor, "found")
                if not self.defer:
                    label_steps.find_changes(cursor)
                    self.rollups.add_outcomes(cursor, label_steps.changes(layout))
                    self._unsettle(cursor)
            n_bad += keep_rejects(cursor, rejects, batch)
            n_duplicate = n_read - n_new - n_waiting - n_bad
            counts = BatchCounts(n_read, n_new, n_duplicate, n_waiting, n_bad)
            self.checks.judge(cursor, batch, counts)
            finish(cursor, batch, counts)
        return counts

    def _unsettle(self, cursor: Cursor) -> None:
        """Hours in which a label was corrected are settled soon.

        Taking a value back out of a sum leaves a rounding error of that value's size behind.
        """
        cursor.execute(
            f"UPDATE {self.layout.table('buckets')} SET changes = changes + {SETTLE_CHANGES} "
            "WHERE bucket IN (SELECT date_trunc('hour', ts) FROM changed "
            "WHERE old_label IS NOT NULL)"
        )

    # -- system metrics --------------------------------------------------------------------------

    def metrics(
        self,
        staged: StagedColumns,
        part: Slice,
        rejects: Sequence[Reject],
        now: datetime,
        columns: MetricColumns,
    ) -> BatchCounts:
        """Load staged samples of system metrics; a repeated sample of the same value is dropped."""
        name = text(self.layout.name)
        with self.rollups.transaction(self.database) as cursor:
            batch = begin(cursor, self.layout.name, part, naive_utc(now))
            select = metric_select(columns, staged, batch.now, self.layout.deployment.timezone)
            temp_table(cursor, "typed", select)
            n_read = count(cursor, "typed") + len(rejects)
            lacking = _lacking(
                staged,
                {
                    Reason.NO_TIMESTAMP: columns.timestamp,
                    Reason.NO_METRIC: columns.metric,
                    Reason.BAD_NUMBER: columns.value,
                },
            )
            n_bad = keep_typed(cursor, staged, batch, lacking)
            temp_table(
                cursor,
                "samples",
                "SELECT DISTINCT ts, metric, version, value FROM typed WHERE problem IS NULL",
            )
            cursor.execute(
                "DELETE FROM samples AS s USING (SELECT ts, metric, version, value "
                f"FROM system_metrics WHERE deployment = {name} "
                "AND ts >= (SELECT min(ts) FROM samples) AND ts <= (SELECT max(ts) FROM samples)"
                ") AS k WHERE s.ts = k.ts AND s.metric = k.metric AND s.version = k.version "
                "AND s.value = k.value"
            )
            n_new = count(cursor, "samples")
            cursor.execute(
                "INSERT INTO system_metrics (ts, deployment, metric, version, value, batch) "
                f"SELECT ts, {name}, metric, version, value, {batch.number} FROM samples "
                "ORDER BY ts"
            )
            n_bad += keep_rejects(cursor, rejects, batch)
            counts = BatchCounts(n_read, n_new, n_read - n_new - n_bad, 0, n_bad)
            finish(cursor, batch, counts)
        return counts

    # -- shared ----------------------------------------------------------------------------------

    def _mark(self, cursor: Cursor, table: str, n: str, last_received: str) -> None:
        """Note which hours were added to, and up to when rows and labels are known."""
        parts = tuple(self.rollups.parts) if n != "0" else (OUTCOME_PART,)
        found = cursor.execute(
            f"SELECT DISTINCT date_trunc('day', ts) FROM {table} ORDER BY 1"
        ).fetchall()
        if found:
            forget(cursor, self.layout, parts, f"day IN ({', '.join(stamp(d) for (d,) in found)})")
        self.touched.update((part, day) for part in parts for (day,) in found)
        cursor.execute(
            f"INSERT INTO {self.layout.table('buckets')} "
            f"SELECT date_trunc('hour', ts), {n}, {not self.defer}, 1, max(ts), {last_received} "
            f"FROM {table} GROUP BY 1 ON CONFLICT (bucket) DO UPDATE SET n = n + excluded.n, "
            "built = built AND excluded.built, changes = changes + 1, "
            "last_ts = greatest(last_ts, excluded.last_ts), "
            "last_received = CASE WHEN excluded.last_received IS NULL THEN last_received "
            "WHEN last_received IS NULL OR excluded.last_received > last_received "
            "THEN excluded.last_received ELSE last_received END"
        )


def _lacking(staged: StagedColumns, needed: Mapping[Reason, str]) -> dict[str, str]:
    """What to say, by reason, when a whole column is not there."""
    return {
        reason.value: f"there is no column {name!r}"[:300]
        for reason, name in needed.items()
        if not staged.has(name)
    }
