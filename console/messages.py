"""Lines that commands print: what comes from data, files or servers is cleaned first."""

from __future__ import annotations

import sys
from typing import TextIO

from collectors.text import clean

__all__ = ["complain", "say"]

_LONGEST = 1000


def say(text: object, stream: TextIO | None = None) -> None:
    """Print line by line, without control characters, to stdout or a given stream."""
    for line in str(text).split("\n"):
        print(clean(line, _LONGEST), file=stream or sys.stdout)


def complain(text: object) -> None:
    """The same to stderr, each line with the program's name."""
    for line in str(text).split("\n"):
        say(f"modelwatch: {line}", sys.stderr)
