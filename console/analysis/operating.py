"""What other operating thresholds would give: figures at any threshold, from the score bins.

A row says yes where its score is at least the threshold. At an edge of the bins the counts are
exact. Within a bin they are those of the nearer edge, and each figure carries a certified bound:
what it could be at most off, wherever in the bin its rows lie.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Costs, Deployment, Task
from console.analysis.binary import Confusion, binary_metrics
from console.analysis.costs import COST, confusion_cost, has_costs
from console.analysis.estimate import Estimate, State, missing
from console.analysis.figures import Figures
from console.analysis.intervals import proportion

__all__ = [
    "MERGED_BINS",
    "Operating",
    "Point",
    "Setting",
    "operating",
    "with_states",
]

MERGED_BINS = (1, 8, 16)
"""Score bins that the store puts together: of the whole, of a segment, of a cross of two."""

MOST_SLICES = 40
"""Slices that get a table of thresholds; one that is asked for is found for all."""

FOLLOWS = 0.01
"""Logged answers follow a threshold of the score while fewer than this share of them do not."""

_SCORE = -1  # the number that the bins of the score have among those of the features

_SHOWN = (
    "precision", "recall", "f1", "accuracy", "specificity", "fpr", "fnr", "balanced_accuracy",
    "mcc",
)  # fmt: skip

_MOVING = {State.PROVISIONAL, State.STALE}

Floats = NDArray[np.float64]
Slice = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Point:
    """Figures at one threshold. uncertain: labelled rows in the bin that the threshold cuts.

    n: rows with a score. metrics: those of a confusion, `selection_rate` (share that says yes, of
    all rows with a score) and the cost; bin_error says how far the bin can have moved each.
    """

    threshold: float
    n: int
    uncertain: int
    confusion: Confusion
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Setting:
    """A line in the table of thresholds, all exact. None: nothing in the denominator.

    what: why it is listed, e.g. "now", "best F1"; empty for the deciles of the scores.
    """

    threshold: float
    what: str
    selection_rate: float
    precision: float | None
    recall: float | None
    f1: float | None
    fpr: float | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class Operating:
    """now: the threshold that the logged answers act like, None where they follow none.

    configured: the contract's threshold, None where answers are logged and it is left at its
    default. disagreeing: of n rows with a score, those whose logged answer is surely not that of
    `configured`. settings: ascending. at: the figures at the threshold that was asked for.
    """

    now: float | None
    configured: float | None
    disagreeing: int
    n: int
    settings: tuple[Setting, ...]
    at: Point | None

    @property
    def disagrees(self) -> bool:
        """Whether the logged answers are not those of the configured threshold."""
        return self.disagreeing > FOLLOWS * self.n


@dataclass(frozen=True, slots=True)
class _Scores:
    """Occupied bins, ascending: rows with lower < score <= upper. All (bins,)."""

    lower: Floats
    upper: Floats
    n: Floats
    yes: Floats
    labelled: Floats
    positive: Floats
    logged: Confusion


def operating(
    d: Deployment, frame: pl.DataFrame, bins: pl.DataFrame | None, threshold: float | None
) -> dict[Slice, Operating]:
    """By (version, value, value2), from outcome rows of one window; {} where there are no scores.

    frame: columns version, segment, value, value2, bin, predicted and the sums. bins: columns
    feature, bin, upper.
    """
    if d.task is not Task.BINARY or bins is None or frame.is_empty():
        return {}
    edges = bins.filter(pl.col("feature") == _SCORE).sort("bin")["upper"].drop_nulls().to_numpy()
    if not len(edges):
        return {}
    costs = d.costs if has_costs(d.task, d.costs) else None
    parts = (
        frame.filter(pl.col("bin") >= 0)
        .sort("bin")
        .partition_by("version", "value", "value2", as_dict=True, maintain_order=True)
    )
    out = {}
    for place, ((version, value, value2), part) in enumerate(sorted(parts.items())):
        scores = _scores(part, edges, len(d.segments))
        # where answers are logged, the contract's default says nothing
        default = d.prediction and d.threshold == 0.5
        known = None if default else d.threshold_of(version)
        out[version, value, value2] = Operating(
            now := _now(scores),
            known,
            0 if known is None else _disagreeing(scores, known),
            int(scores.n.sum()),
            _settings(scores, now, costs) if place < MOST_SLICES else (),
            None if threshold is None else _point(scores, threshold, costs),
        )
    return out


def with_states(
    found: Mapping[Slice, Operating], whole: Iterable[Figures]
) -> dict[Slice, Operating]:
    """The tried threshold is as provisional or stale as the figures of its rows are."""
    moving = {
        (f.group.version, f.group.value, f.group.value2): state
        for f in whole
        for state in {e.state for e in f.metrics.values()} & _MOVING
    }
    out = dict(found)
    for key, o in found.items():
        state = moving.get(key)
        if state is None or o.at is None:
            continue
        metrics = {
            name: replace(e, state=state) if e.state is State.OK else e
            for name, e in o.at.metrics.items()
        }
        out[key] = replace(o, at=replace(o.at, metrics=metrics))
    return out


def _scores(part: pl.DataFrame, edges: Floats, n_segments: int) -> _Scores:
    segment = int(part["segment"][0])
    merged = MERGED_BINS[(segment > 0) + (segment > n_segments)]
    number = part["bin"].to_numpy()
    begins = np.flatnonzero(np.diff(number, prepend=-1))
    yes = part["predicted"].to_numpy() == 1
    column = {k: part[k].to_numpy().astype(np.float64) for k in ("n", "n_labelled", "n_positive")}
    bins = number[begins].astype(np.int64)
    first = bins * merged
    after = np.minimum(first + merged, len(edges) + 1)
    ends = np.concatenate(([-math.inf], edges, [math.inf]))
    tp, said = column["n_positive"][yes].sum(), column["n_labelled"][yes].sum()
    fn = column["n_positive"].sum() - tp
    tn = column["n_labelled"].sum() - said - fn
    return _Scores(
        ends[np.minimum(first, len(edges))],
        ends[after],
        np.add.reduceat(column["n"], begins),
        np.add.reduceat(np.where(yes, column["n"], 0.0), begins),
        np.add.reduceat(column["n_labelled"], begins),
        np.add.reduceat(column["n_positive"], begins),
        Confusion(int(tp), int(said - tp), int(fn), int(tn)),
    )


def _above(counts: Floats) -> Floats:
    """(bins + 1,): the sum from each bin on; the last is 0."""
    return np.concatenate((np.cumsum(counts[::-1])[::-1], [0.0]))


def _cut_bin(s: _Scores, threshold: float) -> int | None:
    """The bin whose rows lie on both sides of a threshold, if any."""
    held = (s.lower < threshold) & (threshold <= s.upper)
    place = np.flatnonzero(held & (threshold > np.nextafter(s.lower, math.inf)))
    return int(place[0]) if len(place) else None


def _point(s: _Scores, threshold: float, costs: Costs | None) -> Point:
    cut = _cut_bin(s, threshold)
    begin = int(np.count_nonzero(s.upper < threshold))
    uncertain = 0
    if cut is not None:
        uncertain = int(s.labelled[cut])
        low, high = max(s.lower[cut], 0.0), min(s.upper[cut], 1.0)
        begin = cut + int(threshold - low > high - threshold)
    n = int(s.n.sum())
    confusion = _confusion(s, begin)
    metrics = _metrics(confusion, int(s.n[begin:].sum()), n, costs)
    if cut is None:
        return Point(threshold, n, 0, confusion, {k: _off(e, 0.0) for k, e in metrics.items()})
    worst = dict.fromkeys(metrics, 0.0)
    base = _confusion(s, cut + 1)
    positive, negative = int(s.positive[cut]), int(s.labelled[cut] - s.positive[cut])
    said = int(s.n[cut + 1 :].sum())
    # each figure rises or falls with either count alone, so its ends are at the corners
    for p, q in product((0, positive), (0, negative)):
        corner = Confusion(base.tp + p, base.fp + q, base.fn - p, base.tn - q)
        for rows in (said, said + int(s.n[cut])):
            for name, e in _metrics(corner, rows, n, costs).items():
                value = metrics[name].value
                if value is not None:
                    worst[name] = max(worst[name], _distance(name, value, e.value))
    return Point(
        threshold, n, uncertain, confusion, {k: _off(e, worst[k]) for k, e in metrics.items()}
    )


def _distance(name: str, value: float, other: float | None) -> float:
    """How far; to a corner where the figure does not exist, as far as it can be at all."""
    if other is not None:
        return abs(other - value)
    lowest = -1.0 if name == "mcc" else 0.0
    return max(value - lowest, 1.0 - value)


def _off(e: Estimate, error: float) -> Estimate:
    return e if e.value is None else replace(e, bin_error=error)


def _confusion(s: _Scores, begin: int) -> Confusion:
    """Counts when the bins from `begin` on say yes."""
    tp = int(s.positive[begin:].sum())
    said = int(s.labelled[begin:].sum())
    fn = int(s.positive.sum()) - tp
    return Confusion(tp, said - tp, fn, int(s.labelled.sum()) - said - fn)


def _metrics(c: Confusion, said: int, n: int, costs: Costs | None) -> dict[str, Estimate]:
    found = binary_metrics(c)
    out = {name: found[name] for name in _SHOWN}
    out["selection_rate"] = proportion(said, n) if n else missing(State.NO_ROWS)
    if costs is not None:
        out[COST] = confusion_cost(c, costs)
    return out


def _now(s: _Scores) -> float | None:
    """The threshold below which as many scores lie as answers say no, if the answers follow one."""
    no = s.n - s.yes
    wrong = np.cumsum(s.yes) - s.yes + _above(no)[1:]  # with one bin left open for the threshold
    total = float(s.n.sum())
    if total <= 0 or float(wrong.min()) > FOLLOWS * total:
        return None
    rank = float(no.sum())
    ends = np.cumsum(s.n)
    place = int(np.searchsorted(ends, rank, side="right"))
    if place >= len(ends):
        return 1.0
    low, high = max(float(s.lower[place]), 0.0), min(float(s.upper[place]), 1.0)
    return low + (high - low) * (rank - float(ends[place] - s.n[place])) / float(s.n[place])


def _disagreeing(s: _Scores, threshold: float) -> int:
    no = s.n - s.yes
    return int(s.yes[s.upper < threshold].sum() + no[s.lower >= threshold].sum())


def _settings(s: _Scores, now: float | None, costs: Costs | None) -> tuple[Setting, ...]:
    tp, said = _above(s.positive), _above(s.labelled)
    fp = said - tp
    fn, tn = tp[0] - tp, fp[0] - fp
    above = _above(s.n) / max(float(s.n.sum()), 1.0)
    price = None
    if costs is not None and said[0] > 0:
        price = (
            1000
            * (
                costs.true_positive * tp
                + costs.false_positive * fp
                + costs.false_negative * fn
                + costs.true_negative * tn
            )
            / said[0]
        )

    def setting(k: int, what: str) -> Setting:
        at = np.nextafter(s.lower[k], math.inf) if k < len(s.lower) else 1.0
        return Setting(
            min(max(float(at), 0.0), 1.0) if math.isfinite(at) else 0.0,
            what,
            float(above[k]),
            _ratio(tp[k], said[k]),
            _ratio(tp[k], tp[k] + fn[k]),
            _ratio(2 * tp[k], 2 * tp[k] + fp[k] + fn[k]),
            _ratio(fp[k], fp[k] + tn[k]),
            None if price is None else float(price[k]),
        )

    named: dict[int, str] = {}
    for decile in range(1, 10):
        named[int(np.argmin(np.abs(above - decile / 10)))] = ""
    if tp[0] > 0:
        named[int(np.argmax(2 * tp / (2 * tp + fp + fn)))] = "best F1"
    if price is not None and np.isfinite(price).all():
        cheapest = int(np.argmin(price))
        named[cheapest] = " and ".join(w for w in (named.get(cheapest), "least cost") if w)
    rows = [setting(k, what) for k, what in named.items()]
    if now is not None:
        rows.append(_logged(s, now, costs))
    return tuple(sorted(rows, key=lambda r: (r.threshold, r.what)))


def _logged(s: _Scores, now: float, costs: Costs | None) -> Setting:
    c = s.logged
    price = confusion_cost(c, costs).value if costs is not None else None
    return Setting(
        now,
        "now",
        float(s.yes.sum()) / max(float(s.n.sum()), 1.0),
        _ratio(c.tp, c.tp + c.fp),
        _ratio(c.tp, c.tp + c.fn),
        _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn),
        _ratio(c.fp, c.fp + c.tn),
        price,
    )


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None
