"""Rows of a query on a database, by a watermark: a column that rises, a time or a number.

Each look asks for the rows from the last watermark on, less an overlap, so that rows which a slow
transaction committed late are found. Rows of the overlap that were given before are known by a
hash and left out; what a restart repeats all the same is dropped by whoever loads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from collectors.errors import SourceError
from collectors.source_settings import SqlSource
from collectors.sources.pulled import Page, Puller
from collectors.sources.sql_drivers import DRIVERS, Connection, check, connect
from collectors.sources.sql_pages import PageFile, empty_page, no_rows, pieces, unknown
from collectors.sources.sql_rows import (
    Mark,
    Marks,
    column_names,
    kind_of,
    largest,
    plain,
    row_hashes,
    rows_of,
    slices,
    summary,
    type_of,
    written_rows,
)
from collectors.text import clean

__all__ = ["PAGE_ROWS", "SqlPuller", "open_source"]

PAGE_ROWS = 100_000
MOST_SEEN = 2_000_000
"""Rows of the overlap that are known by their hash: 24 bytes each. Others are given again."""

MOST_UNMARKED = 100_000
_UNMARKED_EVERY = 3_600_000_000
"""Microseconds between two looks for rows without a watermark, which may read a whole table."""
_TOO_MANY = "many"
_SHOWN_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class _Cursor:
    """How far a query has been read.

    query: which one. mark: the largest watermark that is not in the future. rows: all that were
    given, so that no two cursors are equal. tail: summaries of the rows of the overlap, in slices.
    ahead: the few rows that are in the future. unmarked, looked: a summary of the rows without a
    watermark, and when they were looked for.
    """

    query: str = ""
    mark: str = ""
    rows: int = 0
    tail: str = ""
    unmarked: str = ""
    looked: str = ""
    ahead: str = ""

    def json(self) -> str:
        """As the store keeps it."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})


_FRESH: Mapping[str, Any] = asdict(_Cursor())


@dataclass(frozen=True, slots=True)
class _Watermark:
    """The watermark's column as the query calls it, and what it holds."""

    name: str
    kind: Marks


def open_source(source: SqlSource, base: Path) -> SqlPuller:
    """What asks a database. base: the folder that relative paths start from.

    Raises SourceError when its driver or its address is missing.
    """
    check(source, base)
    return SqlPuller(source, base)


