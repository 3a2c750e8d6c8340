"""Records that a serving system sends: on disk before they are acknowledged, then read like files.

A sender gets its answer when its lines are flushed to the disk, those of all who wait together.
What is written so is a growing file of JSON lines, which the collectors load like any other: once,
and again from where they were after a crash. A sender that got no answer sends again; what is
there twice is dropped by its id.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collectors.errors import SourceError
from collectors.sources.files import LONGEST_LINE

__all__ = ["Spool", "push_problem"]

LARGEST_FILE = 256 * 1024 * 1024
_KEPT = timedelta(hours=1)
"""How long a loaded file stays, for quarantined records to be read anew."""


def push_problem(body: bytes) -> str:
    """Why lines cannot be taken as they are; empty when they can. What they mean is told later."""
    if not body.strip():
        return "there is no record in it"
    if len(body) > LONGEST_LINE:
        start = 0
        while start < len(body):
            end = body.find(b"\n", start)
            end = len(body) if end < 0 else end
            if end - start > LONGEST_LINE:
                return f"a line is longer than {LONGEST_LINE:,} bytes"
            start = end + 1
    return ""


@dataclass(slots=True)
class _Waiting:
    """Lines that several senders wait for, and whether they are on disk."""

    parts: list[bytes] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    problem: str = ""


class Spool:
    """The files of one kind of one deployment, for any number of threads.

    least_free: bytes of the disk that are left alone.
    """

    def __init__(self, folder: Path, least_free: int = 0) -> None:
        self.folder, self._least_free = folder, least_free
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in folder.glob("*.jsonl"):
            _end_lines(path)
        self._lock = threading.Lock()  # of what waits
        self._writing = threading.Lock()
        self._next = _Waiting()
        self._file: int | None = None
        self._path = folder

    def append(self, body: bytes) -> None:
        """Lines to disk. Raises SourceError; then none of them counts as taken."""
        if not body.endswith(b"\n"):
            body += b"\n"
        with self._lock:
            waiting = self._next
            waiting.parts.append(body)
        with self._writing:  # whoever comes first writes for all who came meanwhile
            if not waiting.done.is_set():
                with self._lock:
                    self._next = _Waiting()
                self._write(waiting)
        if waiting.problem:
            raise SourceError(waiting.problem)

    def _write(self, waiting: _Waiting) -> None:
        try:
            if self._least_free and shutil.disk_usage(self.folder).free < self._least_free:
                raise OSError(errno.ENOSPC, "the disk has too little room")
            data = b"".join(waiting.parts)
            file = self._open(len(data))
            start = os.fstat(file).st_size
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(file, view) :]
                os.fdatasync(file)
            except OSError:
                # half a line must not become part of the next one
                with suppress(OSError):
                    os.ftruncate(file, start)
                raise
        except OSError as error:
            waiting.problem = f"pushed records cannot be kept: {error.strerror or error}"
            self._close(empty=True)
        finally:
            waiting.done.set()

    def _open(self, more: int) -> int:
        if self._file is not None:
            size = os.fstat(self._file).st_size
            if size + more <= LARGEST_FILE and size:
                return self._file
            if size:
                self._close()
        if self._file is None:
            name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{time.monotonic_ns():x}.jsonl"
            self._path = self.folder / name
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            self._file = os.open(self._path, flags, 0o600)
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)  # the name too must outlive a crash
            finally:
                os.close(folder)
        return self._file

    def close(self) -> None:
        """Close the file; the next lines begin another one."""
        with self._writing:
            self._close()

    def _close(self, *, empty: bool = False) -> None:
        if self._file is not None:
            with suppress(OSError):
                if empty and not os.fstat(self._file).st_size:  # each failure would leave one
                    self._path.unlink()
            with suppress(OSError):
                os.close(self._file)
            self._file, self._path = None, self.folder

    def forget(self, loaded: dict[str, int], wanted: frozenset[str], now: float) -> list[Path]:
        """Remove files that are wholly loaded; which ones.

        loaded: bytes by name of the file. wanted: names that must stay. now: seconds since 1970.
        """
        gone = []
        for path in sorted(self.folder.glob("*.jsonl")):
            try:
                stat = path.stat()
            except OSError:
                continue
            whole = stat.st_size > 0 and loaded.get(str(path), -1) >= stat.st_size
            old = now - stat.st_mtime > _KEPT.total_seconds()
            if not (whole and old) or str(path) in wanted:
                continue
            with self._writing, suppress(OSError):
                if path == self._path:
                    if path.stat().st_size > stat.st_size:
                        continue  # more has come
                    self._close()
                path.unlink()
                gone.append(path)
        return gone


def _end_lines(path: Path) -> None:
    """Cut off half a line that a killed recorder left: its sender got no answer and sends again."""
    with path.open("r+b") as file:
        end = size = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)
