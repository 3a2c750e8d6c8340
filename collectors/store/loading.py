"""A batch into the store: checks, duplicates, labels, rollups and offset in one transaction.

What is committed together: the rows, their rollup additions, the quarantined records, the source's
offset and the batch's counts. Killed at any moment, the store holds every row once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from collectors.store.bins import freeze_bins
from collectors.store.database import Cursor, Database
from collectors.store.layout import Layout, Role
from collectors.store.names import quote, text
from collectors.store.rollups import SEGMENT_VALUES, Rollups, stamp
from collectors.store.typed import Reason, StagedColumns, label_select, prediction_select

__all__ = ["BatchCounts", "Loader", "Offset", "Reject", "Slice", "offset_of"]

CONTENT = 16_384
"""Characters of a bad record that quarantine keeps."""

DUPLICATE_REACH = timedelta(days=1)
"""How far a repeated prediction's time may differ and still be found as a repetition."""

LABEL_REACH = (timedelta(days=1), timedelta(days=14), None)
"""How far back a label's prediction is looked for, step by step; None: everywhere. At 100M rows
the first step reads 3 % of the ids and finds nearly all."""


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a source has been read: bytes of text, rows of Parquet."""

    position: int = 0
    fingerprint: str = ""
    records: int = 0
    header: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of which source a batch is, and the offset once it is loaded."""

    kind: str
    source: str
    start: int
    after: Offset


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not even be read; position counts records of the source from 1."""

    position: int
    reason: Reason
    detail: str
    content: str


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """What became of a batch's records. n_read is the sum of the others."""

    n_read: int = 0
    n_new: int = 0
    n_duplicate: int = 0
    n_waiting: int = 0
    n_quarantined: int = 0

    def __add__(self, other: BatchCounts) -> BatchCounts:
        return BatchCounts(
            self.n_read + other.n_read,
            self.n_new + other.n_new,
            self.n_duplicate + other.n_duplicate,
            self.n_waiting + other.n_waiting,
            self.n_quarantined + other.n_quarantined,
        )


