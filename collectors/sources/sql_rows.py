"""Rows of a database in a form that every part behind can read, and how rows are told apart.

Tables here are pyarrow's, which only comes with the drivers; so it is imported late and untyped.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from importlib import import_module
from itertools import pairwise
from typing import Any

import polars as pl

from collectors.errors import SourceError
from collectors.text import clean

__all__ = [
    "Mark",
    "Marks",
    "column_names",
    "kind_of",
    "largest",
    "plain",
    "row_hashes",
    "rows_of",
    "slices",
    "summary",
    "type_of",
    "written_rows",
]

_INFINITY = 2**63 - 1
"""DuckDB's microseconds of `infinity`; minus that is `-infinity`. INT64_MIN would break it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_DAY_US = 86_400_000_000
_PER_US = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": -1_000}
_MOST_DIGITS = 400
_MOST_WRITTEN = 100
_SLICES = 12

Mark = int | Decimal
"""A watermark as a number: microseconds or days since 1970, or the number that it is."""


class Marks(StrEnum):
    """What a watermark is: a time with or without a zone, a day, a number."""

    ZONED = "zoned"
    NAIVE = "naive"
    DATE = "date"
    INTEGER = "integer"
    NUMBER = "number"

    @property
    def is_time(self) -> bool:
        """Whether it can be compared with a clock."""
        return self in (self.ZONED, self.NAIVE, self.DATE)

    def mark(self, written: object) -> Mark | None:
        """What is written, in a cursor, a configuration or a row; None if that is no such mark."""
        try:
            if not self.is_time:
                number = Decimal(str(written))
                if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
                    return None
                return int(number) if self is self.INTEGER and number == int(number) else number
            moment = datetime.fromisoformat(str(written))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            us = (moment - _EPOCH) // timedelta(microseconds=1)
            return us // _DAY_US if self is self.DATE else us
        except (ValueError, InvalidOperation, OverflowError):
            return None

    def written(self, mark: Mark) -> str:
        """A mark as text that `mark` reads."""
        if not self.is_time:
            return str(mark)
        if self is self.DATE:
            return str(date.fromordinal(date(1970, 1, 1).toordinal() + int(mark)))
        moment = _EPOCH + timedelta(microseconds=int(mark))
        shown = moment.replace(tzinfo=None).isoformat(timespec="microseconds")
        return f"{shown}Z" if self is self.ZONED else shown

    def before(self, mark: Mark, overlap: timedelta, rows: int) -> Mark | None:
        """The mark that lies an overlap before another; None before the first that can be."""
        if not self.is_time:
            return mark - rows
        us = overlap // timedelta(microseconds=1)
        back = (int(mark) * _DAY_US - us) // _DAY_US if self is self.DATE else int(mark) - us
        first = _FIRST // _DAY_US if self is self.DATE else _FIRST
        return back if back >= first else None

    def physical(self, mark: Mark) -> int | float:
        """A mark as `row_hashes` has it."""
        return float(mark) if self is self.NUMBER else int(mark)

    def moment(self, now: datetime) -> Mark | None:
        """A time as a mark; None where a mark is no time."""
        us = (now - _EPOCH) // timedelta(microseconds=1)
        return None if not self.is_time else us // _DAY_US if self is self.DATE else us


def kind_of(kind: Any) -> Marks | None:
    """What a column of an Arrow type can be as a watermark."""
    pa = import_module("pyarrow")
    t = pa.types
    if t.is_timestamp(kind):
        return Marks.NAIVE if kind.tz is None else Marks.ZONED
    if t.is_date(kind):
        return Marks.DATE
    if t.is_integer(kind):
        return Marks.NUMBER if t.is_uint64(kind) else Marks.INTEGER
    if t.is_decimal(kind) or t.is_floating(kind):
        return Marks.NUMBER
    if isinstance(kind, pa.BaseExtensionType) and getattr(kind, "type_name", "") == "numeric":
        return Marks.NUMBER  # PostgreSQL's, which comes as text
    return None


def column_names(schema: Any) -> list[str]:
    """Names of a schema, each once: the second `id` is `id_1`."""
    found: dict[str, None] = {}
    for name in schema.names:
        new, k = name, 0
        while new in found:
            k += 1
            new = f"{name}_{k}"
        found[new] = None
    return list(found)


