"""Frozen bins: where the edges of every watched column lie.

Edges come from the reference (all versions' references together), or from the first rows where
there is none, and stay: distributions are comparable over time only on the same edges. For each
version's reference its exact deciles, minimum and maximum are among the edges, so figures on
deciles (PSI) are exact; 2.5 % quantiles of all references give finer shape in between.

A value with a tenth or more of the mass (a zero-inflated column) gets a bin of its own, otherwise
equal quantiles would fall together and hide every change around them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collectors.contract import FeatureKind
from collectors.store.database import Cursor
from collectors.store.layout import PREDICTION, SCORE, Layout

__all__ = ["OTHER_BIN", "Bins", "freeze_bins", "load_bins"]

FINE = 40
FINE_SCORE = 128
OWN_CATEGORIES = 100
OTHER_BIN = OWN_CATEGORIES
KNOWN_CATEGORIES = 10_000
"""Categories that are told from unseen ones; a reference with more cannot name what is new."""

OWN_DECILES = 100
"""Versions whose own deciles are among the edges, those with most rows first."""

SCORE_GRID = tuple(
    sorted(
        {i / 128 for i in range(7, 122)}
        | {0.05 * 0.0002 ** (i / 63) for i in range(64)}
        | {1 - 0.05 * 0.0002 ** (i / 63) for i in range(64)}
    )
)
"""Score edges for any model: even in the middle, geometric towards 0 and 1. With .5 % positives and
no reference the AUC is then off by 7e-4, with even bins by .1."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Edges by feature number (ascending upper ends), and which features have any bins."""

    numeric: Mapping[int, tuple[float, ...]]
    categorical: frozenset[int]
    fingerprint: str

    def edges(self, feature: int) -> tuple[float, ...]:
        """Inner edges of a numeric feature; () when it has one bin only."""
        if feature == SCORE and feature not in self.numeric:
            return SCORE_GRID
        return self.numeric.get(feature, ())

    def __bool__(self) -> bool:
        return bool(self.numeric or self.categorical)

    def has(self, feature: int) -> bool:
        """Whether the feature's bins are frozen."""
        return feature in self.numeric or feature in self.categorical


def load_bins(cursor: Cursor, deployment: str) -> Bins:
    """The frozen bins of a deployment; empty before its first rows."""
    rows = cursor.execute(
        "SELECT feature, bin, upper, category FROM bins WHERE deployment = ? "
        "ORDER BY feature, bin, category",
        [deployment],
    ).fetchall()
    numeric: dict[int, list[float]] = {}
    categorical: set[int] = set()
    for feature, _, upper, category in rows:
        if category is not None:
            categorical.add(feature)
        else:
            numeric.setdefault(feature, [])
            if upper is not None:
                numeric[feature].append(upper)
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
    return Bins({k: tuple(v) for k, v in numeric.items()}, frozenset(categorical), digest)


def freeze_bins(cursor: Cursor, layout: Layout, relation: str) -> None:
    """Choose and store the bins from the rows of `relation` (physical columns and `version`)."""
    cursor.execute("DELETE FROM bins WHERE deployment = ?", [layout.name])
    rows: list[tuple[str, int, int, float | None, str | None]] = []
    for number, _, kind, column in layout.subjects():
        if kind is FeatureKind.NUMERIC:
            edges = _numeric_edges(cursor, column, relation, fine=number == SCORE)
            rows += [(layout.name, number, i, edge, None) for i, edge in enumerate(edges)]
            rows.append((layout.name, number, len(edges), None, None))
        else:
            names = _categories(cursor, column, relation, fixed=number == PREDICTION)
            rows += [
                (layout.name, number, min(i, OTHER_BIN), None, name) for i, name in enumerate(names)
            ]
    if not rows:
        return
    _, features, places, uppers, categories = map(list, zip(*rows, strict=True))
    cursor.execute(  # as lists: 3,000 rows as parameters of VALUES cost 0.17 s
        "INSERT INTO bins SELECT ?, unnest(CAST(? AS SMALLINT[])), unnest(CAST(? AS SMALLINT[])), "
        "unnest(CAST(? AS DOUBLE[])), unnest(CAST(? AS VARCHAR[]))",
        [layout.name, features, places, uppers, categories],
    )


def _numeric_edges(cursor: Cursor, column: str, relation: str, *, fine: bool) -> list[float]:
    finite = f"{column} >= -1.7e308 AND {column} <= 1.7e308"
    n = FINE_SCORE if fine else FINE
    quantiles = [i / n for i in range(1, n)]
    deciles = [i / 10 for i in range(1, 10)]
    edges: set[float] = set(SCORE_GRID) if fine else set()
    pooled = cursor.execute(
        f"SELECT quantile_cont({column}, {quantiles}) FROM {relation} AS r WHERE {finite}"
    ).fetchall()[0][0]
    edges.update(pooled or ())
    spikes = cursor.execute(
        f"SELECT {column} FROM {relation} AS r WHERE {finite} GROUP BY {column} "
        f"HAVING count(*) >= 0.1 * (SELECT count(*) FROM {relation} AS r WHERE {finite})"
    ).fetchall()
    for (value,) in spikes:
        edges.update((math.nextafter(value, -math.inf), value))
    per_version = cursor.execute(
        f"SELECT min({column}), max({column}), quantile_cont({column}, {deciles}) "
        f"FROM {relation} AS r WHERE {finite} GROUP BY version "
        f"ORDER BY count(*) DESC, version LIMIT {OWN_DECILES}"
    ).fetchall()
    for low, high, own in per_version:
        edges.update((math.nextafter(low, -math.inf), high, *own))
    return sorted(edge for edge in edges if math.isfinite(edge))


def _categories(cursor: Cursor, column: str, relation: str, *, fixed: bool) -> Sequence[str]:
    """Known values, most frequent first; predicted classes in their own order."""
    order = "1" if fixed else "count(*) DESC, 1"
    found = cursor.execute(
        f"SELECT CAST({column} AS VARCHAR) FROM {relation} AS r WHERE {column} IS NOT NULL "
        f"GROUP BY 1 ORDER BY {order} LIMIT {KNOWN_CATEGORIES}"
    ).fetchall()
    return [name for (name,) in found]
