"""The overview: every deployment, what is wrong first."""

from __future__ import annotations

from typing import Any

from console.analysis.findings import Severity
from console.analysis.overview import OverviewRow, OverviewSnapshot, VersionLine
from console.views import records
from console.views.model import Cell, Column, Detail, Row, Series, Table, TimePlot, Tone, View
from console.views.performance import title_of, version_tone
from console.views.words import (
    NOT_JUDGED,
    age,
    count,
    estimate_cell,
    finding_cells,
    name,
    number,
    percent,
    plain,
    unknown_outcome,
)

__all__ = ["document", "view"]

_STATE = {
    Severity.BAD: ("bad", Tone.BAD),
    Severity.WARNING: ("look", Tone.WARN),
    Severity.NOTE: ("ok", Tone.GOOD),
    0: ("ok", Tone.GOOD),
}


def document(s: OverviewSnapshot) -> dict[str, Any]:
    """The JSON of the pane: one row per deployment and version, the worst deployment first."""
    rows = [
        {
            "deployment": row.deployment,
            "task": row.task,
            "version": line.version,
            "segment": None,
            "value": None,
            "start": records.stamp(s.ask.start),
            "end": records.stamp(s.ask.end),
            "n": line.n,
            "n_labelled": line.n_labelled,
            "share": line.share,
            "metrics": records.metrics(line.metrics),
            "headline": row.metric,
            "reference": line.reference,
            "findings": records.findings(row.findings),
        }
        for row in s.rows
        for line in row.versions
    ]
    made = records.document("overview", s.ask, rows, ())
    made["findings"] = [
        {"deployment": row.deployment, **found}
        for row in s.rows
        for found in records.findings(row.findings)
    ]
    made["deployments"] = [
        {
            "deployment": row.deployment,
            "n": row.n,
            "age_seconds": row.age.total_seconds() if row.age is not None else None,
            "judged": row.judged,
        }
        for row in s.rows
    ]
    made["deployment"] = None
    made.pop("task")
    return made


def view(s: OverviewSnapshot) -> View:
    """Deployments with their versions below them; enter goes to the deployment."""
    columns = (
        Column("deployment", flexible=True),
        Column("state"),
        Column("n", right=True, priority=2),
        Column("share", right=True, priority=1),
        Column("metric", priority=3),
        Column("now", right=True),
        Column("95% interval", priority=4),
        Column("reference", right=True),
        Column("data age", right=True, priority=1),
    )
    rows, details, headline = [], [], []
    hidden = 0
    for row in s.rows:
        word, tone = _STATE[row.severity]
        unknown = _unknown(row)
        if row.severity < Severity.WARNING and unknown:
            word, tone = "cannot tell", Tone.UNKNOWN
        empty = plain("")
        rows.append(
            Row(
                row.deployment,
                (
                    plain(name(row.deployment), Tone.ACCENT),
                    plain(f"{word} {len(row.findings) or ''}".strip(), tone, row.severity),
                    plain(count(row.n), sort=row.n),
                    empty,
                    empty,
                    empty,
                    empty,
                    empty,
                    plain(age(row.age)),
                ),
            )
        )
        for line in row.versions:
            rows.append(Row(f"{row.deployment}/{line.version}", _line(row, line)))
        details.append((row.deployment, _detail(s, row)))
        details += [(f"{row.deployment}/{v.version}", _detail(s, row)) for v in row.versions]
        most = 3 if len(s.rows) < 3 else 2
        named = finding_cells(row.findings, most, unknown)[:most]
        headline += [Cell(f"{name(row.deployment)}: {c.text}", c.tone) for c in named]
        hidden += max(len(row.findings) - most, 0)
    return View(
        "Overview",
        tuple(headline) or (plain("no deployments", Tone.UNKNOWN),),
        Table(columns, tuple(rows), "no deployments"),
        tuple(_plot(s, row) for row in s.rows[:2]),
        tuple(details),
        (plain(f"{hidden} more: enter on a deployment, or show --format json", Tone.DIM),)
        if hidden
        else (),
    )


def _unknown(row: OverviewRow) -> str:
    """Why nothing found is no good news; empty when it is."""
    total = sum(v.n for v in row.versions)
    outcome = unknown_outcome(total, sum(v.n_labelled for v in row.versions))
    return outcome or ("" if row.judged else NOT_JUDGED)


def _line(row: OverviewRow, line: VersionLine) -> tuple[Cell, ...]:
    e = line.headline
    return (
        plain(f"  {name(line.version)}"),
        plain(""),
        plain(count(line.n), sort=line.n),
        plain(percent(line.share), sort=line.share),
        plain(title_of(row.metric), Tone.DIM),
        estimate_cell(e),
        plain("" if e.low is None else f"{number(e.low)}..{number(e.high)}", Tone.DIM),
        plain("" if line.reference is None else number(line.reference), Tone.DIM),
        plain(""),
    )


def _plot(s: OverviewSnapshot, row: OverviewRow) -> TimePlot:
    return TimePlot(
        f"{name(row.deployment, 24)}: {title_of(row.metric)} by {s.ask.step.value}",
        s.ask.start,
        s.ask.end,
        tuple(
            Series(
                name(v.version, 16),
                tuple(at for at, _ in v.series),
                tuple(value for _, value in v.series),
                version_tone(i),
            )
            for i, v in enumerate(row.versions)
        ),
        y_min=0.0,
    )


def _detail(s: OverviewSnapshot, row: OverviewRow) -> Detail:
    return Detail(
        f"{name(row.deployment)} ({row.task})",
        finding_cells(row.findings, 30, _unknown(row)),
        (),
        (_plot(s, row),),
    )
