"""The platforms whose records are known, and files of them into `stage`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import cast

import duckdb
import polars as pl

from collectors.contract import FileFormat
from collectors.errors import FormatError
from collectors.formats.lines import usable_lines
from collectors.formats.records import (
    Part,
    Platform,
    Record,
    RecordError,
    Row,
    Scalar,
    Takes,
    parsed,
)
from collectors.formats.staging import MOST_COLUMNS, Batch, empty_batch, first_line, stage
from collectors.formats.tabular import Staged, stage_file
from collectors.sources.files import LONGEST_LINE, read_blocks
from collectors.sources.streams import PACKED
from collectors.store.batches import Offset, Reject
from collectors.store.database import Cursor
from collectors.store.names import quote
from collectors.store.reasons import Reason
from collectors.store.staged import StagedColumns

__all__ = ["PAYLOADS", "PLATFORMS", "decoder_of", "platform_of", "stage_records"]

PLATFORMS: tuple[FileFormat, ...] = (
    FileFormat.SAGEMAKER,
    FileFormat.AZUREML,
    FileFormat.KSERVE,
    FileFormat.SELDON,
    FileFormat.DATABRICKS,
    FileFormat.VERTEX,
    FileFormat.BENTOML,
)
"""Platforms with a module of their own, in the order in which a record is shown to them."""

BLOCK = 4 * 1024 * 1024
"""Bytes of JSON lines taken together: as Python objects they take some ten times as much."""

TABLE_ROWS = 20_000
_LOOKED_AT = 50


def decoder_of(platform: FileFormat) -> Platform:
    """The decoder of a platform."""
    module = import_module(f"collectors.formats.{platform.value}")
    return cast(Platform, module.DECODER)


def platform_of(records: Iterable[Record]) -> FileFormat | None:
    """Whose records these are, by the first that anyone knows."""
    for record in islice(records, _LOOKED_AT):
        for platform in PLATFORMS:
            if decoder_of(platform).recognises(record):
                return platform
    return None


def stage_records(
    cursor: Cursor,
    path: Path,
    container: FileFormat,
    platform: FileFormat,
    offset: Offset,
    *,
    takes: Takes,
    whole: bool,
    block: int = BLOCK,
    rows: int = TABLE_ROWS,
) -> Iterator[Staged]:
    """Stage the rows of what a file has beyond `offset`, one batch at a time.

    Rows are numbered through: a record of many rows has many positions. Raises FormatError when
    the file as a whole cannot be understood, SourceError when it cannot be read.
    """
    decoder = decoder_of(platform)
    common = decoder.of_path(path)
    if container is FileFormat.JSONL:
        size = None if path.suffix.lower() in PACKED else path.stat().st_size
        for part in read_blocks(path, offset.position, whole=whole, quoted=False, block=block):
            # lines are counted from the offset's position, rows from its record number
            lines = usable_lines(part, 0)
            written = lines.data.decode("utf-8").split("\n")[: lines.n]
            known = {reject.position: reject for reject in lines.rejects}
            batch = _staged(
                cursor,
                decoder,
                _Texts(enumerate(written, start=1), known, common),
                offset.records,
                takes,
            )
            yield _and_offset(batch, offset, part.end, size)
            offset = Offset(part.end, offset.fingerprint, offset.records + batch.n, "")
        return
    for staged in stage_file(
        cursor, path, container, offset, PAYLOADS, whole=whole, rows=rows, block=block
    ):
        texts = _as_json(cursor, staged.columns)
        known = {reject.position: reject for reject in staged.rejects}
        batch = _staged(cursor, decoder, _Texts(texts, known, common), offset.records, takes)
        records, after = offset.records + batch.n, staged.after
        offset = Offset(after.position, after.fingerprint, records, after.header)
        yield Staged(batch.columns, batch.rejects, staged.start, offset, staged.share)


PAYLOADS = ("request", "response", "request_payload", "response_payload")
"""Columns of platforms' tables that may hold more than one value."""


def _and_offset(batch: Batch, offset: Offset, end: int, size: int | None) -> Staged:
    after = Offset(end, offset.fingerprint, offset.records + batch.n, "")
    share = end / size if size else None
    return Staged(batch.columns, batch.rejects, offset.position, after, share)


