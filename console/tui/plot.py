"""The one way from a plot of a view to lines of text.

`draw` never raises on data: what cannot be drawn becomes a short dim sentence. Series differ in
colour and in their letter (or, in ASCII, in the character they are drawn with), so a plot can be
read without colour. Lines are rasterised by plotext (see `plot_canvas`); everything else is put
into cells here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from console.tui.plot_bars import bars
from console.tui.plot_canvas import SUBCELLS, Canvas, Charset, label, legend, raster, sentence
from console.tui.plot_safe import (
    Bucket,
    buckets,
    finite,
    number_label,
    number_ticks,
    points,
    stamp,
    time_ticks,
    value_range,
)
from console.tui.tones import style
from console.views.model import Bars, Line, Series, TimePlot, Tone

__all__ = ["Charset", "draw"]

# The looks of further series of a tone already taken; ANSI names, no blue.
_MORE: Final = tuple(Style(color=c) for c in ("magenta", "yellow", "green", "red", "white", "cyan"))
_PENS: Final = "*+oxABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIM: Final = style(Tone.DIM)
_LETTER_EVERY: Final = 24  # cells between the letters on a line

# Rule, mark, axis, axis tick, corner, foot, foot tick, lone point
_SIGNS: Final = {
    Charset.BRAILLE: ("╌", "┊", "│", "┤", "└", "─", "┴", "•"),
    Charset.BLOCKS: ("╌", "┊", "│", "┤", "└", "─", "┴", "▪"),
    Charset.ASCII: ("-", ":", "|", "+", "+", "-", "+", ""),
}


class _Area(NamedTuple):
    """Where the values are drawn: cells, and the values at its edges."""

    x: int
    y: int
    width: int
    height: int
    start: float
    end: float
    low: float
    high: float
    charset: Charset

    def dot(self, value: float) -> int:
        """The dot row of a value, from the lower edge; off the axis it is beyond the area."""
        rows = self.height * SUBCELLS[self.charset][1]
        share = (value - self.low) / (self.high - self.low)
        return -1 if share < 0 else rows if share > 1 else round(share * (rows - 1))

    def row(self, value: float) -> int:
        """The cell row of a value, clipped to the area."""
        down = SUBCELLS[self.charset][1]
        dot = min(max(self.dot(value), 0), self.height * down - 1)
        return self.y + self.height - 1 - dot // down

    def column(self, moment: float) -> int:
        """The cell column of a time inside the window."""
        share = (moment - self.start) / (self.end - self.start)
        return self.x + min(self.width - 1, int(share * self.width))


def draw(
    plot: TimePlot | Bars,
    width: int,
    height: int,
    *,
    charset: Charset = Charset.BRAILLE,
    now_zone: tzinfo = UTC,
) -> tuple[Text, ...]:
    """A plot as exactly `height` lines of exactly `width` cells; times are shown in `now_zone`."""
    if width < 1 or height < 1:
        return tuple(Text(no_wrap=True, end="") for _ in range(height))
    if isinstance(plot, Bars):
        return bars(plot, width, height, charset)
    return _time_plot(plot, width, height, charset, now_zone)


def _time_plot(
    plot: TimePlot, width: int, height: int, charset: Charset, zone: tzinfo
) -> tuple[Text, ...]:
    start, end = stamp(plot.start), stamp(plot.end)
    if end <= start:
        return sentence(f"{plot.title}: the window is empty", width, height, charset)
    data = [points(series) for series in plot.series]
    columns = width * SUBCELLS[charset][0]
    coarse = [buckets(one, start, end, columns) for one in data]
    if not any(coarse):
        return sentence(f"{plot.title}: no data in this window", width, height, charset)
    if width < 20 or height < 4:
        return sentence(_latest(plot, coarse), width, height, charset)

    canvas = Canvas(width, height)
    looks = _looks(plot.series)
    many = len(plot.series) > 1
    pens = _PENS if charset is Charset.ASCII else _LETTERS if many else ""
    names = [
        (pens[i % len(pens)] if pens else "", s.name, looks[i]) for i, s in enumerate(plot.series)
    ]
    right = _right_gutter(plot, width)
    if not right:
        names += [(_SIGNS[charset][0], line.name, style(line.tone)) for line in plot.lines]
    legend(canvas, plot.title, names, charset)

    foot = 2 if height >= 8 else 1
    rows = height - 1 - foot
    # The range needs buckets, their number the gutter's width, the gutter the range: buckets of
    # the full width have the same extremes.
    low, high = value_range(plot, coarse)
    ticks, step = number_ticks(low, high, max(2, min(6, rows // 3 + 1)))
    labels = [number_label(tick, step, percent=plot.percent) for tick in ticks]
    gutter = min(max((plot.gutters[0], *map(len, labels))), width // 3)
    area = _Area(gutter + 1, 1, width - gutter - 1 - right, rows, start, end, low, high, charset)
    _axis_y(canvas, area, ticks, labels)
    _axis_x(canvas, area, plot, zone, foot)

    columns = area.width * SUBCELLS[charset][0]
    found = [buckets(one, start, end, columns) for one in data]
    for series in reversed(found):
        _band(canvas, area, series)
    _rules(canvas, area, plot.lines, right)
    _marks(canvas, area, plot)
    signs = [sign for sign, _, _ in names]
    _all_series(canvas, area, found, looks, signs)
    _mark_names(canvas, area, plot)
    return canvas.lines()


def _all_series(
    canvas: Canvas,
    area: _Area,
    found: Sequence[Sequence[Bucket]],
    looks: Sequence[Style],
    signs: Sequence[str],
) -> None:
    """Every line, the first series on top, and the letters that tell them apart."""
    dots: dict[tuple[int, int], int] = {}
    for series, look, sign in reversed(list(zip(found, looks, signs, strict=False))):
        drawn = _series(canvas, area, series, look, sign)
        if area.charset is Charset.BRAILLE:  # crossing lines share a cell
            for (x, y), char in drawn.items():
                dots[x, y] = dots.get((x, y), 0) | (ord(char) - 0x2800)
                canvas.put(x, y, chr(0x2800 + dots[x, y]), look)
    if len(found) > 1 and area.charset is not Charset.ASCII:
        for index, series in enumerate(found):
            offset = index * _LETTER_EVERY // len(found) + 1
            _letters(canvas, area, series, letter=signs[index], look=looks[index], offset=offset)


def _looks(series: Sequence[Series]) -> list[Style]:
    """A look per series: its tone's, or another one where the tone is taken."""
    looks: list[Style] = []
    spare = [look for look in _MORE if look.color not in {style(s.tone).color for s in series}]
    for one in series:
        look = style(one.tone)
        if look in looks:
            look = spare.pop(0) if spare else look
        looks.append(look)
    return looks


