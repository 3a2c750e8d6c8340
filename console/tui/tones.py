"""How a tone looks: a style and a glyph each, so that no meaning rests on colour alone.

Only names of the 16 ANSI colours are used: the terminal's own palette decides the shade, so they
suit light and dark backgrounds alike, and NO_COLOR leaves the attributes and the glyphs. No blue:
it is unreadable on black. Plain colours rather than bright ones, which vanish on white.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from rich.style import Style

from console.views.model import Tone

__all__ = ["glyph", "style"]

_STYLES: Final = MappingProxyType(
    {
        Tone.PLAIN: Style(),
        Tone.DIM: Style(dim=True),
        Tone.GOOD: Style(color="green"),
        Tone.WARN: Style(color="yellow", bold=True),
        Tone.BAD: Style(color="red", bold=True),
        Tone.UNKNOWN: Style(color="magenta"),
        Tone.ACCENT: Style(color="cyan", bold=True),
    }
)
# Unicode and ASCII; all one cell wide.
_GLYPHS: Final = MappingProxyType(
    {
        Tone.PLAIN: (" ", " "),
        Tone.DIM: ("·", "."),
        Tone.GOOD: ("●", "+"),
        Tone.WARN: ("▲", "!"),
        Tone.BAD: ("✖", "X"),
        Tone.UNKNOWN: ("?", "?"),
        Tone.ACCENT: ("◆", "*"),
    }
)


def style(tone: Tone) -> Style:
    """The Rich style of a tone, in ANSI colour names."""
    return _STYLES[tone]


def glyph(tone: Tone, *, ascii_only: bool = False) -> str:
    """The one-cell sign of a tone."""
    return _GLYPHS[tone][ascii_only]
