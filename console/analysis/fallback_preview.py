"""What a fallback would have done over a window, from the same rollups as every other figure. Pure.

A logged fallback and a static answer are compared on the very same labelled rows that the versions
answered. An older version is compared by the rows that it answered itself: in this window, or when
it last served, which is then said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

import polars as pl

from collectors.contract import Deployment, Task
from console.analysis.ask import Ask
from console.analysis.comparison import Verdict, compare
from console.analysis.costs import COST, has_costs
from console.analysis.estimate import Estimate, State, missing
from console.analysis.figures import HEADLINE, Figures, figures, lower_is_better
from console.analysis.intervals import proportion
from console.analysis.maturity import Maturity, mark
from console.analysis.paired import paired
from console.analysis.paired_figures import PairedFigure, constant, joint_of, paired_figures
from console.analysis.sequences import is_open, peek_safe
from console.analysis.traffic import histogram_quantiles
from console.analysis.trial import COMPARED, LEAST_LABELS, SAME_ROWS

__all__ = [
    "PreviewFrames",
    "PreviewRow",
    "PreviewSnapshot",
    "PreviewTarget",
    "TargetKind",
    "TargetPreview",
    "kind_of",
    "preview",
]

_LOGGED = "fallback"
_STATIC = ("majority", "mean", "always 0", "always 1")


class TargetKind(StrEnum):
    """What a target's figures are from."""

    LOGGED = "logged"
    """The logged fallback: what it would have answered stands beside every prediction."""
    VERSION = "version"
    STATIC = "static"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PreviewTarget:
    """A target: its arm, and the version or answer whose figures it would have."""

    arm: str
    alike: str


@dataclass(frozen=True, slots=True)
class PreviewFrames:
    """outcome, latency: rollups of every version over the window. earlier: of versions that have no
    labelled row in it, when they last served: (start, end, outcome, latency) by version.
    """

    outcome: pl.DataFrame
    latency: pl.DataFrame
    versions: tuple[str, ...]
    earlier: Mapping[str, tuple[datetime, datetime, pl.DataFrame, pl.DataFrame]] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One figure: of the fallback, of what served, and the first minus the second."""

    metric: str
    fallback: Estimate
    served: Estimate
    difference: Estimate
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class TargetPreview:
    """One target. rows: figures, that of the trial first; empty where nothing is known, which
    problem says. n: labelled rows they rest on. same_rows: whether both are of the same ones.

    span: when the target's rows were made, where that is another time than the window.
    latency, served_latency: p50, p95, p99 in ms, as far as they are logged.
    """

    target: PreviewTarget
    kind: TargetKind
    verdict: Verdict
    rows: tuple[PreviewRow, ...] = ()
    n: int = 0
    same_rows: bool = False
    span: tuple[datetime, datetime] | None = None
    latency: Mapping[str, Estimate] = field(default_factory=dict)
    served_latency: Mapping[str, Estimate] = field(default_factory=dict)
    problem: str = ""

    def row(self, metric: str) -> PreviewRow | None:
        """One figure."""
        return next((r for r in self.rows if r.metric == metric), None)


@dataclass(frozen=True, slots=True)
class PreviewSnapshot:
    """metric: the figure of the verdict; margin: the loss of it that is bearable, None for none.

    provisional: labels of the window are still coming, so it is of those that have come.
    watched: whether intervals hold at every look.
    """

    ask: Ask
    metric: str
    margin: float | None
    targets: tuple[TargetPreview, ...]
    provisional: bool
    watched: bool


def kind_of(d: Deployment, target: PreviewTarget, versions: Sequence[str]) -> TargetKind:
    """What a target's figures can be taken from."""
    if d.fallback is not None and target.alike in (_LOGGED, d.fallback.name):
        return TargetKind.LOGGED
    if target.alike in versions:
        return TargetKind.VERSION
    return TargetKind.STATIC if target.alike in _STATIC else TargetKind.UNKNOWN


