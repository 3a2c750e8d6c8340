"""The subgroups pane: segment values against the whole, the surely worst first."""

from __future__ import annotations

from typing import Any

from collectors.contract import Task
from console.analysis.estimate import Estimate, State
from console.analysis.fairness import Disparity, FourFifths
from console.analysis.figures import lower_is_better
from console.analysis.subgroups import SubgroupRow, SubgroupsSnapshot
from console.views import records
from console.views.model import Bars, Cell, Column, Detail, Row, Table, Tone, View
from console.views.performance import COLUMNS, title_of
from console.views.words import (
    count,
    estimate_cell,
    finding_cells,
    interval,
    name,
    number,
    percent,
    plain,
    state_words,
    unknown_outcome,
)

__all__ = ["document", "view"]

MOST_DETAILS = 400

_FOUR_FIFTHS = {
    FourFifths.BELOW: "surely below 0.8",
    FourFifths.WITHIN: "within 0.8 and 1.25",
    FourFifths.ABOVE: "surely above 1.25",
    FourFifths.CANNOT_TELL: "cannot tell",
}


def document(s: SubgroupsSnapshot) -> dict[str, Any]:
    """The JSON of the pane: rows worst first, each with its gap to the whole."""
    rows = []
    for r in s.rows:
        record = records.figures_record(s.ask, r.figures, s.ask.start, s.ask.end)
        record["values"] = dict(r.values)
        record["gaps"] = records.metrics(r.gaps)
        record["shrunken"] = {s.headline: records.estimate(r.shrunken)}
        if r.figures.calibration_gap is not None:
            record["calibration_gap"] = records.estimate(r.figures.calibration_gap)
        if r.disparity is not None:
            record["disparity"] = {
                "against": r.disparity.against,
                "four_fifths": r.disparity.four_fifths.value,
                **records.metrics(r.disparity.ratios),
            }
        if r.change is not None:
            record["change"] = {s.headline: records.estimate(r.change)}
        rows.append(record)
    whole = [
        {"version": f.group.version, "n": f.n, "metrics": records.metrics(f.metrics)}
        for f in s.whole
    ]
    worst = [
        {
            "version": w.version,
            "values": dict(w.values),
            "metric": w.metric,
            "value": w.value,
            "whole": w.whole,
            "gap": records.estimate(w.gap),
            "n": w.n,
            "share": w.share,
            "n_looked_at": w.looked,
            "parents": [{"values": {k: v}, "value": m} for k, v, m in w.parents],
        }
        for w in s.worst
    ]
    return records.document("subgroups", s.ask, rows, s.findings, whole=whole, worst_slices=worst)


def view(s: SubgroupsSnapshot) -> View:
    """Segment values as rows; the gap with its interval decides the order."""
    shown = [m for m in COLUMNS[s.ask.deployment.task][:4] if m != s.headline]
    changed = any(r.change is not None for r in s.rows)
    columns = (
        Column("segment", flexible=True),
        Column("version", priority=1),
        Column("n", right=True),
        Column("share", right=True, priority=4),
        Column(f"{title_of(s.headline)} gap", right=True),
        Column("95% interval", priority=2),
        Column(title_of(s.headline), right=True),
        Column("shrunken", right=True, priority=4),
        *(Column(title_of(m), right=True, priority=i) for i, m in enumerate(shown, 3)),
        *((Column("since then", right=True, priority=3),) if changed else ()),
    )
    rows: list[Row] = []
    details: list[tuple[str, Detail]] = []
    for r in s.rows:
        key = f"{r.figures.group.version}/{r.segment}={r.value}"
        gap = r.gaps[s.headline]
        rows.append(
            Row(
                key,
                (
                    plain(_label(r)),
                    plain(name(r.figures.group.version, 20)),
                    plain(count(r.figures.n), sort=r.figures.n),
                    plain(percent(r.share), sort=r.share),
                    _gap_cell(gap, s.headline),
                    plain(interval(gap), Tone.DIM),
                    estimate_cell(r.figures.metrics[s.headline]),
                    estimate_cell(r.shrunken),
                    *(estimate_cell(r.figures.metrics[m]) for m in shown),
                    *((_change_cell(r, s.headline),) if changed else ()),
                ),
            )
        )
        if len(details) < MOST_DETAILS:
            details.append((key, _detail(s, r)))
    return View(
        "Subgroups",
        finding_cells(
            s.findings,
            unknown=unknown_outcome(
                sum(r.figures.n for r in s.rows), sum(r.figures.n_labelled for r in s.rows)
            ),
        ),
        Table(columns, tuple(rows), _empty(s)),
        _plots(s),
        tuple(details),
        _notes(s),
    )


def _notes(s: SubgroupsSnapshot) -> tuple[Cell, ...]:
    notes = [
        plain(
            "gap: this group minus all rows of the version; order: how bad it is at least; "
            "shrunken: drawn to the mean of its segment by how little is known",
            Tone.DIM,
        )
    ]
    for w in s.worst:
        slice_ = " & ".join(f"{name(k, 24)}={name(v, 24)}" for k, v in w.values)
        notes.append(
            plain(
                f"{name(w.version, 20)}: the worst of {w.looked} values and crosses is {slice_}, "
                f"{title_of(w.metric)} {number(w.value)} ({number(w.gap.value)} "
                f"[{interval(w.gap)}], widened for the search)",
                Tone.DIM,
            )
        )
    below = sum(
        r.disparity is not None and r.disparity.four_fifths is FourFifths.BELOW for r in s.rows
    )
    if below:
        notes.append(
            plain(
                f"four-fifths: {below} of {len(s.rows)} values get a yes surely less than 0.8 "
                "times as often as the largest one of their segment (enter)",
                Tone.DIM,
            )
        )
    if any(r.change is not None for r in s.rows):
        notes.append(plain(f"since then: against {s.ask.against.words}", Tone.DIM))
    return tuple(notes)


