"""Settings Textual reads from the environment at import: call before importing it.

Never writes TERM, COLORTERM or NO_COLOR: those belong to the user.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

__all__ = ["prepare_environment", "speaks_utf8"]

_SETTINGS = {
    "TEXTUAL_ANIMATIONS": "none",  # an animation repaints for ever
    "TEXTUAL_DISABLE_KITTY_KEY": "1",  # keys must arrive the same in every terminal
    "TEXTUAL_SMOOTH_SCROLL": "0",
    "TEXTUAL_THEME": "ansi-dark",  # the user's own palette, on light terminals too
}
# ambient settings of Textual that would change what is drawn or logged
_UNWANTED = ("TEXTUAL", "TEXTUAL_DRIVER", "TEXTUAL_FILTERS", "TEXTUAL_LOG", "TEXTUAL_PRESS")


def prepare_environment() -> None:
    """Set what Textual must see; a character the locale lacks becomes "?" instead of a crash."""
    os.environ.update(_SETTINGS)
    for name in _UNWANTED:
        os.environ.pop(name, None)
    if not speaks_utf8() and isinstance(sys.__stderr__, TextIOWrapper):
        sys.__stderr__.reconfigure(errors="replace")  # Textual draws on stderr


def speaks_utf8() -> bool:
    """Whether the stream Textual draws on can carry more than ASCII."""
    encoding = getattr(sys.__stderr__, "encoding", None) or "ascii"
    return encoding.lower().replace("-", "") in {"utf8", "utf8sig"}
