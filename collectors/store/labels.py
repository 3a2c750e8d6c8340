"""Labels meet their predictions: found, waiting, corrected; and what a new label changes.

Steps over temporary tables, in one transaction: `typed` -> `fresh` (one row per statement of a
label) -> `found` (with the prediction's row) or waiting -> `changed` (before and after).

A label belongs to a prediction's id and time. The latest received wins; ties are broken by
content, so that the order of arrival changes nothing. Who said it is part of a statement: two
people who say the same at the same moment have said it twice, which is how they can agree.
"""

from __future__ import annotations

from datetime import timedelta

from collectors.store.batches import Batch
from collectors.store.database import Cursor, count, temp_table
from collectors.store.layout import Layout
from collectors.store.moments import AT_ONCE, AT_ONCE_END, stamp

__all__ = [
    "changes",
    "collect_fresh",
    "drop_known",
    "find_changes",
    "find_predictions",
    "insert",
    "keep_waiting",
    "labelled",
    "latest",
    "latest_of_each",
    "take_waiting",
]

REACH = (timedelta(days=1), timedelta(days=4), timedelta(days=14), None)
"""How far back a label's prediction is looked for, step by step; None: everywhere. At 100M rows
the first step reads 3 % of the ids and finds nearly all."""

_ORDER = "received DESC, event DESC NULLS LAST, value DESC"
_SAME_HAND = "coalesce({0}.labeller, '') = coalesce({1}.labeller, '')"
_NEVER = "TIMESTAMP '1900-01-01'"


def _received(label: str, prediction: str) -> str:
    """When a label came; one that counts as known at once: with its prediction, in their order."""
    return (
        f"CASE WHEN {label}.received < {AT_ONCE_END} "
        f"THEN {prediction}.ts + ({label}.received - {AT_ONCE}) ELSE {label}.received END"
    )


def latest(table: str, columns: str = "", where: str = "true") -> str:
    """SELECT id, ts, value, received, event<columns> of the latest label per prediction."""
    return (
        f"SELECT id, ts, value, received, event{columns} FROM (SELECT *, row_number() OVER "
        f"(PARTITION BY id, ts ORDER BY {_ORDER}) AS place FROM {table} WHERE {where}) AS ranked "
        "WHERE place = 1"
    )


def latest_of_each(table: str, where: str = "true") -> str:
    """SELECT id, ts, value, received, labeller of each labeller's latest word on a prediction.

    labeller: '' where nobody is named.
    """
    return (
        "SELECT id, ts, value, received, labeller FROM (SELECT id, ts, value, received, "
        "coalesce(labeller, '') AS labeller, row_number() OVER (PARTITION BY id, ts, "
        f"coalesce(labeller, '') ORDER BY {_ORDER}) AS place FROM {table} WHERE {where}) AS ranked "
        "WHERE place = 1"
    )


def labelled(rows: str, labels: str) -> str:
    """Rows of predictions with their latest label, weight +1, as a source of rollups."""
    return (
        f"(SELECT g.*, l.value AS label, l.received, 1 AS weight FROM {rows} AS g "
        f"LEFT JOIN ({latest(labels)}) AS l ON l.id = g.id AND l.ts = g.ts)"
    )


def take_waiting(cursor: Cursor, layout: Layout) -> int:
    """Move labels that came before the predictions of `good` to them; in `woken` (count)."""
    waiting = layout.table("waiting_labels")
    temp_table(
        cursor,
        "woken",
        f"SELECT w.* REPLACE ({_received('w', 'g')} AS received), g.ts "
        f"FROM {waiting} AS w JOIN good AS g ON g.id = w.id",
    )
    n = count(cursor, "woken")
    if n:
        cursor.execute(
            f"INSERT INTO {layout.table('labels')} "
            "(id, ts, value, received, event, labeller, batch) "
            "SELECT id, ts, value, received, event, labeller, batch FROM woken"
        )
        cursor.execute(f"DELETE FROM {waiting} WHERE id IN (SELECT id FROM woken)")
    return n


