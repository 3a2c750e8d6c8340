"""The screen as cells: what Textual wants shown, and the shortest bytes that get a terminal there.

`Screen` parses the frames of Textual 8.2.8. Their grammar, from `_compositor.py` and `strip.py`:
absolute cursor moves `ESC[y;xH`, styles `ESC[...m` closed by `ESC[0m`, OSC 8 links, text, and a
line feed before the move to the next line. Whatever else stands in a frame came from text, and is
left out: a frame cannot carry a command to the terminal. `changes` compares two screens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from rich.cells import cell_len, split_graphemes

__all__ = ["PLAIN", "Attr", "Row", "Screen", "blank_row", "changes"]

_TOKEN: Final = re.compile(
    r"\x1b\[(?P<y>\d+);(?P<x>\d+)H"
    r"|\x1b\[(?P<sgr>[\d;:]*)m"
    r"|\x1b\]8;(?P<link>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|(?P<lf>\n)"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
)
# Characters no terminal disagrees about; runs of them need no width lookup.
_SINGLE: Final = re.compile("[ -~\xa1-\xac\xae-\u02ff\u2500-\u259f\u2800-\u28ff]*")
_SAFE_TAIL: Final = _SINGLE.fullmatch
# SGR flags that show on a space: underline, blink, reverse, strike, double underline, overline.
_ON_SPACE: Final = frozenset({"4", "5", "6", "7", "9", "21", "53"})
_FLAGS: Final = _ON_SPACE | {"1", "2", "3", "8", "51", "52"}
# Unchanged cells up to this many are sent again rather than jumped over: `ESC[nC` is four bytes.
_REPRINT: Final = 4


class Attr(NamedTuple):
    """A cell's look: SGR flags, colours as SGR parameters, OSC 8 link, or an unparsed sequence."""

    flags: frozenset[str] = frozenset()
    fg: str = "39"
    bg: str = "49"
    link: str = ""
    opaque: str = ""

    @property
    def params(self) -> str:
        """SGR parameters that reach this look from the terminal's default."""
        colours = [c for c, default in ((self.fg, "39"), (self.bg, "49")) if c != default]
        return self.opaque or ";".join([*sorted(self.flags), *colours])


PLAIN: Final = Attr()


class Row(NamedTuple):
    """One line: a text per cell ("" right of a wide character) and its look, as equal lists."""

    text: list[str]
    attr: list[Attr]

    def copy(self) -> Row:
        """An independent copy."""
        return Row(self.text.copy(), self.attr.copy())


def blank_row(width: int) -> Row:
    """A line of `width` plain spaces."""
    return Row([" "] * width, [PLAIN] * width)


