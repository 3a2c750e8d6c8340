"""Whether rows with a label are like those without: figures speak for the labelled rows only.

Only rows that have had time for their label are compared: labels that are merely late say nothing
about which rows never get one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Deployment, Task
from console.analysis.ask import Ask, utc
from console.analysis.distances import jensen_shannon, js_noise, used_bins
from console.analysis.findings import Finding, Severity
from console.analysis.maturity import Maturity

__all__ = ["Selection", "selection"]

FloatArray = NDArray[np.float64]
Slice = tuple[str, str, str]

RIPE = 0.95
"""Share of its labels that a step must have had time for."""

LEAST = 30  # rows on each side

LARGE = 0.25
"""Standardised mean difference from which two groups count as unlike (Rubin 2001)."""

SURE = 3.0  # standard errors

LARGE_JS = LARGE / math.sqrt(8 * math.log(2))
"""The Jensen-Shannon distance of two normal distributions that differ by LARGE, to second order."""

MATTERS = 0.05
"""Share of unlabelled rows from which unlike ones can move a figure that anyone acts on."""

FEW_UNSCORED = 0.99  # share of rows that must have a score

_SAME = 1e-9  # of the means themselves: what adding in another order makes of equal ones


@dataclass(frozen=True, slots=True)
class Selection:
    """Ripe rows of one slice, with and without a label.

    what: what is compared: "mean score", "mean prediction" or "predicted classes". labelled,
    unlabelled: that of each side, None for classes. difference: unlabelled minus labelled in
    standard deviations, for classes the Jensen-Shannon distance (base 2). sure: more than chance
    explains; large: so large that the figures do not speak for the unlabelled rows.
    """

    what: str
    n_labelled: int
    n_unlabelled: int
    labelled: float | None
    unlabelled: float | None
    difference: float
    sure: bool
    large: bool

    @property
    def text(self) -> str:
        """In a sentence."""
        many = f"{self.n_unlabelled:,} of {self.n_labelled + self.n_unlabelled:,} rows got no label"
        if not self.sure:
            return f"{many}; they are like those that did"
        if self.labelled is None or self.unlabelled is None:
            return f"{many}, and their {self.what} differ from those that did"
        return (
            f"{many}, and their {self.what} is {self.unlabelled:.3g} where that of the others is "
            f"{self.labelled:.3g}"
        )

    def finding(self, name: str) -> Finding | None:
        """Where labelled rows surely cannot speak for all."""
        share = self.n_unlabelled / (self.n_labelled + self.n_unlabelled)
        if not (self.sure and self.large and share >= MATTERS):
            return None
        text = f"{name}: labels come for other rows than all: {self.text}"
        return Finding(Severity.NOTE, "performance", text, share)


def selection(
    ask: Ask, frame: pl.DataFrame, whole: pl.DataFrame, known: Maturity
) -> Mapping[Slice, Selection]:
    """By slice (version and segment values); only those with enough ripe rows on both sides.

    frame: the outcome rollup by step, with or without score bins; a step counts when it has had
    time for its labels. whole: the same over the window, with bins, for the spread of scores.
    """
    if frame.is_empty() or known.usual is None:
        return {}
    starts = frame["start"].unique().to_list()
    ripe = [
        s
        for s in starts
        if known.arrived_of(ask.step_start(utc(s)), ask.step_end(utc(s)), ask.as_of) >= RIPE
    ]
    out: dict[Slice, Selection] = {}
    every = whole.partition_by(_KEYS, as_dict=True)
    part = frame.filter(pl.col("start").is_in(ripe))
    for key, rows in part.partition_by(_KEYS, as_dict=True).items():
        found = _of(ask.deployment, rows, every.get(key, rows))
        if found is not None:
            out[(str(key[0]), str(key[1]), str(key[2]))] = found
    return out


_KEYS = ("version", "value", "value2")


@np.errstate(all="ignore")  # what is not finite is left out below
def _of(d: Deployment, rows: pl.DataFrame, whole: pl.DataFrame) -> Selection | None:
    if d.task is Task.BINARY:
        return _scores(rows, whole)
    return _classes(rows) if d.task is Task.MULTICLASS else _predictions(rows)


def _scores(rows: pl.DataFrame, whole: pl.DataFrame) -> Selection | None:
    """Mean scores; a score's spread from the mean scores of its bins."""
    scored = whole.filter(pl.col("bin") >= 0)
    if float(scored["n"].sum()) < FEW_UNSCORED * float(whole["n"].sum()):
        return None  # without bins, rows without a score cannot be told from the others
    n = scored["n"].to_numpy().astype(np.float64)
    total, square = scored["score_sum"].to_numpy(), scored["score_sum"].to_numpy() ** 2 / n
    spread = float(square.sum() / n.sum() - (total.sum() / n.sum()) ** 2)
    names = ("n", "n_labelled", "score_sum", "labelled_score_sum")
    every, known, sums, of_known = (float(rows[k].sum()) for k in names)
    if min(known, every - known) < LEAST:
        return None
    one, other = of_known / known, (sums - of_known) / (every - known)
    spread = math.sqrt(max(spread, 0.0))
    return _means("mean score", (known, one), (every - known, other), spread)


