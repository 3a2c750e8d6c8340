"""Which values of a segment have rollups of their own; the rest share one, "(other)"."""

from __future__ import annotations

from collectors.store.database import Cursor
from collectors.store.layout import Layout
from collectors.store.names import text

__all__ = ["SEGMENT_VALUES", "full_segments", "note_segment_values"]

SEGMENT_VALUES = 200
"""Values per segment that get rollups of their own. 10^6 values of a hostile column would otherwise
make 10^6 rollup rows an hour."""


def note_segment_values(cursor: Cursor, layout: Layout, relation: str) -> bool:
    """Give new segment values rollups of their own while there is room; whether any came."""
    name = text(layout.name)
    grown = False
    for i in range(len(layout.deployment.segments)):
        taken = cursor.execute(
            "SELECT count(*) FROM segment_values WHERE deployment = ? AND segment = ?",
            [layout.name, i],
        ).fetchall()[0][0]
        if taken >= SEGMENT_VALUES:
            continue
        found = cursor.execute(
            f"INSERT INTO segment_values SELECT {name}, {i}, v FROM ("
            f"SELECT {layout.segment_value(i)} AS v, count(*) AS n FROM {relation} AS r "
            f"GROUP BY 1) AS g WHERE v NOT IN (SELECT value FROM segment_values "
            f"WHERE deployment = {name} AND segment = {i}) "
            f"ORDER BY n DESC, v LIMIT {SEGMENT_VALUES - taken}"
        ).fetchall()
        grown = grown or bool(found and found[0][0])
    return grown


def full_segments(cursor: Cursor, deployment: str) -> frozenset[int]:
    """The segments without room for more values."""
    counted = cursor.execute(
        "SELECT segment, count(*) FROM segment_values WHERE deployment = ? GROUP BY segment",
        [deployment],
    ).fetchall()
    return frozenset(segment for segment, n in counted if n >= SEGMENT_VALUES)
