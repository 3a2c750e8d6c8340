"""How a deployment's traffic stands: desired, configured and measured by arm, and how old that is.

The Traffic pane joins it to what the logs say (`joined`); `modelwatch traffic show` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.analysis.comparison import Comparison
from console.analysis.estimate import Estimate
from console.control.entries import Entry, EntryKind
from console.control.evidence import ArmEvidence, Evidence
from console.control.plane import Health
from console.control.split import Split, percent_text
from console.control.state import ControlState
from console.control.verify import Proof, verify
from console.views import records
from console.views.control_plan import (
    evidence_document,
    outcome_document,
    outcome_view,
    proposal_document,
    proposal_view,
    replicas_document,
    shares_document,
    split_text,
)
from console.views.model import Cell, Column, Detail, Row, Table, Tone, View
from console.views.versions import VERDICT_TONES, VERDICTS
from console.views.words import age, count, estimate_cell, interval, name, number, percent, plain

__all__ = [
    "COMMANDS",
    "Ways",
    "alarm",
    "outcome_document",
    "outcome_view",
    "proposal_document",
    "proposal_view",
    "state_document",
    "state_view",
]

_LONGEST = 400
_HEALTH = {Health.UP: Tone.GOOD, Health.DOWN: Tone.BAD, Health.UNKNOWN: Tone.UNKNOWN}
_UNKNOWN = Cell("-", Tone.UNKNOWN)
_IN_FLIGHT = timedelta(seconds=60)
"""As in `console.control.watch`."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How whoever reads this acts: words for keys or for commands. settle: closes an intent."""

    complete: str
    undo: str
    rollback: str
    settle: str


COMMANDS = Ways(
    "`modelwatch traffic complete`",
    "`modelwatch traffic undo`",
    "`modelwatch traffic rollback`",
    "`modelwatch traffic settle`",
)


def state_view(
    state: ControlState, evidence: Evidence | None, now: datetime, ways: Ways = COMMANDS
) -> View:
    """What is wrong first, then one row per arm; sections: each arm, replicas, the newest entries.

    now: aware, UTC, for the age of everything.
    """
    metric = evidence.metric if evidence is not None else ""
    table = Table(_columns(metric), tuple(_rows(state, evidence)), "no arms")
    details = [(arm, _arm_detail(state, evidence, arm, version)) for arm, version in state.arms]
    details.append(("replicas", _replicas(state)))
    details.append(("audit", _entries(state)))
    return View(
        "Traffic control",
        tuple(_headline(state, now, ways)),
        table,
        details=tuple(details),
        notes=tuple(_notes(state, evidence, now)),
    )


# -- in words --------------------------------------------------------------------------------------


def alarm(state: ControlState, now: datetime) -> str:
    """What must be seen from anywhere, in a few words; "" for nothing."""
    o = state.observed
    if any(not _under_way(e, now) for e in state.unresolved):
        return "unresolved change"
    if o is not None and o.differs:
        return "PARTIAL"
    if state.locked:
        return "plane unreachable"
    if _black_hole(state):
        return "all weights 0"
    return "split is not as asked" if state.late else ""


def _headline(state: ControlState, now: datetime, ways: Ways) -> Iterator[Cell]:
    yield from _wrong(state, now, ways)
    yield from _contradicted(state)
    yield _summary(state, now)
    for text in (state.ramp, state.fallback):
        if text:
            yield Cell(name(text, _LONGEST), Tone.ACCENT)
    if state.refused:
        yield Cell(name(state.refused, _LONGEST), Tone.DIM)


def _wrong(state: ControlState, now: datetime, ways: Ways) -> Iterator[Cell]:
    """What somebody must do something about, with what to do."""
    o = state.observed
    if state.locked:
        text = f"the plane cannot be read: {name(state.problem, _LONGEST)}; controls are locked"
        yield Cell(text, Tone.BAD)
    for entry in state.unresolved[:3]:
        if _under_way(entry, now):
            since = age(now - entry.at)
            yield Cell(f"under way for {since}: {_entry_words(entry)}", Tone.ACCENT)
            continue
        yield Cell(
            f"UNKNOWN: {_entry_words(entry)} at {entry.at:%d %b %H:%M:%S} UTC has no result yet;"
            f" {ways.settle} reads it back, {ways.undo} or {ways.complete} settles it too",
            Tone.BAD,
        )
    if o is not None and o.differs:
        text = f"PARTIAL: replicas split traffic differently; {ways.complete} or {ways.undo}"
        yield Cell(text, Tone.BAD)
    if o is not None and not o.differs:
        silent = [r for r in o.replicas if r.weights is None]
        if silent:
            text = f"{len(silent)} of {len(o.replicas)} replicas cannot be read: "
            yield Cell(text + name(f"{silent[0].name}: {silent[0].problem}", _LONGEST), Tone.BAD)
    if _black_hole(state):
        yield Cell(f"all weights are 0: no request is answered; {ways.rollback}", Tone.BAD)
    if state.late:
        text = f"DRIFT: {name(state.late, _LONGEST)}; {ways.complete} asks for it again"
        yield Cell(text, Tone.BAD)
    if o is not None and o.problem:
        yield Cell(name(o.problem, _LONGEST), Tone.WARN)
    if state.problem and not state.locked:
        yield Cell(name(state.problem, _LONGEST), Tone.WARN)
    for arm, health, detail in _healths(state):
        if health is Health.DOWN and _takes(state, arm):
            told = f" ({name(detail, _LONGEST)})" if detail else ""
            yield Cell(f"{name(arm)} takes traffic and is down{told}; {ways.rollback}", Tone.BAD)


