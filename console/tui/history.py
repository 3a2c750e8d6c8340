"""Queries that were typed before, kept in a file of the user's own."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

__all__ = ["History"]

_MOST = 200
_LARGEST = 4 * 1024 * 1024


class History:
    """One query a line, as JSON; without a file only those of this session."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._queries: list[str] | None = None

    @property
    def queries(self) -> list[str]:
        """The oldest first."""
        if self._queries is None:
            self._queries = self._read()
        return self._queries

    def add(self, query: str) -> None:
        """Remember a query; one that cannot be kept is remembered for this session."""
        if self.queries and self.queries[-1] == query:
            return
        self.queries.append(query)
        if self._path is None:
            return
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            with os.fdopen(os.open(self._path, flags, 0o600), "a", encoding="utf-8") as file:
                file.write(json.dumps(query) + "\n")

    def _read(self) -> list[str]:
        found: list[str] = []
        with suppress(OSError, ValueError):
            if self._path is not None and self._path.stat().st_size <= _LARGEST:
                for line in self._path.read_text(encoding="utf-8").splitlines()[-_MOST:]:
                    query = json.loads(line)
                    if isinstance(query, str):
                        found.append(query)
        return found
