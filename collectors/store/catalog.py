"""Deployments in a store: their schemas, references, rebuilds and settling.

The one entry to a store for whoever writes to it. Readers use `collectors.reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from collectors.contract import Deployment, FeatureKind
from collectors.errors import ContractError
from collectors.store.bins import freeze_bins
from collectors.store.database import Cursor, Database, read_sql
from collectors.store.layout import Layout
from collectors.store.loading import BatchCounts, Loader, Reject
from collectors.store.outcomes import OUTCOMES
from collectors.store.rollups import BUCKET, Rollups
from collectors.store.typed import StagedColumns, answer, prediction_select

__all__ = ["Progress", "StoredDeployment", "open_deployments"]

Progress = Callable[[str, int, int], None]
"""Called with (what, done, all); all is 0 when it is not known."""

SETTLE_CHANGES = 64
"""Additions to an hour after which it is worth recomputing it: reads then merge at most that many
parts, and the recomputing costs a small share of what adding them did."""

_STEP_ROWS = 500_000
"""Rows that one step of a rebuild takes together: enough to be worth a transaction, few enough to
stay within the memory limit. A busier day is a step of its own."""


class StoredDeployment:
    """A deployment in an open store: load into it, keep its rollups."""

    def __init__(self, database: Database, deployment: Deployment) -> None:
        self.database = database
        self.deployment = deployment
        self.layout = Layout(deployment)
        self._create_or_check()
        self.rollups = Rollups(self.layout, database.connection)
        self.loader = Loader(database, self.layout, self.rollups)
        self._check_rollup_key()

    # -- references ------------------------------------------------------------------------------

    def load_references(
        self,
        staged: Iterator[tuple[StagedColumns, tuple[Reject, ...], str, str]],
        sources: Sequence[tuple[str, str]],
        now: datetime,
    ) -> BatchCounts:
        """Replace the reference by staged batches of (columns, rejects, version, label column).

        sources: (path, fingerprint) of what was read, so that it is not read again.
        """
        layout = self.layout
        counts = BatchCounts()
        with self.database.transaction() as cursor:
            cursor.execute(f"DELETE FROM {layout.table('reference')}")  # noqa: S608
            for columns, rejects, version, label in staged:
                n = self._stage_reference(cursor, columns, version, label, now)
                counts += BatchCounts(n + len(rejects), n, 0, 0, len(rejects))
            freeze_bins(cursor, layout, layout.table("reference"))
            self.rollups.reload(cursor)
            self._roll_up_reference(cursor)
            for path, fingerprint in sources:
                cursor.execute(
                    "INSERT OR REPLACE INTO source_offset VALUES (?, 'reference', ?, 0, ?, 0, '')",
                    [layout.name, path, fingerprint],
                )
            self._unbuild_if_changed(cursor)
        return counts

    def _stage_reference(
        self, cursor: Cursor, columns: StagedColumns, version: str, label: str, now: datetime
    ) -> int:
        layout = self.layout
        # a reference needs no times of its own; what it cannot give counts as missing
        typed = prediction_select(layout, columns, now)
        names = ", ".join(c.name for c in layout.columns)
        truth = answer(layout, columns, label)
        if layout.deployment.version and columns.has(layout.deployment.version):
            of_version = "t.version"
        else:
            of_version = "''"
        cursor.execute(
            f"INSERT INTO {layout.table('reference')} "  # noqa: S608
            f"SELECT t.id, t.ts, coalesce(nullif(?, ''), {of_version}), {names}, s.truth, 0 "
            f"FROM ({typed}) AS t "
            f"JOIN (SELECT position, {truth} AS truth FROM stage) AS s USING (position) "
            "WHERE t.predicted IS NOT NULL",
            [version],
        )
        return int(cursor.execute("SELECT count(*) FROM stage").fetchall()[0][0])

    def _roll_up_reference(self, cursor: Cursor) -> None:
        """The same sums over the reference, in tables named like the rollups."""
        table = self.layout.table("reference")
        columns = ", ".join(c.name for c in self.layout.columns)
        epoch = "TIMESTAMP '1970-01-01'"
        outcomes = (
            f"(SELECT {epoch} AS ts, version, {columns}, label, {epoch} AS received, "  # noqa: S608
            f"1 AS weight FROM {table})"
        )
        inputs = f"(SELECT {epoch} AS ts, version, {columns} FROM {table})"  # noqa: S608
        self.rollups.prepare_outcomes(cursor, outcomes)
        for rollup, sql in (
            *self.rollups.outcome_selects(),
            *self.rollups.input_selects(inputs),
        ):
            name = rollup.replace("rollup_", "reference_")
            if rollup in ("rollup_delay", "rollup_volume", "rollup_latency"):
                continue
            cursor.execute(f"CREATE OR REPLACE TABLE {self.layout.table(name)} AS {sql}")
        parts = []
        for number, _, kind, column in self.layout.subjects():
            if kind is FeatureKind.NUMERIC:
                finite = f"{column} >= -1.7e308 AND {column} <= 1.7e308"
                usable = f"{column} > -1e150 AND {column} < 1e150"
                parts.append(
                    f"SELECT version, {number}::SMALLINT AS feature, count(*) AS n, "  # noqa: S608
                    f"min({column}) FILTER ({finite}) AS lowest, "
                    f"max({column}) FILTER ({finite}) AS highest, "
                    f"avg({column}) FILTER ({usable}) AS mean, "
                    f"coalesce(stddev_pop({column}) FILTER ({usable}), 0) AS sigma, "
                    f"quantile_cont({column}, {[i / 10 for i in range(1, 10)]}) FILTER ({finite}) "
                    f"AS deciles FROM {table} GROUP BY version"
                )
        sql = " UNION ALL ".join(parts) if parts else (
            "SELECT '' AS version, 0::SMALLINT AS feature, 0::BIGINT AS n, 0.0::DOUBLE AS lowest, "
            "0.0::DOUBLE AS highest, 0.0::DOUBLE AS mean, 0.0::DOUBLE AS sigma, "
            "CAST([] AS DOUBLE[]) AS deciles LIMIT 0"
        )
        cursor.execute(f"CREATE OR REPLACE TABLE {self.layout.table('reference_profile')} AS {sql}")

    def is_empty(self) -> bool:
        """Whether no prediction has been loaded yet."""
        rows = self.database.connection.execute(
            f"SELECT count(*) FROM {self.layout.table('buckets')}"  # noqa: S608
        ).fetchall()
        return bool(rows[0][0] == 0)

    # -- keeping rollups -------------------------------------------------------------------------

    def settle(self, *, least_changes: int = SETTLE_CHANGES, most: int = 4) -> int:
        """Recompute hours that were added to often, newest first; how many were."""
        rows = self.database.connection.execute(
            f"SELECT bucket FROM {self.layout.table('buckets')} WHERE built AND changes >= ? "  # noqa: S608
            "ORDER BY bucket DESC LIMIT ?",
            [least_changes, most],
        ).fetchall()
        for (bucket,) in rows:
            with self.database.transaction() as cursor:
                self.rollups.recompute(cursor, bucket, bucket + BUCKET)
        return len(rows)

    def rebuild(self, progress: Progress | None = None, *, everything: bool = False) -> int:
        """Build the rollups of hours that wait for it, newest first; how many steps it took.

        Interrupted, it goes on where it stopped. everything: all hours, whatever they hold.
        """
        buckets = self.layout.table("buckets")
        connection = self.database.connection
        if everything:
            with self.database.transaction() as cursor:
                self._unbuild(cursor)
        steps = self._build_steps()
        for done, (start, end) in enumerate(steps):
            if progress is not None:
                progress(f"building rollups of {self.deployment.name}", done, len(steps))
            with self.database.transaction() as cursor:
                self.rollups.recompute(cursor, start, end)
        if progress is not None and steps:
            progress(f"building rollups of {self.deployment.name}", len(steps), len(steps))
        return len(steps)

    def _build_steps(self) -> list[tuple[datetime, datetime]]:
        """Spans of whole days that wait for a build, newest first, each of bounded size."""
        days = self.database.connection.execute(
            "SELECT date_trunc('day', bucket) AS day, sum(n) "  # noqa: S608
            f"FROM {self.layout.table('buckets')} "
            "GROUP BY 1 HAVING bool_or(NOT built) ORDER BY 1 DESC"
        ).fetchall()
        steps: list[tuple[datetime, datetime]] = []
        rows = _STEP_ROWS
        for day, n in days:
            if rows + n > _STEP_ROWS:
                steps.append((day, day + timedelta(days=1)))
                rows = n
            else:
                steps[-1] = (day, steps[-1][1])
                rows += n
        return steps

    def _unbuild(self, cursor: Cursor) -> None:
        for table in (*self.rollups.outcome_tables, *self.rollups.input_tables):
            cursor.execute(f"DELETE FROM {self.layout.table(table)}")  # noqa: S608
        cursor.execute(f"UPDATE {self.layout.table('buckets')} SET built = false, changes = 0")  # noqa: S608

    # -- catalogue -------------------------------------------------------------------------------

    def _create_or_check(self) -> None:
        d = self.deployment
        rows = self.database.connection.execute(
            "SELECT contract FROM deployments WHERE deployment = ?", [d.name]
        ).fetchall()
        if not rows:
            with self.database.transaction() as cursor:
                self._create_tables(cursor)
                cursor.execute(
                    "INSERT INTO deployments VALUES (?, ?, ?, '')",
                    [d.name, d.task.value, d.model_dump_json()],
                )
            return
        stored = Deployment.model_validate_json(rows[0][0])
        if stored == d or self.database.read_only:
            return
        old = {c.name: c for c in Layout(stored).columns}
        new = {c.name: c for c in self.layout.columns}
        changed = [n for n, c in old.items() if n not in new or new[n].type != c.type]
        moved = [n for n, c in old.items() if n in new and new[n].source != c.source and c.source]
        if changed or moved or stored.task != d.task:
            name = (changed or moved or ["task"])[0]
            raise ContractError(
                f"the columns of deployment {d.name} changed ({old[name].source or name}) since "
                "the store was made",
                "append new features at the end, or use a new store with --store",
            )
        with self.database.transaction() as cursor:
            for name, column in new.items():
                if name not in old:
                    for table in ("predictions", "reference"):
                        cursor.execute(
                            f"ALTER TABLE {self.layout.table(table)} ADD COLUMN {name} {column.type}"
                        )
            cursor.execute(
                "UPDATE deployments SET contract = ? WHERE deployment = ?",
                [d.model_dump_json(), d.name],
            )

    def _create_tables(self, cursor: Cursor) -> None:
        outcome = OUTCOMES[self.layout.task]
        tables = "".join(
            f"CREATE TABLE {self.layout.table(spec.name)} "
            f"(bucket TIMESTAMP NOT NULL, version VARCHAR NOT NULL, {spec.columns});\n"
            for spec in outcome.tables
        )
        cursor.execute(
            read_sql(
                "deployment.sql",
                schema=self.layout.schema,
                columns=self.layout.definitions,
                label_type=self.layout.label_type,
                outcome_tables=tables,
            )
        )
        self.rollups = Rollups(self.layout, cursor)
        self._roll_up_reference(cursor)  # empty tables, so that readers need no special case

    def _check_rollup_key(self) -> None:
        if self.database.read_only:
            return
        with self.database.transaction() as cursor:
            self._unbuild_if_changed(cursor)

    def _unbuild_if_changed(self, cursor: Cursor) -> None:
        """When bins or segments are others than the rollups were built with, start them anew."""
        known = cursor.execute(
            "SELECT rollup_key FROM deployments WHERE deployment = ?", [self.layout.name]
        ).fetchall()[0][0]
        key = self.rollups.key
        if known == key:
            return
        if known and cursor.execute(
            f"SELECT count(*) FROM {self.layout.table('buckets')}"  # noqa: S608
        ).fetchall()[0][0]:
            cursor.execute("DELETE FROM segment_values WHERE deployment = ?", [self.layout.name])
            self._collect_segment_values(cursor)
            self.rollups.reload(cursor)
            self._roll_up_reference(cursor)
            self._unbuild(cursor)
        cursor.execute(
            "UPDATE deployments SET rollup_key = ? WHERE deployment = ?", [key, self.layout.name]
        )

    def _collect_segment_values(self, cursor: Cursor) -> None:
        for table in ("predictions", "reference"):
            self.loader.note_segment_values(cursor, self.layout.table(table))


def open_deployments(
    database: Database, deployments: Sequence[Deployment]
) -> dict[str, StoredDeployment]:
    """Every configured deployment, created in the store where it is new."""
    return {d.name: StoredDeployment(database, d) for d in deployments}


