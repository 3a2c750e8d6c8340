"""Databases through ADBC: how each is reached, how it writes names and times, what it says.

A connection only reads. Its address comes from the environment or a file, is read anew for each
connection, and is kept nowhere: what a driver says goes through `_Sentences` before anyone sees it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.parse import quote as percent

from collectors.durations import duration
from collectors.errors import SourceError
from collectors.source_settings import SqlDriver, SqlSource
from collectors.store.names import quote, text
from collectors.text import clean

__all__ = ["DRIVERS", "Connection", "Driver", "check", "connect"]

_CONNECT_S = 10
_STATEMENT_TIMEOUT = "10m"
_BATCH_BYTES = 4 * 1024 * 1024
_LONGEST_ADDRESS = 64 * 1024
_SHORTEST_SECRET = 3  # taking a shorter one out of sentences would spell it


class _UnusableError(Exception):
    """What the environment holds is no address; said in our words, which quote nothing of it."""


class Address(NamedTuple):
    """What a driver's `connect` takes, which parts of it are secret, and the file it is in."""

    uri: str
    options: Mapping[str, str]
    secrets: Sequence[str]
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """A database.

    module: its ADBC driver. zoned, naive: a time with and without a zone as SQL, {} is `YYYY-MM-DD
    HH:MM:SS.ffffff`, in UTC. address: from what the environment holds; raises ValueError or
    _UnusableError. begin: what is executed first. statement: options of each statement. untyped:
    columns have no types.
    """

    module: str
    address: Callable[[str, SqlSource, Path], Address]
    zoned: str = "CAST('{}+00:00' AS TIMESTAMP WITH TIME ZONE)"
    naive: str = "TIMESTAMP '{}'"
    name: Callable[[str], str] = quote
    begin: Callable[[SqlSource], Sequence[str]] = lambda _: ()
    statement: Mapping[str, str] | None = None
    untyped: bool = False
    takes_uri: bool = True
    takes_options: bool = True
    in_transaction: bool = False


# -- PostgreSQL ------------------------------------------------------------------------------------

