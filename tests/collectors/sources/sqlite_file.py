"""A SQLite file as a source, for tests."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["ServedBySqlite"]

TABLES = {
    "predictions": "id TEXT, ts TEXT, model TEXT, latency REAL, cost REAL, error TEXT, x REAL, "
    "colour TEXT, shop TEXT, score REAL, predicted INTEGER, plain INTEGER",
    "labels": "id TEXT, label INTEGER, received TEXT, event TEXT, by TEXT",
}
TIMES = {"predictions": "ts", "labels": "received"}


class ServedBySqlite:
    """Two tables; see `Served` in test_pulled.py."""

    secrets: Sequence[str] = ()

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="modelwatch-sqlite-")
        self.path = Path(self._folder.name) / "served #1?.db"  # an address of its own kind
        self.environment: Mapping[str, str] = {"SERVED_DB": str(self.path)}
        for table, columns in TABLES.items():
            self.execute(f"CREATE TABLE {table} ({columns})")

    def execute(self, sql: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(sql, values)
            connection.commit()

    def source(self, kind: str) -> dict[str, Any]:
        return {
            "driver": "sqlite",
            "uri_env": "SERVED_DB",
            "sql": f"SELECT *, unixepoch({TIMES[kind]}) AS mark FROM {kind};",
            "watermark": "mark",
        }

    def add(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            for row in rows:
                names = ", ".join(f'"{name}"' for name in row)
                places = ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT INTO {kind} ({names}) VALUES ({places})", list(row.values())
                )
            connection.commit()

    def stop(self) -> None:
        self.path.rename(self.path.with_name("away"))

    def start(self) -> None:
        self.path.with_name("away").rename(self.path)

    def close(self) -> None:
        self._folder.cleanup()
