"""Records out of a JSON document, one after the other, as JSON lines.

A body may be a gigabyte, so it is walked in pieces and no more than a few records are held. What
is written is the record's own text: numbers keep their digits. A record that Python cannot parse
is copied by its brackets and left for whoever reads the lines to set apart.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from collectors.errors import FormatError
from collectors.sources.streams import Stream, open_stream

__all__ = ["Found", "walk_document"]

_PIECE = 1024 * 1024
_LONGEST_VALUE = 2 * _PIECE
"""Characters of a value that is parsed; a line over 1 MiB is set apart anyway."""

_LONGEST_TOKEN = 8000
_MOST_KEYS = 20
_BLANK = re.compile(r"[ \t\r\n]*")
_STRUCTURE = re.compile(r'["\[\]{},]')
_STRING = re.compile(r'["\\]')
_ONE_LINE = str.maketrans("\r\n", "  ")
_DECODER = json.JSONDecoder()

Place = tuple[str, ...]


@dataclass(slots=True)
class Found:
    """What a document holds. n: records. following: which page is next, as text; empty if none.

    has_records: whether there was a list (or null) of them. keys: of the innermost object on the
    way to them, the first few; depth: how far in that is.
    """

    n: int = 0
    following: str = ""
    has_records: bool = False
    keys: list[str] = field(default_factory=list)
    depth: int = 0


def walk_document(
    path: Path,
    records: Place,
    following: Place,
    out: BinaryIO,
    seen: Callable[[object], None] | None = None,
) -> Found:
    """Write the list at `records` as JSON lines; () is the whole document.

    following: where the next page's token stands; () if nowhere. seen: told every record that
    could be parsed. A document that is one object where a whole list was expected is one record.
    Raises FormatError for what is no JSON document, or has no list there.
    """
    with open_stream(path) as stream:
        walk = _Walk(_Text(stream), records, following, out, seen)
        try:
            walk.value(())
        except (ValueError, RecursionError):
            raise FormatError("is no JSON") from None
        walk.text.at_end()
    return walk.found


class _Text:
    """The characters of a stream from a moving place on."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        # bytes that are no UTF-8 go through as they are
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape").decode
        self.buffer = ""
        self.at = 0
        self.ended = False

    def more(self) -> bool:
        """Read a further piece; False at the end."""
        if self.ended:
            return False
        data = self._stream.read(_PIECE)
        self.ended = not data
        self.buffer = self.buffer[self.at :] + self._decode(data, final=self.ended)
        self.at = 0
        return True

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            self.at = _end(_BLANK, self.buffer, self.at)
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self.more():
                return ""

    def take(self, expected: str) -> str:
        """The next character, one of these. Raises FormatError."""
        char = self.peek()
        if not char:
            raise FormatError("is JSON that is cut off")
        if char not in expected:
            raise FormatError("is no JSON")
        self.at += 1
        return char

    def at_end(self) -> None:
        """Raises FormatError when something follows."""
        if self.peek():
            raise FormatError("holds more than one JSON document")


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


