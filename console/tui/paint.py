"""Styles of the frame around the data; what a tone looks like is in `tones`."""

from __future__ import annotations

from rich.style import Style

from console.tui.tones import glyph
from console.tui.tones import style as style_of
from console.views.model import Cell, Tone

__all__ = ["BOLD", "CURSOR", "DIM", "FOCUS", "KEY", "PLAIN", "figure_style", "marked", "style_of"]

PLAIN = Style.null()
BOLD = Style(bold=True)
DIM = Style(dim=True)
KEY = Style(bold=True)
FOCUS = Style(reverse=True, bold=True)
CURSOR = Style(reverse=True)

_FIGURE = Style(bold=True, underline=True)

_STATES = frozenset({Tone.GOOD, Tone.WARN, Tone.BAD, Tone.UNKNOWN})


def marked(cell: Cell, *, ascii_only: bool = False) -> str:
    """The text of a cell after the glyph of its state, so that colour is never the only sign."""
    if cell.tone in _STATES and cell.text:
        return f"{glyph(cell.tone, ascii_only=ascii_only)} {cell.text}"
    return cell.text


def figure_style(tone: Style) -> Style:
    """The cell under the cursor: a gap in the reversed bar, so that it shows without colour."""
    return tone + _FIGURE
