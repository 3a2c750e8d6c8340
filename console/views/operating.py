"""Other operating thresholds: a table and bars in the detail of a version, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from console.analysis.ask import Ask
from console.analysis.operating import Operating, Point, Slice
from console.analysis.subgroups import segment_name
from console.views import records
from console.views.model import Bars, Cell, Column, Row, Table, Tone
from console.views.words import count, number, percent, plain

__all__ = ["at_label", "record", "setting_bars", "setting_table", "threshold_notes"]


def at_label(point: Point) -> str:
    """The row below a version: "at 0.42"."""
    return f"at {point.threshold:.4g}"


def record(ask: Ask, found: Mapping[Slice, Operating]) -> list[dict[str, Any]]:
    """The JSON of what the asked threshold would give, by slice over the whole window."""
    names: tuple[str, ...] = ()
    if ask.segment is not None:
        names = segment_name(ask.deployment, ask.segment.number_in(ask.deployment))
    out = []
    for (version, *values), o in found.items():
        if o.at is None:
            continue
        c = o.at.confusion
        out.append(
            {
                "version": version,
                "segment": ",".join(names) or None,
                "value": ",".join(values[: len(names)]) or None,
                "threshold": o.at.threshold,
                "n": o.at.n,
                "n_labelled": c.n,
                "n_uncertain": o.at.uncertain,
                "metrics": records.metrics(o.at.metrics),
                "tp": c.tp,
                "fp": c.fp,
                "fn": c.fn,
                "tn": c.tn,
                "now": o.now,
                "configured": o.configured,
                "n_disagreeing": o.disagreeing,
                "settings": [asdict(s) for s in o.settings],
            }
        )
    return out


def threshold_notes(o: Operating) -> list[Cell]:
    """Which threshold the logged answers follow, and what the asked one rests on."""
    notes = []
    if o.now is None:
        notes.append(plain("the logged answers follow no threshold of the score", Tone.WARN))
    elif not o.disagrees:
        notes.append(plain(f"the logged answers are those of a threshold of {o.now:.3g}"))
    if o.configured is not None and o.disagrees:
        as_if = "" if o.now is None else f"; they are those of {o.now:.3g}"
        notes.append(
            plain(
                f"{count(o.disagreeing)} of {count(o.n)} logged answers are not those of the "
                f"configured threshold {o.configured:.4g}{as_if}",
                Tone.WARN,
            )
        )
    if o.at is not None:
        within = (
            f"{count(o.at.uncertain)} labelled rows lie in the score bin that it cuts"
            if o.at.uncertain
            else "exact"
        )
        notes.append(plain(f"at {o.at.threshold:.4g}: {within}", Tone.DIM))
    return notes


def setting_table(o: Operating) -> Table:
    """Figures over the threshold: deciles of the scores, now, the best F1, the least cost."""
    priced = any(s.cost is not None for s in o.settings)
    columns = (
        Column("threshold", right=True),
        Column("", flexible=True),
        Column("says yes", right=True),
        Column("precision", right=True),
        Column("recall", right=True),
        Column("f1", right=True),
        Column("fpr", right=True),
        *((Column("cost/1000", right=True),) if priced else ()),
    )
    rows = []
    for i, s in enumerate(o.settings):
        tone = Tone.ACCENT if s.what == "now" else Tone.PLAIN
        values = (s.precision, s.recall, s.f1, s.fpr, *((s.cost,) if priced else ()))
        rows.append(
            Row(
                str(i),
                (
                    plain(number(s.threshold), tone, s.threshold),
                    plain(s.what, tone),
                    plain(percent(s.selection_rate), tone, s.selection_rate),
                    *(plain(number(v), tone, v) for v in values),
                ),
            )
        )
    return Table(columns, tuple(rows), "no labelled rows with a score")


def setting_bars(o: Operating) -> Bars:
    """Precision and recall over the threshold."""
    return Bars(
        "precision and recall by threshold",
        tuple(number(s.threshold) for s in o.settings),
        (
            ("precision", tuple(s.precision for s in o.settings), Tone.ACCENT),
            ("recall", tuple(s.recall for s in o.settings), Tone.WARN),
        ),
    )
