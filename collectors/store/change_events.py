"""Changes of the serving system (deploys, aliases, splits) into the store, once each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from collectors.store.batches import BatchCounts, Reject, Slice, begin, finish
from collectors.store.database import Database, count, temp_table
from collectors.store.layout import Layout
from collectors.store.moments import naive_utc
from collectors.store.names import text
from collectors.store.quarantine import keep_rejects, keep_typed
from collectors.store.reasons import Reason
from collectors.store.staged import StagedColumns
from collectors.store.values import moment_of, text_of

__all__ = ["EVENT_COLUMNS", "ChangeEvents"]

EVENT_COLUMNS = ("timestamp", "kind", "subject", "detail")


class ChangeEvents:
    """Loads the change events of one deployment."""

    def __init__(self, database: Database, layout: Layout) -> None:
        self.database = database
        self.layout = layout

    def load(
        self, staged: StagedColumns, part: Slice, rejects: Sequence[Reject], now: datetime
    ) -> BatchCounts:
        """Load staged events; one that is there already is dropped."""
        layout, zone = self.layout, self.layout.deployment.timezone
        name = text(layout.name)
        with self.database.transaction() as cursor:
            batch = begin(cursor, layout.name, part, naive_utc(now))
            ts, kind, subject, detail = EVENT_COLUMNS
            temp_table(
                cursor,
                "typed",
                f"SELECT *, CASE WHEN ts IS NULL THEN {text(Reason.BAD_TIMESTAMP)} END AS problem "
                f"FROM (SELECT position, {moment_of(staged, ts, zone)} AS ts, "
                f"left(coalesce({text_of(staged, kind)}, ''), 200) AS kind, "
                f"left(coalesce({text_of(staged, subject)}, ''), 500) AS subject, "
                f"left(coalesce({text_of(staged, detail)}, ''), 500) AS detail FROM stage) AS t",
            )
            n_read = count(cursor, "typed") + len(rejects)
            n_bad = keep_typed(cursor, staged, batch, {})
            temp_table(
                cursor,
                "news",
                "SELECT DISTINCT ts, kind, subject, detail FROM typed WHERE problem IS NULL "
                "EXCEPT SELECT ts, kind, subject, detail FROM change_events "
                f"WHERE deployment = {name}",
            )
            n_new = count(cursor, "news")
            cursor.execute(
                f"INSERT INTO change_events SELECT ts, {name}, kind, subject, detail, "
                f"{text(part.source)}, {batch.number} FROM news ORDER BY ts"
            )
            n_bad += keep_rejects(cursor, rejects, batch)
            counts = BatchCounts(n_read, n_new, n_read - n_new - n_bad, 0, n_bad)
            finish(cursor, batch, counts)
        return counts
