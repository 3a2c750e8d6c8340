"""What a store holds and how large it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from collectors.errors import StoreError
from collectors.store.database import Cursor, Database
from collectors.store.names import quote, schema_of, text

__all__ = ["DeploymentInfo", "Gap", "StoreInfo", "TableInfo", "store_info"]


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table: of a deployment or of all ("main"), its rows, and bytes of the blocks it is in."""

    of: str
    name: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Gap:
    """What retention deleted: nothing of `what` is left before a moment. Times are naive UTC."""

    what: str
    before: datetime
    at: datetime
    n: int


@dataclass(frozen=True, slots=True)
class DeploymentInfo:
    """A deployment: predictions that were counted, raw rows that are here, and of which times.

    first, last: newest and oldest raw row, naive UTC. unbuilt: hours whose rollups wait.
    """

    name: str
    task: str
    n: int
    n_raw: int
    first: datetime | None
    last: datetime | None
    unbuilt: int
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """A store file: bytes of the file, of its log (.wal), and of blocks in use and free."""

    path: str
    schema_version: int
    bytes: int
    wal_bytes: int
    used_bytes: int
    free_bytes: int
    batches: int
    first_batch: datetime | None
    last_batch: datetime | None
    quarantine: int
    deployments: tuple[DeploymentInfo, ...]
    tables: tuple[TableInfo, ...]


def store_info(database: Database) -> StoreInfo:
    """Look at an open store. Bytes of tables are of whole blocks, which small tables share."""
    cursor = database.cursor()
    try:
        block, used, free = cursor.execute(
            "SELECT block_size, used_blocks, free_blocks FROM pragma_database_size() "
            "WHERE database_name = current_database()"
        ).fetchall()[0]
        version = cursor.execute("SELECT max(version) FROM store_schema").fetchall()[0][0]
        batches = cursor.execute(
            "SELECT count(*), min(loaded_at), max(loaded_at) FROM batches"
        ).fetchall()[0]
        quarantine = cursor.execute("SELECT count(*) FROM quarantine").fetchall()[0][0]
        path = database.path
        wal = path.with_name(path.name + ".wal") if path is not None else None
        return StoreInfo(
            path=str(path) if path is not None else "",
            schema_version=int(version),
            bytes=path.stat().st_size if path is not None else 0,
            wal_bytes=wal.stat().st_size if wal is not None and wal.exists() else 0,
            used_bytes=block * used,
            free_bytes=block * free,
            batches=batches[0],
            first_batch=batches[1],
            last_batch=batches[2],
            quarantine=quarantine,
            deployments=tuple(_deployments(cursor)),
            tables=tuple(_tables(cursor, block)),
        )
    except (duckdb.Error, OSError) as error:
        raise StoreError(f"cannot look at the store {database.path}: {error}") from error
    finally:
        cursor.close()


def _deployments(cursor: Cursor) -> list[DeploymentInfo]:
    rows = cursor.execute("SELECT deployment, task FROM deployments ORDER BY ALL").fetchall()
    found = []
    for name, task in rows:
        schema = schema_of(name)
        n, unbuilt = cursor.execute(
            "SELECT CAST(coalesce(sum(n), 0) AS BIGINT), count(*) FILTER (NOT built) "
            f"FROM {schema}.buckets"
        ).fetchall()[0]
        n_raw, first, last = cursor.execute(
            f"SELECT count(*), min(ts), max(ts) FROM {schema}.predictions"
        ).fetchall()[0]
        gaps = _gaps(cursor, name)
        found.append(DeploymentInfo(name, task, n, n_raw, first, last, unbuilt, gaps))
    return found


def _gaps(cursor: Cursor, deployment: str) -> tuple[Gap, ...]:
    try:
        rows = cursor.execute(
            "SELECT what, before, at_time, n FROM retained WHERE deployment = ? ORDER BY what",
            [deployment],
        ).fetchall()
    except duckdb.CatalogException:  # a store of an older release
        return ()
    return tuple(Gap(*row) for row in rows)


def _tables(cursor: Cursor, block: int) -> list[TableInfo]:
    rows = cursor.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() "
        "WHERE database_name = current_database() ORDER BY ALL"
    ).fetchall()
    found = []
    for schema, table in rows:
        name = f"{quote(schema)}.{quote(table)}"
        n = cursor.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
        blocks = cursor.execute(
            f"SELECT count(DISTINCT block_id) FROM pragma_storage_info({text(name)}) "
            "WHERE persistent AND block_id >= 0"
        ).fetchall()[0][0]
        of = schema.removeprefix("deployment ") if schema != "main" else "main"
        found.append(TableInfo(of, table, n, blocks * block))
    return found
