"""The versions pane: each version against the champion, and what may be concluded from it."""

from __future__ import annotations

from typing import Any

from console.analysis.comparison import Comparison, Verdict
from console.analysis.estimate import State
from console.analysis.paired import Paired
from console.analysis.trial import TrialRow, TrialSnapshot
from console.views import records
from console.views.model import Cell, Column, Detail, Row, Table, Tone, View
from console.views.words import (
    count,
    estimate_cell,
    finding_cells,
    interval,
    looks_words,
    moment,
    name,
    number,
    percent,
    plain,
    state_words,
)

__all__ = ["document", "view"]

VERDICTS = {
    Verdict.BETTER: "better",
    Verdict.WORSE: "worse",
    Verdict.NO_WORSE: "no worse than the margin",
    Verdict.CANNOT_TELL: "cannot tell",
}
VERDICT_TONES = {
    Verdict.BETTER: Tone.GOOD,
    Verdict.WORSE: Tone.BAD,
    Verdict.NO_WORSE: Tone.PLAIN,
    Verdict.CANNOT_TELL: Tone.UNKNOWN,
}


def document(s: TrialSnapshot) -> dict[str, Any]:
    """The JSON of the pane: one row per version that is held against another."""
    rows = [_record(s, row) for row in s.rows]
    pairs = {"pairs": [_pair_record(p) for p in s.pairs]} if s.pairs else {}
    return records.document(
        "versions",
        s.ask,
        rows,
        s.findings,
        against=s.against or None,
        metric=s.metric,
        margin=s.margin,
        sample_ratio=_ratio_record(s),
        **pairs,
    )


def _record(s: TrialSnapshot, row: TrialRow) -> dict[str, Any]:
    return {
        "version": row.version,
        "segment": None,
        "value": None,
        "start": records.stamp(s.ask.start),
        "end": records.stamp(s.ask.end),
        "n": row.mine.n,
        "n_labelled": row.mine.n_labelled,
        "fallback": row.fallback,
        "against": row.against,
        "verdict": row.first.verdict.value,
        "more_rows": row.first.more_rows,
        "more_days": row.first.more_days,
        "metrics": {c.metric: records.estimate(c.mine) for c in row.comparisons},
        "against_metrics": {c.metric: records.estimate(c.other) for c in row.comparisons},
        "differences": {
            c.metric: {**records.estimate(c.difference), "verdict": c.verdict.value}
            for c in row.comparisons
        },
    }


def _ratio_record(s: TrialSnapshot) -> dict[str, Any] | None:
    if not s.ratio.planned:
        return None
    found = s.ratio.log_bayes_factor
    return {
        "since": records.stamp(s.ratio_since),
        "n": s.ratio.counts,
        "planned": s.ratio.planned,
        "others": s.ratio.others,
        "log_bayes_factor": None if found is None or found > _MOST else found,
        "mismatch": s.ratio.mismatch if found is not None else None,
    }


_MOST = 1e300  # there is no infinity in JSON


def _pair_record(p: Paired) -> dict[str, Any]:
    return {
        "version": p.beside,
        "against": p.version,
        "n": p.n,
        "metric": "accuracy",
        "difference": records.estimate(p.difference),
        "both_right": p.both_right,
        "only_version": p.only_beside,
        "only_against": p.only_version,
        "neither": p.neither,
        "p_value": p.p_value,
    }


def view(s: TrialSnapshot) -> View:
    """Versions and their figures as rows, the trial's figure first and on the headline."""
    columns = (
        Column("version", flexible=True),
        Column("figure"),
        Column("value", right=True),
        Column(name(s.against, 12) or "against", right=True),
        Column("difference", right=True),
        Column("95% interval", priority=1),
        Column("verdict"),
        Column("longer", priority=2),
    )
    rows: list[Row] = []
    details: list[tuple[str, Detail]] = []
    for row in s.rows:
        for i, c in enumerate(row.comparisons):
            key = f"{row.version}/{c.metric}"
            label = name(row.version, 20) if i == 0 else ""
            rows.append(Row(key, (plain(label, Tone.ACCENT, row.version), *_cells(row, c))))
            details.append((key, _detail(s, row)))
    empty = _nothing(s)
    return View(
        "Versions",
        _headline(s, empty),
        Table(columns, tuple(rows), empty),
        (),
        tuple(details),
        tuple(plain(text, Tone.DIM) for text in _notes(s)),
    )


