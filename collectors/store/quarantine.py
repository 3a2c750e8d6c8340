"""Records that cannot be used, kept with reason, source, position and content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collectors.store.batches import Batch, Reject
from collectors.store.database import Cursor
from collectors.store.names import text
from collectors.store.staged import StagedColumns

__all__ = ["keep_records", "keep_rejects", "keep_typed"]

CONTENT = 16_384
"""Characters of a bad record that are kept."""

_MOST_COLUMNS = 500


def keep_typed(
    cursor: Cursor, staged: StagedColumns, batch: Batch, details: Mapping[str, str]
) -> int:
    """Keep the rows of `typed` that have a problem; their number. details: by reason."""
    problems = "SELECT position, problem FROM typed WHERE problem IS NOT NULL"
    return keep_records(cursor, staged, batch, problems, details)


def keep_records(
    cursor: Cursor,
    staged: StagedColumns,
    batch: Batch,
    problems: str,
    details: Mapping[str, str] | None = None,
    *,
    contents: int | None = None,
    detailed: bool = False,
) -> int:
    """Keep the records of a SELECT of (position, problem), content as JSON; their number.

    details: what to say more, by reason. detailed: the SELECT says it itself, as `detail`.
    contents: of so many the content, of the others only where they are; None: of all.
    """
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE problems AS {problems}")
    n = int(cursor.execute("SELECT count(*) FROM problems").fetchall()[0][0])
    if not n:
        return 0
    fields = ", ".join(
        f"{text(_storable(name))}, left(CAST(s.{staged.sql(name)} AS VARCHAR), {CONTENT})"
        for name in list(staged.types)[:_MOST_COLUMNS]
    )
    of_reason = "".join(f"WHEN {text(k)} THEN {text(v)} " for k, v in (details or {}).items())
    detail = f"CASE p.problem {of_reason}ELSE '' END" if of_reason else "''"
    if detailed:
        detail = "p.detail"
    content = f"left(CAST(json_object({fields}) AS VARCHAR), {CONTENT})"
    if contents is not None and n > contents:
        some = f"SELECT position FROM problems ORDER BY position LIMIT {contents}"
        content = f"CASE WHEN s.position IN ({some}) THEN {content} ELSE '' END"
    cursor.execute(
        "INSERT INTO quarantine SELECT ?, ?, ?, ?, s.position, p.problem, "
        f"{detail}, {content}, ? "
        "FROM problems AS p JOIN stage AS s ON s.position = p.position",
        [batch.deployment, batch.part.kind, batch.number, batch.part.source, batch.now],
    )
    return n


def keep_rejects(cursor: Cursor, rejects: Sequence[Reject], batch: Batch) -> int:
    """Keep records that could not even be read; their number."""
    for start in range(0, len(rejects), 200):
        some = rejects[start : start + 200]
        values: list[object] = []
        for r in some:
            values += [batch.deployment, batch.part.kind, batch.number, batch.part.source]
            values += [r.position, r.reason.value, r.detail, _storable(r.content[:CONTENT])]
            values.append(batch.now)
        cursor.execute(
            "INSERT INTO quarantine VALUES " + ", ".join(["(?,?,?,?,?,?,?,?,?)"] * len(some)),
            values,
        )
    return len(rejects)


def _storable(content: str) -> str:
    """Text that DuckDB takes: lone surrogates, which are no Unicode, shown as escapes."""
    return content.encode("utf-8", "backslashreplace").decode("utf-8")
