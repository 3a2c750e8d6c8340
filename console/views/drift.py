"""The drift pane: features ranked, both distributions in the detail."""

from __future__ import annotations

from console.analysis.against import Side
from console.analysis.distances import DriftState
from console.analysis.drift import DriftRow, DriftSnapshot, Role
from console.analysis.drift_effects import Cause
from console.analysis.estimate import State
from console.views.drift_record import document
from console.views.model import (
    Bars,
    Cell,
    Column,
    Detail,
    Line,
    Row,
    Series,
    Table,
    TimePlot,
    Tone,
    View,
)
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


def view(s: DriftSnapshot) -> View:
    """Features as rows, the most drifted first; PSI of the worst over time."""
    columns = (
        Column("feature", flexible=True),
        Column("version", priority=1),
        Column("state"),
        Column("PSI", right=True),
        Column("noise", right=True, priority=2),
        Column("effect", right=True, priority=3),
        Column("cause", priority=4),
        Column("since", priority=3),
        Column("JS", right=True, priority=6),
        Column("KS", right=True, priority=7),
        Column("W1", right=True, priority=8),
        Column("null", right=True, priority=1),
        Column("unseen", right=True, priority=1),
        Column("n", right=True, priority=5),
    )
    rows, details = [], []
    for r in s.rows:
        key = f"{r.version}/{r.feature}"
        rows.append(Row(key, _cells(r)))
        details.append((key, _detail(s, r)))
    worst = [r for r in s.rows if r.series][:3]
    return View(
        "Drift",
        finding_cells(s.findings, unknown=_unknown(s)),
        Table(columns, tuple(rows), "no predictions in this window"),
        (_plot(s, worst),) if worst else (),
        tuple(details),
        _notes(s),
    )


def _notes(s: DriftSnapshot) -> tuple[Cell, ...]:
    """What is compared with what, and what could not be."""
    own = s.ask.against.side is Side.REFERENCE
    against = "the version's own reference" if own else s.ask.against.words
    found = []
    if own and not s.has_reference:
        text = "no reference: give [[deployment.reference]] in the configuration, or --against week"
        found.append(plain(text, Tone.UNKNOWN))
    elif s.without:
        names = ", ".join(name(v, 20) for v in s.without[:4])
        what = "no reference" if own else f"no rows to compare with in {s.ask.against.words}"
        found.append(plain(f"{names}: {what}, so drift cannot be told", Tone.UNKNOWN))
    texts = (
        f"PSI against {against}; noise: what samples this size show without drift (95%)",
        "effect: the means' distance in standard deviations (sd), of categories Cramer's V",
    )
    return (*found, *(plain(text, Tone.DIM) for text in texts))


def _unknown(s: DriftSnapshot) -> str:
    if not s.rows:
        return NO_ROWS
    if all(r.state in (DriftState.CANNOT_TELL, DriftState.TOO_FEW) for r in s.rows):
        own = s.ask.against.side is Side.REFERENCE
        other = "no reference" if own else f"none in {s.ask.against.words}"
        return f"too few rows or {other}: drift cannot be told"
    return ""


def _cells(r: DriftRow) -> tuple[Cell, ...]:
    tone = DRIFT_TONES[r.state]
    value = r.metrics["psi"]
    unseen = r.metrics["unseen_rate"]
    nulls = r.metrics["null_rate"]
    return (
        plain(_title(r), tone if r.state is DriftState.DRIFTED else Tone.PLAIN),
        plain(name(r.version, 20)),
        plain(_WORDS[r.state], tone),
        estimate_cell(value, tone=tone if r.state is DriftState.DRIFTED else None),
        plain("" if r.noise_q95 is None else f"<{number(r.noise_q95)}", Tone.DIM, r.noise_q95),
        _effect(r),
        plain(_main_cause(r)),
        plain(_since(r), sort=r.since.timestamp() if r.since else None),
        estimate_cell(r.metrics["js"]),
        estimate_cell(r.metrics["ks"]) if r.metrics["ks"].value is not None else plain(""),
        estimate_cell(r.metrics["wasserstein"])
        if r.metrics["wasserstein"].value is not None
        else plain(""),
        _rate(nulls.value, r.null_rate_reference),
        _rate(unseen.value, 0.0) if unseen.state is not State.CANNOT_TELL else plain(""),
        plain(count(r.n), sort=r.n),
    )


def _title(r: DriftRow) -> str:
    """The column's name; outputs are marked."""
    return f"{name(r.feature, 40)} (output)" if r.role is Role.OUTPUT else name(r.feature, 40)


def _effect(r: DriftRow) -> Cell:
    moved, association = r.metrics["smd"], r.metrics["cramers_v"]
    if moved.value is not None:
        sign = "+" if moved.value > 0 else ""
        return plain(f"{sign}{number(moved.value)} sd", sort=abs(moved.value))
    if association.value is not None:
        return plain(f"V {number(association.value)}", sort=association.value)
    return plain("")


