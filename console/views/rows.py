"""Raw predictions behind a figure; enter opens one prediction's page."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Any

from collectors.contract import Task
from collectors.row_kinds import RowKind
from console.analysis.raw_rows import FeatureValue, LabelStatement, RawRow, RowsSnapshot
from console.views import records
from console.views.model import Cell, Column, Detail, Row, Table, Tone, View
from console.views.words import count, moment, name, number, plain

__all__ = ["document", "view"]

_KINDS = {
    RowKind.WRONG: "wrong answers",
    RowKind.FALSE_POSITIVE: "false positives",
    RowKind.FALSE_NEGATIVE: "false negatives",
    RowKind.UNLABELLED: "without a label",
    RowKind.FAILED: "failed requests",
    RowKind.OUTSIDE: "missing or outside the reference",
    RowKind.ALL: "all rows",
}
_ORDERS = {
    RowKind.WRONG: "surest first",
    RowKind.FALSE_POSITIVE: "surest first",
    RowKind.FALSE_NEGATIVE: "surest first",
    RowKind.UNLABELLED: "oldest first",
}


def document(s: RowsSnapshot) -> dict[str, Any]:
    """The JSON of the pane: rows as logged, under the names of the log's features."""
    rows = [
        {
            "id": r.id,
            "time": records.stamp(r.at) if s.ask.deployment.timed else None,
            "version": r.version,
            "score": _finite(r.score),
            "prediction": _finite(r.predicted),
            "label": _finite(r.label),
            "label_received": records.stamp(r.received),
            "error": r.error,
            "error_size": _finite(r.error_size),
            "latency_ms": _finite(r.latency_ms),
            "cost": _finite(r.cost),
            "features": {f.name: _finite(f.value) for f in r.features},
            "outside": [f.name for f in r.features if f.outside],
            "source": PurePath(r.source).name,
        }
        for r in s.rows
    ]
    of = s.ask.rows
    kind = {"kind": of.kind.value, "feature": of.subject or None, "n_found": s.n}
    return records.document("rows", s.ask, rows, s.findings, **kind)


