"""The page of an explanation: the answer, the slices, then dimensions, features and events."""

from __future__ import annotations

from typing import Any

from collectors.text import clean
from console.analysis.distances import DriftState
from console.analysis.estimate import Estimate
from console.analysis.explain import Dimension, ExplainSnapshot, Part, Verdict
from console.analysis.explain_findings import sure
from console.analysis.explain_sums import Kind
from console.analysis.findings import Severity
from console.views import records
from console.views.model import Cell, Column, Detail, Row, Table, Tone, View
from console.views.words import DRIFT_TONES, count, interval, moment, name, number, percent, plain

__all__ = ["document", "view"]

MOST_DIMENSIONS = 24
MOST_PARTS = 12
MOST_FEATURES = 12


def document(s: ExplainSnapshot) -> dict[str, Any]:
    """The JSON: rows are the parts of every dimension, which add up to `change` in each."""
    ask, other = s.ask, s.ask.other
    rows = [_part_record(d, p) for d in s.dimensions for p in d.parts]
    against: dict[str, Any] = {"side": ask.against.side.value, "words": ask.against.words}
    if other is not None:
        against["window"] = {"start": records.stamp(other.start), "end": records.stamp(other.end)}
        against["version"] = other.version
        against["as_of"] = records.stamp(other.as_of)
    return records.document(
        "explain",
        ask,
        rows,
        s.findings,
        figure=s.figure,
        asked=s.asked,
        version=ask.version,
        against=against,
        verdict=s.verdict.value,
        reason=s.reason or None,
        value=records.estimate(s.value),
        other=records.estimate(s.other),
        change=records.estimate(s.change),
        looked=s.looked,
        approximate=s.approximate,
        dimensions=[_dimension_record(d) for d in s.dimensions],
        slices=[
            {
                "kind": one.kind.value,
                "values": dict(one.values),
                "also": [dict(v) for v in one.also],
                "n": one.n,
                "n_other": one.n_other,
                "share": one.rows,
                "share_other": one.rows_other,
                "figure": one.value,
                "figure_other": one.other,
                "mix": one.mix,
                "within": one.within,
                "excess": records.estimate(one.excess),
            }
            for one in s.slices
        ],
        features=[
            {
                "feature": m.feature,
                "state": m.state.value,
                "n": m.n,
                "n_other": m.n_other,
                "psi": m.psi,
                "noise_q95": m.noise_q95,
                "mean": m.mean,
                "mean_other": m.mean_other,
                "missing": m.missing,
                "missing_other": m.missing_other,
                "outside": m.outside,
                "outside_other": m.outside_other,
                "together": None
                if m.together is None
                else {
                    "what": m.together.what,
                    "correlation": m.together.correlation,
                    "p_adjusted": m.together.p_adjusted,
                    "steps": m.together.steps,
                },
            }
            for m in s.moves
        ],
        events=[
            {"at": records.stamp(e.at), "kind": e.kind.value, "text": e.text, "near": e.near}
            for e in s.events
        ],
        onset=_onset_record(s),
    )


def _onset_record(s: ExplainSnapshot) -> dict[str, Any] | None:
    o = s.onset
    if o is None:
        return None
    return {
        "shape": o.shape.value,
        "state": o.state.value,
        "start": records.stamp(o.start),
        "end": records.stamp(o.end),
        "before": o.before,
        "after": o.after,
        "text": o.words or None,
    }


def _dimension_record(d: Dimension) -> dict[str, Any]:
    return {
        "dimension": d.name,
        "kind": d.kind.value,
        "n_values": d.n_values,
        "mix": records.estimate(d.mix),
        "within": records.estimate(d.within),
    }


def _part_record(d: Dimension, p: Part) -> dict[str, Any]:
    return {
        "dimension": d.name,
        "kind": d.kind.value,
        "value": ",".join(v for _, v in p.values) if p.values else None,
        "n": p.n,
        "n_other": p.n_other,
        "share": p.share,
        "share_other": p.share_other,
        "figure": p.value,
        "figure_other": p.other,
        "mix": p.mix,
        "within": p.within,
        "metrics": {
            "contribution": records.estimate(p.contribution),
            "excess": records.estimate(p.excess),
        },
    }


# -- the page ------------------------------------------------------------------------------------


