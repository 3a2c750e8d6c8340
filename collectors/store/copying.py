"""A whole copy of a store: for a backup, and to give the room of deleted rows back to the disk.

Everything is read in one transaction, so the copy is of one moment, whoever writes meanwhile, and
it is compared with it, table by table, before it counts.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from glob import escape
from pathlib import Path
from uuid import uuid4

import duckdb

from collectors.errors import StoreError
from collectors.store.database import Cursor, Database, StoreSettings
from collectors.store.names import quote, text
from collectors.store.retention import used_bytes
from collectors.store.troubles import open_trouble, trouble_of

__all__ = ["copy_file", "copy_store", "vacuum"]

_SPARE = 64 * 1024 * 1024
"""Bytes that must stay free on the disk besides the copy."""


def copy_store(database: Database, target: Path) -> None:
    """Write a copy of a store that is open for writing to a file that is not there yet.

    Raises StoreError when the disk has too little room or the copy is not whole; then there is no
    file.
    """
    if database.path is None:
        raise StoreError("a store in memory has no file to copy")
    _room(used_bytes(database.connection), target)
    cursor = database.cursor()
    try:
        own = cursor.execute("SELECT current_database()").fetchall()[0][0]
        _copy(cursor, own, target)
    finally:
        cursor.close()


def copy_file(path: Path, settings: StoreSettings, target: Path) -> None:
    """The same of a store that nobody has open; it is only read.

    Raises StoreBusyError when somebody writes to it.
    """
    with Database(path, settings, read_only=True) as database:  # says why where it cannot be
        _room(used_bytes(database.connection), target)
    with Database(None, settings) as between:  # one that is opened to read attaches none to write
        name = f"store_{uuid4().hex}"
        try:
            between.connection.execute(f"ATTACH {text(str(path))} AS {name} (READ_ONLY)")
        except duckdb.Error as error:
            raise open_trouble(path, error) from error
        _copy(between.connection, name, target)


def vacuum(path: Path, settings: StoreSettings) -> tuple[int, int]:
    """Replace a store's file by a copy without free blocks; its size before and after, in bytes.

    The old file stays until the copy is whole. Raises StoreBusyError when the store is in use,
    StoreError when the disk has too little room.
    """
    path = path.resolve()  # a link to a store stays one
    with Database(path, settings) as database:
        _tidy(path)
        place = path.with_name(f".{path.name[:100]}.{uuid4().hex[:8]}")
        database.connection.execute("CHECKPOINT")
        before = path.stat()
        copy_store(database, place)
        try:
            wal = path.with_name(path.name + ".wal")
            if wal.exists() and wal.stat().st_size:  # it would be taken for that of the copy
                raise StoreError(f"the store {path} was written to meanwhile", "try it again")
            place.chmod(before.st_mode & 0o7777)
            with suppress(OSError):
                os.chown(place, before.st_uid, before.st_gid)
            # while the old one is still locked: nobody can have written to it
            place.replace(path)
        except OSError as error:
            raise StoreError(f"cannot replace {path}: {error.strerror or error}") from error
        finally:
            _remove(place)
    _keep_folder(path.parent)
    return before.st_size, path.stat().st_size


def _tidy(path: Path) -> None:
    """Remove what a killed run left; whoever has the store open is the only one that copies it."""
    for left in path.parent.glob(f".{escape(path.name[:100])}.*"):
        if re.fullmatch(r"[0-9a-f]{8}(\.wal)?", left.name.removeprefix(f".{path.name[:100]}.")):
            with suppress(OSError):
                left.unlink()


def _copy(cursor: Cursor, own: str, target: Path) -> None:
    """Copy an attached database to a file; nothing of it is left when that fails."""
    name = f"copy_{uuid4().hex}"
    try:
        cursor.execute(f"ATTACH {text(str(target))} AS {name}")
        try:
            _copy_whole(cursor, own, name)
        finally:
            with suppress(duckdb.Error):
                cursor.execute(f"DETACH {name}")
        with target.open("rb") as file:
            os.fsync(file.fileno())
    except (duckdb.Error, OSError) as error:
        _remove(target)
        raise trouble_of(f"cannot copy the store to {target}", error) from error
    except BaseException:
        _remove(target)
        raise


def _copy_whole(cursor: Cursor, own: str, name: str) -> None:
    cursor.execute("BEGIN TRANSACTION")
    try:
        wanted = _counts(cursor, own)
        cursor.execute(f"COPY FROM DATABASE {quote(own)} TO {name}")
        cursor.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):
            cursor.execute("ROLLBACK")
        raise
    found = _counts(cursor, name)
    if found != wanted or _kinds(cursor, name) != _kinds(cursor, own):
        table = next((t for t in {**wanted, **found} if wanted.get(t) != found.get(t)), "")
        raise StoreError(f"the copy of the store is not whole ({table})", "try it again")
    cursor.execute(f"CHECKPOINT {name}")


def _counts(cursor: Cursor, database: str) -> Mapping[str, int]:
    """Rows by table."""
    tables = cursor.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY ALL",
        [database],
    ).fetchall()
    found = {}
    for schema, table in tables:
        name = f"{quote(schema)}.{quote(table)}"
        sql = f"SELECT count(*) FROM {quote(database)}.{name}"
        found[name] = int(cursor.execute(sql).fetchall()[0][0])
    return found


def _kinds(cursor: Cursor, database: str) -> list[tuple[object, ...]]:
    """Columns, keys and sequences."""
    return [
        row
        for sql in (
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = ? AND NOT internal ORDER BY ALL",
            "SELECT schema_name, table_name, constraint_type, constraint_text "
            "FROM duckdb_constraints() WHERE database_name = ? ORDER BY ALL",
            "SELECT schema_name, sequence_name, 0, 0 FROM duckdb_sequences() "
            "WHERE database_name = ? ORDER BY ALL",
        )
        for row in cursor.execute(sql, [database]).fetchall()
    ]


def _room(wanted: int, target: Path) -> None:
    try:
        free = shutil.disk_usage(target.resolve().parent).free
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error
    if free < wanted + _SPARE:
        raise StoreError(
            f"the copy needs {(wanted + _SPARE) / 1e6:,.0f} MB and the disk of {target} has "
            f"{free / 1e6:,.0f} MB",
            "make room, or write a backup to another disk with `modelwatch store backup FILE`",
        )


def _remove(path: Path) -> None:
    for each in (path, path.with_name(path.name + ".wal")):
        with suppress(OSError):
            each.unlink()


def _keep_folder(folder: Path) -> None:
    """Have the new name on the disk too."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