def _nothing(s: TrialSnapshot) -> str:
    if s.against:
        return f"only {name(s.against)} has predictions in this window: nothing to compare"
    wanted = s.ask.against.version
    if wanted is not None:
        return f"{name(wanted)} has no predictions in this window"
    return "no predictions in this window: nothing can be told"


def _headline(s: TrialSnapshot, empty: str) -> tuple[Cell, ...]:
    """What was found; else the verdict on each version, in words."""
    said = finding_cells(s.findings) if s.findings else ()
    sentences = tuple(
        plain(_sentence(row), VERDICT_TONES[row.first.verdict])
        for row in s.rows
        if not row.fallback and not any(f.text.startswith(row.version + " ") for f in s.findings)
    )
    if not said and not sentences:
        return (plain(empty, Tone.UNKNOWN),)
    return (*said, *sentences[:3])


def _sentence(row: TrialRow) -> str:
    """ "v2 is no worse than v1 by the margin of 0.01: f1 0.412 against 0.405"."""
    c, mine, other = row.first, name(row.version), name(row.against)
    if c.difference.value is None:
        return f"{mine} against {other}: {c.metric}: {state_words(c.difference.state)}"
    numbers = f"{c.metric} {number(c.mine.value)} against {number(c.other.value)}"
    match c.verdict:
        case Verdict.BETTER:
            text = f"{mine} is better than {other}: {numbers}"
        case Verdict.WORSE:
            text = f"{mine} is worse than {other}: {numbers}"
        case Verdict.NO_WORSE:
            text = f"{mine} is not worse than {other} by {number(c.margin)} or more: {numbers}"
        case Verdict.CANNOT_TELL:
            why = state_words(c.difference.state)
            text = f"cannot tell {mine} from {other}: {numbers}{f' ({why})' if why else ''}"
            longer = _longer(c)
            text += f", {longer} to go" if longer and longer != _LONG else ""
    return text


def _cells(row: TrialRow, c: Comparison) -> tuple[Cell, ...]:
    tone = VERDICT_TONES[c.verdict]
    mark = "~" if c.difference.state is State.PROVISIONAL else ""
    return (
        plain(c.metric),
        estimate_cell(c.mine),
        estimate_cell(c.other, tone=Tone.DIM),
        plain(_signed(c.difference.value), tone, c.difference.value),
        plain(interval(c.difference), Tone.DIM),
        plain(VERDICTS[c.verdict] + mark, tone),
        plain("" if row.fallback else _longer(c), Tone.DIM, c.more_days),
    )


_LONG = "will not"


def _longer(c: Comparison) -> str:
    """How long until the interval is as narrow as the margin; empty where no margin is set."""
    if c.margin is None or c.difference.low is None:
        return ""
    if c.verdict is not Verdict.CANNOT_TELL:
        return "enough"
    if c.more_rows is None or c.more_days is None:
        return _LONG
    if c.more_rows == 0:
        return "enough"
    days = c.more_days
    return f"{count(c.more_rows)} rows, " + (f"{days:.0f} d" if days >= 2 else f"{24 * days:.0f} h")


def _signed(value: float | None) -> str:
    return "-" if value is None else ("+" if value > 0 else "") + number(value)


