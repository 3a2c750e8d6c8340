"""How a log file is written and what its records mean, told by its content; and into `stage`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from collectors.contract import FileFormat
from collectors.errors import CollectorError
from collectors.formats.platforms import PAYLOADS, platform_of, stage_records
from collectors.formats.records import Record, RecordError, Takes, parsed
from collectors.formats.tabular import Staged, stage_file
from collectors.sources.files import format_of, read_blocks
from collectors.store.batches import Offset
from collectors.store.database import Cursor
from collectors.store.names import text
from collectors.store.staged import StagedColumns

__all__ = ["Form", "first_records", "form_of", "partitions", "stage_log"]

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_HEAD_BYTES = 256 * 1024
GLANCE_ROWS, GLANCE_BYTES = 20_000, 4 * 1024 * 1024


class Form(NamedTuple):
    """container: CSV, JSON lines or Parquet. platform: whose records it holds; None: a table."""

    container: FileFormat
    platform: FileFormat | None = None


def form_of(cursor: Cursor, path: Path, wanted: FileFormat = FileFormat.AUTO) -> Form:
    """By configuration, else by content. Raises FormatError when nothing tells.

    cursor: one whose `stage` may be replaced.
    """
    if not wanted.is_platform and wanted is not FileFormat.AUTO:
        return Form(wanted)
    container = format_of(path)
    if wanted.is_platform:
        return Form(container, wanted)
    return Form(container, platform_of(first_records(cursor, path, container)))


def stage_log(
    cursor: Cursor,
    path: Path,
    form: Form,
    offset: Offset,
    expected: Sequence[str] = (),
    *,
    takes: Takes = Takes.PREDICTIONS,
    whole: bool,
    glance: bool = False,
) -> Iterator[Staged]:
    """Stage what a file has beyond `offset`, one batch at a time: a table's rows, or records'.

    glance: in small batches, for a look at the first. Raises FormatError when the file as a whole
    cannot be understood, SourceError when it cannot be read.
    """
    small: dict[str, int] = {"rows": GLANCE_ROWS, "block": GLANCE_BYTES} if glance else {}
    container = form.container
    if form.platform is None:
        table = stage_file(cursor, path, container, offset, expected, whole=whole, **small)
        found = partitions(path)
        if not glance:  # only what the contract names: a folder's name is no column by itself
            found = {name: value for name, value in found.items() if name in expected}
        return _with_partitions(cursor, table, found) if found else table
    return stage_records(
        cursor, path, container, form.platform, offset, takes=takes, whole=whole, **small
    )


def partitions(path: Path) -> dict[str, str | None]:
    """Columns that the folders of a path say: `year=2024/model=v1`; what is no name is left out."""
    found: dict[str, str | None] = {}
    for part in path.parent.parts:
        name, equals, value = part.partition("=")
        if equals and name.strip():
            plain = unquote(value, errors="replace")
            found[name] = None if plain == _NO_VALUE else plain
    return found


def _with_partitions(
    cursor: Cursor, batches: Iterator[Staged], found: Mapping[str, str | None]
) -> Iterator[Staged]:
    """Batches with the folders' columns, where the file has none of that name."""
    for staged in batches:
        columns = staged.columns
        known = {name.lower() for name in columns.types}
        more = {name: value for name, value in found.items() if name.lower() not in known}
        physical = {name: f"folder{i}" for i, name in enumerate(more)}
        for name, value in more.items():
            written = "NULL" if value is None else text(value)
            cursor.execute(
                f"ALTER TABLE stage ADD COLUMN {physical[name]} VARCHAR DEFAULT {written}"
            )
        types = {**columns.types, **dict.fromkeys(more, "VARCHAR")}
        both = StagedColumns(types, {**columns.physical, **physical}, columns.halves)
        yield replace(staged, columns=both)


def first_records(cursor: Cursor, path: Path, container: FileFormat) -> Iterator[Record]:
    """The first records of a file, as far as they can be read; of a table its columns' names."""
    try:
        if container is FileFormat.JSONL:
            block = next(read_blocks(path, 0, whole=True, quoted=False, block=_HEAD_BYTES), None)
            lines = block.data.split(b"\n") if block is not None else []
        else:
            lines = []
            for staged in stage_file(
                cursor, path, container, Offset(), PAYLOADS, whole=True, rows=1, block=_HEAD_BYTES
            ):
                yield dict.fromkeys(staged.columns.types, "")
                break
    except CollectorError:  # it is told when the file is read
        return
    for line in lines:
        with suppress(RecordError):
            record = parsed(line.decode("utf-8", "replace").removeprefix("\ufeff"))
            if isinstance(record, dict):
                yield record
