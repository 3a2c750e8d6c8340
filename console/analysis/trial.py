"""Versions compared: each against the champion, on the same window, with what may be concluded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from collectors.contract import Task
from console.analysis.against import Side
from console.analysis.ask import Ask, utc
from console.analysis.comparison import Comparison, Pace, Verdict, compare
from console.analysis.estimate import State
from console.analysis.figures import HEADLINE, Figures, figures, lower_is_better
from console.analysis.findings import Finding, Severity, worst_first
from console.analysis.intervals import normal_quantile
from console.analysis.maturity import Maturity, mark
from console.analysis.paired import Paired, paired
from console.analysis.sample_ratio import SampleRatio, sample_ratio
from console.analysis.sequences import is_open

__all__ = ["COMPARED", "TrialFrames", "TrialRow", "TrialSnapshot", "trial"]

COMPARED: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: ("f1", "precision", "recall", "accuracy", "roc_auc", "log_loss", "brier"),
    Task.MULTICLASS: ("f1", "precision", "recall", "accuracy", "roc_auc", "log_loss"),
    Task.REGRESSION: ("mae", "rmse", "mape", "bias"),
}
"""Figures that are compared beside that of the trial, by task."""

_OWN_UNIT = frozenset({"mae", "rmse", "bias", "cost"})

LEAST_LABELS = 100
"""Labelled rows of each side for a finding, as on the performance pane."""

SAME_ROWS = 0.9
"""A fallback that answered for fewer of the labelled rows is not compared with them."""


@dataclass(frozen=True, slots=True)
class TrialFrames:
    """Outcome rollups of every version: the whole window and its steps; volume by step.

    versions: when each was first and last seen. scores: of multiclass deployments, over the window.
    """

    whole: pl.DataFrame
    series: pl.DataFrame
    volume: pl.DataFrame
    versions: pl.DataFrame
    scores: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One version against another, figure by figure, the trial's own first.

    fallback: whether `version` is not a version but the logged fallback, on the other's own rows.
    """

    version: str
    against: str
    mine: Figures
    other: Figures
    comparisons: tuple[Comparison, ...]
    fallback: bool = False

    @property
    def first(self) -> Comparison:
        """By the trial's figure."""
        return self.comparisons[0]


@dataclass(frozen=True, slots=True)
class TrialSnapshot:
    """rows: challengers against `against`, the most rows first; "" where there is nothing to tell.

    metric: the trial's figure; margin: the loss of it that is bearable, None where nobody said (the
    default of 0.01 is for shares and makes no sense in minutes). watched: whether the
    intervals hold at every look (a fixed window that is over needs no more than one look). ratio:
    the split against its plan, over the time since `ratio_since`, when all of its versions were
    there. pairs: the logged fallback and each version on the very same rows.
    """

    ask: Ask
    metric: str
    margin: float | None
    watched: bool
    against: str
    rows: tuple[TrialRow, ...]
    ratio: SampleRatio
    ratio_since: datetime | None
    pairs: tuple[Paired, ...]
    findings: tuple[Finding, ...]


def trial(ask: Ask, frames: TrialFrames, known: Maturity) -> TrialSnapshot:
    """All comparisons of a window. Pure: frames in, snapshot out.

    Versions are compared as two independent groups of rows, which a random split makes alike. Where
    the split follows something else (one version only by night), the difference is also that.
    """
    d = ask.deployment
    found = mark(
        ((f, ask.start, ask.end) for f in figures(d, frames.whole, frames.scores)),
        known,
        ask.as_of,
    )
    by_version = {f.group.version: f for f in found}
    against = _held_against(ask, by_version)
    metric = _metric(ask, by_version.get(against))
    moving = any(is_open(ask, f.metrics[metric], ask.end) for f in found)
    watched = ask.watched and moving
    terms = _Terms(ask, metric, watched)
    rows = _rows(terms, by_version, against, _paces(ask, frames.series))
    ratio, since = _ratio(ask, frames)
    snapshot = TrialSnapshot(
        ask,
        metric,
        terms.margin,
        watched,
        against,
        rows,
        ratio,
        since,
        paired(d.task, d.fallback.name, frames.whole, watched=watched) if d.fallback else (),
        (),
    )
    return replace(snapshot, findings=worst_first(_findings(snapshot)))


