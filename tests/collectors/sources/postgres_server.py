"""A real PostgreSQL for tests: Debian's, in a folder of its own, on a free port, with passwords.

It runs as another user where the tests run as root, dies with the tests, and is ended by its id.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as adbc

__all__ = ["PASSWORD", "PostgresServer", "ServedByPostgres", "server"]

PASSWORD = "p@ss/w0rd:%4711"  # noqa: S105 - every sign of it means something in an address
ESCAPED = "p%40ss%2Fw0rd%3A%254711"
USER, READER = "mw", "reader"
READY = "database system is ready to accept connections"
TYPES = {
    "id": "text",
    "ts": "timestamptz",
    "received": "timestamptz",
    "event": "timestamptz",
    "predicted": "integer",
    "plain": "integer",
    "label": "integer",
    "score": "double precision",
    "x": "double precision",
    "latency": "numeric",
    "cost": "numeric(12,4)",
}


def binaries() -> Path:
    """Where the newest installed version is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise RuntimeError("PostgreSQL is not installed; as root: apt-get install postgresql")
    return found[-1].parent


class PostgresServer:
    """One cluster. It can be stopped, killed and started again on the same port."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="modelwatch-pg-", dir="/tmp"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self._as: list[str] = ["setpriv", "--pdeathsig=KILL"]
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            os.chown(password, user.pw_uid, user.pw_gid)
            self._as += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
        self.data = self.folder / "data"
        self._run(
            "initdb",
            "-D",
            self.data,
            "-A",
            "scram-sha-256",
            "-U",
            USER,
            "-N",
            f"--pwfile={password}",
            "-E",
            "UTF8",
            "--locale=C",
        )
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def _run(self, command: str, *arguments: object) -> None:
        written = [*self._as, str(binaries() / command), *map(str, arguments)]
        subprocess.run(written, check=True, capture_output=True, cwd="/", timeout=60)

    def start(self) -> None:
        """Start it and wait until it answers; does nothing when it runs."""
        if self._process is not None:
            return
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "timezone": "Asia/Kathmandu",  # must not matter
        }
        chosen = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        process = subprocess.Popen(
            [*self._as, str(binaries() / "postgres"), "-D", str(self.data), *chosen],
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
        ready = threading.Event()
        said: list[str] = []

        def listen() -> None:
            with process.stderr as stream:  # type: ignore[union-attr]
                for line in stream:
                    said.append(line)
                    if READY in line:
                        ready.set()

        self._listener = threading.Thread(target=listen, daemon=True)
        self._listener.start()
        assert ready.wait(60), said
        self._process = process

    def stop(self, how: int = signal.SIGINT) -> None:
        """End it. how: SIGINT breaks off its clients, SIGQUIT is a crash."""
        if self._process is not None:
            os.kill(self._process.pid, how)
            self._process.wait(60)
            self._listener.join(60)
            self._process = None

    def close(self) -> None:
        """End it and delete its files."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def uri(self, database: str = "postgres", user: str = USER, password: str = ESCAPED) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", *, autocommit: bool = True) -> Any:
        return adbc.connect(self.uri(database), autocommit=autocommit)

    def execute(self, sql: str, database: str = "postgres") -> None:
        """Statements, each in a transaction of its own."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(sql)


@cache
def server() -> PostgresServer:
    """The one of this test run."""
    made = PostgresServer()
    atexit.register(made.close)
    return made


_NUMBERS = count(1)


class ServedByPostgres:
    """Two tables of a database of its own; see `Served` in test_pulled.py."""

    secrets: Sequence[str] = (PASSWORD, ESCAPED)

    def __init__(self) -> None:
        self.server = server()
        self.database = f"served{next(_NUMBERS)}"
        self.server.execute(f"CREATE DATABASE {self.database}")
        self.environment: Mapping[str, str] = {"SERVED_DB": self.server.uri(self.database)}
        self._create(
            "predictions", "id,ts,model,latency,cost,error,x,colour,shop,score,predicted,plain"
        )
        self._create("labels", "id,label,received,event,by")

    def _create(self, table: str, columns: str) -> None:
        typed = ", ".join(f'"{c}" {TYPES.get(c, "text")}' for c in columns.split(","))
        self.execute(f"CREATE TABLE {table} ({typed})")

    def execute(self, sql: str) -> None:
        self.server.execute(sql, self.database)

    def source(self, kind: str) -> dict[str, Any]:
        watermark = {"predictions": "ts", "labels": "received"}[kind]
        return {
            "driver": "postgresql",
            "uri_env": "SERVED_DB",
            "sql": f"SELECT * FROM {kind} -- all of them",
            "watermark": watermark,
        }

    def add(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
        with self.server.connect(self.database, autocommit=False) as connection:
            add(connection, kind, rows)
            connection.commit()

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def close(self) -> None:
        self.server.start()
        self.server.execute(f"DROP DATABASE {self.database} WITH (FORCE)")


def add(connection: Any, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, whose values are texts, numbers or None."""
    with connection.cursor() as cursor:
        for row in rows:
            names = ", ".join(f'"{name}"' for name in row)
            values = ", ".join(_literal(value) for value in row.values())
            cursor.execute(f"INSERT INTO {kind} ({names}) VALUES ({values})")


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return (
        str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"
    )
