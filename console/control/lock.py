"""One process at a time changes a deployment's traffic. The lock ends with its process."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from collectors.text import clean
from console.control.errors import LockedError
from console.control.own_file import locked, open_own
from console.control.who import Who

__all__ = ["TargetLock"]

_LONGEST = 2_000


class TargetLock:
    """Held while a deployment's traffic is changed, by all who go by the same audit.

    wait_s: how long another holder is waited for. Entering raises LockedError, which names who
    holds it.
    """

    def __init__(
        self, audit: Path, deployment: str, by: Who, since: datetime, wait_s: float = 0.0
    ) -> None:
        mark = hashlib.sha256(deployment.encode("utf-8", "replace")).hexdigest()[:12]
        self.path = audit.with_name(f"{audit.name}.{mark}.lock")
        self._deployment = deployment
        self._holder = {
            "who": str(by),
            "program": by.program,
            "pid": os.getpid(),
            "since": since.astimezone(UTC).isoformat(timespec="seconds"),
        }
        self._wait_s = wait_s
        self._held = ExitStack()

    def __enter__(self) -> Self:
        try:
            with ExitStack() as stack:
                number = open_own(self.path, write=True)
                stack.callback(os.close, number)
                try:
                    stack.enter_context(locked(number, self._wait_s))
                except BlockingIOError as error:
                    raise LockedError(self._message(number)) from error
                stack.callback(_say, number, b"")
                _say(number, json.dumps(self._holder).encode())
                self._held = stack.pop_all()
        except OSError as error:
            why = error.strerror or str(error)
            raise LockedError(
                f"the lock {self.path} cannot be taken: {why}; nothing was changed"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()

    def _message(self, number: int) -> str:
        """Who is in the way, as it wrote into the file; it may be just about to."""
        holder, hint = "another process", ""
        with suppress(OSError, ValueError, ArithmeticError, LookupError, TypeError, RecursionError):
            found = json.loads(os.pread(number, _LONGEST, 0))
            holder = (
                f"{clean(found['who'])} (modelwatch {clean(found['program'], 20)}, process "
                f"{int(found['pid'])}, since {clean(found['since'], 40)})"
            )
            hint = f"; if it hangs, end it: kill {int(found['pid'])}"
        return (
            f"{holder} is changing the traffic of {clean(self._deployment)}; nothing was changed"
            f"{hint}"
        )


def _say(number: int, text: bytes) -> None:
    """Who holds it; only for the message, so a full disk is no matter."""
    with suppress(OSError):
        os.ftruncate(number, 0)
        os.write(number, text)