_PATIENCE = {
    "connect_timeout": str(_CONNECT_S),
    "keepalives_idle": "30",
    "tcp_user_timeout": "60000",
    "application_name": "modelwatch",
}
_PAIR = re.compile(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s']*)(?:\s+|$)")
_ESCAPES = "special characters of a password are written as %40 and the like"
_UNREADABLE = f"it is not like postgresql://user:password@host:5432/database; {_ESCAPES}"


def _postgresql(written: str, _: SqlSource, __: Path) -> Address:
    """A URI or libpq's `key=value` pairs, with time limits where it has none."""
    if not re.match(r"postgres(ql)?://", written):
        pairs = dict(_PAIR.findall(written))
        if not pairs or _PAIR.sub("", written).strip():
            raise _UnusableError(_UNREADABLE)
        more = " ".join(f"{k}={v}" for k, v in _PATIENCE.items() if k not in pairs)
        password = pairs.get("password", "")
        plain = re.sub(r"\\(.)", r"\1", password[1:-1]) if password[:1] == "'" else password
        return Address(f"{written} {more}", {}, (password, plain))
    parts = urlsplit(written)
    if parts.port == 0 or parts.netloc.count("@") > 1 or "@" in parts.path or parts.fragment:
        raise _UnusableError(_UNREADABLE)
    given = parse_qs(parts.query, keep_blank_values=True)
    more = "&".join(f"{k}={v}" for k, v in _PATIENCE.items() if k not in given)
    passwords = [parts.password or "", *given.get("password", ())]
    uri = written + ("&" if parts.query else "?") + more
    return Address(uri, {}, (*passwords, *map(unquote, passwords)))


def _begin_postgresql(source: SqlSource) -> list[str]:
    """Settings for this transaction only, so that a pooled connection keeps none of them."""
    settings = {"statement_timeout": _STATEMENT_TIMEOUT, **source.options}
    said = []
    for name, value in settings.items():
        if not re.fullmatch(r"[A-Za-z_][\w.]*", name) or "read_only" in name.lower():
            raise SourceError(f"`options` of {source.shown} cannot set {name!r}")
        if name == "statement_timeout":
            try:
                value = f"{int(duration(value).total_seconds()) * 1000}"  # noqa: PLW2901
            except ValueError as error:
                raise SourceError(f"`statement_timeout` of {source.shown}: {error}") from None
        said.append(f"SET LOCAL {name} = {text(value)}")
    return [*said, "SET TRANSACTION READ ONLY"]  # last: a setting could undo it


# -- the others ------------------------------------------------------------------------------------


def _sqlite(written: str, source: SqlSource, base: Path) -> Address:
    """A path, relative to the configuration, or a file: URI; opened for reading only."""
    path, _, query = written.removeprefix("file:").partition("?")
    path = unquote(path) if written.startswith("file:") else written
    query = query if written.startswith("file:") else ""
    if source.options:
        raise _UnusableError("SQLite takes no `options`")
    place = base / Path(path).expanduser()
    kept = [part for part in query.split("&") if part and not part.startswith("mode=")]
    uri = f"file:{percent(str(place.absolute()))}?{'&'.join([*kept, 'mode=ro'])}"
    return Address(uri, {}, (), place)


def _snowflake(written: str, source: SqlSource, _: Path) -> Address:
    """user:password@account/database/schema?warehouse=..., as Snowflake's drivers write it."""
    login = written.rpartition("@")[0]
    query = parse_qs(written.partition("?")[2])
    secrets = [login.partition(":")[2], *(v for k in query for v in query[k] if _hides(k))]
    return Address(written, source.options, (*secrets, *map(unquote, secrets)))


def _bigquery(written: str, source: SqlSource, base: Path) -> Address:
    """A service account's JSON, the path of one, or `default`: where Google's tools look."""
    prefix = "adbc.bigquery.sql.auth"
    if written == "default":
        return Address("", {f"{prefix}_type": f"{prefix}_type.auth_bigquery", **source.options}, ())
    kind = "string" if written.startswith("{") else "file"
    held = written if kind == "string" else str((base / Path(written).expanduser()).absolute())
    if kind == "file" and not Path(held).is_file():
        raise _UnusableError("it is neither JSON of a service account, a file of it, nor `default`")
    chosen = {
        f"{prefix}_type": f"{prefix}_type.json_credential_{kind}",
        f"{prefix}_credentials": held,
    }
    inside = re.findall(r'"private_key(?:_id)?"\s*:\s*"([^"]+)"', written)
    return Address("", {**chosen, **source.options}, (held, *inside))


def _flightsql(written: str, source: SqlSource, _: Path) -> Address:
    """grpc+tls://user:password@host:port, or grpc+tls://:token@host:port."""
    parts = urlsplit(written)
    if parts.port == 0 or parts.scheme not in ("grpc", "grpc+tls", "grpc+tcp", "grpc+unix"):
        raise _UnusableError("it is no address like grpc+tls://user:password@host:port")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    options = dict(source.options)
    if user:
        options |= {"username": user, "password": password}
    elif password:
        options["adbc.flight.sql.authorization_header"] = f"Bearer {password}"
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return Address(bare, options, (password, parts.password or ""))


def _hides(key: str) -> bool:
    return bool(re.search(r"(?i)passw|token|key|secret", key))


def _backticks(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


DRIVERS: Mapping[SqlDriver, Driver] = {
    SqlDriver.POSTGRESQL: Driver(
        "adbc_driver_postgresql",
        _postgresql,
        zoned="TIMESTAMPTZ '{}+00'",
        begin=_begin_postgresql,
        statement={"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)},
        takes_options=False,  # they are the server's, not the driver's
        in_transaction=True,
    ),
    SqlDriver.SQLITE: Driver(
        "adbc_driver_sqlite",
        _sqlite,
        begin=lambda _: ("PRAGMA query_only = ON",),
        statement={"adbc.sqlite.query.batch_rows": "10000"},
        untyped=True,
        takes_options=False,
        in_transaction=True,
    ),
    SqlDriver.SNOWFLAKE: Driver(
        "adbc_driver_snowflake",
        _snowflake,
        zoned="TO_TIMESTAMP_TZ('{} +00:00')",
        naive="TO_TIMESTAMP_NTZ('{}')",
    ),
    SqlDriver.BIGQUERY: Driver(
        "adbc_driver_bigquery",
        _bigquery,
        zoned="TIMESTAMP '{}+00'",
        naive="DATETIME '{}'",
        name=_backticks,
        takes_uri=False,
    ),
    SqlDriver.FLIGHTSQL: Driver("adbc_driver_flightsql", _flightsql),
}


# -- a connection ----------------------------------------------------------------------------------


class Connection:
    """An open connection, in one transaction where there are any."""

    def __init__(self, driver: Driver, opened: Any, say: _Sentences) -> None:
        self.driver = driver
        self._opened = opened
        self._say = say
        self._cursors: list[Any] = []

    def stream(self, sql: str) -> Iterator[Any]:
        """The answer's schema first, then its record batches, one by one (pyarrow).

        Raises SourceError.
        """
        with self._say.errors():
            cursor = self._opened.cursor(adbc_stmt_kwargs=dict(self.driver.statement or {}))
        self._cursors.append(cursor)
        try:
            with self._say.errors():
                reader = cursor.execute(sql).fetch_record_batch()
                schema = reader.schema
            yield schema
            while True:
                with self._say.errors():
                    batch = next(reader, None)
                if batch is None:
                    return
                yield batch
        finally:
            if cursor in self._cursors:
                self._cursors.remove(cursor)
            with suppress(Exception):
                cursor.close()

    def schema(self, select: str) -> Any:
        """The schema of a SELECT's answer (pyarrow). Raises SourceError."""
        schema, *_ = self.stream(f"{select} LIMIT 0")
        return schema

    def close(self) -> None:
        """End it; never fails."""
        for cursor in self._cursors:  # a stream that an error left open would keep it open
            with suppress(Exception):
                cursor.close()
        with suppress(Exception):
            self._opened.rollback()
        with suppress(Exception):
            self._opened.close()


def connect(source: SqlSource, base: Path) -> Connection:
    """A connection to a source's database. base: the folder that relative paths start from.

    Raises SourceError when its address or its driver is missing, or it cannot be reached.
    """
    driver = DRIVERS[source.driver]
    module = _module(source)
    address = _address(source, base)
    say = _Sentences(source, address.secrets)
    arguments: dict[str, Any] = {"uri": address.uri} if driver.takes_uri else {}
    if driver.takes_options:
        arguments["db_kwargs"] = dict(address.options)
    if not driver.in_transaction:  # some have none, and warn
        arguments["autocommit"] = True
    if address.file is not None and not address.file.is_file():
        # SQLite's driver would say "failed to allocate memory"
        raise SourceError(f"cannot read {source.shown}: there is no file {address.file}")
    with say.errors():
        opened = module.connect(**arguments)
    try:
        for sql in driver.begin(source):
            with say.errors(), opened.cursor() as cursor:
                cursor.execute(sql)
    except SourceError:
        with suppress(Exception):
            opened.close()
        raise
    return Connection(driver, opened, say)


def check(source: SqlSource, base: Path) -> None:
    """Raise SourceError when the driver or the address is missing."""
    _module(source)
    _address(source, base)


def _module(source: SqlSource) -> Any:
    try:
        import_module("pyarrow")
        return import_module(f"{DRIVERS[source.driver].module}.dbapi")
    except ImportError:
        raise SourceError(
            f"{source.shown} needs a driver that is not installed",
            f"pip install 'modelwatch[{source.driver.value}]'",
        ) from None


def _address(source: SqlSource, base: Path) -> Address:
    if source.uri_env:
        place = f"the environment variable {source.uri_env}"
        written = os.environ.get(source.uri_env, "").strip()
        if not written:
            raise SourceError(f"{place} is not set", f"it holds the address of {source.shown}")
    else:
        path = base / Path(source.uri_file).expanduser()
        place = f"the file {path}"
        try:
            with path.open(encoding="utf-8") as file:
                written = file.read(_LONGEST_ADDRESS).strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise SourceError(f"cannot read {place}: {reason}") from None
        if not written:
            raise SourceError(f"{place} is empty", f"it holds the address of {source.shown}")
    try:
        if "\x00" in written:
            raise ValueError
        return DRIVERS[source.driver].address(written, source, base)
    except _UnusableError as error:
        raise SourceError(f"the address in {place} cannot be used: {error}") from None
    except ValueError:  # its words quote pieces of the address
        raise SourceError(f"the address in {place} cannot be read", _ESCAPES) from None


# -- what went wrong -------------------------------------------------------------------------------

_SERVER = re.compile(r"\b(?:ERROR|FATAL|PANIC):\s*([^\n]+)")
_STATE = re.compile(r"\. SQLSTATE: (\w{5})\s*$")
_PREFIX = re.compile(r"^(?:[A-Z_]+: )?(?:\[\w+\] )?")
_LONGEST = 300

_HINTS: Mapping[str, str] = {
    "28": "check user and password in the address",
    "3D": "check the name of the database in the address",
    "42": "check `sql` and the rights of the user",
    "57": "look at the server; for a slow query raise `statement_timeout` in `options`",
    "25": "the query may only read",
}
_BY_WORDS: Sequence[tuple[str, str]] = (
    ("password authentication failed", _HINTS["28"]),
    ("statement timeout", _HINTS["57"]),
    ("onnection refused", "is the server running?"),
    ("translate host name", "check the name of the host in the address"),
)


class _Sentences:
    """Turns what a driver raises into a SourceError, without the secrets of the address."""

    def __init__(self, source: SqlSource, secrets: Sequence[str]) -> None:
        self.shown = source.shown
        kept = {s for s in secrets if len(s) >= _SHORTEST_SECRET}
        self._secrets = sorted(kept, key=len, reverse=True)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Around whatever asks the driver."""
        try:
            yield
        except SourceError:
            raise
        except Exception as error:  # drivers raise their own, pyarrow's and Python's
            raise self.of(error) from None  # the driver's own words may hold the address

    def of(self, error: Exception) -> SourceError:
        """One sentence: the server's words, and what to do."""
        written = str(error) or type(error).__name__
        for secret in self._secrets:
            written = written.replace(secret, "***")
        state = getattr(error, "sqlstate", None) or "".join(_STATE.findall(written)[:1])
        said = _SERVER.search(written)
        words = said.group(1) if said else _PREFIX.sub("", written).split("\n", 1)[0]
        words = clean(_STATE.sub("", words).strip().removesuffix("."), _LONGEST)
        hint = next((h for part, h in _BY_WORDS if part in words), _HINTS.get(str(state)[:2], ""))
        return SourceError(f"cannot read {self.shown}: {words}", hint)
