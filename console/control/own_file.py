"""Files that are this user's alone: opened so that nothing else can stand in their place."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked", "open_own", "sync_folder"]

_POLL_S = 0.001
"""Between two tries: short, since whoever writes much has it nearly always."""


def open_own(path: Path, *, write: bool) -> int:
    """Open a plain file, for appending (made with mode 0600 where there is none) or reading.

    A link is not followed and a pipe not waited for. Raises OSError, with what is in its place as
    the message where something is.
    """
    # NONBLOCK: opening a pipe that nobody reads would wait for ever
    how = os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_RDWR | os.O_APPEND if write else os.O_RDONLY)
    number, new = _opened(path, how, make=write)
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        if write and found.st_mode & 0o022:
            raise OSError(errno.EPERM, f"others may write to it (chmod 600 {path.name} ends that)")
        if new:
            sync_folder(path.parent)
    except BaseException:
        os.close(number)
        raise
    return number


def _opened(path: Path, how: int, *, make: bool) -> tuple[int, bool]:
    """The file, and whether it is new."""
    try:
        if make:
            try:
                return os.open(path, how | os.O_CREAT | os.O_EXCL, 0o600), True
            except FileExistsError:
                pass
        return os.open(path, how), False
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link") from error
        if error.errno in (errno.EISDIR, errno.ENXIO):
            raise OSError(error.errno, "it is no plain file") from error
        raise


def sync_folder(folder: Path) -> None:
    """A new name must outlive a crash as well as what is in it."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def locked(number: int, wait_s: float, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of an open file, which ends with its process at the latest.

    Raises BlockingIOError when another holds it for longer than `wait_s`.
    """
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(number, how)
            break
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(_POLL_S)
    try:
        yield
    finally:
        fcntl.flock(number, fcntl.LOCK_UN)