def view(s: ExplainSnapshot) -> View:
    """Headline: the sentences. table: slices that stand out. details: further sections, in order:
    dimensions, the values of the simple ones, features, events.
    """
    sections = [
        ("dimensions", _dimensions(s)),
        *((f"values of {d.name}", _values(s, d)) for d in _shown(s)),
        ("features", _features(s)),
        ("events", _events(s)),
    ]
    return View(
        "Explain",
        _headline(s),
        _slices(s),
        details=tuple((key, d) for key, d in sections if d is not None),
        notes=_notes(s),
    )


def _headline(s: ExplainSnapshot) -> tuple[Cell, ...]:
    tones = {Severity.BAD: Tone.BAD, Severity.WARNING: Tone.WARN, Severity.NOTE: Tone.PLAIN}
    unknown = s.verdict is Verdict.CANNOT_TELL
    return tuple(
        Cell(clean(f.text, 400), Tone.UNKNOWN if unknown else tones[f.severity]) for f in s.findings
    )


def _notes(s: ExplainSnapshot) -> tuple[Cell, ...]:
    if s.verdict is Verdict.CANNOT_TELL:
        return ()
    notes = [
        plain(
            "mix: the group became more or less frequent; within: the figure changed in it; "
            "they add up to the change in each dimension",
            Tone.DIM,
        ),
        plain(
            f"beyond share: its part of the change above its part of the rows; intervals hold for "
            f"all {count(s.looked)} groups at once; slices may share rows",
            Tone.DIM,
        ),
    ]
    if s.approximate:
        notes.append(plain("intervals are approximate: squares of losses are not kept", Tone.DIM))
    return tuple(notes)


_COLUMNS = (
    Column("rows", flexible=True),
    Column("n", right=True, priority=1),
    Column("share before", right=True, priority=2),
    Column("share now", right=True, priority=1),
    Column("before", right=True),
    Column("now", right=True),
    Column("mix", right=True, priority=3),
    Column("within", right=True, priority=3),
    Column("total", right=True),
    Column("beyond share", right=True, priority=2),
    Column("interval", priority=4),
)


def _slices(s: ExplainSnapshot) -> Table:
    rows = []
    for one in s.slices:
        label = _label(one.values, one.kind)
        if one.also:
            label += f" (= {', '.join(_label(v, one.kind) for v in one.also[:3])})"
        figures = (one.n, one.rows_other, one.rows, one.other, one.value, one.mix, one.within)
        rows.append(_row(f"{one.kind.value}/{label}", label, figures, one.excess))
    empty = "no slice stands out" if s.change.value is not None else ""
    return Table(_COLUMNS, tuple(rows), empty)


_Figures = tuple[int, float, float, float | None, float | None, float, float]


def _row(key: str, label: str, figures: _Figures, excess: Estimate) -> Row:
    n, share_other, share, other, value, mix, within = figures
    return Row(
        key,
        (
            plain(label),
            plain(count(n), sort=n),
            plain(percent(share_other, 1), sort=share_other),
            plain(percent(share, 1), sort=share),
            plain(number(other), sort=other),
            plain(number(value), sort=value),
            _signed(mix),
            _signed(within),
            _signed(mix + within),
            _signed(excess.value, Tone.ACCENT if sure(excess) else Tone.PLAIN),
            plain(interval(excess), Tone.DIM),
        ),
    )


def _signed(value: float | None, tone: Tone = Tone.PLAIN) -> Cell:
    return plain("" if value is None else f"{value:+.3g}", tone, value)


def _label(values: tuple[tuple[str, str], ...], kind: Kind) -> str:
    if not values:
        return "(all others)"
    if kind is Kind.CONDITION:
        return " ".join(name(part, 40) for part in values[0])
    return " & ".join(f"{name(k, 24)}={name(v, 24)}" for k, v in values)


