"""Conditions of a row's features: missing, or outside what the version's reference has seen.

A numeric value is outside below the least or above the greatest value of the reference, a category
where the reference has no row of its bin. A version without a reference of its own is held against
the one that names no version; without that one, nothing is outside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from collectors.contract import FeatureKind
from collectors.store.bins import KNOWN_CATEGORIES
from collectors.store.database import Cursor, read_sql
from collectors.store.layout import Layout
from collectors.store.names import text
from collectors.store.places import number

__all__ = ["CODES", "MISSING", "OUTSIDE", "Seen", "keep_categories", "load_seen"]

MISSING, OUTSIDE = 1, 2
"""Conditions as numbers; 0 is an ordinary value."""

CODES = 4
"""A row's conditions are a list of feature * CODES + condition."""

_VERSIONS = 100
"""Versions whose own reference counts, those with most rows first."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the references have seen.

    versions: those with a reference. ranges: by feature, (least, greatest) per version, in the
    order of `versions`. categorical: features whose categories are known.
    """

    versions: tuple[str, ...] = ()
    ranges: Mapping[int, tuple[tuple[float, float] | None, ...]] = field(default_factory=dict)
    categorical: frozenset[int] = frozenset()
    fingerprint: str = ""

    @property
    def place(self) -> str:
        """Which of `versions` a row is held against, from 1, as SQL over `version`."""
        own = [
            f"WHEN {text(version)} THEN {i}"
            for i, version in enumerate(self.versions, 1)
            if version
        ]
        other = str(self.versions.index("") + 1) if "" in self.versions else "NULL"
        return f"CASE version {' '.join(own)} ELSE {other} END" if own else other

    @property
    def always(self) -> bool:
        """Whether one reference serves every row, so that `seen_by` is 1."""
        return self.versions == ("",)

    def condition(self, layout: Layout, feature: int) -> str:
        """The condition of a feature as a SQL number, over its column and `seen_by`, the place."""
        if layout.deployment.features[feature].kind is FeatureKind.CATEGORICAL:
            return self._category(layout, feature, f"f{feature}")
        return self._number(feature, f"f{feature}")

    def _category(self, layout: Layout, feature: int, column: str) -> str:
        if feature not in self.categorical:
            return f"CASE WHEN {column} IS NULL THEN {MISSING} ELSE 0 END"
        known = f"FROM {layout.table('reference_category')} WHERE feature = {feature}"
        if self.always:
            inside = f"{column} IN (SELECT category {known})"
        else:
            inside = f"seen_by IS NULL OR (seen_by, {column}) IN (SELECT place, category {known})"
        return f"CASE WHEN {column} IS NULL THEN {MISSING} WHEN {inside} THEN 0 ELSE {OUTSIDE} END"

    def _number(self, feature: int, column: str) -> str:
        finite = f"{column} >= -1.7e308 AND {column} <= 1.7e308"
        ranges = self.ranges.get(feature, ())
        limits = [limit for limit in ranges if limit is not None]
        if not limits:
            return f"CASE WHEN {finite} THEN 0 ELSE {MISSING} END"
        # what every reference has seen comes first: two comparisons for nearly all rows
        low, high = max(low for low, _ in limits), min(high for _, high in limits)
        if self.always:
            outside = str(OUTSIDE)
        else:
            lows, highs = (
                ", ".join("NULL" if limit is None else number(limit[end]) for limit in ranges)
                for end in (0, 1)
            )
            outside = (
                f"CASE WHEN {column} < [{lows}][seen_by] OR {column} > [{highs}][seen_by] "
                f"THEN {OUTSIDE} ELSE 0 END"
            )
        return (
            f"CASE WHEN {column} >= {number(low)} AND {column} <= {number(high)} THEN 0 "
            f"WHEN {finite} THEN {outside} ELSE {MISSING} END"
        )


def keep_categories(cursor: Cursor, layout: Layout, seen: Seen) -> None:
    """Write down which categories each reference has; the bins of the rare ones are shared."""
    places = ", ".join(f"({i}, {text(v)})" for i, v in enumerate(seen.versions, 1))
    cursor.execute(
        read_sql(
            "rollups/known_categories.sql",
            schema=layout.schema,
            deployment=text(layout.name),
            versions=places or "(0, '')",
        )
    )


def load_seen(cursor: Cursor, layout: Layout) -> Seen:
    """What the references in the store have seen, from their sums and profile."""
    rows = cursor.execute(
        f"SELECT version FROM {layout.table('reference_feature')} "
        f"GROUP BY version ORDER BY sum(n) DESC, version LIMIT {_VERSIONS}"
    ).fetchall()
    versions = tuple(sorted(version for (version,) in rows))
    if not versions:
        return Seen()
    limits = {
        (feature, version): (low, high)
        for version, feature, low, high in cursor.execute(
            "SELECT version, feature, lowest, highest "
            f"FROM {layout.table('reference_profile')} WHERE feature >= 0 AND lowest IS NOT NULL"
        ).fetchall()
    }
    features = layout.deployment.features
    ranges = {
        i: tuple(limits.get((i, version)) for version in versions) for i in range(len(features))
    }
    known = cursor.execute(
        "SELECT feature FROM bins WHERE deployment = ? AND feature >= 0 AND category IS NOT NULL "
        f"GROUP BY feature HAVING count(*) < {KNOWN_CATEGORIES}",
        [layout.name],
    ).fetchall()
    categorical = frozenset(feature for (feature,) in known)
    # which bins hold rows of which version: the sum of hashes does not depend on an order
    cells = cursor.execute(
        "SELECT sum(md5_number(version || ' ' || feature || ' ' || bin) % 1000000007) "
        f"FROM (SELECT DISTINCT version, feature, bin FROM {layout.table('reference_feature')} "
        "WHERE feature >= 0 AND bin >= 0 AND n > 0) AS c"
    ).fetchall()
    parts = repr((versions, sorted(ranges.items()), sorted(categorical), cells))
    return Seen(versions, ranges, categorical, hashlib.sha256(parts.encode()).hexdigest()[:16])