def _detail(s: TrialSnapshot, row: TrialRow) -> Detail:
    c = row.first
    notes = [plain(_sentence(row), VERDICT_TONES[c.verdict])]
    if row.fallback:
        notes.append(
            plain(
                "the logged fallback, on the rows of the version itself; taken as independent, so "
                "the interval is rather too wide; the test below knows the pairs"
            )
        )
    else:
        notes.append(
            plain(
                f"{count(row.mine.n_labelled)} labelled rows of {name(row.version)}, "
                f"{count(row.other.n_labelled)} of {name(row.against)}; compared as a random split"
            )
        )
    if c.difference.low is not None and c.margin is not None and not row.fallback:
        notes.append(plain(_how_long(c)))
    notes += [plain(text) for text in _notes(s)]
    tables = [_table(row)]
    tables += [_pair_table(p) for p in s.pairs if row.fallback and p.version == row.against]
    title = f"{name(row.version)} against {name(row.against)}"
    return Detail(title, tuple(notes), tuple(tables))


def _how_long(c: Comparison) -> str:
    margin = number(c.margin)
    if c.verdict is not Verdict.CANNOT_TELL:
        return f"enough rows for a verdict by {c.metric}"
    if c.more_rows == 0:
        return f"the interval is no farther than the margin of {margin} from the difference"
    if c.more_rows is None:
        return (
            f"at the present rate and split the interval never gets as narrow as ±{margin} "
            "(within ten years)"
        )
    return f"{_longer(c)} more until the interval is ±{margin}, at the present rate and split"


def _table(row: TrialRow) -> Table:
    columns = (
        Column("figure"),
        Column(name(row.version, 16), right=True),
        Column(name(row.against, 16), right=True),
        Column("difference", right=True),
        Column("95% interval"),
        Column("n", right=True),
        Column("verdict"),
        Column("note", flexible=True),
    )
    rows = tuple(
        Row(
            c.metric,
            (
                plain(c.metric),
                estimate_cell(c.mine),
                estimate_cell(c.other),
                plain(_signed(c.difference.value), sort=c.difference.value),
                plain(interval(c.difference), Tone.DIM),
                plain(count(c.difference.n), sort=c.difference.n),
                plain(VERDICTS[c.verdict], VERDICT_TONES[c.verdict]),
                plain(state_words(c.difference.state), Tone.DIM),
            ),
        )
        for c in row.comparisons
    )
    return Table(columns, rows)


def _pair_table(p: Paired) -> Table:
    """The paired test: of rows that both answered, only those where they differ count."""
    cells = (
        ("rows that both answered", count(p.n)),
        (f"accuracy of {name(p.beside)} minus {name(p.version)}", _signed(p.difference.value)),
        ("95% interval", interval(p.difference)),
        (f"only {name(p.beside)} right", count(p.only_beside)),
        (f"only {name(p.version)} right", count(p.only_version)),
        ("p, McNemar, exact, for one look", number(p.p_value)),
    )
    rows = tuple(Row(label, (plain(label), plain(text))) for label, text in cells)
    return Table((Column("the same rows", flexible=True), Column("", right=True)), rows)


def _notes(s: TrialSnapshot) -> list[str]:
    out = [looks_words(r.first.difference for r in s.rows)] if s.rows else []
    out.append(_ratio_words(s))
    if s.rows and s.margin is None:
        out.append(f"no margin is configured for {s.metric} (deployment.trial.margin)")
    wanted = s.ask.deployment.trial.metric
    if wanted and wanted != s.metric:
        out.append(f"there is no figure {name(wanted)} here: versions are compared by {s.metric}")
    if s.ask.segment is not None:
        out.append("over all rows: versions are not compared by segment")
    return out


def _ratio_words(s: TrialSnapshot) -> str:
    r = s.ratio
    total = sum(r.counts.values())
    if not r.planned:
        return "no split is configured (deployment.trial.split): it cannot be checked"
    if r.log_bayes_factor is None or not total:
        return "the split cannot be checked: no whole step yet with all of its versions"
    shares = ", ".join(
        f"{name(v)} {percent(n / total, 1)} (planned {percent(r.planned[v], 1)})"
        for v, n in r.counts.items()
    )
    since = f" since {moment(s.ratio_since)}" if s.ratio_since != s.ask.start else ""
    plan = "is not as planned" if r.mismatch else "is as planned, as far as can be told"
    return f"the split of {count(total)} predictions{since} {plan}: {shares}"