def _change_cell(r: SubgroupRow, metric: str) -> Cell:
    return plain("") if r.change is None else _gap_cell(r.change, metric)


def _empty(s: SubgroupsSnapshot) -> str:
    if not s.ask.deployment.segments:
        return "no segments: list columns under `segments` in the configuration"
    return "no predictions in this window"


def _label(r: SubgroupRow) -> str:
    return " & ".join(f"{name(k, 24)}={name(v, 24)}" for k, v in r.values)


def _gap_cell(gap: Estimate, metric: str) -> Cell:
    if gap.value is None:
        return plain(state_words(gap.state), Tone.UNKNOWN)
    if gap.low is None or gap.high is None or gap.state is not State.OK:
        return plain(f"{gap.value:+.3g}?", Tone.DIM, gap.value)
    worse = gap.low > 0 if lower_is_better(metric) else gap.high < 0
    better = gap.high < 0 if lower_is_better(metric) else gap.low > 0
    tone = Tone.BAD if worse else Tone.GOOD if better else Tone.PLAIN
    return plain(f"{gap.value:+.3g}", tone, gap.value)


def _plots(s: SubgroupsSnapshot) -> tuple[Bars, ...]:
    """The headline by value, for the segment column of the worst row."""
    sure = [r for r in s.rows if r.gaps[s.headline].state is State.OK]
    if not sure:
        return ()
    first = sure[0]
    same = [
        r
        for r in s.rows
        if r.segment == first.segment and r.figures.group.version == first.figures.group.version
    ][:24]
    same.sort(key=lambda r: r.value)
    return (
        Bars(
            f"{title_of(s.headline)} by {name(first.segment)} "
            f"({name(first.figures.group.version)})",
            tuple(name(r.value, 16) for r in same),
            ((s.headline, tuple(r.figures.metrics[s.headline].value for r in same), Tone.ACCENT),),
        ),
    )


def _detail(s: SubgroupsSnapshot, r: SubgroupRow) -> Detail:
    rows = []
    for metric, e in r.figures.metrics.items():
        gap = r.gaps.get(metric)
        rows.append(
            Row(
                metric,
                (
                    plain(metric),
                    estimate_cell(e),
                    plain(interval(e), Tone.DIM),
                    plain(count(e.n), sort=e.n),
                    _gap_cell(gap, metric) if gap is not None else plain(""),
                    plain(interval(gap) if gap is not None else "", Tone.DIM),
                ),
            )
        )
    columns = (
        Column("metric"),
        Column("value", right=True),
        Column("95% interval"),
        Column("n", right=True),
        Column("gap", right=True),
        Column("95% interval"),
    )
    tables = [Table(columns, tuple(rows))]
    if r.disparity is not None:
        tables.append(_disparity_table(r.disparity))
    c = r.figures.confusion
    notes = [
        plain(
            f"{count(r.figures.n)} predictions ({percent(r.share, 1)} of the version's), "
            f"{count(r.figures.n_labelled)} with a label"
        )
    ]
    if c is not None and s.ask.deployment.task is Task.BINARY:
        notes.append(
            plain(f"tp {count(c.tp)}  fp {count(c.fp)}  fn {count(c.fn)}  tn {count(c.tn)}")
        )
    calibration = r.figures.calibration_gap
    if calibration is not None and calibration.value is not None:
        notes.append(
            plain(
                f"calibration: scores minus positives {calibration.value:+.3f} "
                f"[{interval(calibration)}]"
            )
        )
    gap = r.gaps[s.headline]
    if r.shrunken.value is not None:
        drawn = f"{number(r.shrunken.value)} [{interval(r.shrunken)}]"
        notes.append(plain(f"{s.headline} drawn to the mean of the segment: {drawn}"))
    if r.change is not None and r.change.value is not None:
        notes.append(
            plain(
                f"{s.headline} since {s.ask.against.words}: {r.change.value:+.3g} "
                f"[{interval(r.change)}]"
            )
        )
    if gap.value is not None:
        notes.append(
            plain(f"{s.headline} differs from all rows by {number(gap.value)} [{interval(gap)}]")
        )
    return Detail(f"{_label(r)} of {name(r.figures.group.version)}", tuple(notes), tuple(tables))


def _disparity_table(d: Disparity) -> Table:
    """Ratios of this group's rates to those of the largest group of the segment."""
    against = name(d.against, 24)
    rows = []
    for metric, e in d.ratios.items():
        selection = metric == "selection_rate"
        mark = _FOUR_FIFTHS[d.four_fifths] if selection else ""
        rows.append(
            Row(
                metric,
                (
                    plain("share that gets a yes" if selection else metric),
                    estimate_cell(e),
                    plain(interval(e), Tone.DIM),
                    plain(mark, Tone.DIM),
                ),
            )
        )
    columns = (
        Column(f"ratio to {against}"),
        Column("value", right=True),
        Column("95% interval"),
        Column("four-fifths", flexible=True),
    )
    return Table(columns, tuple(rows))
