"""Changes of the serving system that its own records tell: deploys, aliases, splits, fallback."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from console.analysis.ask import utc

__all__ = ["MOST_CHANGES", "RecordedChange", "recorded_changes"]

MOST_CHANGES = 200
"""The newest changes of a window that are told; an alias that flaps has any number of them."""


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """at: when, aware UTC. kind: alias, deploy, split, fallback. subject: what changed, like the
    alias's name. detail: from what to what. All three as the source wrote them.
    """

    at: datetime
    kind: str
    subject: str
    detail: str

    @property
    def text(self) -> str:
        """In words: `alias champion: version 3 -> 4`."""
        what = " ".join(part for part in (self.kind, self.subject) if part)
        return ": ".join(part for part in (what, self.detail) if part) or "a change"


def recorded_changes(frame: pl.DataFrame | None) -> tuple[tuple[RecordedChange, ...], int]:
    """The changes of the query `change_events` by time, and how many there are in all. Pure."""
    if frame is None or frame.is_empty():
        return (), 0
    rows = frame.sort("ts", "kind", "subject", "detail").iter_rows(named=True)
    found = [RecordedChange(utc(r["ts"]), r["kind"], r["subject"], r["detail"]) for r in rows]
    return tuple(found), int(frame["n_found"][0])
