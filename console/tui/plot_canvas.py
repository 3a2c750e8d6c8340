"""Cells to draw on, and plotext as the one that draws lines into them.

plotext 6.1 is used for the rasters of lines only (braille, quadrants, characters): they are exact
when limits and points are whole dots, and 100x15 cells take about 3 ms. Its axes, legend and bars
are not used: its dates need strings, its bars know no part of a cell and no second look, its
labels overlap when narrow, and colours come as escape sequences that would have to be parsed back.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from rich.cells import cell_len, get_character_cell_size, set_cell_size
from rich.style import Style
from rich.text import Text

from collectors.text import clean
from console.tui.tones import style
from console.views.model import Tone

__all__ = ["SUBCELLS", "Canvas", "Charset", "label", "legend", "raster", "sentence"]


class Charset(StrEnum):
    """What the font can show."""

    BRAILLE = "braille"
    BLOCKS = "blocks"
    ASCII = "ascii"


# Dots across and down in one cell.
SUBCELLS: Final = {Charset.BRAILLE: (2, 4), Charset.BLOCKS: (2, 2), Charset.ASCII: (1, 1)}
_MARKERS: Final = {Charset.BRAILLE: "braille", Charset.BLOCKS: "hd"}
# plotext draws into one figure per process.
_FIGURE: Final = threading.Lock()


def label(text: str, cells: int, charset: Charset) -> str:
    """A cleaned text of at most `cells` cells, cut with an ellipsis."""
    text = clean(text, 200)
    if charset is Charset.ASCII:
        text = text.replace("…", "~").encode("ascii", "replace").decode()
    if cell_len(text) <= cells:
        return text
    dots = "~" if charset is Charset.ASCII else "…"
    return set_cell_size(text, cells - 1).rstrip() + dots if cells > 1 else dots * max(0, cells)


class Canvas:
    """A grid of styled characters; drawing outside is ignored."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._text = [[" "] * width for _ in range(height)]
        self._style = [[Style.null()] * width for _ in range(height)]

    def put(self, x: int, y: int, text: str, style: Style) -> None:
        """Write text rightwards from a cell; a wide character takes two or is left out."""
        if not 0 <= y < self.height:
            return
        row, styles = self._text[y], self._style[y]
        for char in text:
            size = get_character_cell_size(char)
            if not size:
                if 0 < x <= self.width and row[x - 1]:
                    row[x - 1] += char
                continue
            if x >= 0 and x + size <= self.width:
                if not row[x]:
                    row[x - 1] = " "
                if x + size < self.width and not row[x + size]:
                    row[x + size] = " "
                row[x : x + size] = [char, *[""] * (size - 1)]
                styles[x : x + size] = [style] * size
            x += size

    def free(self, x: int, y: int, cells: int) -> bool:
        """Whether that stretch lies inside and is blank."""
        inside = 0 <= y < self.height and x >= 0 and x + cells <= self.width
        return inside and all(char == " " for char in self._text[y][x : x + cells])

    def lines(self) -> tuple[Text, ...]:
        """One text per row, each exactly as wide as the canvas."""
        result = []
        for row, styles in zip(self._text, self._style, strict=True):
            line = Text(no_wrap=True, end="")
            start = 0
            for x in range(1, self.width + 1):
                if x == self.width or styles[x] != styles[start]:
                    line.append("".join(row[start:x]), styles[start])
                    start = x
            result.append(line)
        return tuple(result)


def raster(
    paths: Sequence[Sequence[tuple[int, int]]],
    width: int,
    height: int,
    charset: Charset,
    pen: str = "*",
) -> list[str]:
    """Connected dots as `height` lines of `width` characters, blank where nothing was drawn.

    Dots count from the lower left, (0, 0), in the resolution of `SUBCELLS`; `pen` is the character
    for ASCII. Dots are clamped to the canvas: plotext aborts the process on far ones.
    """
    # Not at the top: importing it takes 100-130 ms, and the first paint can do without.
    from plotext import figure, terminal  # type: ignore[import-untyped]  # noqa: PLC0415

    across, down = SUBCELLS[charset]
    columns, rows = width * across, height * down
    xs: list[float] = []
    ys: list[float] = []
    starts = []
    for path in paths:
        starts.append(len(xs))
        xs.extend(max(0, min(columns - 1, x)) + 0.5 for x, _ in path)
        ys.extend(max(0, min(rows - 1, y)) + 0.5 for _, y in path)
    if not xs or width < 1 or height < 1:
        return [" " * width] * height
    with _FIGURE:
        terminal.limit(False, False)  # the canvas is a part of the screen, not the terminal
        figure.clear()
        figure.plot_size(width, height)
        figure.axes(False)
        for axis, size in (("x", columns), ("y", rows)):
            figure.ruler(axis).ticks([])
            figure.ruler(axis).lim(0, size)
            figure.ruler(axis).alignment(lim="edge")
        signal = figure.signal(xs, ys, marker=_MARKERS.get(charset, pen)).lines(True)
        for start in starts:
            signal.line(start, False)
        figure.draw(signal)
        text: str = figure.build().string(colorless=True)
        figure.clear()
    lines = text.replace("\u2800", " ").split("\n")[:height]
    return [line.ljust(width)[:width] for line in lines] + [" " * width] * (height - len(lines))


def sentence(text: str, width: int, height: int, charset: Charset) -> tuple[Text, ...]:
    """A short dim sentence in place of a plot."""
    canvas = Canvas(width, height)
    canvas.put(0, (height - 1) // 2, label(text, width, charset), style(Tone.DIM))
    return canvas.lines()


def legend(
    canvas: Canvas, title: str, names: Sequence[tuple[str, str, Style]], charset: Charset
) -> None:
    """Title, then sign and name of each series, on the first line; what does not fit is counted."""
    title = label(title, canvas.width if not names else max(8, canvas.width // 2), charset)
    canvas.put(0, 0, title, Style(bold=True))
    x = cell_len(title) + 2
    shown = [(f"{sign} " if sign else "", name, look) for sign, name, look in names if sign or name]
    for index, (sign, name, look) in enumerate(shown):
        left = len(shown) - index
        room = (canvas.width - x - (4 if left > 1 else 0)) // min(left, 4)
        room = max(room - 2 if left > 1 else room, min(12, canvas.width - x - 4))
        text = sign + label(name, room - len(sign), charset)
        cut = cell_len(text) < cell_len(sign) + min(3, cell_len(label(name, 99, charset)))
        if cut or x + cell_len(text) > canvas.width:
            canvas.put(x, 0, label(f"+{left}", canvas.width - x, charset), style(Tone.DIM))
            break
        canvas.put(x, 0, text, look)
        x += cell_len(text) + 2
