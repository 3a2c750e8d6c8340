"""The performance pane: one row per version over the window, the series as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.contract import Task
from console.analysis.ask import Step
from console.analysis.estimate import Estimate
from console.analysis.figures import Figures, lower_is_better
from console.analysis.performance import PerformanceSnapshot, slice_of
from console.views import records
from console.views.model import Cell, Column, Detail, Line, Row, Series, Table, TimePlot, Tone, View
from console.views.words import (
    NOT_JUDGED,
    count,
    estimate_cell,
    finding_cells,
    interval,
    moment,
    name,
    number,
    percent,
    plain,
    state_words,
    unknown_outcome,
)

__all__ = ["document", "title_of", "version_tone", "view"]

COLUMNS = {
    Task.BINARY: ("f1", "precision", "recall", "accuracy", "roc_auc", "log_loss", "ece"),
    Task.MULTICLASS: ("f1", "precision", "recall", "accuracy", "roc_auc", "log_loss"),
    Task.REGRESSION: ("mae", "rmse", "bias", "mape", "r2"),
}
_TITLES = {"roc_auc": "AUC", "log_loss": "logloss", "precision": "prec", "accuracy": "acc"}
MOST_LINES = 5  # more lines of a plot cannot be told apart
_TONES = (Tone.ACCENT, Tone.WARN, Tone.GOOD, Tone.UNKNOWN, Tone.BAD)


def title_of(metric: str) -> str:
    """A metric's short name above a column."""
    return _TITLES.get(metric, metric if len(metric) > 4 else metric.upper())


def _label(f: Figures, limit: int = 60) -> str:
    """The version, and the segment values where the pane is broken down."""
    return name(" ".join(v for v in slice_of(f) if v), limit)


def version_tone(position: int) -> Tone:
    """The colour of a version's line; the same on every pane."""
    return _TONES[position % len(_TONES)]


def document(s: PerformanceSnapshot) -> dict[str, Any]:
    """The JSON of the pane: the series at the asked step, and the reference by version."""
    rows = [
        records.figures_record(
            s.ask, f, s.ask.step_start(f.group.start), s.ask.step_end(f.group.start)
        )
        for f in (s.whole if s.ask.step is Step.ALL else s.series)
    ]
    beside = {
        name: [
            {"version": f.group.version, "n": f.n, "metrics": records.metrics(f.metrics)}
            for f in found
        ]
        for name, found in (("reference", s.reference), ("window_before", s.before))
    }
    quantiles = {
        version: {f"{q:g}": records.estimate(e) for q, e in found.items()}
        for version, found in s.errors.items()
    }
    more = {"error_quantiles": quantiles} if quantiles else {}
    return records.document("performance", s.ask, rows, s.findings, **beside, **more)


def view(s: PerformanceSnapshot) -> View:
    """Versions as rows with baselines below them, the headline metric over time."""
    shown = COLUMNS[s.ask.deployment.task]
    columns = (
        Column("version", flexible=True),
        Column("n", right=True, priority=2),
        Column("labelled", right=True, priority=1),
        *(Column(title_of(m), right=True, priority=0 if i < 3 else i) for i, m in enumerate(shown)),
    )
    rows: list[Row] = []
    details: list[tuple[str, Detail]] = []
    for f in s.whole:
        version = _label(f)
        share = f.n_labelled / f.n if f.n else None
        values = tuple(estimate_cell(f.metrics[m], tone=_tone(s, f, m)) for m in shown)
        rows.append(
            Row(
                version,
                (
                    plain(version, Tone.ACCENT),
                    plain(count(f.n), sort=f.n),
                    plain(percent(share), sort=share),
                    *values,
                ),
            )
        )
        details.append((version, _detail(s, f)))
        for label, found in _beside(s, f):
            cells = tuple(
                estimate_cell(found[m], tone=Tone.DIM)
                if m in found and found[m].value is not None
                else plain("", Tone.DIM)
                for m in shown
            )
            key = f"{version}/{label}"
            rows.append(Row(key, (plain(f"  {label}", Tone.DIM), plain(""), plain(""), *cells)))
            details.append((key, _detail(s, f)))
    plots = [_plot(s, s.headline)]
    second = {"f1": "roc_auc", "mae": "bias"}.get(s.headline)
    if second:
        plots.append(_plot(s, second))
    return View(
        "Performance",
        finding_cells(
            s.findings,
            unknown=unknown_outcome(sum(f.n for f in s.whole), sum(f.n_labelled for f in s.whole))
            or ("" if s.judged else NOT_JUDGED),
        ),
        Table(columns, tuple(rows), "no predictions in this window"),
        tuple(plots),
        tuple(details),
        (plain("~ provisional: labels are still due   ? too few rows for a verdict", Tone.DIM),),
    )