def type_of(schema: Any, name: str) -> Any:
    """The Arrow type of a column by its name in `column_names`."""
    return schema.field(column_names(schema).index(name)).type


def plain(batch: Any) -> Any:
    """A record batch as a table of numbers, texts, truth values, times and lists.

    Raises pyarrow's ArrowInvalid for lists whose texts are no UTF-8.

    A time that no calendar here has (beyond the year 9999, `infinity`) becomes `infinity` or
    `-infinity`, so that it is seen and nothing breaks on it. Raises SourceError for a column that
    cannot be read, as lists of texts that are no UTF-8.
    """
    pa = import_module("pyarrow")
    found = {}
    for name, column in zip(column_names(batch.schema), batch.columns, strict=True):
        try:
            found[name] = _plain(pa, column)
        except pa.ArrowException as error:
            why = clean(str(error).split("\n", 1)[0], 200)
            raise SourceError(f"cannot read the column {clean(name)!r}: {why}") from None
    return pa.table(found)


def _plain(pa: Any, column: Any) -> Any:
    t, kind = pa.types, column.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return pa.array(
                [None if v is None else str(v) for v in column.to_pylist()], pa.string()
            )
        return _plain(pa, column.storage)
    if t.is_dictionary(kind):
        return _plain(pa, column.dictionary_decode())
    if t.is_timestamp(kind):
        return _times(pa, column)
    if t.is_date(kind):
        return _dates(pa, column)
    if t.is_duration(kind):  # as seconds
        column = _seconds(pa, column)
    if t.is_interval(kind) or t.is_union(kind):
        column = pa.array([_written(v) for v in column.to_pylist()], pa.string())
    target = _simpler(pa, kind)
    return _readable(pa, column if target is None else column.cast(target))


def _readable(pa: Any, column: Any) -> Any:
    """A column whose texts are UTF-8; others lose the whole file to DuckDB.

    Databases that know no encoding give what they have. A byte that is none becomes U+FFFD.
    """
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        if not pa.types.is_string(column.type):
            raise
        held = column.view(pa.binary()).to_pylist()
        texts = [None if v is None else v.decode("utf-8", "replace") for v in held]
        return pa.array(texts, pa.string())
    return column


def _simpler(pa: Any, kind: Any) -> Any:
    """What a type is written as; None: as it is."""
    t = pa.types
    if t.is_null(kind) or t.is_decimal256(kind) or t.is_time(kind):
        return pa.string()
    if str(kind) in ("string_view", "large_string"):
        return pa.string()
    if t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or str(kind) == "binary_view":
        return pa.binary()
    return pa.float32() if t.is_float16(kind) else None


def _written(value: Any) -> str | None:
    """What has no simpler type, as text; a length of months, days and time as ISO 8601 does."""
    if value is None:
        return None
    months = getattr(value, "months", None)
    if months is None:
        return str(value)
    return f"P{months}M{value.days}DT{value.nanoseconds / 1e9:g}S"


def _seconds(pa: Any, column: Any) -> Any:
    pc = import_module("pyarrow.compute")
    number = column.view(pa.int64()).cast(pa.float64(), safe=False)
    per = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[column.type.unit]
    return pc.divide(number, per)


