"""Copying over SSH: OSC 52, wrapped for tmux and screen, limited in size, cleaned."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.tui.safe import safe

__all__ = ["Copy", "osc52", "tsv"]

_MOST_BYTES = 50_000  # before base64; several terminals drop longer ones without a word
_SCREEN_CHUNK = 200  # screen ends a string that is longer than its buffer of 256


@dataclass(frozen=True, slots=True)
class Copy:
    """What is copied: the text, and how many of the rows are in it."""

    text: str
    rows: int
    total: int


def tsv(rows: Sequence[Sequence[str]], most_bytes: int = _MOST_BYTES) -> Copy:
    """Tab-separated lines with the titles first; as many whole rows as fit."""
    out: list[str] = []
    size = 0
    for row in rows:
        text = "\t".join(safe(cell) for cell in row) + "\n"
        size += len(text.encode("utf-8", "replace"))
        if size > most_bytes:
            break
        out.append(text)
    return Copy("".join(out), max(0, len(out) - 1), max(0, len(rows) - 1))


def osc52(text: str, environ: Mapping[str, str]) -> str:
    """The sequence that sets the clipboard, as the terminal or multiplexer at hand wants it.

    tmux gets it twice: plain for `set-clipboard on`, wrapped for `allow-passthrough`.
    """
    payload = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    plain = f"\x1b]52;c;{payload}\x07"
    term = environ.get("TERM", "")
    if environ.get("TMUX") or term.startswith("tmux"):
        return plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if environ.get("STY"):
        pieces = [plain[i : i + _SCREEN_CHUNK] for i in range(0, len(plain), _SCREEN_CHUNK)]
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return plain
