"""The full rollup build: every figure of every hour from the raw tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from benchmarks.generator import END, START
from benchmarks.handwritten import HandWritten
from benchmarks.lab import Lab
from benchmarks.measure import Figure, best, timed
from collectors.store.catalog import StoredDeployment
from collectors.store.database import Cursor

__all__ = ["run"]

SMALL = 3_000_000


def run(lab: Lab) -> Iterator[Figure]:
    """The build against hand-written SQL over the same tables, and against reading them."""
    lab.prepare()
    database, _, stored = lab.open()
    with database:
        cursor = database.cursor()
        times = 2 if lab.rows <= SMALL else 1
        hand = HandWritten(cursor, stored.layout, stored.rollups.bins)
        steps = [timedelta(days=1)] if lab.rows > SMALL else [timedelta(days=30), timedelta(days=5)]
        direct = min(best(lambda s=s: hand.all(START, END, s), times) for s in steps)  # type: ignore[misc]
        cost = best(lambda: stored.rebuild(everything=True), times)
        if lab.loaded is not None:  # of this run: the first build is a full one too
            cost = min(cost, lab.loaded.phases["building rollups of bench"])
        yield Figure(
            "build",
            "full rollup build",
            cost,
            "CPU-s",
            best(lambda: _read_once(cursor, stored), 2),
            direct,
            goal="no more than hand-written SQL",
            limit=1.0,
            by_ratio=True,
            note=f"{cost / lab.rows * 1e6:.2f} CPU-s per 1M rows",
        )
        yield Figure(
            "build", "summing up all days", timed(stored.sum_days), "CPU-s", note="after a build"
        )
        rollups = (*stored.rollups.outcome_tables, *stored.rollups.input_tables)
        n = sum(
            cursor.execute(f"SELECT count(*) FROM {stored.layout.table(t)}").fetchall()[0][0]
            for t in rollups
        )
        yield Figure("build", "rows of all rollups", n, "rows", floor=lab.rows, note="floor: log")


def _read_once(cursor: Cursor, stored: StoredDeployment) -> None:
    """Every column that the figures need, looked at once: the floor of any way to compute them.

    With a condition: without one the largest values come from the table's statistics.
    """
    layout = stored.layout
    names = ["id", "ts", "version", *(c.name for c in layout.columns if c.source)]
    looked = ", ".join(f"max({n})" for n in names)
    table = layout.table("predictions")
    cursor.execute(f"SELECT {looked} FROM {table} WHERE length(id) > 3").fetchall()
    looked = ", ".join(f"max({n})" for n in ("id", "ts", "value", "received"))
    cursor.execute(f"SELECT {looked} FROM {layout.table('labels')} WHERE length(id) > 3").fetchall()
