"""The one way to read a store: named, parameterised queries that answer with small frames.

`InProcessReader` holds the store itself; `collectors.live.client` asks its owner over a socket.
Nothing else outside `collectors.store` sees a connection.

Looking at the past ("as of"): rollups hold what is known now. Hours that got a row or a label
after the asked moment are computed again from raw rows as they were known then, with the same
rollup SQL, and take the place of the kept ones. All other hours are read as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import duckdb
import polars as pl

from collectors.errors import StoreError
from collectors.queries import QUERIES, STEPS, Param, Query
from collectors.row_kinds import RowKind
from collectors.store import days
from collectors.store.agreement import AGREEMENT, agreement_parts
from collectors.store.catalog import stored_contract
from collectors.store.database import SCHEMA_VERSION, Cursor, Database, read_sql
from collectors.store.days import Span
from collectors.store.layout import Layout
from collectors.store.moments import stamp
from collectors.store.raw_rows import rows_parts
from collectors.store.rollups import Rollups
from collectors.store.sealed import Sealed, sealed_of
from collectors.store.sealed_reading import refuse_unknown, whole_days
from collectors.store.whole_hours import whole_hour

__all__ = ["QUERIES", "STEPS", "InProcessReader", "Param", "Query", "Reader", "nothing_of"]

_UP_TO = frozenset({"extent", "versions"})
"""Queries of all that is known up to a moment."""

PAST_REACH = timedelta(days=80)
"""How far back hours that changed after an as-of moment are looked for together."""


class Reader(Protocol):
    """Answers named queries. Times are naive UTC in frames and in parameters."""

    def query(self, name: str, deployment: str = "", **params: Param) -> pl.DataFrame:
        """The rows of a named query. Raises KeyError for an unknown name, StoreError on failure."""

    def interrupt(self) -> None:
        """Stop the running query; callable from any thread."""

    def at_once(self) -> Reader:
        """The same reader for the queries of one picture, while nothing is loaded in between.

        It looks once at what every query depends on (the contract, which hours are past), which
        is a third of a small query's time.
        """


_Columns = Mapping[str, pl.DataType | type[pl.DataType]]

_READING: _Columns = {
    "ts": pl.Datetime("us"),
    **dict.fromkeys(("replica", "arm"), pl.String),
    "weight": pl.Int64,
}

_NEWER: Mapping[str, tuple[str, _Columns]] = {
    "change_events": (
        "change_events",
        {
            "ts": pl.Datetime("us"),
            **dict.fromkeys(("kind", "subject", "detail"), pl.String),
            "n_found": pl.Int64,
        },
    ),
    "split_readings": (
        "split_readings",
        {**_READING, **dict.fromkeys(("n", "n_error"), pl.Int64), "problem": pl.String},
    ),
    "split_series": (
        "split_readings",
        {
            **_READING,
            **dict.fromkeys(
                ("lowest", "highest", "n", "n_error", "n_readings", "n_problem"), pl.Int64
            ),
            "problem": pl.String,
        },
    ),
}
"""Queries of tables that a store of an older release lacks: the table, and the empty answer."""


def nothing_of(query: str) -> pl.DataFrame | None:
    """The empty answer of a query that stores of older releases do not know; None of others."""
    newer = _NEWER.get(query)
    return None if newer is None else pl.DataFrame(schema=dict(newer[1]))


@dataclass(frozen=True, slots=True)
class _Past:
    """Hours recomputed as of a moment: temporary tables with this prefix cover [low, high)."""

    prefix: str
    low: datetime
    high: datetime


@dataclass(frozen=True, slots=True)
class _Known:
    """What holds for a deployment until its contract, its bins or its references change.

    state: tells whether they did. frames: answers that come from references and bins alone; to
    plan such a query again costs 2 to 4 ms each.
    """

    state: tuple[object, ...]
    rollups: Rollups
    frames: dict[tuple[object, ...], pl.DataFrame] = field(default_factory=dict)


@dataclass(slots=True)
class _Memo:
    """What the queries of one picture share."""

    known: dict[str, _Known] = field(default_factory=dict)
    days: dict[str, Mapping[str, frozenset[datetime]]] = field(default_factory=dict)
    pasts: dict[tuple[object, ...], _Past | None] = field(default_factory=dict)
    sealed: dict[str, Sealed] = field(default_factory=dict)


class InProcessReader:
    """Reads an open database through a cursor of its own; for one thread."""

    def __init__(self, database: Database, parent: Cursor | None = None) -> None:
        self._cursor: Cursor = database.cursor(parent)
        self._contracts: dict[str, _Known] = {}
        self._pasts: dict[tuple[object, ...], _Past] = {}
        self._made = 0
        self.use_days = True
        """Whether whole days are read as such where they are summed up; figures are the same."""

    def at_once(self) -> Reader:
        """See Reader."""
        return _AtOnce(self)

    def picture(self) -> Reader:
        """Like `at_once` beside a loader: the queries see one moment until `end_picture`."""
        try:
            with suppress(duckdb.Error):  # one that failed may be open still
                self._cursor.execute("ROLLBACK")
            self._cursor.execute("BEGIN TRANSACTION")
        except duckdb.Error as error:
            raise StoreError(f"the store cannot be read: {str(error).splitlines()[0]}") from error
        return self.at_once()

    def end_picture(self) -> None:
        """Let the moment go, so that the store can forget what has changed since."""
        try:
            self._cursor.execute("COMMIT")
        except duckdb.Error:  # a failed or stopped query has ended it, and took its tables along
            with suppress(duckdb.Error):
                self._cursor.execute("ROLLBACK")
            self._pasts.clear()
            self._contracts.clear()

    def query(self, name: str, deployment: str = "", **params: Param) -> pl.DataFrame:
        """See Reader."""
        return self.answer(_Memo(), name, deployment, params)

    def answer(
        self, memo: _Memo, name: str, deployment: str, params: Mapping[str, Param]
    ) -> pl.DataFrame:
        """A query with what earlier ones of the same picture have looked up."""
        spec = QUERIES[name]
        unknown = set(params) - {*spec.params, *spec.optional}
        if unknown:
            raise TypeError(f"query {name} takes no {sorted(unknown)[0]}")
        try:
            return self._run(memo, spec, deployment, params)
        except duckdb.InterruptException as error:
            raise StoreError("the query was stopped") from error
        except duckdb.Error as error:
            missing = isinstance(error, duckdb.CatalogException) and self._is_older()
            if missing or self._is_of_another_release(deployment):
                raise StoreError(
                    "the store was written by another release of modelwatch",
                    "run `modelwatch record --once` to bring it up to date",
                ) from error
            raise StoreError(f"query {name} failed: {str(error).splitlines()[0]}") from error

    def interrupt(self) -> None:
        """See Reader."""
        with suppress(duckdb.Error):
            self._cursor.interrupt()

    def close(self) -> None:
        """Give the cursor back."""
        with suppress(duckdb.Error):
            self._cursor.close()

    def _run(
        self, memo: _Memo, spec: Query, deployment: str, params: Mapping[str, Param]
    ) -> pl.DataFrame:
        parts: dict[str, str] = {}
        values: dict[str, Param] = dict.fromkeys(spec.optional)
        values |= {k: v for k, v in params.items() if k != "step"}
        if "deployment" in spec.params:
            values["deployment"] = deployment
        if "step" in spec.params:
            parts["step"] = STEPS[str(params.get("step") or "all")]
        kept: dict[tuple[object, ...], pl.DataFrame] | None = None
        asked = (spec.name, *sorted(params.items()))
        if spec.of_deployment:
            if deployment not in memo.known:
                memo.known[deployment] = self._known(deployment)
            known = memo.known[deployment]
            if spec.lasting:
                kept = known.frames
                if asked in kept:
                    return kept[asked]
            rollups = known.rollups
            parts["schema"] = rollups.layout.schema
            parts |= _amounts(rollups)
            names = {"outcome": rollups.outcome.tables[0].name}
            daily = {"outcome": rollups.outcome.totals.name}
            if spec.name == "rows":
                numbers = str(params["segments"])
                parts |= rows_parts(
                    rollups.layout,
                    RowKind(str(params["kind"])),
                    int(str(params["subject"])),
                    tuple(int(n) for n in numbers.split(",") if n),
                )
            if spec.name in AGREEMENT:
                parts |= agreement_parts(rollups.layout)
            tables = {part: names.get(part, part) for part in spec.rollups}
            past = self._past(memo, deployment, rollups, tuple(tables.values()), params)
            for part, table in tables.items():
                by_day = daily.get(part, table)
                parts[part] = self._relation(memo, rollups, (table, by_day), past, params)
        if spec.name == "halves" and not self._has_table(parts["schema"], "halves"):
            return pl.DataFrame(schema={"part": pl.String, "n": pl.Int64, "oldest": pl.Datetime})
        if spec.name in _NEWER and not self._has_table("main", _NEWER[spec.name][0]):
            return pl.DataFrame(schema=dict(_NEWER[spec.name][1]))
        values |= self._up_to(spec, parts, values)
        sql = read_sql(f"queries/{spec.name}.sql", **parts)
        used = {k: v for k, v in values.items() if f"${k}" in sql}
        relation = self._cursor.sql(sql, params=used) if used else self._cursor.sql(sql)
        # polars takes DuckDB's Arrow stream by itself; relation.pl() would import pyarrow (93 ms)
        frame = pl.DataFrame(relation)
        if kept is not None:
            kept[asked] = frame
        return frame

    def _has_table(self, schema: str, table: str) -> bool:
        """Whether the store was written by a release that knows a table."""
        found = self._cursor.execute(
            "SELECT count(*) FROM information_schema.tables "
            "WHERE table_schema = ? AND table_name = ?",
            [schema.strip('"').replace('""', '"'), table],
        ).fetchall()
        return bool(found[0][0])

    def _up_to(
        self, spec: Query, parts: Mapping[str, str], values: Mapping[str, Param]
    ) -> dict[str, Param]:
        """Until when rows count, of queries of all that is known up to a moment."""
        end = values.get("end")
        if spec.name not in _UP_TO or not isinstance(end, datetime):
            return {}
        return {"upto": whole_hour(self._cursor, parts["schema"], end)}

    def _known(self, deployment: str) -> _Known:
        rows = self._cursor.execute(
            "SELECT contract, rollup_key, bins_from, (SELECT max(batch) FROM batches AS b "
            "WHERE b.deployment = d.deployment AND kind = 'reference') "
            "FROM deployments AS d WHERE deployment = ?",
            [deployment],
        ).fetchall()
        if not rows:
            raise StoreError(f"the store has no deployment {deployment}")
        known = self._contracts.get(deployment)
        if known is None or known.state != rows[0]:
            layout = Layout(stored_contract(rows[0][0]))
            known = _Known(rows[0], Rollups(layout, self._cursor))
            self._contracts[deployment] = known
        return known

    def _is_older(self) -> bool:
        """Whether the store lacks tables of this release, since it is only read."""
        version = self._cursor.execute("SELECT max(version) FROM store_schema").fetchall()[0][0]
        return int(version) < SCHEMA_VERSION

    def _is_of_another_release(self, deployment: str) -> bool:
        """Whether the rollups were built with other SQL; whoever writes builds them anew first."""
        known = self._contracts.get(deployment)
        return known is not None and known.state[1] != known.rollups.key

    def _relation(
        self,
        memo: _Memo,
        rollups: Rollups,
        tables: tuple[str, str],
        past: _Past | None,
        params: Mapping[str, Param],
    ) -> str:
        """A rollup's rows: whole days where they are summed up, the past as it was, hours else.

        tables: the rollup of the hours, and the one whose days are read.
        """
        table, by_day = tables
        kept = rollups.layout.table(table)
        elsewhere = Span(past.low, past.high) if past is not None else None
        coarse = whole_days(rollups.layout, by_day, self._sealed(memo, rollups.layout), params)
        if coarse is not None:
            params = {**params, "start": coarse[1]}
        whole = self._whole_days(memo, rollups, table, elsewhere, params)
        if past is None and not whole and coarse is None:
            return kept
        taken = sorted([*whole, *([elsewhere] if elsewhere else [])], key=lambda span: span.start)
        selects = [
            f"SELECT * FROM {days.day_table(rollups.layout, by_day)} WHERE {_within(span)}"
            for span in whole
        ]
        if coarse is not None:
            selects.append(coarse[0])
        edges = [params.get("start"), *(t for s in taken for t in (s.start, s.end)), params["end"]]
        for low, high in zip(edges[::2], edges[1::2], strict=True):
            if isinstance(low, datetime) and isinstance(high, datetime) and low < high:
                selects.append(f"SELECT * FROM {kept} WHERE {_within(Span(low, high))}")
        if past is not None:
            selects.append(f"SELECT * FROM {past.prefix}{table}")
        return f"({' UNION ALL BY NAME '.join(selects)})"

    def _sealed(self, memo: _Memo, layout: Layout) -> Sealed:
        """What retention has deleted of a deployment."""
        if layout.name not in memo.sealed:
            memo.sealed[layout.name] = sealed_of(self._cursor, layout.name)
        return memo.sealed[layout.name]

    def _whole_days(
        self,
        memo: _Memo,
        rollups: Rollups,
        table: str,
        elsewhere: Span | None,
        params: Mapping[str, Param],
    ) -> list[Span]:
        """Stretches of summed up days that serve a query; none where it asks for hours."""
        start, end = params.get("start"), params.get("end")
        if (
            not self.use_days
            or params.get("step") == "hour"
            or not isinstance(start, datetime)
            or not isinstance(end, datetime)
        ):
            return []
        layout = rollups.layout
        if layout.name not in memo.days:
            try:
                memo.days[layout.name] = days.summed(self._cursor, layout)
            except duckdb.CatalogException:  # a store of the release before has no days
                memo.days[layout.name] = {}
        part = days.OUTCOME_PART if table in rollups.outcome_tables else days.INPUT_PART
        return days.spans(memo.days[layout.name].get(part, frozenset()), start, end, elsewhere)

    def _past(
        self,
        memo: _Memo,
        deployment: str,
        rollups: Rollups,
        tables: tuple[str, ...],
        params: Mapping[str, Param],
    ) -> _Past | None:
        """The hours of the window that must be seen as they were at `as_of`, computed once.

        Windows of one picture overlap, so hours are looked for over a common span where it is
        wide enough.
        """
        as_of, start, end = params.get("as_of"), params.get("start"), params.get("end")
        if not (
            tables
            and isinstance(as_of, datetime)
            and isinstance(start, datetime)
            and isinstance(end, datetime)
        ):
            return None
        sealed = self._sealed(memo, rollups.layout)
        outcomes = tables[0] in rollups.outcome_tables
        window = (start, end, as_of)
        refuse_unknown(self._cursor, rollups.layout, sealed, window, outcomes=outcomes)
        span = (as_of - PAST_REACH, as_of + timedelta(hours=1))
        if not (span[0] <= start and end <= span[1]):
            span = (start, end)
        asked = (deployment, outcomes, as_of, span)
        # one that was looked up earlier in this picture may have been forgotten for later ones
        if asked not in memo.pasts or memo.pasts[asked] not in (None, *self._pasts.values()):
            if sealed.raw is not None and span[0] < sealed.raw:
                span = (sealed.raw, max(sealed.raw, span[1]))  # no raw rows before
            memo.pasts[asked] = self._compute_past(deployment, rollups, outcomes, as_of, span)
        past = memo.pasts[asked]
        return past if past is not None and past.low < end and past.high > start else None

    def _compute_past(
        self,
        deployment: str,
        rollups: Rollups,
        outcomes: bool,
        as_of: datetime,
        span: tuple[datetime, datetime],
    ) -> _Past | None:
        later = "last_received > $as_of OR last_ts >= $as_of" if outcomes else "last_ts >= $as_of"
        low, high = self._cursor.execute(
            f"SELECT min(bucket), max(bucket) FROM {rollups.layout.table('buckets')} "
            "WHERE bucket >= date_trunc('hour', CAST($start AS TIMESTAMP)) AND bucket < $end "
            f"AND ({later})",
            {"start": span[0], "end": span[1], "as_of": as_of},
        ).fetchall()[0]
        if low is None:
            return None
        high += timedelta(hours=1)
        batch = self._cursor.execute("SELECT max(batch) FROM batches").fetchall()[0][0]
        key = (deployment, outcomes, low, high, as_of, batch)
        if key not in self._pasts:
            self._forget_pasts()
            self._made += 1
            past = _Past(f"past_{self._made}_", low, high)
            rollups.reload(self._cursor)
            rollups.into_temp(
                self._cursor,
                rollups.raw_rows(low, high, as_of),
                lambda table: past.prefix + table,
                outcomes=outcomes,
            )
            self._pasts[key] = past
        return self._pasts[key]

    def _forget_pasts(self, keep: int = 24) -> None:
        while len(self._pasts) > keep:
            old = self._pasts.pop(next(iter(self._pasts)))
            tables = self._cursor.execute(
                "SELECT table_name FROM information_schema.tables WHERE starts_with(table_name, ?)",
                [old.prefix],
            ).fetchall()
            for (table,) in tables:
                self._cursor.execute(f'DROP TABLE IF EXISTS temp."{table}"')


def _within(span: Span) -> str:
    return f"bucket >= {stamp(span.start)} AND bucket < {stamp(span.end)}"


def _amounts(rollups: Rollups) -> dict[str, str]:
    """The task's columns, for queries that serve any task."""
    main = rollups.outcome.tables[0]
    keys = [key for key in ("predicted", "actual") if key in main.keys]
    no_bin = ["CAST(-1 AS SMALLINT) AS bin"] if "bin" in main.keys else []
    return {
        "outcome_keys": "".join(f"{key}, " for key in (*no_bin, *keys)),
        "then_keys": "".join(f", {key}" for key in keys),
        "outcome_sums": main.merged,
        "reference_outcome": main.name.replace("rollup_", "reference_"),
    }


class _AtOnce:
    """An `InProcessReader` for one picture."""

    def __init__(self, reader: InProcessReader) -> None:
        self._reader = reader
        self._memo = _Memo()

    def query(self, name: str, deployment: str = "", **params: Param) -> pl.DataFrame:
        """See Reader."""
        return self._reader.answer(self._memo, name, deployment, params)

    def interrupt(self) -> None:
        """See Reader."""
        self._reader.interrupt()

    def at_once(self) -> Reader:
        """See Reader."""
        return self
