"""The page enter opens for a row: what it means, pictures, tables, then all its cells in full."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text

from console.tui.cells import fit, line, width_of, wrap
from console.tui.paint import DIM, marked, style_of
from console.tui.pane_layout import sentence_lines
from console.tui.plots import PlotArtist
from console.tui.table import RowTable
from console.views.model import Column, Detail, Row, Table

__all__ = ["PLOT_HEIGHT", "PLOT_WIDTH", "detail_lines", "table_lines"]

PLOT_HEIGHT = 14
PLOT_WIDTH = 120


def detail_lines(
    columns: tuple[Column, ...],
    row: Row,
    detail: Detail | None,
    artist: PlotArtist,
    size: tuple[int, int],
    *,
    ascii_only: bool = False,
) -> list[Text]:
    """Everything about a row; nothing is cut that wraps, so a long name can be read here."""
    width, height = size
    out: list[Text] = []
    if detail is not None and detail.notes:
        out += sentence_lines(detail.notes, width, 200, ascii_only=ascii_only)
        out.append(Text(""))
    for plot in detail.plots if detail else ():
        out += artist.draw(plot, min(width, PLOT_WIDTH), max(6, min(PLOT_HEIGHT, height - 1)))
        out.append(Text(""))
    for table in detail.tables if detail else ():
        out += table_lines(table, width, ascii_only=ascii_only)
        out.append(Text(""))
    out += _fields(columns, row, width, ascii_only=ascii_only)
    return out


def _fields(columns: tuple[Column, ...], row: Row, width: int, *, ascii_only: bool) -> list[Text]:
    label = min(max((width_of(c.title) for c in columns), default=0), max(1, width // 3)) + 2
    out: list[Text] = []
    for column, cell in zip(columns, row.cells, strict=False):
        texts = wrap(marked(cell, ascii_only=ascii_only), max(1, width - label), 20) or [""]
        for index, text in enumerate(texts):
            parts: list[tuple[str, Style | None]] = [
                (fit(column.title if index == 0 else "", label), DIM),
                (text, style_of(cell.tone)),
            ]
            out.append(line(parts))
    return out


def table_lines(table: Table, width: int, *, ascii_only: bool) -> list[Text]:
    """All rows of a table, without a cursor: the page scrolls as a whole."""
    drawn = RowTable(ascii_only=ascii_only)
    drawn.load(table)
    if not table.rows:
        return [line([(table.empty, DIM)])]
    return drawn.lines(width, drawn.height, cursor=False)
