"""Raw predictions behind a figure: which rows, in which order, as SQL over the physical columns."""

from __future__ import annotations

from collectors.contract import FeatureKind, Task
from collectors.row_kinds import RowKind
from collectors.store.labels import latest
from collectors.store.layout import Layout
from collectors.store.names import text

__all__ = ["rows_parts"]


def rows_parts(
    layout: Layout, kind: RowKind, subject: int, segments: tuple[int, ...]
) -> dict[str, str]:
    """Parts of `queries/rows.sql`. subject: the feature of OUTSIDE. segments: positions of those
    that `$value` and `$value2` limit.

    Raises ValueError when a kind does not fit the task, or the feature is none.
    """
    filters = [
        f"{layout.segment_value(number)} = $value{'2' if place else ''}"
        for place, number in enumerate(segments)
    ]
    if kind is RowKind.OUTSIDE:
        filters.append(_outside(layout, subject))
    where, order = _kind(layout, kind)
    names = ", ".join(c.name for c in layout.columns)
    known = latest(
        layout.table("labels"), where="ts >= $start AND ts < $end AND received <= $as_of"
    )
    return {
        "columns": names,
        "filters": "".join(f" AND {sql}" for sql in filters),
        "labels": known,
        "kind": where,
        "order": order,
    }


def _kind(layout: Layout, kind: RowKind) -> tuple[str, str]:
    """(which rows, in which order) over p, a prediction, and its label."""
    judged = "error IS NULL AND label IS NOT NULL"
    match kind:
        case RowKind.UNLABELLED:
            return "error IS NULL AND label IS NULL", "ts"
        case RowKind.FAILED:
            return "error IS NOT NULL", "ts DESC"
        case RowKind.ALL | RowKind.OUTSIDE:
            return "true", "ts DESC"
    if layout.task is Task.REGRESSION:
        if kind is not RowKind.WRONG:
            raise ValueError(f"a regression has no {kind.replace('_', ' ')}s")
        return judged, "abs(predicted - label) DESC"
    if layout.task is Task.MULTICLASS:
        if kind is not RowKind.WRONG:
            raise ValueError(f"several classes have no {kind.replace('_', ' ')}s")
        scores = [c.name for c in layout.columns if c.name[0] == "c" and c.name[1:].isdecimal()]
        surest = f"greatest({', '.join(scores)}) DESC NULLS LAST, " if scores else ""
        return f"{judged} AND predicted <> label", f"{surest}ts DESC"
    sure = "abs(score - label) DESC NULLS LAST, ts DESC" if layout.has_score else "ts DESC"
    said = {
        RowKind.FALSE_POSITIVE: "predicted = 1 AND label = 0",
        RowKind.FALSE_NEGATIVE: "predicted = 0 AND label = 1",
    }
    return f"{judged} AND {said.get(kind, 'predicted <> label')}", sure


def _outside(layout: Layout, subject: int) -> str:
    if not 0 <= subject < len(layout.deployment.features):
        raise ValueError("give the feature: outside=FEATURE")
    column, kind = f"f{subject}", layout.deployment.features[subject].kind
    if kind is FeatureKind.NUMERIC:
        profile = f"{layout.table('reference_profile')} WHERE feature = {subject}"
        return (
            f"({column} IS NULL OR NOT ({column} >= (SELECT min(lowest) FROM {profile}) "
            f"AND {column} <= (SELECT max(highest) FROM {profile})))"
        )
    seen = (
        f"SELECT category FROM bins WHERE deployment = {text(layout.name)} "
        f"AND feature = {subject} AND category IS NOT NULL"
    )
    return f"({column} IS NULL OR {column} NOT IN ({seen}))"
