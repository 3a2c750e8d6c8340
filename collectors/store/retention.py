"""Retention: what is older than the settings say is deleted, in pieces, and it is noted.

Raw rows go by whole days, oldest first: the day's rollups are settled and summed up, then its rows
go, in one transaction. From then on the day is sealed (see `sealed`). Nothing is deleted that the
settings do not name, and the newest day of a deployment is never deleted for size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time, timedelta

import duckdb

from collectors.store import days
from collectors.store.catalog import StoredDeployment
from collectors.store.database import Cursor, Database, count
from collectors.store.days import DAY, Span
from collectors.store.keeping import RetentionSettings
from collectors.store.moments import AT_ONCE_END, naive_utc, stamp
from collectors.store.names import text
from collectors.store.reasons import Reason
from collectors.store.sealed import Gone, Sealed, note_gone, sealed_of
from collectors.store.sealed_rollups import marks_of

__all__ = ["MOST", "RetentionSettings", "retain", "used_bytes"]

MOST = 4
"""Pieces of one call: a day of some million rows takes about a second."""

Told = Callable[[str], None]


def retain(
    database: Database,
    stored: Mapping[str, StoredDeployment],
    settings: RetentionSettings,
    now: datetime,
    *,
    most: int | None = MOST,
    told: Told | None = None,
) -> int:
    """Delete what the settings say, at most so many pieces (None: all of them); how many.

    told: hears each piece in words. Called again it goes on; 0 means that nothing is left to do.
    Raises StoreError when the disk is full; what was deleted before stays so.
    """
    if not settings or database.read_only:
        return 0
    done = 0
    for what in _pieces(database, stored, settings, naive_utc(now), patient=most is None):
        done += 1
        if told is not None:
            told(what)
        if most is not None and done >= most:
            break
    return done


def used_bytes(cursor: Cursor) -> int:
    """Bytes of the file that hold something; deleted ones count until a checkpoint."""
    size = cursor.execute(
        "SELECT block_size * used_blocks FROM pragma_database_size() "
        "WHERE database_name = current_database()"
    ).fetchall()[0][0]
    return int(size)


def _pieces(
    database: Database,
    stored: Mapping[str, StoredDeployment],
    settings: RetentionSettings,
    now: datetime,
    *,
    patient: bool,
) -> Iterator[str]:
    """Do one piece after the other; what it was, in words.

    patient: nobody else reads. Else one day goes for size, since the blocks of deleted rows are
    freed no sooner than all queries from before have ended.
    """
    for of in stored.values():
        yield from _old_raw(of, settings, now)
    if settings.size is not None and database.path is not None:
        for what in _too_much(database, stored, settings.size, now):
            yield what
            if not patient:
                break
    for of in stored.values():
        for piece in (_hours, _days, _quarantine, _metrics, _splits, _batches):
            n = piece(of, settings, now)
            if n:
                yield f"{of.deployment.name}: {n:,} rows of {piece.__name__[1:]} deleted"


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time())


# -- raw rows --------------------------------------------------------------------------------------


def _old_raw(of: StoredDeployment, settings: RetentionSettings, now: datetime) -> Iterator[str]:
    if settings.raw is None or not of.deployment.timed:
        return
    limit = _midnight(now - settings.raw)
    while (day := _oldest_day(of)) is not None and day + DAY <= limit:
        yield _told(of, day, _seal(of, day, now))


def _too_much(
    database: Database, stored: Mapping[str, StoredDeployment], size: int, now: datetime
) -> Iterator[str]:
    """Oldest days of all deployments until the used blocks fit."""
    while _checkpointed(database, size) > size:
        found = [
            (day, name)
            for name, of in stored.items()
            if of.deployment.timed
            and (day := _oldest_day(of)) is not None
            and day < _newest_day(of)
        ]
        if not found:
            return
        day, name = min(found)
        yield _told(stored[name], day, _seal(stored[name], day, now))


def _checkpointed(database: Database, size: int) -> int:
    """Used bytes; where they are too many, after a checkpoint, which frees what was deleted."""
    used = used_bytes(database.connection)
    if used <= size:
        return used
    try:
        database.connection.execute("CHECKPOINT")
    except duckdb.TransactionException:
        return 0  # somebody is at it: deleting more would free nothing now
    return used_bytes(database.connection)


def _told(of: StoredDeployment, day: datetime, n: int) -> str:
    return f"{of.deployment.name}: {n:,} raw rows of {day:%Y-%m-%d} deleted"


def _oldest_day(of: StoredDeployment) -> datetime | None:
    """The first day that has raw rows."""
    connection = of.database.connection
    raw = sealed_of(connection, of.deployment.name).raw
    where = f" WHERE bucket >= {stamp(raw)}" if raw is not None else ""
    found = connection.execute(
        f"SELECT date_trunc('day', min(bucket)) FROM {of.layout.table('buckets')}{where}"
    ).fetchall()[0][0]
    return None if found is None else _midnight(found)


def _newest_day(of: StoredDeployment) -> datetime:
    found: datetime = of.database.connection.execute(
        f"SELECT max(bucket) FROM {of.layout.table('buckets')}"
    ).fetchall()[0][0]
    return _midnight(found)


def _seal(of: StoredDeployment, day: datetime, now: datetime) -> int:
    """Delete the raw rows of the oldest day, in one transaction; how many."""
    layout, name, end = of.layout, of.deployment.name, day + DAY
    buckets = f"{layout.table('buckets')} WHERE bucket >= {stamp(day)} AND bucket < {stamp(end)}"
    with of.rollups.transaction(of.database) as cursor:
        if count(cursor, f"{buckets} AND (changes > 0 OR NOT built)"):
            of.rollups.recompute(cursor, day, end)  # the last time that it can be
        listed = days.summed(cursor, layout)
        for part, known in listed.items():
            if day not in known:
                of.rollups.sum_days(cursor, part, Span(day, end))
        n = sum(
            _delete(cursor, layout.table(table), f"ts < {stamp(end)}")
            for table in ("predictions", "labels")
        )
        note_gone(cursor, name, Gone.RAW, end, now, n=n, marks=marks_of(cursor, of.rollups))
        loaded = f"batch IN (SELECT batch FROM batches WHERE loaded_at < {stamp(end)})"
        alone = _delete(
            cursor, layout.table("halves"), f"ts < {stamp(end)} OR (ts IS NULL AND {loaded})"
        )
        if alone:
            note_gone(cursor, name, Gone.HALVES, end, now, n=alone)
        _end_waiting(cursor, of, end, now, loaded)
    return n


def _end_waiting(
    cursor: Cursor, of: StoredDeployment, end: datetime, now: datetime, loaded: str
) -> None:
    """Labels whose prediction can come no more go to quarantine.

    They were counted as waiting by their batch and are now counted as unusable.
    """
    waiting = of.layout.table("waiting_labels")
    old = f"CASE WHEN received < {AT_ONCE_END} THEN {loaded} ELSE received < {stamp(end)} END"
    if not count(cursor, f"{waiting} WHERE {old}"):
        return
    name = text(of.deployment.name)
    cursor.execute(
        "UPDATE batches AS b SET n_waiting = n_waiting - w.n, n_quarantined = n_quarantined + w.n "
        f"FROM (SELECT batch, count(*) AS n FROM {waiting} WHERE {old} GROUP BY batch) AS w "
        "WHERE b.batch = w.batch"
    )
    cursor.execute(
        "INSERT INTO quarantine SELECT "
        f"{name}, 'labels', w.batch, coalesce(b.source, ''), 0, {text(Reason.SEALED)}, "
        "'it waited for a prediction until the raw rows of its time were deleted (retention)', "
        "CAST(json_object('id', w.id, 'value', w.value, 'received', w.received) AS VARCHAR), "
        f"{stamp(now)} FROM (SELECT * FROM {waiting} WHERE {old}) AS w "
        "LEFT JOIN batches AS b ON b.batch = w.batch"
    )
    n = _delete(cursor, waiting, old)
    note_gone(cursor, of.deployment.name, Gone.WAITING, end, now, n=n)


# -- rollups ---------------------------------------------------------------------------------------


def _hours(of: StoredDeployment, settings: RetentionSettings, now: datetime) -> int:
    """Hourly rollups of sealed days that are old enough: their days stay."""
    if settings.hours is None:
        return 0
    gone = sealed_of(of.database.connection, of.deployment.name)
    limit = _limit(gone, settings.hours, now)
    if limit is None or (gone.hours is not None and gone.hours >= limit):
        return 0
    return _drop(of, Gone.HOURS, limit, now, hours=True)


def _days(of: StoredDeployment, settings: RetentionSettings, now: datetime) -> int:
    """Everything that is kept of the oldest days."""
    if settings.days is None:
        return 0
    gone = sealed_of(of.database.connection, of.deployment.name)
    limit = _limit(gone, settings.days, now)
    if limit is None or (gone.days is not None and gone.days >= limit):
        return 0
    return _drop(of, Gone.DAYS, limit, now, hours=False)


def _limit(gone: Sealed, age: timedelta, now: datetime) -> datetime | None:
    """Rollups go only where the raw rows have gone: they would be built again from them."""
    return None if gone.raw is None else min(_midnight(now - age), gone.raw)


def _drop(of: StoredDeployment, what: Gone, limit: datetime, now: datetime, *, hours: bool) -> int:
    """Delete rollups before a midnight. hours: those of hours only."""
    layout = of.layout
    before = f"bucket < {stamp(limit)}"
    places = [layout.table(table.name) for table in of.rollups.tables]
    if not hours:
        by_day = {t.name: t for t in (*of.rollups.tables, of.rollups.outcome.totals)}
        places += [days.day_table(layout, name) for name in by_day]
        places.append(layout.table("buckets"))
    with of.rollups.transaction(of.database) as cursor:
        n = sum(_delete(cursor, place, before) for place in places)
        if not hours:
            _delete(cursor, layout.table("summed_days"), f"day < {stamp(limit)}")
            of_it = f"deployment = {text(of.deployment.name)} AND {before}"
            _delete(cursor, "failed_checks", of_it)  # they flag figures that are gone
        note_gone(cursor, of.deployment.name, what, limit, now, n=n)
    return n


# -- the rest --------------------------------------------------------------------------------------


_TABLES = {
    Gone.QUARANTINE: "quarantine",
    Gone.METRICS: "system_metrics",
    Gone.SPLITS: "split_readings",
    Gone.BATCHES: "batches",
}


def _quarantine(of: StoredDeployment, settings: RetentionSettings, now: datetime) -> int:
    """Records that could not be used; those of references stay with them."""
    if settings.quarantine is None:
        return 0
    limit = _midnight(now - settings.quarantine)
    where = f"at_time < {stamp(limit)} AND kind <> 'reference'"
    return _shared(of, Gone.QUARANTINE, limit, now, where)


def _metrics(of: StoredDeployment, settings: RetentionSettings, now: datetime) -> int:
    if settings.metrics is None:
        return 0
    limit = _midnight(now - settings.metrics)
    return _shared(of, Gone.METRICS, limit, now, f"ts < {stamp(limit)}")


def _splits(of: StoredDeployment, settings: RetentionSettings, now: datetime) -> int:
    """Readings of control planes, as long as other samples."""
    if settings.metrics is None:
        return 0
    limit = _midnight(now - settings.metrics)
    return _shared(of, Gone.SPLITS, limit, now, f"ts < {stamp(limit)}")


def _batches(of: StoredDeployment, settings: RetentionSettings, now: datetime) -> int:
    """Where rows came from, once none of those rows is left."""
    gone = sealed_of(of.database.connection, of.deployment.name)
    if settings.batches is None or gone.raw is None:
        return 0
    limit = min(_midnight(now - settings.batches), gone.raw)
    where = f"loaded_at < {stamp(limit)} AND kind <> 'reference'"
    return _shared(of, Gone.BATCHES, limit, now, where)


def _shared(of: StoredDeployment, what: Gone, limit: datetime, now: datetime, where: str) -> int:
    """Delete rows of a table that deployments share. where: what of it is before the limit."""
    table = _TABLES[what]
    old = f"deployment = {text(of.deployment.name)} AND {where}"
    if not count(of.database.connection, f"{table} WHERE {old}"):
        return 0
    with of.database.transaction() as cursor:
        n = _delete(cursor, table, old)
        note_gone(cursor, of.deployment.name, what, limit, now, n=n)
    return n


def _delete(cursor: Cursor, table: str, where: str) -> int:
    return int(cursor.execute(f"DELETE FROM {table} WHERE {where}").fetchall()[0][0])
