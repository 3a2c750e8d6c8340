"""Before and until the labels come: promises, how complete labels are, whom they come for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from console.analysis.against import Side
from console.analysis.divergence import Divergence, Verdict
from console.analysis.figures import Figures
from console.analysis.maturity import Completeness
from console.analysis.performance import PerformanceSnapshot, slice_of
from console.views import records
from console.views.model import Cell, Column, Row, Series, Table, Tone
from console.views.words import estimate_cell, interval, name, percent, plain

__all__ = [
    "ESTIMATED",
    "estimated_line",
    "estimated_notes",
    "estimated_record",
    "estimated_row",
    "estimated_table",
    "labels_words",
    "snapshot_records",
]

ESTIMATED = "estimated"
"""The row beneath a version: what its scores promise, of all its rows."""

_TONES = {
    Verdict.AS_PROMISED: Tone.GOOD,
    Verdict.BETTER: Tone.PLAIN,
    Verdict.CONCEPT_DRIFT: Tone.BAD,
    Verdict.COVARIATE_SHIFT: Tone.WARN,
    Verdict.BOTH: Tone.BAD,
    Verdict.CANNOT_TELL: Tone.UNKNOWN,
}


def estimated_row(s: PerformanceSnapshot, f: Figures) -> list[tuple[str, Any]]:
    """The row beneath a version, where there is an estimate."""
    found = s.estimated.get(f.group)
    return [] if found is None or found.reason else [(ESTIMATED, found.metrics)]


def estimated_line(
    s: PerformanceSnapshot, mine: tuple[Figures, ...], metric: str, label: str
) -> list[Series]:
    """What the scores of a version promised, on the axis of what labels then said.

    Of all rows of each step, so it goes on where labels have not come.
    """
    found = [s.estimated_series.get(f.group) for f in mine]
    values = [e.metrics.get(metric) if e is not None and not e.reason else None for e in found]
    if not any(e is not None and e.value is not None for e in values):
        return []
    return [
        Series(
            f"{label} {ESTIMATED}",
            tuple(f.group.start or s.ask.start for f in mine),
            tuple(e.value if e is not None else None for e in values),
            Tone.DIM,
        )
    ]


def labels_words(c: Completeness) -> str:
    """How complete labels are, in a sentence."""
    if c.coverage is None:
        return "no predictions, so no labels"
    text = f"labels of {percent(c.coverage)}"
    if c.usual is None or c.expected is None:
        return f"{text}; how many usually come is not known yet"
    text += f", usually {percent(c.expected)} by now and {percent(c.usual)} in the end"
    return f"{text}: {'final' if c.final else 'provisional'}"


def estimated_notes(s: PerformanceSnapshot, f: Figures) -> list[Cell]:
    """Sentences for the page of a version: labels, promise and outcome, whom labels come for."""
    c = s.labels_of(f, s.ask.start, s.ask.end)
    notes = [plain(labels_words(c), Tone.PLAIN if c.final else Tone.DIM)]
    found = s.estimated.get(f.group)
    if found is not None and found.reason:
        notes.append(plain(f"no estimate without labels: {found.reason}", Tone.UNKNOWN))
    elif (verdict := s.divergence.get(slice_of(f))) is not None:
        notes.append(plain(name(verdict.text, 400), _TONES[verdict.verdict]))
    selected = s.selection.get(slice_of(f))
    if selected is not None:
        tone = Tone.WARN if selected.sure and selected.large else Tone.DIM
        notes.append(plain(selected.text, tone))
    return notes


def estimated_table(s: PerformanceSnapshot, f: Figures) -> list[Table]:
    """Promised figures of all rows, and of the labelled ones beside what their labels say."""
    found = s.estimated.get(f.group)
    if found is None or found.reason:
        return []
    rows = tuple(
        Row(
            metric,
            (
                plain(metric),
                estimate_cell(e),
                plain(interval(e), Tone.DIM),
                estimate_cell(found.labelled[metric]),
                plain(interval(found.labelled[metric]), Tone.DIM),
                estimate_cell(f.metrics[metric]) if metric in f.metrics else plain(""),
            ),
        )
        for metric, e in found.metrics.items()
    )
    columns = (
        Column("expected from scores"),
        Column("all rows", right=True),
        Column("95% interval", priority=2),
        Column("labelled", right=True),
        Column("95% range of outcomes", priority=1),
        Column("labels say", right=True),
    )
    return [Table(columns, rows)]


def estimated_record(
    s: PerformanceSnapshot, f: Figures, start: datetime, end: datetime, *, whole: bool
) -> dict[str, Any]:
    """The keys that a row of the JSON gets: `labels`, `estimated` and what belongs to it."""
    c = s.labels_of(f, start, end)
    record: dict[str, Any] = {
        "labels": {
            "coverage": c.coverage,
            "expected": c.expected,
            "usual": c.usual,
            "final": c.final,
        }
    }
    found = (s.estimated if whole else s.estimated_series).get(f.group)
    if found is None:
        return record
    record["estimated"] = records.metrics(found.metrics)
    record["estimated_labelled"] = records.metrics(found.labelled)
    if found.cells is not None:
        names = ("tp", "fp", "fn", "tn")
        record["estimated_cells"] = dict(zip(names, found.cells, strict=True))
    record["estimated_reason"] = found.reason or None
    return record


def snapshot_records(s: PerformanceSnapshot) -> dict[str, Any]:
    """The keys beside the rows: verdicts, selection, and the other side of the comparison."""
    more: dict[str, Any] = {
        "divergence": [
            {**_slice(f), **_divergence(s.divergence[slice_of(f)])}
            for f in s.whole
            if slice_of(f) in s.divergence
        ],
        "selection": [
            {
                **_slice(f),
                "n_labelled": found.n_labelled,
                "n_unlabelled": found.n_unlabelled,
                "what": found.what,
                "labelled": found.labelled,
                "unlabelled": found.unlabelled,
                "difference": found.difference,
                "sure": found.sure,
                "large": found.large,
            }
            for f in s.whole
            if (found := s.selection.get(slice_of(f))) is not None
        ],
    }
    if s.ask.against.side is not Side.REFERENCE:
        more["against"] = {
            "side": s.ask.against.side.value,
            "words": s.ask.against.words,
            "rows": [
                {
                    **_slice(f),
                    "n": f.n,
                    "n_labelled": f.n_labelled,
                    "metrics": records.metrics(f.metrics),
                }
                for f in s.other
            ],
        }
    return more


def _slice(f: Figures) -> dict[str, Any]:
    values = [v for v in slice_of(f)[1:] if v]
    return {"version": f.group.version, "value": ",".join(values) or None}


def _divergence(d: Divergence) -> dict[str, Any]:
    record: dict[str, Any] = {"verdict": d.verdict.value, "text": d.text}
    if d.realised is not None and d.promised is not None:
        record["metric"] = d.metric
        record["realised"] = records.estimate(d.realised)
        record["promised"] = records.estimate(d.promised)
    return record
