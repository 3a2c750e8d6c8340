"""CSV, JSON lines and Parquet into the temporary table `stage`, batch by batch.

Text files come as blocks of bytes that are written to a spool file, so DuckDB's readers do the
parsing while this process stays small. Everything from text is VARCHAR in `stage`: the contract
decides the types (collectors.store.typed). Each row has its record number as `position`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from collectors.contract import FileFormat
from collectors.formats.delimited import Delimited
from collectors.formats.jsonl import JsonLines
from collectors.formats.parquet import parquet_batches
from collectors.sources.files import BLOCK, read_blocks
from collectors.sources.streams import PACKED
from collectors.store.batches import Offset, Reject
from collectors.store.database import Cursor
from collectors.store.staged import StagedColumns

__all__ = ["Staged", "stage_file"]

PARQUET_ROWS = 400_000

_TEXT: Mapping[FileFormat, Callable[[Sequence[str]], Delimited | JsonLines]] = {
    FileFormat.CSV: Delimited,
    FileFormat.JSONL: JsonLines,
}


@dataclass(frozen=True, slots=True)
class Staged:
    """One batch in `stage`: its columns, what could not be read, and the offset behind it.

    share: how much of the file is read with it, 0 to 1; None where that is not known.
    """

    columns: StagedColumns
    rejects: tuple[Reject, ...]
    start: int
    after: Offset
    share: float | None = None


def stage_file(
    cursor: Cursor,
    path: Path,
    fmt: FileFormat,
    offset: Offset,
    expected: Sequence[str] = (),
    *,
    whole: bool,
    rows: int = PARQUET_ROWS,
    block: int = BLOCK,
) -> Iterator[Staged]:
    """Stage what a file has beyond `offset`, one batch at a time.

    Each batch replaces `stage`; load it before going on. expected: the columns that the contract
    names. Raises FormatError when the file as a whole cannot be understood, SourceError when it
    cannot be read.
    """
    if fmt is FileFormat.AUTO:
        raise ValueError("the format must be settled before staging")
    with tempfile.TemporaryDirectory(prefix="modelwatch-") as folder:
        if fmt is FileFormat.PARQUET:
            for batch in parquet_batches(
                cursor, path, Path(folder), start=offset.position, rows=rows, expected=expected
            ):
                start = offset.position
                end = start + batch.n
                offset = Offset(end, offset.fingerprint, end, "")
                yield Staged(batch.columns, batch.rejects, start, offset, batch.share)
            return
        reader = _TEXT[fmt](expected)
        opened = reader.open(path, offset)
        if opened is None:
            return
        offset = opened
        spool = Path(folder) / "block"
        size = None if path.suffix.lower() in PACKED else path.stat().st_size
        for part in read_blocks(
            path, offset.position, whole=whole, quoted=reader.quoted, block=block
        ):
            batch = reader.stage(cursor, spool, part, offset)
            start = offset.position
            records = offset.records + batch.n
            offset = Offset(part.end, offset.fingerprint, records, offset.header)
            share = part.end / size if size else None
            yield Staged(batch.columns, batch.rejects, start, offset, share)