def _beside(s: PerformanceSnapshot, f: Figures) -> list[tuple[str, Any]]:
    """Reference and baselines of a version, in the order that they are worth reading."""
    out: list[tuple[str, Any]] = []
    reference = s.reference_of(f)
    if reference is not None:
        out.append(("reference", reference.metrics))
    before = s.before_of(f)
    if before is not None:
        out.append(("window before", before.metrics))
    fallback = s.ask.deployment.fallback
    for key, found in (f.baselines or {}).items():
        label = name(fallback.name, 28) if key == "fallback" and fallback is not None else key
        out.append((label, found))
    return out


def _tone(s: PerformanceSnapshot, f: Figures, metric: str) -> Tone:
    """Bad when the interval is wholly worse than the reference; plain otherwise."""
    reference = s.reference_of(f)
    e = f.metrics[metric]
    if reference is None or e.low is None or e.high is None or metric == "bias":
        return Tone.PLAIN
    was = reference.metrics[metric].value
    if was is None:
        return Tone.PLAIN
    worse = e.low > was if lower_is_better(metric) else e.high < was
    return Tone.BAD if worse else Tone.PLAIN


def _plot(s: PerformanceSnapshot, metric: str) -> TimePlot:
    series = []
    for i, (_, mine) in enumerate(s.lines[:MOST_LINES]):
        found = [f.metrics[metric] for f in mine]
        series.append(
            Series(
                _label(mine[0], 20),
                tuple(f.group.start or s.ask.start for f in mine),
                tuple(e.value for e in found),
                version_tone(i),
                tuple(e.low for e in found),
                tuple(e.high for e in found),
            )
        )
    lines = []
    for f in s.whole[:MOST_LINES]:
        reference = s.reference_of(f)
        value = reference.metrics[metric].value if reference is not None else None
        if value is not None:
            lines.append(Line(f"ref {_label(f, 12)}", value))
    share = metric in ("f1", "roc_auc")
    return TimePlot(
        f"{title_of(metric)} by {s.ask.step.value}",
        s.ask.start,
        s.ask.end,
        tuple(series),
        tuple(lines),
        y_min=0.0 if share else None,
        y_max=1.0 if share else None,
    )


def _detail(s: PerformanceSnapshot, f: Figures) -> Detail:
    reference = s.reference_of(f)
    before = s.before_of(f)
    rows = []
    for metric, e in f.metrics.items():
        ref = reference.metrics[metric] if reference is not None else None
        old = before.metrics[metric] if before is not None else None
        rows.append(
            Row(
                metric,
                (
                    plain(metric),
                    estimate_cell(e, tone=_tone(s, f, metric)),
                    plain(interval(e), Tone.DIM),
                    plain(count(e.n), sort=e.n),
                    plain(number(ref.value) if ref is not None else ""),
                    plain(number(old.value) if old is not None else ""),
                    plain(state_words(e.state) + _bin_note(e.bin_error), Tone.DIM),
                ),
            )
        )
    columns = (
        Column("metric"),
        Column("value", right=True),
        Column("95% interval"),
        Column("n", right=True),
        Column("reference", right=True),
        Column("before", right=True),
        Column("note", flexible=True),
    )
    tables = [Table(columns, tuple(rows))]
    notes: list[Cell] = []
    if f.confusion is not None:
        c = f.confusion
        tables.append(
            Table(
                (Column("actual"), Column("said yes", right=True), Column("said no", right=True)),
                (
                    Row("yes", (plain("yes"), plain(count(c.tp)), plain(count(c.fn)))),
                    Row("no", (plain("no"), plain(count(c.fp)), plain(count(c.tn)))),
                ),
            )
        )
    if f.by_class:
        tables.append(_class_table(f))
    if f.group.version in s.errors and not f.group.value:
        tables.append(_error_table(s.errors[f.group.version]))
    notes.append(plain(f"{count(f.n)} predictions, {count(f.n_labelled)} with a label"))
    return Detail(
        f"{_label(f)} from {moment(s.ask.start)} to {moment(s.ask.end)} UTC",
        tuple(notes),
        tuple(tables),
        (_plot(s, s.headline),),
    )


def _bin_note(error: float | None) -> str:
    return "" if error is None or error == 0 else f" bins: ±{number(error)} at most"


def _error_table(quantiles: Mapping[float, Estimate]) -> Table:
    rows = tuple(
        Row(
            str(q),
            (
                plain(f"{100 * q:g}% of errors below"),
                estimate_cell(e),
                plain(interval(e), Tone.DIM),
            ),
        )
        for q, e in quantiles.items()
    )
    columns = (
        Column("prediction minus label"),
        Column("value", right=True),
        Column("95% interval"),
    )
    return Table(columns, rows)


def _class_table(f: Figures) -> Table:
    shown = ("precision", "recall", "f1")
    rows = tuple(
        Row(name(c), (plain(name(c)), *(estimate_cell(found[m]) for m in shown)))
        for c, found in (f.by_class or {}).items()
    )
    return Table((Column("class", flexible=True), *(Column(m, right=True) for m in shown)), rows)
