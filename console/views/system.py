"""The system pane: latency, errors, load and cost with their limits, beside the headline figure."""

from __future__ import annotations

from collections import Counter
from typing import Any

from collectors.contract import Limit
from console.analysis.ask import Step
from console.analysis.estimate import Estimate, State
from console.analysis.system import SystemSnapshot
from console.analysis.system_findings import side_of
from console.analysis.system_rows import Breach, Origin, Standing, SystemRow, SystemStep, amount
from console.views import records
from console.views.model import (
    Cell,
    Column,
    Detail,
    Row,
    Table,
    Tone,
    View,
)
from console.views.performance import title_of
from console.views.system_plots import FIRST, headline_plot, pane_plots, row_plot
from console.views.words import count, estimate_cell, finding_cells, interval, moment, name, plain

__all__ = ["document", "row_key", "view"]

_SOURCES = {
    Origin.LOG: "the prediction log",
    Origin.SAMPLES: "samples of system metrics",
    Origin.BOTH: "samples of cost_per_hour, over the log's predictions of the same hours",
}
_TONES = {
    Standing.BROKEN: Tone.BAD,
    Standing.WAS_BROKEN: Tone.BAD,
    Standing.UNSURE: Tone.WARN,
    Standing.NO_SAMPLES: Tone.UNKNOWN,
    Standing.KEPT: Tone.GOOD,
    Standing.NO_LIMIT: Tone.DIM,
}
_LEAST_LISTED, _MOST_LISTED = 20, 5_000  # steps of a row, and of all rows
NOTHING = "no predictions and no samples in this window: nothing can be told"
NO_LIMITS = "no limits are set ([deployment.limits]): nothing is judged"


# -- JSON --------------------------------------------------------------------------------------


def document(s: SystemSnapshot) -> dict[str, Any]:
    """The JSON of the pane: one row per step, metric, version and source."""
    rows = [
        {
            "version": row.version,
            "segment": None,
            "value": None,
            "metric": row.metric,
            "source": row.origin.value,
            "start": records.stamp(s.ask.step_start(step.start)),
            "end": records.stamp(s.ask.end if s.ask.step is Step.ALL else _end(s, step)),
            "n": step.n,
            "metrics": records.metrics(step.metrics),
        }
        for row in s.rows
        if row.origin is not None
        for step in _steps(s, row)
    ]
    return records.document(
        "system",
        s.ask,
        rows,
        s.findings,
        limits=[_limit_record(row) for row in s.rows if row.limit is not None],
        headline=s.headline,
        headlines=[
            {
                "version": h.version,
                "start": records.stamp(s.ask.step_start(start)),
                "end": records.stamp(s.ask.step_end(start)),
                **records.metrics({"figure": e}),
            }
            for h in s.headlines
            for start, e in ([(None, h.whole)] if s.ask.step is Step.ALL else h.series)
        ],
        n_left_out=s.n_left_out,
    )


def _steps(s: SystemSnapshot, row: SystemRow) -> tuple[SystemStep, ...]:
    if s.ask.step is Step.ALL:
        return (row.whole,) if row.whole is not None else ()
    return row.series


def _end(s: SystemSnapshot, step: SystemStep) -> Any:
    return s.ask.step_end(step.start)


def _limit_record(row: SystemRow) -> dict[str, Any]:
    limit, breach = row.limit, row.breach
    return {
        "metric": row.metric,
        "version": row.version,
        "source": row.origin.value if row.origin is not None else None,
        "above": limit.above if limit is not None else None,
        "below": limit.below if limit is not None else None,
        "state": row.standing.value,
        "breach": None
        if breach is None
        else {
            "since": records.stamp(breach.since),
            "until": records.stamp(breach.until),
            "first_since": records.stamp(breach.first_since),
            "newest": records.stamp(breach.newest),
            "n_times": breach.n_times,
            "n_beyond": breach.n_beyond,
            "seconds": breach.seconds,
            "worst": breach.worst,
        },
    }


# -- the pane ----------------------------------------------------------------------------------


