"""Deployments in a store: their schemas, references, rebuilds and settling.

The one entry to a store for whoever writes to it. Readers use `collectors.reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from pydantic import ValidationError

from collectors.contract import Deployment
from collectors.errors import ContractError, StoreError
from collectors.store import days, references
from collectors.store.batches import BatchCounts
from collectors.store.bins import freeze_bins
from collectors.store.database import Cursor, Database, count, read_sql
from collectors.store.halves import create_halves
from collectors.store.layout import Layout
from collectors.store.loading import Loader
from collectors.store.moments import stamp
from collectors.store.quality_checks import QualityChecks, forget_set_apart
from collectors.store.references import REFERENCE, StagedReference
from collectors.store.rollups import BUCKET, SETTLE_CHANGES, Rollups
from collectors.store.sealed import sealed_of
from collectors.store.sealed_rollups import start_anew, start_over
from collectors.store.segment_values import note_classes, note_segment_values

__all__ = ["Progress", "StoredDeployment", "open_deployments"]

Progress = Callable[[str, int, int], None]
"""Called with (what, done, all); all is 0 when it is not known."""

_STEP_ROWS = 500_000
"""Rows that one step of a rebuild takes together: enough to be worth a transaction, few enough to
stay within the memory limit. A busier day is a step of its own."""

_FIRM_ROWS = 5_000
"""Rows that make bins worth keeping where there is no reference: 40 quantiles of some 100 rows
each. Bins from a smaller first batch are taken anew once as many rows are there."""


_REST = 16
"""Passes for which a day must be left alone before it is summed up: late labels touch the last days
at every refresh."""

_SHARED_TABLES = (
    "deployments",
    "source_offset",
    "batches",
    "quarantine",
    "schema_changes",
    "bins",
    "segment_values",
    "system_metrics",
    "failed_checks",
)


class StoredDeployment:
    """A deployment in an open store: load into it, keep its rollups."""

    def __init__(self, database: Database, deployment: Deployment) -> None:
        self.database = database
        self.deployment = deployment
        self.layout = Layout(deployment)
        self._create_or_check()
        self.rollups = Rollups(self.layout, database.connection)
        self.loader = Loader(database, self.layout, self.rollups)
        self._unsummed = True
        self._resting: dict[tuple[str, datetime], int] = {}
        """Days that were added to, by part, and for how many passes they have been left alone."""
        if not database.read_only:
            create_halves(database.connection, self.layout)  # one of an older release has none
            with self.rollups.transaction(self.database) as cursor:
                self._unbuild_if_changed(cursor)

    # -- references ------------------------------------------------------------------------------

    def known_references(self) -> frozenset[tuple[str, str]]:
        """(path, fingerprint) of the references in the store."""
        rows = self.database.connection.execute(
            "SELECT source, fingerprint FROM source_offset WHERE deployment = ? AND kind = ?",
            [self.deployment.name, REFERENCE],
        ).fetchall()
        return frozenset((source, fingerprint) for source, fingerprint in rows)

    def load_references(
        self, staged: Iterable[StagedReference], sources: Sequence[tuple[str, str]], now: datetime
    ) -> BatchCounts:
        """Replace the reference (`references.replace`); rollups on other bins wait for rebuild."""
        with self.rollups.transaction(self.database) as cursor:
            counts = references.replace(
                cursor, self.layout, self.rollups, staged, sources=sources, now=now
            )
            self._unbuild_if_changed(cursor)
        return counts

    # -- quarantine ------------------------------------------------------------------------------

    def release(self, sources: Iterable[str], reason: str | None, kind: str | None) -> int:
        """Have sources read anew that brought quarantined records; how many records are let go.

        What they brought before stays: it is found again as a repetition. sources: those that can
        be read again. reason, kind: only sources with such records; None: any.
        """
        name = self.deployment.name
        with self.rollups.transaction(self.database) as cursor:
            found = cursor.execute(
                "SELECT kind, source FROM quarantine WHERE deployment = $name "
                "AND kind <> 'reference' "
                "AND (CAST($reason AS VARCHAR) IS NULL OR reason = $reason) "
                "AND (CAST($kind AS VARCHAR) IS NULL OR kind = $kind) GROUP BY 1, 2",
                {"name": name, "reason": reason, "kind": kind},
            ).fetchall()
            readable = frozenset(sources)
            released = 0
            for of_kind, source in found:
                if source not in readable:
                    continue
                where = "WHERE deployment = ? AND kind = ? AND source = ?"
                of = [name, of_kind, source]
                forget_set_apart(cursor, name, of_kind, source)
                released += len(
                    cursor.execute(f"DELETE FROM quarantine {where} RETURNING 1", of).fetchall()
                )
                cursor.execute(f"DELETE FROM source_offset {where}", of)
                cursor.execute(
                    "UPDATE batches SET n_read = n_read - n_quarantined, n_quarantined = 0 "
                    f"{where}",
                    of,
                )
        return released

    # -- keeping rollups -------------------------------------------------------------------------

    def is_empty(self) -> bool:
        """Whether no prediction has been loaded yet."""
        return count(self.database.connection, self.layout.table("buckets")) == 0

    def firm_bins(self) -> bool:
        """Take the bins anew where too few first rows gave them; whether a rebuild is needed."""
        connection = self.database.connection
        taken_from, key = connection.execute(
            "SELECT bins_from, rollup_key FROM deployments WHERE deployment = ?",
            [self.deployment.name],
        ).fetchall()[0]
        predictions = self.layout.table("predictions")
        if count(connection, self.layout.table("reference")) or not key:
            return False
        if not self.rollups.bins or taken_from >= _FIRM_ROWS:
            return False
        n = count(connection, predictions)
        if n < _FIRM_ROWS:
            return False
        with self.rollups.transaction(self.database) as cursor:
            freeze_bins(cursor, self.layout, predictions)
            cursor.execute(
                "UPDATE deployments SET bins_from = ? WHERE deployment = ?",
                [n, self.deployment.name],
            )
            self.rollups.reload(cursor)
            self._unbuild_if_changed(cursor)
        return True

    def settle(self, *, least_changes: int = SETTLE_CHANGES, most: int = 4) -> int:
        """Recompute hours that were added to often, newest first; how many were."""
        rows = self.database.connection.execute(
            f"SELECT bucket FROM {self.layout.table('buckets')} WHERE built AND changes >= ? "
            "ORDER BY bucket DESC LIMIT ?",
            [least_changes, most],
        ).fetchall()
        for (bucket,) in rows:
            with self.rollups.transaction(self.database) as cursor:
                self.rollups.recompute(cursor, bucket, bucket + BUCKET)
        return len(rows)

    def sum_days(self, progress: Progress | None = None, *, most: int | None = None) -> int:
        """Sum up days that are not, newest first; how many steps that took.

        most: days at most, and none that was added to lately; None: all of them, by the week.
        """
        if not self._days_wait(everything=most is None):
            return 0
        connection = self.database.connection
        built = days.built(connection, self.layout)
        steps = [
            (span, part)
            for part, known in days.summed(connection, self.layout).items()
            for span in days.runs(
                (day for day in built if day not in known and (part, day) not in self._resting),
                7 if most is None else 1,
            )
        ]
        self._unsummed = most is not None and len(steps) > most
        steps = sorted(steps, key=lambda step: step[0].start, reverse=True)[:most]
        for done, (span, part) in enumerate(steps):
            if progress is not None:
                progress(f"summing up days of {self.deployment.name}", done, len(steps))
            with self.rollups.transaction(self.database) as cursor:
                self.rollups.sum_days(cursor, part, span)
        return len(steps)

    def _days_wait(self, *, everything: bool) -> bool:
        """Whether days may be there to sum up, after one more pass in which some were added to."""
        if everything:
            self._resting.clear()
            self.loader.touched.clear()
            return True
        ready = [day for day, passes in self._resting.items() if passes >= _REST]
        for day in ready:
            del self._resting[day]
        self._resting = {day: passes + 1 for day, passes in self._resting.items()}
        self._resting |= dict.fromkeys(self.loader.touched, 0)
        self.loader.touched.clear()
        self._unsummed = self._unsummed or bool(ready)
        return self._unsummed

    def rebuild(self, progress: Progress | None = None, *, everything: bool = False) -> int:
        """Build the rollups of hours that wait for it, newest first; how many steps it took.

        Interrupted, it goes on where it stopped. everything: all hours that have raw rows.
        """
        if everything:
            with self.rollups.transaction(self.database) as cursor:
                self._unbuild(cursor, changed=False)
        steps = self._build_steps()
        for done, (start, end) in enumerate(steps):
            if progress is not None:
                progress(f"building rollups of {self.deployment.name}", done, len(steps))
            with self.rollups.transaction(self.database) as cursor:
                self.rollups.recompute(cursor, start, end)
        if progress is not None and steps:
            progress(f"building rollups of {self.deployment.name}", len(steps), len(steps))
        return len(steps)

    def _build_steps(self) -> list[tuple[datetime, datetime]]:
        """Spans of whole days that wait for a build, newest first, each of bounded size."""
        days = self.database.connection.execute(
            "SELECT date_trunc('day', bucket) AS day, sum(n) "
            f"FROM {self.layout.table('buckets')} "
            "GROUP BY 1 HAVING bool_or(NOT built) ORDER BY 1 DESC"
        ).fetchall()
        steps: list[tuple[datetime, datetime]] = []
        rows = _STEP_ROWS
        for day, n in days:
            follows = bool(steps) and steps[-1][0] - day == timedelta(days=1)
            if follows and rows + n <= _STEP_ROWS:
                steps[-1] = (day, steps[-1][1])
                rows += n
            else:
                steps.append((day, day + timedelta(days=1)))
                rows = n
        return steps

    def _unbuild(self, cursor: Cursor, *, changed: bool) -> None:
        """Empty the rollups that can be built again. changed: they are of another kind now."""
        sealed = sealed_of(cursor, self.layout.name)
        with_rows = ""
        if sealed.raw is None:
            # made anew: in a store of an older release they have other columns
            self.rollups.create(cursor)
        else:
            with_rows = f" WHERE bucket >= {stamp(sealed.raw)}"
            if changed:
                start_over(cursor, self.rollups, sealed)
            else:
                start_anew(cursor, self.rollups, sealed.raw)
        cursor.execute(
            f"UPDATE {self.layout.table('buckets')} SET built = false, changes = 0{with_rows}"
        )

    # -- catalogue -------------------------------------------------------------------------------

    def _create_or_check(self) -> None:
        d = self.deployment
        rows = self.database.connection.execute(
            "SELECT contract FROM deployments WHERE deployment = ?", [d.name]
        ).fetchall()
        if rows:
            if self.database.read_only or rows[0][0] == d.model_dump_json():
                return
            if self.is_empty():
                self._start_over()
            else:
                self._change_contract(stored_contract(rows[0][0]))
            return
        if self.database.read_only:
            raise StoreError(
                f"the store has no deployment {d.name}", "run `modelwatch record --once` first"
            )
        with self.database.transaction() as cursor:
            self._create_tables(cursor)
            cursor.execute(
                "INSERT INTO deployments VALUES (?, ?, ?, '', 0)",
                [d.name, d.task.value, d.model_dump_json()],
            )

    def _start_over(self) -> None:
        """A first configuration that brought no row may be wrong in any way: take the new one."""
        d = self.deployment
        with self.database.transaction() as cursor:
            cursor.execute(f"DROP SCHEMA {self.layout.schema} CASCADE")
            for table in _SHARED_TABLES:
                cursor.execute(f"DELETE FROM {table} WHERE deployment = ?", [d.name])
            self._create_tables(cursor)
            cursor.execute(
                "INSERT INTO deployments VALUES (?, ?, ?, '', 0)",
                [d.name, d.task.value, d.model_dump_json()],
            )

    def _forget_useless_reads(self, cursor: Cursor) -> None:
        """Read sources again that brought quarantined records only: the change may mend them."""
        useless = cursor.execute(
            "SELECT kind, source FROM batches WHERE deployment = ? GROUP BY kind, source "
            "HAVING sum(n_new) = 0 AND sum(n_quarantined) > 0",
            [self.deployment.name],
        ).fetchall()
        for kind, source in useless:
            forget_set_apart(cursor, self.deployment.name, kind, source)
            for table in ("source_offset", "batches", "quarantine"):
                cursor.execute(
                    f"DELETE FROM {table} WHERE deployment = ? AND kind = ? AND source = ?",
                    [self.deployment.name, kind, source],
                )

    def _change_contract(self, stored: Deployment) -> None:
        """Take over a changed configuration; ContractError when stored rows do not fit it."""
        d = self.deployment
        old = {c.name: c for c in Layout(stored).columns}
        new = {c.name: c for c in self.layout.columns}
        changed = [n for n, c in old.items() if n not in new or new[n].type != c.type]
        moved = [n for n, c in old.items() if n in new and new[n].source != c.source and c.source]
        if changed or moved or stored.task != d.task:
            name = (changed or moved or ["task"])[0]
            column = old[name].source or name if name in old else name
            raise ContractError(
                f"the columns of deployment {d.name} changed ({column}) since the store was made",
                "append new features and segments at the end, or use a new store with --store",
            )
        added = [c for n, c in new.items() if n not in old]
        with self.database.transaction() as cursor:
            create_halves(cursor, Layout(stored))
            for column_ in added:
                for table in ("predictions", "reference", "halves"):
                    cursor.execute(
                        f"ALTER TABLE {self.layout.table(table)} "
                        f"ADD COLUMN {column_.name} {column_.type}"
                    )
            if added:  # references are read again for the new column; bins without one are anew
                cursor.execute(
                    "DELETE FROM source_offset WHERE deployment = ? AND kind = ?",
                    [d.name, REFERENCE],
                )
                cursor.execute(
                    "UPDATE deployments SET bins_from = 0 WHERE deployment = ?", [d.name]
                )
            self._forget_useless_reads(cursor)
            if stored.quality != d.quality:
                QualityChecks(self.layout).judge_again(cursor)
            cursor.execute(
                "UPDATE deployments SET contract = ? WHERE deployment = ?",
                [d.model_dump_json(), d.name],
            )

    def _create_tables(self, cursor: Cursor) -> None:
        cursor.execute(
            read_sql(
                "deployment.sql",
                schema=self.layout.schema,
                columns=self.layout.definitions,
                label_type=self.layout.label_type,
            )
        )
        create_halves(cursor, self.layout)
        # empty tables, so that readers need no special case
        rollups = Rollups(self.layout, cursor)
        rollups.create(cursor)
        references.roll_up(cursor, self.layout, rollups)

    def _unbuild_if_changed(self, cursor: Cursor) -> None:
        """When bins or segments are others than the rollups were built with, start them anew."""
        known = cursor.execute(
            "SELECT rollup_key FROM deployments WHERE deployment = ?", [self.layout.name]
        ).fetchall()[0][0]
        key = self.rollups.key
        if known == key:
            return
        if known:
            if sealed_of(cursor, self.layout.name).raw is None:  # else some are of those hours only
                cursor.execute(
                    "DELETE FROM segment_values WHERE deployment = ?", [self.layout.name]
                )
            for table, label in (("reference", "label"), ("predictions", "")):
                note_segment_values(cursor, self.layout, self.layout.table(table), label)
            note_classes(cursor, self.layout, self.layout.table("labels"), "value")
            self.rollups.reload(cursor)
            self._unbuild(cursor, changed=True)
            references.roll_up(cursor, self.layout, self.rollups)
            key = self.rollups.key
        cursor.execute(
            "UPDATE deployments SET rollup_key = ? WHERE deployment = ?", [key, self.layout.name]
        )


def stored_contract(text: str) -> Deployment:
    """A deployment as the store has it. Raises StoreError for one of another release."""
    try:
        return Deployment.model_validate_json(text)
    except ValidationError as error:
        raise StoreError(
            "the store was made by another release of modelwatch",
            "use a new store with --store, and collect again",
        ) from error


def open_deployments(
    database: Database, deployments: Sequence[Deployment]
) -> dict[str, StoredDeployment]:
    """Every configured deployment, created in the store where it is new."""
    seen: dict[str, str] = {}
    for d in deployments:
        other = seen.setdefault(d.name.lower(), d.name)
        if other is not d.name:
            raise ContractError(
                f"deployments {other} and {d.name} have the same name",
                "names must differ by more than upper and lower case",
            )
    return {d.name: StoredDeployment(database, d) for d in deployments}
