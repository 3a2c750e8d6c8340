"""A plan as it is shown before it is confirmed, and what became of it: as pages and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from console.control.evidence import Evidence
from console.control.guards import Guard, GuardVerdict
from console.control.outcome import Outcome, Proposal, Result
from console.control.plan import Plan, Purpose, ShareChange
from console.control.plane import Observed
from console.control.split import Split, percent_text
from console.control.verify import Verification
from console.views.control_verdict import compared_cell
from console.views.control_words import LONGEST, split_text
from console.views.model import Cell, Column, Detail, Row, Table, Tone, View
from console.views.words import age, count, estimate_cell, name, plain

__all__ = ["PURPOSES", "outcome_view", "proposal_view"]

PURPOSES = {
    Purpose.SET: "move traffic",
    Purpose.RAMP: "staged rollout",
    Purpose.ROLLBACK: "roll back",
    Purpose.FALLBACK: "fall back",
    Purpose.RETURN: "return from the fallback",
    Purpose.COMPLETE: "complete the last change",
    Purpose.UNDO: "undo the last change",
}

_GUARD_TONES = {
    GuardVerdict.PASS: Tone.GOOD,
    GuardVerdict.WARN: Tone.WARN,
    GuardVerdict.REFUSE: Tone.BAD,
    GuardVerdict.UNKNOWN: Tone.BAD,
}
_GUARD_ORDER = (GuardVerdict.REFUSE, GuardVerdict.UNKNOWN, GuardVerdict.WARN, GuardVerdict.PASS)

_RESULTS = {
    Result.APPLIED: ("APPLIED", Tone.GOOD),
    Result.REFUSED: ("REFUSED: nothing was changed", Tone.BAD),
    Result.CONFLICT: ("CONFLICT: nothing was changed by this", Tone.BAD),
    Result.PARTIAL: ("PARTIAL: some replicas have it, some do not", Tone.BAD),
    Result.UNKNOWN: ("UNKNOWN: it may have been applied", Tone.BAD),
    Result.NOT_VERIFIED: ("NOT VERIFIED: it reads as wanted, requests do not prove it", Tone.WARN),
}


# -- a plan ----------------------------------------------------------------------------------------


def proposal_view(p: Proposal, now: datetime) -> View:
    """From and to by arm, what each guard says, on what it rests, what undoes it, until when."""
    plan = p.plan
    headline = [Cell(f"{PURPOSES[plan.purpose]}: {_difference(plan)}", Tone.ACCENT)]
    if not p.permitted:
        headline.append(Cell("this plan is refused; nothing was changed", Tone.BAD))
        headline += [Cell(name(text, LONGEST), Tone.BAD) for text in p.refusals]
    elif plan.expired(now):
        headline.append(Cell("this plan has expired: make it anew", Tone.BAD))
    else:
        headline.append(_in_short(p, now))
    warned = [g for g in p.guards if g.verdict is GuardVerdict.WARN]
    headline += [Cell(name(g.text, LONGEST), Tone.WARN) for g in warned]
    columns = (
        Column("arm", flexible=True),
        Column("from", right=True),
        Column("to", right=True),
        Column("weight", right=True, priority=1),
        Column("predictions", right=True, priority=1),
        Column(name(p.evidence.metric, 20) if p.evidence else "figure", right=True, priority=2),
        Column("against stable", priority=2),
    )
    rows = tuple(_arm_row(p, change) for change in plan.changes)
    return View(
        "Plan",
        tuple(headline),
        Table(columns, rows, "no arms"),
        details=(("guards", _guards(p.guards)), ("grounds", _grounds(p, now))),
    )


def _in_short(p: Proposal, now: datetime) -> Cell:
    """What must be known even of a screen that shows no more: how old, how sure, how long."""
    newest = p.evidence.age(now) if p.evidence is not None else None
    data = "no predictions to go by" if newest is None else f"newest prediction {age(newest)} old"
    verify = f"{_requests(p.needed)} can prove it"
    return Cell("; ".join(filter(None, (data, verify, _until(p.plan, now)))), Tone.DIM)


def _until(plan: Plan, now: datetime) -> str:
    """How long it may be confirmed; "" for what need not be made anew."""
    if plan.purpose.from_anywhere:
        return ""
    return f"it may be confirmed for {age(plan.expires - now)}"


def _difference(plan: Plan) -> str:
    """What changes, in words: "v1 90% -> 75%, v2 10% -> 25%"."""
    if plan.is_nothing:
        return f"nothing changes, it is {split_text(plan.after)} already"
    changed = [c for c in plan.changes if c.before is None or c.before != c.after]
    return ", ".join(f"{name(c.arm)} {_from(c)} -> {percent_text(c.after)}" for c in changed)


def _from(change: ShareChange) -> str:
    return "differs" if change.before is None else percent_text(change.before)


def _arm_row(p: Proposal, change: ShareChange) -> Row:
    mine = p.evidence.of(change.arm) if p.evidence is not None else None
    before = change.before
    same = before is not None and before == change.after
    tone = Tone.DIM if same else Tone.GOOD if change.is_increase else Tone.WARN
    weight = p.plan.after.weight(change.arm)
    return Row(
        change.arm,
        (
            plain(name(change.arm), Tone.ACCENT),
            plain(_from(change), sort=before),
            plain(percent_text(change.after), tone, change.after),
            plain(count(weight), sort=weight),
            plain(count(mine.n), sort=mine.n) if mine is not None else plain("-", Tone.DIM),
            estimate_cell(mine.metric(p.evidence.metric), with_interval=True)
            if mine is not None and p.evidence is not None
            else plain("-", Tone.DIM),
            compared_cell(mine),
        ),
    )


def _guards(guards: tuple[Guard, ...]) -> Detail:
    ordered = sorted(guards, key=lambda g: _GUARD_ORDER.index(g.verdict))
    rows = tuple(
        Row(
            str(place),
            (
                plain(g.verdict.value, _GUARD_TONES[g.verdict]),
                plain(g.name),
                plain(name(g.text, LONGEST)),
            ),
        )
        for place, g in enumerate(ordered)
    )
    columns = (Column("verdict"), Column("guard"), Column("why", flexible=True))
    return Detail("Guards", (), (Table(columns, rows, "there are none"),))


def _grounds(p: Proposal, now: datetime) -> Detail:
    return Detail("What it rests on, and what comes of it", tuple(_ground_lines(p, now)))


def _ground_lines(p: Proposal, now: datetime) -> Iterator[Cell]:
    plan, observed = p.plan, p.observed
    yield plain(f"reason: {name(plan.reason, LONGEST) or 'none was given'}")
    n = len(observed.replicas)
    replicas = f", {n} replicas" if n > 1 else ""
    yield plain(f"plane: {name(plan.plane, 200)}{replicas}, read {age(now - observed.at)} ago")
    yield from _replica_lines(observed)
    yield _evidence_line(p.evidence, now)
    for text in p.effect or ("what it will do is not known",):
        yield plain(f"expected: {name(text, LONGEST)}")
    yield plain(
        f"to verify: {_requests(p.needed)} can tell that it worked"
        if p.observed.replicas
        else "to verify: nothing was read"
    )
    undo = "what was before is not known" if plan.before is None else split_text(plan.before)
    yield plain(f"undo goes back to: {undo}")
    for note in p.notes:
        yield plain(f"note: {name(note, LONGEST)}", Tone.DIM)
    if plan.purpose.from_anywhere:
        yield plain("it does not expire: the plane is read again, and every guard asked, before it")
    elif plan.expired(now):
        yield plain(f"it expired at {plan.expires:%H:%M:%S} UTC", Tone.BAD)
    else:
        yield plain(f"{_until(plan, now)} more (until {plan.expires:%H:%M:%S} UTC)")
    yield plain(f"change {name(plan.id)}", Tone.DIM)


def _replica_lines(observed: Observed) -> Iterator[Cell]:
    """Each replica, where they are not all alike."""
    if observed.split is not None:
        return
    for r in observed.replicas:
        if r.weights is None:
            yield plain(f"  {name(r.name)}: not readable, {name(r.problem, LONGEST)}", Tone.BAD)
        else:
            yield plain(f"  {name(r.name)}: {split_text(r.weights)}", Tone.WARN)


def _evidence_line(evidence: Evidence | None, now: datetime) -> Cell:
    if evidence is None:
        return plain("evidence: none; the store could not be asked", Tone.WARN)
    newest = evidence.age(now)
    data = "there are no predictions" if newest is None else f"newest prediction {age(newest)} old"
    return plain(
        f"evidence: {evidence.start:%Y-%m-%d %H:%M} to {evidence.end:%m-%d %H:%M} UTC, {data}"
    )


# -- an outcome ------------------------------------------------------------------------------------


def outcome_view(o: Outcome) -> View:
    """How it ended, what to do, and what every replica has now."""
    word, tone = _RESULTS[o.result]
    headline = [Cell(word, tone), Cell(name(o.text, LONGEST), Tone.PLAIN)]
    if o.todo:
        headline.append(Cell(f"to do: {name(o.todo, LONGEST)}", Tone.ACCENT))
    if not o.audited:
        headline.append(Cell("the audit does not have this result", Tone.BAD))
    columns = (Column("replica", flexible=True), Column("reads"), Column("as wanted"))
    rows = tuple(
        Row(r.name, (plain(name(r.name)), *_read(r.weights, r.problem, o.plan.after)))
        for r in (o.observed.replicas if o.observed is not None else ())
    )
    notes = [plain(f"change {name(o.plan.id)}, wanted {split_text(o.plan.after)}", Tone.DIM)]
    notes += _measured_lines(o.verification)
    return View(
        "Outcome",
        tuple(headline),
        Table(columns, rows, "nothing was read back"),
        notes=tuple(notes),
    )


def _read(weights: Split | None, problem: str, wanted: Split) -> tuple[Cell, Cell]:
    if weights is None:
        return plain(name(problem, 200) or "not readable", Tone.BAD), plain("unknown", Tone.UNKNOWN)
    fits = weights.same_shares(wanted)
    return plain(split_text(weights)), plain(
        "yes" if fits else "no", Tone.GOOD if fits else Tone.BAD
    )


def _measured_lines(v: Verification | None) -> Iterator[Cell]:
    if v is None:
        return
    yield plain(f"measured: {v.proof.value}; {_requests(v.n)}, {count(v.needed)} can tell")


def _requests(n: int) -> str:
    return f"{count(n)} request" if n == 1 else f"{count(n)} requests"
