"""Figures that are ratios of sums over rows, so that a change of them can be split exactly.

A figure is the sum over parts of coefficient x numerator / denominator, where both are sums over
the labelled rows of a group. Balanced accuracy has two parts, a mean over classes one per class,
all others one. AUC, average precision, ECE, MCC and R^2 are no such sums; `nearest` names what is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from collectors.contract import Costs, Deployment, Task
from console.analysis.figures import HEADLINE

__all__ = ["KEYS", "Ratio", "UnknownFigureError", "explainable", "nearest", "ratio_of", "tally"]

KEYS = ("version", "segment", "value", "value2")
"""Columns that tell the groups of an outcome frame."""

MOST_CLASSES = 30
"""Parts of a mean over classes; with more, accuracy is explained."""

# weights of the cells tp, fp, fn, tn in numerator and denominator
_CELLS: Mapping[str, tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]] = {
    "f1": (((2, 0, 0, 0), (2, 1, 1, 0)),),
    "precision": (((1, 0, 0, 0), (1, 1, 0, 0)),),
    "recall": (((1, 0, 0, 0), (1, 0, 1, 0)),),
    "accuracy": (((1, 0, 0, 1), (1, 1, 1, 1)),),
    "balanced_accuracy": (((1, 0, 0, 0), (1, 0, 1, 0)), ((0, 0, 0, 1), (0, 1, 0, 1))),
    "specificity": (((0, 0, 0, 1), (0, 1, 0, 1)),),
    "fpr": (((0, 1, 0, 0), (0, 1, 0, 1)),),
    "fnr": (((0, 0, 1, 0), (1, 0, 1, 0)),),
}
_BY_CLASS = ("f1", "precision", "recall", "balanced_accuracy")

_FIGURES = {
    Task.BINARY: (*_CELLS, "log_loss", "brier"),
    Task.MULTICLASS: (
        *("f1", "precision", "recall", "balanced_accuracy"),
        *("accuracy", "log_loss", "brier"),
    ),
    Task.REGRESSION: ("mae", "rmse", "mse", "mape", "bias"),
}
_NEAREST = {
    Task.BINARY: {
        "roc_auc": "log_loss",
        "auc": "log_loss",
        "average_precision": "f1",
        "ece": "brier",
        "mcc": "f1",
    },
    Task.MULTICLASS: {
        "roc_auc": "log_loss",
        "auc": "log_loss",
        "average_precision": "f1",
        "ece": "brier",
        "mcc": "accuracy",
        "specificity": "accuracy",
        "fpr": "accuracy",
        "fnr": "recall",
    },
    Task.REGRESSION: {"r2": "mse"},
}
_SHARES = frozenset(
    {"accuracy", "precision", "recall", "balanced_accuracy", "specificity", "fpr", "fnr"}
) | {"coverage", "error_rate"}
_SCORED = ("log_loss", "brier")


class UnknownFigureError(ValueError):
    """A figure that the task does not have; says which there are."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure as sums. disjoint: whether no row is in two parts. root: the figure is the root.

    classes: of a mean over classes, one part each. approximate: whether the spread of the rows is
    taken from score bins of the whole, or from a bound.
    """

    name: str
    parts: int = 1
    disjoint: bool = True
    root: bool = False
    classes: tuple[str, ...] = ()
    approximate: bool = False

    @property
    def share(self) -> bool:
        """Whether each part is a share of rows."""
        return self.name in _SHARES

    @property
    def coefficient(self) -> float:
        """Of each part."""
        return 1 / self.parts


def explainable(d: Deployment) -> tuple[str, ...]:
    """The figures of a deployment that can be asked for; the last ones through their nearest."""
    cost = ("cost",) if d.costs is not None else ()
    return (*_FIGURES[d.task], *cost, "coverage", "error_rate", *_NEAREST[d.task])


def nearest(d: Deployment, figure: str) -> tuple[str, str]:
    """(the figure that is explained, why it is another one or empty).

    Raises UnknownFigureError with the list of those there are.
    """
    wanted = figure.strip().lower() or HEADLINE[d.task]
    if wanted in _NEAREST[d.task]:
        other = _NEAREST[d.task][wanted]
        return other, f"{wanted} is no sum over rows and cannot be split; this explains {other}"
    known = explainable(d)
    if wanted not in known:
        if wanted == "cost":
            raise UnknownFigureError(f"{d.name} has no costs: configure [deployment.costs]")
        raise UnknownFigureError(f"{d.name} has no figure {wanted!r}; there is {', '.join(known)}")
    return wanted, ""


def ratio_of(d: Deployment, figure: str, classes: Sequence[str] = ()) -> Ratio:
    """How a figure is put together. classes: of a multiclass deployment, on both sides."""
    if figure in ("coverage", "error_rate"):
        return Ratio(figure)
    if d.task is Task.MULTICLASS and figure in _BY_CLASS and 0 < len(classes) <= MOST_CLASSES:
        return Ratio(figure, len(classes), figure != "f1", classes=tuple(classes))
    if d.task is Task.BINARY and figure in _CELLS:
        return Ratio(figure, len(_CELLS[figure]))
    rough = figure in _SCORED or (figure == "cost" and d.task is Task.REGRESSION)
    return Ratio(figure, root=figure == "rmse", approximate=rough)


def tally(d: Deployment, ratio: Ratio, frame: pl.DataFrame) -> pl.DataFrame:
    """Sums per group of an outcome frame: KEYS, n, n_labelled, and per part k the columns

    x{k}, d{k}: sums of what a row adds to numerator and denominator; xx{k}, xd{k}, dd{k}: sums of
    their squares and product, which make the variance. Groups come in no order.
    """
    labelled = pl.col("n") if ratio.name == "error_rate" else _labelled(d)
    sums = [pl.col("n").sum().cast(pl.Float64), labelled.sum().cast(pl.Float64).alias("n_labelled")]
    for k in range(ratio.parts):
        x, den, xx, xd, dd = _row_sums(d, ratio, k, frame)
        named = (("x", x), ("d", den), ("xx", xx), ("xd", xd), ("dd", dd))
        sums += [e.sum().cast(pl.Float64).alias(f"{name}{k}") for name, e in named]
    return frame.group_by(KEYS, maintain_order=True).agg(sums)


def _labelled(d: Deployment) -> pl.Expr:
    if d.task is Task.MULTICLASS:
        return pl.when(pl.col("actual").is_not_null()).then(pl.col("n")).otherwise(0)
    return pl.col("n_labelled")


def _row_sums(d: Deployment, ratio: Ratio, k: int, frame: pl.DataFrame) -> tuple[pl.Expr, ...]:
    """x, d, x^2, x d, d^2 of the rows of one part."""
    if ratio.name == "coverage":
        hits, rows = _labelled(d), pl.col("n")
        return hits, rows, hits, hits, rows
    if ratio.name == "error_rate":
        failed, rows = pl.col("n_error"), pl.col("n")
        return failed, rows, failed, failed, rows
    match d.task:
        case Task.BINARY:
            return _binary(d, ratio, k, frame)
        case Task.MULTICLASS:
            return _multiclass(d, ratio, k)
        case Task.REGRESSION:
            return _regression(d, ratio.name)


def _binary(d: Deployment, ratio: Ratio, k: int, frame: pl.DataFrame) -> tuple[pl.Expr, ...]:
    if ratio.name in _SCORED:
        # rows of bin -1 were logged without a score; totals without bins hold only sums
        rows = pl.col("n_scored") if "n_scored" in frame.columns else pl.col("n_labelled")
        loss = pl.col("log_loss_sum")
        if ratio.name == "brier":
            square = pl.col("labelled_score_sq") - 2 * pl.col("positive_score_sum")
            loss = square + pl.col("n_positive")
        return loss, rows, pl.col("loss_sq"), loss, rows
    yes = (pl.col("predicted") == 1).fill_null(value=False)
    positive, negative = pl.col("n_positive"), pl.col("n_labelled") - pl.col("n_positive")
    cells = (
        pl.when(yes).then(positive).otherwise(0),
        pl.when(yes).then(negative).otherwise(0),
        pl.when(yes).then(0).otherwise(positive),
        pl.when(yes).then(0).otherwise(negative),
    )
    if ratio.name == "cost":
        c = d.costs or Costs()
        x: tuple[float, ...] = (c.true_positive, c.false_positive, c.false_negative)
        return _weighted(cells, (*x, c.true_negative), (1, 1, 1, 1))
    return _weighted(cells, *_CELLS[ratio.name][k])


def _weighted(
    cells: Sequence[pl.Expr], x: Sequence[float], d: Sequence[float]
) -> tuple[pl.Expr, ...]:
    def added(weights: Sequence[float]) -> pl.Expr:
        total = pl.lit(0.0)
        for cell, weight in zip(cells, weights, strict=True):
            if weight:
                total = total + cell * float(weight)
        return total

    pairs = list(zip(x, d, strict=True))
    return (
        added(x),
        added(d),
        added([a * a for a, _ in pairs]),
        added([a * b for a, b in pairs]),
        added([b * b for _, b in pairs]),
    )


def _multiclass(d: Deployment, ratio: Ratio, k: int) -> tuple[pl.Expr, ...]:
    rows = _labelled(d)
    if ratio.name in _SCORED:
        known = pl.col("n_scored").cast(pl.Float64)
        loss = pl.col(f"{ratio.name}_sum")
        return loss, known, pl.col("loss_sq"), loss, known
    actual, predicted = pl.col("actual"), pl.col("predicted")
    right = (actual == predicted).fill_null(value=False)
    if ratio.name == "cost":
        price = (d.costs or Costs()).error
        wrong = pl.when(right).then(0).otherwise(rows)
        return wrong * price, rows, wrong * price**2, wrong * price, rows
    hit = pl.when(right).then(rows).otherwise(0)
    if not ratio.classes:  # accuracy
        return hit, rows, hit, hit, rows
    name = ratio.classes[k]
    is_actual, is_said = (actual == name).fill_null(value=False), predicted == name
    tp = pl.when(is_actual & is_said).then(rows).otherwise(0)
    fp = pl.when(is_said & ~is_actual).then(rows).otherwise(0)
    fn = pl.when(is_actual & ~is_said).then(rows).otherwise(0)
    zero = pl.lit(0)
    wanted = "recall" if ratio.name == "balanced_accuracy" else ratio.name
    return _weighted((tp, fp, fn, zero), *_CELLS[wanted][0])


def _regression(d: Deployment, name: str) -> tuple[pl.Expr, ...]:
    n, squares = pl.col("n_labelled"), pl.col("e_sq")
    if name == "mape":
        ape, rows = pl.col("ape_sum"), pl.col("n_ape")
        return ape, rows, pl.col("ape_sq"), ape, rows
    if name in ("rmse", "mse"):
        return squares, n, pl.col("e_quad"), squares, n
    if name == "bias":
        return pl.col("e_sum"), n, squares, pl.col("e_sum"), n
    if name == "cost":
        c = d.costs or Costs()
        over, under = (pl.col("e_abs") + pl.col("e_sum")) / 2, pl.col("e_abs") - pl.col("e_sum")
        price = over * c.over + under / 2 * c.under
        # a row costs at most the dearer side times |e|, so this is no less than the sum of squares
        return price, n, squares * max(abs(c.over), abs(c.under)) ** 2, price, n
    return pl.col("e_abs"), n, squares, pl.col("e_abs"), n