def _under_way(entry: Entry, now: datetime) -> bool:
    """Whether whoever wrote an intent may still be carrying it out."""
    return timedelta(0) <= now - entry.at < _IN_FLIGHT


def _black_hole(state: ControlState) -> bool:
    o = state.observed
    return o is not None and any(r.weights is not None and r.weights.total <= 0 for r in o.replicas)


def _contradicted(state: ControlState) -> Iterator[Cell]:
    """The sample-ratio check: requests of the last minute against the configured split."""
    o, m = state.observed, state.measured
    if o is None or m is None or o.split is None or o.split.total <= 0 or not m.n:
        return
    if any(
        e.kind in (EntryKind.INTENT, EntryKind.RESULT) and e.at >= m.start for e in state.recent
    ):
        return  # some of these requests were split otherwise, rightly
    found = verify(None, o.split, m)
    if found.proof is Proof.CONTRADICTED:
        text = f"requests do not follow the split: {name(found.text, _LONGEST)}"
        yield Cell(text, Tone.BAD)


def _summary(state: ControlState, now: datetime) -> Cell:
    o = state.observed
    if o is None:
        return Cell("how traffic is split is not known: the plane was not read yet", Tone.UNKNOWN)
    read = f"read {age(now - o.at)} ago"
    if o.split is None:
        return Cell(f"there is no one split; {read}", Tone.UNKNOWN)
    n = len(o.replicas)
    where = f" on all {n} replicas" if n > 1 else ""
    if state.locked:
        return Cell(f"last known: {split_text(o.split)}{where}, {read}", Tone.DIM)
    m = state.measured
    told = f"; {count(m.n)} requests in the last {age(m.end - m.start)}" if m is not None else ""
    tone = Tone.PLAIN if state.late or _black_hole(state) else Tone.GOOD
    return Cell(f"{split_text(o.split)}{where}, {read}{told}", tone)


def _notes(state: ControlState, evidence: Evidence | None, now: datetime) -> Iterator[Cell]:
    o, m, d = state.observed, state.measured, state.desired
    if d is not None:
        yield plain(
            f"desired since {d.since:%Y-%m-%d %H:%M:%S} UTC by {name(d.by)}"
            f" ({name(d.change)}, {name(d.how)})"
        )
    else:
        yield plain("nobody has asked for a split through modelwatch yet", Tone.DIM)
    ages = [f"plane asked {age(now - state.asked)} ago"]
    ages.append("never read" if o is None else f"read {age(now - o.at)} ago")
    if m is not None:
        ages.append(f"requests counted until {age(now - m.end)} ago")
    elif state.capabilities.counts:
        ages.append("no requests counted yet")
    else:
        ages.append("this plane counts no requests")
    if evidence is not None:
        newest = evidence.age(now)
        ages.append("no predictions" if newest is None else f"newest prediction {age(newest)} old")
    yield plain("; ".join(ages))
    if m is not None and m.restarted:
        who = name(", ".join(m.restarted), 100)
        yield plain(f"counters began anew on {who}; what came before is not counted", Tone.WARN)
    if m is not None and m.missing:
        yield plain(f"no counts from {name(', '.join(m.missing), 100)}", Tone.WARN)
    if evidence is not None and evidence.mismatch:
        yield plain("logged traffic is not split as the trial says: see Versions", Tone.WARN)
    yield plain(f"plane: {name(state.plane, 200)}", Tone.DIM)
    if state.capabilities.note:
        yield plain(name(state.capabilities.note, _LONGEST), Tone.DIM)


def _entry_words(entry: Entry) -> str:
    """An entry in a few words."""
    f = entry.fields
    what = f.get("purpose") or f.get("event") or entry.kind.value
    return f"{name(what, 40)} by {name(entry.who)} ({name(entry.change or '-')})"


