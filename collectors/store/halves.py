"""Requests and responses that come apart: joined to predictions, or kept until the other comes.

A half lies in the store with the typed columns that it can fill. The other half may be in the same
batch, in an earlier one, or come days later; the order changes nothing. Halves of batches of
different size are never joined: nobody knows which answer belongs to which row.
"""

from __future__ import annotations

from dataclasses import dataclass

from collectors.store.batches import Batch
from collectors.store.database import Cursor, count, read_sql, temp_table
from collectors.store.layout import Layout, Role
from collectors.store.moments import stamp
from collectors.store.names import text
from collectors.store.quarantine import keep_records
from collectors.store.reasons import Reason
from collectors.store.staged import StagedColumns

__all__ = ["Joined", "create_halves", "join_halves"]

_OUTPUTS = frozenset(
    (
        Role.SCORE,
        Role.PREDICTED,
        Role.CLASS_SCORE,
        Role.FALLBACK_SCORE,
        Role.FALLBACK_PREDICTED,
        Role.ERROR,
    )
)

_SAME_HALF = "a.part = b.part AND a.request = b.request AND a.item = b.item"
_TOGETHER = 1_000_000_000_000
"""Sets places of rows apart that one answer, an error, is the end of."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of a batch's halves: repeated ones, and those that contradict an earlier one."""

    n_duplicate: int
    n_conflict: int


def create_halves(cursor: Cursor, layout: Layout) -> None:
    """The table of halves, where it is not there yet."""
    cursor.execute(read_sql("halves.sql", schema=layout.schema, columns=layout.definitions))


def join_halves(cursor: Cursor, layout: Layout, staged: StagedColumns, batch: Batch) -> Joined:
    """Fill `good` with whole rows and those that halves of `typed` complete; keep other halves."""
    names = ", ".join(c.name for c in layout.columns)
    own = f"part, request, item, items, id, ts, version, {names}"
    temp_table(
        cursor,
        "fresh",
        f"SELECT position, {own} FROM typed WHERE problem IS NULL AND part <> 'whole'",
    )
    joined = _drop_repeated(cursor, layout, staged, batch)
    halves = layout.table("halves")
    temp_table(
        cursor,
        "pool",
        f"SELECT position, {own}, true AS is_new FROM fresh UNION ALL "
        f"SELECT NULL AS position, {own}, false FROM {halves} "
        "WHERE request IN (SELECT request FROM fresh)",
    )
    temp_table(
        cursor,
        "pairs",
        "SELECT r.request, r.item, a.item AS answer FROM pool AS r JOIN pool AS a "
        "ON r.part = 'request' AND a.part = 'response' AND r.request = a.request "
        "AND ((r.items = a.items AND r.item = a.item) OR a.items = 0)",
    )
    temp_table(
        cursor,
        "good",
        f"SELECT position, id, ts, version, {names} FROM typed "
        f"WHERE problem IS NULL AND part = 'whole' UNION ALL SELECT {_merged(layout)} "
        "FROM pairs AS p JOIN pool AS r ON r.part = 'request' AND r.request = p.request "
        "AND r.item = p.item JOIN pool AS a ON a.part = 'response' AND a.request = p.request "
        "AND a.item = p.answer",
    )
    paired = (
        "((part = 'request' AND (request, item) IN (SELECT (request, item) FROM pairs)) OR "
        "(part = 'response' AND (request, item) IN (SELECT (request, answer) FROM pairs)))"
    )
    cursor.execute(
        f"DELETE FROM {halves} WHERE request IN (SELECT request FROM pairs) AND {paired}"
    )
    cursor.execute(
        f"INSERT INTO {halves} ({own}, source, position, batch) "
        f"SELECT {own}, {text(batch.part.source)}, position, {batch.number} FROM fresh "
        f"WHERE NOT {paired}"
    )
    return joined


def _merged(layout: Layout) -> str:
    """A request r and its response a as one row: who answered is the version."""
    columns = [
        f"coalesce(a.{c.name}, r.{c.name})"
        if c.role in _OUTPUTS
        else f"coalesce(r.{c.name}, a.{c.name})"
        for c in layout.columns
    ]
    place = f"coalesce(a.position + CASE a.items WHEN 0 THEN r.item * {_TOGETHER} ELSE 0 END, "
    return ", ".join(
        (
            f"{place}r.position)",
            "r.id",
            "r.ts",
            "CASE a.version WHEN '(none)' THEN r.version ELSE a.version END",
            *columns,
        )
    )


def _drop_repeated(cursor: Cursor, layout: Layout, staged: StagedColumns, batch: Batch) -> Joined:
    """Take halves out of `fresh` that came before: in this batch, waiting, or joined already."""
    names = [c.name for c in layout.columns]
    same = _same("a", "b", ("items", "ts", "version", *names))
    halves = layout.table("halves")
    temp_table(
        cursor,
        "repeated",
        f"SELECT a.position, NOT ({same}) AS differs FROM fresh AS a "
        f"JOIN {halves} AS b ON {_SAME_HALF} "
        f"UNION ALL SELECT a.position, NOT ({same}) FROM fresh AS a JOIN fresh AS b "
        f"ON {_SAME_HALF} AND b.position < a.position "
        f"UNION ALL {_already_joined(cursor, layout)}",
    )
    if not count(cursor, "repeated"):
        return Joined(0, 0)
    n_conflict = keep_records(
        cursor,
        staged,
        batch,
        f"SELECT position, {text(Reason.CONFLICT)} AS problem FROM "
        "(SELECT position FROM repeated GROUP BY position HAVING bool_or(differs)) AS c",
    )
    n = cursor.execute("SELECT count(DISTINCT position) FROM repeated").fetchall()[0][0]
    cursor.execute("DELETE FROM fresh WHERE position IN (SELECT position FROM repeated)")
    return Joined(n - n_conflict, n_conflict)


def _already_joined(cursor: Cursor, layout: Layout) -> str:
    """SELECT of halves whose prediction is there: they repeat what it was made from, or differ.

    Only what a half says itself is compared: its own columns, and a request's time.
    """
    inputs = [
        c.name for c in layout.columns if c.role not in _OUTPUTS and c.role is not Role.NUMBER
    ]
    outputs = [c.name for c in layout.columns if c.role in _OUTPUTS]
    asked = _same("a", "b", ("ts", *inputs))
    answered = _same("a", "b", tuple(outputs))
    span = cursor.execute("SELECT min(ts), max(ts) FROM fresh").fetchall()[0]
    limits = ""
    undated = cursor.execute("SELECT count(*) FROM fresh WHERE ts IS NULL").fetchall()[0][0]
    if span[0] is not None and not undated:
        limits = f" AND b.ts >= {stamp(span[0])} - INTERVAL 14 DAY AND b.ts <= {stamp(span[1])}"
    return (
        f"SELECT a.position, NOT CASE a.part WHEN 'request' THEN {asked} ELSE {answered} END "
        f"FROM fresh AS a JOIN {layout.table('predictions')} AS b "
        f"ON b.id = CASE a.items WHEN 0 THEN a.request ELSE a.id END{limits}"
    )


def _same(one: str, other: str, names: tuple[str, ...]) -> str:
    return " AND ".join(f"{one}.{n} IS NOT DISTINCT FROM {other}.{n}" for n in names) or "true"