def _held_against(ask: Ask, found: Mapping[str, Figures]) -> str:
    """The version that is asked for, the champion, or the one with the most rows."""
    if ask.against.side is Side.VERSION and ask.against.version is not None:
        return ask.against.version if ask.against.version in found else ""
    if ask.deployment.champion in found:
        return ask.deployment.champion
    return max(found, key=lambda v: (found[v].n, v), default="")


def _metric(ask: Ask, champion: Figures | None) -> str:
    """The configured figure, where it is one of this task."""
    wanted = ask.deployment.trial.metric
    if wanted and (champion is None or wanted in champion.metrics):
        return wanted
    return HEADLINE[ask.deployment.task]


@dataclass(frozen=True, slots=True)
class _Terms:
    """What all comparisons of a snapshot share."""

    ask: Ask
    metric: str
    watched: bool

    def compared(
        self, mine: Figures, other: Figures, paces: tuple[Pace, Pace] | None
    ) -> tuple[Comparison, ...]:
        """Figure by figure, as far as both have it."""
        d = self.ask.deployment
        names = dict.fromkeys((self.metric, *COMPARED[d.task], "cost"))
        made = (
            compare(
                name,
                mine.metrics[name],
                other.metrics[name],
                watched=self.watched,
                margin=self.margin if name == self.metric else None,
                paces=paces,
                binary=d.task is Task.BINARY,
            )
            for name in names
            if name in mine.metrics and name in other.metrics
        )
        return tuple(
            c
            for c in made
            if c.metric == self.metric or (c.mine.value, c.other.value) != (None, None)
        )

    @property
    def margin(self) -> float | None:
        """The bearable loss; that of a figure with a unit of its own must have been configured."""
        terms = self.ask.deployment.trial
        if self.metric in _OWN_UNIT and "margin" not in terms.model_fields_set:
            return None
        return terms.margin


def _rows(
    terms: _Terms, found: Mapping[str, Figures], against: str, paces: Mapping[str, Pace]
) -> tuple[TrialRow, ...]:
    champion = found.get(against)
    if champion is None:
        return ()
    asked = terms.ask.version if terms.ask.version != against else None
    others = [f for v, f in found.items() if v != against and asked in (None, v)]
    others.sort(key=lambda f: (-f.n, f.group.version))
    none = Pace(0, 0.0)
    out = []
    for f in others:
        version = f.group.version
        pace = (paces.get(version, none), paces.get(against, none))
        compared = terms.compared(f, champion, pace)
        out.append(TrialRow(version, against, f, champion, compared))
    return (*out, *_fallback(terms, champion))


def _fallback(terms: _Terms, champion: Figures) -> tuple[TrialRow, ...]:
    """The logged fallback against the champion, on the champion's rows.

    Its figures are compared as if of other rows: the interval is then too wide rather than too
    narrow, as two answers for one row tend to be right together. `pairs` has the exact test.
    """
    beside = (champion.baselines or {}).get("fallback", {})
    rows = max((e.n for e in beside.values()), default=0)
    fallback = terms.ask.deployment.fallback
    if fallback is None or not rows or rows < SAME_ROWS * champion.n_labelled:
        return ()
    against = champion.group.version
    if terms.ask.version not in (None, against):
        return ()
    own = Figures(champion.group, rows, rows, beside)
    compared = tuple(c for c in terms.compared(own, champion, None) if c.mine.value is not None)
    if not compared or compared[0].metric != terms.metric:
        return ()
    return (TrialRow(fallback.name, against, own, champion, compared, fallback=True),)


