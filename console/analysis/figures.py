"""From rollup frames to figures: one `Figures` per (step, version, segment value).

The only place that knows the columns of the outcome rollups, for all three tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Costs, Deployment, Task
from console.analysis.ask import utc
from console.analysis.binary import Confusion, ScoreBins, binary_metrics
from console.analysis.costs import COST, confusion_cost, cost_of_errors, error_cost, has_costs
from console.analysis.estimate import Estimate, State, missing
from console.analysis.intervals import figure, mean, mean_interval, proportion
from console.analysis.multiclass import MulticlassSums, multiclass_metrics
from console.analysis.regression import RegressionSums, regression_metrics

__all__ = [
    "HEADLINE",
    "OUTCOME_QUERY",
    "Figures",
    "Group",
    "figures",
    "lower_is_better",
    "provisional",
    "stale",
]

OUTCOME_QUERY = {
    Task.BINARY: "binary",
    Task.MULTICLASS: "multiclass",
    Task.REGRESSION: "regression",
}

HEADLINE = {Task.BINARY: "f1", Task.MULTICLASS: "f1", Task.REGRESSION: "mae"}
"""The figure that stands for a task. Accuracy hides a model that never says yes."""

_LOWER = {"fpr", "fnr", "log_loss", "brier", "ece", "mae", "rmse", "mape", "error_rate", COST}


def lower_is_better(metric: str) -> bool:
    """Whether a smaller figure is the better one."""
    return metric in _LOWER


@dataclass(frozen=True, slots=True)
class Group:
    """What a row is about. start is None for the whole window; value2 belongs to a cross."""

    start: datetime | None
    version: str
    segment: int
    value: str
    value2: str


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one group, with those of the logged fallback on the same rows.

    n: predictions, n_labelled: those with a label. confusion: binary only. by_class: multiclass
    only. baselines: name -> figures. n_yes: predictions that say yes; calibration_gap: mean score
    minus share of positives, of labelled rows that have a score; both binary only.
    """

    group: Group
    n: int
    n_labelled: int
    metrics: Mapping[str, Estimate]
    confusion: Confusion | None = None
    by_class: Mapping[str, Mapping[str, Estimate]] | None = None
    baselines: Mapping[str, Mapping[str, Estimate]] | None = None
    y_mean: float | None = None
    n_yes: int | None = None
    calibration_gap: Estimate | None = None


def figures(
    deployment: Deployment, frame: pl.DataFrame, class_scores: pl.DataFrame | None = None
) -> tuple[Figures, ...]:
    """Figures of every group in an outcome frame, in the frame's order."""
    if frame.is_empty():
        return ()
    costs = deployment.costs if has_costs(deployment.task, deployment.costs) else None
    match deployment.task:
        case Task.BINARY:
            return tuple(_binary(frame, costs))
        case Task.REGRESSION:
            return tuple(_regression(frame, costs))
        case Task.MULTICLASS:
            return tuple(_multiclass(deployment, frame, class_scores, costs))


def _groups(frame: pl.DataFrame) -> Iterator[tuple[Group, slice]]:
    """Consecutive rows of one group; frames come ordered by their group columns."""
    has_start = "start" in frame.columns
    keys = ["version", "segment", "value", "value2"]
    keys = ["start", *keys] if has_start else keys
    ids = frame.select(pl.struct(keys).rle_id().alias("id"))["id"].to_numpy()
    edges = np.flatnonzero(np.diff(ids)) + 1
    begins = np.concatenate(([0], edges))
    ends = np.concatenate((edges, [len(ids)]))
    heads = frame.select(keys)[begins.tolist()].rows()
    for head, begin, end in zip(heads, begins, ends, strict=True):
        start = utc(head[0]) if has_start and head[0] is not None else None
        version, segment, value, value2 = head[-4:]
        yield Group(start, version, segment, value, value2), slice(int(begin), int(end))


_BIN_SUMS = (
    "n",
    "n_labelled",
    "n_positive",
    "labelled_score_sum",
    "labelled_score_sq",
    "positive_score_sum",
    "log_loss_sum",
)
_FALLBACK = ("fallback_tp", "fallback_fp", "fallback_fn", "fallback_tn")


def _sorted(frame: pl.DataFrame, last: tuple[str, ...]) -> pl.DataFrame:
    keys = [k for k in ("start", "version", "segment", "value", "value2") if k in frame.columns]
    return frame.sort([*keys, *last], maintain_order=True)