# -- rows ------------------------------------------------------------------------------------------


def _columns(metric: str) -> tuple[Column, ...]:
    return (
        Column("arm", flexible=True),
        *control_columns(),
        Column(name(metric, 20) or "figure", right=True, priority=2),
        Column("against stable", priority=1),
        Column("error rate", right=True, priority=3),
        Column("p95 ms", right=True, priority=3),
        Column("cost/1000", right=True, priority=4),
    )


def control_columns() -> tuple[Column, ...]:
    """What the plane is asked for, has, and does."""
    return (
        Column("desired", right=True),
        Column("configured", right=True),
        Column("measured", right=True),
        Column("requests", right=True, priority=1),
        Column("failed", right=True, priority=2),
        Column("health"),
    )


def _rows(state: ControlState, evidence: Evidence | None) -> Iterator[Row]:
    for arm, version in state.arms:
        label = name(arm) if arm == version else f"{name(arm)} ({name(version)})"
        stable = " *" if arm == state.stable else ""
        mine = evidence.of(arm) if evidence is not None else None
        cells = (
            plain(label + stable, Tone.ACCENT, arm),
            *control_cells(state, arm),
            *_figures(evidence, mine),
        )
        yield Row(arm, cells)


def control_cells(state: ControlState, arm: str) -> tuple[Cell, ...]:
    """The cells of `control_columns`."""
    o, d, m = state.observed, state.desired, state.measured
    configured, measured = _configured(state, arm), _UNKNOWN
    requests = failed = _UNKNOWN
    if m is not None:
        share, errors = m.share(arm), m.errors(arm)
        measured = plain(percent(share, 1), sort=share) if share is not None else _UNKNOWN
        requests = plain(count(m.of(arm)), sort=m.of(arm))
        if errors is not None:
            bad = Tone.BAD if errors and errors > 0.01 * m.of(arm) else Tone.PLAIN
            failed = plain(count(errors), bad, errors)
    desired = _UNKNOWN
    if d is not None:
        off = o is not None and not o.differs and bool(state.late)
        tone = Tone.BAD if off else Tone.PLAIN
        desired = plain(percent_text(d.split.share(arm)), tone, d.split.share(arm))
    health, detail = _health(state, arm)
    told = f"{health.value} {name(detail, 40)}".strip()
    cell = plain(told, _HEALTH[health])
    return desired, configured, measured, requests, failed, cell


def _configured(state: ControlState, arm: str) -> Cell:
    o = state.observed
    if o is None or not o.known:
        return _UNKNOWN
    shares = sorted({r.weights.share(arm) for r in o.known if r.weights is not None})
    if len(shares) == 1:
        tone = Tone.DIM if state.locked else Tone.BAD if state.late else Tone.PLAIN
        return plain(percent_text(shares[0]), tone, shares[0])
    text = f"{percent_text(shares[0])}..{percent_text(shares[-1])}"
    return plain(text, Tone.BAD, shares[-1])


def _takes(state: ControlState, arm: str) -> bool:
    o = state.observed
    return o is not None and any(
        r.weights is not None and r.weights.weight(arm) > 0 for r in o.known
    )


def _healths(state: ControlState) -> Iterator[tuple[str, Health, str]]:
    for arm, _ in state.arms:
        yield (arm, *_health(state, arm))


def _health(state: ControlState, arm: str) -> tuple[Health, str]:
    """The worse of what the plane says and what the arm itself does."""
    told = [(h, detail) for a, h, detail in state.health if a == arm]
    if state.observed is not None and not state.locked:
        told += [(h.health, h.detail) for h in state.observed.health if h.arm == arm]
    for wanted in (Health.DOWN, Health.UP):
        for health, detail in told:
            if health is wanted:
                return health, detail
    return Health.UNKNOWN, next((detail for _, detail in told if detail), "")


def _figures(evidence: Evidence | None, mine: ArmEvidence | None) -> tuple[Cell, ...]:
    if evidence is None or mine is None:
        return (_UNKNOWN, plain(""), _UNKNOWN, _UNKNOWN, _UNKNOWN)
    errors = mine.metric("error_rate")
    return (
        estimate_cell(mine.metric(evidence.metric)),
        verdict_cell(mine),
        plain(percent(errors.value, 2), _worse_tone(mine, "error_rate"), errors.value),
        estimate_cell(mine.metric("latency_p95"), tone=_worse_tone(mine, "latency_p95")),
        estimate_cell(mine.metric("cost_per_1000")),
    )