def _paces(ask: Ask, series: pl.DataFrame) -> dict[str, Pace]:
    """Labelled rows by version, and how many came a day since the youngest version was there."""
    if series.is_empty():
        return {}
    labelled = (
        pl.col("n_labelled").sum()
        if "n_labelled" in series.columns
        else pl.col("n").filter(pl.col("actual").is_not_null()).sum().alias("n_labelled")
    )
    counts = series.group_by("start", "version").agg(labelled).sort("start")
    totals: dict[str, int] = {}
    first: dict[str, datetime] = {}
    for start, version, n in counts.iter_rows():
        totals[version] = totals.get(version, 0) + n
        if n:
            first.setdefault(version, start)
    if not first:
        return {v: Pace(n, 0.0) for v, n in totals.items()}
    since = max(first.values())
    length = min(ask.end, ask.as_of) - ask.step_start(utc(since))
    days = length.total_seconds() / 86400
    recent = (
        counts.filter(pl.col("start") >= since).group_by("version").agg(pl.col("n_labelled").sum())
    )
    rates = dict(recent.iter_rows())
    return {v: Pace(n, rates.get(v, 0) / days if days > 0 else 0.0) for v, n in totals.items()}


def _ratio(ask: Ask, frames: TrialFrames) -> tuple[SampleRatio, datetime | None]:
    """Counts since all versions of the plan were there; whole steps only.

    A version that the plan gives traffic to and that was never seen counts with nothing.
    """
    split = ask.deployment.trial.split
    if not split:
        return sample_ratio({}, {}), None
    seen = {row["version"]: utc(row["first_seen"]) for row in frames.versions.iter_rows(named=True)}
    began = [seen[v] for v, share in split.items() if share > 0 and v in seen]
    since = max([ask.start, *began])
    counts: dict[str, int] = {}
    first: datetime | None = None
    for start, version, n in (
        frames.volume.select("start", "version", "n").sort("start").iter_rows()
    ):
        begin = ask.step_start(utc(start))
        if begin < since:
            continue
        first = first or begin
        counts[version] = counts.get(version, 0) + n
    return sample_ratio(counts, split), first


def _findings(s: TrialSnapshot) -> list[Finding]:
    out = []
    looked = sum(1 for row in s.rows if not row.fallback)
    for row in s.rows:
        sure = not row.fallback and _sure(row, looked)
        if sure:
            out.append(_verdict_finding(s, row))
    if s.ratio.mismatch:
        out.append(_mismatch(s.ratio))
    return out


def _sure(row: TrialRow, looked: int) -> bool:
    """A verdict that carries a finding: settled, enough labels, its level shared by challengers."""
    c = row.first
    e = c.difference
    if c.verdict not in (Verdict.BETTER, Verdict.WORSE) or e.state is not State.OK:
        return False
    if min(row.mine.n_labelled, row.other.n_labelled) < LEAST_LABELS:
        return False
    if e.value is None or e.low is None or e.high is None:
        return False
    wider = normal_quantile(1 - 0.025 / max(looked, 1)) / normal_quantile(0.975)
    return e.value + wider * (e.high - e.value) < 0 or e.value - wider * (e.value - e.low) > 0


def _verdict_finding(s: TrialSnapshot, row: TrialRow) -> Finding:
    c = row.first
    mine, other = c.mine.value or 0.0, c.other.value or 0.0
    size = abs(mine - other) / abs(other) if other else 1.0
    numbers = f"{c.metric} {_number(mine)} against {_number(other)}"
    champion = row.against == s.ask.deployment.champion
    title = f"the champion {row.against}" if champion else row.against
    if c.verdict is Verdict.BETTER:
        # the sentence of the performance pane, so that the overview has it once
        text = f"{row.version} beats {title}: {numbers}"
        return Finding(Severity.WARNING, "versions", text, size)
    text = f"{row.version} is worse than {title}: {numbers}"
    dead = mine < other / 3 and not lower_is_better(c.metric)
    return Finding(Severity.BAD if dead or size > 0.3 else Severity.WARNING, "versions", text, size)


def _mismatch(ratio: SampleRatio) -> Finding:
    total = sum(ratio.counts.values())
    version = max(ratio.counts, key=lambda v: abs(ratio.counts[v] / total - ratio.planned[v]))
    text = (
        f"sample-ratio mismatch: {version} got {100 * ratio.counts[version] / total:.1f}% of "
        f"{total:,} predictions where {100 * ratio.planned[version]:.1f}% were planned; the "
        "versions may not be comparable"
    )
    return Finding(Severity.BAD, "versions", text, 1.0)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
