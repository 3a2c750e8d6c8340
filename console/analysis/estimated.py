"""Performance before labels: what calibrated scores promise (CBPE).

Confidence-based performance estimation (NannyML): each prediction counts as a positive to the
degree of its calibrated probability p, so a confusion matrix and what follows from it can be
expected without a label. It holds while scores mean what they meant on the reference: it sees that
rows got harder (covariate shift), not that labels no longer follow the scores (concept drift).

Interval of an estimate: 95 %, for the figure that labels of these very rows would give. To first
order it has the variance of the labels given p, sum of p (1 - p) times the squared slope of the
figure against one label, and that of the calibration map (delta method over its blocks). So a
realised figure outside of it contradicts the scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Deployment, Task
from console.analysis.ask import utc
from console.analysis.calibration import ONE_CLASS, Calibration, calibrate
from console.analysis.estimate import Estimate, State, missing
from console.analysis.estimated_sums import Cells, Expected, expected_figures
from console.analysis.figures import Group
from console.analysis.regression import REGRESSION_METRICS

__all__ = ["Estimated", "Maps", "estimated", "maps_of"]

FloatArray = NDArray[np.float64]

REGRESSION = (
    "before labels come there is no estimate of the error of a regression from rollups: "
    "a prediction does not say how far off it may be"
)
NO_SCORES = "no scores are logged"
NO_REFERENCE = "there is no reference to calibrate the scores on"
ONE_OF_MANY = "a class never comes in the labels of the reference"
NO_SEGMENT = "class scores are not kept by segment"
BEYOND = "more than half of the scores lie outside those of the reference"

MOST_BEYOND = 0.5
"""Share of rows with scores that the reference never had, above which nothing is promised."""

Key = tuple[str, int]
"""A version ("" serves all) and the number of a class; 0 where there is one score only."""

Maps = Mapping[Key, Calibration | str]
"""Calibration by key; a sentence where a reference gives none."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """What is expected of one group of rows, without looking at their labels.

    metrics: of all rows with a score; labelled: of those that have a label by now, to compare with
    the realised figures. cells: expected tp, fp, fn, tn of all rows (binary only). positive:
    expected share of positives among the labelled rows (binary only). n_labelled: labelled rows
    with a score. reason: why there is no estimate, else empty.
    """

    metrics: Mapping[str, Estimate]
    labelled: Mapping[str, Estimate]
    cells: tuple[float, float, float, float] | None = None
    positive: Estimate | None = None
    n_labelled: int = 0
    reason: str = ""


def maps_of(d: Deployment, reference: pl.DataFrame | None, coarse: int = 1) -> Maps:
    """Calibration of every version of a reference, from its score bins over all rows.

    reference: outcome rollup of binary deployments (version, bin, n_labelled, n_positive), class
    scores of multiclass ones (with `class`). coarse: how many score bins are merged to one in the
    frames that the maps will be used on.
    """
    if reference is None or reference.is_empty() or d.task is Task.REGRESSION:
        return {}
    keys = ["version", "class"] if d.task is Task.MULTICLASS else ["version"]
    scored = reference.filter(pl.col("bin") >= 0)
    out: dict[Key, Calibration | str] = {}
    for values, part in scored.group_by(keys):
        bins = part["bin"].to_numpy() // coarse
        number = int(values[1]) if len(values) > 1 else 0
        out[(str(values[0]), number)] = calibrate(
            bins, part["n_labelled"].to_numpy(), part["n_positive"].to_numpy()
        )
    return out


def estimated(
    d: Deployment, frame: pl.DataFrame, maps: Maps, class_scores: pl.DataFrame | None = None
) -> Mapping[Group, Estimated]:
    """Expected figures of every group of a frame.

    frame: outcome rollup. class_scores: score bins per class of the same steps and versions, for
    multiclass deployments; None for a segment, where they are not kept.
    """
    if frame.is_empty():
        return {}
    if d.task is Task.BINARY:
        return _binary(d, frame, maps)
    if d.task is Task.MULTICLASS:
        reason = NO_SEGMENT if d.class_scores and class_scores is None else NO_SCORES
        none = dict.fromkeys(_groups(frame)[0], _none(reason))
        if class_scores is None or class_scores.is_empty():
            return none
        return none | dict(_multiclass(class_scores, maps))
    return dict.fromkeys(_groups(frame)[0], _none(REGRESSION, REGRESSION_METRICS))


def _binary(d: Deployment, frame: pl.DataFrame, maps: Maps) -> Mapping[Group, Estimated]:
    groups, begins = _groups(frame)
    names = ("bin", "predicted", "n", "n_labelled", "score_sum", "labelled_score_sum")
    column = {k: frame[k].to_numpy() for k in names}
    group = np.repeat(np.arange(len(groups)), np.diff([*begins.tolist(), frame.height]))
    order = np.lexsort((column["predicted"], column["bin"], group))
    order = order[column["bin"][order] >= 0]
    column = {k: v[order] for k, v in column.items()}
    reason = NO_SCORES if d.score is None or not len(order) else NO_REFERENCE
    out: dict[Group, Estimated] = dict.fromkeys(groups, _none(reason))
    if not len(order):
        return out
    index, begins = np.unique(group[order], return_index=True)
    groups = [groups[i] for i in index.tolist()]
    of = [_map_of(maps, g.version, 0) for g in groups]
    out |= {g: _none(m) for g, m in zip(groups, of, strict=True) if isinstance(m, str)}
    found = _cells(groups, begins, of, column["bin"], column["predicted"] == 1)
    if found is None:
        return out
    kept, rows, cells = found
    n, labelled = (column[k][rows].astype(np.float64) for k in ("n", "n_labelled"))
    every = expected_figures(cells, n, column["score_sum"][rows])
    known = expected_figures(cells, labelled, column["labelled_score_sum"][rows])
    beyond = (every.beyond > MOST_BEYOND).tolist()
    figures = zip(
        kept,
        every.figures(),
        known.figures(),
        zip(*(cell.tolist() for cell in every.cells), strict=True),
        known.positive(),
        known.n.tolist(),
        strict=True,
    )
    for far, (group, promised, of_known, cells_of, positive, n_known) in zip(
        beyond, figures, strict=True
    ):
        found_one = Estimated(promised, of_known, cells_of, positive, round(n_known))
        out[group] = _none(BEYOND) if far else found_one
    return out


def _multiclass(frame: pl.DataFrame, maps: Maps) -> Mapping[Group, Estimated]:
    keys = [k for k in ("start", "version", "class") if k in frame.columns]
    ordered = frame.sort([*keys, "bin", "predicted"])
    groups, begins = _groups(ordered, "class")
    heads = ordered["class"].to_numpy()[begins].tolist()
    of = [_map_of(maps, g.version, k) for g, k in zip(groups, heads, strict=True)]
    out: dict[Group, Estimated] = {}
    # a version with one class that cannot be calibrated has no mean over its classes
    lost = {
        g: ONE_OF_MANY if m == ONE_CLASS else m
        for g, m in zip(groups, of, strict=True)
        if isinstance(m, str)
    }
    of = [lost.get(g, m) for g, m in zip(groups, of, strict=True)]
    out |= {g: _none(m) for g, m in lost.items()}
    said = ordered["predicted"].to_numpy() == 1
    found = _cells(groups, begins, of, ordered["bin"].to_numpy(), said)
    if found is None:
        return out
    kept, rows, cells = found
    every, known = (
        expected_figures(cells, ordered[k].to_numpy()[rows].astype(np.float64), None)
        for k in ("n", "n_labelled")
    )
    first = np.array([i for i, g in enumerate(kept) if i == 0 or g != kept[i - 1]])
    every, known = every.means(first), known.means(first)
    for i, far, promised, of_known, n_known in zip(
        first.tolist(),
        (every.beyond > MOST_BEYOND).tolist(),
        every.figures(),
        known.figures(),
        known.n.tolist(),
        strict=True,
    ):
        one = Estimated(promised, of_known, n_labelled=round(n_known))
        out[kept[i]] = _none(BEYOND) if far else one
    return out


def _cells(
    groups: list[Group],
    begins: NDArray[np.int64],
    of: list[Calibration | str],
    bins: NDArray[np.int64],
    yes: NDArray[np.bool_],
) -> tuple[list[Group], NDArray[np.bool_], Cells] | None:
    """(groups with a map, which rows are theirs, their cells); None where none has one."""
    lengths = np.diff([*begins.tolist(), len(bins)])
    has = np.array([not isinstance(m, str) for m in of])
    if not has.any():
        return None
    rows = np.repeat(has, lengths)
    kept = [g for g, m in zip(groups, of, strict=True) if not isinstance(m, str)]
    held = [m for m in of if not isinstance(m, str)]
    index = np.repeat(np.arange(len(kept)), lengths[has])
    distinct = {id(m): m for m in held}
    place = {key: i for i, key in enumerate(distinct)}
    which = np.array([place[id(m)] for m in held])[index]
    mine = bins[rows]
    p, share = np.empty(len(mine)), np.empty(len(mine))
    left, right = np.empty(len(mine), np.int64), np.empty(len(mine), np.int64)
    beyond = np.empty(len(mine), bool)
    blocks = max(len(m.p) for m in held)
    variance = np.zeros((len(distinct), blocks))
    for i, m in enumerate(distinct.values()):
        at = which == i
        found = m.at(mine[at])
        p[at], share[at], beyond[at] = found.p, found.share, found.beyond
        left[at], right[at] = found.left, found.right
        variance[i, : len(m.p)] = m.variance
    of_group = variance[[place[id(m)] for m in held]]
    return kept, rows, Cells(index, mine, yes[rows], p, left, right, share, beyond, of_group)


_KEYS = ("start", "version", "segment", "value", "value2")


def _groups(frame: pl.DataFrame, *more: str) -> tuple[list[Group], NDArray[np.int64]]:
    """Groups of consecutive rows and where each begins; class scores are of the whole."""
    keys = [k for k in (*_KEYS, *more) if k in frame.columns]
    ids = frame.select(pl.struct(keys).rle_id().alias("id"))["id"].to_numpy()
    begins = np.concatenate(([0], np.flatnonzero(np.diff(ids)) + 1))
    heads = frame.select(keys)[begins.tolist()].iter_rows(named=True)
    groups = [
        Group(
            utc(h["start"]) if h.get("start") is not None else None,
            h["version"],
            h.get("segment", 0),
            h.get("value", ""),
            h.get("value2", ""),
        )
        for h in heads
    ]
    return groups, begins


def _map_of(maps: Maps, version: str, number: int) -> Calibration | str:
    """The version's own map, or that of the reference which serves all."""
    own = maps.get((version, number))
    return own if own is not None else maps.get(("", number), NO_REFERENCE)


def _none(reason: str, names: tuple[str, ...] = Expected.NAMES) -> Estimated:
    state = dict.fromkeys(names, missing(State.CANNOT_TELL))
    return Estimated(state, state, reason=reason)
