"""Why a figure changed between two sides: an exact split over every way the rows can be cut.

Cuts ("dimensions") are the versions, each segment, each cross of two, and each feature by whether
its value was ordinary, missing, or outside what the version's reference has. Each dimension holds
every row once, so its contributions add up to the change. What stands out over all dimensions is
judged for the number of values that were looked at (Bonferroni).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Deployment, Task
from console.analysis.ask import Ask, utc
from console.analysis.comovement import FeatureMove, MoveFrames, feature_moves
from console.analysis.decomposition import Split, Sums, decompose
from console.analysis.estimate import TOO_FEW, Estimate, State, missing
from console.analysis.events import ChangeEvent, EventFrames, change_events
from console.analysis.explain_findings import concentrated, explain_findings, sure
from console.analysis.explain_sums import Grouped, Kind, SideFrames, grouped, slice_rows
from console.analysis.findings import Finding
from console.analysis.intervals import normal_quantile
from console.analysis.loss_squares import with_loss_squares
from console.analysis.onset import Onset, Point, onset_of
from console.analysis.ratios import Ratio, UnknownFigureError, nearest, ratio_of, tally
from console.analysis.slices import Slice, figure_in, pairs, standing_out

__all__ = [
    "Dimension",
    "ExplainFrames",
    "ExplainSnapshot",
    "Part",
    "UnknownFigureError",
    "Verdict",
    "explain",
]

MOST_PARTS = 200
"""Listed values of a version, segment or condition; the others are added up."""
MOST_CROSSED = 10
"""The same of a cross."""


class Verdict(StrEnum):
    """What the split says as a whole."""

    CANNOT_TELL = "cannot_tell"
    """The figure does not exist on one side; `reason` says why."""
    NO_CHANGE = "no_change"
    """The two sides do not surely differ, and no slice does."""
    SLICES = "slices"
    """Some slice carries far more than its share: a quarter of the change beyond it."""
    SPREAD = "spread"
    """Sure, but spread over the rows: no slice carries that much."""


@dataclass(frozen=True, slots=True)
class ExplainFrames:
    """Both sides, and what else may tell why. series: outcome rows by step.

    problem: why there is no other side, where it is no lack of rows.
    """

    now: SideFrames
    other: SideFrames
    series: pl.DataFrame | None = None
    moves: MoveFrames | None = None
    events: EventFrames | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a dimension. n, n_other: labelled rows on each side; share: of all such rows.

    value, other: the figure in it. mix + within = contribution.value, in the figure's unit;
    excess: contribution beyond the part's share of the change. Intervals hold for all values of all
    dimensions at once. values: () for what was added up.
    """

    values: tuple[tuple[str, str], ...]
    n: int
    n_other: int
    share: float
    share_other: float
    value: float | None
    other: float | None
    mix: float
    within: float
    contribution: Estimate
    excess: Estimate


@dataclass(frozen=True, slots=True)
class Dimension:
    """One way to cut the rows. parts by size of contribution, the last one of values () the rest.

    mix, within: sums over all n_values, with intervals that hold for all dimensions at once.
    """

    name: str
    kind: Kind
    parts: tuple[Part, ...]
    n_values: int
    mix: Estimate
    within: Estimate


@dataclass(frozen=True, slots=True)
class ExplainSnapshot:
    """asked: the figure as asked; figure: what is explained; note: why that is another one.

    value: on this side, other: on the other; change: value minus other, 95 % interval. looked: how
    many values were looked at. slices: what stands out. approximate: whether intervals rest on a
    model of the losses. reason: why nothing can be told.
    """

    ask: Ask
    asked: str
    figure: str
    note: str
    verdict: Verdict
    reason: str
    value: Estimate
    other: Estimate
    change: Estimate
    dimensions: tuple[Dimension, ...] = ()
    slices: tuple[Slice, ...] = ()
    looked: int = 0
    approximate: bool = False
    moves: tuple[FeatureMove, ...] = ()
    events: tuple[ChangeEvent, ...] = ()
    onset: Onset | None = None
    findings: tuple[Finding, ...] = ()


def explain(ask: Ask, figure: str, frames: ExplainFrames) -> ExplainSnapshot:
    """Split the change of `figure` from the other side to the asked window. Pure.

    Raises UnknownFigureError for a figure that the deployment does not have.
    """
    made = _explain(ask, figure, frames)
    return replace(made, findings=explain_findings(made))


