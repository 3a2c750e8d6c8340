"""The data pane: is what we look at fresh, whole and readable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from console.analysis.checks import CheckState
from console.analysis.data import DataSnapshot, NullRow
from console.views.data_details import (
    NOTABLE,
    check_detail,
    coverage_detail,
    coverage_plot,
    excess,
    null_detail,
    quarantine_detail,
    schema_detail,
    share,
    source_detail,
)
from console.views.data_record import document
from console.views.model import Column, Detail, Row, Table, Tone, View
from console.views.words import age, count, finding_cells, moment, name, percent, plain

__all__ = ["document", "view"]


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing to know about the data."""

    key: str
    what: str
    value: str
    note: str
    tone: Tone = Tone.PLAIN
    detail: Detail | None = None


def view(s: DataSnapshot) -> View:
    """One row per thing to know about the data; coverage over time as a plot."""
    parts = (_failing, _freshness, _checks, _labels, _quality, _sources, _retained)
    items = [item for part in parts for item in part(s)]
    columns = (Column("what"), Column("now"), Column("note", flexible=True))
    rows = tuple(
        Row(i.key, (plain(i.what), plain(i.value, i.tone), plain(i.note, Tone.DIM))) for i in items
    )
    details = tuple((i.key, i.detail) for i in items if i.detail is not None)
    plots = (coverage_plot(s),)
    return View("Data", finding_cells(s.findings), Table(columns, rows), plots, details)


def _failing(s: DataSnapshot) -> Iterator[_Item]:
    for f in s.failing:
        now = f"{f.n_failures} times since {f.since:%d %b %H:%M}"
        following = f"; next try {f.next_try:%H:%M:%S}" if f.next_try is not None else ""
        yield _Item(
            f"failing:{f.kind}:{f.source}",
            f"{f.kind} fail",
            now,
            f"{name(f.source, 60)}: {name(f.problem, 300)}{following}",
            Tone.BAD,
        )


def _freshness(s: DataSnapshot) -> Iterator[_Item]:
    old = age(s.age) + " ago" if s.age is not None else "none"
    tone = Tone.BAD if s.is_stale else Tone.GOOD
    if s.ask.deployment.timed:
        yield _Item("fresh", "newest prediction", old, moment(s.last_prediction), tone)
    tone = Tone.BAD if s.n == 0 else Tone.PLAIN
    within = "in this window" if s.ask.deployment.timed else "the whole log: it says no times"
    yield _Item("volume", "predictions", count(s.n), within, tone)
    if not s.ask.deployment.id:
        yield _Item("ids", "ids", "none", "a repeated row cannot be told from another one")
    if s.unanswered or s.unasked:
        alone = f"{count(s.unasked)} responses without a request"
        yield _Item("halves", "requests without response", count(s.unanswered), alone, Tone.WARN)


def _labels(s: DataSnapshot) -> Iterator[_Item]:
    waiting = f"{count(s.waiting)} wait for their prediction"
    newest = moment(s.last_label) if s.ask.deployment.timed else "no times"
    yield _Item("label", "newest label", newest, waiting)
    usual = f"usually {percent(s.maturity.usual, 1)}"
    yield _Item("coverage", "label coverage", share(s.covered), usual, detail=coverage_detail(s))
    delays = ", ".join(
        f"{k.removeprefix('delay_')} {(e.value or 0) / 3600:.1f} h" for k, e in s.delays.items()
    )
    if s.ask.deployment.labels is not None and s.ask.deployment.labels.at_once:
        yield _Item("delay", "label delay", "not logged", "labels say no time: known at once")
        return
    yield _Item("delay", "label delay", delays or "no labels", "of rows old enough")


def _quality(s: DataSnapshot) -> Iterator[_Item]:
    bad = sum(q.n for q in s.quarantine)
    tone = Tone.WARN if bad else Tone.GOOD
    yield _Item("quarantine", "quarantine", count(bad), _reasons(s), tone, quarantine_detail(s))
    worst: dict[str, NullRow] = {}
    for null in sorted((n for n in s.nulls if n.rate.value), key=excess, reverse=True):
        worst.setdefault(null.feature, null)
    named = ", ".join(f"{name(f, 20)} {percent(n.rate.value)}" for f, n in [*worst.items()][:3])
    tone = Tone.WARN if any(excess(n) > NOTABLE for n in worst.values()) else Tone.PLAIN
    many = f"in {len(worst)} features" if worst else "none"
    yield _Item("nulls", "missing values", many, named, tone, null_detail(s))
    changes = ", ".join(f"{name(c.column, 20)} {c.change}" for c in s.schema_changes[:3])
    yield _Item(
        "schema", "schema changes", count(len(s.schema_changes)), changes, detail=schema_detail(s)
    )


def _checks(s: DataSnapshot) -> Iterator[_Item]:
    """The rules of data quality, where there are any."""
    q = s.quality
    if not (q.checks or q.batches):
        return
    bad = len(q.failing)
    named = ", ".join(f"{name(c.subject, 20)} {c.rule}" for c in q.failing[:3])
    more = f" and {bad - 3} more" if bad > 3 else ""
    flagged = f"; {count(len(q.flagged))} of {count(q.n_hours)} hours flagged" if q.flagged else ""
    batches = f"; batches that failed: {count(len(q.batches))}" if q.batches else ""
    open_ = sum(c.state is CheckState.CANNOT_TELL for c in q.checks)
    what = f"{count(bad)} of {count(len(q.checks))} fail"
    tone = Tone.WARN if bad or q.batches else Tone.GOOD
    if not bad and open_:
        what, tone = f"{count(open_)} cannot be told", Tone.WARN if q.batches else Tone.UNKNOWN
    elif not bad:
        what = f"{count(len(q.checks))} hold"
    note = (named + more + flagged + batches).removeprefix("; ")
    yield _Item("checks", "checks", what, note, tone, check_detail(s))


def _sources(s: DataSnapshot) -> Iterator[_Item]:
    for kind in dict.fromkeys(r.kind for r in s.sources):
        mine = [r for r in s.sources if r.kind == kind]
        new, repeated = sum(r.n_new for r in mine), sum(r.n_duplicate for r in mine)
        note = f"{count(new)} rows, {count(repeated)} repeated"
        detail = source_detail(s, kind)
        yield _Item(f"source:{kind}", f"{kind} sources", count(len(mine)), note, detail=detail)
    for metric, version, n, mean in s.system_metrics:
        note = f"mean of {count(n)} samples {name(version)}"
        yield _Item(f"metric:{metric}:{version}", name(metric), f"{mean:.4g}", note)


def _reasons(s: DataSnapshot) -> str:
    return (
        ", ".join(f"{name(q.reason, 30)} {count(q.n)}" for q in s.quarantine[:3])
        or "every record could be read"
    )


def _retained(s: DataSnapshot) -> Iterator[_Item]:
    for row in s.retained:
        note = f"{count(row.n)} rows: {row.sentence}" if row.n else row.sentence
        kept = f"from {row.before:%Y-%m-%d} on"
        yield _Item(f"retained:{row.what}", f"kept: {name(row.what)}", kept, note)
