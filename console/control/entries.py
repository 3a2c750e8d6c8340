"""Entries of the audit as lines of JSON, each with the hash of the one before. Pure.

A line is canonical: sorted keys, no blanks, ASCII (all else is escaped, so that a terminal never
obeys what somebody typed as a reason), no NaN. Its hash is SHA-256 over the line as it would be
without `hash`; `previous`, in it, is the hash of the line before. So a line that was changed,
taken out, moved or put in shows.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from console.control.who import Who

__all__ = ["LONGEST_LINE", "Entry", "EntryKind", "Link", "entry_of", "link_of", "made"]

LONGEST_LINE: Final = 65_536
"""Bytes of a line; what an entry says beyond is cut, and the cut is marked."""

_LONGEST_NAME = 500
_LONGEST_KEY = 200

_BOUNDS = ((4_000, 2_000, 12), (400, 200, 8), (80, 40, 4))
"""Longest text, most items of a list or an object, and depth; the first that makes a line fit."""

_LARGEST = 2**63


class EntryKind(StrEnum):
    """What an entry tells."""

    INTENT = "intent"
    """A change is about to be made."""
    RESULT = "result"
    """What became of it."""
    REFUSED = "refused"
    """A change was asked for and not made."""
    RAMP = "ramp"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. n: its number, from 1. at: UTC. change: the id of the change, "" for none.

    fields: JSON values. previous: hash of the entry before, "" of the first. torn: hash of what a
    crash left unfinished just before this entry, "" for nothing.
    """

    n: int
    at: datetime
    kind: EntryKind
    deployment: str
    change: str
    who: Who
    fields: Mapping[str, Any]
    previous: str
    hash: str
    torn: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """What a line is to the chain: its number, its hash, the one before, what was torn before."""

    n: int
    hash: str
    previous: str
    torn: str = ""


def made(
    after: Link | None,
    torn: str,
    *,
    at: datetime,
    kind: EntryKind,
    deployment: str,
    change: str,
    who: Who,
    fields: Mapping[str, Any],
) -> tuple[Entry, bytes]:
    """The entry that follows, and its line without the line's end.

    Anything may be in `fields`: numbers that JSON does not have become text, what is too long or
    too deep is cut and marked.
    """
    whole: dict[str, Any] = {
        "n": after.n + 1 if after else 1,
        "at": _stamp(at),
        "kind": kind.value,
        "deployment": _plain_text(deployment, _LONGEST_NAME),
        "change": _plain_text(change, _LONGEST_NAME),
        "who": {k: _plain_text(v, _LONGEST_NAME) for k, v in asdict(who).items()},
        "previous": after.hash if after else "",
    }
    if torn:
        whole["torn"] = torn
    for longest, most, deepest in _BOUNDS:
        whole["fields"] = _Plain(longest, most, deepest).mapping(fields)
        text = _canonical(whole)
        if len(text) <= LONGEST_LINE - 100:  # the hash comes
            break
    else:
        whole["fields"] = {"left_out": "all: it was too long"}
        text = _canonical(whole)
    whole["hash"] = hashlib.sha256(text).hexdigest()
    line = _canonical(whole)
    entry = entry_of(line)
    if entry is None:
        raise ValueError("an entry that was made cannot be read")
    return entry, line


def link_of(line: bytes) -> Link | str:
    """The link of a line, or in words why it is none; never raises."""
    whole = _object(line)
    if whole is None:
        return "it is no entry"
    said = whole.pop("hash", None)
    try:
        text = _canonical(whole)
        if not isinstance(said, str) or hashlib.sha256(text).hexdigest() != said:
            return "its hash does not fit what it says: it was changed"
        if _canonical({**whole, "hash": said}) != line:
            return "it is not written as modelwatch writes: it was changed"
    except (ValueError, RecursionError):
        return "it is no entry"
    n, previous, torn = whole.get("n"), whole.get("previous"), whole.get("torn", "")
    if type(n) is not int or not isinstance(previous, str) or not isinstance(torn, str):
        return "it is no entry"
    return Link(n, said, previous, torn)


def entry_of(line: bytes) -> Entry | None:
    """The entry of a line, whether or not its hash fits; None of one that is none.

    Also of a kind that this release does not know.
    """
    whole = _object(line)
    if whole is None:
        return None
    try:
        by = whole["who"]
        at = datetime.fromisoformat(_text(whole["at"])).astimezone(UTC)
        fields, n = whole["fields"], whole["n"]
        if not isinstance(fields, dict) or type(n) is not int:
            return None
        return Entry(
            n,
            at,
            EntryKind(whole["kind"]),
            _text(whole["deployment"]),
            _text(whole["change"]),
            Who(*(_text(by[key]) for key in ("user", "host", "origin", "program"))),
            fields,
            _text(whole["previous"]),
            _text(whole["hash"]),
            _text(whole.get("torn", "")),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _object(line: bytes) -> dict[str, Any] | None:
    if len(line) > LONGEST_LINE or not line.startswith(b"{"):
        return None
    try:
        text = line.decode("ascii")
        found = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _finite(text: str) -> float:
    """A number as JSON means it. Raises ValueError for NaN and what is beyond all numbers."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _canonical(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # the one control character that JSON does not escape
    return text.replace("\x7f", "\\u007f").encode("ascii")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _stamp(at: datetime) -> str:
    """UTC with microseconds; a time without a zone is UTC, as everywhere in the store."""
    utc = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")


# -- values that JSON has --------------------------------------------------------------------------


class _Plain:
    """Values as JSON has them, no more of them than a line holds."""

    def __init__(self, longest: int, most: int, deepest: int) -> None:
        self._longest, self._most, self._deepest = longest, most, deepest
        self._left = 2 * LONGEST_LINE  # what is cut in the end need not be walked through

    def mapping(self, value: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
        """An object: the beginning of it where it is too long."""
        found: dict[str, Any] = {}
        for place, (key, inner) in enumerate(value.items()):
            if place == self._most or self._left < 0:
                found["…"] = f"and {len(value) - place} more"
                break
            name = _plain_text(key, _LONGEST_KEY)
            self._left -= len(name)
            found[name] = self._any(inner, depth)
        return found

    def _list(self, value: Sequence[Any], depth: int) -> list[Any]:
        found: list[Any] = []
        for place, inner in enumerate(value):
            if place == self._most or self._left < 0:
                found.append(f"… and {len(value) - place} more")
                break
            found.append(self._any(inner, depth))
        return found

    def _any(self, value: object, depth: int) -> Any:
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if abs(value) < _LARGEST else f"a number of {value.bit_length()} bits"
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(value)
        if isinstance(value, Mapping):
            return self.mapping(value, depth + 1) if depth < self._deepest else "…"
        if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
            return self._list(value, depth + 1) if depth < self._deepest else "…"
        text = _stamp(value) if isinstance(value, datetime) else _plain_text(value, self._longest)
        self._left -= len(text)
        return text


def _plain_text(value: object, longest: int) -> str:
    """Text as UTF-16 has it: halves of a pair that stand alone become U+FFFD.

    Two halves beside each other are read back as one character, and keys would sort otherwise.
    """
    try:
        text = str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # a stranger's __str__ may raise anything
        text = "\N{REPLACEMENT CHARACTER}"
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
