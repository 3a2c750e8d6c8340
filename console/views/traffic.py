"""The traffic pane: the observed split over time, errors and latency."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from console.analysis.ask import Step
from console.analysis.estimate import State
from console.analysis.split_history import SplitStep
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

_ARMS = 2  # beside the first, whose configured and measured shares are drawn
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
    more: dict[str, Any] = {"recorded_changes": recorded, "n_recorded_changes": s.n_recorded}
    if s.split:
        more["split"] = [_split_record(step) for step in s.split]
    return records.document("traffic", s.ask, rows, s.findings, changes=changes, **more)


def _split_record(step: SplitStep) -> dict[str, Any]:
    return {
        "start": records.stamp(step.start),
        "replica": step.replica,
        "arm": step.arm or None,
        "configured": step.share,
        "n": step.n,
        "n_error": step.n_error,
        "n_readings": step.n_readings,
        "n_problem": step.n_problem,
        "problem": step.problem or None,
    }


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
    split = tuple(_split_series(s))
    said = ", and what the control plane was set to" if split else ""
    return TimePlot(
        f"share of predictions by {s.ask.step.value}{said}",
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
        )
        + split,
        marks=(
            *(Mark(f"{name(c.version, 12)} {percent(c.after)}", c.at) for c in s.changes[-_MARKS:]),
            *_recorded(s),
        ),
        y_min=0.0,
        y_max=1.0,
        percent=True,
    )


def _split_series(s: TrafficSnapshot) -> Iterator[Series]:
    """Configured and measured share of every arm but the first, whose share is the rest.

    Where replicas differ, the line is the highest and the band reaches to the lowest.
    """
    arms = tuple(dict.fromkeys(step.arm for step in s.split if step.arm))
    for arm in arms[1 : 1 + _ARMS]:
        configured: dict[datetime, list[float]] = {}
        served: dict[datetime, list[int]] = {}
        for step in s.split:
            if step.arm == arm and step.share is not None:
                configured.setdefault(step.start, []).append(step.share)
            if step.n is not None:
                n = served.setdefault(step.start, [0, 0])
                n[0] += step.n if step.arm == arm else 0
                n[1] += step.n
        yield Series(
            f"{name(arm, 16)} configured",
            tuple(configured),
            tuple(max(shares) for shares in configured.values()),
            Tone.PLAIN,
            tuple(min(shares) for shares in configured.values()),
            tuple(max(shares) for shares in configured.values()),
        )
        if any(n for _, n in served.values()):
            measured = tuple(mine / n if n else None for mine, n in served.values())
            yield Series(f"{name(arm, 16)} measured", tuple(served), measured, Tone.WARN)


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