def _predictions(rows: pl.DataFrame) -> Selection | None:
    """Mean predictions; their spread is at most that of labels plus that of errors."""
    names = ("n", "n_labelled", "prediction_sum", "y_sum", "y_sq", "e_sum", "e_sq")
    sums = {k: float(rows[k].sum()) for k in names}
    labelled, unlabelled = sums["n_labelled"], sums["n"] - sums["n_labelled"]
    if min(labelled, unlabelled) < LEAST:
        return None
    known = sums["y_sum"] + sums["e_sum"]
    spread = 0.0
    for k in ("y", "e"):
        mean = sums[f"{k}_sum"] / labelled
        spread += math.sqrt(max(sums[f"{k}_sq"] / labelled - mean * mean, 0.0))
    other = (sums["prediction_sum"] - known) / unlabelled
    return _means("mean prediction", (labelled, known / labelled), (unlabelled, other), spread)


def _means(
    what: str, one: tuple[float, float], other: tuple[float, float], spread: float
) -> Selection | None:
    (n, mean), (m, mean2) = one, other
    gap = mean2 - mean
    if abs(gap) <= _SAME * max(abs(mean), abs(mean2)):
        return Selection(what, round(n), round(m), mean, mean2, 0.0, False, False)
    difference = gap / spread if spread > 0 else math.nan
    if not (math.isfinite(difference) and math.isfinite(spread)):
        return None
    sure = abs(difference) > SURE * math.sqrt(1 / n + 1 / m)
    large = abs(difference) >= LARGE
    return Selection(what, round(n), round(m), mean, mean2, difference, sure, large)


def _classes(rows: pl.DataFrame) -> Selection | None:
    """Which classes were predicted, with and without a label."""
    known = pl.col("actual").is_not_null()
    sums = rows.group_by("predicted").agg(
        one=pl.col("n").filter(known).sum(), other=pl.col("n").filter(~known).sum()
    )
    sums = sums.sort("predicted", nulls_last=True)  # the same bytes whatever the order of groups
    one, other = (sums[k].to_numpy().astype(np.float64) for k in ("one", "other"))
    n, m = float(one.sum()), float(other.sum())
    distance = jensen_shannon(one, other)
    noise = js_noise(used_bins(one, other), n, m)
    if min(n, m) < LEAST or distance is None or noise is None:
        return None
    # 1.5 times the 95 % point of a root of chi-square is beyond what chance gives in 1,000
    sure, large = distance > 1.5 * noise.q95, distance >= LARGE_JS
    return Selection("predicted classes", round(n), round(m), None, None, distance, sure, large)
