"""Rows of a database on their way into pages: Parquet files, and which rows are new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from collectors.contract import FileFormat
from collectors.errors import SourceError
from collectors.sources.pulled import Page
from collectors.sources.sql_rows import Marks, plain, rows_of

__all__ = ["PageFile", "empty_page", "no_rows", "pieces", "unknown"]

PAGE_BYTES = 128 * 1024 * 1024
"""At most so much is in a page, as Arrow has it in memory; one batch may be more."""

_PIECE_ROWS = 20_000


class PageFile(AbstractContextManager["PageFile"]):
    """Rows on their way into a page, and the hashes of those."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._writer: Any = None
        self._path = folder
        self._n = self._bytes = self.rows = 0
        self.hashes: list[pl.DataFrame] = []

    @property
    def is_full(self) -> bool:
        """Whether another piece might be too much."""
        return self.rows + min(_PIECE_ROWS, self._most) > self._most or self._bytes >= PAGE_BYTES

    def write(self, piece: Any, hashes: pl.DataFrame) -> None:
        """Take rows. Raises SourceError when the disk does not."""
        if not len(hashes):
            return
        try:
            if self._writer is None:
                self._n += 1
                self._path = self._folder / f"page{self._n}.parquet"
                parquet = import_module("pyarrow.parquet")
                self._writer = parquet.ParquetWriter(self._path, piece.schema)
            self._writer.write_table(piece)
        except OSError as error:
            raise _no_space(error) from None
        self.rows += len(hashes)
        self._bytes += piece.nbytes
        self.hashes.append(hashes)

    def page(self, source: str, cursor: str) -> Page:
        """What was taken, as a page; the next rows go into another one."""
        try:
            self._writer.close()
        except OSError as error:
            raise _no_space(error) from None
        self._writer, self._bytes, self.rows, self.hashes = None, 0, 0, []
        return Page(source, self._path, cursor, FileFormat.PARQUET)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:  # a file that did not become a page
            with suppress(OSError):
                self._writer.close()
            self._path.unlink(missing_ok=True)


def empty_page(folder: Path, source: str, cursor: str) -> Page:
    """A page that only moves the cursor."""
    path = folder / "nothing"
    try:
        path.touch()
    except OSError as error:
        raise _no_space(error) from None
    return Page(source, path, cursor, FileFormat.PARQUET)


def _no_space(error: OSError) -> SourceError:
    return SourceError(f"cannot keep rows in a temporary file: {error.strerror or error}")


def no_rows(kind: Marks) -> pl.DataFrame:
    """Hashes of none, as `row_hashes` gives them."""
    return rows_of("", kind)


def pieces(batches: Iterator[Any], page_rows: int) -> Iterator[Any]:
    """Record batches as plain tables of which several fit into a page."""
    most = min(_PIECE_ROWS, page_rows)
    for batch in batches:
        for start in range(0, batch.num_rows, most):
            yield plain(batch.slice(start, most))


def unknown(
    piece: Any, hashes: pl.DataFrame, seen: pl.DataFrame | None
) -> tuple[Any, pl.DataFrame]:
    """The rows that are not among those seen."""
    if seen is None or not len(seen):
        return piece, hashes
    mark = hashes["mark"]
    near = seen.filter(pl.col("mark").is_between(mark.min(), mark.max()) | pl.col("mark").is_null())
    fresh = hashes.with_row_index("place").join(near, on=["a", "b"], how="anti").sort("place")
    if len(fresh) == len(hashes):
        return piece, hashes
    return piece.take(fresh["place"].to_arrow()), fresh.drop("place")
