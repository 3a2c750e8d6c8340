"""Labellers of the same predictions: how far they agree, and what they disagree about."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from collectors.contract import Task
from console.analysis.agreement import AgreementSnapshot, Disagreement, Known, Pair
from console.analysis.estimate import Estimate
from console.views import records
from console.views.model import Cell, Column, Detail, Row, Table, Tone, View
from console.views.words import (
    count,
    estimate_cell,
    finding_cells,
    interval,
    moment,
    name,
    number,
    percent,
    plain,
)

__all__ = ["document", "view"]

_UNKNOWN = {
    Known.YES: "",
    Known.NO_LABELLER: "who labelled is not configured: name the column with `labels.labeller`",
    Known.NO_LABELS: "no label of this window says who gave it",
    Known.NOT_SHARED: "no prediction of this window was labelled by two people: "
    "agreement cannot be told",
}
_ALL = "all"


def document(s: AgreementSnapshot) -> dict[str, Any]:
    """The JSON of the pane: the disagreement queue as rows, figures beside it."""
    rows = [
        {
            "id": q.id,
            "time": records.stamp(q.at) if s.ask.deployment.timed else None,
            "version": q.version,
            "score": _finite(q.score),
            "prediction": _finite(q.predicted),
            "label": _finite(q.label),
            "distance": _finite(q.distance),
            "spread": _finite(q.spread),
            "n_labellers": q.n_labellers,
            "said": _said(q),
            "statements": [
                {
                    "labeller": x.labeller,
                    "value": _finite(x.value),
                    "received": records.stamp(x.received),
                }
                for x in q.statements
            ],
        }
        for q in s.queue
    ]
    return records.document(
        "agreement",
        s.ask,
        rows,
        s.findings,
        known=s.known.value,
        n_labelled=s.n_labelled,
        n_shared=s.n,
        n_disagree=s.n_disagree,
        n_found=s.n_queue,
        labels_since=records.stamp(s.since),
        overall=records.metrics(s.overall),
        n_labellers=s.n_labellers,
        n_compared=s.n_compared,
        labellers=[{"labeller": x.name, "n": x.n, "n_shared": x.n_shared} for x in s.labellers],
        pairs=[
            {"labellers": [p.one, p.other], "n": p.n, "metrics": records.metrics(p.metrics)}
            for p in s.pairs
        ],
    )


def _finite(value: float | str | None) -> float | str | None:
    """JSON has no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def view(s: AgreementSnapshot) -> View:
    """Everybody together, then pairs, those who agree least first; enter lists disagreements."""
    numbers = s.ask.deployment.task is Task.REGRESSION
    columns = (
        Column("labellers", flexible=True),
        Column("n", right=True),
        Column("agree", right=True),
        *((Column("difference", right=True, priority=2),) if numbers else ()),
        Column("abs difference" if numbers else "kappa", right=True),
        Column("95% interval", priority=1),
    )
    rows, details = [], []
    if s.n:
        rows.append(Row(_ALL, _cells("all together", Tone.ACCENT, s.n, _main(s), numbers)))
        details.append((_ALL, _everybody(s)))
    for p in s.pairs:
        key = f"{p.one}\x1f{p.other}"
        who = f"{name(p.one, 30)}, {name(p.other, 30)}"
        cells = _cells(who, Tone.PLAIN, p.n, (p.metrics, _figure(p)), numbers)
        rows.append(Row(key, cells))
        details.append((key, _of_pair(s, p)))
    return View(
        "Agreement",
        _headline(s),
        Table(columns, tuple(rows), _UNKNOWN[s.known] or "nothing to compare"),
        (),
        tuple(details),
        tuple(plain(note, Tone.DIM) for note in _notes(s)),
    )


def _main(s: AgreementSnapshot) -> tuple[Any, Estimate]:
    return s.overall, s.overall.get("cohen_kappa") or s.overall["mean_abs_difference"]


def _figure(p: Pair) -> Estimate:
    return p.metrics.get("kappa") or p.metrics["mean_abs_difference"]


def _cells(
    who: str, tone: Tone, n: int, figures: tuple[Any, Estimate], numbers: bool
) -> tuple[Cell, ...]:
    metrics, main = figures
    agree, gap = metrics["agreement"], metrics.get("mean_difference")
    return (
        plain(who, tone),
        plain(count(n), sort=n),
        plain(percent(agree.value, 1), sort=agree.value),
        *((estimate_cell(gap) if gap else plain(""),) if numbers else ()),
        estimate_cell(main),
        plain(interval(main), Tone.DIM),
    )


def _headline(s: AgreementSnapshot) -> tuple[Cell, ...]:
    if s.known is not Known.YES:
        return (Cell(_UNKNOWN[s.known], Tone.UNKNOWN),)
    whom = "both people" if s.n_labellers == 2 else f"several of {count(s.n_labellers)} people"
    disputed = (
        f"of {count(s.n)} predictions that {whom} labelled, {count(s.n_disagree)} are disputed"
    )
    found = finding_cells(s.findings) if s.findings else ()
    return (*found, Cell(disputed, Tone.ACCENT))


