"""Each pane's snapshot from the rollups, in a warm process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from benchmarks.handwritten import HandWritten
from benchmarks.lab import Lab
from benchmarks.measure import Figure, best
from collectors.reader import InProcessReader
from collectors.store.catalog import StoredDeployment
from collectors.store.database import Cursor
from console.analysis.ask import Ask
from console.panes import PANES, take, view
from console.snapshots import Taker
from console.windows import latest_moment, make_ask

__all__ = ["run"]

WINDOW = timedelta(days=7)
GOAL_S = 0.05

# what a pane's figures are computed from: rollups, and figures of the hand-written SQL
_READS = {
    "performance": (("binary", "segment = 0"), ("outcomes", "auc")),
    "drift": (("feature", "true"), ("features",)),
    "subgroups": (("binary", "true"), ("outcomes",)),
    "traffic": (("volume", "true"), ("volume", "latency")),
    "versions": (("binary", "segment = 0"), ("outcomes", "auc")),
    "data": (("feature", "true"), ("volume", "delay", "features")),
    "overview": (("binary", "true"), ("outcomes", "auc", "features", "volume", "latency")),
}


def run(lab: Lab) -> Iterator[Figure]:
    """Every pane over seven days; nothing is kept from one time to the next."""
    lab.prepare()
    database, _, stored = lab.open()
    with database:
        reader = InProcessReader(database)
        deployments = [stored.deployment]
        now = latest_moment(reader, deployments)
        if now is None:
            raise RuntimeError("the store is empty")
        ask = make_ask(stored.deployment, now, WINDOW)
        cursor = database.cursor()
        for name in PANES:

            def snapshot(name: str = name) -> object:
                return take(name, Taker(reader, deployments), ask)

            snapshot()
            yield Figure(
                "snapshots",
                name,
                best(snapshot, 7) * 1000,
                "CPU-ms",
                best(lambda n=name: _read(cursor, stored, ask, n), 5) * 1000,  # type: ignore[misc]
                best(lambda n=name: _direct(cursor, stored, ask, n), _times(lab)) * 1000,  # type: ignore[misc]
                goal="< 50 ms",
                limit=GOAL_S * 1000,
            )

        def frame() -> None:
            taker = Taker(reader, deployments)
            for name in PANES:
                view(name, take(name, taker, ask))

        yield Figure("snapshots", "all panes, as views", best(frame, 5) * 1000, "CPU-ms")


def _times(lab: Lab) -> int:
    return 3 if lab.rows <= 1_000_000 else 1


def _read(cursor: Cursor, stored: StoredDeployment, ask: Ask, pane: str) -> None:
    """The rollup rows of the window, looked at once."""
    name, where = _READS[pane][0]
    table = stored.layout.table(f"rollup_{name}")
    names = [r[0] for r in cursor.execute(f"DESCRIBE {table}").fetchall()]
    low, high = (t.replace(tzinfo=None) for t in (ask.start, ask.end))
    cursor.execute(
        f"SELECT {', '.join(f'max({n})' for n in names)} FROM {table} WHERE {where} "
        f"AND bucket >= TIMESTAMP '{low}' AND bucket < TIMESTAMP '{high}'"
    ).fetchall()


def _direct(cursor: Cursor, stored: StoredDeployment, ask: Ask, pane: str) -> None:
    """The same window from the raw rows, by the day as the panes show it."""
    hand = HandWritten(cursor, stored.layout, stored.rollups.bins)
    for figure in _READS[pane][1]:
        hand.compute(figure, ask.start, ask.end, "day")
