"""Distributions over the same bins, side by side: reference beside current.

Drawn here and not by plotext: its bars are whole cells of one look, so two distributions would
differ by colour only and small differences would vanish. Here groups differ in texture, and a cell
has four (braille) or eight (block) levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from console.tui.plot_canvas import Canvas, Charset, label, legend, sentence
from console.tui.plot_safe import finite, number_label, number_ticks
from console.tui.tones import style
from console.views.model import Bars, Tone

__all__ = ["bars"]

# Textures by group: the levels of one cell, lowest first, full last; the groups take turns.
_EIGHTHS: Final = "▁▂▃▄▅▆▇█"
_TEXTURES: Final = {
    Charset.BRAILLE: ("⣀⣤⣶⣿", _EIGHTHS),
    Charset.BLOCKS: ("▒", _EIGHTHS),
    Charset.ASCII: (".:", ",#"),
}
_GUTTER: Final = 5  # cells for a label such as 12.5%
_DIM: Final = style(Tone.DIM)


def bars(plot: Bars, width: int, height: int, charset: Charset) -> tuple[Text, ...]:
    """The bars as exactly `height` lines of `width` cells; more bins than cells are added up."""
    n = len(plot.labels)
    groups = [
        (name, [finite(v) for v in (*values, *([None] * n))[:n]], tone)
        for name, values, tone in plot.groups
    ]
    if not any(value is not None for _, values, _ in groups for value in values):
        return sentence(f"{plot.title}: no data in this window", width, height, charset)
    if width < 12 or height < 4:
        return sentence(f"{plot.title}: no room to draw", width, height, charset)

    canvas = Canvas(width, height)
    textures = _TEXTURES[charset]
    # A single distribution is the current one, and drawn solid.
    levels = [textures[(i + (len(groups) == 1)) % len(textures)] for i in range(len(groups))]
    looks = [style(tone) for _, _, tone in groups]
    names = [(levels[i][-1], groups[i][0], looks[i]) for i in range(len(groups))]
    legend(canvas, plot.title, names, charset)

    rows = height - 2
    gutter = min(_GUTTER, width // 3)
    labels, columns = _merged(plot.labels, [values for _, values, _ in groups], width - gutter - 1)
    top = max((v for values in columns for v in values if v is not None), default=0.0) or 1.0
    _axis(canvas, gutter, rows, top, charset)

    slot = (width - gutter - 1) // len(labels)
    each = len(groups)
    # With less than a column for each, the last group is drawn as bars, the others as outlines.
    thick = (slot - (slot > each)) // each
    for index, values in enumerate(columns):
        outlined = thick == 0 and index < each - 1
        for bin_, value in enumerate(values):
            left = gutter + 1 + bin_ * slot + index * thick
            for x in range(left, left + max(1, thick)):
                if not outlined:
                    _bar(canvas, (x, rows), value, top, levels=levels[index], look=looks[index])
    outline = "=" if charset is Charset.ASCII else "━"
    for index in range(each - 1 if thick == 0 else 0):
        for bin_, value in enumerate(columns[index]):
            if value:
                canvas.put(gutter + 1 + bin_ * slot, _row(value, top, rows), outline, looks[index])
    _bin_names(canvas, labels, gutter + 1, slot, charset)
    return canvas.lines()


def _row(value: float, top: float, rows: int) -> int:
    """The row that holds the upper edge of a bar."""
    return rows - min(rows - 1, max(0, int(value / top * rows - 1e-9)))


def _axis(canvas: Canvas, gutter: int, rows: int, top: float, charset: Charset) -> None:
    """The vertical axis in percent; of two labels on one row the first stays."""
    ticks, step = number_ticks(0.0, top, max(2, min(5, rows // 2)))
    bar, mark = ("|", "+") if charset is Charset.ASCII else ("│", "┤")
    for y in range(1, rows + 1):
        canvas.put(gutter, y, bar, _DIM)
    taken: set[int] = set()
    for tick in ticks:
        y, text = _row(tick, top, rows), number_label(tick, step, percent=True)
        if y not in taken and len(text) <= gutter:
            taken.add(y)
            canvas.put(gutter - len(text), y, text, _DIM)
            canvas.put(gutter, y, mark, _DIM)


def _merged(
    labels: Sequence[str], groups: Sequence[Sequence[float | None]], room: int
) -> tuple[list[str], list[list[float | None]]]:
    """The bins, or where they exceed the cells, the sums of equally many neighbours."""
    step = -(-len(labels) // max(1, room))
    starts = range(0, len(labels), step)
    columns: list[list[float | None]] = []
    for values in groups:
        sums: list[float | None] = []
        for start in starts:
            known = [min(max(v, 0.0), 1e200) for v in values[start : start + step] if v is not None]
            sums.append(sum(known) if known else None)
        columns.append(sums)
    return [labels[start] for start in starts], columns


def _bar(
    canvas: Canvas,
    foot: tuple[int, int],
    value: float | None,
    top: float,
    *,
    levels: str,
    look: Style,
) -> None:
    """One column of a bar, upwards from its foot; an unknown share is a question mark."""
    x, rows = foot
    if value is None:
        canvas.put(x, rows, "?", _DIM)
        return
    filled = round(value / top * rows * len(levels))
    if value > 0:
        filled = max(1, filled)  # a rare bin is still there
    for row in range(rows):
        level = min(len(levels), filled - row * len(levels))
        if level > 0:
            canvas.put(x, rows - row, levels[level - 1], look)


def _bin_names(
    canvas: Canvas, labels: Sequence[str], left: int, slot: int, charset: Charset
) -> None:
    """Every k-th label under its bars, the smallest k that leaves it readable."""
    widest = max(cell_len(label(text, 99, charset)) for text in labels)
    every = 1
    while every < len(labels) and slot * every - 1 < min(widest, 10):
        every += 1
    for index in range(0, len(labels), every):
        x = left + index * slot
        text = label(labels[index], min(max(1, slot * every - 1), canvas.width - x), charset)
        if every == 1:
            x += max(0, (slot - 1 - cell_len(text)) // 2)
        canvas.put(x, canvas.height - 1, text, _DIM)
