"""Errors of the collectors, each with what failed and what to do.

    CollectorError
    +-- SourceError      a file, folder or server could not be read
    +-- FormatError      the bytes are not what the configuration says
    +-- StoreError       the DuckDB file cannot be used
    |   +-- StoreBusy    another process owns it
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
]


class CollectorError(Exception):
    """Root of all expected failures: one sentence and, where there is one, what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint


class SourceError(CollectorError):
    """A file, folder or server could not be read."""


class FormatError(CollectorError):
    """The bytes are not what the configuration says they are."""


class StoreError(CollectorError):
    """The store cannot be used."""


class StoreBusyError(StoreError):
    """Another process owns the store."""


class ContractError(CollectorError):
    """The configuration and the data do not fit together."""
