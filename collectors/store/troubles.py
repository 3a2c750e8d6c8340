"""What DuckDB and the system say when a store cannot be used, as sentences with what to do."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import duckdb

from collectors.errors import StoreBusyError, StoreError

__all__ = ["first_line", "is_of_disk", "open_trouble", "trouble_of"]

_FULL = re.compile(r"no space left|not enough space|disk (is )?full|file too large|quota", re.I)
_READ_ONLY = re.compile(r"read-only file system|permission denied|read.?only mode", re.I)
_BROKEN = re.compile(r"database has been invalidated|must be restarted|fatal error", re.I)
_WAL = re.compile(r"WAL file")


def trouble_of(what: str, error: Exception) -> StoreError:
    """What failed, why, and what to do. what: the beginning of the sentence."""
    message = str(error)
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or _FULL.search(message):
        return StoreError(
            f"{what}: there is no room left on the disk",
            "make room and start again; what was committed is in the store, the rest is read anew",
        )
    if number in (errno.EROFS, errno.EACCES, errno.EPERM) or _READ_ONLY.search(message):
        return StoreError(
            f"{what}: it may not be written there",
            "mount it for writing or mend its permissions, or give another place with --store",
        )
    if _BROKEN.search(message):
        return StoreError(
            f"{what}: the engine stopped after an earlier failure: {first_line(error)}",
            "start again; what was committed is in the store, the rest is read anew",
        )
    return StoreError(f"{what}: {first_line(error)}")


def is_of_disk(error: Exception) -> bool:
    """Whether a failure is of the disk, or the engine has given up over one."""
    if not isinstance(error, duckdb.Error):
        return False
    message = str(error)
    return any(known.search(message) for known in (_FULL, _READ_ONLY, _BROKEN))


def open_trouble(path: Path | None, error: duckdb.Error) -> StoreError:
    """Why a store did not open."""
    message = str(error)
    if "lock" in message.lower() and "conflicting" in message.lower():
        owner = re.search(r"PID (\d+)", message)
        by = f" (process {owner.group(1)})" if owner else ""
        return StoreBusyError(
            f"the store {path} is in use by another process{by}",
            "end that process, or give another store with --store",
        )
    if "does not exist" in message:
        return StoreError(f"there is no store at {path}", "run `modelwatch record --once` first")
    if _WAL.search(message):
        return StoreError(
            f"the newest part of the store, {path}.wal, is damaged: {first_line(error)}",
            f"move {path}.wal aside and run `modelwatch record --once`: what was in it is read "
            "again from the sources, from where the store ends",
        )
    return trouble_of(f"cannot open the store {path}", error)


def first_line(error: Exception) -> str:
    """The first line of an error's text."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
