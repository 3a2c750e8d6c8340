"""References: a training or validation set beside the predictions, its bins, sums and profile.

All references of a deployment are loaded together and replace what was there, since the bins of
every figure come from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from collectors.contract import FeatureKind
from collectors.store.batches import BatchCounts, Offset, Reject, Slice, begin, finish
from collectors.store.bins import freeze_bins
from collectors.store.conditions import keep_categories
from collectors.store.database import Cursor, count, temp_table
from collectors.store.layout import Layout
from collectors.store.moments import naive_utc
from collectors.store.quarantine import keep_rejects, keep_typed
from collectors.store.rollups import Rollups
from collectors.store.segment_values import note_segment_values
from collectors.store.staged import StagedColumns
from collectors.store.typed import reference_select

__all__ = ["REFERENCE", "StagedReference", "forget", "replace", "roll_up"]

REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class StagedReference:
    """One batch of a reference in `stage`. version: of all rows, or "". label: its column."""

    columns: StagedColumns
    rejects: tuple[Reject, ...]
    source: str
    start: int
    after: Offset
    version: str
    label: str


def replace(
    cursor: Cursor,
    layout: Layout,
    rollups: Rollups,
    staged: Iterable[StagedReference],
    *,
    sources: Sequence[tuple[str, str]],
    now: datetime,
) -> BatchCounts:
    """Replace the reference; rows that cannot be used go to quarantine. Within a transaction.

    sources: (path, fingerprint) of all that is read, so that it is not read again.
    """
    forget(cursor, layout)
    total = BatchCounts()
    columns = ", ".join(c.name for c in layout.columns)
    for part in staged:
        slice_ = Slice(REFERENCE, part.source, part.start, part.after)
        batch = begin(cursor, layout.name, slice_, naive_utc(now))
        temp_table(
            cursor, "typed", reference_select(layout, part.columns, part.version, part.label)
        )
        n_read = count(cursor, "typed") + len(part.rejects)
        n_bad = keep_typed(cursor, part.columns, batch, {})
        cursor.execute(
            f"INSERT INTO {layout.table('reference')} (id, ts, version, {columns}, label, batch) "
            f"SELECT id, ts, version, {columns}, label, {batch.number} FROM typed "
            "WHERE problem IS NULL"
        )
        n_bad += keep_rejects(cursor, part.rejects, batch)
        counts = BatchCounts(n_read, n_read - n_bad, 0, 0, n_bad)
        finish(cursor, batch, counts)
        total += counts
    for path, fingerprint in sources:
        cursor.execute(
            "INSERT OR REPLACE INTO source_offset VALUES (?, ?, ?, 0, ?, 0, '')",
            [layout.name, REFERENCE, path, fingerprint],
        )
    if count(cursor, layout.table("reference")):
        freeze_bins(cursor, layout, layout.table("reference"))
        note_segment_values(cursor, layout, layout.table("reference"), "label")
        cursor.execute("UPDATE deployments SET bins_from = 0 WHERE deployment = ?", [layout.name])
        rollups.reload(cursor)
    roll_up(cursor, layout, rollups)
    return total


def forget(cursor: Cursor, layout: Layout) -> None:
    """Take the reference out, with what was noted of its files; the bins stay."""
    cursor.execute(f"DELETE FROM {layout.table('reference')}")
    for table in ("source_offset", "batches", "quarantine"):
        cursor.execute(
            f"DELETE FROM {table} WHERE deployment = ? AND kind = ?",
            [layout.name, REFERENCE],
        )


def roll_up(cursor: Cursor, layout: Layout, rollups: Rollups) -> None:
    """The same sums over the reference, in tables named like the rollups.

    Features first: what a reference has seen decides which values are outside.
    """
    table = layout.table("reference")
    columns = ", ".join(c.name for c in layout.columns)
    epoch = "TIMESTAMP '1970-01-01'"
    outcomes = (
        f"(SELECT {epoch} AS ts, version, {columns}, label, {epoch} AS received, "
        f"1 AS weight FROM {table})"
    )
    inputs = f"(SELECT {epoch} AS ts, version, {columns} FROM {table})"
    _keep(cursor, layout, ("rollup_feature",), rollups.input_selects(inputs))
    _profile(cursor, layout)
    rollups.reload(cursor)
    keep_categories(cursor, layout, rollups.seen)
    rollups.prepare_outcomes(cursor, outcomes)
    kept = tuple(name for name in rollups.outcome_tables if name != "rollup_delay")
    _keep(cursor, layout, kept, rollups.outcome_selects())


def _keep(
    cursor: Cursor, layout: Layout, names: Sequence[str], selects: Iterable[tuple[str, str]]
) -> None:
    """Write sums into tables of their own; where nothing is summed up they are empty."""
    for name in names:
        sums = " UNION ALL ".join(sql for table, sql in selects if table == name)
        kept = layout.table(name.replace("rollup_", "reference_"))
        empty = f"SELECT * FROM {layout.table(name)} LIMIT 0"
        cursor.execute(f"CREATE OR REPLACE TABLE {kept} AS {sums or empty}")


def _profile(cursor: Cursor, layout: Layout) -> None:
    """Exact minimum, maximum, mean, spread and deciles per version and numeric column."""
    table = layout.table("reference")
    parts = [
        _feature_profile(table, number, column)
        for number, _, kind, column in layout.subjects()
        if kind is FeatureKind.NUMERIC
    ]
    sql = " UNION ALL ".join(parts) if parts else f"{_feature_profile(table, 0, '0.0')} LIMIT 0"
    cursor.execute(f"CREATE OR REPLACE TABLE {layout.table('reference_profile')} AS {sql}")


def _feature_profile(table: str, number: int, column: str) -> str:
    finite = f"{column} >= -1.7e308 AND {column} <= 1.7e308"
    usable = f"{column} > -1e150 AND {column} < 1e150"  # beyond, a variance would not be finite
    deciles = [i / 10 for i in range(1, 10)]
    return (
        f"SELECT version, CAST({number} AS SMALLINT) AS feature, count(*) AS n, "
        f"CAST(min({column}) FILTER ({finite}) AS DOUBLE) AS lowest, "
        f"CAST(max({column}) FILTER ({finite}) AS DOUBLE) AS highest, "
        f"avg({column}) FILTER ({usable}) AS mean, "
        f"coalesce(stddev_pop({column}) FILTER ({usable}), 0) AS sigma, "
        f"CAST(quantile_cont({column}, {deciles}) FILTER ({finite}) AS DOUBLE[]) "
        f"AS deciles FROM {table} GROUP BY version"
    )
