"""What a query gave, as a table; and before one was asked, what there is to ask."""

from __future__ import annotations

from collectors.store.logged_views import LoggedView
from console.sql import SqlResult
from console.views.model import Cell, Column, Detail, Row, Table, Tone, View
from console.views.words import count, name, number, plain

__all__ = ["examples", "failed", "result_view", "tables_view"]

_LONGEST = 60


def tables_view(views: tuple[LoggedView, ...], key: str) -> View:
    """The tables and their columns, with queries that work here. key: what opens the prompt."""
    rows = tuple(
        Row(
            v.name,
            (
                plain(name(v.name, 40), Tone.ACCENT),
                plain(v.about),
                plain(name(", ".join(v.columns), 300), Tone.DIM),
            ),
        )
        for v in views
    )
    columns = (Column("table"), Column("holds", priority=1), Column("columns", flexible=True))
    details = tuple(
        (
            v.name,
            Detail(
                name(v.name, 60),
                (plain(v.about),),
                (
                    Table(
                        (Column("column"),), tuple(Row(c, (plain(name(c, 80)),)) for c in v.columns)
                    ),
                ),
            ),
        )
        for v in views
    )
    notes = tuple(plain(text, Tone.DIM) for text in examples())
    headline = Cell(f"{key} types a query; the store is only read", Tone.ACCENT)
    return View("SQL", (headline,), Table(columns, rows), (), details, notes)


def _columns(v: LoggedView) -> Table:
    rows = tuple(Row(c, (plain(name(c, 80)),)) for c in v.columns)
    return Table((Column("column"),), rows)


def examples() -> tuple[str, ...]:
    """Queries that work on any store of logs."""
    return (
        "SELECT version, count(*), avg(prediction) FROM predictions GROUP BY 1 ORDER BY 1",
        "SELECT prediction, label, count(*) FROM predictions GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT date_trunc('day', timestamp) AS day, count(*) FROM predictions GROUP BY 1",
        "SELECT reason, count(*) FROM quarantine GROUP BY 1 ORDER BY 2 DESC",
        "DESCRIBE predictions",
    )


def result_view(result: SqlResult) -> View:
    """Rows of a result; enter shows one whole."""
    names = [name(column, 40) for column in result.columns]
    records = result.records()
    numeric = [dtype.is_numeric() for dtype in result.frame.dtypes]
    columns = tuple(
        Column(title, right=right, priority=0 if i < 3 else min(9, i), flexible=not right)
        for i, (title, right) in enumerate(zip(names, numeric, strict=True))
    )
    rows, details = [], []
    for i, record in enumerate(records):
        cells = tuple(_cell(value) for value in record.values())
        rows.append(Row(str(i), cells))
        pairs = tuple(
            Row(f"{j}", (plain(title), plain(name(value, 2000))))
            for j, (title, value) in enumerate(zip(names, record.values(), strict=True))
        )
        table = Table((Column("column"), Column("value", flexible=True)), pairs)
        details.append((str(i), Detail(f"row {i + 1}", (), (table,))))
    more = ": the first, there are more" if result.more else ""
    said = f"{count(len(records))} rows in {result.seconds:.2f} s{more}"
    tone = Tone.WARN if result.more else Tone.GOOD
    headline = (plain(name(result.query, 300), Tone.DIM), Cell(said, tone))
    return View("SQL", headline, Table(columns, tuple(rows), "no rows"), (), tuple(details))


def failed(query: str, why: str) -> View:
    """A query that could not be answered."""
    headline = (plain(name(query, 300), Tone.DIM), Cell(name(why, 600), Tone.BAD))
    return View("SQL", headline, Table((), (), ""))


def _cell(value: object) -> Cell:
    if value is None:
        return plain("", Tone.DIM)
    if isinstance(value, bool):
        return plain("true" if value else "false")
    if isinstance(value, int):
        return plain(str(value), sort=float(value) if abs(value) < 1e300 else None)
    if isinstance(value, float):
        return plain(number(value), sort=value)
    return plain(name(value, _LONGEST))
