"""How a deployment's traffic stands: desired, configured and measured by arm, and how old that is.

The Traffic pane joins it to what the logs say (`joined`); `modelwatch traffic show` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from console.control.entries import Entry, EntryKind
from console.control.evidence import ArmEvidence, Evidence
from console.control.plane import Health
from console.control.split import percent_text
from console.control.state import ControlState
from console.control.verify import Proof, verify
from console.views.control_json import outcome_document, proposal_document, state_document
from console.views.control_plan import outcome_view, proposal_view
from console.views.control_sections import arm_detail, entries_detail, replicas_detail
from console.views.control_verdict import setback_lines, verdict_cell
from console.views.control_words import COMMANDS, HEALTH_TONES, LONGEST, Ways, health_of, split_text
from console.views.model import Cell, Column, Row, Table, Tone, View
from console.views.words import age, count, estimate_cell, name, percent, plain

__all__ = [
    "COMMANDS",
    "Ways",
    "alarm",
    "control_cells",
    "control_columns",
    "control_headline",
    "outcome_document",
    "outcome_view",
    "proposal_document",
    "proposal_view",
    "state_document",
    "state_notes",
    "state_view",
]

_UNKNOWN = Cell("-", Tone.DIM)
_IN_FLIGHT = timedelta(seconds=60)
"""As in `console.control.watch`."""


def state_view(
    state: ControlState, evidence: Evidence | None, now: datetime, ways: Ways = COMMANDS
) -> View:
    """What is wrong first, then one row per arm; sections: each arm, replicas, the newest entries.

    now: aware, UTC, for the age of everything.
    """
    metric = evidence.metric if evidence is not None else ""
    table = Table(_columns(metric), tuple(_rows(state, evidence)), "no arms")
    details = [(arm, arm_detail(state, evidence, arm, version)) for arm, version in state.arms]
    details.append(("replicas", replicas_detail(state)))
    details.append(("audit", entries_detail(state)))
    return View(
        "Traffic control",
        tuple(control_headline(state, now, ways)),
        table,
        details=tuple(details),
        notes=tuple(state_notes(state, evidence, now)),
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


def control_headline(state: ControlState, now: datetime, ways: Ways) -> Iterator[Cell]:
    """Sentences: what is wrong with what to do, then how it stands, then what goes by itself."""
    yield from _wrong(state, now, ways)
    yield from _contradicted(state)
    if state.on_fallback:
        on = f"on the fallback {state.on_fallback}"
        more = state.fallback.removeprefix(on)  # the way back goes before what a line has room for
        yield Cell(name(f"{on} ({ways.back}){more}", LONGEST), Tone.WARN)
    if state.ramping:
        yield Cell(name(state.ramp, LONGEST), Tone.ACCENT)
    yield _summary(state, now)
    if state.fallback and not state.on_fallback:
        yield Cell(name(state.fallback, LONGEST), Tone.PLAIN)
    if state.ramp and not state.ramping:
        yield Cell(name(state.ramp, LONGEST), Tone.DIM)
    if state.refused:
        yield Cell(name(state.refused, LONGEST), Tone.DIM)


def _wrong(state: ControlState, now: datetime, ways: Ways) -> Iterator[Cell]:
    """What somebody must do something about, with what to do."""
    o = state.observed
    if state.locked:
        text = f"the plane cannot be read: {name(state.problem, LONGEST)}; controls are locked"
        yield Cell(text, Tone.BAD)
    for entry in state.unresolved[:3]:
        if _under_way(entry, now):
            since = age(now - entry.at)
            yield Cell(f"under way for {since}: {_entry_words(entry)}", Tone.ACCENT)
            continue
        yield Cell(
            f"UNKNOWN: {_entry_words(entry)} at {entry.at:%d %b %H:%M:%S} UTC has no result yet;"
            f" {ways.undo}, {ways.complete}, {ways.settle}",
            Tone.BAD,
        )
    if o is not None and o.differs:
        text = f"PARTIAL: replicas split traffic differently; {ways.complete}, {ways.undo}"
        yield Cell(text, Tone.BAD)
    if o is not None and not o.differs:
        silent = [r for r in o.replicas if r.weights is None]
        if silent:
            text = f"{len(silent)} of {len(o.replicas)} replicas cannot be read: "
            yield Cell(text + name(f"{silent[0].name}: {silent[0].problem}", LONGEST), Tone.BAD)
    if _black_hole(state):
        yield Cell(f"all weights are 0: no request is answered; {ways.rollback}", Tone.BAD)
    if state.late:
        text = f"DRIFT: {name(state.late, LONGEST)}; {ways.complete}, {ways.rollback}"
        yield Cell(text, Tone.BAD)
    if o is not None and o.problem:
        yield Cell(name(o.problem, LONGEST), Tone.WARN)
    if state.problem and not state.locked:
        yield Cell(name(state.problem, LONGEST), Tone.WARN)
    for arm, health, detail in _healths(state):
        if health is Health.DOWN and _takes(state, arm):
            told = f" ({name(detail, LONGEST)})" if detail else ""
            way = ways.rollback if arm != state.stable else _from_stable(state, ways)
            yield Cell(f"{name(arm)} takes traffic and is down{told}; {way}", Tone.BAD)


def _from_stable(state: ControlState, ways: Ways) -> str:
    """A rollback would send everything to what is down."""
    return ways.fall if state.fallback else "nothing to fall back to is configured"


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
    if _split_otherwise(state, m.start):
        return
    found = verify(None, o.split, m)
    if found.proof is Proof.CONTRADICTED:
        text = f"requests do not follow the split: {name(found.text, LONGEST)}"
        yield Cell(text, Tone.BAD)


def _split_otherwise(state: ControlState, since: datetime) -> bool:
    """Whether some requests since then were split otherwise, rightly."""
    changes = (EntryKind.INTENT, EntryKind.RESULT)
    return any(e.kind in changes and e.at >= since for e in state.recent)


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
    calm = not (state.late or _black_hole(state) or state.on_fallback)
    tone = Tone.GOOD if calm else Tone.PLAIN
    return Cell(f"{split_text(o.split)}{where}, {read}{told}", tone)


def state_notes(state: ControlState, evidence: Evidence | None, now: datetime) -> Iterator[Cell]:
    """Who asked for the split, how old everything is, what one must know of the plane."""
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
    if m is not None and _split_otherwise(state, m.start):
        yield plain("a change lies within the counted time: measured mixes before and after")
    if m is not None and m.restarted:
        who = name(", ".join(m.restarted), 100)
        yield plain(f"counters began anew on {who}; what came before is not counted", Tone.WARN)
    if m is not None and m.missing:
        yield plain(f"no counts from {name(', '.join(m.missing), 100)}", Tone.WARN)
    yield from setback_lines(state)
    if evidence is not None and evidence.mismatch:
        yield plain("logged traffic is not split as the trial says: see Versions", Tone.WARN)
    yield plain(f"plane: {name(state.plane, 200)}", Tone.DIM)
    if state.capabilities.note:
        yield plain(name(state.capabilities.note, LONGEST), Tone.DIM)


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
        Column("vs stable", flexible=True),
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
        Column("requests", right=True, priority=2),
        Column("failed", right=True, priority=3),
        Column("health"),
    )


def _rows(state: ControlState, evidence: Evidence | None) -> Iterator[Row]:
    for arm, version in state.arms:
        label = name(arm) if arm == version else f"{name(arm)} ({name(version)})"
        stable = " *" if arm == state.stable else ""
        cells = (
            plain(label + stable, Tone.ACCENT, arm),
            *control_cells(state, arm),
            *_figures(state, evidence, arm),
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
    health, _ = health_of(state, arm)  # why is in the headline, and enter has it
    cell = plain(health.value, HEALTH_TONES[health])
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
        yield (arm, *health_of(state, arm))


def _figures(state: ControlState, evidence: Evidence | None, arm: str) -> tuple[Cell, ...]:
    mine = evidence.of(arm) if evidence is not None else None
    verdict = verdict_cell(state, evidence, arm)
    if evidence is None or mine is None:
        return (_UNKNOWN, verdict, _UNKNOWN, _UNKNOWN, _UNKNOWN)
    errors = mine.metric("error_rate")
    return (
        estimate_cell(mine.metric(evidence.metric)),
        verdict,
        plain(percent(errors.value, 2), _worse_tone(mine, "error_rate"), errors.value),
        estimate_cell(mine.metric("latency_p95"), tone=_worse_tone(mine, "latency_p95")),
        estimate_cell(mine.metric("cost_per_1000")),
    )


def _worse_tone(mine: ArmEvidence, metric: str) -> Tone:
    return Tone.BAD if any(c.metric == metric for c in mine.worse) else Tone.PLAIN
