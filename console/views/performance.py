"""The performance pane: one row per version over the window, the series as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.contract import Deployment, Task
from console.analysis.against import Side
from console.analysis.ask import Step
from console.analysis.baselines import CHAMPION
from console.analysis.costs import COST, has_costs
from console.analysis.estimate import Estimate
from console.analysis.figures import Figures
from console.analysis.headline import SERIES_METRIC
from console.analysis.performance import PerformanceSnapshot, slice_of
from console.analysis.performance_findings import surely_worse
from console.views import records
from console.views.estimated import (
    estimated_line,
    estimated_notes,
    estimated_record,
    estimated_row,
    estimated_table,
    snapshot_records,
)
from console.views.model import (
    Cell,
    Column,
    Detail,
    Line,
    Plot,
    Row,
    Series,
    Table,
    TimePlot,
    Tone,
    View,
)
from console.views.onset import onset_notes, onset_records
from console.views.operating import (
    at_label,
    record,
    setting_bars,
    setting_table,
    threshold_notes,
)
from console.views.words import (
    NOT_JUDGED,
    STOPPED,
    count,
    detectable_words,
    estimate_cell,
    finding_cells,
    interval,
    looks_words,
    moment,
    name,
    number,
    percent,
    plain,
    state_words,
    unknown_outcome,
)

__all__ = ["document", "shown_metrics", "title_of", "version_tone", "view"]

COLUMNS = {
    Task.BINARY: ("f1", "precision", "recall", "accuracy", "roc_auc", "log_loss", "ece"),
    Task.MULTICLASS: ("f1", "precision", "recall", "accuracy", "roc_auc", "log_loss"),
    Task.REGRESSION: ("mae", "rmse", "bias", "mape", "r2"),
}
_TITLES = {
    "roc_auc": "AUC",
    "log_loss": "logloss",
    "precision": "prec",
    "accuracy": "acc",
    COST: "cost/1000",
}
MOST_LINES = 5  # more lines of a plot cannot be told apart
_TONES = (Tone.ACCENT, Tone.WARN, Tone.GOOD, Tone.UNKNOWN, Tone.BAD)


def title_of(metric: str) -> str:
    """A metric's short name above a column."""
    return _TITLES.get(metric, metric if len(metric) > 4 else metric.upper())


def _label(f: Figures, limit: int = 60) -> str:
    """The version, and the segment values where the pane is broken down."""
    return name(" ".join(v for v in slice_of(f) if v), limit)


def shown_metrics(d: Deployment) -> tuple[str, ...]:
    """The columns of a task, and what outcomes cost where the contract says it."""
    return (*COLUMNS[d.task], *((COST,) if has_costs(d.task, d.costs) else ()))


def version_tone(position: int) -> Tone:
    """The colour of a version's line; the same on every pane."""
    return _TONES[position % len(_TONES)]


def document(s: PerformanceSnapshot) -> dict[str, Any]:
    """The JSON of the pane: the series at the asked step, and the reference by version."""
    rows = [
        records.figures_record(s.ask, f, start, end)
        | estimated_record(s, f, start, end, whole=s.ask.step is Step.ALL)
        for f in (s.whole if s.ask.step is Step.ALL else s.series)
        for start, end in [(s.ask.step_start(f.group.start), s.ask.step_end(f.group.start))]
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
    more = snapshot_records(s)
    if quantiles and s.ask.segment is None:  # they are of all rows
        more["error_quantiles"] = quantiles
    if s.ask.threshold is not None and s.operating:
        more["at_threshold"] = record(s.ask, s.operating)
    more["onsets"] = onset_records(s.ask, s.courses)
    return records.document("performance", s.ask, rows, s.findings, **beside, **more)


def view(s: PerformanceSnapshot) -> View:
    """Versions as rows with baselines below them, the headline metric over time."""
    shown = shown_metrics(s.ask.deployment)
    columns = (
        Column("version", flexible=True),
        Column("n", right=True, priority=2),
        Column("labelled", right=True, priority=1),
        *(
            Column(title_of(m), right=True, priority=0 if i < 3 else 3 if m == COST else i)
            for i, m in enumerate(shown)
        ),
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
            or (NOT_JUDGED if not s.judged else STOPPED if s.stopped else ""),
        ),
        Table(columns, tuple(rows), "no predictions in this window"),
        tuple(plots),
        tuple(details),
        _notes(s),
    )


