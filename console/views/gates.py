"""Gates as a table and as JSON records."""

from __future__ import annotations

from typing import Any

from console.gates import Judged, Verdict, verdict_of
from console.views import records
from console.views.model import Cell, Column, Row, Table, Tone, View
from console.views.words import count, interval, name, number, plain

__all__ = ["document", "view"]

_TONES = {
    Verdict.PASS: Tone.GOOD,
    Verdict.FAIL: Tone.BAD,
    Verdict.CANNOT_TELL: Tone.UNKNOWN,
}


def view(judged: tuple[Judged, ...]) -> View:
    """Worst first."""
    order = (Verdict.FAIL, Verdict.CANNOT_TELL, Verdict.PASS)
    rows = tuple(
        Row(
            f"{i}",
            (
                Cell(j.verdict.value, _TONES[j.verdict]),
                plain(name(j.gate.name or j.gate.figure)),
                plain(name(j.where)),
                plain(j.gate.limit),
                plain(number(j.estimate.value)),
                plain(interval(j.estimate)),
                plain(count(j.estimate.n), sort=j.estimate.n),
                plain(j.why),
            ),
        )
        for i, j in enumerate(sorted(judged, key=lambda j: order.index(j.verdict)))
    )
    columns = (
        Column("verdict"),
        Column("gate"),
        Column("of"),
        Column("limit"),
        Column("value", right=True),
        Column("95 % interval"),
        Column("rows", right=True, priority=1),
        Column("why", priority=2, flexible=True),
    )
    verdict = verdict_of(judged)
    return View("Gates", (Cell(verdict.value, _TONES[verdict]),), Table(columns, rows))


def document(judged: tuple[Judged, ...]) -> dict[str, Any]:
    """The JSON of `modelwatch gate`."""
    return {
        "verdict": verdict_of(judged).value.replace(" ", "_"),
        "rows": [
            {
                "gate": j.gate.name or None,
                "deployment": j.deployment,
                "figure": j.gate.figure,
                "of": j.where,
                "at_least": j.gate.at_least,
                "at_most": j.gate.at_most,
                "verdict": j.verdict.value.replace(" ", "_"),
                "why": j.why,
                "metrics": {j.gate.figure: records.estimate(j.estimate)},
            }
            for j in judged
        ],
    }
