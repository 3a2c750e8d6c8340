"""Whether the entries of an audit follow from each other; where the chain ends. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from console.control.entries import LONGEST_LINE, Link, link_of

__all__ = ["AuditCheck", "Head", "Tail", "checked", "tail_of"]

_BEGINNING = b'{"at":"'
"""How every entry begins."""


@dataclass(frozen=True, slots=True)
class Head:
    """Number and hash of an entry, as noted outside of the chain."""

    n: int
    hash: str

    def __str__(self) -> str:
        return f"{self.n}:{self.hash}"

    @classmethod
    def of(cls, data: bytes) -> Self | str:
        """From a head file, or in words why not."""
        try:
            found = json.loads(data)
            if type(found["n"]) is int and isinstance(found["hash"], str):
                return cls(found["n"], found["hash"])
        except (ValueError, TypeError, KeyError, RecursionError):
            pass
        return "its .head file makes no sense"

    @classmethod
    def parsed(cls, text: str) -> Self:
        """From NUMBER:HASH. Raises ValueError in a sentence."""
        n, _, digest = text.strip().partition(":")
        hexadecimal = len(digest) == 64 and not set(digest.lower()) - set("0123456789abcdef")
        if not (n.isascii() and n.isdecimal() and len(n) < 16 and hexadecimal):
            raise ValueError("a head is NUMBER:HASH, as `modelwatch audit verify` prints it")
        return cls(int(n), digest.lower())


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What a look at every line found.

    n: entries. line: the first line that is wrong, from 1; 0 where none is, or where lines are
    missing at the end. why: what is wrong, "" for nothing. torn: lines that a crash left
    unfinished, which is no fault. head: hash of the last entry, "" of none.
    """

    n: int
    line: int
    why: str
    torn: int
    head: str

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return not self.why


@dataclass(frozen=True, slots=True)
class Tail:
    """The sound end of a chain. last: its last entry. torn: hash of what lies behind it.

    closing: what ends the line that is open, before the next entry.
    """

    last: Link | None
    torn: str
    closing: bytes


def tail_of(data: bytes, from_start: bool, head: Head | str | None) -> Tail | str:
    """Where a chain goes on, from its last bytes; in words what is wrong, if it cannot.

    from_start: whether `data` is all of it. head: as noted beside it.
    """
    *lines, rest = data.split(b"\n")
    if not from_start and lines:
        lines = lines[1:]  # its beginning is not in sight
    loose: list[bytes] = [rest] if rest else []  # newest first
    last: Link | None = None
    if rest and not isinstance(link := link_of(rest), str):
        last, loose = link, []
    while last is None and lines:
        line = lines.pop()
        link = link_of(line)
        if not isinstance(link, str):
            last = link
        elif not _is_torn(line):
            return f"its last line was tampered with: {link}"
        else:
            loose.append(line)
    loose.reverse()
    if last is None and not from_start:
        return "its end is no entry"
    if not all(_is_torn(line) for line in loose):
        return "its last line is no entry"
    problem = _against_head(last, head)
    if problem:
        return problem
    return Tail(last, _digest(loose), b"\n" if rest else b"")


def checked(
    lines: Iterable[bytes],
    noted: Head | None = None,
    head: Head | str | None = None,
    *,
    ended: bool = True,
) -> AuditCheck:
    """Go through all lines, without their ends.

    noted: a head that was noted elsewhere. head: what the head file beside the audit says, None
    where there is none. ended: whether that must be there, and fit.
    """
    walk = _Walk(noted)
    for line in lines:
        walk.step(line)
    why = walk.end() or _against_noted(walk, noted)
    if ended and not why:
        why = _against_head(walk.last, head)
    last = walk.last
    return AuditCheck(walk.n, walk.broken, why, walk.torn, last.hash if last else "")


