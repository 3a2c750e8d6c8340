"""The same figures by SQL that a careful person would write directly over the raw tables.

Not the package's statements: one join of predictions with their latest label, grouping sets for the
confusion counts and losses, exact AUC by rank, one GROUP BY a feature on the same bins, quantiles
by DuckDB's own aggregate. Of several ways to write each, the one that ran fastest is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from collectors.contract import FeatureKind
from collectors.store.bins import Bins
from collectors.store.database import Cursor
from collectors.store.layout import SCORE, Layout, nested_case

__all__ = ["FIGURES", "HandWritten"]

FIGURES = ("outcomes", "auc", "features", "volume", "latency", "delay")

_HOUR = "date_trunc('hour', ts)"


class HandWritten:
    """Direct SQL over a store's raw tables, into temporary tables of a connection."""

    def __init__(self, cursor: Cursor, layout: Layout, bins: Bins) -> None:
        self.cursor = cursor
        self.layout = layout
        self.bins = bins
        self.segments = [layout.segment_value(i) for i in range(len(layout.deployment.segments))]

    def all(self, start: datetime, end: datetime, step: timedelta | None = None) -> None:
        """Every figure of [start, end); in steps, so that joins fit into memory."""
        for low, high in _spans(start, end, step):
            for figure in FIGURES:
                self.compute(figure, low, high)

    def compute(self, figure: str, start: datetime, end: datetime, step: str = "hour") -> int:
        """One of FIGURES; how many rows it has."""
        if figure in ("outcomes", "auc", "delay"):
            self._join(start, end, step)
        sql = getattr(self, f"_{figure}")(_inside(start, end), step)
        self.cursor.execute(f"CREATE OR REPLACE TEMP TABLE hand_{figure} AS {sql}")
        return int(self.cursor.execute(f"SELECT count(*) FROM hand_{figure}").fetchall()[0][0])

    def _join(self, start: datetime, end: datetime, step: str) -> None:
        """Predictions with their latest label, once for all figures of a span."""
        key = (start, end, step)
        if getattr(self, "_joined", None) == key:
            return
        inside = _inside(start, end)
        listed = "".join(f", {sql} AS s{i}" for i, sql in enumerate(self.segments))
        self.cursor.execute(
            "CREATE OR REPLACE TEMP TABLE hand_rows AS "
            f"SELECT date_trunc('{step}', p.ts) AS bucket, p.ts, version, score, predicted, label, "
            f"received{listed} FROM {self.layout.table('predictions')} AS p LEFT JOIN ("
            "SELECT id, arg_max(value, received) AS label, max(received) AS received "
            f"FROM {self.layout.table('labels')} WHERE {inside} GROUP BY id) AS l ON l.id = p.id "
            f"WHERE {inside.replace('ts', 'p.ts')} AND error IS NULL"
        )
        self._joined = key

    def _outcomes(self, _: str, __: str) -> str:
        keys = [f"s{i}" for i in range(len(self.segments))]
        sets = [(), *((k,) for k in keys)]
        sets += [(a, b) for i, a in enumerate(keys) for b in keys[i + 1 :]]
        listed = ", ".join(f"({', '.join(('bucket', 'version', *s))})" for s in sets)
        return (
            f"SELECT bucket, version, {', '.join(keys)}, count(*) AS n, count(label) AS labelled, "
            "count(*) FILTER (predicted = 1 AND label = 1) AS tp, "
            "count(*) FILTER (predicted = 1 AND label = 0) AS fp, "
            "count(*) FILTER (predicted = 0 AND label = 1) AS fn, "
            "count(*) FILTER (predicted = 0 AND label = 0) AS tn, "
            "avg((score - label) * (score - label)) AS brier, "
            "avg(-ln(greatest(CASE label WHEN 1 THEN score WHEN 0 THEN 1 - score END, "
            "2.220446049250313e-16))) AS log_loss, avg(score) AS mean_score, avg(label) AS rate "
            f"FROM hand_rows GROUP BY GROUPING SETS ({listed})"
        )

    def _auc(self, _: str, __: str) -> str:
        """Exact: the rank sum of positives, ties at their middle rank."""
        return (
            "SELECT bucket, version, (sum(middle * positives) - sum(positives) * "
            "(sum(positives) + 1) / 2.0) / nullif(sum(positives) * sum(negatives), 0) AS auc FROM ("
            "SELECT bucket, version, sum(label) AS positives, count(*) - sum(label) AS negatives, "
            "sum(count(*)) OVER (PARTITION BY bucket, version ORDER BY score) "
            "- (count(*) - 1) / 2.0 AS middle "
            "FROM hand_rows WHERE label IS NOT NULL GROUP BY bucket, version, score) AS t "
            "GROUP BY bucket, version"
        )

    def _features(self, inside: str, step: str) -> str:
        parts = []
        for number, _, kind, column in self.layout.subjects():
            if kind is FeatureKind.NUMERIC:
                edges = self.bins.edges(number if number != SCORE else SCORE)
                bin_ = nested_case(column, edges, [str(i) for i in range(len(edges) + 1)])
                bin_ = f"CAST(CASE WHEN {column} IS NOT NULL THEN {bin_} END AS VARCHAR)"
                stats = f"avg({column}), stddev_pop({column}), min({column}), max({column})"
            else:
                bin_ = f"CAST({column} AS VARCHAR)"
                stats = "NULL, NULL, NULL, NULL"
            parts.append(
                f"SELECT date_trunc('{step}', ts) AS bucket, version, {number} AS feature, "
                f"{bin_} AS bin, count(*) AS n, {stats} "
                f"FROM {self.layout.table('predictions')} WHERE {inside} AND error IS NULL "
                "GROUP BY 1, 2, 4"
            )
        return " UNION ALL ".join(parts)

    def _volume(self, inside: str, _: str) -> str:
        return (
            "SELECT time_bucket(INTERVAL 5 MINUTE, ts) AS bucket, version, count(*) AS n, "
            "count(error) AS n_error, sum(cost) AS cost "
            f"FROM {self.layout.table('predictions')} WHERE {inside} GROUP BY 1, 2"
        )

    def _latency(self, inside: str, _: str) -> str:
        return (
            "SELECT time_bucket(INTERVAL 5 MINUTE, ts) AS bucket, version, "
            "quantile_cont(latency_ms, [0.5, 0.9, 0.95, 0.99]) AS quantiles, "
            "avg(latency_ms) AS mean "
            f"FROM {self.layout.table('predictions')} WHERE {inside} GROUP BY 1, 2"
        )

    def _delay(self, _: str, __: str) -> str:
        return (
            "SELECT bucket, version, count(label) AS labelled, "
            "quantile_cont(date_diff('second', ts, received), [0.5, 0.9]) AS delay "
            "FROM hand_rows GROUP BY 1, 2"
        )


def _inside(start: datetime, end: datetime) -> str:
    low, high = (t.replace(tzinfo=None) for t in (start, end))
    return f"ts >= TIMESTAMP '{low}' AND ts < TIMESTAMP '{high}'"


def _spans(
    start: datetime, end: datetime, step: timedelta | None
) -> Iterator[tuple[datetime, datetime]]:
    low = start
    while low < end:
        high = min(low + step, end) if step is not None else end
        yield low, high
        low = high
