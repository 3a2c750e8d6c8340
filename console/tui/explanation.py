"""The page `e` opens for a figure: why it changed, in sentences, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from console.tui.cells import line, wrap
from console.tui.detail import PLOT_HEIGHT, PLOT_WIDTH, table_lines
from console.tui.paint import BOLD, DIM
from console.tui.pane_layout import sentence_lines
from console.tui.plots import PlotArtist
from console.views.model import Cell, Plot, Table, View

__all__ = ["explanation_lines"]

_MOST_SENTENCES = 200


def explanation_lines(
    view: View | None, artist: PlotArtist, size: tuple[int, int], *, ascii_only: bool = False
) -> list[Text]:
    """The answer first, then what it rests on, one part under the other; None: not there yet."""
    width, height = size
    if view is None:
        dots = "..." if ascii_only else "…"
        return [line([(t, DIM)]) for t in wrap(f"explaining {dots}", width, 2)]
    out = _sentences(view.headline, width, ascii_only=ascii_only)
    out += _plots(view.plots, artist, width, height)
    if view.table.columns:
        out += _table(view.table, width, ascii_only=ascii_only)
    for _, detail in view.details:
        if detail.title:
            out += [line([(t, BOLD)]) for t in wrap(detail.title, width, 3)]
        notes = _sentences(detail.notes, width, ascii_only=ascii_only)
        out += notes[:-1] if detail.tables else notes  # they belong to what is under them
        for table in detail.tables:
            out += _table(table, width, ascii_only=ascii_only)
        out += _plots(detail.plots, artist, width, height)
    out += _sentences(view.notes, width, ascii_only=ascii_only)
    return out[:-1] if out and not out[-1].plain else out


def _sentences(cells: Sequence[Cell], width: int, *, ascii_only: bool) -> list[Text]:
    if not cells:
        return []
    return [*sentence_lines(cells, width, _MOST_SENTENCES, ascii_only=ascii_only), Text("")]


def _table(table: Table, width: int, *, ascii_only: bool) -> list[Text]:
    if not table.rows and not table.empty:
        return []
    return [*table_lines(table, width, ascii_only=ascii_only), Text("")]


def _plots(plots: Sequence[Plot], artist: PlotArtist, width: int, height: int) -> list[Text]:
    out: list[Text] = []
    for plot in plots:
        out += artist.draw(plot, min(width, PLOT_WIDTH), max(6, min(PLOT_HEIGHT, height - 1)))
        out.append(Text(""))
    return out