def _notes(s: PerformanceSnapshot) -> tuple[Cell, ...]:
    notes = [plain("~ provisional: labels are still due   ? too few rows for a verdict", Tone.DIM)]
    notes += [plain(looks_words(f.metrics[s.headline] for f in s.whole), Tone.DIM)]
    if s.stopped:
        notes.append(plain("! stale: predictions have stopped before the clock", Tone.WARN))
    d = s.ask.deployment
    if d.costs is not None and has_costs(d.task, d.costs):
        unit = f" in {name(d.costs.unit, 20)}" if d.costs.unit else ""
        notes.append(plain(f"cost/1000: of 1,000 labelled predictions{unit}", Tone.DIM))
    if s.ask.threshold is not None and not s.operating:
        why = (
            "no score is logged, so no other threshold can be tried"
            if d.task is Task.BINARY
            else f"a {d.task.value} model has no operating threshold to move"
        )
        notes.append(plain(why, Tone.UNKNOWN))
    return tuple(notes)


def _beside(s: PerformanceSnapshot, f: Figures) -> list[tuple[str, Any]]:
    """Other threshold, reference and baselines of a version, in the order of their worth."""
    out: list[tuple[str, Any]] = estimated_row(s, f)
    tried = s.operating.get(slice_of(f))
    if tried is not None and tried.at is not None:
        out.append((at_label(tried.at), tried.at.metrics))
    against = s.ask.against
    beside = [("reference", s.reference_of(f)), ("window before", s.before_of(f))]
    if against.side not in (Side.REFERENCE, Side.BEFORE):
        beside.insert(0, (name(against.label, 28), s.compared_to(f)))
    out += [(label, other.metrics) for label, other in beside if other is not None]
    fallback = s.ask.deployment.fallback
    for key, found in (f.baselines or {}).items():
        label = name(fallback.name, 28) if key == "fallback" and fallback is not None else key
        if key == CHAMPION:
            label = f"champion {name(s.ask.deployment.champion, 20)}"
        out.append((label, found))
    return out


def _tone(s: PerformanceSnapshot, f: Figures, metric: str) -> Tone:
    """Bad by the rule of the findings: two intervals that lie apart; plain otherwise."""
    other = s.judged_by(f)
    worse = other is not None and surely_worse(metric, f, other)
    return Tone.BAD if worse else Tone.PLAIN


def _plot(s: PerformanceSnapshot, metric: str) -> TimePlot:
    series = []
    promised: list[Series] = []
    for i, (_, mine) in enumerate(s.lines[:MOST_LINES]):
        found = [f.metrics[metric] for f in mine]
        promised += estimated_line(s, mine, metric, _label(mine[0], 20))
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
    prefix = "ref" if s.ask.against.side is Side.REFERENCE else name(s.ask.against.label, 16)
    for f in s.whole[:MOST_LINES]:
        other = s.compared_to(f)
        value = other.metrics[metric].value if other is not None else None
        if value is not None:
            lines.append(Line(f"{prefix} {_label(f, 12)}", value))
    share = metric in ("f1", "roc_auc")
    return TimePlot(
        f"{title_of(metric)} by {s.ask.step.value}",
        s.ask.start,
        s.ask.end,
        (*series, *promised),
        tuple(lines),
        y_min=0.0 if share else None,
        y_max=1.0 if share else None,
    )


def _when(s: PerformanceSnapshot) -> str:
    """The window in words; a log without times has none."""
    if not s.ask.deployment.timed:
        return ""
    return f" from {moment(s.ask.start)} to {moment(s.ask.end)} UTC"


def _detail(s: PerformanceSnapshot, f: Figures) -> Detail:
    reference = s.compared_to(f)
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
        Column(name(s.ask.against.label, 28), right=True),
        Column("before", right=True),
        Column("note", flexible=True),
    )
    tables = [Table(columns, tuple(rows)), *estimated_table(s, f)]
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
    plots: tuple[Plot, ...] = (_plot(s, s.headline),)
    tried = s.operating.get(slice_of(f))
    if tried is not None:
        notes += threshold_notes(tried)
    if tried is not None and tried.settings:
        tables.append(setting_table(tried))
        plots = (*plots, setting_bars(tried))
    if f.by_class:
        tables.append(_class_table(f))
    if f.group.version in s.errors and not f.group.value:
        tables.append(_error_table(s.errors[f.group.version]))
    notes.append(plain(f"{count(f.n)} predictions, {count(f.n_labelled)} with a label"))
    unseen = detectable_words(s.headline, f.metrics[s.headline])
    notes += [plain(f"{s.headline}: {unseen}")] if unseen else []
    notes += estimated_notes(s, f)
    notes += onset_notes(SERIES_METRIC[s.ask.deployment.task], s.courses.get(slice_of(f)))
    return Detail(
        f"{_label(f)}{_when(s)}",
        tuple(notes),
        tuple(tables),
        plots,
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
