"""Files that commands write: whole or not at all, never over another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from console.errors import UsageError

__all__ = ["new_file"]


@contextmanager
def new_file(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A place to write at, which becomes `path` when all went well; for its owner only.

    Raises UsageError when there is a file already (unless `replace`) or none can be written.
    """
    if path.exists() and not replace:
        raise UsageError(f"{path} is there already; give another name")
    place = path.with_name(f".{path.name[:100]}.{uuid4().hex[:8]}")
    try:
        with place.open("xb"):
            place.chmod(0o600)
        yield place
        with place.open("rb+") as file:
            os.fsync(file.fileno())
        if path.exists() and not replace:  # someone was faster
            raise UsageError(f"{path} is there already; give another name")
        place.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            place.unlink()