def preview(
    ask: Ask, targets: Sequence[PreviewTarget], frames: PreviewFrames, known: Maturity
) -> PreviewSnapshot:
    """Every target against what served in the window. Frames in, snapshot out."""
    d = ask.deployment
    metric = d.trial.metric or HEADLINE[d.task]
    every = mark(
        ((f, ask.start, ask.end) for f in figures(d, _pooled(frames.outcome))), known, ask.as_of
    )
    if every and metric not in every[0].metrics:
        metric = HEADLINE[d.task]
    provisional = any(f.metrics[metric].state is State.PROVISIONAL for f in every)
    watched = ask.watched and any(is_open(ask, f.metrics[metric], ask.end) for f in every)
    margin: float | None = d.trial.margin
    if metric in ("mae", "rmse", "bias", COST) and "margin" not in d.trial.model_fields_set:
        margin = None
    terms = _Terms(ask, metric, margin, watched)
    found = tuple(_of_target(terms, target, frames) for target in targets)
    return PreviewSnapshot(ask, metric, margin, found, provisional, watched)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What all targets of a snapshot share."""

    ask: Ask
    metric: str
    margin: float | None
    watched: bool

    def ordered(self, found: Mapping[str, PairedFigure]) -> tuple[PreviewRow, ...]:
        """Rows, that of the verdict first; without those that neither side has."""
        names = dict.fromkeys((self.metric, *COMPARED[self.ask.deployment.task], COST))
        return tuple(
            PreviewRow(name, f.beside, f.served, f.difference, self.verdict(name, f.difference))
            for name in names
            if (f := found.get(name)) is not None and f.beside.value is not None
        )

    def verdict(self, metric: str, e: Estimate) -> Verdict:
        """As on the Versions pane."""
        if e.low is None or e.high is None or metric == "bias":
            return Verdict.CANNOT_TELL
        if e.state not in (State.OK, State.PROVISIONAL):
            return Verdict.CANNOT_TELL
        low, high = (-e.high, -e.low) if lower_is_better(metric) else (e.low, e.high)
        off = e.bin_error or 0.0
        if low - off > 0:
            return Verdict.BETTER
        if metric == self.metric and self.margin is not None and low - off > -self.margin:
            return Verdict.NO_WORSE
        return Verdict.WORSE if high + off < 0 else Verdict.CANNOT_TELL


def _of_target(terms: _Terms, target: PreviewTarget, frames: PreviewFrames) -> TargetPreview:
    ask = terms.ask
    kind = kind_of(ask.deployment, target, frames.versions)
    blank = TargetPreview(target, kind, Verdict.CANNOT_TELL)
    rest, latency = frames.outcome, frames.latency
    if kind is TargetKind.VERSION:  # what served beside it
        rest, latency = (f.filter(pl.col("version") != target.alike) for f in (rest, latency))
    blank = replace(blank, served_latency=histogram_quantiles(_all_bins(latency)))
    match kind:
        case TargetKind.LOGGED:
            made = _logged(terms, _pooled(rest))
        case TargetKind.STATIC:
            made = _static(terms, _pooled(rest), target.alike)
        case TargetKind.VERSION:
            return _of_version(terms, replace(blank, same_rows=False), rest, frames)
        case TargetKind.UNKNOWN:
            return replace(
                blank,
                problem=f"the log says nothing of what {target.arm} would answer; name in `alike` "
                'a version, "fallback" (what is logged), "majority" or "always 1"',
            )
    if isinstance(made, str):
        return replace(blank, problem=made)
    n, found = made
    return _told(terms, replace(blank, n=n, same_rows=True), found)


def _told(
    terms: _Terms, blank: TargetPreview, found: Mapping[str, PairedFigure]
) -> TargetPreview:  # fmt: skip
    if terms.watched:
        binary = terms.ask.deployment.task is Task.BINARY
        mine, other = (
            peek_safe({k: getattr(f, side) for k, f in found.items()}, binary=binary)
            for side in ("beside", "served")
        )
        found = {k: PairedFigure(mine[k], other[k], f.difference) for k, f in found.items()}
    rows = terms.ordered(found)
    if not rows:
        return replace(blank, problem="no labelled row has both answers")
    first = rows[0]
    enough = blank.n >= LEAST_LABELS
    verdict = first.verdict if first.metric == terms.metric and enough else Verdict.CANNOT_TELL
    return replace(blank, rows=rows, verdict=verdict)


_Made = tuple[int, Mapping[str, PairedFigure]] | str
"""Rows and figures; or in words why there are none."""

_NO_LABELS = "no row of this window has a label yet"


def _logged(terms: _Terms, frame: pl.DataFrame) -> _Made:
    d = terms.ask.deployment
    costs = d.costs if has_costs(d.task, d.costs) else None
    whole = figures(d, frame)
    if not whole or not whole[0].n_labelled:
        return _NO_LABELS
    match d.task:
        case Task.BINARY:
            joint = joint_of(frame)
            if not joint.n:
                return "no labelled row of this window has the fallback's answer"
            return joint.n, paired_figures(joint, costs, watched=terms.watched)
        case Task.MULTICLASS:
            return _logged_classes(terms, frame, whole[0])
        case Task.REGRESSION:
            return _beside(terms, whole[0], "fallback")


def _logged_classes(terms: _Terms, frame: pl.DataFrame, whole: Figures) -> _Made:
    """Accuracy on the same rows; per class nothing is kept of the fallback."""
    pairs = paired(Task.MULTICLASS, "", frame, watched=terms.watched)
    if not pairs:
        return "no labelled row of this window has the fallback's answer"
    p = pairs[0]
    mine = proportion(p.both_right + p.only_beside, p.n)
    other = proportion(p.both_right + p.only_version, p.n)
    found = {"accuracy": PairedFigure(mine, other, p.difference)}
    cost = _beside(terms, whole, "fallback")
    if not isinstance(cost, str) and COST in cost[1]:
        found[COST] = cost[1][COST]
    return p.n, found


def _beside(terms: _Terms, whole: Figures, name: str) -> _Made:
    """A baseline's figures against the versions', taken as of other rows: rather too wide."""
    known = (whole.baselines or {}).get(name, {})
    rows = max((e.n for e in known.values()), default=0)
    if not rows or rows < SAME_ROWS * whole.n_labelled:
        return f"it is logged for {rows:,} of {whole.n_labelled:,} labelled rows: too few"
    return rows, _independent(terms, known, whole.metrics)


def _independent(
    terms: _Terms, mine: Mapping[str, Estimate], other: Mapping[str, Estimate]
) -> dict[str, PairedFigure]:
    binary = terms.ask.deployment.task is Task.BINARY
    found = {}
    for name, e in mine.items():
        if name not in other:
            continue
        c = compare(name, e, other[name], watched=terms.watched, binary=binary)
        found[name] = PairedFigure(e, other[name], c.difference)
    return found


def _static(terms: _Terms, frame: pl.DataFrame, says: str) -> _Made:
    """One answer to every row, by the balance of the labels."""
    d = terms.ask.deployment
    whole = figures(d, frame)
    if not whole or not whole[0].n_labelled:
        return _NO_LABELS
    if d.task is not Task.BINARY:
        name = "mean" if d.task is Task.REGRESSION else "majority"
        if says != name:
            return f"a static answer of this task is {name!r}"
        return _beside(terms, whole[0], name)
    if says == "mean":
        return "a static answer of this task is 'majority', 'always 0' or 'always 1'"
    costs = d.costs if has_costs(d.task, d.costs) else None
    joint = constant(frame, None if says == "majority" else says == "always 1")
    return joint.n, paired_figures(joint, costs, watched=terms.watched)


def _of_version(
    terms: _Terms, blank: TargetPreview, rest: pl.DataFrame, frames: PreviewFrames
) -> TargetPreview:
    """An older version by its own rows."""
    d, version = terms.ask.deployment, blank.target.alike
    outcome = frames.outcome.filter(pl.col("version") == version)
    latency = frames.latency.filter(pl.col("version") == version)
    if version in frames.earlier:
        start, end, outcome, latency = frames.earlier[version]
        blank = replace(blank, span=(start, end))
    mine, other = figures(d, _pooled(outcome)), figures(d, _pooled(rest))
    blank = replace(blank, latency=histogram_quantiles(_all_bins(latency)))
    if not mine or not mine[0].n_labelled:
        return replace(blank, problem=f"no row of {version} has a label")
    own = mine[0].metrics
    theirs = other[0].metrics if other else dict.fromkeys(own, missing(State.NO_ROWS))
    found = _independent(terms, own, theirs)
    return _told(terms, replace(blank, n=mine[0].n_labelled), found)


def _pooled(frame: pl.DataFrame) -> pl.DataFrame:
    """All versions of a frame as one."""
    if frame.is_empty():
        return frame
    keys = [k for k in ("segment", "value", "value2", "bin", "predicted", "actual") if k in frame]
    sums = [
        pl.col(name).min()
        if name == "value_min"
        else pl.col(name).max()
        if name == "value_max"
        else pl.col(name).sum()
        for name in frame.columns
        if name not in ("start", "version", *keys)
    ]
    start = frame["start"].min()
    return (
        frame.group_by(keys, maintain_order=True)
        .agg(sums)
        .with_columns(
            pl.lit(start, dtype=frame.schema["start"]).alias("start"), pl.lit("").alias("version")
        )
        .select(frame.columns)
    )


def _all_bins(latency: pl.DataFrame) -> pl.DataFrame:
    return latency.group_by("bin").agg(pl.col("n").sum()) if not latency.is_empty() else latency
