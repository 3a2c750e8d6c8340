"""Lines of a block that cannot be text, set apart with their record number.

A blank line is no record. Every other line is one to begin with; CSV joins those that a quoted
text spans.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from collectors.sources.files import LONGEST_LINE, Block, LongLine
from collectors.store.batches import Reject
from collectors.store.reasons import Reason

__all__ = ["Lines", "not_utf8", "too_long", "usable_lines"]

PLACEHOLDER = b"null"
"""Stands in JSON lines for a line that was set apart, so that the others keep their number."""

_BLANK = re.compile(rb"(?:\A|\n)[ \t\r\f\v]*\n")


@dataclass(frozen=True, slots=True)
class Lines:
    """Records of a block, one a line, each ended by a line feed, in UTF-8.

    rejects: what stands as a placeholder. n: records, placeholders included.
    """

    data: bytes
    n: int
    rejects: tuple[Reject, ...] = ()


def usable_lines(block: Block, first: int) -> Lines:
    """The block's lines; `first` is the number of records before it."""
    data = without_mark(block)
    if data and not data.endswith(b"\n"):
        data += b"\n"
    if not block.too_long and not has_blank_lines(data) and is_utf8(data):
        return Lines(data, data.count(b"\n"))
    kept: list[bytes] = []
    rejects: list[Reject] = []
    for number, line in enumerate(data.split(b"\n")):
        position = first + len(kept) + 1
        if number in block.too_long:
            rejects.append(too_long(position, block.too_long[number]))
            kept.append(PLACEHOLDER)
        elif is_utf8(line):
            if line.strip():
                kept.append(line)
        else:
            rejects.append(not_utf8(position, line))
            kept.append(PLACEHOLDER)
    return Lines(b"".join(line + b"\n" for line in kept), len(kept), tuple(rejects))


def without_mark(block: Block) -> bytes:
    """The block's bytes without a byte order mark at the file's start."""
    return block.data.removeprefix(b"\xef\xbb\xbf") if block.start == 0 else block.data


def has_blank_lines(data: bytes) -> bool:
    """Whether any line holds nothing but space."""
    # where every line begins an object none is blank; to count them is ten times as fast
    if data.count(b"\n{") + data.startswith(b"{") == data.count(b"\n") and data.endswith(b"\n"):
        return False
    return _BLANK.search(data) is not None


def is_utf8(data: bytes) -> bool:
    """Whether the bytes are UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def not_utf8(position: int, line: bytes) -> Reject:
    """The reject of a line that is not UTF-8, its bytes shown as escapes."""
    try:
        line.decode("utf-8")
        at = 0
    except UnicodeDecodeError as error:
        at = error.start
    content = line.decode("utf-8", "backslashreplace").rstrip("\r")
    return Reject(position, Reason.NOT_UTF8, f"byte {at} of the line", content)


def too_long(position: int, line: LongLine) -> Reject:
    """The reject of a line over the limit; only its beginning is kept."""
    detail = f"{line.length} bytes, the most is {LONGEST_LINE}"
    return Reject(position, Reason.TOO_LONG, detail, line.head.decode("utf-8", "replace"))
