"""The drift pane: features ranked, both distributions in the detail."""

from __future__ import annotations

from typing import Any

from console.analysis.distances import DriftState
from console.analysis.drift import DriftRow, DriftSnapshot
from console.analysis.estimate import State
from console.views import records
from console.views.model import Bars, Column, Detail, Line, Row, Series, Table, TimePlot, Tone, View
from console.views.performance import version_tone
from console.views.words import (
    DRIFT_TONES,
    NO_ROWS,
    count,
    estimate_cell,
    finding_cells,
    interval,
    name,
    number,
    percent,
    plain,
)

__all__ = ["document", "view"]

_WORDS = {
    DriftState.OK: "no drift",
    DriftState.SMALL: "small",
    DriftState.DRIFTED: "drifted",
    DriftState.TOO_FEW: "too few",
    DriftState.CANNOT_TELL: "cannot tell",
}


def document(s: DriftSnapshot) -> dict[str, Any]:
    """The JSON of the pane: one row per version and feature, ranked."""
    rows = [
        {
            "version": r.version,
            "segment": None,
            "value": None,
            "feature": r.feature,
            "kind": r.kind.value,
            "start": records.stamp(s.ask.start),
            "end": records.stamp(s.ask.end),
            "n": r.n,
            "n_reference": r.n_reference,
            "metrics": records.metrics(r.metrics),
            "noise_floor": r.noise_floor,
            "noise_q95": r.noise_q95,
            "state": r.state.value,
            "distribution": {
                "labels": list(r.distribution.labels),
                "reference": list(r.distribution.reference),
                "current": list(r.distribution.current),
            },
        }
        for r in s.rows
    ]
    return records.document("drift", s.ask, rows, s.findings)


def view(s: DriftSnapshot) -> View:
    """Features as rows, the most drifted first; PSI of the worst over time."""
    columns = (
        Column("feature", flexible=True),
        Column("version", priority=1),
        Column("state"),
        Column("PSI", right=True),
        Column("noise", right=True, priority=2),
        Column("JS", right=True, priority=4),
        Column("KS", right=True, priority=5),
        Column("W1", right=True, priority=6),
        Column("null", right=True, priority=1),
        Column("unseen", right=True, priority=1),
        Column("n", right=True, priority=3),
    )
    rows, details = [], []
    for r in s.rows:
        key = f"{r.version}/{r.feature}"
        rows.append(Row(key, _cells(r)))
        details.append((key, _detail(s, r)))
    notes = [
        plain(
            "PSI against the version's own reference; noise: what samples this size show "
            "without drift (95%)",
            Tone.DIM,
        )
    ]
    if not s.has_reference:
        notes.insert(
            0,
            plain("no reference: give [[deployment.reference]] in the configuration", Tone.UNKNOWN),
        )
    worst = [r for r in s.rows if r.series][:3]
    return View(
        "Drift",
        finding_cells(s.findings, unknown=_unknown(s)),
        Table(columns, tuple(rows), "no predictions in this window"),
        (_plot(s, worst),) if worst else (),
        tuple(details),
        tuple(notes),
    )


def _unknown(s: DriftSnapshot) -> str:
    if not s.rows:
        return NO_ROWS
    if all(r.state in (DriftState.CANNOT_TELL, DriftState.TOO_FEW) for r in s.rows):
        return "too few rows or no reference: drift cannot be told"
    return ""


def _cells(r: DriftRow) -> tuple[Any, ...]:
    tone = DRIFT_TONES[r.state]
    value = r.metrics["psi"]
    unseen = r.metrics["unseen_rate"]
    nulls = r.metrics["null_rate"]
    return (
        plain(name(r.feature, 40), tone if r.state is DriftState.DRIFTED else Tone.PLAIN),
        plain(name(r.version, 20)),
        plain(_WORDS[r.state], tone),
        estimate_cell(value, tone=tone if r.state is DriftState.DRIFTED else None),
        plain("" if r.noise_q95 is None else f"<{number(r.noise_q95)}", Tone.DIM, r.noise_q95),
        estimate_cell(r.metrics["js"]),
        estimate_cell(r.metrics["ks"]) if r.metrics["ks"].value is not None else plain(""),
        estimate_cell(r.metrics["wasserstein"])
        if r.metrics["wasserstein"].value is not None
        else plain(""),
        _rate(nulls.value, r.null_rate_reference),
        _rate(unseen.value, 0.0) if unseen.state is not State.CANNOT_TELL else plain(""),
        plain(count(r.n), sort=r.n),
    )


def _rate(value: float | None, usual: float | None) -> Any:
    if value is None:
        return plain("")
    tone = Tone.WARN if usual is not None and value > usual + 0.05 else Tone.PLAIN
    return plain(percent(value, 0 if value >= 0.1 or value == 0 else 1), tone, value)


def _plot(s: DriftSnapshot, rows: list[DriftRow]) -> TimePlot:
    series = tuple(
        Series(
            f"{name(r.feature, 16)} {name(r.version, 10)}",
            tuple(at for at, _ in r.series),
            tuple(v for _, v in r.series),
            version_tone(i),
        )
        for i, r in enumerate(rows)
    )
    return TimePlot(
        "PSI of the most drifted",
        s.ask.start,
        s.ask.end,
        series,
        (Line("acts from .1", 0.1),),
        y_min=0.0,
    )


def _detail(s: DriftSnapshot, r: DriftRow) -> Detail:
    d = r.distribution
    groups = [("window", d.current, Tone.ACCENT)]
    if r.n_reference:
        groups.insert(0, ("reference", d.reference, Tone.DIM))
    bars = Bars(
        f"{name(r.feature)}: share of rows by the reference's deciles"
        if r.kind.value == "numeric"
        else f"{name(r.feature)}: share of rows by category",
        tuple(name(x, 24) for x in d.labels),
        tuple(groups),
    )
    notes = [
        plain(
            f"{_WORDS[r.state]}: PSI {number(r.metrics['psi'].value)}, without drift samples of "
            f"this size stay below {number(r.noise_q95)}",
            DRIFT_TONES[r.state],
        ),
        plain(f"{count(r.n)} rows in the window, {count(r.n_reference)} in the reference"),
    ]
    if r.reference_range is not None and r.lowest is not None and r.highest is not None:
        low, high = r.reference_range
        notes.append(
            plain(
                f"window {number(r.lowest)} to {number(r.highest)}, "
                f"reference {number(low)} to {number(high)}"
            )
        )
    rows = tuple(
        Row(metric, (plain(metric), estimate_cell(e), plain(interval(e), Tone.DIM)))
        for metric, e in r.metrics.items()
    )
    bins = tuple(
        Row(
            label,
            (
                plain(name(label, 30)),
                plain(percent(ref, 1)),
                plain(percent(cur, 1), Tone.WARN if _moved(ref, cur) else Tone.PLAIN),
            ),
        )
        for label, ref, cur in zip(d.labels, d.reference, d.current, strict=True)
    )
    return Detail(
        f"{name(r.feature)} of {name(r.version)}",
        tuple(notes),
        (
            Table((Column("distance"), Column("value", right=True), Column("interval")), rows),
            Table(
                (
                    Column("bin", flexible=True),
                    Column("reference", right=True),
                    Column("window", right=True),
                ),
                bins,
            ),
        ),
        (bars, _plot(s, [r])) if r.series else (bars,),
    )


def _moved(ref: float | None, cur: float | None) -> bool:
    return ref is not None and cur is not None and abs(ref - cur) > 0.1
