"""The table of a pane: cursor, sort, filter and the lines for a given size. No Textual.

`RowTable` outlives the data: a refresh calls `load` with a new table, and the cursor stays on
the row with the same key.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.style import Style
from rich.text import Text

from console.tui.cells import fit, line, width_of
from console.tui.columns import GAP, ColumnCursor, column_widths
from console.tui.paint import BOLD, CURSOR, DIM, FOCUS, PLAIN, figure_style, marked, style_of
from console.views.model import Column, Row, Table

__all__ = ["RowTable", "sort_key"]

_MARGIN = 2  # the cursor mark and a space
_EMPTY = Table((), ())


@dataclass(frozen=True, slots=True)
class _Sort:
    column: str
    descending: bool


class RowTable:
    """A table with a cursor. Everything but the data stays through `load`."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        self.ascii_only = ascii_only
        self.rows: tuple[Row, ...] = ()
        self.filter = ""
        self._table = _EMPTY
        self._sort: _Sort | None = None
        self._index = 0
        self._key: str | None = None
        self._top = 0
        self._page = 10
        self._natural: tuple[int, ...] = ()
        self._shown: tuple[int, ...] = ()
        self._columns = ColumnCursor()

    @property
    def table(self) -> Table:
        """The table as it came."""
        return self._table

    @property
    def cursor(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self._index] if self.rows else None

    @property
    def figure(self) -> Column | None:
        """The column under both cursors, if the cell there says something about its row."""
        row, index = self.cursor, self._column_index()
        if row is None or not index or not self._text(row, index):
            return None
        return self._table.columns[index]

    @property
    def position(self) -> str:
        """Where the cursor is, for the title: "3/120", with the filter if there is one."""
        total = len(self._table.rows)
        if self.filter:
            return f"/{self.filter} {len(self.rows)} of {total}"
        return f"{self._index + 1}/{total}" if total else ""

    @property
    def height(self) -> int:
        """Lines it needs to show all rows."""
        return 1 + max(1, len(self.rows))

    def natural_width(self) -> int:
        """Cells it needs to show all columns in full."""
        return _MARGIN + sum(self._wanted()) + GAP * max(0, len(self._natural) - 1)

    def load(self, table: Table) -> None:
        """New data: the cursor stays on its key, or near where it was."""
        if table == self._table:
            return
        self._table = table
        self._natural = tuple(
            max(
                width_of(column.title),
                max((width_of(self._text(row, i)) for row in table.rows), default=0),
            )
            for i, column in enumerate(table.columns)
        )
        self._arrange()

    def set_filter(self, text: str) -> None:
        """Keep rows that contain the text, whatever the case."""
        self.filter = text
        self._arrange()

    def move(self, rows: int) -> None:
        """Move the cursor, stopping at the ends."""
        self._go(self._index + rows)

    def move_page(self, pages: int) -> None:
        """Move by as many rows as were last drawn."""
        self._go(self._index + pages * max(1, self._page - 1))

    def move_to_end(self, *, last: bool) -> None:
        """To the first or the last row."""
        self._go(len(self.rows) - 1 if last else 0)

    def move_column(self, step: int) -> None:
        """Move the cursor to a neighbouring column that is shown, stopping at the ends."""
        self._columns.move(self._table.columns, self._visible(), step)

    def sort_next(self) -> str:
        """Sort by the next visible column, after the last by none; says what it did."""
        titles = [self._table.columns[i].title for i in self._shown]
        current = self._sort.column if self._sort else None
        index = titles.index(current) + 1 if current in titles else 0
        if index >= len(titles):
            self._sort = None
            self._arrange()
            return "in the order of the pane"
        self._sort = _Sort(titles[index], self._is_number(titles[index]))
        self._arrange()
        return f"sorted by {titles[index]}"

    def sort_reverse(self) -> str:
        """Turn the order round; says what it did."""
        if self._sort is None:
            return "press s first to choose a column"
        self._sort = _Sort(self._sort.column, not self._sort.descending)
        self._arrange()
        return f"sorted by {self._sort.column}, {'down' if self._sort.descending else 'up'}"

    def lines(
        self, width: int, height: int, *, cursor: bool = True, focused: bool = True
    ) -> list[Text]:
        """Header and the rows around the cursor in exactly this size."""
        columns = self._table.columns
        if height <= 0 or width <= 0 or not columns:
            return []
        widths = column_widths(columns, self._wanted(), width - _MARGIN)
        self._shown = tuple(i for i, cells in enumerate(widths) if cells)
        body = height - 1
        self._page = max(1, body)
        self._top = max(min(self._top, self._index), self._index - body + 1, 0)
        self._top = min(self._top, max(0, len(self.rows) - body))
        figure = self._column_index() if cursor and focused and self.rows else None
        out = [self._header(widths, width, figure)]
        if not self.rows and body:
            text = f"no row contains “{self.filter}”" if self._table.rows else self._table.empty
            out.append(line([("  " + fit(text, width - _MARGIN), DIM)]))
        for offset, row in enumerate(self.rows[self._top : self._top + body]):
            at = cursor and self._top + offset == self._index
            out.append(self._row(row, widths, width if focused else 0, figure, at=at))
        return out

    def as_rows(self) -> list[list[str]]:
        """Titles and all shown rows with all columns, for copying."""
        titles = [column.title for column in self._table.columns]
        return [titles, *([cell.text for cell in row.cells] for row in self.rows)]

    def _visible(self) -> Sequence[int]:
        """Columns as they were last drawn; before that, all."""
        count = len(self._table.columns)
        return [i for i in self._shown if i < count] or range(count)

    def _column_index(self) -> int | None:
        return self._columns.at(self._table.columns, self._visible())

    def _go(self, index: int) -> None:
        self._index = max(0, min(index, len(self.rows) - 1))
        self._key = self.rows[self._index].key if self.rows else None

    def _arrange(self) -> None:
        rows: Sequence[Row] = self._table.rows
        if self.filter:
            needle = self.filter.casefold()
            rows = [r for r in rows if any(needle in c.text.casefold() for c in r.cells)]
        titles = [column.title for column in self._table.columns]
        if self._sort is not None and self._sort.column in titles:
            rows = sorted_rows(rows, titles.index(self._sort.column), self._sort.descending)
        self.rows = tuple(rows)
        where = next((i for i, row in enumerate(self.rows) if row.key == self._key), None)
        if where is None:
            self._go(self._index)
        else:
            self._index = where

    def _wanted(self) -> list[int]:
        """Natural widths, with room for the arrow of the sorted column."""
        return [
            max(cells, width_of(column.title) + 2)
            if self._sort is not None and self._sort.column == column.title
            else cells
            for column, cells in zip(self._table.columns, self._natural, strict=True)
        ]

    def _is_number(self, title: str) -> bool:
        index = [column.title for column in self._table.columns].index(title)
        return any(
            len(row.cells) > index and isinstance(row.cells[index].sort, float | int)
            for row in self._table.rows
        )

    def _text(self, row: Row, index: int) -> str:
        if index >= len(row.cells):
            return ""
        return marked(row.cells[index], ascii_only=self.ascii_only)

    def _header(self, widths: Sequence[int], width: int, figure: int | None) -> Text:
        parts: list[tuple[str, Style | None]] = [(" " * min(_MARGIN, width), None)]
        for index, cells in enumerate(widths):
            column = self._table.columns[index]
            if not cells:
                continue
            title = column.title
            if self._sort is not None and self._sort.column == title:
                up, down = ("^", "v") if self.ascii_only else ("↑", "↓")
                title += " " + (down if self._sort.descending else up)
            style = FOCUS if index == figure else BOLD
            parts.append((fit(title, cells, right=column.right), style))
            parts.append((" " * GAP, None))
        return line(parts)

    def _row(
        self, row: Row, widths: Sequence[int], width: int, figure: int | None, *, at: bool
    ) -> Text:
        bar = at and width > 0  # only the pane that takes the keys has one
        base = CURSOR if bar else None
        mark = ("> ", base or BOLD) if at else ("  ", None)
        parts: list[tuple[str, Style | None]] = [mark]
        for index, cells in enumerate(widths):
            if not cells:
                continue
            text = fit(self._text(row, index), cells, right=self._table.columns[index].right)
            tone = style_of(row.cells[index].tone) if index < len(row.cells) else PLAIN
            if bar:
                tone = figure_style(tone) if index == figure else CURSOR
            parts.append((text, tone))
            parts.append((" " * GAP, base))
        if bar:
            parts.append((" " * (width - sum(width_of(part) for part, _ in parts)), CURSOR))
        return line(parts)


def sorted_rows(rows: Sequence[Row], index: int, descending: bool) -> list[Row]:
    """Rows by one column; rows without a value there stay last in both directions."""
    keyed = [(sort_key(row, index), row) for row in rows]
    known = [pair for pair in keyed if pair[0] is not None]
    known.sort(key=lambda pair: pair[0] or (0, 0.0, ""), reverse=descending)
    return [row for _, row in known] + [row for key, row in keyed if key is None]


def sort_key(row: Row, index: int) -> tuple[int, float, str] | None:
    """What orders a row: its sort value, else its text; None if there is neither."""
    if index >= len(row.cells):
        return None
    cell = row.cells[index]
    value = cell.text if cell.sort is None else cell.sort
    if isinstance(value, str):
        return (1, 0.0, value.casefold()) if value else None
    return None if math.isnan(value) else (0, float(value), "")