def _binary(frame: pl.DataFrame, costs: Costs | None) -> Iterator[Figures]:
    frame = _sorted(frame, ("bin", "predicted"))
    column = {name: frame[name].to_numpy() for name in (*_BIN_SUMS, *_FALLBACK, "bin", "predicted")}
    for group, rows in _groups(frame):
        n, labelled, positive = (column[k][rows] for k in ("n", "n_labelled", "n_positive"))
        said_yes = column["predicted"][rows] == 1
        tp = int(positive[said_yes].sum())
        yes = int(labelled[said_yes].sum())
        fn = int(positive.sum()) - tp
        confusion = Confusion(tp, yes - tp, fn, int(labelled.sum()) - yes - fn)
        found = _of_confusion(confusion, costs, bins := _score_bins(column, rows))
        fallback = Confusion(*(int(column[k][rows].sum()) for k in _FALLBACK))
        baselines = {"majority": _of_confusion(_majority(confusion), costs)}
        if fallback.n:
            baselines["fallback"] = _of_confusion(fallback, costs)
        yield Figures(
            group,
            int(n.sum()),
            int(labelled.sum()),
            _with_rows(found, int(n.sum())),
            confusion,
            baselines=baselines,
            n_yes=int(n[said_yes].sum()),
            calibration_gap=_calibration_gap(bins),
        )


def _of_confusion(
    c: Confusion, costs: Costs | None, bins: ScoreBins | None = None
) -> dict[str, Estimate]:
    found = binary_metrics(c, bins)
    if costs is not None:
        found[COST] = confusion_cost(c, costs)
    return found


@np.errstate(all="ignore")  # sums that are not finite become a state, not a warning
def _calibration_gap(bins: ScoreBins | None) -> Estimate:
    """Mean of s - y, -1..1, with its t interval; exact from sums. Below 0: too many positives."""
    if bins is None:
        return missing(State.CANNOT_TELL)
    n, positive = int(bins.n_labelled.sum()), float(bins.n_positive.sum())
    if n == 0:
        return missing(State.NO_LABELS)
    total = float(bins.score_sum.sum()) - positive
    squares = float(bins.score_sq.sum()) - 2 * float(bins.positive_score_sum.sum()) + positive
    return figure(total / n, mean_interval(total, squares, n), n)


def _score_bins(column: Mapping[str, NDArray[np.float64]], rows: slice) -> ScoreBins | None:
    """Histograms over the occupied bins; None where no row carries a score."""
    bins = column["bin"][rows]
    scored = bins >= 0
    if not scored.any():
        return None
    begins = np.flatnonzero(np.diff(bins, prepend=-2))
    sums = {k: np.add.reduceat(column[k][rows], begins) for k in _BIN_SUMS}
    keep = bins[begins] >= 0
    return ScoreBins(
        sums["n"][keep],
        sums["n_labelled"][keep],
        sums["n_positive"][keep],
        sums["labelled_score_sum"][keep],
        sums["labelled_score_sq"][keep],
        sums["positive_score_sum"][keep],
        sums["log_loss_sum"][keep],
    )


def _majority(c: Confusion) -> Confusion:
    """What always saying the more frequent class would have got."""
    positive, negative = c.tp + c.fn, c.fp + c.tn
    return (
        Confusion(positive, negative, 0, 0)
        if positive > negative
        else Confusion(0, 0, positive, negative)
    )


_REGRESSION_SUMS = ("y_sum", "y_sq", "e_sum", "e_abs", "e_sq", "e_quad", "ape_sum", "ape_sq")


def _regression(frame: pl.DataFrame, costs: Costs | None) -> Iterator[Figures]:
    frame = _sorted(frame, ())
    for (group, _), row in zip(_groups(frame), frame.iter_rows(named=True), strict=True):
        sums = RegressionSums(
            n_labelled=row["n_labelled"],
            n_ape=row["n_ape"],
            **{k: float(row[k]) for k in _REGRESSION_SUMS},
        )
        n = row["n_labelled"]
        baselines: dict[str, dict[str, Estimate]] = {}
        if n:
            spread = max(row["y_sq"] / n - (row["y_sum"] / n) ** 2, 0.0) ** 0.5
            # predicting the window's own mean: its RMSE is the spread of the labels
            baselines["mean"] = {"rmse": Estimate(spread, None, None, n)}
        if row["n_fallback"]:
            m = row["n_fallback"]
            baselines["fallback"] = {
                # the sum of |e|^2 is that of e^2, so the mean of |e| has its interval
                "mae": mean(row["fallback_e_abs"], row["fallback_e_sq"], m, 0.0),
                "rmse": Estimate((row["fallback_e_sq"] / m) ** 0.5, None, None, m),
                "bias": Estimate(row["fallback_e_sum"] / m, None, None, m),
            }
            if costs is not None:
                baselines["fallback"][COST] = cost_of_errors(
                    row["fallback_e_sum"], row["fallback_e_abs"], row["fallback_e_sq"], m, costs
                )
        found = regression_metrics(sums)
        if costs is not None:
            found[COST] = cost_of_errors(sums.e_sum, sums.e_abs, sums.e_sq, n, costs)
        yield Figures(
            group,
            row["n"],
            n,
            _with_rows(found, row["n"]),
            baselines=baselines,
            y_mean=row["y_sum"] / n if n else None,
        )