def collect_fresh(cursor: Cursor) -> None:
    """Fill `fresh` with the usable labels of `typed`, each statement once.

    A label without a time of its own that repeats its labeller's before it says nothing new.
    """
    temp_table(
        cursor,
        "fresh",
        "SELECT id, value, received, event, nullif(trim(labeller), '') AS labeller, "
        "bool_or(dated) AS dated FROM typed WHERE problem IS NULL GROUP BY ALL",
    )
    if cursor.execute("SELECT count(*) FROM fresh WHERE NOT dated").fetchall()[0][0]:
        cursor.execute(
            "DELETE FROM fresh AS f USING (SELECT id, received, value IS NOT DISTINCT FROM "
            "lag(value) OVER (PARTITION BY id, coalesce(labeller, '') ORDER BY received) "
            "AS repeats "
            "FROM fresh WHERE NOT dated) AS r "
            "WHERE f.id = r.id AND f.received = r.received AND NOT f.dated AND r.repeats"
        )


def find_predictions(cursor: Cursor, layout: Layout, *, judged: bool) -> None:
    """Fill `found` with the fresh labels whose prediction is here, and with its time.

    judged: also with what is needed to judge the prediction. Looks in the time range that labels
    usually come from first; `fresh` keeps the rest.
    """
    predictions = layout.table("predictions")
    names = ("ts", *(("version", *layout.judged) if judged else ()))
    columns = ", ".join(f"p.{name}" for name in names)
    joined = (
        f"SELECT f.* REPLACE ({_received('f', 'p')} AS received), {columns} "
        f"FROM fresh AS f JOIN {predictions} AS p ON p.id = f.id"
    )
    first, last = cursor.execute("SELECT min(received), max(received) FROM fresh").fetchall()[0]
    if first is None:
        temp_table(cursor, "found", f"{joined} LIMIT 0")
        return
    upper, n = None, 0
    columns_of = layout.deployment.labels
    everywhere = columns_of is not None and columns_of.at_once
    for reach in (None,) if everywhere else REACH:
        lower = first - reach if reach is not None else None
        limits = [f"p.ts >= {stamp(lower)}"] if lower is not None else []
        if upper is not None:
            # the range below was read in the step before; what is above came later than labels
            limits.append(f"(p.ts < {stamp(upper)} OR p.ts > {stamp(last)})")
        elif reach is not None:
            limits.append(f"p.ts <= {stamp(last)}")
        where = " AND ".join(limits) if limits else "true"
        # made anew until it has rows: DuckDB 2.0 loses what is inserted into a table that is still
        # empty after an INSERT, or a CREATE AS, of no rows in the same transaction
        if n:
            cursor.execute(f"INSERT INTO found {joined} WHERE {where}")
        else:
            temp_table(cursor, "found", f"{joined} WHERE {where}")
        n = count(cursor, "found")
        if n:
            cursor.execute("DELETE FROM fresh WHERE id IN (SELECT id FROM found)")
        if not count(cursor, "fresh"):
            return
        upper = lower


def keep_waiting(cursor: Cursor, layout: Layout, batch: Batch) -> int:
    """Keep what is left in `fresh` until its prediction comes; how many are new there."""
    if not count(cursor, "fresh"):
        return 0
    waiting = layout.table("waiting_labels")
    cursor.execute(
        f"DELETE FROM fresh AS f USING {waiting} AS w WHERE w.id = f.id AND w.value = f.value "
        "AND w.received = f.received AND w.event IS NOT DISTINCT FROM f.event "
        f"AND {_SAME_HAND.format('w', 'f')}"
    )
    _drop_unchanged(cursor, "fresh", f"SELECT *, TIMESTAMP '1970-01-01' AS ts FROM {waiting}")
    cursor.execute(
        f"INSERT INTO {waiting} (id, value, received, event, labeller, batch) "
        f"SELECT id, value, received, event, labeller, {batch.number} FROM fresh"
    )
    return count(cursor, "fresh")