def _times(pa: Any, column: Any) -> Any:
    pc = import_module("pyarrow.compute")
    factor = _PER_US[column.type.unit]
    number = column.view(pa.int64())
    if factor < 0:
        number, factor = pc.divide(number, -factor), 1
    under, over = _outside(pc, number, _FIRST // factor, _LAST // factor, _PG_TIMES)
    inside = pc.multiply(pc.if_else(pc.or_(under, over), 0, number), factor)
    known = pc.if_else(under, -_INFINITY, pc.if_else(over, _INFINITY, inside))
    return known.view(pa.timestamp("us", None if column.type.tz is None else "UTC"))


def _dates(pa: Any, column: Any) -> Any:
    pc = import_module("pyarrow.compute")
    days = column.cast(pa.date32()).view(pa.int32())
    under, over = _outside(pc, days, _FIRST // _DAY_US, _LAST // _DAY_US, _PG_DAYS)
    most = pa.scalar(2**31 - 1, pa.int32())
    known = pc.if_else(under, pc.negate(most), pc.if_else(over, most, days))
    return known.view(pa.date32())


# PostgreSQL counts from 2000 and has its `infinity` at the end of the integers. Its driver counts
# from 1970; what that moves past the end comes as a number below these.
_PG_TIMES = -(2**63) + 946_684_800_000_000
_PG_DAYS = -(2**31) + 10_957


def _outside(pc: Any, number: Any, low: int, high: int, wrapped: int) -> tuple[Any, Any]:
    """Which numbers lie before the first, and which behind the last."""
    past = pc.less(number, wrapped)
    under = pc.and_(pc.less(number, low), pc.invert(past))
    return under, pc.or_(pc.greater(number, high), past)


# -- telling rows apart ----------------------------------------------------------------------------


def row_hashes(table: Any, watermark: str, kind: Marks) -> pl.DataFrame:
    """Columns a, b: 128 bits of each row's content, the same in every process; mark: as a number.

    mark: Int64 of a time, a day or an integer, else Float64; null where there is none.
    """
    frame = pl.DataFrame(table)
    column = frame[watermark]
    if kind is Marks.NUMBER:
        mark = column.cast(pl.Float64, strict=False)
        mark = mark.set(mark.is_nan(), None)
    elif kind is Marks.DATE:
        mark = column.to_physical().cast(pl.Int64)
    else:
        mark = column.to_physical().cast(pl.Int64, strict=False)
    hashes = {"a": frame.hash_rows(seed=1), "b": frame.hash_rows(seed=2)}
    return pl.DataFrame({**hashes, "mark": mark})


def largest(
    table: Any, rows: pl.DataFrame, watermark: str, kind: Marks, limit: Mark | None
) -> Mark | None:
    """The largest finite mark of a table up to a limit. rows: its `row_hashes`."""
    marks = rows["mark"]
    usable = marks.is_finite() if kind is Marks.NUMBER else marks.is_not_null()
    if kind.is_time:
        usable &= marks >= (_FIRST // _DAY_US if kind is Marks.DATE else _FIRST)
    if limit is not None:
        usable &= marks <= limit
    place = marks.zip_with(usable, pl.Series([None], dtype=marks.dtype)).arg_max()
    if place is None:
        return None
    return int(marks[place]) if kind is not Marks.NUMBER else kind.mark(table[watermark][place])


def slices(rows: pl.DataFrame, low: float, mark: float) -> list[pl.DataFrame]:
    """Rows from a mark to another in slices that halve towards the end, where rows come late."""
    span = mark - low
    halves = [int(span) >> i if isinstance(span, int) else span / 2**i for i in range(_SLICES)]
    column = pl.col("mark")
    edges = [mark - half for half in halves]
    inner = [column.is_between(a, b, closed="left") for a, b in pairwise(edges)]
    return [rows.filter(inside) for inside in (*inner, column.is_between(edges[-1], mark))]


def summary(rows: pl.DataFrame) -> str:
    """Which rows these are, in whatever order, in a few characters."""
    if not len(rows):
        return "0"
    total = rows.select("a", "b").to_numpy().sum(axis=0, dtype="uint64")
    return f"{len(rows)}:{int(total[0]):016x}{int(total[1]):016x}"


def written_rows(rows: pl.DataFrame) -> str:
    """A few rows of `row_hashes` of a time as text; nothing if there are more."""
    if len(rows) > _MOST_WRITTEN:
        return ""
    return " ".join(f"{a:x}:{b:x}:{mark}" for a, b, mark in rows.iter_rows())


def rows_of(written: str, kind: Marks) -> pl.DataFrame:
    """What `written_rows` wrote; none when it cannot be read."""
    types: dict[str, type[pl.DataType]] = {
        "a": pl.UInt64,
        "b": pl.UInt64,
        "mark": _physical(kind),
    }
    try:
        parts = [word.split(":") for word in written.split()]
        found = [(int(a, 16), int(b, 16), int(mark)) for a, b, mark in parts]
        return pl.DataFrame(found, schema=types, orient="row", strict=True)
    except (ValueError, TypeError, OverflowError, pl.exceptions.PolarsError):
        return pl.DataFrame(schema=types)


def _physical(kind: Marks) -> type[pl.DataType]:
    return pl.Float64 if kind is Marks.NUMBER else pl.Int64
