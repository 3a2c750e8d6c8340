"""A refresh: files with 10,000 new rows and 5,000 late labels are found, loaded and rolled up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import duckdb

from benchmarks.generator import BATCHES, DELTA_LABELS, DELTA_ROWS, END, LATE_DAYS
from benchmarks.handwritten import HandWritten
from benchmarks.lab import Lab
from benchmarks.measure import Figure, best, timed
from collectors.store.rollups import SETTLE_CHANGES

__all__ = ["run"]

TIMES = 4


def run(lab: Lab) -> Iterator[Figure]:
    """One refresh, the best of some; what settling adds to each in the long run."""
    lab.prepare()
    if lab.batches + TIMES > BATCHES:
        raise RuntimeError("every batch of this log is used up; give another --dir")
    database, ingest, stored = lab.open()
    with database:
        ingest.collect()  # nothing new: as in a console that has been running
        idle = best(ingest.collect)
        costs, floors = [], []
        for _ in range(TIMES):
            lab.follow()
            number = lab.batches - 1
            costs.append(timed(ingest.collect))
            floors.append(_read(lab, number))
        found = stored.database.connection.execute(
            "SELECT sum(n_new) FROM batches WHERE source LIKE '%/f00%'"
        ).fetchall()[0][0]
        if found != lab.batches * (DELTA_ROWS + DELTA_LABELS):
            raise RuntimeError(f"the batches that followed brought {found} rows")
        cursor = database.cursor()
        hand = HandWritten(cursor, stored.layout, stored.rollups.bins)
        first = END - timedelta(days=LATE_DAYS)
        end = lab.log.now(lab.batches)
        direct = best(lambda: hand.all(first, end), 1 if lab.rows > 3e6 else 2)
        yield Figure(
            "refresh",
            "10,000 new rows and 5,000 late labels",
            min(costs),
            "CPU-s",
            min(floors),
            direct,
            goal="<= 0.3 CPU-s",
            limit=0.3,
            note="hand-written: the hours that changed, anew; all: "
            + ", ".join(f"{c:.2f}" for c in costs),
        )
        yield Figure("refresh", "nothing new", idle, "CPU-s")
        settled = timed(lambda: stored.settle(least_changes=2, most=8)) / 8
        hours = LATE_DAYS * 24 + 1
        yield Figure(
            "refresh",
            "settling one hour",
            settled,
            "CPU-s",
            note=f"each of {hours} hours once in {SETTLE_CHANGES} refreshes: "
            f"{settled * hours / SETTLE_CHANGES:.3f} CPU-s a refresh",
        )


def _read(lab: Lab, number: int) -> float:
    """DuckDB reading the two files."""
    total = 0.0
    with duckdb.connect() as connection:
        for kind in ("predictions", "labels"):
            source = f"'{lab.log.folder}/{kind}/f{number:03}.parquet'"
            names = [r[0] for r in connection.execute(f"DESCRIBE FROM {source}").fetchall()]
            most = ", ".join(f"max({n})" for n in names)
            looked = f"SELECT {most} FROM {source} WHERE length(id) > 3"
            total += best(lambda sql=looked: connection.execute(sql).fetchall())  # type: ignore[misc]
    return total