def drop_known(cursor: Cursor, layout: Layout) -> None:
    """Take out of `found` what the store knows already; `known` has its latest labels."""
    if not count(cursor, "found"):
        return
    # literal limits let row groups be skipped, and times alone are read five times sooner than ids
    span = cursor.execute("SELECT min(ts), max(ts) FROM found").fetchall()[0]
    labels = (
        f"{layout.table('labels')} AS l WHERE ts >= {stamp(span[0])} AND ts <= {stamp(span[1])} "
        "AND ts IN (SELECT ts FROM found)"
    )
    some = "AND id IN (SELECT id FROM found)" if count(cursor, labels) else "LIMIT 0"
    temp_table(
        cursor, "stored", f"SELECT id, ts, value, received, event, labeller FROM {labels} {some}"
    )
    cursor.execute(
        "DELETE FROM found AS f USING stored AS k WHERE f.id = k.id AND f.ts = k.ts "
        "AND f.value = k.value AND f.received = k.received "
        "AND f.event IS NOT DISTINCT FROM k.event "
        f"AND {_SAME_HAND.format('f', 'k')}"
    )
    _drop_unchanged(cursor, "found", "SELECT * FROM stored")
    temp_table(cursor, "known", latest("stored"))


def _drop_unchanged(cursor: Cursor, table: str, stored: str) -> None:
    """Take out labels without a time of their own that say what their labeller's latest says.

    Only the first of a labeller's about a prediction in the batch: a later one changes it back.
    """
    cursor.execute(
        f"DELETE FROM {table} AS f USING ({latest_of_each(f'({stored}) AS s')}) AS k, "
        "(SELECT id, coalesce(labeller, '') AS labeller, min(received) AS first "
        f"FROM {table} WHERE NOT dated GROUP BY ALL) AS b "
        "WHERE f.id = k.id AND f.id = b.id AND NOT f.dated AND f.received = b.first "
        f"AND f.value = k.value AND {_SAME_HAND.format('f', 'k')} AND "
        f"{_SAME_HAND.format('f', 'b')}"
    )


def insert(cursor: Cursor, layout: Layout, batch: Batch) -> None:
    """Append `found` to the labels."""
    cursor.execute(
        f"INSERT INTO {layout.table('labels')} "
        "(id, ts, value, received, event, labeller, batch) "
        f"SELECT id, ts, value, received, event, labeller, {batch.number} FROM found"
    )


def find_changes(cursor: Cursor) -> None:
    """Fill `changed`: predictions whose latest label is another one now, with both."""
    temp_table(
        cursor,
        "changed",
        "SELECT f.*, k.value AS old_label, k.received AS old_received "
        "FROM (SELECT * FROM (SELECT *, row_number() OVER "
        f"(PARTITION BY id, ts ORDER BY {_ORDER}) AS place FROM found) AS ranked "
        "WHERE place = 1) AS f LEFT JOIN known AS k ON k.id = f.id AND k.ts = f.ts "
        "WHERE k.id IS NULL OR f.received > k.received OR (f.received = k.received AND ("
        f"coalesce(f.event, {_NEVER}) > coalesce(k.event, {_NEVER}) OR "
        "(f.event IS NOT DISTINCT FROM k.event AND f.value > k.value)))",
    )


def changes(layout: Layout) -> str:
    """`changed` as a source of rollups: each prediction as it stood (-1) and as it stands (+1)."""
    kept = ", ".join(("ts", "version", *layout.judged))
    return (
        f"(SELECT {kept}, old_label AS label, old_received AS received, -1 AS weight "
        f"FROM changed UNION ALL SELECT {kept}, value, received, 1 FROM changed)"
    )