class Screen:
    """The cells Textual has asked for; `dirty` holds the lines written since it was cleared."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows = [blank_row(width) for _ in range(height)]
        self.dirty: set[int] = set(range(height))
        self.cursor = (0, 0)

    def resize(self, width: int, height: int) -> None:
        """Crop or extend with blanks; everything becomes dirty."""
        for row in self.rows:
            row.text[width:] = [" "] * max(0, width - len(row.text))
            row.attr[width:] = [PLAIN] * max(0, width - len(row.attr))
            if width and cell_len(row.text[-1]) > 1:  # its right half was cut off
                row.text[-1] = " "
        del self.rows[height:]
        self.rows.extend(blank_row(width) for _ in range(height - len(self.rows)))
        self.width, self.height = width, height
        self.dirty = set(range(height))

    def feed(self, frame: str) -> None:
        """Draw one frame; what falls outside is dropped, as no terminal would keep it either."""
        x, y = self.cursor
        attr, link, sgr = PLAIN, "", ""
        for match in _TOKEN.finditer(frame):
            kind = match.lastgroup
            if kind == "text":
                x = self._put(x, y, match["text"], attr)
            elif kind == "sgr":
                # Textual closes every style with a reset; codes without one add up.
                sgr = (
                    match["sgr"]
                    if not sgr or match["sgr"] in {"", "0"}
                    else f"{sgr};{match['sgr']}"
                )
                attr = parse_sgr(sgr, link)
            elif kind == "x":
                x, y = int(match["x"]) - 1, int(match["y"]) - 1
            elif kind == "lf":
                x, y = 0, y + 1
            else:
                link = match["link"] if match["link"].partition(";")[2] else ""
                attr = parse_sgr(sgr, link)
        self.cursor = (x, y)

    def _put(self, x: int, y: int, text: str, attr: Attr) -> int:
        """Write `text` at a cell; the column after it."""
        if _SAFE_TAIL(text):
            cells: list[str] = list(text)
        else:
            spans, _ = split_graphemes(text)
            cells = []
            for start, end, size in spans:
                if size:
                    cells += [text[start:end], *[""] * (size - 1)]
        after = x + len(cells)
        if 0 <= y < self.height and x < self.width:
            if after > self.width:
                split = cells[self.width - x] == ""
                del cells[self.width - x :]
                if split:
                    cells[-1] = " "
            row, end = self.rows[y], x + len(cells)
            # Half of an overwritten wide character becomes a blank, as on a terminal.
            if row.text[x] == "" and x:
                row.text[x - 1] = " "
            if end < self.width and row.text[end] == "":
                row.text[end] = " "
            row.text[x:end] = cells
            row.attr[x:end] = [attr] * len(cells)
            self.dirty.add(y)
        return after


@lru_cache(maxsize=4096)
def parse_sgr(params: str, link: str = "") -> Attr:
    """The look an SGR sequence leads to from the default; equal looks are equal values."""
    flags: set[str] = set()
    fg, bg = "39", "49"
    codes = iter(params.split(";"))
    for code in codes:
        if code in {"", "0"}:
            flags.clear()
            fg, bg = "39", "49"
        elif code in _FLAGS:
            flags.add(code)
        elif code in {"38", "48"}:
            mode = next(codes, "")
            colour = ";".join(
                [code, mode, *(next(codes, "0") for _ in range(3 if mode == "2" else 1))]
            )
            fg, bg = (colour, bg) if code == "38" else (fg, colour)
        elif code.isdigit() and (30 <= int(code) <= 39 or 90 <= int(code) <= 97):
            fg = code
        elif code.isdigit() and (40 <= int(code) <= 49 or 100 <= int(code) <= 107):
            bg = code
        else:  # curly underlines and the like: kept whole, compared as text
            return Attr(link=link, opaque=params)
    return Attr(frozenset(flags), fg, bg, link)


@lru_cache(maxsize=8192)
def _transition(old: Attr, new: Attr) -> str:
    """The shortest sequence from one look to another."""
    link = "" if old.link == new.link else f"\x1b]8;{new.link or ';'}\x1b\\"
    if old[:3] == new[:3] and old.opaque == new.opaque:
        return link
    params = new.params
    fresh = f"\x1b[0;{params}m" if params and old.params else f"\x1b[{params}m"
    if old.opaque or new.opaque or not old.flags <= new.flags:
        return fresh + link
    added = [*sorted(new.flags - old.flags)]
    added += [b for a, b in ((old.fg, new.fg), (old.bg, new.bg)) if a != b]
    return min(f"\x1b[{';'.join(added)}m", fresh, key=len) + link


@lru_cache(maxsize=8192)
def _on_space(state: Attr, attr: Attr) -> Attr:
    """The look to use for a space: the current one where the difference would not show."""
    if state.opaque or attr.opaque or (state.flags | attr.flags) & _ON_SPACE:
        return attr
    return attr if state.link != attr.link else state._replace(bg=attr.bg)


class _Pen:
    """Collects output and knows where the terminal's cursor is and how it writes."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.state = PLAIN
        self.at: tuple[int, int] | None = None

    def move(self, x: int, y: int) -> None:
        """Go to a cell by the shorter of an absolute and a relative move."""
        if self.at == (x, y):
            return
        best = f"\x1b[{y + 1}H" if x == 0 else f"\x1b[{y + 1};{x + 1}H"
        if self.at is not None:
            ax, ay = self.at
            if y == ay and x > ax:
                best = "\x1b[C" if x == ax + 1 else f"\x1b[{x - ax}C"
            elif y == ay + 1 and x == 0:
                best = "\r\n"
        self.out.append(best)
        self.at = (x, y)

    def put(self, text: str, attr: Attr, cells: int, width: int) -> None:
        """Write the text of one cell or of one wide character."""
        look = _on_space(self.state, attr) if text == " " else attr
        if look is not self.state:
            self.out.append(_transition(self.state, look))
            self.state = look
        self.out.append(text)
        x, y = self.at or (0, 0)
        # At the last column, and after text whose width terminals disagree on, nobody knows.
        known = x + cells < width and _SAFE_TAIL(text) is not None
        self.at = (x + cells, y) if known else None


