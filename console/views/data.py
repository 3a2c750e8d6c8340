"""The data pane: is what we look at fresh, whole and readable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from console.analysis.data import DataSnapshot, NullRow
from console.analysis.estimate import Estimate
from console.views import records
from console.views.model import Column, Detail, Line, Row, Series, Table, TimePlot, Tone, View
from console.views.words import age, count, finding_cells, moment, name, percent, plain

__all__ = ["document", "view"]

_NOTABLE = 0.05  # share of rows that lost a value, beyond the reference's, from which it is marked


def document(s: DataSnapshot) -> dict[str, Any]:
    """The JSON of the pane: coverage by step as rows, the rest beside them."""
    rows = [
        {
            "version": None,
            "segment": None,
            "value": None,
            "start": records.stamp(c.start),
            "end": records.stamp(c.end),
            "n": c.n,
            "n_labelled": c.n_labelled,
            "metrics": {"label_coverage": records.estimate(c.coverage)},
        }
        for c in s.coverage
    ]
    return records.document(
        "data",
        s.ask,
        rows,
        s.findings,
        last_prediction=records.stamp(s.last_prediction),
        last_label=records.stamp(s.last_label),
        age_seconds=s.age.total_seconds() if s.age is not None else None,
        label_coverage=records.estimate(s.covered),
        usual_label_coverage=s.maturity.usual,
        label_delay_seconds={k: e.value for k, e in s.delays.items()},
        waiting_labels=s.waiting,
        requests_without_response=s.unanswered,
        responses_without_request=s.unasked,
        sources=[
            {
                "kind": r.kind,
                "source": PurePath(r.source).name,
                "n_read": r.n_read,
                "n_new": r.n_new,
                "n_duplicate": r.n_duplicate,
                "n_waiting": r.n_waiting,
                "n_quarantined": r.n_quarantined,
            }
            for r in s.sources
        ],
        quarantine=[
            {
                "kind": q.kind,
                "reason": q.reason,
                "n": q.n,
                "n_recent": q.n_recent,
                "source": PurePath(q.source).name,
                "position": q.position,
            }
            for q in s.quarantine
        ],
        quarantine_records=[
            {
                "kind": r.kind,
                "reason": r.reason,
                "detail": r.detail,
                "source": PurePath(r.source).name,
                "position": r.position,
                "content": r.content,
            }
            for r in s.records
        ],
        schema_changes=[
            {"kind": c.kind, "column": c.column, "change": c.change, "n": c.n}
            for c in s.schema_changes
        ],
        null_rates=[
            {
                "version": n.version,
                "feature": n.feature,
                "rate": records.estimate(n.rate),
                "reference": n.reference,
            }
            for n in s.nulls
        ],
    )


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
    items = (*_freshness(s), *_labels(s), *_quality(s), *_sources(s))
    columns = (Column("what"), Column("now"), Column("note", flexible=True))
    rows = tuple(
        Row(i.key, (plain(i.what), plain(i.value, i.tone), plain(i.note, Tone.DIM))) for i in items
    )
    details = tuple((i.key, i.detail) for i in items if i.detail is not None)
    plots = (_coverage_plot(s),)
    return View("Data", finding_cells(s.findings), Table(columns, rows), plots, details)


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
    yield _Item("coverage", "label coverage", _share(s.covered), usual, detail=_coverage_detail(s))
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
    yield _Item("quarantine", "quarantine", count(bad), _reasons(s), tone, _quarantine_detail(s))
    worst: dict[str, NullRow] = {}
    for null in sorted((n for n in s.nulls if n.rate.value), key=_excess, reverse=True):
        worst.setdefault(null.feature, null)
    named = ", ".join(f"{name(f, 20)} {percent(n.rate.value)}" for f, n in [*worst.items()][:3])
    tone = Tone.WARN if any(_excess(n) > _NOTABLE for n in worst.values()) else Tone.PLAIN
    many = f"in {len(worst)} features" if worst else "none"
    yield _Item("nulls", "missing values", many, named, tone, _null_detail(s))
    changes = ", ".join(f"{name(c.column, 20)} {c.change}" for c in s.schema_changes[:3])
    yield _Item(
        "schema", "schema changes", count(len(s.schema_changes)), changes, detail=_schema_detail(s)
    )


def _sources(s: DataSnapshot) -> Iterator[_Item]:
    for kind in dict.fromkeys(r.kind for r in s.sources):
        mine = [r for r in s.sources if r.kind == kind]
        new, repeated = sum(r.n_new for r in mine), sum(r.n_duplicate for r in mine)
        note = f"{count(new)} rows, {count(repeated)} repeated"
        detail = _source_detail(s, kind)
        yield _Item(f"source:{kind}", f"{kind} files", count(len(mine)), note, detail=detail)
    for metric, version, n, mean in s.system_metrics:
        note = f"mean of {count(n)} samples {name(version)}"
        yield _Item(f"metric:{metric}:{version}", name(metric), f"{mean:.4g}", note)


def _share(e: Estimate) -> str:
    return percent(e.value, 1) if e.value is not None else "no predictions"


def _excess(n: NullRow) -> float:
    return (n.rate.value or 0.0) - (n.reference or 0.0)


def _reasons(s: DataSnapshot) -> str:
    return (
        ", ".join(f"{name(q.reason, 30)} {count(q.n)}" for q in s.quarantine[:3])
        or "every record could be read"
    )


def _coverage_plot(s: DataSnapshot) -> TimePlot:
    lines = (Line("usual", s.maturity.usual),) if s.maturity.usual is not None else ()
    return TimePlot(
        f"share of predictions with a label, by {s.ask.step.value}",
        s.ask.start,
        s.ask.end,
        (
            Series(
                "labelled",
                tuple(c.start for c in s.coverage),
                tuple(c.coverage.value for c in s.coverage),
            ),
        ),
        lines,
        y_min=0.0,
        y_max=1.0,
        percent=True,
    )


def _coverage_detail(s: DataSnapshot) -> Detail:
    rows = tuple(
        Row(
            str(c.start),
            (
                plain(moment(c.start)),
                plain(count(c.n), sort=c.n),
                plain(_share(c.coverage), sort=c.coverage.value),
            ),
        )
        for c in s.coverage
    )
    columns = (Column("from"), Column("predictions", right=True), Column("labelled", right=True))
    return Detail("label coverage", (), (Table(columns, rows),), (_coverage_plot(s),))


def _quarantine_detail(s: DataSnapshot) -> Detail:
    rows = tuple(
        Row(
            f"{q.kind}:{q.reason}",
            (
                plain(q.kind),
                plain(name(q.reason)),
                plain(count(q.n), sort=q.n),
                plain(name(PurePath(q.source).name, 40)),
                plain(count(q.position)),
            ),
        )
        for q in s.quarantine
    )
    columns = (
        Column("kind"),
        Column("reason", flexible=True),
        Column("records", right=True),
        Column("first in"),
        Column("record", right=True),
    )
    reasons = Table(columns, rows, "every record could be read")
    if not s.records:
        return Detail("records that could not be used", (), (reasons,))
    newest = tuple(
        Row(
            f"{r.source}:{r.position}:{r.reason}",
            (
                plain(name(PurePath(r.source).name, 30)),
                plain(count(r.position), sort=r.position),
                plain(name(f"{r.reason}: {r.detail}" if r.detail else r.reason, 36)),
                plain(name(r.content, 300), Tone.DIM),
            ),
        )
        for r in s.records
    )
    shown = (
        Column("source"),
        Column("record", right=True),
        Column("why"),
        Column("content", flexible=True),
    )
    notes = (plain(f"the newest {count(len(newest))} of {count(sum(q.n for q in s.quarantine))}"),)
    return Detail("records that could not be used", notes, (reasons, Table(shown, newest)))


def _null_detail(s: DataSnapshot) -> Detail:
    rows = tuple(
        Row(
            f"{n.version}/{n.feature}",
            (
                plain(name(n.feature)),
                plain(name(n.version, 20)),
                plain(
                    percent(n.rate.value, 1),
                    Tone.WARN if _excess(n) > _NOTABLE else Tone.PLAIN,
                    n.rate.value,
                ),
                plain(percent(n.reference, 1)),
            ),
        )
        for n in sorted(s.nulls, key=lambda n: -_excess(n))
    )
    columns = (
        Column("feature", flexible=True),
        Column("version"),
        Column("missing", right=True),
        Column("reference", right=True),
    )
    return Detail("missing values per feature", (), (Table(columns, rows),))


def _schema_detail(s: DataSnapshot) -> Detail:
    rows = tuple(
        Row(
            f"{c.kind}/{c.column}/{c.change}",
            (
                plain(name(c.column)),
                plain(c.kind),
                plain(c.change),
                plain(count(c.n) if c.n else ""),
                plain(name(c.example, 40)),
            ),
        )
        for c in s.schema_changes
    )
    columns = (
        Column("column", flexible=True),
        Column("in"),
        Column("change"),
        Column("values", right=True),
        Column("example"),
    )
    return Detail("columns that differ from the configuration", (), (Table(columns, rows, "none"),))


def _source_detail(s: DataSnapshot, kind: str) -> Detail:
    rows = tuple(
        Row(
            r.source,
            (
                plain(name(PurePath(r.source).name, 40)),
                plain(count(r.n_read), sort=r.n_read),
                plain(count(r.n_new), sort=r.n_new),
                plain(count(r.n_duplicate), sort=r.n_duplicate),
                plain(
                    count(r.n_quarantined),
                    Tone.WARN if r.n_quarantined else Tone.PLAIN,
                    r.n_quarantined,
                ),
            ),
        )
        for r in s.sources
        if r.kind == kind
    )
    columns = (
        Column("file", flexible=True),
        Column("read", right=True),
        Column("new", right=True),
        Column("repeated", right=True),
        Column("quarantined", right=True),
    )
    return Detail(f"{kind} files", (), (Table(columns, rows),))
