"""The last gate before the terminal: whatever reaches a screen line is printable.

Data was cleaned by `collectors.text.clean` where it came in; this holds even when that was
forgotten, because a control character on a terminal is a command.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len

__all__ = ["safe"]

_MAX_MARKS = 2  # combining marks on one character; more is an attack on the line height
_ASCII_ART = str.maketrans({
    "—": "-", "–": "-", "…": "~", "·": ".", "│": "|", "─": "-", "━": "=", "×": "x", "≥": ">",
    "≤": "<", "→": ">", "↑": "^", "↓": "v", "▲": "^", "▼": "v", "▶": ">", "⏸": "=", "“": '"',
    "”": '"', "’": "'", "‘": "'", "±": "~", "Δ": "d",
})  # fmt: skip


def safe(text: str, *, ascii_only: bool = False) -> str:
    """`text` without control, format or private characters, in one line, ASCII if asked."""
    if text.isascii() and text.isprintable():
        return text
    return _mend(text, ascii_only)


@lru_cache(4096)
def _mend(text: str, ascii_only: bool) -> str:
    out: list[str] = []
    marks = 0
    for char in text:
        if not char.isprintable():
            out.append(" " if char.isspace() and char not in "\x1c\x1d\x1e\x1f\x85" else "?")
            marks = 0
        elif unicodedata.category(char) in {"Mn", "Me"}:
            marks += 1
            if marks <= _MAX_MARKS and not 0xFE00 <= ord(char) <= 0xFE0F:
                out.append(char)
        else:
            out.append(char)
            marks = 0
    mended = "".join(out)
    if not ascii_only:
        return mended
    return "".join(c if c.isascii() else "?" * cell_len(c) for c in mended.translate(_ASCII_ART))
