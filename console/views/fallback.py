"""The preview of a fallback: would it have been better, in figures and in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from console.analysis.comparison import Verdict
from console.analysis.costs import COST
from console.analysis.estimate import Estimate
from console.analysis.fallback_preview import (
    PreviewRow,
    PreviewSnapshot,
    TargetKind,
    TargetPreview,
)
from console.views import records
from console.views.model import Cell, Column, Detail, Row, Table, Tone, View
from console.views.versions import VERDICTS
from console.views.words import (
    estimate_cell,
    interval,
    looks_words,
    name,
    number,
    plain,
)

__all__ = ["document", "effect_of", "sentences", "view"]

_TONES = {
    Verdict.BETTER: Tone.GOOD,
    Verdict.WORSE: Tone.BAD,
    Verdict.NO_WORSE: Tone.PLAIN,
    Verdict.CANNOT_TELL: Tone.UNKNOWN,
}

_KINDS = {
    TargetKind.LOGGED: "the logged fallback",
    TargetKind.VERSION: "a version",
    TargetKind.STATIC: "a static answer",
    TargetKind.UNKNOWN: "unknown",
}


def view(s: PreviewSnapshot) -> View:
    """Targets and their figures as rows, the verdicts on the headline."""
    columns = (
        Column("target", flexible=True),
        Column("figure"),
        Column("fallback", right=True),
        Column("served", right=True),
        Column("difference", right=True),
        Column("95% interval", priority=1),
        Column("verdict"),
    )
    rows: list[Row] = []
    details: list[tuple[str, Detail]] = []
    for t in s.targets:
        label = name(t.target.arm, 20)
        notes = tuple(plain(text) for text in sentences(s, t))
        for row in t.rows:
            key = f"{t.target.arm}/{row.metric}"
            rows.append(Row(key, (plain(label, Tone.ACCENT, t.target.arm), *_cells(row))))
            details.append((key, Detail(name(t.target.arm), (plain(_what(t)), *notes))))
            label = ""
    empty = "no target has figures" if s.targets else "no fallback is configured"
    told = [row.difference for t in s.targets for row in t.rows]
    looks = (plain(looks_words(told), Tone.DIM),) if told else ()
    return View(
        "Fallback preview", _headline(s), Table(columns, tuple(rows), empty), (), tuple(details),
        looks,
    )  # fmt: skip


def _headline(s: PreviewSnapshot) -> tuple[Cell, ...]:
    said: list[Cell] = []
    for t in s.targets:
        tone = _TONES[t.verdict]
        for text in sentences(s, t):
            said.append(plain(text, tone))
            tone = Tone.PLAIN
    return tuple(said) or (plain("no fallback is configured", Tone.UNKNOWN),)


def _what(t: TargetPreview) -> str:
    of = f": {name(t.target.alike)}" if t.target.alike != t.target.arm else ""
    return f"{name(t.target.arm)} is {_KINDS[t.kind]}{of}"


def _cells(row: PreviewRow) -> tuple[Cell, ...]:
    e = row.difference
    sign = "+" if e.value is not None and e.value > 0 else ""
    return (
        plain(row.metric),
        estimate_cell(row.fallback),
        estimate_cell(row.served, tone=Tone.DIM),
        plain("-" if e.value is None else sign + number(e.value), _TONES[row.verdict], e.value),
        plain(interval(e), Tone.DIM),
        plain(VERDICTS[row.verdict], _TONES[row.verdict]),
    )


def document(s: PreviewSnapshot) -> dict[str, Any]:
    """The JSON of `fallback preview`."""
    return {
        "deployment": s.ask.deployment.name,
        "task": s.ask.deployment.task.value,
        "window": {"start": records.stamp(s.ask.start), "end": records.stamp(s.ask.end)},
        "as_of": records.stamp(s.ask.as_of),
        "metric": s.metric,
        "margin": s.margin,
        "provisional": s.provisional,
        "targets": [_target(s, t) for t in s.targets],
    }


def _target(s: PreviewSnapshot, t: TargetPreview) -> dict[str, Any]:
    span = None
    if t.span is not None:
        span = {"start": records.stamp(t.span[0]), "end": records.stamp(t.span[1])}
    return {
        "arm": t.target.arm,
        "alike": t.target.alike,
        "kind": t.kind.value,
        "verdict": t.verdict.value,
        "n": t.n,
        "same_rows": t.same_rows,
        "span": span,
        "text": list(sentences(s, t)),
        "metrics": {r.metric: records.estimate(r.fallback) for r in t.rows},
        "served_metrics": {r.metric: records.estimate(r.served) for r in t.rows},
        "differences": {
            r.metric: {**records.estimate(r.difference), "verdict": r.verdict.value} for r in t.rows
        },
        "latency": records.metrics(t.latency),
        "served_latency": records.metrics(t.served_latency),
        "problem": t.problem or None,
    }


def effect_of(s: PreviewSnapshot, arm: str) -> tuple[str, ...]:
    """What falling back to an arm would have meant, a sentence each."""
    return tuple(text for t in s.targets if t.target.arm == arm for text in sentences(s, t))


def sentences(s: PreviewSnapshot, t: TargetPreview) -> Iterator[str]:
    """The verdict, then cost, latency, and what one must know."""
    if t.problem:
        yield f"{name(t.target.arm)}: {name(t.problem, 300)}"
    if t.rows:
        yield _verdict_words(s, t)
        cost = t.row(COST)
        if cost is not None and s.metric != COST:
            yield (
                f"cost per 1,000: {_figure(cost.fallback)} against {_figure(cost.served)}"
                f" ({_WORDS[cost.verdict]})"
            )
    mine, served = t.latency.get("latency_p95"), t.served_latency.get("latency_p95")
    if mine is not None and mine.value is not None:
        beside = f" against {served.value:,.0f}" if served is not None and served.value else ""
        yield f"p95 latency: {mine.value:,.0f} ms{beside}"
    elif t.kind is not TargetKind.UNKNOWN:
        logs = "rows of the logged fallback do" if t.kind is TargetKind.LOGGED else "logs do"
        yield f"the {logs} not say how long {name(t.target.arm)} takes"
    if s.provisional and t.rows:
        yield "labels of this window are still coming: this is of those that have come"


_WORDS = {
    Verdict.BETTER: "better",
    Verdict.WORSE: "worse",
    Verdict.NO_WORSE: "no worse by more than the margin",
    Verdict.CANNOT_TELL: "cannot be told apart",
}


def _verdict_words(s: PreviewSnapshot, t: TargetPreview) -> str:
    first = t.rows[0]
    figures_ = f"{first.metric} {_figure(first.fallback)} against {_figure(first.served)}"
    where = f"on the same {t.n:,} labelled rows"
    if not t.same_rows:
        where = f"on {t.n:,} labelled rows of its own"
        if t.span is not None:
            begin, end = t.span
            where += f" of another time ({begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC)"
    match t.verdict:
        case Verdict.BETTER:
            text = f"{name(t.target.arm)} would have been better"
        case Verdict.WORSE:
            text = f"{name(t.target.arm)} would have been worse"
        case Verdict.NO_WORSE:
            text = f"{name(t.target.arm)} would have been no worse by more than {s.margin:g}"
        case Verdict.CANNOT_TELL:
            text = f"whether {name(t.target.arm)} would have been better cannot be told"
    return f"{text}: {figures_} {where}"


def _figure(e: Estimate) -> str:
    if e.value is None:
        return f"nothing ({e.state.value.replace('_', ' ')})"
    ends = "" if e.low is None or e.high is None else f" [{e.low:.3g}, {e.high:.3g}]"
    return f"{e.value:.3g}{ends}"
