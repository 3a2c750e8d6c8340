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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from collectors.contract import FeatureKind
from collectors.store import days
from collectors.store.bins import Bins, load_bins
from collectors.store.conditions import CODES, Seen, load_seen
from collectors.store.database import Cursor, Database, count, read_sql, temp_table
from collectors.store.labels import latest
from collectors.store.layout import SCORE, Layout
from collectors.store.moments import stamp
from collectors.store.names import text
from collectors.store.outcomes import OUTCOMES
from collectors.store.places import START, edge_list, placed
from collectors.store.segment_values import CLASSES, VERSIONS, folded, full_segments
from collectors.store.tables import DELAY, INPUTS, RollupTable

__all__ = ["BUCKET", "SETTLE_CHANGES", "Rollups"]

ROLLUP_VERSION = 5
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
        """Read bins, segment values and what references have seen again, after they changed."""
        self.bins: Bins = load_bins(cursor, self.layout.name)
        self.seen: Seen = load_seen(cursor, self.layout)
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
            self.seen.fingerprint,
        ]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]

    # -- tables ----------------------------------------------------------------------------------

    @property
    def outcome_tables(self) -> tuple[str, ...]:
        """Rollup tables that change with labels."""
        return tuple(t.name for t in self.outcomes)

    @property
    def input_tables(self) -> tuple[str, ...]:
        """Rollup tables that depend on predictions only."""
        return tuple(t.name for t in INPUTS)

    @property
    def outcomes(self) -> tuple[RollupTable, ...]:
        """The tables that change with labels, with their columns."""
        return (*self.outcome.tables, self.outcome.conditions, DELAY)

    def sum_days(self, cursor: Cursor, part: str, span: days.Span) -> None:
        """Sum up the days of a span from their hours; within a transaction."""
        merges = [(self.layout.table(table.name), table) for table in self.parts[part]]
        main, totals = self.outcome.tables[0], self.outcome.totals
        if part == days.OUTCOME_PART and totals.name != main.name:
            merges.append((days.day_table(self.layout, main.name), totals))
        days.sum_up(cursor, self.layout, part, merges, span)

    @property
    def parts(self) -> dict[str, tuple[RollupTable, ...]]:
        """Tables that change together."""
        return {days.OUTCOME_PART: self.outcomes, days.INPUT_PART: INPUTS}

    @property
    def tables(self) -> tuple[RollupTable, ...]:
        """All rollup tables."""
        return (*self.outcomes, *INPUTS)

    def create(self, cursor: Cursor) -> None:
        """Make all rollup tables, empty."""
        for table in self.tables:
            name = self.layout.table(table.name)
            cursor.execute(f"CREATE OR REPLACE TABLE {name} ({table.definition})")
        days.create(cursor, self.layout, (*self.tables, self.outcome.totals))

    @contextmanager
    def transaction(self, database: Database) -> Iterator[Cursor]:
        """Commit all of it or nothing, in the store and in what is known of it here."""
        try:
            with database.transaction() as cursor:
                yield cursor
        except BaseException:
            with suppress(duckdb.Error):
                self.reload(database.connection)
            raise

    # -- where rows come from --------------------------------------------------------------------

    def raw_rows(
        self,
        start: datetime,
        end: datetime,
        as_of: datetime | None = None,
        *,
        corrected: bool = True,
    ) -> str:
        """Predictions of [start, end) with their latest label, optionally as known at `as_of`.

        corrected: a prediction may have several labels; otherwise it comes once with each.
        """
        schema = self.layout.schema
        known = f"AND received <= {stamp(as_of)}" if as_of else ""
        made = f"AND ts < {stamp(as_of)}" if as_of else ""
        inside = f"ts >= {stamp(start)} AND ts < {stamp(end)}"
        where = f"{inside} {known}"
        labels = f"SELECT id, ts, value, received FROM {schema}.labels WHERE {where}"
        if corrected:
            labels = latest(f"{schema}.labels", where=where)
        return (
            "(SELECT p.*, l.value AS label, l.received, 1 AS weight "
            f"FROM (SELECT * FROM {schema}.predictions WHERE {inside} {made}) AS p "
            f"LEFT JOIN ({labels}) AS l ON l.id = p.id AND l.ts = p.ts)"
        )

    # -- SQL over rows ---------------------------------------------------------------------------

    def prepare_outcomes(self, cursor: Cursor, source: str) -> None:
        """Materialise `outcome_rows` and `outcome_cells` for `outcome_selects`."""
        self._prepare_rows(cursor, source)
        self._prepare_cells(cursor)

    def outcome_selects(self) -> tuple[tuple[str, str], ...]:
        """(table, SELECT) for every rollup that labels change; after `prepare_outcomes`."""
        main = self.outcome.tables[0].name
        name = main.removeprefix("rollup_")
        parts = [self._grouped(name, group) for group in self._groups()]
        if self._has_fine_whole:
            parts.insert(0, read_sql(f"rollups/{name}_whole.sql", cells=self._cells((), 1)))
        return (
            (main, " UNION ALL ".join(parts)),
            *self.outcome.others(self.layout),
            *self._conditions(),
            ("rollup_delay", read_sql("rollups/delay.sql")),
        )

    def input_selects(
        self, source: str, *, from_outcomes: bool = False
    ) -> tuple[tuple[str, str], ...]:
        """(table, SELECT) for every rollup of the predictions themselves.

        from_outcomes: the same rows are in `outcome_rows`, where scores have their bins.
        """
        if VERSIONS in self._full:
            version = folded(self.layout, VERSIONS, "version")
            source = f"(SELECT * REPLACE ({version} AS version) FROM {source} AS v)"
        known = [s for s in self.layout.subjects() if self.bins.has(s[0])]
        numeric = [(n, c) for n, _, kind, c in known if kind is FeatureKind.NUMERIC and n != SCORE]
        categorical = [(n, c) for n, _, kind, c in known if kind is FeatureKind.CATEGORICAL]
        found = []
        if numeric:
            found.append(self._numeric(numeric, source))
        if any(n == SCORE for n, *_ in known):
            score = read_sql("rollups/score_feature.sql", feature=str(SCORE))
            found.append(score if from_outcomes else self._numeric([(SCORE, "score")], source))
        if categorical:
            found.append(self._categorical(categorical, source))
        selects = [("rollup_feature", sql) for sql in found]
        for table in ("volume", "latency"):
            sql = read_sql(f"rollups/{table}.sql", bucket5=_BUCKET5, source=source)
            selects.append((f"rollup_{table}", sql))
        return tuple(selects)

    # -- keeping them ----------------------------------------------------------------------------

    def add(self, cursor: Cursor, judged: str, made: str) -> None:
        """Add new predictions: `judged` with their labels and weights, `made` without."""
        self.prepare_outcomes(cursor, judged)
        self._insert(cursor, self.outcome_selects())
        self._insert(cursor, self.input_selects(made, from_outcomes=True))

    def add_outcomes(self, cursor: Cursor, source: str) -> None:
        """Add weighted rows to the rollups that labels change."""
        self.prepare_outcomes(cursor, source)
        self._insert(cursor, self.outcome_selects())

    def recompute(self, cursor: Cursor, start: datetime, end: datetime) -> None:
        """Replace the rollups of [start, end) by what the raw rows say; within a transaction."""
        inside = f"ts >= {stamp(start)} AND ts < {stamp(end)}"
        bucket = inside.replace("ts", "bucket")
        for table in (*self.outcome_tables, *self.input_tables):
            cursor.execute(f"DELETE FROM {self.layout.table(table)} WHERE {bucket}")
        touched = f"day > {stamp(start)} - INTERVAL 1 DAY AND day < {stamp(end)}"
        days.forget(cursor, self.layout, tuple(self.parts), touched)
        made = f"(SELECT * FROM {self.layout.table('predictions')} WHERE {inside})"
        # most predictions have one label at most; only if one has more is the latest looked for
        self._prepare_rows(cursor, self.raw_rows(start, end, corrected=False))
        if count(cursor, "outcome_rows") != count(cursor, f"{made} AS r WHERE error IS NULL"):
            self._prepare_rows(cursor, self.raw_rows(start, end))
        self._prepare_cells(cursor)
        self._insert(cursor, self.outcome_selects())
        self._insert(cursor, self.input_selects(made, from_outcomes=True))
        cursor.execute(
            f"UPDATE {self.layout.table('buckets')} SET built = true, changes = 0 WHERE {bucket}"
        )

    def into_temp(
        self, cursor: Cursor, source: str, name: Callable[[str], str], *, outcomes: bool
    ) -> None:
        """Compute the rollups of `source` into temporary tables named by `name(table)`.

        outcomes: those that labels change, else those of the predictions themselves.
        """
        if outcomes:
            self.prepare_outcomes(cursor, source)
        selects = _by_table(self.outcome_selects() if outcomes else self.input_selects(source))
        for table in self.outcome_tables if outcomes else self.input_tables:
            # a table of which nothing is summed up (no class scores, no bins) is empty
            empty = f"SELECT * FROM {self.layout.table(table)} LIMIT 0"
            temp_table(cursor, name(table), selects.get(table, empty))

    # -- helpers ---------------------------------------------------------------------------------

    def _insert(self, cursor: Cursor, selects: tuple[tuple[str, str], ...]) -> None:
        # one INSERT a table: DuckDB 2.0 loses what follows an INSERT of no rows into an empty table
        for table, sql in _by_table(selects).items():
            cursor.execute(f"INSERT INTO {self.layout.table(table)} BY NAME {sql}")

    def _prepare_rows(self, cursor: Cursor, source: str) -> None:
        held = f"{self.seen.place} AS seen_by"
        rows, place = f"SELECT *, {held} FROM {source} AS r WHERE error IS NULL", ""
        if self.layout.has_score:
            edges = self.bins.edges(SCORE)
            rows = (
                f"SELECT *, {held}, {edge_list(edges)} AS edges, {START} "
                f"FROM {source} AS r WHERE error IS NULL"
            )
            rows, place = placed(rows, "score", len(edges))
        segments = "".join(
            f"{self._folded(i)} AS g{i},\n    " for i in range(len(self.layout.deployment.segments))
        )
        rows, listed = self._with_conditions(rows)
        full = VERSIONS in self._full
        parts = {
            "version": folded(self.layout, VERSIONS, "version") if full else "version",
            "segments": segments,
            "conditions": listed,
            "values": self.outcome.values(self.layout, place, CLASSES in self._full),
            "rows": rows,
        }
        cursor.execute(read_sql("rollups/rows.sql", **parts))

    def _prepare_cells(self, cursor: Cursor) -> None:
        keys = tuple(f"g{i}" for i in range(len(self.layout.deployment.segments)))
        if keys or not self._has_fine_whole:
            temp_table(cursor, "outcome_cells", self._cells(keys, self.outcome.coarse[0]))

    @property
    def _has_fine_whole(self) -> bool:
        """Whether segments merge score bins, so that the whole has cells of its own."""
        return self.outcome.coarse[0] > 1

    def _cells(self, keys: tuple[str, ...], coarse: int) -> str:
        return read_sql(
            self.outcome.cells,
            keys="".join(f"{k}, " for k in keys),
            group_keys="".join(f", {k}" for k in keys),
            bin=_merged("bin", coarse),
            source="outcome_rows",
            **self.outcome.parts(self.layout),
        )

    def _with_conditions(self, rows: str) -> tuple[str, str]:
        """Rows with a number per feature, and the list of those that are not ordinary."""
        features = range(len(self.layout.deployment.features))
        if not features:
            return rows, "CAST(NULL AS SMALLINT[])"
        found = ", ".join(
            f"CAST({self.seen.condition(self.layout, i)} AS TINYINT) AS k{i}" for i in features
        )
        codes = ", ".join(f"CASE WHEN k{i} > 0 THEN {i * CODES} + k{i} END" for i in features)
        ordinary = " AND ".join(f"k{i} = 0" for i in features)
        unusual = f"list_filter([{codes}], lambda x: x IS NOT NULL)"
        return (
            f"SELECT *, {found} FROM ({rows}) AS h",
            f"CAST(CASE WHEN {ordinary} THEN NULL ELSE {unusual} END AS SMALLINT[])",
        )

    def _conditions(self) -> tuple[tuple[str, str], ...]:
        """The sums of rows with a missing or outside feature; each such feature counts its own."""
        if not self.layout.deployment.features:
            return ()
        cells = read_sql(
            self.outcome.cells,
            keys="condition, ",
            group_keys=", condition",
            bin="CAST(-1 AS SMALLINT)",
            source=f"({read_sql('rollups/condition_rows.sql')}) AS c",
            **self.outcome.parts(self.layout),
        )
        table = self.outcome.conditions
        keys = [k for k in table.keys if k not in ("feature", "condition")]
        amounts = (f"CAST({name} AS BIGINT) AS {name}" for name in table.counts)
        listed = ", ".join((*keys, *amounts, *table.sums))
        sql = (
            f"SELECT bucket, version, CAST(condition // {CODES} AS SMALLINT) AS feature, "
            f"CAST(condition % {CODES} AS TINYINT) AS condition, {listed} FROM ({cells}) AS k"
        )
        return ((table.name, sql),)

    def _folded(self, segment: int) -> str:
        value = self.layout.segment_value(segment)
        return folded(self.layout, segment, value) if segment in self._full else value

    def _groups(self) -> list[_Group]:
        """What is summed up from the cells; coarse: how many of their bins become one."""
        d = self.layout.deployment
        one, two = self.outcome.coarse
        groups = [] if self._has_fine_whole else [_Group(0, (), 1)]
        groups += [_Group(1 + i, (f"g{i}",), 1) for i in range(len(d.segments))]
        first = 1 + len(d.segments)
        groups += [
            _Group(first + k, (f"g{i}", f"g{j}"), two // one)
            for k, (i, j) in enumerate(d.segment_crosses)
        ]
        return groups

    def _grouped(self, name: str, group: _Group) -> str:
        keys = group.keys
        listed = ", ".join(keys)
        lead = name == "regression"
        joined = (f", {listed}" if lead else f"{listed},") if keys else ""
        return read_sql(
            f"rollups/{name}.sql",
            segment=str(group.segment),
            value=keys[0] if keys else "''",
            value2=keys[1] if len(keys) > 1 else "''",
            bin=_merged("bin", group.coarse),
            group=joined,
            **self.outcome.parts(self.layout),
        )

    def _numeric(self, features: Sequence[tuple[int, str]], source: str) -> str:
        edges = {number: self.bins.edges(number) for number, _ in features}
        rows = " UNION ALL ".join(
            read_sql(
                "rollups/numeric_values.sql",
                feature=str(number),
                column=column,
                edges=edge_list(edges[number]),
                start=START,
                source=source,
            )
            for number, column in features
        )
        values, place = placed(rows, "x", max(len(e) for e in edges.values()))
        return read_sql("rollups/numeric_features.sql", values=values, place=place)

    def _categorical(self, features: Sequence[tuple[int, str]], source: str) -> str:
        counts = " UNION ALL ".join(
            read_sql(
                "rollups/categorical_counts.sql",
                feature=str(number),
                column=column,
                source=source,
            )
            for number, column in features
        )
        return read_sql(
            "rollups/categorical_features.sql", counts=counts, deployment=text(self.layout.name)
        )


def _by_table(selects: tuple[tuple[str, str], ...]) -> dict[str, str]:
    parts: dict[str, list[str]] = {}
    for table, sql in selects:
        parts.setdefault(table, []).append(sql)
    return {table: " UNION ALL ".join(some) for table, some in parts.items()}


def _merged(column: str, coarse: int) -> str:
    return column if coarse == 1 else f"CAST(floor({column} / {coarse}.0) AS SMALLINT)"
