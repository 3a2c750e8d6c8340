"""The DuckDB file: opening, settings, transactions, migrations.

A file has one owner (a read-write process) or several readers, never both; DuckDB refuses the
second one, and that refusal becomes a sentence here. One cursor per thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from collectors.errors import StoreError
from collectors.store.troubles import is_of_disk, open_trouble, trouble_of

__all__ = ["Cursor", "Database", "StoreSettings", "count", "read_sql", "temp_table"]

Cursor = duckdb.DuckDBPyConnection
SCHEMA_VERSION = 4


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Limits of the database engine. memory_limit as DuckDB writes it, threads 0: all cores."""

    memory_limit: str = "1GB"
    threads: int = 0
    temp_directory: str = ""


def read_sql(name: str, **parts: str) -> str:
    """A statement from `sql/`, with `{part}` replaced by SQL that this package made."""
    sql = _written(name)
    for key, value in parts.items():
        sql = sql.replace("{" + key + "}", value)
    return sql


@cache
def _written(name: str) -> str:
    return resources.files("collectors.store").joinpath("sql", name).read_text(encoding="utf-8")


def temp_table(cursor: Cursor, name: str, sql: str) -> None:
    """Keep the rows of a SELECT in a temporary table, in place of an older one of that name."""
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")


def count(cursor: Cursor, table: str) -> int:
    """How many rows a table of ours has."""
    return int(cursor.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


class Database:
    """An open store file. Close it, or use it as a context manager.

    A store that is only read is read by one thread unless the settings say more: sums of floats
    are then the same to the last digit each time, and rollups are small.

    Raises StoreBusyError when another process owns the file, StoreError when it is no store or a
    newer one.
    """

    def __init__(
        self, path: Path | None, settings: StoreSettings | None = None, *, read_only: bool = False
    ) -> None:
        self.path = path
        self.read_only = read_only
        settings = settings or StoreSettings()
        config: dict[str, Any] = {
            "memory_limit": settings.memory_limit,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        if threads := settings.threads or (1 if read_only else 0):
            config["threads"] = threads
        if settings.temp_directory:
            config["temp_directory"] = settings.temp_directory
        try:
            if path is not None and not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = duckdb.connect(
                str(path) if path else ":memory:", read_only=read_only, config=config
            )
        except duckdb.Error as error:
            raise open_trouble(path, error) from error
        except OSError as error:
            raise trouble_of(f"cannot make the folder of the store {path}", error) from error
        # every comparison is in UTC, whatever the host's zone is
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET preserve_insertion_order = true")
        # a checkpoint costs as much as a refresh: rather every dozen of them than every third; a
        # store that was not closed then takes some 0.3 s longer to open
        self.connection.execute("SET checkpoint_threshold = '64MB'")
        try:
            self._migrate()
        except duckdb.Error as error:
            self.connection.close()
            raise trouble_of(f"cannot use {path} as a store", error) from error
        except StoreError:
            self.connection.close()
            raise

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what is committed is safe."""
        with suppress(duckdb.Error):
            self.connection.close()

    def cursor(self, parent: Cursor | None = None) -> Cursor:
        """A cursor for another thread; it shares the file, not the temporary tables.

        parent: the cursor to make it of, which must be idle; None: the store's own.
        """
        cursor = (parent or self.connection).cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def beside(self, parent: Cursor) -> Database:
        """The same open file for another thread, by a cursor made of an idle one; close it."""
        other = object.__new__(Database)
        other.path, other.read_only = self.path, self.read_only
        other.connection = self.cursor(parent)
        return other

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Commit all of it or nothing. Raises StoreError when the disk is full or read-only."""
        try:
            self.connection.execute("BEGIN TRANSACTION")
            try:
                yield self.connection
            except BaseException:
                with suppress(duckdb.Error):
                    self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")
        except duckdb.Error as error:
            if not is_of_disk(error):
                raise
            raise trouble_of(f"cannot write to the store {self.path}", error) from error

    def _migrate(self) -> None:
        tables = self.connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'main' "
            "AND table_name = 'store_schema'"
        ).fetchall()
        if tables[0][0]:
            found = self.connection.execute("SELECT max(version) FROM store_schema").fetchall()
            version = int(found[0][0])
        else:
            version = 0
            self._refuse_strangers()
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} was written by a newer modelwatch (schema {version}, "
                f"this one knows {SCHEMA_VERSION})",
                "upgrade modelwatch or use another store",
            )
        if version == SCHEMA_VERSION or self.read_only:
            return
        with self.transaction() as cursor:
            if version == 0:
                cursor.execute("CREATE TABLE store_schema (version INTEGER NOT NULL)")
            for number in range(version + 1, SCHEMA_VERSION + 1):
                cursor.execute(read_sql(f"migrations/{_migration(number)}"))
                cursor.execute("INSERT INTO store_schema VALUES (?)", [number])
        self.connection.execute("CHECKPOINT")

    def _refuse_strangers(self) -> None:
        """A database of someone else is not ours to write to; nor is there anything to read."""
        others = self.connection.execute(
            "SELECT count(*) FROM information_schema.tables "
            "WHERE table_catalog = current_database()"
        ).fetchall()[0][0]
        if others or self.read_only:
            raise StoreError(
                f"{self.path} is a DuckDB file but no modelwatch store",
                "give the right file with --store",
            )


def _migration(number: int) -> str:
    folder = resources.files("collectors.store").joinpath("sql", "migrations")
    return next(f.name for f in folder.iterdir() if f.name.startswith(f"{number:04d}_"))
