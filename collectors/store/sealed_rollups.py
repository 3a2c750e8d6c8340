"""Rollups of hours without raw rows, when bins, segments or the SQL change: what of them is true.

They cannot be built anew, so what does not depend on the change is kept and the rest goes, with a
note: outcomes, volume, latency and delays stay; a feature's histogram goes when its bins are
others, a condition when the references have seen something else, a segment when it is cut
otherwise; rows of other score bins count on without their bin, as rows without a score do, so that
confusion metrics stay and AUC is of the rows that have one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collectors.store.database import Cursor, count, temp_table
from collectors.store.days import OUTCOME_PART, day_table
from collectors.store.layout import SCORE, Layout
from collectors.store.moments import stamp
from collectors.store.rollups import ROLLUP_VERSION, Rollups
from collectors.store.sealed import Gone, Sealed, note_gone
from collectors.store.tables import RollupTable

__all__ = ["marks_of", "start_anew", "start_over"]


def marks_of(cursor: Cursor, rollups: Rollups) -> str:
    """JSON of what the rollups depend on, part by part."""
    d = rollups.layout.deployment
    rows = cursor.execute(
        "SELECT feature, bin, upper, category FROM bins WHERE deployment = ? "
        "ORDER BY feature, bin, category",
        [d.name],
    ).fetchall()
    bins: dict[str, list[Any]] = {}
    for feature, *of_bin in rows:
        bins.setdefault(str(feature), []).append(of_bin)
    marks = {
        "release": ROLLUP_VERSION,
        "bins": {k: hashlib.sha256(repr(v).encode()).hexdigest()[:16] for k, v in bins.items()},
        "seen": rollups.seen.fingerprint,
        "segments": [s.model_dump(mode="json") for s in d.segments],
        "crosses": [list(pair) for pair in d.segment_crosses],
    }
    return json.dumps(marks)


def start_anew(cursor: Cursor, rollups: Rollups, sealed: datetime) -> None:
    """Empty the rollups of hours that have raw rows; within a transaction."""
    layout = rollups.layout
    for _, place in _places(rollups):
        cursor.execute(f"DELETE FROM {place} WHERE bucket >= {stamp(sealed)}")
    cursor.execute(f"DELETE FROM {layout.table('summed_days')} WHERE day >= {stamp(sealed)}")


def start_over(cursor: Cursor, rollups: Rollups, sealed: Sealed) -> None:
    """Make all rollup tables anew and keep what is still true of sealed hours, with a note."""
    if sealed.raw is None:
        raise ValueError("nothing is sealed")
    layout = rollups.layout
    known = json.loads(sealed.marks) if sealed.marks else {}
    now = json.loads(marks_of(cursor, rollups))
    change = _Change(known, now)
    at_time = _last_load(cursor, layout)
    saved: list[tuple[str, str, str]] = []
    lost: dict[Gone, int] = {}
    for number, (table, place) in enumerate(_places(rollups)):
        if not _columns(cursor, place):
            continue
        old = f"{place} WHERE bucket < {stamp(sealed.raw)}"
        before = count(cursor, old)
        if _columns(cursor, place) != _names(table):
            lost[Gone.ROLLUPS] = lost.get(Gone.ROLLUPS, 0) + before
            continue
        kept = f"kept_{number}"
        sql, reasons = change.kept(table, old)
        temp_table(cursor, kept, sql)
        saved.append((place, kept, ", ".join(_names(table))))
        for reason, where in reasons:
            n = count(cursor, f"{old} AND {where}")
            lost[reason] = lost.get(reason, 0) + n
    days = layout.table("summed_days")
    if _columns(cursor, days):
        temp_table(cursor, "kept_days", f"SELECT * FROM {days} WHERE day < {stamp(sealed.raw)}")
    else:
        temp_table(cursor, "kept_days", "SELECT TIMESTAMP '1970-01-01' AS day, '' AS part LIMIT 0")
    rollups.create(cursor)
    for place, kept, names in saved:
        if count(cursor, kept):
            cursor.execute(f"INSERT INTO {place} ({names}) SELECT {names} FROM {kept}")
        cursor.execute(f"DROP TABLE temp.{kept}")
    if count(cursor, "kept_days"):
        cursor.execute(f"INSERT INTO {days} (day, part) SELECT day, part FROM kept_days")
    for what, n in lost.items():
        if n:
            note_gone(cursor, layout.name, what, sealed.raw, at_time, n=n)
    note_gone(cursor, layout.name, Gone.RAW, sealed.raw, at_time, n=0, marks=json.dumps(now))


@dataclass(frozen=True, slots=True)
class _Change:
    """What rollups were built with, and what they are built with now."""

    known: Mapping[str, Any]
    now: Mapping[str, Any]

    def kept(self, table: RollupTable, old: str) -> tuple[str, list[tuple[Gone, str]]]:
        """SELECT of what is still true, and (what goes, which rows that is)."""
        columns = {name: name for name in _names(table)}
        where, lost = "true", []
        if table.name == "rollup_feature":
            same = ", ".join(["-9", *self._same_bins()])
            where = f"feature IN ({same})"
            lost.append((Gone.FEATURES, f"NOT ({where})"))
        elif table.name == "rollup_condition":
            if self.known.get("seen") != self.now["seen"]:
                where = "false"
            lost.append((Gone.CONDITIONS, f"NOT ({where})"))
        elif "segment" in table.keys:
            numbers = self._segments()
            columns["segment"] = f"CAST(CASE segment {numbers} END AS SMALLINT)"
            where = f"CASE segment {numbers} END IS NOT NULL"
            lost.append((Gone.SEGMENTS, f"NOT ({where})"))
            if table.name == "rollup_binary" and str(SCORE) not in self._same_bins():
                columns["bin"] = "CAST(-1 AS SMALLINT)"
                lost.append((Gone.SCORE_BINS, f"bin >= 0 AND {where}"))
        keys = ("bucket", "version", *table.keys)
        listed = ", ".join(f"{columns[name]} AS {name}" for name in keys)
        inner = f"SELECT {listed}, {_amounts(table)} FROM {old} AND {where}"
        return f"SELECT {', '.join(keys)}, {table.merged} FROM ({inner}) AS k GROUP BY ALL", lost

    def _same_bins(self) -> list[str]:
        then, now = self.known.get("bins", {}), self.now["bins"]
        return [feature for feature, mark in now.items() if then.get(feature) == mark]

    def _segments(self) -> str:
        """WHEN clauses from the numbers of segments and crosses then to those now."""
        return " ".join(f"WHEN {old} THEN {new}" for old, new in self._numbers())

    def _numbers(self) -> Iterator[tuple[int, int]]:
        yield 0, 0
        then, now = self.known.get("segments", []), self.now["segments"]
        same = {i: now.index(s) for i, s in enumerate(then) if s in now}
        for old, new in same.items():
            yield 1 + old, 1 + new
        crosses = self.now["crosses"]
        for place, (one, other) in enumerate(self.known.get("crosses", [])):
            if one in same and other in same:
                pair = sorted((same[one], same[other]))
                if pair in crosses:
                    yield 1 + len(then) + place, 1 + len(now) + crosses.index(pair)


def _places(rollups: Rollups) -> Iterator[tuple[RollupTable, str]]:
    """Every rollup table of hours and of days, as SQL."""
    layout = rollups.layout
    for table in rollups.tables:
        yield table, layout.table(table.name)
        yield table, day_table(layout, table.name)
    totals = rollups.outcome.totals
    if totals.name not in {table.name for table in rollups.parts[OUTCOME_PART]}:
        yield totals, day_table(layout, totals.name)


def _names(table: RollupTable) -> list[str]:
    return table.columns.split(", ")


def _amounts(table: RollupTable) -> str:
    return ", ".join((*table.counts, *table.sums, *table.lows, *table.highs))


def _columns(cursor: Cursor, place: str) -> list[str]:
    """Names of a table's columns; none where there is no such table."""
    schema, _, name = place.rpartition(".")
    rows = cursor.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [schema.strip('"').replace('""', '"'), name],
    ).fetchall()
    return [column for (column,) in rows]


def _last_load(cursor: Cursor, layout: Layout) -> datetime:
    """When the newest batch was loaded: the store knows no other time."""
    found: datetime = cursor.execute(
        "SELECT coalesce(max(loaded_at), TIMESTAMP '1970-01-02') FROM batches WHERE deployment = ?",
        [layout.name],
    ).fetchall()[0][0]
    return found
