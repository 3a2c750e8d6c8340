"""The traffic pane: the observed split over time, errors and latency."""

from __future__ import annotations

from typing import Any

from console.analysis.ask import Step
from console.analysis.estimate import State
from console.analysis.traffic import TrafficRow, TrafficSnapshot
from console.views import records
from console.views.model import Column, Detail, Mark, Row, Series, Table, TimePlot, Tone, View
from console.views.performance import version_tone
from console.views.words import (
    NO_ROWS,
    count,
    estimate_cell,
    finding_cells,
    moment,
    name,
    percent,
    plain,
)

__all__ = ["document", "view"]

_MARKS = 6  # the newest changes of each kind on the time axis


def document(s: TrafficSnapshot) -> dict[str, Any]:
    """The JSON of the pane: one row per step and version."""
    rows = [
        {
            "version": r.version,
            "segment": None,
            "value": None,
            "start": records.stamp(s.ask.step_start(r.start)),
            "end": records.stamp(s.ask.step_end(r.start)),
            "n": r.n,
            "n_error": r.n_error,
            "metrics": records.metrics(r.metrics),
        }
        for r in (s.whole if s.ask.step is Step.ALL else s.series)
    ]
    changes = [
        {"version": c.version, "at": records.stamp(c.at), "from": c.before, "to": c.after}
        for c in s.changes
    ]
    recorded = [
        {"at": records.stamp(c.at), "kind": c.kind, "subject": c.subject, "detail": c.detail}
        for c in s.recorded
    ]
    more = {"recorded_changes": recorded, "n_recorded_changes": s.n_recorded}
    return records.document("traffic", s.ask, rows, s.findings, changes=changes, **more)


def view(s: TrafficSnapshot) -> View:
    """Versions as rows, their share over time as a plot."""
    latency = any("latency_p50" in r.metrics for r in s.whole)
    seen = {version: (first, last) for version, first, last in s.seen}
    columns = (
        Column("version", flexible=True),
        Column("n", right=True),
        Column("share", right=True),
        Column("95% interval", priority=2),
        Column("errors", right=True, priority=1),
        *(
            (Column("p50 ms", right=True), Column("p95", right=True), Column("p99", right=True))
            if latency
            else ()
        ),
        Column("first seen", priority=3),
        Column("last seen", priority=3),
    )
    rows, details = [], []
    for r in s.whole:
        first, last = seen.get(r.version, (None, None))
        share = r.metrics["share"]
        rows.append(
            Row(
                r.version,
                (
                    plain(name(r.version), Tone.ACCENT),
                    plain(count(r.n), sort=r.n),
                    plain(percent(share.value, 1), sort=share.value),
                    plain(f"{percent(share.low, 1)}..{percent(share.high, 1)}", Tone.DIM),
                    _errors(r),
                    *(_latency(r) if latency else ()),
                    plain(moment(first) if s.ask.deployment.timed else ""),
                    plain(moment(last) if s.ask.deployment.timed else ""),
                ),
            )
        )
        details.append((r.version, _detail(s, r)))
    notes = [] if latency else [plain("latency is not in these logs", Tone.DIM)]
    return View(
        "Traffic",
        finding_cells(s.findings, unknown="" if s.whole else NO_ROWS),
        Table(columns, tuple(rows), "no predictions in this window"),
        (_shares(s), _volume(s)),
        tuple(details),
        tuple(notes),
    )


def _errors(r: TrafficRow) -> Any:
    e = r.metrics["error_rate"]
    tone = Tone.BAD if e.low is not None and e.low > 0.01 else Tone.PLAIN
    return plain(percent(e.value, 2), tone, e.value)


def _latency(r: TrafficRow) -> tuple[Any, ...]:
    return tuple(
        estimate_cell(r.metrics[k]) if k in r.metrics else plain("")
        for k in ("latency_p50", "latency_p95", "latency_p99")
    )


def _shares(s: TrafficSnapshot) -> TimePlot:
    return TimePlot(
        f"share of predictions by {s.ask.step.value}",
        s.ask.start,
        s.ask.end,
        tuple(
            Series(
                name(version, 20),
                tuple(r.start or s.ask.start for r in mine),
                tuple(r.metrics["share"].value for r in mine),
                version_tone(i),
            )
            for i, (version, mine) in enumerate(_by_version(s).items())
        ),
        marks=(
            *(Mark(f"{name(c.version, 12)} {percent(c.after)}", c.at) for c in s.changes[-_MARKS:]),
            *_recorded(s),
        ),
        y_min=0.0,
        y_max=1.0,
        percent=True,
    )


def _recorded(s: TrafficSnapshot) -> tuple[Mark, ...]:
    """What the serving system says was changed, on the time axis."""
    return tuple(Mark(name(c.text, 40), c.at, Tone.ACCENT) for c in s.recorded[-_MARKS:])


def _volume(s: TrafficSnapshot) -> TimePlot:
    totals: dict[Any, int] = {}
    for r in s.series:
        totals[r.start] = totals.get(r.start, 0) + r.n
    return TimePlot(
        f"predictions per {s.ask.step.value}",
        s.ask.start,
        s.ask.end,
        (Series("all versions", tuple(totals), tuple(float(n) for n in totals.values())),),
        marks=_recorded(s),
        y_min=0.0,
    )


def _by_version(s: TrafficSnapshot) -> dict[str, list[TrafficRow]]:
    out: dict[str, list[TrafficRow]] = {}
    for r in s.series:
        out.setdefault(r.version, []).append(r)
    return out


def _detail(s: TrafficSnapshot, whole: TrafficRow) -> Detail:
    rows = tuple(
        Row(
            str(r.start),
            (
                plain(moment(r.start) if s.ask.deployment.timed else "all"),
                plain(count(r.n), sort=r.n),
                plain(percent(r.metrics["share"].value, 1)),
                _errors(r),
            ),
        )
        for r in s.series
        if r.version == whole.version
    )
    cost = whole.metrics["cost_per_1000"]
    notes = [plain(f"{count(whole.n)} predictions, {count(whole.n_error)} failed")]
    if cost.state is State.OK:
        notes.append(plain(f"cost per 1,000 predictions: {cost.value:.4g}"))
    columns = (
        Column("from"),
        Column("n", right=True),
        Column("share", right=True),
        Column("errors", right=True),
    )
    return Detail(
        f"traffic of {name(whole.version)}", tuple(notes), (Table(columns, rows),), (_shares(s),)
    )
