"""What the columns of a log look like, from a look at the beginning of some of its files.

Bounded work whatever the log is: a few files, a few megabytes of each, so many columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from collectors.contract import FileFormat
from collectors.errors import FormatError
from collectors.formats.bentoml import schema_roles
from collectors.formats.logs import Form, first_records, form_of, stage_log
from collectors.formats.records import Takes
from collectors.store.batches import Offset
from collectors.store.database import Cursor
from collectors.store.staged import StagedColumns

__all__ = ["ColumnProfile", "LogProfile", "profile_log"]

MOST_FILES = 3
MOST_ROWS = 20_000
MOST_COLUMNS = 2_000
"""Columns that are looked at; what comes after is no feature unless it is named."""

_TOP = 40
_ZONE = r"(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)"
_TIME = r"^\s*\d{4}-\d{2}-\d{2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?\s*" + _ZONE + r"?\s*$"
_ZONED = r"[T ]\d{1,2}:\d{2}.*" + _ZONE + r"\s*$"
_EPOCHS = ((5e8, 5e9), (5e11, 5e12), (5e14, 5e15), (5e17, 5e18))
"""1985 to 2128 in seconds, milli-, micro- and nanoseconds."""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column of the rows looked at.

    type: DuckDB's, VARCHAR for text files. n: rows, n_null: without a value (an empty text is
    none). n_numbers, n_integers, n_times: values that can be read so; n_zoned: times with a zone.
    epoch: every value is a number of seconds (or less) since 1970. top: the most frequent values.
    """

    name: str
    type: str
    n: int
    n_null: int
    n_distinct: int
    n_numbers: int = 0
    n_integers: int = 0
    n_times: int = 0
    n_zoned: int = 0
    low: float | None = None
    high: float | None = None
    epoch: bool = False
    top: tuple[tuple[str, int], ...] = ()

    @property
    def n_values(self) -> int:
        """Rows with a value."""
        return self.n - self.n_null

    @property
    def numeric(self) -> bool:
        """Whether all but a few values are numbers."""
        return self.n_values > 0 and self.n_numbers >= 0.95 * self.n_values

    @property
    def integer(self) -> bool:
        """Whether all of its numbers are whole."""
        return self.numeric and self.n_integers == self.n_numbers

    @property
    def is_time(self) -> bool:
        """Whether all but a few values are written times."""
        return self.n_values > 0 and self.n_times >= 0.95 * self.n_values

    @property
    def share(self) -> bool:
        """Whether its numbers lie between 0 and 1 and are not only the two."""
        inside = self.low is not None and self.high is not None and self.low >= 0 and self.high <= 1
        return self.numeric and inside and not self.integer

    @property
    def values(self) -> tuple[str, ...]:
        """The most frequent values; all of them where there are few."""
        return tuple(value for value, _ in self.top)