class _Walk:
    """Follows a chain line by line, to the first that is wrong, and counts all."""

    def __init__(self, noted: Head | None) -> None:
        self.n = 0
        self.torn = 0
        self.broken = 0
        self.why = ""
        self.last: Link | None = None
        self.noted_hash = ""
        self._noted = noted.n if noted else 0
        self._line = 0
        self._loose: list[bytes] = []
        self._loose_bytes = 0
        self._first_loose = 0
        self._loose_why = ""

    def step(self, line: bytes) -> None:
        """The next line."""
        self._line += 1
        link = link_of(line)
        if isinstance(link, str):
            if not self._loose:
                self._first_loose, self._loose_why = self._line, link
            # to be hashed; of what nobody can have torn the beginning will do
            if self._loose_bytes <= 16 * LONGEST_LINE:
                self._loose.append(line)
                self._loose_bytes += len(line) + 1
            return
        self.n += 1
        self._follow(link)
        self.last = link
        if link.n == self._noted:
            self.noted_hash = link.hash

    def _follow(self, link: Link) -> None:
        expected = (self.last.n + 1, self.last.hash) if self.last else (1, "")
        if link.torn != _digest(self._loose):
            self._break(self._first_loose or self._line, self._loose_why or "a line is missing")
        elif (link.n, link.previous) != expected:
            self._break(self._line, _why_not(link, self.last))
        else:
            self.torn += len(self._loose)
        self._loose, self._loose_bytes = [], 0
        self._first_loose, self._loose_why = 0, ""

    def _break(self, line: int, why: str) -> None:
        if not self.why:
            self.broken, self.why = line, why

    def end(self) -> str:
        """After the last line: what is wrong so far."""
        if self._loose:
            if all(_is_torn(line) for line in self._loose):
                self.torn += len(self._loose)
            else:
                self._break(self._first_loose, self._loose_why)
        return self.why


def _why_not(link: Link, last: Link | None) -> str:
    before = last.n if last else 0
    if link.n <= before:
        return f"entry {link.n} comes again after entry {before}"
    if link.n > before + 1:
        missing = (
            f"entry {before + 1} is"
            if link.n == before + 2
            else (f"entries {before + 1} to {link.n - 1} are")
        )
        return f"{missing} missing"
    return f"entry {link.n} does not follow from the one before"


def _against_noted(walk: _Walk, noted: Head | None) -> str:
    if noted is None or noted.n == 0 or walk.noted_hash == noted.hash:
        return ""
    if walk.last is None or walk.last.n < noted.n:
        return _cut(noted, walk.last)
    return f"entry {noted.n} has another hash than was noted: the audit was written anew"


def _against_head(last: Link | None, head: Head | str | None) -> str:
    """What the head file beside a chain says against its end; "" for nothing.

    It is one entry behind after a crash just between both.
    """
    at = last.n if last else 0
    why = ""
    if isinstance(head, str):
        why = head
    elif head is None:
        if at > 1:
            why = "its .head file is missing, so entries may be missing at its end"
    elif head.n > at:
        why = _cut(head, last)
    elif head.n < at - 1:
        why = f"its .head file was put back: it notes entry {head.n} of {at}"
    elif last is not None and head.hash != (last.hash if head.n == at else last.previous):
        why = f"entry {head.n} is not the one that its .head file notes"
    return why


def _cut(head: Head, last: Link | None) -> str:
    if last is None:
        return f"all {head.n} entries are missing"
    which = (
        f"entry {head.n} is" if head.n == last.n + 1 else (f"entries {last.n + 1} to {head.n} are")
    )
    return f"{which} missing at the end"


def _is_torn(line: bytes) -> bool:
    """Whether a line that is no entry can be what a crash left of one: its beginning.

    After a power cut, zeros may stand for what never reached the disk.
    """
    kept = line.rstrip(b"\0")
    if not 0 < len(line) <= LONGEST_LINE or not (
        kept.startswith(_BEGINNING) or _BEGINNING.startswith(kept)
    ):
        return False
    try:
        json.loads(kept)
    except (ValueError, RecursionError):
        return True
    return False


def _digest(lines: list[bytes]) -> str:
    return hashlib.sha256(b"\n".join(lines)).hexdigest() if lines else ""
