"""Errors of the collectors, each with what failed and what to do.

    CollectorError
    +-- SourceError      a file, folder or server could not be read
    +-- FormatError      the bytes are not what the configuration says
    +-- StoreError       the DuckDB file cannot be used
    |   +-- StoreBusy    another process owns it
    |   +-- StoreGone    the process that answered for it has ended
    +-- ContractError    the configuration and the data do not fit together

Only `console.cli` turns them into exit codes.
"""

from __future__ import annotations

__all__ = [
    "CollectorError",
    "ContractError",
    "FormatError",
    "SourceError",
    "StoreBusyError",
    "StoreError",
    "StoreGoneError",
]


class CollectorError(Exception):
    """Root of all expected failures: one sentence and, where there is one, what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint


class SourceError(CollectorError):
    """A file, folder or server could not be read.

    retry_after: seconds that it asked to wait. partial: all else of it was read, so that there is
    no reason to ask less often.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        retry_after: float | None = None,
        partial: bool = False,
    ) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after
        self.partial = partial


class FormatError(CollectorError):
    """The bytes are not what the configuration says they are."""


class StoreError(CollectorError):
    """The store cannot be used."""


class StoreBusyError(StoreError):
    """Another process owns the store."""


class StoreGoneError(StoreError):
    """Who owned the store and answered for it has ended, or it must be opened anew."""


class ContractError(CollectorError):
    """The configuration and the data do not fit together."""
