"""The audit: every change that was wanted, made or refused, in a file that is only added to.

Lines of JSON beside the store, each with the hash of the one before (`entries`). A line is on the
disk before `append` returns. What a crash leaves of a line stays where it is; the next entry closes
it and says what it was, so that it can be told from tampering. The last number and hash stand in a
second file too: a chain alone cannot show that its end was cut off. Whoever can write both files
can forge both; against that, note the head elsewhere and verify with it.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from console.control.chain import AuditCheck, Head, Tail, checked, tail_of
from console.control.entries import LONGEST_LINE, Entry, EntryKind, entry_of, link_of, made
from console.control.errors import AuditError
from console.control.own_file import locked, open_own, sync_folder
from console.control.who import Who

__all__ = ["Audit", "AuditCheck", "Entry", "EntryKind", "Head", "audit_path", "head_path"]

LARGEST = 64 * 1024 * 1024
"""Bytes of an audit that is added to: some hundred thousand entries, read in a few seconds."""

_WAIT_S = 10.0
"""How long another process may take to write its line."""

_ROOM = 1024 * 1024
"""Bytes that must be free before a change is planned, for its intent, its result and more."""

_PIECE = 1024 * 1024


def audit_path(store: Path) -> Path:
    """The audit of a store: beside the file itself, also where a link leads to it."""
    try:
        place = store.resolve()
    except (OSError, RuntimeError):  # links in a circle
        place = store.absolute()
    return place.with_name(place.name + ".audit.jsonl")


def head_path(audit: Path) -> Path:
    """Where the number and hash of its last entry stand."""
    return audit.with_name(audit.name + ".head")


class Audit:
    """One audit; several processes and threads may hold it. Nothing is opened before it is used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = _Known()
        self._lock = threading.Lock()

    def append(  # noqa: PLR0917 - what an entry is made of
        self,
        at: datetime,
        kind: EntryKind,
        deployment: str,
        change: str,
        who: Who,
        fields: Mapping[str, Any],
    ) -> Entry:
        """Add an entry; it is on the disk when this returns. Raises AuditError."""
        with self._writing() as (number, tail):
            entry, line = made(
                tail.last,
                tail.torn,
                at=at,
                kind=kind,
                deployment=deployment,
                change=change,
                who=who,
                fields=fields,
            )
            head = self._head_ready(Head(entry.n, entry.hash))
            self._write(number, tail.closing + line + b"\n")
            # a head that could not be renamed is one behind, which is no finding by itself
            with suppress(OSError):
                head.replace(head_path(self.path))
                sync_folder(self.path.parent)
        return entry

    def check_writable(self) -> None:
        """Whether an entry could be added now. Raises AuditError with what to do."""
        with self._writing(spare=_ROOM) as (number, tail):
            space = os.fstatvfs(number)
            if space.f_bavail * space.f_frsize < _ROOM:
                raise self._failed("the disk is full")
            if tail.last is not None:
                head = self._head_ready(Head(tail.last.n, tail.last.hash))
                head.replace(head_path(self.path))

    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first; only what came since the last call is read.

        Lines that are no entry are passed over, `verify` finds them. Raises AuditError when the
        file is there and cannot be read.
        """
        with self._lock:
            try:
                number = open_own(self.path, write=False)
            except FileNotFoundError:
                self._known = _Known()
                return ()
            except OSError as error:
                raise self._unreadable(error) from error
            try:
                return self._read(number)
            except OSError as error:
                raise self._unreadable(error) from error
            finally:
                os.close(number)

    def unresolved(self) -> tuple[Entry, ...]:
        """Intents whose change has no result yet, oldest first. Raises AuditError."""
        open_: dict[tuple[str, str], Entry] = {}
        for entry in self.entries():
            of = (entry.deployment, entry.change)
            if entry.kind is EntryKind.INTENT:
                open_[of] = entry
            elif entry.kind is EntryKind.RESULT:
                open_.pop(of, None)
        return tuple(open_.values())

    def verify(self, noted: Head | None = None, *, alone: bool = False) -> AuditCheck:
        """Whether all entries are there, unchanged and in order.

        noted: a head that was noted elsewhere, which must be in the chain. alone: whether the file
        may be a copy without its head file, so that nothing tells where it ends. Raises AuditError
        when the file cannot be read.
        """
        with self._reading() as number:
            head = self._head()
            if head is None and (alone or noted is not None):
                return checked((line for line, _ in _lines(number)), noted, ended=False)
            return checked((line for line, _ in _lines(number)), noted, head)

    def content(self) -> bytes:
        """The file as it is. Raises AuditError when it cannot be read, or is too large for that."""
        with self._reading() as number:
            self._refuse_large(number)
            return b"".join(iter(lambda: os.read(number, _PIECE), b""))

    # -- writing -----------------------------------------------------------------------------------

    @contextmanager
    def _writing(self, spare: int = 0) -> Iterator[tuple[int, Tail]]:
        """The file, locked, and its sound end. spare: bytes that must still fit."""
        try:
            with self._locked() as number:
                size = os.fstat(number).st_size
                if size + spare > LARGEST:
                    raise self._failed(
                        f"it is too large ({size:,} bytes); move it and its .head file elsewhere, "
                        "`modelwatch audit verify --input` still reads it there"
                    )
                reach = min(size, 16 * LONGEST_LINE)
                tail = tail_of(os.pread(number, reach, size - reach), size == reach, self._head())
                if isinstance(tail, str):
                    raise self._failed(
                        f"{tail}; see `modelwatch audit verify`. To begin a new one, move it and "
                        "its .head file elsewhere"
                    )
                yield number, tail
        except BlockingIOError as error:
            raise self._failed("another process holds it") from error
        except OSError as error:
            raise self._failed(_reason(error)) from error

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file that has the audit's name while its lock is held."""
        while True:
            number = open_own(self.path, write=True)
            try:
                with locked(number, _WAIT_S):
                    if _is_at(number, self.path):
                        yield number
                        return
            finally:
                os.close(number)

    def _write(self, number: int, data: bytes) -> None:
        """All of it onto the disk, or nothing if that can be."""
        before = os.fstat(number).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(number, left) :]
            os.fsync(number)
        except OSError:
            with suppress(OSError):  # what stays is told from tampering later
                os.ftruncate(number, before)
                os.fsync(number)
            raise

    def _head_ready(self, head: Head) -> Path:
        """The next head file, on the disk before its entry: a full disk is found in time."""
        place = head_path(self.path)
        new = place.with_name(place.name + ".new")
        with suppress(FileNotFoundError):
            new.unlink()
        number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            data = json.dumps({"n": head.n, "hash": head.hash}).encode() + b"\n"
            if os.write(number, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(number)
        finally:
            os.close(number)
        return new

    def _head(self) -> Head | str | None:
        """What the head file says; None where there is none, words where it makes no sense."""
        try:
            number = open_own(head_path(self.path), write=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"its .head file cannot be read: {_reason(error)}"
        try:
            return Head.of(os.read(number, 1_000))
        finally:
            os.close(number)

    # -- reading -----------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[int]:
        """The file while nobody adds to it; an empty one where there is none."""
        try:
            try:
                number = open_own(self.path, write=False)
            except FileNotFoundError:
                number = os.open(os.devnull, os.O_RDONLY)
            try:
                with locked(number, _WAIT_S, shared=True):
                    yield number
            finally:
                os.close(number)
        except OSError as error:
            raise self._unreadable(error) from error

    def _refuse_large(self, number: int) -> None:
        size = os.fstat(number).st_size
        if size > LARGEST + _ROOM:
            raise OSError(errno.EFBIG, f"it is too large ({size:,} bytes)")

    def _read(self, number: int) -> tuple[Entry, ...]:
        found = os.fstat(number)
        known, file = self._known, (found.st_dev, found.st_ino)
        if known.file != file or found.st_size < known.end:
            known = _Known(file)
        if found.st_size == known.end:
            return known.entries
        self._refuse_large(number)
        entries, end, rest = list(known.entries), known.end, b""
        for line, after in _lines(number, known.end):
            if after is None:
                rest = line
                break
            end = after
            entry = entry_of(line)
            if entry is not None:
                entries.append(entry)
        self._known = _Known(file, end, tuple(entries))
        # an entry whose end of line a crash has cut off is an entry
        if rest and not isinstance(link_of(rest), str) and (last := entry_of(rest)) is not None:
            return (*entries, last)
        return self._known.entries

    # -- failures ----------------------------------------------------------------------------------

    def _failed(self, why: str) -> AuditError:
        return AuditError(f"the audit {self.path} cannot be written: {why}")

    def _unreadable(self, error: OSError) -> AuditError:
        why = "another process holds it" if isinstance(error, BlockingIOError) else _reason(error)
        return AuditError(f"the audit {self.path} cannot be read: {why}")


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read: of which file, up to which byte."""

    file: tuple[int, int] = (0, 0)
    end: int = 0
    entries: tuple[Entry, ...] = ()


def _lines(number: int, start: int = 0) -> Iterator[tuple[bytes, int | None]]:
    """Lines from a byte on, without their end, and the byte after it; None where it has no end.

    Of a line that is longer than any entry come pieces, which are no entries.
    """
    held, at = b"", start
    while piece := os.pread(number, _PIECE, at + len(held)):
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            at += len(line) + 1
            yield line, at
        if len(held) > _PIECE:
            at += len(held)
            yield held, at
            held = b""
    if held:
        yield held, None


def _is_at(number: int, path: Path) -> bool:
    """Whether the open file still has its name: it may have been moved while it was waited for."""
    try:
        return os.path.samestat(os.fstat(number), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _reason(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