def _as_json(cursor: Cursor, columns: StagedColumns) -> Iterator[tuple[int, str]]:
    """The rows of `stage` as (position, JSON text)."""
    fields = ", ".join(f"{quote(name)} := {columns.sql(name)}" for name in columns.types)
    try:
        rows = cursor.execute(
            f"SELECT position, CAST(to_json(struct_pack({fields})) AS VARCHAR) "
            "FROM stage ORDER BY position"
        ).fetchall()
    except duckdb.Error as error:
        raise FormatError(f"cannot read its records: {first_line(error)}") from error
    yield from rows


@dataclass(frozen=True, slots=True)
class _Texts:
    """Records as JSON text, numbered. set_apart: those that could not even be text.

    common: columns of rows that do not say them themselves.
    """

    numbered: Iterable[tuple[int, str]]
    set_apart: Mapping[int, Reject]
    common: Mapping[str, Scalar]


def _staged(cursor: Cursor, decoder: Platform, texts: _Texts, first: int, takes: Takes) -> Batch:
    """Decode records into `stage`; `first` rows came before."""
    rows: list[Row] = []
    positions: list[int] = []
    rejects: list[Reject] = []
    position = first
    wanted = takes is not Takes.PREDICTIONS
    keeps = takes is not Takes.ALSO_LABELS
    for line, text in texts.numbered:
        if line in texts.set_apart:
            if keeps:
                position += 1
                reject = texts.set_apart[line]
                rejects.append(Reject(position, reject.reason, reject.detail, reject.content))
            continue
        try:
            decoded = _decoded(decoder, text)
        except RecordError as error:
            if keeps:
                position += 1
                rejects.append(Reject(position, error.reason, error.detail, text))
            continue
        for row in decoded:
            if (row.part is Part.LABEL) is not wanted:
                continue
            position += 1
            for name, value in texts.common.items():
                row.values.setdefault(name, value)
            rows.append(row)
            positions.append(position)
    n = position - first
    if not rows:
        empty = empty_batch(cursor, tuple(rejects))
        return Batch(empty.columns, empty.rejects, n)
    return Batch(_filled(cursor, rows, positions), tuple(rejects), n)


def _decoded(decoder: Platform, text: str) -> Sequence[Row]:
    if len(text) > LONGEST_LINE:
        raise RecordError(Reason.TOO_LONG, f"{len(text)} characters")
    record = parsed(text)
    if not isinstance(record, dict):
        raise RecordError(Reason.UNKNOWN_RECORD, "no JSON object")
    return decoder.decode(record)


def _filled(cursor: Cursor, rows: Sequence[Row], positions: Sequence[int]) -> StagedColumns:
    """`stage` with position, part, request, item, items, shadow and a text column per name."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row.values))
    # a name that is no Unicode is known by its escapes
    shown = {_text(name) or "": name for name in list(names)[:MOST_COLUMNS]}
    kept = list(shown.values())
    frame = pl.DataFrame(
        {
            "position": pl.Series(positions, dtype=pl.Int64),
            "part": pl.Series([r.part.value for r in rows], dtype=pl.String),
            "request": pl.Series([_text(r.request) for r in rows], dtype=pl.String),
            "item": pl.Series([r.item for r in rows], dtype=pl.Int64),
            "items": pl.Series([r.items for r in rows], dtype=pl.Int64),
            "shadow": pl.Series([r.shadow for r in rows], dtype=pl.Boolean),
            **{
                f"c{i}": pl.Series([_text(r.values.get(name)) for r in rows], dtype=pl.String)
                for i, name in enumerate(kept)
            },
        }
    )
    cursor.register("decoded", _Stream(frame))
    try:
        stage(cursor, "SELECT * FROM decoded")
    finally:
        cursor.unregister("decoded")
    physical = {name: f"c{i}" for i, name in enumerate(shown)}
    return StagedColumns(dict.fromkeys(shown, "VARCHAR"), physical, halves=True)


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class _Stream:
    """A frame for DuckDB to read by Arrow's stream, without pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)
