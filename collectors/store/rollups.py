"""Rollups: sums and histograms per (version, segment value, hour), kept exact as rows come.

Every rollup is a sum over rows that carry a weight, so one set of SQL serves all sources of rows:

- a batch of new predictions: its own rows, weight +1, are added to the rollups;
- new labels: the predictions they belong to, once as they stood (-1), once as they stand (+1);
- an hour or a day from the raw tables: what is there is replaced (settling, rebuild);
- the past: the same with labels as they were known then, into temporary tables.

Additions are made in the transaction that brings the rows, so figures are never behind the data,
and the cost of a refresh follows the batch, not the size of the hour. An hour that was added to is
marked (`buckets.changes`) and later settled from its raw rows, which merges the additions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from collectors.contract import FeatureKind
from collectors.store.bins import Bins, load_bins
from collectors.store.database import Cursor, read_sql, temp_table
from collectors.store.labels import latest
from collectors.store.layout import OTHER, SCORE, Layout, nested_case
from collectors.store.moments import stamp
from collectors.store.names import text
from collectors.store.outcomes import OUTCOMES
from collectors.store.segment_values import full_segments

__all__ = ["BUCKET", "SETTLE_CHANGES", "Rollups"]

ROLLUP_VERSION = 1
"""Raise it when a rollup's SQL changes meaning: stores are then rebuilt from their raw rows."""

BUCKET = timedelta(hours=1)
SETTLE_CHANGES = 64
"""Additions to an hour after which it is worth recomputing it: reads then merge at most that many
parts, and the recomputing costs a small share of what adding them did."""

_BUCKET5 = "date_trunc('minute', ts) - (minute(ts) % 5) * INTERVAL 1 MINUTE"


@dataclass(frozen=True, slots=True)
class _Group:
    """One grouping of the cells: the whole, a segment, or a cross of two."""

    segment: int
    keys: tuple[str, ...]
    coarse: int