class Loader:
    """Loads staged batches of one deployment. `stage` is a temporary table with `position`."""

    def __init__(self, database: Database, layout: Layout, rollups: Rollups) -> None:
        self.database = database
        self.layout = layout
        self.rollups = rollups
        self.defer = False
        """Leave the rollups to a rebuild that follows: for a first load, when one pass over all
        rows and labels is cheaper than adding every file's rows and taking them back."""

    # -- predictions -----------------------------------------------------------------------------

    def predictions(
        self, staged: StagedColumns, part: Slice, rejects: Sequence[Reject], now: datetime
    ) -> BatchCounts:
        """Load the staged predictions; raises duckdb.Error only for a broken store."""
        schema = self.layout.schema
        with self.database.transaction() as cursor:
            batch = _next_batch(cursor)
            _temp(cursor, "typed", prediction_select(self.layout, staged, now))
            self._note_schema(cursor, staged, part, now)
            n_read = _count(cursor, "typed") + len(rejects)
            n_bad = self._quarantine_typed(cursor, batch, part, now)
            columns = ", ".join(c.name for c in self.layout.columns)
            listed = f"id, ts, version, {columns}"
            _temp(
                cursor,
                "good",
                f"SELECT position, {listed} FROM typed WHERE problem IS NULL",  # noqa: S608
            )
            span = _span(cursor, "good")
            n_new = 0
            if span is not None:
                n_bad += self._set_apart_repeated(cursor, span, batch, part, now)
                n_new = _count(cursor, "good")
            if n_new:
                self._first_bins(cursor)
                self.note_segment_values(cursor, "good")
                cursor.execute(
                    f"INSERT INTO {schema}.predictions SELECT {listed}, {batch} "  # noqa: S608
                    "FROM good ORDER BY ts"
                )
                self._mark(cursor, "good", "count(*)", "max(ts)", "NULL")
                self._take_waiting_labels(cursor)
            if n_new and not self.defer:
                source = (
                    "(SELECT g.*, l.value AS label, l.received, 1 AS weight FROM good AS g "
                    f"LEFT JOIN ({_latest('woken', None)}) AS l ON l.id = g.id)"
                )
                self.rollups.add_outcomes(cursor, source)
                self.rollups.add_inputs(cursor, "good")
            n_bad += self._quarantine_rejects(cursor, rejects, batch, part, now)
            counts = BatchCounts(n_read, n_new, n_read - n_new - n_bad, 0, n_bad)
            self._finish(cursor, batch, part, counts, now)
        return counts

    def _set_apart_repeated(
        self,
        cursor: Cursor,
        span: tuple[datetime, datetime],
        batch: int,
        part: Slice,
        now: datetime,
    ) -> int:
        """Drop repeated predictions from `good`; those that differ go to quarantine (count)."""
        names = ["ts", "version", *(c.name for c in self.layout.columns)]
        same = " AND ".join(f"a.{n} IS NOT DISTINCT FROM b.{n}" for n in names)
        low, high = stamp(span[0] - DUPLICATE_REACH), stamp(span[1] + DUPLICATE_REACH)
        inside = "SELECT id, min(position) AS first FROM good GROUP BY id HAVING count(*) > 1"
        cursor.execute(
            "CREATE OR REPLACE TEMP TABLE repeated AS "  # noqa: S608 - names of our own columns
            f"SELECT a.position, NOT ({same}) AS differs FROM good AS a "
            f"JOIN {self.layout.schema}.predictions AS b ON a.id = b.id "
            f"WHERE b.ts >= {low} AND b.ts <= {high} "
            f"UNION ALL SELECT a.position, NOT ({same}) AS differs FROM good AS a "
            f"JOIN ({inside}) AS d ON d.id = a.id JOIN good AS b ON b.position = d.first "
            "WHERE a.position <> d.first"
        )
        if not _count(cursor, "repeated"):
            return 0
        conflicts = "SELECT position FROM repeated GROUP BY position HAVING bool_or(differs)"
        n = self._quarantine(
            cursor,
            f"SELECT position, {text(Reason.CONFLICT)} AS problem FROM ({conflicts}) AS c",  # noqa: S608
            batch,
            part,
            now,
        )
        cursor.execute("DELETE FROM good WHERE position IN (SELECT position FROM repeated)")
        return n

    def _take_waiting_labels(self, cursor: Cursor) -> None:
        """Labels that came before their prediction move to it; their ids are in `woken`."""
        schema = self.layout.schema
        _temp(
            cursor,
            "woken",
            f"SELECT w.*, g.ts FROM {schema}.waiting_labels AS w JOIN good AS g ON g.id = w.id",  # noqa: S608
        )
        if not _count(cursor, "woken"):
            return
        cursor.execute(
            f"INSERT INTO {schema}.labels SELECT id, ts, value, received, event, labeller, batch "  # noqa: S608
            "FROM woken"
        )
        cursor.execute(
            f"DELETE FROM {schema}.waiting_labels WHERE id IN (SELECT id FROM woken)"  # noqa: S608
        )
        self._mark(cursor, "woken", "0", "max(ts)", "max(received)")

    # -- labels ----------------------------------------------------------------------------------

    def labels(
        self, staged: StagedColumns, part: Slice, rejects: Sequence[Reject], now: datetime
    ) -> BatchCounts:
        """Load the staged labels, corrected ones and those ahead of their prediction included."""
        schema = self.layout.schema
        with self.database.transaction() as cursor:
            batch = _next_batch(cursor)
            _temp(cursor, "typed", label_select(self.layout, staged, now))
            n_read = _count(cursor, "typed") + len(rejects)
            n_bad = self._quarantine_typed(cursor, batch, part, now)
            _temp(
                cursor,
                "fresh",
                "SELECT DISTINCT id, value, received, event, labeller FROM typed "
                "WHERE problem IS NULL",
            )
            self._find_predictions(cursor)
            n_waiting = self._keep_waiting(cursor, batch)
            cursor.execute(
                "DELETE FROM found AS f USING ("  # noqa: S608
                f"SELECT l.id, l.value, l.received, l.event FROM {schema}.labels AS l "
                "WHERE l.ts >= (SELECT min(ts) FROM found) AND l.ts <= (SELECT max(ts) FROM found) "
                "AND l.id IN (SELECT id FROM found)) AS k "
                "WHERE f.id = k.id AND f.value = k.value AND f.received = k.received "
                "AND f.event IS NOT DISTINCT FROM k.event"
            )
            n_new = _count(cursor, "found")
            if n_new:
                self._apply_labels(cursor, batch)
            n_bad += self._quarantine_rejects(cursor, rejects, batch, part, now)
            counts = BatchCounts(
                n_read, n_new, n_read - n_new - n_waiting - n_bad, n_waiting, n_bad
            )
            self._finish(cursor, batch, part, counts, now)
        return counts

    def _find_predictions(self, cursor: Cursor) -> None:
        """Fill `found` with the fresh labels whose prediction is here, with the prediction's row.

        Looks in the time range that labels usually come from first; `fresh` keeps the rest.
        """
        predictions = f"{self.layout.schema}.predictions"
        columns = "p.ts, p.version, " + ", ".join(f"p.{c.name}" for c in self.layout.columns)
        cursor.execute(
            "CREATE OR REPLACE TEMP TABLE found AS "  # noqa: S608
            f"SELECT f.*, {columns} FROM fresh AS f JOIN {predictions} AS p ON p.id = f.id LIMIT 0"
        )
        received = cursor.execute("SELECT min(received), max(received) FROM fresh").fetchall()[0]
        if received[0] is None:
            return
        upper: datetime | None = None
        for reach in LABEL_REACH:
            lower = received[0] - reach if reach is not None else None
            limits = [f"p.ts >= {stamp(lower)}"] if lower is not None else []
            if upper is not None:
                # the range below was read in the step before; what is above came later than labels
                limits.append(f"(p.ts < {stamp(upper)} OR p.ts > {stamp(received[1])})")
            elif reach is not None:
                limits.append(f"p.ts <= {stamp(received[1])}")
            where = " AND ".join(limits) if limits else "true"
            cursor.execute(
                f"INSERT INTO found SELECT f.*, {columns} FROM fresh AS f "  # noqa: S608
                f"JOIN {predictions} AS p ON p.id = f.id WHERE {where}"
            )
            cursor.execute("DELETE FROM fresh WHERE id IN (SELECT id FROM found)")
            if not _count(cursor, "fresh"):
                return
            upper = lower

    def _keep_waiting(self, cursor: Cursor, batch: int) -> int:
        if not _count(cursor, "fresh"):
            return 0
        waiting = f"{self.layout.schema}.waiting_labels"
        before = _count(cursor, waiting)
        cursor.execute(
            f"INSERT INTO {waiting} SELECT f.id, f.value, f.received, f.event, f.labeller, {batch} "  # noqa: S608
            f"FROM fresh AS f WHERE NOT EXISTS (SELECT 1 FROM {waiting} AS w WHERE w.id = f.id "
            "AND w.value = f.value AND w.received = f.received "
            "AND w.event IS NOT DISTINCT FROM f.event)"
        )
        return _count(cursor, waiting) - before

    def _apply_labels(self, cursor: Cursor, batch: int) -> None:
        """Insert `found` and change the rollups by what it changes: before out, after in."""
        schema = self.layout.schema
        self._mark(cursor, "found", "0", "max(ts)", "max(received)")
        if self.defer:
            self._insert_labels(cursor, batch)
            return
        _temp(
            cursor,
            "known",
            _latest(
                f"{schema}.labels",
                "SELECT id FROM found",
                "ts >= (SELECT min(ts) FROM found) AND ts <= (SELECT max(ts) FROM found)",
            ),
        )
        self._insert_labels(cursor, batch)
        columns = ", ".join(("f.id", "f.ts", "f.version", *(f"f.{c.name}" for c in self.layout.columns)))
        newest = _latest("found", None)
        _temp(
            cursor,
            "changed",
            f"SELECT {columns}, k.value AS old_label, k.received AS old_received, "  # noqa: S608
            "f.value AS new_label, f.received AS new_received FROM found AS f "
            f"JOIN ({newest}) AS n ON n.id = f.id AND n.value = f.value "
            "AND n.received = f.received AND n.event IS NOT DISTINCT FROM f.event "
            "LEFT JOIN known AS k ON k.id = f.id "
            "WHERE k.id IS NULL OR f.received > k.received OR (f.received = k.received AND "
            "(coalesce(f.event, TIMESTAMP '1900-01-01') > "
            "coalesce(k.event, TIMESTAMP '1900-01-01') OR (f.event IS NOT DISTINCT FROM k.event "
            "AND f.value > k.value)))",
        )
        kept = columns.replace("f.", "")
        source = (
            f"(SELECT {kept}, old_label AS label, old_received AS received, -1 AS weight FROM changed "  # noqa: S608
            f"UNION ALL SELECT {kept}, new_label, new_received, 1 FROM changed)"
        )
        self.rollups.add_outcomes(cursor, source)


    def _insert_labels(self, cursor: Cursor, batch: int) -> None:
        cursor.execute(
            f"INSERT INTO {self.layout.schema}.labels "  # noqa: S608
            f"SELECT id, ts, value, received, event, labeller, {batch} FROM found"
        )

    # -- shared ----------------------------------------------------------------------------------

    def _first_bins(self, cursor: Cursor) -> None:
        """Freeze bins from the first rows where no reference has given any."""
        if not self.rollups.bins.has(-2):
            freeze_bins(cursor, self.layout, "good")
            self.rollups.reload(cursor)
            cursor.execute(
                "UPDATE deployments SET rollup_key = ? WHERE deployment = ?",
                [self.rollups.key, self.layout.name],
            )

    def note_segment_values(self, cursor: Cursor, relation: str) -> None:
        """Give new segment values rollups of their own while there is room."""
        name = text(self.layout.name)
        grown = False
        for i in range(len(self.layout.deployment.segments)):
            taken = cursor.execute(
                "SELECT count(*) FROM segment_values WHERE deployment = ? AND segment = ?",
                [self.layout.name, i],
            ).fetchall()[0][0]
            if taken >= SEGMENT_VALUES:
                continue
            value = self.layout.segment_value(i)
            found = cursor.execute(
                f"INSERT INTO segment_values SELECT {name}, {i}, v FROM ("  # noqa: S608
                f"SELECT {value} AS v, count(*) AS n FROM {relation} AS r GROUP BY 1) AS g "
                f"WHERE v NOT IN (SELECT value FROM segment_values WHERE deployment = {name} "
                f"AND segment = {i}) ORDER BY n DESC, v LIMIT {SEGMENT_VALUES - taken}"
            ).fetchall()
            grown = grown or bool(found and found[0][0])
        if grown:
            self.rollups.reload(cursor)

    def _mark(
        self, cursor: Cursor, table: str, n: str, last_ts: str, last_received: str
    ) -> None:
        """Note which hours were added to, and up to when rows and labels are known."""
        cursor.execute(
            f"INSERT INTO {self.layout.table('buckets')} "  # noqa: S608
            f"SELECT date_trunc('hour', ts), {n}, {not self.defer}, 1, {last_ts}, {last_received} "
            f"FROM {table} GROUP BY 1 ON CONFLICT (bucket) DO UPDATE SET n = n + excluded.n, "
            "built = built AND excluded.built, changes = changes + 1, "
            "last_ts = greatest(last_ts, excluded.last_ts), "
            "last_received = CASE WHEN excluded.last_received IS NULL THEN last_received "
            "WHEN last_received IS NULL OR excluded.last_received > last_received "
            "THEN excluded.last_received ELSE last_received END"
        )

    def _quarantine_typed(self, cursor: Cursor, batch: int, part: Slice, now: datetime) -> int:
        return self._quarantine(
            cursor, "SELECT position, problem FROM typed WHERE problem IS NOT NULL", batch, part, now
        )

    def _quarantine(
        self, cursor: Cursor, problems: str, batch: int, part: Slice, now: datetime
    ) -> int:
        """Keep the records of (position, problem) with their content as JSON; their number."""
        before = _count(cursor, "quarantine")
        cursor.execute(
            "INSERT INTO quarantine SELECT ?, ?, ?, ?, s.position, p.problem, '', "  # noqa: S608
            f"left(CAST(to_json(s) AS VARCHAR), {CONTENT}), {stamp(now)} "
            f"FROM ({problems}) AS p JOIN stage AS s ON s.position = p.position",
            [self.layout.name, part.kind, batch, part.source],
        )
        return _count(cursor, "quarantine") - before

    def _quarantine_rejects(
        self, cursor: Cursor, rejects: Sequence[Reject], batch: int, part: Slice, now: datetime
    ) -> int:
        for start in range(0, len(rejects), 200):
            some = rejects[start : start + 200]
            values: list[object] = []
            for r in some:
                values += [self.layout.name, part.kind, batch, part.source, r.position]
                values += [r.reason.value, r.detail, r.content[:CONTENT], now.replace(tzinfo=None)]
            cursor.execute(
                "INSERT INTO quarantine VALUES " + ", ".join(["(?,?,?,?,?,?,?,?,?)"] * len(some)),
                values,
            )
        return len(rejects)

    def _note_schema(
        self, cursor: Cursor, staged: StagedColumns, part: Slice, now: datetime
    ) -> None:
        """Record columns that are new, missing or no longer numbers, once per source."""
        changes: list[tuple[str, str, int, str]] = []
        expected = self._expected_columns()
        changes += [(c, "missing", 0, "") for c in sorted(expected - set(staged.types))]
        ours = {"position"} | expected
        changes += [(c, "new", 0, staged.types[c]) for c in staged.types if c not in ours]
        for column in self.layout.columns:
            numeric = column.role in (Role.NUMERIC_FEATURE, Role.NUMBER)
            if numeric and staged.has(column.source) and staged.kind(column.source) == "VARCHAR":
                source = quote(column.source)
                n, example = cursor.execute(
                    f"SELECT count(*), min({source}) FROM stage WHERE {source} <> '' "  # noqa: S608
                    f"AND TRY_CAST({source} AS DOUBLE) IS NULL"
                ).fetchall()[0]
                if n:
                    changes.append((column.source, "mistyped", n, example))
        for name, change, n, example in changes[:1000]:
            cursor.execute(
                "INSERT INTO schema_changes SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS ("
                "SELECT 1 FROM schema_changes WHERE deployment = ? AND kind = ? AND column_name = ? "
                "AND change = ? AND change <> 'mistyped')",
                [
                    *(self.layout.name, part.kind, part.source, name, change, n, example[:200]),
                    now.replace(tzinfo=None),
                    *(self.layout.name, part.kind, name, change),
                ],
            )

    def _expected_columns(self) -> set[str]:
        d = self.layout.deployment
        named = {d.id, d.timestamp, d.version, *(c.source for c in self.layout.columns)}
        if d.labels is not None and d.labels.source.paths == d.predictions.paths:
            named |= {d.labels.value, d.labels.received, d.labels.event}
        return {name for name in named if name}

    def _finish(
        self, cursor: Cursor, batch: int, part: Slice, counts: BatchCounts, now: datetime
    ) -> None:
        after = part.after
        cursor.execute(
            "INSERT INTO source_offset VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (deployment, kind, source) DO UPDATE SET position = excluded.position, "
            "fingerprint = excluded.fingerprint, records = excluded.records, "
            "header = excluded.header",
            [
                *(self.layout.name, part.kind, part.source),
                *(after.position, after.fingerprint, after.records, after.header),
            ],
        )
        cursor.execute(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(batch, self.layout.name, part.kind, part.source, part.start, after.position),
                *(counts.n_read, counts.n_new, counts.n_duplicate, counts.n_waiting),
                *(counts.n_quarantined, now.replace(tzinfo=None)),
            ],
        )