class SqlPuller(Puller):
    """Asks one query; for one thread. It connects for each look, so none is held in between."""

    def __init__(self, source: SqlSource, base: Path, page_rows: int = PAGE_ROWS) -> None:
        self.source = source
        self._page_rows = page_rows
        self._base = base
        asked = (source.driver.value, source.sql, source.watermark, source.start)
        self._query = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]
        self._watermark: _Watermark | None = None
        self._given = ""
        """The cursor that the rows below belong to. They are there only if the store has it."""
        self._seen: pl.DataFrame | None = None
        self._seen_unmarked: pl.DataFrame | None = None

    def close(self) -> None:
        """Forget what was given."""
        self._seen = self._seen_unmarked = None

    def pages(self, known: Mapping[str, str], folder: Path, now: datetime) -> Iterator[Page]:
        """What is new, as Parquet files of at most PAGE_ROWS rows.

        A query that breaks off is asked again from where it got to, as long as it gets further.
        Raises SourceError.
        """
        kept = known.get(self.source.shown, "")
        if kept != self._given:
            self._seen = self._seen_unmarked = None
            self._given = kept
        cursor = self._read(kept)
        while True:
            reached = cursor.mark
            try:
                db = connect(self.source, self._base)
                try:
                    for page, after in self._look(db, cursor, folder, now):
                        cursor, self._given = after, page.cursor
                        yield page
                        page.path.unlink(missing_ok=True)
                finally:
                    db.close()
                break
            except SourceError:
                self._watermark = None
                if cursor.mark == reached:
                    raise
        if cursor.unmarked == _TOO_MANY:
            raise SourceError(
                f"more than {MOST_UNMARKED:,} rows of {self.source.shown} have no "
                f"{clean(self.source.watermark)!r}, so they cannot be read in order",
                "take another watermark, or give them one in `sql` by coalesce",
            )

    def _read(self, kept: str) -> _Cursor:
        """The store's cursor; a new one when it is of another query."""
        try:
            found = json.loads(kept) if kept else {}
            cursor = _Cursor(**{name: type(_FRESH[name])(found[name]) for name in found})
        except (ValueError, TypeError, KeyError):
            cursor = _Cursor()
        return cursor if cursor.query == self._query else _Cursor(self._query)

    # -- one look --------------------------------------------------------------------------------

    def _look(
        self, db: Connection, cursor: _Cursor, folder: Path, now: datetime
    ) -> Iterator[tuple[Page, _Cursor]]:
        """Pages, each with the cursor behind it."""
        found = self._watermark = self._watermark or self._describe(db)
        if found is not None:
            if self._seen is None:
                self._seen = self._recalled(db, found, cursor)
            for page, after in self._marked(db, found, cursor, folder, now):
                cursor = after
                yield page, cursor
        looked = Marks.ZONED.mark(cursor.looked) if cursor.looked else None
        moment = Marks.ZONED.moment(now)
        if looked is None or moment is None or not 0 <= moment - looked < _UNMARKED_EVERY:
            cursor = replace(cursor, looked=now.isoformat())
            yield self._unmarked(db, found, cursor, folder)

    def _describe(self, db: Connection) -> _Watermark | None:
        """The watermark's column; None while nothing tells its type. Raises SourceError."""
        source = self.source
        schema = db.schema(self._select())
        name = self._column(column_names(schema))
        if not db.driver.untyped:
            kind = kind_of(type_of(schema, name))
        else:  # the largest one tells: there, texts are larger than numbers
            quoted = db.driver.name(name)
            typed, *rows = db.stream(
                f"SELECT {quoted} AS mark FROM (\n{self._sql()}\n) AS q "
                f"WHERE {quoted} IS NOT NULL ORDER BY {quoted} DESC LIMIT 1"
            )
            if not rows:
                return None
            kind = kind_of(typed.field(0).type)
        if kind is None:
            raise SourceError(
                f"the watermark {clean(name)!r} of {source.shown} is neither a time nor a number",
                "convert it in `sql` and name the converted column",
            )
        return _Watermark(name, kind)

    def _column(self, names: list[str]) -> str:
        wanted = self.source.watermark
        if wanted in names:
            return wanted
        alike = [name for name in names if name.casefold() == wanted.casefold()]
        if len(alike) == 1:  # some databases write all names in capitals
            return alike[0]
        listed = clean(", ".join(names[:_SHOWN_COLUMNS]), 300) or "none"
        raise SourceError(
            f"the query of {self.source.shown} has no column {clean(wanted)!r}",
            f"it has {listed}",
        )

    def _sql(self) -> str:
        return self.source.sql.strip().rstrip(";").rstrip()

    def _select(self) -> str:
        # on lines of its own, so that it may end in a comment
        return f"SELECT * FROM (\n{self._sql()}\n) AS q"

    def _literal(self, kind: Marks, mark: Mark) -> str:
        """A mark as SQL. It is ours, never text from a database, and no bound parameter: with one
        the driver of PostgreSQL holds the whole answer in memory."""
        driver, written = DRIVERS[self.source.driver], kind.written(mark)
        if not kind.is_time:
            return written
        if kind is Marks.DATE:
            return f"DATE '{written}'"
        form = driver.zoned if kind is Marks.ZONED else driver.naive
        return form.format(written.removesuffix("Z").replace("T", " "))

    def _from(self, kind: Marks, cursor: _Cursor) -> Mark | None:
        """Where a look begins: at the cursor less the overlap, and never before `start`."""
        source, start = self.source, None
        if source.start:
            start = kind.mark(source.start)
            if start is None:
                what = "time like 2026-01-31T12:00:00Z" if kind.is_time else "number"
                raise SourceError(f"`start` of {source.shown} is no {what}")
        mark = kind.mark(cursor.mark) if cursor.mark else None
        if mark is None:
            return start
        low = kind.before(mark, source.overlap, source.overlap_rows)
        return low if start is None or (low is not None and low > start) else start

    # -- rows with a watermark -------------------------------------------------------------------

    def _recalled(self, db: Connection, found: _Watermark, cursor: _Cursor) -> pl.DataFrame:
        """What the overlap holds, as far as it is just what was given before.

        So a new process, as cron starts them, does not give the overlap again.
        """
        kind = found.kind
        low, mark = self._from(kind, cursor), kind.mark(cursor.mark)
        ahead = rows_of(cursor.ahead, kind)
        if low is None or mark is None or not cursor.tail:
            return ahead
        column = db.driver.name(found.name)
        rows = db.stream(
            f"{self._select()} WHERE {column} >= {self._literal(kind, low)} "
            f"AND {column} <= {self._literal(kind, mark)}"
        )
        next(rows)
        seen, n = [no_rows(kind)], 0
        for batch in rows:  # to the end: a stream that is left breaks its transaction
            n += batch.num_rows
            if n <= MOST_SEEN:
                seen.append(row_hashes(plain(batch), found.name, kind))
        if n > MOST_SEEN:
            return ahead
        parts = slices(pl.concat(seen), kind.physical(low), kind.physical(mark))
        known = zip(parts, cursor.tail.split(), strict=False)
        return pl.concat([*(part for part, was in known if summary(part) == was), ahead])

    def _marked(
        self, db: Connection, found: _Watermark, cursor: _Cursor, folder: Path, now: datetime
    ) -> Iterator[tuple[Page, _Cursor]]:
        kind = found.kind
        low, column = self._from(kind, cursor), db.driver.name(found.name)
        where = "IS NOT NULL" if low is None else f">= {self._literal(kind, low)}"
        rows = db.stream(f"{self._select()} WHERE {column} {where} ORDER BY {column}")
        schema = next(rows)
        if not db.driver.untyped and kind_of(type_of(schema, found.name)) is not kind:
            raise SourceError(f"the watermark of {self.source.shown} has changed its type")
        reached = kind.mark(cursor.mark) if cursor.mark else None
        limit = kind.moment(now)
        with PageFile(folder, self._page_rows) as file:
            for piece in pieces(rows, self._page_rows):
                every = row_hashes(piece, found.name, kind)
                mark = largest(piece, every, found.name, kind, limit)
                if mark is not None and (reached is None or mark > reached):
                    reached = mark
                file.write(*unknown(piece, every, self._seen))
                if file.is_full:
                    cursor = self._after(cursor, kind, reached, file)
                    yield file.page(self.source.shown, cursor.json()), cursor
            if file.rows:
                cursor = self._after(cursor, kind, reached, file)
                yield file.page(self.source.shown, cursor.json()), cursor

    def _after(self, cursor: _Cursor, kind: Marks, reached: Mark | None, file: PageFile) -> _Cursor:
        """The cursor behind a page; of what was given, only the overlap is remembered."""
        written = "" if reached is None else kind.written(reached)
        cursor = replace(cursor, mark=written, rows=cursor.rows + file.rows, tail="", ahead="")
        seen = pl.concat([no_rows(kind) if self._seen is None else self._seen, *file.hashes])
        low = self._from(kind, cursor)
        if low is not None:
            seen = seen.filter((pl.col("mark") >= kind.physical(low)) | pl.col("mark").is_null())
        self._seen = seen.tail(MOST_SEEN)
        if low is None or reached is None or len(seen) > MOST_SEEN:
            return cursor
        end = kind.physical(reached)
        tail = " ".join(map(summary, slices(seen, kind.physical(low), end)))
        ahead = written_rows(seen.filter(pl.col("mark") > end)) if kind.is_time else ""
        return replace(cursor, tail=tail, ahead=ahead)

    # -- rows without ----------------------------------------------------------------------------

    def _unmarked(
        self, db: Connection, found: _Watermark | None, cursor: _Cursor, folder: Path
    ) -> tuple[Page, _Cursor]:
        """Rows whose watermark is NULL: nothing orders them, so all are read, new ones given.

        The page is empty where nothing is new: its cursor says when they were looked for.
        """
        name, kind = "", Marks.INTEGER
        if found is not None:
            name, kind = found.name, found.kind
        name = name or self._column(column_names(db.schema(self._select())))
        rows = db.stream(
            f"{self._select()} WHERE {db.driver.name(name)} IS NULL LIMIT {MOST_UNMARKED + 1}"
        )
        next(rows)
        with PageFile(folder, MOST_UNMARKED + 1) as file:
            seen = [no_rows(kind)]
            for piece in pieces(rows, MOST_UNMARKED):
                seen.append(row_hashes(piece, name, kind))
                file.write(*unknown(piece, seen[-1], self._seen_unmarked))
            every = pl.concat(seen)
            digest = _TOO_MANY if len(every) > MOST_UNMARKED else summary(every)
            if digest not in (_TOO_MANY, cursor.unmarked) and file.rows:
                cursor = replace(cursor, rows=cursor.rows + file.rows, unmarked=digest)
                page = file.page(self.source.shown, cursor.json())
            else:
                cursor = replace(cursor, unmarked=digest)
                page = empty_page(folder, self.source.shown, cursor.json())
        self._seen_unmarked = None if digest == _TOO_MANY else every
        return page, cursor
