"""How each source stands: since when it works or fails, and why. For the Data pane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from collectors.store.database import Database
from collectors.store.moments import naive_utc

__all__ = ["SourceState", "keep_only", "note_states"]

_FRESH = timedelta(seconds=20)
"""How old the time of a source's last success may get before it is written down again."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """A look at a source. key: deployment, kind, name. problem: empty when all was well.

    next_try: naive or aware UTC; None: at the next pass.
    """

    key: tuple[str, str, str]
    problem: str = ""
    next_try: datetime | None = None


def note_states(database: Database, states: Sequence[SourceState], now: datetime) -> None:
    """Keep what is new about sources; a success that follows another soon is no news."""
    moment = naive_utc(now)
    rows = database.connection.execute(
        "SELECT deployment, kind, source, last_ok, problem FROM source_state"
    ).fetchall()
    known = {tuple(row[:3]): (row[3], row[4]) for row in rows}
    news = []
    for state in states:
        last_ok, problem = known.get(state.key, (None, ""))
        fresh = last_ok is not None and abs(moment - last_ok) < _FRESH
        if state.problem or problem or not fresh:
            news.append(state)
    if not news:
        return
    with database.transaction() as cursor:
        for state in news:
            following = naive_utc(state.next_try) if state.next_try is not None else None
            if not state.problem:
                cursor.execute(
                    "INSERT INTO source_state VALUES (?, ?, ?, ?, 0, NULL, '', NULL) "
                    "ON CONFLICT (deployment, kind, source) DO UPDATE SET "
                    "last_ok = excluded.last_ok, n_failures = 0, failing_since = NULL, "
                    "problem = '', next_try = NULL",
                    [*state.key, moment],
                )
                continue
            cursor.execute(
                "INSERT INTO source_state VALUES (?, ?, ?, NULL, 1, ?, ?, ?) "
                "ON CONFLICT (deployment, kind, source) DO UPDATE SET "
                "n_failures = n_failures + 1, "
                "failing_since = coalesce(failing_since, excluded.failing_since), "
                "problem = excluded.problem, next_try = excluded.next_try",
                [*state.key, moment, state.problem[:500], following],
            )


def keep_only(database: Database, keys: Sequence[tuple[str, str, str]]) -> None:
    """Forget sources that are configured no more: nobody will say that they work again."""
    if database.read_only:
        return
    rows = database.connection.execute(
        "SELECT deployment, kind, source FROM source_state"
    ).fetchall()
    gone = {tuple(row) for row in rows} - set(keys)
    if not gone:
        return
    with database.transaction() as cursor:
        for key in sorted(gone):
            cursor.execute(
                "DELETE FROM source_state WHERE deployment = ? AND kind = ? AND source = ?",
                list(key),
            )