def offset_of(cursor: Cursor, deployment: str, kind: str, source: str) -> Offset:
    """How far a source has been loaded."""
    rows = cursor.execute(
        "SELECT position, fingerprint, records, header FROM source_offset "
        "WHERE deployment = ? AND kind = ? AND source = ?",
        [deployment, kind, source],
    ).fetchall()
    return Offset(*rows[0]) if rows else Offset()


def _latest(table: str, ids: str | None, where: str = "true") -> str:
    """The latest label per id. Ties are broken by content, so the order of arrival is nothing."""
    among = f"AND id IN ({ids})" if ids else ""
    return (
        "SELECT id, value, received, event FROM (SELECT id, value, received, event, "  # noqa: S608
        "row_number() OVER (PARTITION BY id ORDER BY received DESC, event DESC NULLS LAST, "
        f"value DESC) AS place FROM {table} WHERE {where} {among}) AS ranked WHERE place = 1"
    )


def _next_batch(cursor: Cursor) -> int:
    return int(cursor.execute("SELECT nextval('batch_number')").fetchall()[0][0])


def _temp(cursor: Cursor, name: str, sql: str) -> None:
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")


def _count(cursor: Cursor, table: str) -> int:
    return int(cursor.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608


def _span(cursor: Cursor, table: str) -> tuple[datetime, datetime] | None:
    low, high = cursor.execute(f"SELECT min(ts), max(ts) FROM {table}").fetchall()[0]  # noqa: S608
    return (low, high) if low is not None else None