def view(s: SystemSnapshot) -> View:
    """Metrics as rows, broken limits first; the first ones as plots above the headline figure."""
    headline = title_of(s.headline)
    beside = {h.version: h.whole for h in s.headlines}
    columns = (
        Column("metric", flexible=True),
        Column("version"),
        Column("source", priority=4),
        Column("now", right=True),
        Column("mean", right=True, priority=3),
        Column("highest", right=True, priority=2),
        Column("limit", right=True),
        Column("state"),
        Column(headline, right=True, priority=1),
        Column("n", right=True, priority=5),
        Column("newest", priority=5),
    )
    origins = Counter(metric for metric, _ in {(r.metric, r.origin) for r in s.rows})
    rows = tuple(
        Row(row_key(r), _cells(r, beside.get(r.version or ""), named=origins[r.metric] > 1))
        for r in s.rows
    )
    listed = max(_LEAST_LISTED, _MOST_LISTED // max(len(s.rows), 1))
    details = tuple((row_key(r), _detail(s, r, listed)) for r in s.rows)
    unknown = NOTHING if not any(r.whole for r in s.rows) else "" if s.limits else NO_LIMITS
    return View(
        "System",
        finding_cells(s.findings, unknown=unknown),
        Table(columns, rows, "no predictions and no samples in this window"),
        pane_plots(s),
        details,
        tuple(_notes(s)),
    )


def row_key(row: SystemRow) -> str:
    """What a row is called between refreshes."""
    return f"{row.origin or ''}/{row.version or ''}/{row.metric}"


def _cells(r: SystemRow, headline: Estimate | None, *, named: bool) -> tuple[Cell, ...]:
    """named: the metric comes from several sources, so that its name must say which."""
    metrics = r.whole.metrics if r.whole is not None else {}
    figure = r.whole.figure if r.whole is not None else None
    highest = metrics.get("highest")
    return (
        plain(name(r.metric, 40) + (f" ({r.origin})" if named else ""), Tone.ACCENT),
        plain(name(r.version, 24)) if r.version is not None else plain("all", Tone.DIM, ""),
        plain(r.origin.value if r.origin is not None else "", Tone.DIM),
        plain(_amount(r, r.now), _beyond(r, r.now), r.now),
        plain("") if figure is None else _figure(r, figure),
        plain("") if highest is None else _figure(r, highest),
        plain(_limit_words(r.metric, r.limit) if r.limit is not None else "", Tone.DIM),
        plain(_state(r), _TONES[r.standing]),
        plain("") if headline is None else estimate_cell(headline),
        plain(count(r.whole.n) if r.whole is not None else "", Tone.DIM),
        plain(moment(r.newest, year=False) if r.newest is not None else "", Tone.DIM),
    )


def _amount(r: SystemRow, value: float | None) -> str:
    return "" if value is None else amount(r.metric, value)


def _beyond(r: SystemRow, value: float | None) -> Tone:
    broken = value is not None and r.limit is not None and r.limit.is_broken_by(value)
    sure = r.breach is not None
    return (Tone.BAD if sure else Tone.WARN) if broken else Tone.PLAIN


def _figure(r: SystemRow, e: Estimate) -> Cell:
    mark = "?" if e.state is State.TOO_FEW else ""
    return plain(_amount(r, e.value) + mark, _beyond(r, e.value), e.value)


def _limit_words(metric: str, limit: Limit) -> str:
    parts = []
    if limit.above is not None:
        parts.append(f"<= {amount(metric, limit.above)}")
    if limit.below is not None:
        parts.append(f">= {amount(metric, limit.below)}")
    return " ".join(parts)


def _state(r: SystemRow) -> str:
    """How it stands to its limit, in words that need no colour."""
    if r.breach is not None and r.limit is not None:
        side = side_of(r.limit, r.breach.worst)
        if r.standing is Standing.BROKEN:
            return f"{side} {r.breach.since:%d %b %H:%M}"
        times = "" if r.breach.n_times == 1 else f" {r.breach.n_times} times"
        return f"was {side}{times}"
    return {
        Standing.UNSURE: "beyond? too few",
        Standing.NO_SAMPLES: "no samples",
        Standing.KEPT: "ok",
    }.get(r.standing, "")


def _notes(s: SystemSnapshot) -> list[Cell]:
    log = {r.metric for r in s.rows if r.origin is Origin.LOG}
    sampled = any(r.origin is Origin.SAMPLES for r in s.rows)
    lacking = [
        what
        for what, metric in (
            ("latency", FIRST),
            ("errors", "error_rate"),
            ("cost", "cost_per_1000"),
        )
        if metric not in log
    ]
    notes = []
    if log and lacking:
        notes.append(plain(f"not in the log: {', '.join(lacking)}", Tone.DIM))
    if not sampled:
        notes.append(plain("no samples of system metrics in this window", Tone.DIM))
    if s.n_left_out > 0:
        text = f"{count(s.n_left_out)} more series of samples are not shown"
        notes.append(plain(text, Tone.WARN))
    if s.rows:
        text = (
            "now: the newest sample, or step of the log; mean, highest: of all samples; "
            f"of the log, over the window, and the highest {s.ask.step.value}"
        )
        notes.append(plain(text, Tone.DIM))
    return notes


# -- enter on a row ----------------------------------------------------------------------------


def _detail(s: SystemSnapshot, r: SystemRow, listed: int) -> Detail:
    of = name(r.version) if r.version is not None else "all versions"
    notes = []
    if r.origin is None:
        notes.append(plain("no samples in this window", Tone.UNKNOWN))
    else:
        notes.append(plain(f"from {_SOURCES[r.origin]}"))
    if r.limit is not None:
        notes.append(plain(f"limit {_limit_words(r.metric, r.limit)}"))
        if r.breach is not None:
            notes += _breach_words(r, r.breach)
        elif r.standing is Standing.UNSURE:
            text = "beyond it in some step, of so few requests that chance explains it"
            notes.append(plain(text, Tone.WARN))
    if r.whole is not None and not r.series and s.ask.step is not Step.ALL:
        notes.append(plain("not cut into steps: too many series; choose a longer step", Tone.DIM))
    plots = (row_plot(s, r), headline_plot(s)) if r.series else (headline_plot(s),)
    tables = (_step_table(r, listed),) if r.series else ()
    if len(r.series) > listed:
        text = f"the newest {listed} of {count(len(r.series))} steps; `show` prints all"
        notes.append(plain(text, Tone.DIM))
    return Detail(f"{name(r.metric)} of {of}", tuple(notes), tables, plots)


def _breach_words(r: SystemRow, breach: Breach) -> list[Cell]:
    first, last = moment(breach.first_since), moment(breach.since)
    times = "once" if breach.n_times == 1 else f"{breach.n_times} times"
    until = moment(breach.until) if breach.until is not None else "it lasts"
    what = "samples" if r.origin is Origin.SAMPLES else "steps"
    text = (
        f"beyond it {times} since {first}, the last time from {last} to {until}; "
        f"{count(breach.n_beyond)} {what}, worst {amount(r.metric, breach.worst)}"
    )
    return [plain(text, Tone.BAD)]


def _step_table(r: SystemRow, listed: int) -> Table:
    """The newest steps; more of every row would take longer to lay out than the pane itself."""
    gauge = r.origin is Origin.SAMPLES
    shown = ("mean", "lowest", "highest") if gauge else ("value",)
    last = () if gauge else (Column("95% interval", priority=1),)
    head = "mean" if r.origin is Origin.BOTH else "value"
    titles = shown if gauge else (head,)
    columns = (
        Column("from"),
        *(Column(title, right=True) for title in titles),
        *last,
        Column("n", right=True, priority=1),
    )
    rows = tuple(
        Row(
            str(step.start),
            (
                plain(moment(step.start)),
                *(_figure(r, step.metrics[what] if gauge else step.figure) for what in shown),
                *(() if gauge else (plain(interval(step.figure), Tone.DIM),)),
                plain(count(step.n), sort=step.n),
            ),
        )
        for step in r.series[-listed:]
    )
    return Table(columns, rows)
