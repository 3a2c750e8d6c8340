"""Sums of squared losses per row of an outcome frame, which rollups do not keep.

They make the variance of a mean log loss or Brier score, and only that.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Deployment, Task
from console.analysis.ratios import KEYS, Ratio

__all__ = ["with_loss_squares"]

_SMALLEST = 1e-15

_SUMS = pl.col(
    "n",
    "n_labelled",
    "n_positive",
    "labelled_score_sum",
    "labelled_score_sq",
    "positive_score_sum",
    "log_loss_sum",
).sum()

FloatArray = NDArray[np.float64]


def with_loss_squares(
    d: Deployment, ratio: Ratio, frame: pl.DataFrame, binned: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The rows with probabilities, with `n_scored` and `loss_sq`; other figures: the frame.

    Rows without a score are those of bin -1, unless `n_scored` says how many have one.

    Within a cell (predicted class; of multiclass also the actual one) losses are taken as
    exponential, E[x^2] = 2 E[x]^2. binned: outcome rows by score bin of the whole (binary), whose
    cells tell how far off that is, and the largest loss: each is that of its bin's mean score.
    """
    if ratio.name not in ("log_loss", "brier"):
        return frame
    if d.task is Task.MULTICLASS:
        loss, rows = pl.col(f"{ratio.name}_sum"), pl.col("n_scored")
        squares = pl.when(rows > 0).then(2 * loss**2 / rows).otherwise(0.0)
        if ratio.name == "brier":  # at most 2 a row
            squares = pl.min_horizontal(squares, 2 * loss)
        return frame.with_columns(loss_sq=squares)
    if "n_scored" not in frame.columns:
        scored = frame.filter(pl.col("bin") >= 0).group_by(*KEYS, "predicted").agg(_SUMS)
        frame = scored.with_columns(n_scored=pl.col("n_labelled"))
    rows, loss = pl.col("n_scored"), _loss(ratio)
    squares = pl.when(rows > 0).then(_factor(ratio, binned) * loss**2 / rows).otherwise(0.0)
    return frame.with_columns(loss_sq=pl.min_horizontal(squares, loss * _largest(ratio, binned)))


def _loss(ratio: Ratio) -> pl.Expr:
    if ratio.name == "log_loss":
        return pl.col("log_loss_sum")
    return pl.col("labelled_score_sq") - 2 * pl.col("positive_score_sum") + pl.col("n_positive")


def _factor(ratio: Ratio, binned: pl.DataFrame | None) -> pl.Expr:
    """E[x^2] / E[x]^2 of the rows of each predicted class."""
    found = {0: 2.0, 1: 2.0}
    for predicted in found if binned is not None else ():
        rows, loss = _cells(ratio, binned, predicted)
        mean, square = float(rows @ loss), float(rows @ loss**2)
        if mean > 0 and np.isfinite(square):
            found[predicted] = max(square * float(rows.sum()) / mean**2, 1.0)
    return pl.when(pl.col("predicted") == 1).then(found[1]).otherwise(found[0])


def _largest(ratio: Ratio, binned: pl.DataFrame | None) -> float:
    """The largest loss of a row; the sum of squares is at most that times the sum."""
    if ratio.name == "brier":
        return 1.0
    held = [_cells(ratio, binned, predicted) for predicted in (0, 1)] if binned is not None else []
    found = max((float(loss[rows > 0].max(initial=0.0)) for rows, loss in held), default=0.0)
    return found if found > 0 else -float(np.log(_SMALLEST))


def _cells(
    ratio: Ratio, binned: pl.DataFrame | None, predicted: int
) -> tuple[FloatArray, FloatArray]:
    """(rows, loss of each) by bin and class, positives first."""
    if binned is None:
        return np.zeros(0), np.zeros(0)
    part = binned.filter((pl.col("bin") >= 0) & (pl.col("predicted") == predicted))
    names = ("n_labelled", "n_positive", "labelled_score_sum", "positive_score_sum")
    rows, positive, score, score1 = (part[k].to_numpy().astype(np.float64) for k in names)
    negative = rows - positive
    with np.errstate(all="ignore"):
        s1 = np.clip(score1 / np.maximum(positive, 1), _SMALLEST, 1.0)
        s0 = np.clip((score - score1) / np.maximum(negative, 1), 0.0, 1 - _SMALLEST)
        losses = (
            (-np.log(s1), -np.log1p(-s0)) if ratio.name == "log_loss" else ((1 - s1) ** 2, s0**2)
        )
    return np.concatenate((positive, negative)), np.concatenate(losses)