def _notes(s: AgreementSnapshot) -> Iterable[str]:
    if s.since is not None:
        yield f"labels before {s.since:%Y-%m-%d} were deleted (retention) and are not counted"
    if s.known is not Known.YES:
        return
    for key, title in (("fleiss_kappa", "Fleiss' kappa"), ("icc", "intraclass correlation ICC(1)")):
        e = s.overall.get(key)
        if e is not None:
            cell = estimate_cell(e, with_interval=True)
            yield f"{title} over {count(e.n)} predictions: {cell.text}"
    if "icc" in s.overall:
        yield "difference: the first named minus the other; abs difference: its mean size"
    if "cohen_kappa" in s.overall:
        yield "kappa: 1 is perfect agreement, 0 what chance gives; of all together, over all pairs"
    if s.n_compared < s.n_labellers:
        yield (
            f"compared in pairs: {count(s.n_compared)} of {count(s.n_labellers)} people, "
            "those who share most predictions"
        )
    yield f"{count(s.n_labelled)} predictions have a label that says who gave it"


def _everybody(s: AgreementSnapshot) -> Detail:
    rows = tuple(
        Row(
            x.name, (plain(name(x.name, 40)), *(plain(count(n), sort=n) for n in (x.n, x.n_shared)))
        )
        for x in s.labellers
    )
    columns = (
        Column("labeller", flexible=True),
        Column("labelled", right=True),
        Column("others too", right=True),
    )
    more = s.n_labellers - len(rows)
    notes = [_order(s)]
    if s.n_queue > len(s.queue):
        notes.append(f"the first {count(len(s.queue))} of {count(s.n_queue)}")
    if more > 0:
        notes.append(f"labellers: the first {count(len(rows))} of {count(s.n_labellers)}")
    tables = (_queue(s, s.queue), Table(columns, rows))
    return Detail("disagreements", tuple(plain(note, Tone.DIM) for note in notes), tables)


def _order(s: AgreementSnapshot) -> str:
    if any(q.spread is not None for q in s.queue):
        return "the largest difference first"
    if any(q.distance is not None for q in s.queue):
        nearest = "the threshold" if s.ask.deployment.task is Task.BINARY else "another class"
        return f"the nearest to {nearest} first"
    return "the newest first: no score says how near another answer was"


def _of_pair(s: AgreementSnapshot, p: Pair) -> Detail:
    mine = [q for q in s.queue if len({x.value for x in q.statements if x.labeller in _two(p)}) > 1]
    notes = [plain(_order(s), Tone.DIM)]
    if s.n_queue > len(s.queue):
        notes.append(plain(f"among the first {count(len(s.queue))} disagreements", Tone.DIM))
    title = f"{name(p.one, 30)} and {name(p.other, 30)}"
    return Detail(title, tuple(notes), (_queue(s, mine),))


def _two(p: Pair) -> tuple[str, str]:
    return p.one, p.other


def _queue(s: AgreementSnapshot, queue: Iterable[Disagreement]) -> Table:
    d = s.ask.deployment
    numbers = d.task is Task.REGRESSION
    scored = any(q.score is not None for q in s.queue)
    near = any(q.distance is not None for q in s.queue)
    columns = (
        *((Column("time"),) if d.timed else ()),
        Column("id"),
        Column("version", priority=3),
        *((Column("score", right=True),) if scored else ()),
        *((Column("away" if scored else "margin", right=True, priority=2),) if near else ()),
        *((Column("spread", right=True),) if numbers else ()),
        Column("prediction", right=d.task is not Task.MULTICLASS),
        Column("label", right=d.task is not Task.MULTICLASS, priority=1),
        Column("who said what", flexible=True),
    )
    rows = tuple(
        Row(
            f"{q.id} {q.at.isoformat()}",
            (
                *((plain(moment(q.at), sort=q.at.timestamp()),) if d.timed else ()),
                plain(name(q.id, 40)),
                plain(name(q.version, 20)),
                *((plain(number(q.score), sort=q.score),) if scored else ()),
                *((plain(number(q.distance), sort=q.distance),) if near else ()),
                *((plain(number(q.spread), sort=q.spread),) if numbers else ()),
                plain(_answer(q.predicted)),
                plain(_answer(q.label)),
                plain(name(_said(q), 200)),
            ),
        )
        for q in queue
    )
    return Table(columns, rows, "no disagreement")


def _answer(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return name(value, 40)
    return str(value) if isinstance(value, int) else number(value)


def _said(q: Disagreement) -> str:
    """Who said what, by time, and how many more spoke."""
    said = "; ".join(f"{x.labeller}: {_short(x.value)}" for x in q.statements)
    more = q.n_labellers - len(q.statements)
    return f"{said}; and {more} more" if more > 0 else said


def _short(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