def verdict_cell(mine: ArmEvidence) -> Cell:
    """The trial's verdict; or the figures in which it is surely worse."""
    if not mine.against_stable:
        return plain("")
    worse = [c.metric for c in mine.worse]
    if worse:
        return plain(f"worse: {name(', '.join(worse), 60)}", Tone.BAD)
    first = mine.against_stable[0]
    return plain(VERDICTS[first.verdict], VERDICT_TONES[first.verdict])


def _worse_tone(mine: ArmEvidence, metric: str) -> Tone:
    return Tone.BAD if any(c.metric == metric for c in mine.worse) else Tone.PLAIN


# -- sections --------------------------------------------------------------------------------------


def _arm_detail(state: ControlState, evidence: Evidence | None, arm: str, version: str) -> Detail:
    mine = evidence.of(arm) if evidence is not None else None
    notes = [plain(f"arm {name(arm)} answers as version {name(version)}")]
    if arm == state.stable:
        notes.append(plain("a rollback sends all traffic here"))
    health, detail = _health(state, arm)
    told = f": {name(detail, _LONGEST)}" if detail else ""
    notes.append(plain(f"health {health.value}{told}", _HEALTH[health]))
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


def _replicas(state: ControlState) -> Detail:
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


def _entries(state: ControlState) -> Detail:
    columns = (
        Column("when (UTC)"),
        Column("what"),
        Column("to", flexible=True),
        Column("how", flexible=True),
        Column("who"),
        Column("change", priority=1),
    )
    rows = tuple(
        Row(
            str(e.n),
            (
                plain(f"{e.at:%Y-%m-%d %H:%M:%S}"),
                plain(_what(e)),
                plain(_wanted(e)),
                plain(name(_how(e), 120)),
                plain(name(e.who, 60)),
                plain(name(e.change, 40)),
            ),
        )
        for e in state.recent
    )
    table = Table(columns, rows, "nothing was changed through modelwatch yet")
    return Detail("Newest entries of the audit", (), (table,))


def _what(e: Entry) -> str:
    said = e.fields.get("purpose") or e.fields.get("event")
    return e.kind.value if not said else f"{e.kind.value}: {name(said, 30)}"


def _wanted(e: Entry) -> str:
    after = e.fields.get("after")
    if not isinstance(after, dict) or not all(type(w) is int and w >= 0 for w in after.values()):
        return ""
    return split_text(Split.of({str(arm): w for arm, w in after.items()}))


def _how(e: Entry) -> str:
    f = e.fields
    parts = [str(f[key]) for key in ("outcome", "text", "why", "reason") if f.get(key)]
    return ": ".join(parts)


# -- JSON ------------------------------------------------------------------------------------------


def state_document(state: ControlState, evidence: Evidence | None, now: datetime) -> dict[str, Any]:
    """The JSON of `traffic show`. Shares are from 0 to 1, ages in seconds; null: not known."""
    o, m, d = state.observed, state.measured, state.desired
    return {
        "deployment": state.deployment,
        "plane": state.plane,
        "stable": state.stable,
        "at": records.stamp(now),
        "writable": state.writable,
        "read_only_because": state.refused or None,
        "locked": state.locked,
        "problem": state.problem or None,
        "drift": state.late or None,
        "partial": o is not None and o.differs,
        "read_age_s": None if o is None else (now - o.at).total_seconds(),
        "revision": None if o is None else o.revision or None,
        "ramp": state.ramp or None,
        "fallback": state.fallback or None,
        "desired": None
        if d is None
        else {
            "shares": shares_document(d.split),
            "since": records.stamp(d.since),
            "by": d.by,
            "change": d.change,
            "result": d.how.replace(" ", "_"),
        },
        "arms": [_arm_document(state, arm, version) for arm, version in state.arms],
        "replicas": [] if o is None else replicas_document(o),
        "measured": None
        if m is None
        else {
            "start": records.stamp(m.start),
            "end": records.stamp(m.end),
            "n": m.n,
            "restarted": list(m.restarted),
            "missing": list(m.missing),
        },
        "unresolved": [
            {"change": e.change, "at": records.stamp(e.at), "by": str(e.who)}
            for e in state.unresolved
        ],
        "evidence": evidence_document(evidence),
    }


def _arm_document(state: ControlState, arm: str, version: str) -> dict[str, Any]:
    o, m, d = state.observed, state.measured, state.desired
    health, detail = _health(state, arm)
    split = o.split if o is not None else None
    return {
        "arm": arm,
        "version": version,
        "desired": None if d is None else d.split.share(arm),
        "configured": None if split is None else split.share(arm),
        "measured": None if m is None else m.share(arm),
        "n": None if m is None else m.of(arm),
        "n_error": None if m is None else m.errors(arm),
        "health": health.value,
        "health_detail": detail or None,
    }