def _latest(plot: TimePlot, found: Sequence[Sequence[Bucket]]) -> str:
    """The newest value of each series in words, where there is no room to draw."""
    parts = []
    for series, values in zip(plot.series, found, strict=True):
        if values:
            value = values[-1].values[-1]
            shown = f"{value:.1%}" if plot.percent and abs(value) < 1e4 else f"{value:.3g}"
            parts.append(f"{series.name} {shown}" if len(found) > 1 else shown)
    return f"{plot.title} {', '.join(parts)}"


def _axis_y(canvas: Canvas, area: _Area, ticks: list[float], labels: list[str]) -> None:
    """The vertical axis with its labels; of two on one row the first stays."""
    axis, tick_sign = _SIGNS[area.charset][2:4]
    for y in range(area.y, area.y + area.height):
        canvas.put(area.x - 1, y, axis, _DIM)
    taken: set[int] = set()
    for tick, text in zip(ticks, labels, strict=True):
        y = area.row(tick)
        if y not in taken:
            taken.add(y)
            canvas.put(area.x - 1, y, tick_sign, _DIM)
            canvas.put(max(0, area.x - 1 - len(text)), y, text[: area.x - 1], _DIM)


def _axis_x(canvas: Canvas, area: _Area, plot: TimePlot, zone: tzinfo, foot: int) -> None:
    """The horizontal axis: round times, the date at the left if hours are shown, the zone."""
    corner, line, tick_sign = _SIGNS[area.charset][4:7]
    bottom = canvas.height - 1
    if foot == 2:
        canvas.put(area.x - 1, bottom - 1, corner + line * area.width, _DIM)
    with suppress(OverflowError, ValueError):  # the end of the calendar
        name = label(_aware(plot.end).astimezone(zone).tzname() or "", 9, area.charset)
        if canvas.width >= 36:
            canvas.put(canvas.width - len(name), bottom, name, _DIM)
    ticks = time_ticks(_aware(plot.start), _aware(plot.end), zone, area.width)
    for moment, text in ticks:
        column = area.column(stamp(moment))
        x = max(0, min(canvas.width - len(text), column - len(text) // 2))
        room = min(len(text) + 2, canvas.width - x + 1)
        if canvas.free(max(0, x - 1), bottom, room if x else len(text) + 1):
            canvas.put(x, bottom, text, _DIM)
            if foot == 2:
                canvas.put(column, bottom - 1, tick_sign, _DIM)


def _aware(moment: datetime) -> datetime:
    """A naive time counts as UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _right_gutter(plot: TimePlot, width: int) -> int:
    """Cells kept at the right edge for the names of lines; none where that would hurt the plot."""
    if width < 50:
        return 0
    names = max((cell_len(line.name) + 3 for line in plot.lines), default=0)
    return min(max(names, plot.gutters[1]), width // 5)


def _rules(canvas: Canvas, area: _Area, lines: Sequence[Line], right: int) -> None:
    """Horizontal lines, named at the right edge; one off the axis is named with an arrow."""
    named: set[int] = set()
    for line in lines:
        y = finite(line.y)
        if y is None:
            continue
        row, text = area.row(y), line.name
        if area.low <= y <= area.high:
            canvas.put(area.x, row, _SIGNS[area.charset][0] * area.width, style(line.tone))
        else:
            up = y > area.high
            arrow = ("^" if up else "v") if area.charset is Charset.ASCII else "↑" if up else "↓"
            text = f"{arrow} {text}"
        rows = range(area.y, area.y + area.height)
        free = [r for r in sorted(rows, key=lambda r: abs(r - row)) if r not in named]
        if right and free:
            named.add(free[0])
            name = label(text, right - 1, area.charset)
            canvas.put(area.x + area.width + 1, free[0], name, style(line.tone))


def _marks(canvas: Canvas, area: _Area, plot: TimePlot) -> None:
    """Vertical lines at moments inside the window."""
    for mark in plot.marks:
        if area.start <= stamp(mark.x) <= area.end:
            for y in range(area.y, area.y + area.height):
                canvas.put(area.column(stamp(mark.x)), y, _SIGNS[area.charset][1], style(mark.tone))


def _mark_names(canvas: Canvas, area: _Area, plot: TimePlot) -> None:
    """Each mark's name beside its line, where it covers nothing."""
    for mark in plot.marks:
        if area.start <= stamp(mark.x) <= area.end:
            column = area.column(stamp(mark.x))
            text = label(mark.name, max(10, area.width // 4), area.charset)
            size = cell_len(text)
            rows = range(area.y, area.y + area.height)
            places = (
                (x, y)
                for y in (rows[0], rows[-1], *rows)
                for x in (column + 1, column - size)
                if area.x <= x and x + size <= area.x + area.width
            )
            spot = next((place for place in places if canvas.free(*place, size)), None)
            if spot is not None:
                canvas.put(*spot, text, style(mark.tone))


def _band(canvas: Canvas, area: _Area, series: Sequence[Bucket]) -> None:
    """The interval as a dim area behind the line; between columns its edges run straight."""
    edges: dict[int, tuple[float, float]] = {}
    last: tuple[int, float, float] | None = None
    for bucket in series:
        if bucket.low is None or bucket.high is None:
            last = None
            continue
        x0, low0, high0 = (
            last if last and bucket.joined else (bucket.column, bucket.low, bucket.high)
        )
        for x in range(x0, bucket.column + 1):
            share = (x - x0) / (bucket.column - x0) if bucket.column > x0 else 1.0
            edges[x] = (
                low0 + (bucket.low - low0) * share,
                high0 + (bucket.high - high0) * share,
            )
        last = (bucket.column, bucket.low, bucket.high)
    across, down = SUBCELLS[area.charset]
    rows = area.height * down
    cells: dict[tuple[int, int], int] = {}
    for x, (low, high) in edges.items():
        for dot in range(max(0, area.dot(low)), min(rows - 1, area.dot(high)) + 1):
            y = rows - 1 - dot
            # Every fourth dot: visible, and no match for the line itself.
            bit = _braille_bit(x % 2, y % 4) if (2 * x + y) % 4 == 0 else 0
            key = (x // across, y // down)
            cells[key] = cells.get(key, 0) | bit
    for (x, y), bits in cells.items():
        if area.charset is Charset.BRAILLE:
            sign = chr(0x2800 + bits) if bits else " "
        else:
            sign = "░" if area.charset is Charset.BLOCKS else "."
        canvas.put(area.x + x, area.y + y, sign, _DIM)


def _braille_bit(x: int, y: int) -> int:
    """The bit of a dot in a braille character, from its upper left."""
    return (0x01, 0x02, 0x04, 0x40)[y] if x == 0 else (0x08, 0x10, 0x20, 0x80)[y]


def _series(
    canvas: Canvas, area: _Area, series: Sequence[Bucket], look: Style, pen: str
) -> dict[tuple[int, int], str]:
    """Draw the line of one series, and return the characters of it by cell.

    A point without neighbours gets a sign that can be seen.
    """
    rows = area.height * SUBCELLS[area.charset][1]
    paths: list[list[tuple[int, int]]] = []
    for bucket in series:
        if not bucket.joined or not paths:
            paths.append([])
        dots = [(bucket.column, max(0, min(rows - 1, area.dot(v)))) for v in bucket.values]
        paths[-1] += dots
    drawn = raster(paths, area.width, area.height, area.charset, pen or "*")
    cells = {
        (area.x + x, area.y + y): char
        for y, line in enumerate(drawn)
        for x, char in enumerate(line)
        if char != " "
    }
    for (x, y), char in cells.items():
        canvas.put(x, y, char, look)
    across, down = SUBCELLS[area.charset]
    for path in paths:
        if len(set(path)) == 1 and area.charset is not Charset.ASCII:
            x, dot = path[0]
            spot = (area.x + x // across, area.y + (rows - 1 - dot) // down)
            canvas.put(*spot, _SIGNS[area.charset][7], look)
            cells.pop(spot, None)
    return cells


def _letters(
    canvas: Canvas, area: _Area, series: Sequence[Bucket], *, letter: str, look: Style, offset: int
) -> None:
    """The letter of a series on its line, every so many cells, at other places than the others'."""
    across = SUBCELLS[area.charset][0]
    bold = look + Style(bold=True)
    next_x = offset
    for bucket in series:
        x = bucket.column // across
        if x >= next_x:
            canvas.put(area.x + x, area.row(bucket.values[-1]), letter, bold)
            next_x = x + _LETTER_EVERY - (x - offset) % _LETTER_EVERY
    if series:
        last = series[-1]
        canvas.put(area.x + last.column // across, area.row(last.values[-1]), letter, bold)
