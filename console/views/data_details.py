"""What stands behind the lines of the data pane."""

from __future__ import annotations

from pathlib import PurePath

from console.analysis.checks import Check, CheckState
from console.analysis.data import DataSnapshot, NullRow
from console.analysis.estimate import Estimate
from console.views.model import Column, Detail, Line, Row, Series, Table, TimePlot, Tone
from console.views.words import age, count, moment, name, percent, plain

__all__ = [
    "NOTABLE",
    "check_detail",
    "coverage_detail",
    "coverage_plot",
    "excess",
    "null_detail",
    "quarantine_detail",
    "schema_detail",
    "share",
    "source_detail",
]

NOTABLE = 0.05
"""Share of rows that lost a value, beyond the reference's, from which it is marked."""


def share(e: Estimate) -> str:
    """A share in words, or that there are no predictions."""
    return percent(e.value, 1) if e.value is not None else "no predictions"


def excess(n: NullRow) -> float:
    """How much more of a feature is missing than in the reference."""
    return (n.rate.value or 0.0) - (n.reference or 0.0)


def coverage_plot(s: DataSnapshot) -> TimePlot:
    """Label coverage over time, beside the usual one."""
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


def coverage_detail(s: DataSnapshot) -> Detail:
    """Label coverage by step."""
    rows = tuple(
        Row(
            str(c.start),
            (
                plain(moment(c.start)),
                plain(count(c.n), sort=c.n),
                plain(share(c.coverage), sort=c.coverage.value),
            ),
        )
        for c in s.coverage
    )
    columns = (Column("from"), Column("predictions", right=True), Column("labelled", right=True))
    return Detail("label coverage", (), (Table(columns, rows),), (coverage_plot(s),))


def quarantine_detail(s: DataSnapshot) -> Detail:
    """Records that could not be used: by reason, and the newest ones."""
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


def null_detail(s: DataSnapshot) -> Detail:
    """Missing values per feature and version."""
    rows = tuple(
        Row(
            f"{n.version}/{n.feature}",
            (
                plain(name(n.feature)),
                plain(name(n.version, 20)),
                plain(
                    percent(n.rate.value, 1),
                    Tone.WARN if excess(n) > NOTABLE else Tone.PLAIN,
                    n.rate.value,
                ),
                plain(percent(n.reference, 1)),
            ),
        )
        for n in sorted(s.nulls, key=lambda n: -excess(n))
    )
    columns = (
        Column("feature", flexible=True),
        Column("version"),
        Column("missing", right=True),
        Column("reference", right=True),
    )
    return Detail("missing values per feature", (), (Table(columns, rows),))


def schema_detail(s: DataSnapshot) -> Detail:
    """Columns that differ from the configuration."""
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


def source_detail(s: DataSnapshot, kind: str) -> Detail:
    """What each file of a kind has brought."""
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


def check_detail(s: DataSnapshot) -> Detail:
    """Every rule of data quality and what came of it."""
    rows = tuple(
        Row(
            f"{c.rule}:{c.subject}",
            (
                plain(name(c.subject), _TONES[c.state]),
                plain(c.rule),
                plain(_STATES[c.state], _TONES[c.state]),
                plain(_how_many(c), sort=c.share.value),
                plain(name(c.allowed, 60)),
                plain(_since(c)),
                plain(c.action.value),
            ),
        )
        for c in s.quality.checks
    )
    columns = (
        Column("subject", flexible=True),
        Column("rule"),
        Column("state"),
        Column("failed", right=True),
        Column("allowed"),
        Column("since", priority=1),
        Column("action", priority=2),
    )
    spans = [f"{moment(a)} to {moment(b, year=False)}" for a, b in s.quality.spans[-5:]]
    notes = [f"flagged hours, the newest last: {', '.join(spans)}"] if spans else []
    notes += [
        f"batch of {name(PurePath(b.source).name, 40)}: {count(b.n_failed)} of {count(b.n)} "
        "records went to quarantine"
        for b in s.quality.batches[:5]
    ]
    empty = "no rules: give [deployment.quality] in the configuration"
    tables = (Table(columns, rows, empty),)
    return Detail("checks of data quality", tuple(plain(n) for n in notes), tables)


_STATES = {
    CheckState.OK: "ok",
    CheckState.FAILING: "failing",
    CheckState.CANNOT_TELL: "cannot tell",
}
_TONES = {
    CheckState.OK: Tone.PLAIN,
    CheckState.FAILING: Tone.WARN,
    CheckState.CANNOT_TELL: Tone.UNKNOWN,
}


def _how_many(c: Check) -> str:
    if c.rule == "freshness":
        return age(c.age)
    if c.share.value is None:
        return "-"
    return f"{count(c.n_failed)} ({percent(c.share.value, 1)})"


def _since(c: Check) -> str:
    if c.run is None:
        return ""
    first = moment(c.run.start, year=False)
    return first if c.run.lasting else f"{first} to {moment(c.run.end, year=False)}"
