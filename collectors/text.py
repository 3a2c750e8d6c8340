"""The one place where untrusted text becomes displayable.

Logs, labels, model names and error texts come from strangers. A terminal obeys what it is sent, and
Textual does not strip ESC or C1 even with markup off (measured: both reached the tty), so text is
cleaned once, where data enters. Markup is not handled here: `[bold]` is plain text and has to be
shown by means that never parse it.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["clean", "harmless"]

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS: Final = "…"

# Scripts that stack marks (Vietnamese, Hebrew, Devanagari) need at most three on one character.
MAX_MARKS: Final = 3

LONGEST_FIELD: Final = 10_000

# Letters by category, blank on a screen: fillers let two names look the same.
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0\u1680\u180e")

# Terminals and Rich disagree on the width of an emoji with a skin tone or a variation selector, and
# of a pair of regional indicators; one wrong width shifts the rest of the row.
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)
_REGIONAL: Final = range(0x1F1E6, 0x1F200)
_INVISIBLE_MARKS: Final = frozenset((0x034F, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F)).union(
    range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)
)


def clean(text: object, limit: int = 120) -> str:
    """Displayable text of anything, at most `limit` code points, on one line; never raises.

    Newlines, tabs and other blanks become a space; control characters, surrogates, private-use and
    unassigned code points become U+FFFD, so that tampering stays visible; bidirectional, zero-width
    and other format marks, variation selectors and skin tones vanish; a base character keeps at
    most three combining marks; a flag becomes its two letters. What is longer than `limit` ends
    in "…". `None` is the empty string. `clean(clean(x)) == clean(x)`.
    """
    if type(text) is str and len(text) <= limit and text.isascii() and text.isprintable():
        return text
    if limit <= 0 or text is None:
        return ""
    raw = _as_text(text)
    # A gigabyte of text must not be walked for a line of it; eight code points per shown one allow
    # for what is dropped.
    bound = limit * 8 + 64
    cut = len(raw) > bound
    out: list[str] = []
    marks = MAX_MARKS  # a mark needs a base: none at the start
    for char in raw[:bound]:
        shown = _shown(char)
        if shown is None:
            if marks < MAX_MARKS:
                marks += 1
                out.append(char)
        elif shown:
            marks = 0
            out.append(shown)
    if len(out) > limit or (cut and (len(out) < limit or out[-1] != ELLIPSIS)):
        del out[limit - 1 :]
        out.append(ELLIPSIS)
    return "".join(out)


def harmless(value: object) -> object:
    """A value for a CSV file: a text without control characters, and none that a spreadsheet would
    run as a formula; anything else as it is.
    """
    if not isinstance(value, str):
        return value
    text = clean(value, LONGEST_FIELD)
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text


def _as_text(value: object) -> str:
    """`value` as an exact `str`: subclasses and failing `__str__` methods included."""
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value).decode("utf-8", "replace")
        return str.__str__(value if isinstance(value, str) else str(value))
    except Exception:  # a stranger's __str__ may raise anything
        return REPLACEMENT


@lru_cache(maxsize=4096)
def _shown(char: str) -> str | None:
    """What stands for one code point: itself, a replacement, "" to drop it, None for a mark."""
    code, category = ord(char), unicodedata.category(char)
    shown: str | None = char
    if code in _INVISIBLE_MARKS or code in _SKIN_TONES:
        shown = ""
    elif code in _REGIONAL:
        shown = chr(ord("A") + code - _REGIONAL.start)
    elif char in "\t\n\v\f\r\x85" or char in _BLANK or category in {"Zs", "Zl", "Zp"}:
        shown = " "
    elif category in {"Mn", "Mc", "Me"}:
        shown = None
    elif category == "Cf":
        shown = ""
    elif category.startswith("C"):
        shown = REPLACEMENT
    return shown