def _explain(ask: Ask, figure: str, frames: ExplainFrames) -> ExplainSnapshot:
    d = ask.deployment
    name, note = nearest(d, figure)
    ratio, more = _ratio(d, name, frames)
    note = note or more
    sides = grouped(ask, ratio, frames.now, frames.other)
    value = _alone(ratio, sides.sums.whole_a, sides.whole_rows[0], sides.all_rows[0])
    other = _alone(ratio, sides.sums.whole_b, sides.whole_rows[1], sides.all_rows[1])
    points = _points(ask, ratio, frames.series)
    onset = onset_of(points, share=ratio.share and ratio.parts == 1) if len(points) > 1 else None
    moves = feature_moves(d, frames.moves, points)
    events = change_events(d, frames.events, onset)
    split = decompose(ratio, sides.sums)
    if split is None:
        return ExplainSnapshot(
            ask,
            figure,
            ratio.name,
            note,
            Verdict.CANNOT_TELL,
            frames.problem or _reason(ask, ratio, value, other),
            value,
            other,
            missing(State.CANNOT_TELL),
            moves=moves,
            events=events,
            onset=onset,
        )
    looked = len(sides.cut)
    z = normal_quantile(1 - 0.025 / max(looked, 1))
    change = _interval(split.change, split.change_error, _Z, min(value.n, other.n))
    value = _with_interval(ratio, value, split.value_error)
    other = _with_interval(ratio, other, split.other_error)
    slices = standing_out(sides, split, z)
    return ExplainSnapshot(
        ask,
        figure,
        ratio.name,
        note,
        _verdict(change, slices),
        "",
        value,
        other,
        change,
        _dimensions(sides, split, z),
        slices,
        looked,
        ratio.approximate,
        moves,
        events,
        onset,
    )


_Z = normal_quantile(0.975)


def _verdict(change: Estimate, slices: tuple[Slice, ...]) -> Verdict:
    if not sure(change):
        return Verdict.SLICES if slices else Verdict.NO_CHANGE
    return Verdict.SLICES if concentrated(slices, change) else Verdict.SPREAD


def _interval(value: float, error: float, z: float, n: int) -> Estimate:
    state = State.OK if n >= TOO_FEW else State.TOO_FEW
    return Estimate(value, value - z * error, value + z * error, n, state)


def _ratio(d: Deployment, name: str, frames: ExplainFrames) -> tuple[Ratio, str]:
    """What is added up, and why it is something else than asked."""
    if d.task is not Task.MULTICLASS or name in ("coverage", "error_rate"):
        return ratio_of(d, name), ""
    sides = [_classes(side.totals, name) for side in (frames.now, frames.other)]
    ratio = ratio_of(d, name, sides[0] if sides[0] == sides[1] else ())
    if ratio.classes or name not in ("f1", "precision", "recall", "balanced_accuracy"):
        return ratio, ""
    if not all(sides):
        return ratio, ""
    why = "has too many classes" if sides[0] == sides[1] else "is over other classes on each side"
    return ratio_of(d, "accuracy"), f"{name} {why} and cannot be split; this explains accuracy"


def _classes(frame: pl.DataFrame, name: str) -> tuple[str, ...]:
    """Classes for which the figure exists: that were predicted, labelled, or either."""
    known = frame.filter((pl.col("segment") == 0) & pl.col("actual").is_not_null())
    actual, predicted = set(known["actual"].to_list()), set(known["predicted"].to_list())
    if name == "precision":
        return tuple(sorted(predicted))
    return tuple(sorted(actual if name in ("recall", "balanced_accuracy") else actual | predicted))


def _alone(ratio: Ratio, whole: Sums, labelled: float, rows: float) -> Estimate:
    """The figure of one side, without an interval of its own."""
    n = int(labelled if ratio.name not in ("coverage", "error_rate") else rows)
    if n <= 0:
        return missing(State.NO_ROWS if rows <= 0 else State.NO_LABELS, n)
    with np.errstate(all="ignore"):
        value = float(whole.ratio.sum()) * ratio.coefficient
    value = max(value, 0.0) ** 0.5 if ratio.root else value
    if not np.isfinite(value):
        return missing(State.CANNOT_TELL, n)
    return Estimate(value, None, None, n, State.OK if n >= TOO_FEW else State.TOO_FEW)


def _with_interval(ratio: Ratio, e: Estimate, error: float) -> Estimate:
    """Shares and F1 stay within 0..1, losses at 0 and above."""
    if e.value is None:
        return e
    low, high = e.value - _Z * error, e.value + _Z * error
    if ratio.name not in ("bias", "cost"):
        low = max(low, 0.0)
    if ratio.share or ratio.name == "f1":
        high = min(high, 1.0)
    return replace(e, low=low, high=high)


