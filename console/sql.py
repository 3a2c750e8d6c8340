"""SQL on an open store: read only, without files or network, limited in rows and time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb
import polars as pl

from collectors.contract import Deployment
from collectors.store.database import Database
from collectors.store.logged_views import LoggedView, create_views
from console.errors import ConsoleError, UsageError

__all__ = ["LIMIT", "TIMEOUT_S", "SqlDesk", "SqlError", "SqlResult", "SqlStoppedError"]

LIMIT = 1_000
TIMEOUT_S = 60.0
_LONGEST_QUERY = 100_000

_HARDENING = (
    "SET temp_directory = ''",
    "SET allowed_directories = []",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
"""In this order: the last one forbids any other. Without a folder for it nothing is spilled."""


class SqlError(ConsoleError):
    """A query that could not be answered, in a sentence."""


class SqlStoppedError(SqlError):
    """A query that was stopped, by its time or because nobody wants the answer any more."""


@dataclass(frozen=True, slots=True)
class SqlResult:
    """What a query gave. more: whether rows beyond the limit were left out. seconds: it took."""

    query: str
    frame: pl.DataFrame
    more: bool
    seconds: float

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.frame.columns)

    def records(self) -> list[dict[str, Any]]:
        """Rows as JSON can hold them."""
        return [{k: _plain(v) for k, v in row.items()} for row in self.frame.iter_rows(named=True)]


class SqlDesk:
    """Takes queries on a store that nobody writes to; for one thread, but for `interrupt`.

    It locks the engine's configuration: whoever else has the store open in this process must have
    made his cursor before.
    """

    def __init__(self, database: Database, deployments: tuple[Deployment, ...]) -> None:
        if not database.read_only:
            raise SqlError("SQL is for stores that are only read")
        self._cursor = database.cursor()
        self.views: tuple[LoggedView, ...] = create_views(self._cursor, deployments)
        for setting in _HARDENING:
            self._cursor.execute(setting)

    def run(self, query: str, limit: int = LIMIT, timeout: float = TIMEOUT_S) -> SqlResult:
        """The first `limit` rows. Raises SqlError in a sentence."""
        select = _checked(query)
        began = time.monotonic()
        with self._limited(timeout):
            relation = self._cursor.sql(f"SELECT * FROM ({select}\n) LIMIT {limit + 1}")  # noqa: S608
            names = _distinct(relation.columns)
            frame = pl.DataFrame(relation.project(_renamed(len(names))))
        frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
        seconds = time.monotonic() - began
        return SqlResult(query, frame.head(limit), frame.height > limit, seconds)

    def interrupt(self) -> None:
        """Stop the running query; callable from any thread."""
        with suppress(duckdb.Error):
            self._cursor.interrupt()

    def close(self) -> None:
        """Give the cursor back."""
        with suppress(duckdb.Error):
            self._cursor.close()

    @contextmanager
    def _limited(self, timeout: float) -> Iterator[None]:
        timer = threading.Timer(timeout, self.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except duckdb.InterruptException as error:
            raise SqlStoppedError("the query was stopped; --timeout gives it longer") from error
        except (duckdb.Error, pl.exceptions.PolarsError) as error:
            raise SqlError(_sentence(error)) from error
        except MemoryError as error:
            raise SqlError("the answer does not fit into memory") from error
        finally:
            timer.cancel()


def _checked(query: str) -> str:
    """The one statement of a query, which only reads. Raises SqlError."""
    text = query.strip().rstrip(";").strip()
    if not text:
        raise UsageError("there is no query; write one like: SELECT count(*) FROM predictions")
    if len(text) > _LONGEST_QUERY:
        raise SqlError("the query is too long")
    try:
        statements = duckdb.extract_statements(text)
    except duckdb.Error as error:
        raise SqlError(_sentence(error)) from error
    if len(statements) != 1:
        raise SqlError("one statement at a time")
    if statements[0].type is not duckdb.StatementType.SELECT:
        kind = str(statements[0].type).rpartition(".")[2]
        raise SqlError(f"the store is only read: {kind} is not for here; SELECT and DESCRIBE are")
    return text


def _distinct(columns: list[str]) -> list[str]:
    """Names that a frame can have: each once."""
    found: dict[str, None] = {}
    for column in columns:
        name, number = column or "column", 0
        while name in found:
            number += 1
            name = f"{column}_{number}"
        found[name] = None
    return list(found)


def _renamed(n: int) -> str:
    """Columns by place, as a frame takes them whatever they are called."""
    return ", ".join(f"#{i + 1} AS c{i}" for i in range(n))


def _sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [lines[0]] if lines else [type(error).__name__]
    kept += [line for line in lines[1:] if line.startswith(("Candidate", "Did you mean"))]
    return "; ".join(kept)[:500]


def _plain(value: Any) -> Any:
    """A value as JSON: times in ISO, what is no number null, the rest as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return str(value)
