"""How a view fills a rectangle: title, headline, table beside or above its plots, notes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from rich.style import Style
from rich.text import Text

from console.tui.cells import cut, fit, line, width_of, wrap
from console.tui.paint import BOLD, DIM, FOCUS, marked, style_of
from console.tui.plots import PlotArtist
from console.tui.table import RowTable
from console.views.model import Cell, Plot, View

__all__ = ["Emphasis", "pane_lines", "sentence_lines", "title_line"]

_BESIDE_WIDTH = 96  # from here a table and a plot fit beside each other
_BESIDE_HEIGHT = 7
_BELOW_HEIGHT = 13  # lower than this a plot would leave no room for the rows
_PLOT_LOW, _PLOT_HIGH = 7, 16
_PLOT_TALL = 24
_PLOT_NARROW = 36


class Emphasis(StrEnum):
    """What `v` chooses."""

    BOTH = "table and plot"
    PLOT = "plot"
    TABLE = "table"


def pane_lines(
    view: View,
    table: RowTable,
    artist: PlotArtist,
    size: tuple[int, int],
    emphasis: Emphasis = Emphasis.BOTH,
    *,
    focused: bool = True,
) -> list[Text]:
    """Everything below the title, in at most this size."""
    width, height = size
    ascii_only = table.ascii_only
    most = max(1, min(6, height // 5))
    out = sentence_lines(view.headline, width, most, ascii_only=ascii_only)
    room = height - len(out)
    if room <= 0:
        return out[:height]
    if emphasis is Emphasis.PLOT and view.plots:
        tall = min(room, _PLOT_TALL * len(view.plots))
        return out + _stack(view.plots, artist, width, tall)
    if not view.plots or emphasis is Emphasis.TABLE:
        out += table.lines(width, room, focused=focused)
    elif width >= _BESIDE_WIDTH and room >= _BESIDE_HEIGHT:
        left = max(min(table.natural_width(), width - _PLOT_NARROW - 2, width * 3 // 5), 24)
        tall = min(room, _PLOT_TALL * len(view.plots))
        plots = _stack(view.plots, artist, width - left - 2, tall)
        out += _beside(table.lines(left, room, focused=focused), left, plots, room)
    elif room >= _BELOW_HEIGHT and width >= _PLOT_NARROW:
        wanted = min(table.height, room - _PLOT_LOW)
        plot_height = min(max(_PLOT_LOW, room * 9 // 20), max(_PLOT_HIGH, room - wanted))
        plot_height = max(plot_height, min(room - wanted, _PLOT_HIGH))
        out += _padded(table.lines(width, room - plot_height, focused=focused), room - plot_height)
        out += _stack(view.plots, artist, width, plot_height)
    else:
        out += table.lines(width, room, focused=focused)
    left_over = height - len(out)
    if left_over > 1 and view.notes:
        out.append(Text(""))
        out += sentence_lines(view.notes, width, left_over - 1, ascii_only=ascii_only)
    return out[:height]


def sentence_lines(
    cells: Sequence[Cell], width: int, most: int, *, ascii_only: bool = False
) -> list[Text]:
    """Sentences, each wrapped under itself; the last line says how many did not fit."""
    out: list[Text] = []
    for index, cell in enumerate(cells):
        left = most - len(out)
        if left <= 0:
            break
        rest = len(cells) - index - 1
        # every later sentence keeps one line if there is room for it
        lines = wrap(marked(cell, ascii_only=ascii_only), width, max(1, left - min(rest, left - 1)))
        out += [line([(text, style_of(cell.tone))]) for text in lines]
        if rest and left - len(lines) <= 0:
            more = f" +{rest} more"
            kept = cut(lines[-1], width - width_of(more))
            out[-1] = line([(kept, style_of(cell.tone)), (more, BOLD)])
            break
    return out


def title_line(
    left: str, right: str, width: int, *, focused: bool, ascii_only: bool = False
) -> Text:
    """A rule with the title of a pane; the focused one is reversed and has a heavy rule."""
    if width <= 0:
        return Text("")
    rule = ("=" if focused else "-") if ascii_only else ("━" if focused else "─")
    name = cut(f" {left} ", width)
    note = cut(f" {right} ", max(0, width - width_of(name) - 3)) if right else ""
    fill = max(0, width - width_of(name) - width_of(note) - 2)
    parts: list[tuple[str, Style | None]] = [
        (name, FOCUS if focused else BOLD),
        (rule * fill, None if focused else DIM),
        (note, BOLD if focused else DIM),
        (rule * min(2, max(0, width - width_of(name))), None if focused else DIM),
    ]
    return line(parts)


def _stack(plots: Sequence[Plot], artist: PlotArtist, width: int, height: int) -> list[Text]:
    """As many plots as fit, one above the other."""
    if height < 4 or width < 12:
        return []
    count = max(1, min(len(plots), height // _PLOT_LOW))
    out: list[Text] = []
    for index in range(count):
        share = height // count + (1 if index < height % count else 0)
        out += _padded(list(artist.draw(plots[index], width, share)), share)
    return out


def _padded(lines: list[Text], height: int) -> list[Text]:
    return (lines + [Text("") for _ in range(height - len(lines))])[:height]


def _beside(left: list[Text], width: int, right: list[Text], height: int) -> list[Text]:
    out: list[Text] = []
    for one, other in zip(_padded(left, height), _padded(right, height), strict=True):
        text = one.copy()
        text.truncate(width, overflow="crop")
        text.append(fit("", width - text.cell_len + 2))
        text.append_text(other)
        out.append(text)
    return out