def changes(shown: Sequence[Row], wanted: dict[int, Row], cursor: tuple[int, int] | None) -> str:
    """Bytes (as text) that turn the lines `shown` into `wanted`; "" if nothing differs.

    `wanted` maps line numbers to lines of the same width as those shown. The cursor is left at
    `cursor` (column, line) and the look at the default, which is also what is assumed before.
    """
    pen = _Pen()
    for y, row in sorted(wanted.items()):
        old = shown[y]
        if old.text == row.text and old.attr == row.attr:
            continue
        width = len(row.text)
        tail = _blank_tail(row)
        if not any(not _same(old, row, x) for x in range(tail, width)) or width - tail < _REPRINT:
            tail = width
        _line(pen, y, old, row, tail)
        if tail < width:
            pen.move(tail, y)
            if pen.state.params:
                pen.out.append("\x1b[m")
            pen.state = PLAIN
            pen.out.append("\x1b[K")
    if not pen.out:
        return ""
    pen.out.append(_transition(pen.state, PLAIN))
    if cursor is not None:
        pen.move(*cursor)
    return "".join(pen.out)


def _line(pen: _Pen, y: int, old: Row, row: Row, end: int) -> None:
    """Send the cells of one line, left of `end`, that differ."""
    width = len(row.text)
    x = 0
    while x < end:
        if row.text[x] == "" or _same(old, row, x):
            x += 1
            continue
        if pen.at is not None and pen.at[1] == y and 0 < x - pen.at[0] <= _REPRINT:
            _bridge(pen, row, x, width)
        pen.move(x, y)
        size = 1
        while x + size < width and row.text[x + size] == "":
            size += 1
        pen.put(row.text[x], row.attr[x], size, width)
        x += size


def _bridge(pen: _Pen, row: Row, x: int, width: int) -> None:
    """Send the unchanged cells before `x` again if that needs no new look and no odd character."""
    start, y = pen.at or (x, 0)
    for cell in range(start, x):
        text, attr = row.text[cell], row.attr[cell]
        look = _on_space(pen.state, attr) if text == " " else attr
        if look != pen.state or not text or not _SAFE_TAIL(text):
            return
    for cell in range(start, x):
        pen.put(row.text[cell], row.attr[cell], 1, width)
    pen.at = (x, y)


def _same(old: Row, row: Row, x: int) -> bool:
    """Whether a cell looks the same in both lines, all cells of a wide character together."""
    text = row.text[x]
    if old.text[x] != text:
        return False
    end = x + 1
    while end < len(row.text) and row.text[end] == "":
        if old.text[end] != "":
            return False
        end += 1
    if end < len(old.text) and old.text[end] == "":
        return False
    a, b = old.attr[x], row.attr[x]
    return a is b or a == b or (text == " " and _on_space(a, b) == a)


def _blank_tail(row: Row) -> int:
    """The column from which the line holds only spaces on the default background.

    Only these may be erased: what a coloured erase leaves differs between terminals (`screen`).
    """
    x = len(row.text)
    while x and row.text[x - 1] == " " and _on_space(PLAIN, row.attr[x - 1]) == PLAIN:
        x -= 1
    return x