_CAUSE_WORDS = {
    Cause.MISSING: "missing values",
    Cause.UNSEEN: "values not in the reference",
    Cause.SHAPE: "another spread of ordinary values",
}


def _main_cause(r: DriftRow) -> str:
    main = r.causes.main if r.causes is not None else None
    if main is None or r.state not in (DriftState.DRIFTED, DriftState.SMALL):
        return ""
    return f"{percent(main[1])} {main[0].value}"


def _since(r: DriftRow) -> str:
    """The day, or that it was so from the first step."""
    if r.since is None:
        return ""
    if r.since == r.series[0][0]:
        return "start"
    return r.since.strftime("%d %b" if r.since.hour == 0 else "%d %b %H:%M")


def _rate(value: float | None, usual: float | None) -> Cell:
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
    beside = "reference" if s.ask.against.side is Side.REFERENCE else "compared"
    groups = [("window", d.current, Tone.ACCENT)]
    if r.n_reference:
        groups.insert(0, (beside, d.reference, Tone.DIM))
    bars = Bars(
        f"{name(r.feature)}: share of rows by the reference's deciles"
        if r.kind.value == "numeric"
        else f"{name(r.feature)}: share of rows by category",
        tuple(name(x, 24) for x in d.labels),
        tuple(groups),
    )
    notes = [
        plain(_verdict(s, r), DRIFT_TONES[r.state]),
        plain(f"{count(r.n)} rows in the window, {count(r.n_reference)} in {s.ask.against.words}"),
        *(plain(text) for text in (_cause_words(r), _since_words(r), _week_words(r)) if text),
    ]
    if r.reference_range is not None and r.lowest is not None and r.highest is not None:
        low, high = r.reference_range
        notes.append(
            plain(
                f"window {number(r.lowest)} to {number(r.highest)}, "
                f"reference {number(low)} to {number(high)}"
            )
        )
    rows = tuple(_metric_row(r, metric) for metric in r.metrics)
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
        f"{_title(r)} of {name(r.version)}",
        tuple(notes),
        (
            Table(
                (
                    Column("figure"),
                    Column("value", right=True),
                    Column("noise", right=True),
                    Column("95% of noise", right=True),
                    Column("interval"),
                ),
                rows,
            ),
            Table(
                (
                    Column("bin", flexible=True),
                    Column(beside, right=True),
                    Column("window", right=True),
                ),
                bins,
            ),
        ),
        (bars, _plot(s, [r])) if r.series else (bars,),
    )


def _metric_row(r: DriftRow, metric: str) -> Row:
    e, noise = r.metrics[metric], r.noise.get(metric)
    return Row(
        metric,
        (
            plain(metric),
            estimate_cell(e),
            plain("" if noise is None else number(noise.expected), Tone.DIM),
            plain("" if noise is None else number(noise.q95), Tone.DIM),
            plain(interval(e), Tone.DIM),
        ),
    )


def _verdict(s: DriftSnapshot, r: DriftRow) -> str:
    words, psi = _WORDS[r.state], r.metrics["psi"].value
    if r.state is DriftState.CANNOT_TELL:
        own = s.ask.against.side is Side.REFERENCE
        none = "the version has no reference" if own else f"no rows in {s.ask.against.words}"
        return f"{words}: {none if r.n else 'no rows in the window'}"
    text = f"{words}: PSI {number(psi)}, without drift samples of this size stay below "
    text += number(r.noise_q95)
    if r.p_adjusted is not None and r.state is not DriftState.TOO_FEW:
        of = sum(share.n for share in s.shares if share.version == r.version)
        p = "below 0.001" if r.p_adjusted < 0.001 else number(r.p_adjusted)
        text += f"; p {p}, corrected for the {of} columns of the version"
    return text


def _cause_words(r: DriftRow) -> str:
    """What the PSI is made of, where it says something."""
    main = r.causes.main if r.causes is not None else None
    if main is None or r.state not in (DriftState.DRIFTED, DriftState.SMALL):
        return ""
    return f"{percent(main[1])} of the PSI comes from {_CAUSE_WORDS[main[0]]}"


def _since_words(r: DriftRow) -> str:
    if r.state is not DriftState.DRIFTED or len(r.series) < 2:
        return ""
    if r.since is None:
        return "not above its noise at the end of the window, or too few rows there to tell"
    if r.since == r.series[0][0]:
        return "so in the whole window, as far as single steps can tell"
    return f"so since {_since(r)}, as far as single steps can tell"


def _week_words(r: DriftRow) -> str:
    """Whether it is new, or was so before."""
    week = r.week
    if week is None or week.psi is None:
        return ""
    against = "the same hours of the week before"
    if week.state is DriftState.TOO_FEW:
        return ""
    if week.state is DriftState.DRIFTED:
        return f"new: it also differs from {against} (PSI {number(week.psi)})"
    how = "no" if week.state is DriftState.OK else "little"
    return f"not new: {how} change against {against} (PSI {number(week.psi)})"


def _moved(ref: float | None, cur: float | None) -> bool:
    return ref is not None and cur is not None and abs(ref - cur) > 0.1
