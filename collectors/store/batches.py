"""A batch: which part of which source it is, and what became of its records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from collectors.store.database import Cursor
from collectors.store.reasons import Reason

__all__ = [
    "Batch",
    "BatchCounts",
    "Offset",
    "Reject",
    "Slice",
    "begin",
    "cursors_of",
    "finish",
    "forget_offsets",
    "keep_offset",
    "loaded_of",
    "offset_of",
]


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a source has been read: bytes of text, rows of Parquet."""

    position: int = 0
    fingerprint: str = ""
    records: int = 0
    header: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of which source a batch is, and the offset once it is loaded."""

    kind: str
    source: str
    start: int
    after: Offset


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not even be read; position counts records of the source from 1."""

    position: int
    reason: Reason
    detail: str
    content: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch being loaded. now: naive UTC."""

    number: int
    deployment: str
    part: Slice
    now: datetime


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """What became of a batch's records. n_read is the sum of the others."""

    n_read: int = 0
    n_new: int = 0
    n_duplicate: int = 0
    n_waiting: int = 0
    n_quarantined: int = 0

    def __add__(self, other: BatchCounts) -> BatchCounts:
        return BatchCounts(
            self.n_read + other.n_read,
            self.n_new + other.n_new,
            self.n_duplicate + other.n_duplicate,
            self.n_waiting + other.n_waiting,
            self.n_quarantined + other.n_quarantined,
        )


def begin(cursor: Cursor, deployment: str, part: Slice, now: datetime) -> Batch:
    """A batch with a number of its own."""
    number = int(cursor.execute("SELECT nextval('batch_number')").fetchall()[0][0])
    return Batch(number, deployment, part, now)


def finish(cursor: Cursor, batch: Batch, counts: BatchCounts) -> None:
    """Note the source's offset and the batch's counts; in the transaction of its rows."""
    part, after = batch.part, batch.part.after
    keep_offset(cursor, batch.deployment, part.kind, part.source, after)
    cursor.execute(
        "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            *(batch.number, batch.deployment, part.kind, part.source, part.start, after.position),
            *(counts.n_read, counts.n_new, counts.n_duplicate, counts.n_waiting),
            *(counts.n_quarantined, batch.now),
        ],
    )


def keep_offset(cursor: Cursor, deployment: str, kind: str, source: str, after: Offset) -> None:
    """Note how far a source has been loaded."""
    cursor.execute(
        "INSERT INTO source_offset VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (deployment, kind, source) DO UPDATE SET position = excluded.position, "
        "fingerprint = excluded.fingerprint, records = excluded.records, "
        "header = excluded.header",
        [
            *(deployment, kind, source),
            *(after.position, after.fingerprint, after.records, after.header),
        ],
    )


def cursors_of(cursor: Cursor, deployment: str, kind: str, prefix: str) -> dict[str, str]:
    """What identifies the state of each source whose name begins so, by its name."""
    rows = cursor.execute(
        "SELECT source, fingerprint FROM source_offset "
        "WHERE deployment = ? AND kind = ? AND starts_with(source, ?)",
        [deployment, kind, prefix],
    ).fetchall()
    return dict(rows)


def loaded_of(cursor: Cursor, deployment: str, kind: str) -> tuple[dict[str, int], frozenset[str]]:
    """How far each source was loaded, by name; and those with records in quarantine."""
    of = [deployment, kind]
    loaded = cursor.execute(
        "SELECT source, position FROM source_offset WHERE deployment = ? AND kind = ?", of
    ).fetchall()
    bad = cursor.execute(
        "SELECT DISTINCT source FROM quarantine WHERE deployment = ? AND kind = ?", of
    ).fetchall()
    return dict(loaded), frozenset(source for (source,) in bad)


def forget_offsets(cursor: Cursor, deployment: str, kind: str, sources: Sequence[str]) -> None:
    """Forget how far sources were read that are gone for good."""
    for source in sources:
        cursor.execute(
            "DELETE FROM source_offset WHERE deployment = ? AND kind = ? AND source = ?",
            [deployment, kind, source],
        )


def offset_of(cursor: Cursor, deployment: str, kind: str, source: str) -> Offset:
    """How far a source has been loaded."""
    rows = cursor.execute(
        "SELECT position, fingerprint, records, header FROM source_offset "
        "WHERE deployment = ? AND kind = ? AND source = ?",
        [deployment, kind, source],
    ).fetchall()
    return Offset(*rows[0]) if rows else Offset()