def _finite(value: float | str | None) -> float | str | None:
    """JSON has no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def view(s: RowsSnapshot) -> View:
    """One row each, the most telling first."""
    d = s.ask.deployment
    scored = any(r.score is not None for r in s.rows)
    sized = any(r.error_size is not None for r in s.rows)
    columns = (
        *((Column("time"),) if d.timed else ()),
        Column("id", flexible=True),
        Column("version", priority=2),
        *((Column("score", right=True),) if scored else ()),
        Column("prediction", right=d.task is not Task.MULTICLASS, priority=1),
        Column("label", right=d.task is not Task.MULTICLASS),
        *((Column("error", right=True),) if sized else ()),
        Column("failed", priority=3),
        *(Column(name(segment.name, 20), priority=4) for segment in d.segments),
    )
    rows = tuple(
        Row(
            f"{r.id} {r.at.isoformat()}",
            (
                *((plain(moment(r.at), sort=r.at.timestamp()),) if d.timed else ()),
                plain(name(r.id, 60)),
                plain(name(r.version, 20)),
                *((plain(number(r.score), sort=r.score),) if scored else ()),
                _answer(r.predicted),
                _answer(r.label) if r.label is not None else Cell("none", Tone.UNKNOWN),
                *((plain(number(r.error_size), sort=r.error_size),) if sized else ()),
                plain(name(r.error or "", 30), Tone.BAD),
                *(plain(name(r.segments[segment.name], 20)) for segment in d.segments),
            ),
        )
        for r in s.rows
    )
    details = tuple((f"{r.id} {r.at.isoformat()}", _page(s, r)) for r in s.rows)
    notes = tuple(plain(finding.text) for finding in s.findings)
    return View("Rows", (_headline(s), *notes), Table(columns, rows, "no such row"), (), details)


def _headline(s: RowsSnapshot) -> Cell:
    of = s.ask.rows
    what = _KINDS[of.kind]
    if of.kind is RowKind.WRONG and s.ask.deployment.task is Task.REGRESSION:
        what = "largest errors"
    where = [name(of.subject)] if of.subject else []
    where += [name(s.ask.version)] if s.ask.version else []
    if s.ask.segment is not None:
        pairs = zip(s.ask.segment.names, s.ask.segment.values, strict=True)
        where += [name(f"{key}={value}") for key, value in pairs if value is not None]
    shown = f", {count(len(s.rows))} shown" if s.n > len(s.rows) else ""
    order = f", {_ORDERS[of.kind]}" if of.kind in _ORDERS and s.n else ""
    if s.ask.deployment.task is Task.REGRESSION and of.kind is RowKind.WRONG:
        order = ""
    about = f" of {', '.join(where)}" if where else ""
    return Cell(f"{what}{about}: {count(s.n)} rows{shown}{order}", Tone.ACCENT)


def _answer(value: float | str | None) -> Cell:
    if value is None:
        return plain("")
    if isinstance(value, str):
        return plain(name(value, 40))
    return plain(str(value) if isinstance(value, int) else number(value), sort=value)


def _page(s: RowsSnapshot, r: RawRow) -> Detail:
    notes = [f"{r.version}, {moment(r.at)} UTC" if s.ask.deployment.timed else name(r.version)]
    answer = f"answered {name(r.predicted)}" if r.predicted is not None else "no answer"
    if r.score is not None:
        answer += f", score {r.score:.4g}"
        if not s.ask.deployment.prediction:
            answer += f", threshold {s.ask.deployment.threshold_of(r.version):.4g}"
    notes.append(answer + (f", error: {name(r.error, 200)}" if r.error else ""))
    if r.label is None:
        notes.append("no label has come")
    else:
        when = f", received {moment(r.received)}" if r.received is not None else ""
        notes.append(f"label {name(r.label)}{when}")
    statements = s.labels.get(r.id, ())
    if len(statements) > 1:
        notes.append(_statements(statements))
    fallback_score, fallback = r.fallback
    if fallback is not None:
        score = f", score {fallback_score:.4g}" if fallback_score is not None else ""
        notes.append(f"the fallback would have said {name(fallback)}{score}")
    extra = [("latency", r.latency_ms, "ms"), ("cost", r.cost, "")]
    notes += [f"{what} {number(value)} {unit}".rstrip() for what, value, unit in extra if value]
    notes.append(f"from {name(PurePath(r.source).name, 80)}, batch {r.batch}")
    if r.siblings:
        notes.append(f"of the same request: {', '.join(name(i, 60) for i in r.siblings[:8])}")
    tables = [_features(r)]
    if r.class_scores:
        tables.insert(0, _scores(r))
    return Detail(name(r.id, 80), tuple(plain(note) for note in notes), tuple(tables))


def _statements(statements: tuple[LabelStatement, ...]) -> str:
    """All that was said of a label, and by whom."""
    several = len({x.labeller for x in statements}) > 1
    said = "; ".join(
        f"{f'{name(x.labeller, 40)}: ' if x.labeller else ''}{name(x.value)} "
        f"at {moment(x.received)}"
        for x in statements
    )
    return f"{'several people labelled it' if several else 'the label was corrected'}: {said}"


def _scores(r: RawRow) -> Table:
    rows = tuple(
        Row(key, (plain(name(key, 60)), plain(number(value), sort=value)))
        for key, value in sorted(r.class_scores.items(), key=lambda p: -(p[1] or 0))
    )
    return Table((Column("class"), Column("score", right=True)), rows)


def _features(r: RawRow) -> Table:
    explained = any(f.attribution is not None for f in r.features)
    ordered = sorted(r.features, key=lambda f: (-abs(f.attribution or 0), not f.outside))
    columns = (
        Column("feature", flexible=True),
        Column("value", right=True),
        Column("in the reference"),
        *((Column("attribution", right=True),) if explained else ()),
    )
    rows = tuple(
        Row(
            f.name,
            (
                plain(name(f.name, 60)),
                _value(f),
                Cell(f.place, Tone.WARN if f.outside else Tone.DIM),
                *((plain(number(f.attribution), sort=f.attribution),) if explained else ()),
            ),
        )
        for f in ordered
    )
    return Table(columns, rows, "no feature is logged")


def _value(f: FeatureValue) -> Cell:
    if f.value is None:
        return Cell("missing", Tone.UNKNOWN)
    return _answer(f.value)
