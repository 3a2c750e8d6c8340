"""Which slices of the rows carry more of a change than their share, each said once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from console.analysis.decomposition import Split
from console.analysis.estimate import TOO_FEW, Estimate, State
from console.analysis.explain_sums import Grouped, Kind

__all__ = ["LEAST_ROWS", "Slice", "standing_out"]

LEAST_ROWS = 10
"""Labelled rows on one side below which a slice is not judged. With 10 and more, pure noise calls
anything out of 187 values in 0 to 4 % of comparisons (docs/statistics.md)."""

_MATTERS = 0.1
"""Of the change: what a slice must carry beyond its share to be named."""
_AS_WELL = 0.8
"""Of what a cross carries: from here on its parent is named instead."""
_SAME = 0.02
_MOST = 8

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice that stands out. values: its columns and values; also: other names of the same rows.

    excess: contribution beyond its share of the change, with an interval that holds for all slices
    that were looked at. rows, rows_other: shares of the labelled rows on each side, and n counts.
    value, other: the figure in it. moved: whether the slice's own size changed so much that its
    coming or going, not its figure, makes the contribution.
    """

    kind: Kind
    values: tuple[tuple[str, str], ...]
    also: tuple[tuple[tuple[str, str], ...], ...]
    n: int
    n_other: int
    rows: float
    rows_other: float
    value: float | None
    other: float | None
    mix: float
    within: float
    excess: Estimate

    @property
    def contribution(self) -> float:
        """mix + within."""
        return self.mix + self.within


def standing_out(g: Grouped, split: Split, z: float) -> tuple[Slice, ...]:
    """Slices surely beyond their share, the largest first.

    z: quantile that is corrected for the number of values. Where the change itself is sure, only
    slices that pull the same way are named.
    """
    sure_change = abs(split.change) > 1.96 * split.change_error
    enough = np.maximum(g.rows, g.rows_other) >= LEAST_ROWS
    sure = (np.abs(split.excess) > z * split.excess_error) & (split.excess_error > 0) & enough
    large = np.abs(split.excess) >= _MATTERS * abs(split.change)
    same_way = (np.sign(split.excess) == np.sign(split.change)) | (not sure_change)
    ordinary = np.array([v[0] == "ordinary" for v in g.values], bool)
    of_condition = np.array([c.kind is Kind.CONDITION for c in g.cuts], bool)
    ordinary &= of_condition[g.cut]
    places = np.flatnonzero(sure & large & same_way & ~ordinary)
    order = list(Kind)
    ranked = sorted(
        places.tolist(),
        key=lambda i: (-round(abs(float(split.excess[i])), 12), order.index(g.cuts[g.cut[i]].kind)),
    )
    merged = _merged(g, ranked[: _MOST * 12])
    kept = _without_repeats(g, split, merged)
    return tuple(_slice(g, split, z, i, also) for i, also in kept[:_MOST])


def _merged(g: Grouped, ranked: list[int]) -> list[tuple[int, list[int]]]:
    """Slices of (nearly) the same rows as one, under the simplest name."""
    sums = np.stack([g.sums.a.x, g.sums.a.d, g.sums.b.x, g.sums.b.d]).reshape(-1, len(g.cut))
    order = list(Kind)
    out: list[tuple[int, list[int]]] = []
    for i in ranked:
        for k, (first, also) in enumerate(out):
            room = _SAME * np.maximum(np.abs(sums[:, first]), np.abs(sums[:, i])) + 1e-12
            if (np.abs(sums[:, first] - sums[:, i]) <= room).all():
                simpler = order.index(g.cuts[g.cut[i]].kind) < order.index(
                    g.cuts[g.cut[first]].kind
                )
                out[k] = (i, [first, *also]) if simpler else (first, [*also, i])
                break
        else:
            out.append((i, []))
    return out


def _without_repeats(
    g: Grouped, split: Split, merged: list[tuple[int, list[int]]]
) -> list[tuple[int, list[int]]]:
    """A cross or its parent, not both: the parent where it carries about as much."""
    carried = {_values(g, i): abs(float(split.excess[i])) for i, _ in merged}
    dropped: set[frozenset[tuple[str, str]]] = set()
    for i, _ in merged:
        mine = _values(g, i)
        if len(mine) < 2:
            continue
        parents = [frozenset({pair}) for pair in mine]
        known = [carried[p] for p in parents if p in carried]
        if known and max(known) >= _AS_WELL * carried[mine]:
            dropped.add(mine)
        else:
            dropped |= {p for p in parents if carried.get(p, 0.0) < carried[mine]}
    return [
        (i, [j for j in also if len(_values(g, j)) == 1 or len(_values(g, i)) > 1])
        for i, also in merged
        if _values(g, i) not in dropped
    ]


def _values(g: Grouped, i: int) -> frozenset[tuple[str, str]]:
    return frozenset(pairs(g, i))


def pairs(g: Grouped, i: int) -> tuple[tuple[str, str], ...]:
    """Column and value of a group, one or two."""
    return tuple(zip(g.cuts[g.cut[i]].names, g.values[i], strict=False))


def _slice(g: Grouped, split: Split, z: float, i: int, also: list[int]) -> Slice:
    n, n_other = int(g.rows[i]), int(g.rows_other[i])
    value = float(split.excess[i])
    half = z * float(split.excess_error[i])
    state = State.OK if max(n, n_other) >= TOO_FEW else State.TOO_FEW
    return Slice(
        g.cuts[g.cut[i]].kind,
        pairs(g, i),
        tuple(pairs(g, j) for j in also),
        n,
        n_other,
        n / max(g.whole_rows[0], 1),
        n_other / max(g.whole_rows[1], 1),
        figure_in(split.group_value[i]),
        figure_in(split.group_other[i]),
        float(split.mix[i]),
        float(split.within[i]),
        Estimate(value, value - half, value + half, n + n_other, state),
    )


def figure_in(value: float) -> float | None:
    """A group's own figure; None where it has no rows for it."""
    return float(value) if np.isfinite(value) else None
