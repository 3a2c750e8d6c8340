"""The Traffic pane of a deployment whose traffic can be changed: what the logs say, and the plane.

One row per arm, then versions in the logs that are no arm. A row keeps its version as its key, so
that everything that opens from a figure still does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from console.control.evidence import Evidence
from console.control.plane import Replica
from console.control.split import percent_text
from console.control.state import ControlState
from console.views.control import (
    control_cells,
    control_columns,
    control_headline,
    state_notes,
)
from console.views.control_sections import arm_detail, entries_detail, replicas_detail
from console.views.control_verdict import verdict_cell
from console.views.control_words import Ways
from console.views.model import Cell, Column, Detail, Row, Table, Tone, View
from console.views.words import count, estimate_cell, name, percent, plain

__all__ = ["NOT_YET", "joined", "without_state"]

_UNKNOWN = Cell("-", Tone.DIM)
_LOGGED = {"n": 2, "share": 0, "95% interval": 4, "errors": 1}
"""Columns of the logs beside those of the plane, and how soon they give way."""


NOT_YET = View("Traffic", (), Table((Column("version", flexible=True),), (), ""))
"""What the logs say before they were asked: a rollback need not wait for it."""


def joined(
    view: View, state: ControlState, evidence: Evidence | None, now: datetime, ways: Ways
) -> View:
    """The pane as the logs make it, with the state of the plane in front."""
    known = {row.key: row for row in view.table.rows}
    metric = evidence.metric if evidence is not None else ""
    columns = (
        Column("version", flexible=True),
        *control_columns(),
        Column("vs stable", flexible=True),
        *(_logged_column(c) for c in view.table.columns[1:]),
        Column(name(metric, 20) or "figure", right=True, priority=2),
        Column("cost/1000", right=True, priority=4),
    )
    width = len(view.table.columns)
    rows: list[Row] = []
    for arm, version in state.arms:
        rows.append(_arm_row(state, evidence, (arm, version), known.pop(version, None), width))
        rows += _replica_rows(state, arm, version, len(columns))
    rows += [_stranger(row) for row in known.values()]
    return View(
        view.title,
        (*control_headline(state, now, ways), *_findings(view)),
        Table(columns, tuple(rows), view.table.empty),
        view.plots,
        tuple(_details(view, state, evidence)),
        (*state_notes(state, evidence, now), *view.notes),
    )


def _findings(view: View) -> tuple[Cell, ...]:
    """What was found in the logs; that there is nothing is no news beside a split."""
    return tuple(c for c in view.headline if c.tone is not Tone.GOOD)


def _logged_column(column: Column) -> Column:
    return replace(column, priority=_LOGGED.get(column.title, max(column.priority, 3)))


def _arm_row(
    state: ControlState,
    evidence: Evidence | None,
    of: tuple[str, str],
    logged: Row | None,
    width: int,
) -> Row:
    arm, version = of
    label = name(arm, 30) if arm == version else f"{name(arm, 30)} ({name(version, 30)})"
    label += " *" if arm == state.stable else ""
    mine = evidence.of(arm) if evidence is not None else None
    of_logs = logged.cells[1:] if logged is not None else (plain(""),) * (width - 1)
    figures = (_UNKNOWN, _UNKNOWN)
    if evidence is not None and mine is not None:
        figures = (
            estimate_cell(mine.metric(evidence.metric)),
            estimate_cell(mine.metric("cost_per_1000")),
        )
    return Row(
        version,
        (
            plain(label, Tone.ACCENT, version),
            *control_cells(state, arm),
            verdict_cell(state, evidence, arm),
            *of_logs,
            *figures,
        ),
    )


def _replica_rows(state: ControlState, arm: str, version: str, width: int) -> Iterator[Row]:
    """Each replica below its arm, where they are not alike: never an average."""
    o = state.observed
    if o is None or len(o.replicas) < 2 or (o.split is not None and not state.locked):
        return
    for replica in o.replicas:
        configured = _share_of(replica, arm)
        share, n = _served(state, replica.name, arm)
        cells = (plain(f"  {name(replica.name, 40)}"), plain(""), configured, share, n)
        yield Row(f"{version}/{replica.name}", (*cells, *(plain(""),) * (width - len(cells))))


def _share_of(replica: Replica, arm: str) -> Cell:
    if replica.weights is None:
        return plain("unreadable", Tone.BAD)
    share = replica.weights.share(arm)
    return plain(percent_text(share), Tone.WARN, share)


def _served(state: ControlState, replica: str, arm: str) -> tuple[Cell, Cell]:
    """A replica's measured share of an arm, and the arm's requests there."""
    m = state.measured
    mine = [row for row in m.rows if row.replica == replica] if m is not None else []
    total = sum(row.n for row in mine)
    n = sum(row.n for row in mine if row.arm == arm)
    if not total:
        return _UNKNOWN, _UNKNOWN
    return plain(percent(n / total, 1), sort=n / total), plain(count(n), sort=n)


def _stranger(row: Row) -> Row:
    """A version in the logs that no arm leads to."""
    first, *rest = row.cells
    blank = (plain(""),) * (len(control_columns()) + 1)
    return Row(row.key, (first, *blank, *rest, _UNKNOWN, _UNKNOWN))


def _details(
    view: View, state: ControlState, evidence: Evidence | None
) -> Iterator[tuple[str, Detail]]:
    """Enter on an arm: what the plane has, then what the logs say; below it the newest entries."""
    logged = dict(view.details)
    replicas, entries = replicas_detail(state), entries_detail(state)
    for arm, version in state.arms:
        mine = arm_detail(state, evidence, arm, version)
        of_logs = logged.pop(version, Detail(""))
        yield (
            version,
            Detail(
                mine.title,
                (*mine.notes, *of_logs.notes),
                (*mine.tables, *replicas.tables, *entries.tables, *of_logs.tables),
                of_logs.plots,
            ),
        )
    yield from logged.items()


def without_state(view: View, problem: str) -> View:
    """The pane before the plane was looked at, or while it cannot be."""
    said = Cell("the plane is being asked how traffic is split", Tone.ACCENT)
    if problem:
        said = Cell(f"how traffic is split is not known: {name(problem, 400)}", Tone.BAD)
    return replace(view, headline=(said, *view.headline))