class _Walk:
    def __init__(
        self,
        text: _Text,
        records: Place,
        following: Place,
        out: BinaryIO,
        seen: Callable[[object], None] | None,
    ) -> None:
        self.text = text
        self.records = records
        self.following = following
        self.out = out
        self.seen = seen
        self.found = Found()

    def value(self, at: Place) -> None:
        """Walk the value at a place of the document."""
        char = self.text.peek()
        if at == self.records:
            self._records(char)
        elif self.following and at == self.following:
            self.found.following = self._token()
        elif char == "{" and any(at == p[: len(at)] for p in (self.records, self.following)):
            self._object(at)
        elif at == self.records[: len(at)] and char != "n":
            raise FormatError(f"has no object at {'.'.join(at)!r}" if at else "is no JSON object")
        else:
            self._copied(None)

    def _object(self, at: Place) -> None:
        self.text.take("{")
        leads = at == self.records[: len(at)]
        if leads:
            self.found.keys, self.found.depth = [], len(at)
        if self.text.peek() == "}":
            self.text.at += 1
            return
        while True:
            key, _ = self._parsed(_LONGEST_TOKEN)
            if not isinstance(key, str):
                raise FormatError("is no JSON")
            if leads and len(self.found.keys) < _MOST_KEYS:
                self.found.keys.append(key)
            self.text.take(":")
            self.value((*at, key))
            if self.text.take(",}") == "}":
                return

    def _records(self, char: str) -> None:
        if char == "n":
            if self._parsed(4)[0] is not None:
                raise FormatError("is no JSON")
        elif char == "[":
            self._list()
        elif char == "{" and not self.records:
            self._record()
        elif not self.records:
            raise FormatError("is no list of records" if char else "is empty")
        else:
            what = "an object" if char == "{" else "no list"
            raise FormatError(f"has {what} at {'.'.join(self.records)!r}, not a list of records")
        self.found.has_records = True

    def _list(self) -> None:
        self.text.take("[")
        if self.text.peek() == "]":
            self.text.at += 1
            return
        while True:
            self._record()
            if self.text.take(",]") == "]":
                return

    def _record(self) -> None:
        value = self._copied(self._write)
        self.out.write(b"\n")
        self.found.n += 1
        if self.seen is not None:
            self.seen(value)

    def _write(self, piece: str) -> None:
        self.out.write(piece.translate(_ONE_LINE).encode("utf-8", "surrogateescape"))

    def _copied(self, sink: Callable[[str], None] | None) -> object:
        """Go past a value, writing its text; the value, or None when only its end is known."""
        self.text.peek()
        try:
            value, text = self._parsed(_LONGEST_VALUE)
        except (FormatError, ValueError, RecursionError):
            self._by_brackets(sink)
            return None
        if sink is not None:
            sink(text)
        return value

    def _parsed(self, longest: int) -> tuple[object, str]:
        """The next value and its text. Raises FormatError, ValueError or RecursionError."""
        text = self.text
        text.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(text.buffer, text.at)
                # a number at the end of a piece may go on
                if end < len(text.buffer) or not text.more():
                    piece = text.buffer[text.at : end]
                    text.at = end
                    return value, piece
                continue
            except json.JSONDecodeError:
                if len(text.buffer) - text.at > longest or not text.more():
                    raise FormatError("is no JSON") from None

    def _by_brackets(self, sink: Callable[[str], None] | None) -> None:
        """Go past a value that cannot be parsed, to the bracket or comma that ends it."""
        text, depth, inside = self.text, 0, False
        begin = text.at
        while True:
            found = (_STRING if inside else _STRUCTURE).search(text.buffer, text.at)
            if found is None or (found.group() == "\\" and found.end() == len(text.buffer)):
                text.at = len(text.buffer) if found is None else found.start()
                if sink is not None:
                    sink(text.buffer[begin : text.at])
                begin = 0
                if not text.more():
                    raise FormatError("is JSON that is cut off")
                continue
            char, text.at = found.group(), found.end()
            if char == "\\":
                text.at += 1
            elif char == '"':
                inside = not inside
            elif char in "[{":
                depth += 1
            elif depth == 0:  # a comma or a closing bracket of whoever holds the value
                text.at -= 1
                break
            elif char in "]}":
                depth -= 1
            if depth == 0 and not inside and char in '"]}':
                break
        if sink is not None:
            sink(text.buffer[begin : text.at])

    def _token(self) -> str:
        try:
            value, text = self._parsed(_LONGEST_TOKEN)
        except (ValueError, RecursionError):
            raise FormatError(f"has no token at {'.'.join(self.following)!r}") from None
        if value is None or value is False or value == "":
            return ""
        usable = isinstance(value, str | int | float) and value is not True
        if not usable or len(text) > _LONGEST_TOKEN:
            raise FormatError(f"has no token at {'.'.join(self.following)!r}")
        token = value if isinstance(value, str) else text
        try:
            token.encode("utf-8")
        except UnicodeEncodeError:
            raise FormatError(f"has no token at {'.'.join(self.following)!r}") from None
        return token
