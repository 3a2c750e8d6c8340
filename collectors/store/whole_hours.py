"""Where the rollups of an hour serve for a moment within it."""

from __future__ import annotations

from datetime import datetime, timedelta

from collectors.store.database import Cursor
from collectors.store.moments import naive_utc

__all__ = ["whole_hour"]

_LAST = datetime(9998, 1, 1)  # noqa: DTZ001 - naive UTC as stored


def whole_hour(cursor: Cursor, schema: str, end: datetime) -> datetime:
    """The end of the hour that a moment is in where that hour has nothing later, else the moment.

    Then its rollups are as good as its raw rows, of which a busy hour has many millions. schema:
    of the deployment, quoted. end: naive UTC, or aware.
    """
    end = naive_utc(end)
    hour = end.replace(minute=0, second=0, microsecond=0)
    if hour >= _LAST:
        return end
    later = cursor.execute(
        f"SELECT count(*) FROM {schema}.buckets WHERE bucket = ? AND last_ts >= ?", [hour, end]
    ).fetchall()[0][0]
    return end if later else hour + timedelta(hours=1)
