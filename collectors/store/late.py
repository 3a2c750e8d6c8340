"""What comes for hours whose raw rows retention has deleted: it is set apart, never counted.

Whether such a prediction was counted already cannot be told any more, so a source that sends an
old day again must not bring it in twice. A record of it goes to quarantine once, however often its
source is read again; of many, the first ones with their content.
"""

from __future__ import annotations

from dataclasses import dataclass

from collectors.store.batches import Batch
from collectors.store.database import Cursor, count
from collectors.store.layout import Layout
from collectors.store.moments import stamp
from collectors.store.names import text
from collectors.store.quarantine import keep_records
from collectors.store.reasons import Reason
from collectors.store.sealed import sealed_of
from collectors.store.staged import StagedColumns

__all__ = ["Late", "set_apart_late", "set_apart_late_labels"]

CONTENTS = 1_000
"""Records of a batch that are kept with their content. A day that is sent again may be millions; of
the others source and record number are kept, which take some bytes."""


@dataclass(frozen=True, slots=True)
class Late:
    """Records that went to quarantine, and those that were there already."""

    n_kept: int = 0
    n_known: int = 0


def set_apart_late(cursor: Cursor, layout: Layout, staged: StagedColumns, batch: Batch) -> Late:
    """Take predictions of sealed hours out of `good`."""
    sealed = sealed_of(cursor, layout.name).raw
    if sealed is None:
        return Late()
    old = f"ts < {stamp(sealed)}"
    n = count(cursor, f"good WHERE {old}")
    if not n:
        return Late()
    kept = _keep(cursor, staged, batch, f"SELECT position FROM good WHERE {old}")
    cursor.execute(f"DELETE FROM good WHERE {old}")
    return Late(kept, n - kept)


def set_apart_late_labels(
    cursor: Cursor, layout: Layout, staged: StagedColumns, batch: Batch
) -> int:
    """Take labels out of `fresh` that are older than any raw row; how many went to quarantine.

    Their prediction is not there, and one that comes would be refused. A label that says no time
    waits, since it may be of a prediction to come.
    """
    sealed = sealed_of(cursor, layout.name).raw
    if sealed is None:
        return 0
    old = f"dated AND least(received, coalesce(event, received)) < {stamp(sealed)}"
    if not count(cursor, f"fresh WHERE {old}"):
        return 0
    found = (
        "SELECT min(t.position) AS position FROM typed AS t "
        f"JOIN (SELECT * FROM fresh WHERE {old}) AS f ON t.id = f.id AND t.value = f.value "
        "AND t.received = f.received AND t.event IS NOT DISTINCT FROM f.event "
        "WHERE t.problem IS NULL GROUP BY f.id, f.value, f.received, f.event"
    )
    kept = _keep(cursor, staged, batch, found)
    cursor.execute(f"DELETE FROM fresh WHERE {old}")
    return kept


def _keep(cursor: Cursor, staged: StagedColumns, batch: Batch, positions: str) -> int:
    """Keep those of a SELECT of positions that are not in quarantine for it already."""
    part = batch.part
    known = (
        f"SELECT position FROM quarantine WHERE deployment = {text(batch.deployment)} "
        f"AND kind = {text(part.kind)} AND source = {text(part.source)} "
        f"AND reason = {text(Reason.SEALED)}"
    )
    problems = (
        f"SELECT position, {text(Reason.SEALED)} AS problem FROM ({positions}) AS late "
        f"WHERE position NOT IN ({known})"
    )
    details = {
        Reason.SEALED.value: "raw rows of that time were deleted (retention): it cannot be told "
        "whether it was counted already"
    }
    return keep_records(cursor, staged, batch, problems, details, contents=CONTENTS)
