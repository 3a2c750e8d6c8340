"""A configuration file that another program watches: read whole, replaced whole or not at all.

A program that reads while we write must never see half a file, so a new one is written beside it,
brought to the disk and moved into its place. Two of us take turns by a lock on the file itself; a
change by an editor in between is found by the digest of what is there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collectors.text import clean
from console.control.errors import PlaneError

__all__ = ["LARGEST_FILE", "ChangedError", "ConfigFile", "FileText"]

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes; the configuration of thousands of services is less."""

_WAIT_S = 0.02


class ChangedError(PlaneError):
    """The file is not what the change was planned on: nothing was written."""


@dataclass(frozen=True, slots=True)
class FileText:
    """What was in a file. revision: digest of its bytes."""

    text: str
    revision: str


class ConfigFile:
    """One file, by the path it has in the configuration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown = clean(path, 200)

    def read(self) -> FileText:
        """What is in it. Raises PlaneError in a sentence."""
        number = self._open()
        try:
            return self._text(number)
        finally:
            os.close(number)

    def problem_of_writing(self) -> str:
        """Why it cannot be replaced; "" when it seems that it can."""
        real = os.path.realpath(self.path)
        if self.path.is_symlink():
            if any(part.startswith("..") for part in self.path.readlink().parts):
                return (
                    f"{self.shown} is a link, as Kubernetes mounts a ConfigMap or Secret: "
                    "change that object instead"
                )
            return f"{self.shown} is a link; give the file that it leads to: {clean(real, 200)}"
        try:
            held = self.path.stat()
        except OSError as error:
            return f"cannot read {self.shown}: {_said(error)}"
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            return f"no right to write in the folder of {self.shown}"
        if os.geteuid() not in (0, held.st_uid):
            return f"{self.shown} belongs to another user, who would not keep it"
        return ""

    def replace(self, base: str, new: str, patience: float) -> FileText:
        """Put a new text where the one with revision `base` is; owner, mode and attributes stay.

        patience: seconds to wait for another of us. Raises ChangedError when it has changed, and
        PlaneError when it cannot be written; the old one is then still there.
        """
        problem = self.problem_of_writing()
        if problem:
            raise PlaneError(problem)
        with self._locked(patience) as number:
            if self._text(number).revision != base:
                raise ChangedError(f"{self.shown} has changed meanwhile")
            try:
                self._put(number, new.encode())
            except OSError as error:
                raise PlaneError(f"cannot write {self.shown}: {_said(error)}") from None
        return FileText(new, _digest(new.encode()))

    # --- reading -----------------------------------------------------------------------------

    def _open(self) -> int:
        try:
            # without O_NONBLOCK a pipe would hold us until somebody writes into it
            number = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise PlaneError(f"cannot read {self.shown}: {_said(error)}") from None
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise PlaneError(f"{self.shown} is no file; give the path of one")
        return number

    def _text(self, number: int) -> FileText:
        try:
            taken = bytearray()
            while piece := os.pread(number, LARGEST_FILE + 1 - len(taken), len(taken)):
                taken += piece
        except OSError as error:
            raise PlaneError(f"cannot read {self.shown}: {_said(error)}") from None
        if len(taken) > LARGEST_FILE:
            raise PlaneError(f"{self.shown} is larger than {LARGEST_FILE // 2**20} MiB")
        try:
            return FileText(taken.decode("utf-8"), _digest(bytes(taken)))
        except UnicodeDecodeError:
            raise PlaneError(f"{self.shown} is no UTF-8 text") from None

    # --- writing -----------------------------------------------------------------------------

    @contextmanager
    def _locked(self, patience: float) -> Iterator[int]:
        """The file as it is, while nobody else of us can replace it."""
        deadline = time.monotonic() + patience
        while True:
            number = self._open()
            try:
                if self._takes(number) and self._is_here(number):
                    yield number
                    return
            finally:
                os.close(number)
            if time.monotonic() > deadline:
                raise PlaneError(f"{self.shown} is locked by another process; try again")
            time.sleep(_WAIT_S)

    def _takes(self, number: int) -> bool:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise PlaneError(f"cannot lock {self.shown}: {_said(error)}") from None
        return True

    def _is_here(self, number: int) -> bool:
        """Whether it has not been replaced while we waited for its lock."""
        try:
            here = self.path.stat()
        except OSError:
            return False
        held = os.fstat(number)
        return (here.st_dev, here.st_ino) == (held.st_dev, held.st_ino)

    def _put(self, old: int, body: bytes) -> None:
        # its end is not the file's, or Traefik would take it for one of a watched folder
        beside = self.path.parent / f".{self.path.name}.{secrets.token_hex(4)}.modelwatch"
        number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                _keep_attributes(old, number)
                with open(number, "wb", closefd=False) as file:
                    file.write(body)
                os.fsync(number)
            finally:
                os.close(number)
            os.replace(beside, self.path)  # noqa: PTH105 - says what it does
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # it is in its place: that a crash may still lose it is no reason to say it is not
            with contextlib.suppress(OSError):
                os.fsync(folder)
        finally:
            os.close(folder)


def _keep_attributes(old: int, new: int) -> None:
    """Owner, mode and attributes (access lists, labels). Raises OSError when the first cannot."""
    held = os.fstat(old)
    made = os.fstat(new)
    if (held.st_uid, held.st_gid) != (made.st_uid, made.st_gid):
        os.fchown(new, held.st_uid, held.st_gid)
    os.fchmod(new, stat.S_IMODE(held.st_mode))
    if not hasattr(os, "listxattr"):  # which only Linux has
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(old):
            with contextlib.suppress(OSError):
                os.setxattr(new, name, os.getxattr(old, name))


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()[:32]}"


def _said(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno == errno.EBUSY:
        return "it is mounted by itself; mount its folder, or change it where it comes from"
    return clean(getattr(error, "strerror", None) or error, 200)