class Rollups:
    """The rollup SQL of one deployment, over the bins and segment values that its store holds."""

    def __init__(self, layout: Layout, cursor: Cursor) -> None:
        self.layout = layout
        self.outcome = OUTCOMES[layout.task]
        self.reload(cursor)

    def reload(self, cursor: Cursor) -> None:
        """Read bins and segment values again, after they changed."""
        self.bins: Bins = load_bins(cursor, self.layout.name)
        self._full = full_segments(cursor, self.layout.name)

    @property
    def key(self) -> str:
        """What the rollups depend on besides the rows; another key means a rebuild."""
        d = self.layout.deployment
        parts = [
            ROLLUP_VERSION,
            [s.model_dump() for s in d.segments],
            d.crosses,
            d.class_scores,
            [(f.name, f.kind) for f in d.features],
            self.bins.fingerprint,
        ]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]

    # -- tables ----------------------------------------------------------------------------------

    @property
    def outcome_tables(self) -> tuple[str, ...]:
        """Rollup tables that change with labels."""
        return (*(t.name for t in self.outcome.tables), "rollup_delay")

    @property
    def input_tables(self) -> tuple[str, ...]:
        """Rollup tables that depend on predictions only."""
        return ("rollup_feature", "rollup_volume", "rollup_latency")

    # -- where rows come from --------------------------------------------------------------------

    def raw_rows(self, start: datetime, end: datetime, as_of: datetime | None = None) -> str:
        """Predictions of [start, end) with their latest label, optionally as known at `as_of`."""
        schema = self.layout.schema
        known = f"AND received <= {stamp(as_of)}" if as_of else ""
        made = f"AND ts < {stamp(as_of)}" if as_of else ""
        inside = f"ts >= {stamp(start)} AND ts < {stamp(end)}"
        newest = latest(f"{schema}.labels", where=f"{inside} {known}")
        return (
            "(SELECT p.*, l.value AS label, l.received, 1 AS weight "
            f"FROM (SELECT * FROM {schema}.predictions WHERE {inside} {made}) AS p "
            f"LEFT JOIN ({newest}) AS l ON l.id = p.id AND l.ts = p.ts)"
        )

    # -- SQL over rows ---------------------------------------------------------------------------

    def prepare_outcomes(self, cursor: Cursor, source: str) -> None:
        """Materialise `outcome_rows` and `outcome_cells` for `outcome_selects`."""
        segments = "".join(
            f"{self._folded(i)} AS g{i},\n    " for i in range(len(self.layout.deployment.segments))
        )
        edges = self.bins.edges(SCORE)
        cursor.execute(
            read_sql(
                "rollups/rows.sql",
                segments=segments,
                values=self.outcome.values(self.layout, edges),
                source=source,
            )
        )
        keys = [f"g{i}" for i in range(len(self.layout.deployment.segments))]
        cursor.execute(
            read_sql(
                self.outcome.cells,
                keys="".join(f"{k}, " for k in keys),
                group_keys="".join(f", {k}" for k in keys),
            )
        )

    def outcome_selects(self) -> tuple[tuple[str, str], ...]:
        """(table, SELECT) for every rollup that labels change; after `prepare_outcomes`."""
        main = self.outcome.tables[0].name
        name = main.removeprefix("rollup_")
        united = " UNION ALL ".join(self._grouped(name, group) for group in self._groups())
        return (
            (main, united),
            *self.outcome.others(self.layout),
            ("rollup_delay", read_sql("rollups/delay.sql")),
        )

    def input_selects(self, source: str) -> tuple[tuple[str, str], ...]:
        """(table, SELECT) for every rollup of the predictions themselves."""
        selects = [
            self._feature_select(number, kind, column, source)
            for number, _, kind, column in self.layout.subjects()
            if self.bins.has(number)
        ]
        found = [("rollup_feature", " UNION ALL ".join(selects))] if selects else []
        for table in ("volume", "latency"):
            sql = read_sql(f"rollups/{table}.sql", bucket5=_BUCKET5, source=source)
            found.append((f"rollup_{table}", sql))
        return tuple(found)

    # -- keeping them ----------------------------------------------------------------------------

    def add_outcomes(self, cursor: Cursor, source: str) -> None:
        """Add weighted rows to the rollups that labels change."""
        self.prepare_outcomes(cursor, source)
        self._insert(cursor, self.outcome_selects())

    def add_inputs(self, cursor: Cursor, source: str) -> None:
        """Add new predictions to the rollups of predictions."""
        self._insert(cursor, self.input_selects(source))

    def recompute(self, cursor: Cursor, start: datetime, end: datetime) -> None:
        """Replace the rollups of [start, end) by what the raw rows say; within a transaction."""
        for table in (*self.outcome_tables, *self.input_tables):
            cursor.execute(
                f"DELETE FROM {self.layout.table(table)} "
                f"WHERE bucket >= {stamp(start)} AND bucket < {stamp(end)}"
            )
        self.add_outcomes(cursor, self.raw_rows(start, end))
        made = (
            f"(SELECT * FROM {self.layout.schema}.predictions "
            f"WHERE ts >= {stamp(start)} AND ts < {stamp(end)})"
        )
        self.add_inputs(cursor, made)
        cursor.execute(
            f"UPDATE {self.layout.table('buckets')} SET built = true, changes = 0 "
            f"WHERE bucket >= {stamp(start)} AND bucket < {stamp(end)}"
        )

    def into_temp(
        self, cursor: Cursor, source: str, name: Callable[[str], str], *, outcomes: bool
    ) -> None:
        """Compute the rollups of `source` into temporary tables named by `name(table)`.

        outcomes: those that labels change, else those of the predictions themselves.
        """
        if outcomes:
            self.prepare_outcomes(cursor, source)
        selects: dict[str, list[str]] = {}
        for table, sql in self.outcome_selects() if outcomes else self.input_selects(source):
            selects.setdefault(table, []).append(sql)
        for table, parts in selects.items():
            temp_table(cursor, name(table), " UNION ALL ".join(parts))

    # -- helpers ---------------------------------------------------------------------------------

    def _insert(self, cursor: Cursor, selects: tuple[tuple[str, str], ...]) -> None:
        for table, sql in selects:
            cursor.execute(f"INSERT INTO {self.layout.table(table)} {sql}")

    def _folded(self, segment: int) -> str:
        value = self.layout.segment_value(segment)
        if segment not in self._full:
            return value
        known = (
            "SELECT value FROM segment_values "
            f"WHERE deployment = {text(self.layout.name)} AND segment = {segment}"
        )
        return f"CASE WHEN {value} IN ({known}) THEN {value} ELSE {text(OTHER)} END"

    def _groups(self) -> list[_Group]:
        d = self.layout.deployment
        one, two = self.outcome.coarse
        groups = [_Group(0, (), 1)]
        groups += [_Group(1 + i, (f"g{i}",), one) for i in range(len(d.segments))]
        first = 1 + len(d.segments)
        groups += [
            _Group(first + k, (f"g{i}", f"g{j}"), two) for k, (i, j) in enumerate(d.segment_crosses)
        ]
        return groups

    def _grouped(self, name: str, group: _Group) -> str:
        keys = group.keys
        bin_ = "bin" if group.coarse == 1 else f"floor(bin / {group.coarse}.0)"
        listed = ", ".join(keys)
        lead = name == "regression"
        joined = (f", {listed}" if lead else f"{listed},") if keys else ""
        return read_sql(
            f"rollups/{name}.sql",
            segment=str(group.segment),
            value=keys[0] if keys else "''",
            value2=keys[1] if len(keys) > 1 else "''",
            bin=bin_,
            group=joined,
        )

    def _feature_select(self, number: int, kind: FeatureKind, column: str, source: str) -> str:
        if kind is FeatureKind.CATEGORICAL:
            return read_sql(
                "rollups/categorical_feature.sql",
                feature=str(number),
                column=column,
                source=source,
                deployment=text(self.layout.name),
            )
        edges = self.bins.edges(number)
        return read_sql(
            "rollups/numeric_feature.sql",
            feature=str(number),
            column=column,
            source=source,
            bins=nested_case(column, edges, [str(i) for i in range(len(edges) + 1)]),
        )
