"""Sections below the table of arms: each arm, every replica, the audit's newest entries."""

from __future__ import annotations

from console.analysis.comparison import Comparison
from console.analysis.estimate import Estimate
from console.control.evidence import Evidence
from console.control.history import changes_of
from console.control.state import ControlState
from console.control.told import sentence
from console.views.control_words import HEALTH_TONES, LONGEST, health_of, split_text
from console.views.model import Column, Detail, Row, Table, Tone
from console.views.versions import VERDICT_TONES, VERDICTS
from console.views.words import count, estimate_cell, interval, name, number, percent, plain

__all__ = ["arm_detail", "entries_detail", "replicas_detail"]


def arm_detail(state: ControlState, evidence: Evidence | None, arm: str, version: str) -> Detail:
    """What an arm is, its health, and how its version compares with the stable one."""
    mine = evidence.of(arm) if evidence is not None else None
    notes = [plain(f"arm {name(arm)} answers as version {name(version)}")]
    if arm == state.stable:
        notes.append(plain("a rollback sends all traffic here"))
    fallen = state.setback(arm)
    if fallen is not None:
        notes.append(plain(name(fallen.text, LONGEST), Tone.BAD))
    health, detail = health_of(state, arm)
    told = f": {name(detail, LONGEST)}" if detail else ""
    notes.append(plain(f"health {health.value}{told}", HEALTH_TONES[health]))
    tables = [_comparisons(mine.against_stable)] if mine is not None and mine.against_stable else []
    return Detail(f"Arm {name(arm)}", tuple(notes), tuple(tables))


def _comparisons(compared: tuple[Comparison, ...]) -> Table:
    columns = (
        Column("figure"),
        Column("value", right=True),
        Column("stable", right=True),
        Column("difference", right=True),
        Column("95% interval", priority=1),
        Column("verdict"),
    )
    rows = tuple(
        Row(
            c.metric,
            (
                plain(name(c.metric)),
                estimate_cell(c.mine),
                estimate_cell(c.other),
                plain(_signed(c.difference), sort=c.difference.value),
                plain(interval(c.difference), Tone.DIM),
                plain(VERDICTS[c.verdict], VERDICT_TONES[c.verdict]),
            ),
        )
        for c in compared
    )
    return Table(columns, rows)


def _signed(e: Estimate) -> str:
    plus = "+" if e.value is not None and e.value > 0 else ""
    return plus + number(e.value)


def replicas_detail(state: ControlState) -> Detail:
    """Each replica by itself: never an average."""
    o = state.observed
    if o is None:
        return Detail("Replicas", (plain("not read yet", Tone.UNKNOWN),))
    columns = (
        Column("replica", flexible=True),
        Column("configured"),
        Column("measured"),
        Column("requests", right=True),
        Column("change", priority=1),
    )
    rows = []
    for r in o.replicas:
        bad = o.differs or r.weights is None or r.weights.total <= 0
        reads = (
            plain(split_text(r.weights), Tone.BAD if bad else Tone.PLAIN)
            if r.weights is not None
            else plain(f"not readable: {name(r.problem, 200)}", Tone.BAD)
        )
        n, shares = _served(state, r.name)
        cells = (plain(name(r.name)), reads, plain(shares), plain(n), plain(name(r.change_id)))
        rows.append(Row(r.name, cells))
    return Detail("Replicas", (), (Table(columns, tuple(rows), "there are none"),))


def _served(state: ControlState, replica: str) -> tuple[str, str]:
    """What a replica has answered in the last minute."""
    m = state.measured
    mine = [row for row in m.rows if row.replica == replica] if m is not None else []
    total = sum(row.n for row in mine)
    if not mine:
        return "-", "-"
    shares = ", ".join(f"{name(r.arm)} {percent(r.n / total, 1)}" for r in mine) if total else "-"
    return count(total), shares


def entries_detail(state: ControlState) -> Detail:
    """What was done and tried, the newest first."""
    changes = {c.id: c for c in changes_of(reversed(state.recent), state.deployment)}
    columns = (
        Column("when (UTC)"),
        Column("entry"),
        Column("what", flexible=True),
        Column("who", priority=1),
        Column("change", priority=2),
    )
    rows = tuple(
        Row(
            str(e.n),
            (
                plain(f"{e.at:%m-%d %H:%M:%S}"),
                plain(e.kind.value),
                plain(name(sentence(e, changes.get(e.change)), 160)),
                plain(name(f"{e.who.program} {e.who}", 60)),
                plain(name(e.change, 40)),
            ),
        )
        for e in state.recent
    )
    table = Table(columns, rows, "nothing was changed through modelwatch yet")
    return Detail("Newest entries of the audit", (), (table,))
