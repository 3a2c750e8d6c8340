"""What a pane shows, before any terminal: plain frozen data without colours or markup.

A view is made from a snapshot by `console.views.<pane>` and drawn by the Textual panes and by
`modelwatch show --format table` alike. All text in it has passed `collectors.text.clean`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = [
    "Bars",
    "Cell",
    "Column",
    "Detail",
    "Line",
    "Mark",
    "Plot",
    "Row",
    "Series",
    "Table",
    "TimePlot",
    "Tone",
    "View",
]


class Tone(StrEnum):
    """The meaning of a text; each has a glyph besides its colour."""

    PLAIN = "plain"
    DIM = "dim"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"
    ACCENT = "accent"


@dataclass(frozen=True, slots=True)
class Cell:
    """One table cell. `sort` orders rows when the column is sorted; text does when it is None."""

    text: str
    tone: Tone = Tone.PLAIN
    sort: float | str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A table column. `priority` 0 is always shown; higher ones are dropped first when narrow."""

    title: str
    right: bool = False
    priority: int = 0
    flexible: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A table row; `key` is stable between refreshes, so the cursor stays on it."""

    key: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; `empty` is the sentence to show when there are no rows."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    empty: str = "nothing here"


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a time plot; y is None where there is a gap. low/high: interval or empty."""

    name: str
    x: tuple[datetime, ...]
    y: tuple[float | None, ...]
    tone: Tone = Tone.ACCENT
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A horizontal line: threshold, reference, baseline."""

    name: str
    y: float
    tone: Tone = Tone.DIM


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line: the time cursor or a change event."""

    name: str
    x: datetime
    tone: Tone = Tone.DIM


@dataclass(frozen=True, slots=True)
class TimePlot:
    """Values over time (aware UTC) between start and end; y range is taken from data if None.

    gutters: cells kept left and right of the area at least, so that plots above each other line up.
    """

    title: str
    start: datetime
    end: datetime
    series: tuple[Series, ...]
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()
    y_min: float | None = None
    y_max: float | None = None
    percent: bool = False
    gutters: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Bars:
    """Two (or one) distributions over the same bins, as shares: reference beside current."""

    title: str
    labels: tuple[str, ...]
    groups: tuple[tuple[str, tuple[float | None, ...], Tone], ...]


Plot = TimePlot | Bars


@dataclass(frozen=True, slots=True)
class Detail:
    """What enter opens for a row: sentences, tables and plots of its own."""

    title: str
    notes: tuple[Cell, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """A whole pane. `headline` is the finding in words, worst first; `details` is by row key."""

    title: str
    headline: tuple[Cell, ...]
    table: Table
    plots: tuple[Plot, ...] = ()
    details: tuple[tuple[str, Detail], ...] = ()
    notes: tuple[Cell, ...] = ()
