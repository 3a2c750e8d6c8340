"""Fitting text into terminal cells: cut, pad, wrap. Widths are in cells, not characters."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

from console.tui.safe import safe

__all__ = ["cut", "fit", "line", "width_of", "wrap"]

_LONGEST = 4000  # characters looked at; no screen is wider


def width_of(text: str) -> int:
    """Cells a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """At most `width` cells; a cut text ends in the ellipsis."""
    text = safe(text[:_LONGEST])
    if width <= 0:
        return ""
    if width_of(text) <= width:
        return text
    if width <= len(ellipsis):
        return ellipsis[:width]
    return set_cell_size(text, width - len(ellipsis)).rstrip() + ellipsis


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """Exactly `width` cells: cut or padded."""
    text = cut(text, width, ellipsis)
    pad = " " * max(0, width - width_of(text))
    return pad + text if right else text + pad


def wrap(text: str, width: int, most: int, ellipsis: str = "…") -> list[str]:
    """At most `most` lines, broken between words; what is left over ends in the ellipsis."""
    if width <= 0 or most <= 0:
        return []
    lines: list[str] = []
    rest = safe(text[:_LONGEST]).strip()
    while rest and len(lines) < most - 1 and width_of(rest) > width:
        head = set_cell_size(rest, width)
        space = head.rfind(" ")
        if space > width // 3 and not rest[len(head) : len(head) + 1].isspace():
            head = head[:space]
        lines.append(head.rstrip())
        rest = rest[len(head) :].lstrip()
    if rest or not lines:
        lines.append(cut(rest, width, ellipsis))
    return lines


def line(parts: Iterable[tuple[str, Style | None]]) -> Text:
    """A line from styled parts; styles are spans, so two lines compare by how they look."""
    text = Text(no_wrap=True, end="")
    for part, style in parts:
        if part:
            text.append(safe(part), style)
    return text