def _reason(ask: Ask, ratio: Ratio, value: Estimate, other: Estimate) -> str:
    """Why there is nothing to split."""
    lacking = _LACKING.get(ratio.name, "its values are not finite")
    for e, where in ((value, "in this window"), (other, f"in {ask.against.words}")):
        if e.state is State.NO_ROWS:
            return f"no predictions {where}: nothing can be told"
        if e.state is State.NO_LABELS:
            return f"no labels {where}: {ratio.name} cannot be told"
        if e.value is None:
            return f"{ratio.name} does not exist {where}: {lacking}"
    return f"{ratio.name} is beyond what can be computed with these values"


_LACKING = {
    "precision": "nothing was predicted positive",
    "recall": "no label is positive",
    "fnr": "no label is positive",
    "specificity": "no label is negative",
    "fpr": "no label is negative",
    "balanced_accuracy": "the labels are of one class only",
    "f1": "nothing is positive, neither labels nor predictions",
    "log_loss": "no score was logged",
    "brier": "no score was logged",
    "mape": "every label is 0",
}


def _points(ask: Ask, ratio: Ratio, series: pl.DataFrame | None) -> tuple[Point, ...]:
    """The figure by step; n: the rows it rests on."""
    if series is None or series.is_empty():
        return ()
    d = ask.deployment
    starts = series["start"].unique().sort().to_list()
    places = pl.DataFrame({"start": starts, "place": [str(i) for i in range(len(starts))]})
    # steps take the place of a segment's values, so that the same sums are made of them
    rows = slice_rows(ask, series).join(
        places.cast({"start": series.schema["start"]}), on="start", how="left"
    )
    same = {"version": pl.lit(""), "segment": pl.lit(0), "value2": pl.lit("")}
    rows = rows.with_columns(**same, value=pl.col("place")).drop("place")
    table = tally(d, ratio, with_loss_squares(d, ratio, rows))
    sums = Sums.of(ratio, table)
    with np.errstate(all="ignore"):
        values = sums.ratio.sum(axis=0) * ratio.coefficient
    values = np.sqrt(np.maximum(values, 0.0)) if ratio.root else values
    # F1 weighs a right answer twice: its rows are about half of its denominator's weights
    n = sums.d.sum(axis=0) / (2 if ratio.name == "f1" else 1)
    found = [
        Point(utc(starts[int(place)]), float(v) if np.isfinite(v) else None, float(rows_))
        for place, v, rows_ in zip(table["value"].to_list(), values, n, strict=True)
    ]
    return tuple(sorted(found, key=lambda p: p.start))


def _dimensions(g: Grouped, split: Split, z: float) -> tuple[Dimension, ...]:
    z_cut = normal_quantile(1 - 0.025 / max(2 * len(g.cuts), 1))
    out = []
    size = np.abs(split.contribution)
    n = int(min(g.whole_rows))
    for number, cut in enumerate(g.cuts):
        places = np.flatnonzero(g.cut == number)
        places = places[np.argsort(-size[places], kind="stable")]
        most = MOST_CROSSED if cut.kind is Kind.CROSS else MOST_PARTS
        parts = [_part(g, split, z, int(i)) for i in places[:most]]
        if len(places) > most:
            parts.append(_rest(g, split, places[most:]))
        out.append(
            Dimension(
                cut.name,
                cut.kind,
                tuple(parts),
                len(places),
                _interval(
                    float(split.mix_by_dimension[number]), float(split.mix_error[number]), z_cut, n
                ),
                _interval(
                    float(split.within_by_dimension[number]),
                    float(split.within_error[number]),
                    z_cut,
                    n,
                ),
            )
        )
    order = list(Kind)
    out.sort(key=lambda one: order.index(one.kind))
    return tuple(out)


def _part(g: Grouped, split: Split, z: float, i: int) -> Part:
    n, n_other = int(g.rows[i]), int(g.rows_other[i])
    most = max(n, n_other)
    mix, within = float(split.mix[i]), float(split.within[i])
    return Part(
        pairs(g, i),
        n,
        n_other,
        n / max(g.whole_rows[0], 1),
        n_other / max(g.whole_rows[1], 1),
        figure_in(float(split.group_value[i])),
        figure_in(float(split.group_other[i])),
        mix,
        within,
        _interval(mix + within, float(split.contribution_error[i]), z, most),
        _interval(float(split.excess[i]), float(split.excess_error[i]), z, most),
    )


def _rest(g: Grouped, split: Split, places: NDArray[np.intp]) -> Part:
    n, n_other = int(g.rows[places].sum()), int(g.rows_other[places].sum())
    mix, within = float(split.mix[places].sum()), float(split.within[places].sum())
    excess = float(split.excess[places].sum())
    return Part(
        (),
        n,
        n_other,
        n / max(g.whole_rows[0], 1),
        n_other / max(g.whole_rows[1], 1),
        None,
        None,
        mix,
        within,
        Estimate(mix + within, None, None, n + n_other),
        Estimate(excess, None, None, n + n_other),
    )