def _dimensions(s: ExplainSnapshot) -> Detail | None:
    if not s.dimensions:
        return None
    columns = (
        Column("dimension", flexible=True),
        Column("groups", right=True),
        Column("mix", right=True),
        Column("interval", priority=2),
        Column("within", right=True),
        Column("interval", priority=2),
    )
    simple = [
        d for d in s.dimensions if d.n_values > 1 and (d.kind is not Kind.CONDITION or sure(d.mix))
    ]
    simple.sort(key=lambda d: -abs(d.mix.value or 0.0))
    rows = tuple(
        Row(
            f"{d.kind.value}/{d.name}",
            (
                plain(_title(d)),
                plain(count(d.n_values), sort=d.n_values),
                _signed(d.mix.value, Tone.ACCENT if sure(d.mix) else Tone.PLAIN),
                plain(interval(d.mix), Tone.DIM),
                _signed(d.within.value),
                plain(interval(d.within), Tone.DIM),
            ),
        )
        for d in simple[:MOST_DIMENSIONS]
    )
    return Detail("by dimension", (), (Table(columns, rows, "there is nothing to split over"),))


def _title(d: Dimension) -> str:
    shown = name(d.name.replace(",", " & "), 50)
    return f"{shown} ordinary, missing, outside" if d.kind is Kind.CONDITION else shown


def _shown(s: ExplainSnapshot) -> list[Dimension]:
    """Versions and segments, and the conditions of which something is seen."""
    plainly = [d for d in s.dimensions if d.kind in (Kind.VERSION, Kind.SEGMENT)]
    moved = [d for d in s.dimensions if d.kind is Kind.CONDITION and sure(d.mix)]
    moved.sort(key=lambda d: -abs(d.mix.value or 0.0))
    return [d for d in [*plainly, *moved[:4]] if d.n_values > 1][:10]


def _values(s: ExplainSnapshot, d: Dimension) -> Detail:
    del s
    rows = []
    for p in d.parts[:MOST_PARTS]:
        figures = (p.n, p.share_other, p.share, p.other, p.value, p.mix, p.within)
        label = _label(p.values, d.kind)
        rows.append(_row(f"{d.name}/{label}", label, figures, p.excess))
    more = d.n_values - len(rows)
    notes = (
        (plain(f"and {count(more)} smaller ones (JSON has them)", Tone.DIM),) if more > 0 else ()
    )
    return Detail(f"by {_title(d)}", notes, (Table(_COLUMNS, tuple(rows)),))


def _features(s: ExplainSnapshot) -> Detail | None:
    if not s.moves:
        return None
    columns = (
        Column("feature", flexible=True),
        Column("state"),
        Column("PSI", right=True),
        Column("noise", right=True, priority=2),
        Column("mean before", right=True, priority=1),
        Column("mean now", right=True, priority=1),
        Column("missing before", right=True, priority=3),
        Column("missing now", right=True, priority=3),
        Column("outside before", right=True, priority=3),
        Column("outside now", right=True, priority=3),
        Column("goes with it", priority=1),
    )
    rows = tuple(
        Row(
            f"feature/{m.feature}",
            (
                plain(name(m.feature)),
                plain(m.state.value.replace("_", " "), DRIFT_TONES[m.state]),
                plain(number(m.psi), sort=m.psi),
                plain(number(m.noise_q95), Tone.DIM, m.noise_q95),
                plain(number(m.mean_other), sort=m.mean_other),
                plain(number(m.mean), sort=m.mean),
                plain(percent(m.missing_other, 1), sort=m.missing_other),
                plain(percent(m.missing, 1), sort=m.missing),
                plain(percent(m.outside_other, 1), sort=m.outside_other),
                plain(percent(m.outside, 1), sort=m.outside),
                plain(f"{m.together.what} {m.together.correlation:+.2f}" if m.together else ""),
            ),
        )
        for m in s.moves[:MOST_FEATURES]
    )
    drifted = sum(m.state is DriftState.DRIFTED for m in s.moves)
    notes = (plain(f"{drifted} of {len(s.moves)} moved between the two sides", Tone.DIM),)
    return Detail("features between the two sides", notes, (Table(columns, rows),))


def _events(s: ExplainSnapshot) -> Detail | None:
    onset = s.onset.words if s.onset is not None else ""
    if not s.events and not onset:
        return None
    columns = (Column("at"), Column("what", flexible=True), Column("near the change", priority=1))
    rows = tuple(
        Row(
            f"event/{e.at:%Y-%m-%dT%H:%M}/{e.text}",
            (plain(moment(e.at)), plain(clean(e.text, 200)), plain("yes" if e.near else "")),
        )
        for e in s.events
    )
    notes = (plain(f"{s.figure} over both windows: {onset}"),) if onset else ()
    return Detail("when, and what else happened", notes, (Table(columns, rows, "nothing else"),))