@dataclass(frozen=True, slots=True)
class LogProfile:
    """Some rows of a log. rows: as text, for what takes several columns. n_left_out: columns that
    were not looked at. schema: roles of columns, where a log says them.
    """

    form: Form
    files: tuple[Path, ...]
    n: int
    columns: tuple[ColumnProfile, ...]
    rows: pl.DataFrame = field(compare=False)
    n_left_out: int = 0
    schema: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> ColumnProfile | None:
        """A column by its exact name."""
        return next((c for c in self.columns if c.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(c.name for c in self.columns)


def profile_log(
    files: Sequence[Path],
    wanted: FileFormat = FileFormat.AUTO,
    *,
    takes: Takes = Takes.PREDICTIONS,
    named: Sequence[str] = (),
) -> LogProfile | None:
    """Look at the first, the middle and the last of the files; None when there is no row in them.

    named: columns that are looked at in any case. Raises FormatError, SourceError for a file that
    cannot be understood.
    """
    chosen = _some(files)
    frames: list[pl.DataFrame] = []
    types: dict[str, str] = {}
    schema: dict[str, str] = {}
    form: Form | None = None
    n_columns = 0
    with duckdb.connect(":memory:") as connection:
        for path in chosen:
            of = form_of(connection, path, wanted)
            if of.platform is FileFormat.BENTOML:
                for record in first_records(connection, path, of.container):
                    schema.update(schema_roles(record) or {})
            for columns in _first(connection, path, of, takes):
                if form is not None and of.platform is not form.platform:
                    raise FormatError(
                        f"{path} is another kind of log than {chosen[0]}",
                        "open one kind at a time, or say which with --log-format",
                    )
                form = of
                kept = _kept(columns, named)
                n_columns = max(n_columns, len(columns.types))
                types.update({name: columns.kind(name) for name in kept if name not in types})
                frames.append(_texts(connection, columns, kept))
    if form is None or not frames:
        return None
    rows = pl.concat(frames, how="diagonal")
    profiles = tuple(_column(rows[name], name, types[name]) for name in rows.columns)
    left_out = max(0, n_columns - len(profiles))
    return LogProfile(form, chosen, rows.height, profiles, rows, left_out, schema)


def _some(files: Sequence[Path]) -> tuple[Path, ...]:
    full = [path for path in files if path.stat().st_size > 0]
    if len(full) <= MOST_FILES:
        return tuple(full)
    return (full[0], full[len(full) // 2], full[-1])


def _first(cursor: Cursor, path: Path, form: Form, takes: Takes) -> Iterator[StagedColumns]:
    """The first batch of a file that has rows, in `stage`; at most a few batches are looked at."""
    batches = stage_log(cursor, path, form, Offset(), takes=takes, whole=True, glance=True)
    for _, staged in zip(range(4), batches, strict=False):
        if staged.columns.types and cursor.execute("SELECT count(*) FROM stage").fetchall()[0][0]:
            yield staged.columns
            return


def _kept(columns: StagedColumns, named: Sequence[str]) -> list[str]:
    names = list(columns.types)
    return names[:MOST_COLUMNS] + [n for n in names[MOST_COLUMNS:] if n in named]


def _texts(cursor: Cursor, columns: StagedColumns, kept: Sequence[str]) -> pl.DataFrame:
    """Rows of `stage` as text, an empty one as none."""
    listed = ", ".join(
        f"CAST({columns.sql(name)} AS VARCHAR) AS c{i}" for i, name in enumerate(kept)
    )
    relation = cursor.sql(f"SELECT {listed} FROM stage LIMIT {MOST_ROWS}")  # noqa: S608 - quoted
    # nullif() of 2000 columns takes DuckDB 4 s, here it takes 0.1
    texts = pl.DataFrame(relation).with_columns(pl.all().replace("", None))
    return texts.rename({f"c{i}": name for i, name in enumerate(kept)})


def _column(texts: pl.Series, name: str, kind: str) -> ColumnProfile:
    n, n_null = len(texts), texts.null_count()
    values = texts.drop_nulls()
    if values.is_empty():
        return ColumnProfile(name, kind, n, n_null, 0)
    counted = values.value_counts(sort=True).head(_TOP)
    numbers = values.cast(pl.Float64, strict=False).drop_nulls()
    numbers = numbers.filter(numbers.is_finite())
    low = high = None
    n_integers = 0
    epoch = False
    if not numbers.is_empty():
        smallest, largest = numbers.min(), numbers.max()
        low, high = float(str(smallest)), float(str(largest))
        n_integers = int((numbers == numbers.floor()).sum())
        epoch = len(numbers) == len(values) and any(a <= low and high <= b for a, b in _EPOCHS)
    typed = kind.upper().startswith(("TIMESTAMP", "DATE"))
    times = len(values) if typed else int(values.str.contains(_TIME).sum())
    zoned = (
        len(values) * ("WITH TIME ZONE" in kind.upper() or kind.upper().startswith("TIMESTAMPTZ"))
        if typed
        else int(values.str.contains(_ZONED).sum())
    )
    top = tuple((str(v)[:200], int(k)) for v, k in counted.rows())
    return ColumnProfile(
        name, kind, n, n_null, values.n_unique(), len(numbers), n_integers, times, zoned,
        low, high, epoch, top,
    )  # fmt: skip