def _multiclass(
    deployment: Deployment,
    frame: pl.DataFrame,
    scores: pl.DataFrame | None,
    costs: Costs | None,
) -> Iterator[Figures]:
    frame = _sorted(frame, ("predicted", "actual"))
    names = tuple(deployment.class_scores) or tuple(
        sorted({*frame["predicted"].drop_nulls(), *frame["actual"].drop_nulls()})
    )
    known = dict.fromkeys(names)
    known.update(dict.fromkeys(sorted({*frame["predicted"], *frame["actual"].drop_nulls()})))
    classes = tuple(known)
    place = {name: i for i, name in enumerate(classes)}
    score_parts = _score_parts(scores)
    for group, rows in _groups(frame):
        part = frame[rows.start : rows.stop]
        matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
        for predicted, actual, n in part.select("predicted", "actual", "n").iter_rows():
            if actual is not None:
                matrix[place[actual], place[predicted]] += n
        total, labelled = int(part["n"].sum()), int(matrix.sum())
        bins = _class_bins(score_parts, group, len(names)) if group.segment == 0 else None
        probabilities = bool(deployment.class_scores)
        sums = MulticlassSums(
            matrix,
            classes,
            bins if bins is not None and len(classes) == len(names) else None,
            float(part["log_loss_sum"].sum()) if probabilities else None,
            float(part["brier_sum"].sum()) if probabilities else None,
            int(part["n_scored"].sum()),
        )
        found = multiclass_metrics(sums)
        right = int(matrix.sum(axis=1).max()) if labelled else 0
        baselines: dict[str, dict[str, Estimate]] = {}
        if labelled:
            baselines["majority"] = {"accuracy": proportion(right, labelled)}
        with_fallback = int(part["n_fallback"].sum())
        if with_fallback:
            answers = proportion(int(part["fallback_right"].sum()), with_fallback)
            baselines["fallback"] = {"accuracy": answers}
        overall = found.overall
        if costs is not None:
            overall[COST] = error_cost(overall["accuracy"], costs)
            for beside in baselines.values():
                beside[COST] = error_cost(beside["accuracy"], costs)
        yield Figures(
            group,
            total,
            labelled,
            _with_rows(overall, total),
            by_class=found.by_class,
            baselines=baselines,
        )


_ScoreParts = Mapping[tuple[object, ...], pl.DataFrame]


def _score_parts(scores: pl.DataFrame | None) -> _ScoreParts:
    """Class score bins by (start, version, class), cut once: a filter for each would cost more."""
    if scores is None or scores.is_empty():
        return {}
    keys = ["start", "version", "class", "bin"]
    sums = [name for name in _BIN_SUMS if name in scores.columns]
    merged = scores.group_by(keys).agg(pl.col(sums).sum()).sort(keys)  # of both predicted
    return merged.partition_by(keys[:-1], as_dict=True)


def _class_bins(parts: _ScoreParts, group: Group, n_classes: int) -> tuple[ScoreBins, ...] | None:
    start = group.start.replace(tzinfo=None) if group.start is not None else None
    bins = []
    for number in range(n_classes):
        part = parts.get((start, group.version, number))
        if part is None:
            return None
        column = {k: part[k].to_numpy() for k in _BIN_SUMS if k in part.columns}
        bins.append(
            ScoreBins(
                column["n"],
                column["n_labelled"],
                column["n_positive"],
                column["labelled_score_sum"],
                column["labelled_score_sq"],
                column["positive_score_sum"],
                np.zeros(part.height),
            )
        )
    return tuple(bins)


def _with_rows(metrics: Mapping[str, Estimate], n: int) -> Mapping[str, Estimate]:
    """A group without any prediction has no rows rather than no labels."""
    return dict.fromkeys(metrics, missing(State.NO_ROWS)) if n <= 0 else metrics


def provisional(figure: Figures) -> Figures:
    """The same figures, marked as still moving: labels of these rows are due."""
    return _marked(figure, State.PROVISIONAL)


def stale(figure: Figures) -> Figures:
    """The same figures, marked as not of now: predictions have stopped coming."""
    return _marked(figure, State.STALE)


def _marked(figure: Figures, state: State) -> Figures:
    moved = {
        name: replace(e, state=state) if e.state is State.OK else e
        for name, e in figure.metrics.items()
    }
    return replace(figure, metrics=moved)
