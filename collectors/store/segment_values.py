"""Which values have rollups of their own: of segments, classes and versions. The rest share one.

Only so many do, first come first served, since every value makes rollup rows in every hour: 10^6
values of a hostile column would make 10^6 of them. All that is not in the dictionary is "(other)".
A value stays in it, so that what was added to its rollups can be taken back out of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from collectors.contract import Task
from collectors.store.database import Cursor
from collectors.store.layout import OTHER, Layout
from collectors.store.names import text

__all__ = [
    "ANOTHER",
    "CLASSES",
    "VERSIONS",
    "folded",
    "folded_label",
    "full_segments",
    "note_classes",
    "note_segment_values",
]

CLASSES, VERSIONS = -1, -2
"""Numbers in the dictionary beside those of the segments, 0, 1, ..."""

ANOTHER = "(another)"
"""The true class where it and the predicted one share "(other)" and are not the same."""

SEGMENT_VALUES = 200
"""Values per segment that get rollups of their own."""

_LIMITS: Mapping[int, int] = {CLASSES: 200, VERSIONS: 100}


def note_segment_values(cursor: Cursor, layout: Layout, relation: str, label: str = "") -> bool:
    """Give new values of predictions rollups of their own while there is room; whether any came.

    label: the column of the true value, where the rows have one.
    """
    grown = _note(cursor, layout, VERSIONS, "version", relation)
    for i in range(len(layout.deployment.segments)):
        grown = _note(cursor, layout, i, layout.segment_value(i), relation) or grown
    for column in ("predicted", label) if label else ("predicted",):
        grown = note_classes(cursor, layout, relation, column) or grown
    return grown


def note_classes(cursor: Cursor, layout: Layout, relation: str, column: str) -> bool:
    """Give new classes rollups of their own while there is room; whether any came.

    Those that the contract names have them always.
    """
    if layout.task is not Task.MULTICLASS:
        return False
    return _note(cursor, layout, CLASSES, column, relation)


def full_segments(cursor: Cursor, deployment: str) -> frozenset[int]:
    """The numbers without room for more values."""
    counted = cursor.execute(
        "SELECT segment, count(*) FROM segment_values WHERE deployment = ? GROUP BY segment",
        [deployment],
    ).fetchall()
    return frozenset(number for number, n in counted if n >= _limit(number))


def folded(layout: Layout, number: int, value: str) -> str:
    """A value as SQL, "(other)" for one that has no rollups of its own."""
    known = f"{value} IS NULL OR {value} IN ({_known(layout, number)})"
    return f"CASE WHEN {known} THEN {value} ELSE {text(OTHER)} END"


def folded_label(layout: Layout) -> str:
    """A true class as SQL. One that is not the predicted one does not look like it when folded."""
    known = _known(layout, CLASSES)
    return (
        f"CASE WHEN label IS NULL OR label IN ({known}) THEN label "
        f"WHEN label <> predicted AND predicted NOT IN ({known}) THEN {text(ANOTHER)} "
        f"ELSE {text(OTHER)} END"
    )


def _limit(number: int) -> int:
    return _LIMITS.get(number, SEGMENT_VALUES)


def _known(layout: Layout, number: int) -> str:
    return (
        "SELECT value FROM segment_values "
        f"WHERE deployment = {text(layout.name)} AND segment = {number}"
    )


def _note(cursor: Cursor, layout: Layout, number: int, value: str, relation: str) -> bool:
    taken = cursor.execute(f"SELECT count(*) FROM ({_known(layout, number)}) AS k").fetchall()[0][0]
    found = list(layout.classes) if number == CLASSES and not taken else []
    room = _limit(number) - max(taken, len(found))
    if room > 0:
        new = "".join(f" AND v <> {text(name)}" for name in found)
        rows = cursor.execute(
            f"SELECT v FROM (SELECT {value} AS v, count(*) AS n FROM {relation} AS r GROUP BY 1) "
            f"AS g WHERE v IS NOT NULL{new} "
            f"AND v NOT IN ({_known(layout, number)}) ORDER BY n DESC, v LIMIT {room}"
        ).fetchall()
        found += [v for (v,) in rows]
    if found:
        values = [part for v in found for part in (layout.name, number, v)]
        cursor.execute(
            "INSERT INTO segment_values VALUES " + ", ".join(["(?, ?, ?)"] * len(found)), values
        )
    return bool(found)
