"""What a report says: which panes' views, under which titles, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from collectors.errors import CollectorError
from console.analysis.ask import Ask
from console.analysis.explain import UnknownFigureError
from console.analysis.figures import HEADLINE
from console.explaining import explanation
from console.panes import PANES, take, view
from console.snapshots import Taker
from console.views.explain import view as explain_view
from console.views.model import View

__all__ = ["Report", "Section", "report_of"]

_PANES = ("performance", "drift", "subgroups", "versions", "traffic", "system", "data")
_MOST_ROWS = 20


@dataclass(frozen=True, slots=True)
class Section:
    """A pane or a page under a title. n_rows: how many rows its table had."""

    title: str
    view: View
    n_rows: int


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report. facts: what was looked at, as (name, value)."""

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def report_of(taker: Taker, ask: Ask, made_at: datetime, made_by: str) -> Report:
    """The report of a window. Raises CollectorError when the store cannot answer."""
    d = ask.deployment
    window = (
        f"{ask.start:%Y-%m-%d %H:%M} to {min(ask.end, ask.as_of):%Y-%m-%d %H:%M} UTC"
        if d.timed
        else "the whole log, which says no times"
    )
    facts = [("deployment", f"{d.name} ({d.task.value})"), ("window", window)]
    if d.timed:
        facts.append(("as known at", f"{ask.as_of:%Y-%m-%d %H:%M} UTC"))
    if ask.version:
        facts.append(("version", ask.version))
    facts.append(("made", f"{made_at:%Y-%m-%d %H:%M} UTC by modelwatch {made_by}"))
    return Report(f"Incident report: {d.name}", tuple(facts), tuple(_sections(taker, ask)))


def _sections(taker: Taker, ask: Ask) -> Iterator[Section]:
    for pane in _PANES:
        of = ask if PANES[pane].by_segment else replace(ask, segment=None)
        yield _section(PANES[pane].title, view(pane, take(pane, taker, of)))
        if pane == "performance":
            figure = HEADLINE[ask.deployment.task]
            try:
                found = explanation(taker, of, figure, chosen=False)
            except (UnknownFigureError, CollectorError):
                continue
            yield _section(f"Why {figure} changed", explain_view(found))


def _section(title: str, shown: View) -> Section:
    rows = shown.table.rows
    table = replace(shown.table, rows=rows[:_MOST_ROWS])
    return Section(title, replace(shown, table=table), len(rows))
