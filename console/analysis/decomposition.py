"""A change of a ratio of sums, split exactly over groups of rows into mix and within.

For a ratio M = N / D, a group's weight is w = D_g / D and its own ratio m = N_g / D_g. With bars as
means of both sides and the difference as side A minus side B,

    mix = (w_A - w_B) (m̄ - M̄)      the group became more or less frequent
    within = w̄ (m_A - m_B)          the figure changed inside the group

add up to M_A - M_B over groups that hold every row once (the symmetric form of Kitagawa 1955). A
group that only one side has is all mix. Their sum, a group's contribution, is
w_A m_A - w_B m_B - (w_A - w_B) M̄, and what it exceeds its share w̄ of the whole change by is
w_A (m_A - M_A) - w_B (m_B - M_B): the sides apart.

Standard errors: delta method on the sums of the group and of the rest, taken as independent sums
of a Poisson number of rows, whose variances are the sums of squares. So the number of rows in a
group is uncertain too, as it is in a window of time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from console.analysis.estimate import TOO_FEW
from console.analysis.ratios import Ratio

__all__ = ["Groups", "Split", "Sums", "decompose"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of one side, (parts, groups): x and d of a row go to numerator and denominator.

    xx, xd, dd: sums of their squares and product.
    """

    x: FloatArray
    d: FloatArray
    xx: FloatArray
    xd: FloatArray
    dd: FloatArray

    @classmethod
    def of(cls, ratio: Ratio, tallied: pl.DataFrame) -> Sums:
        """From the columns of `ratios.tally`, groups in the frame's order."""
        held = []
        for name in ("x", "d", "xx", "xd", "dd"):
            columns = [tallied[f"{name}{k}"].to_numpy() for k in range(ratio.parts)]
            held.append(np.stack(columns).astype(np.float64))
        return cls(*held)

    @property
    def ratio(self) -> FloatArray:
        """m of each part and group; NaN without rows."""
        out: FloatArray = np.divide(
            self.x, self.d, out=np.full(self.x.shape, np.nan), where=self.d > 0
        )
        return out


@dataclass(frozen=True, slots=True)
class Split:
    """Per group: mix, within and excess in the figure's unit, and their standard errors.

    value, other: the figure on side A and on side B, with their errors; change = value - other.
    group_value, group_other: the same within each group, NaN where it does not exist.
    by_dimension: mix of all groups of one dimension, by the dimension's number.
    """

    value: float
    other: float
    change: float
    change_error: float
    value_error: float
    other_error: float
    mix: FloatArray
    within: FloatArray
    contribution_error: FloatArray
    excess: FloatArray
    excess_error: FloatArray
    weight: FloatArray
    weight_other: FloatArray
    mix_by_dimension: FloatArray
    mix_error: FloatArray
    within_by_dimension: FloatArray
    within_error: FloatArray
    group_value: FloatArray = field(repr=False)
    group_other: FloatArray = field(repr=False)

    @property
    def contribution(self) -> FloatArray:
        """mix + within."""
        both: FloatArray = self.mix + self.within
        return both


@dataclass(frozen=True, slots=True)
class Groups:
    """Both sides cut into the same groups, of all dimensions in a row.

    dimension: the number of each group's, below n_dimensions. whole_a, whole_b: one group each.
    """

    a: Sums
    b: Sums
    whole_a: Sums
    whole_b: Sums
    dimension: IntArray
    n_dimensions: int


def decompose(ratio: Ratio, groups: Groups) -> Split | None:
    """Split the change from side B to side A; None where the figure does not exist on a side, or
    overflows.
    """
    with np.errstate(all="ignore"):
        found = _decompose(ratio, groups)
    if found is None or not np.isfinite([found.value, found.other, found.change_error]).all():
        return None
    arrays = (found.mix, found.within, found.excess, found.contribution_error, found.excess_error)
    return found if all(np.isfinite(one).all() for one in arrays) else None


def _decompose(ratio: Ratio, groups: Groups) -> Split | None:
    a, b, whole_a, whole_b = groups.a, groups.b, groups.whole_a, groups.whole_b
    dimension, n_dimensions = groups.dimension, groups.n_dimensions
    if not ((whole_a.d > 0).all() and (whole_b.d > 0).all()):
        return None
    total_a, total_b = whole_a.ratio, whole_b.ratio  # (parts, 1)
    middle = (total_a + total_b) / 2
    w_a, w_b = a.d / whole_a.d, b.d / whole_b.d
    m_a, m_b = a.ratio, b.ratio
    both = (a.d > 0) & (b.d > 0)
    only_a, only_b = (a.d > 0) & ~both, (b.d > 0) & ~both
    mean = np.where(both, (m_a + m_b) / 2, np.where(only_a, m_a, np.where(only_b, m_b, middle)))
    mix = (w_a - w_b) * (mean - middle)
    within = np.where(both, (w_a + w_b) / 2 * (np.where(both, m_a, 0) - np.where(both, m_b, 0)), 0)
    excess_a = (a.x - a.d * total_a) / whole_a.d
    excess_b = (b.x - b.d * total_b) / whole_b.d
    pooled = (a.d + b.d) / (whole_a.d + whole_b.d)
    scale, value, other = _scale(ratio, total_a, total_b)

    sides = (
        _Side(a, whole_a, total_a, middle, w_a - w_b, w_a, excess_a, mean, pooled, only_a, both),
        _Side(b, whole_b, total_b, middle, w_b - w_a, w_b, excess_b, mean, pooled, only_b, both),
    )
    contribution_sq = sides[0].contribution_sq() + sides[1].contribution_sq()
    excess_sq = sides[0].excess_sq() + sides[1].excess_sq()
    places = [side.dimension_sq(dimension, n_dimensions) for side in sides]
    squares_a, squares_b = _total_sq(ratio, whole_a), _total_sq(ratio, whole_b)
    # few rows may be alike by chance: what both sides together vary by is the least
    few = np.minimum(whole_a.d, whole_b.d) < TOO_FEW
    least = np.where(few, _alike_sq(whole_a, whole_b), 0.0)
    whole_sq = np.maximum(squares_a + squares_b, least)

    def error(squares: FloatArray) -> FloatArray:
        """Of the parts added up, (groups,): rows in two parts may err together."""
        part = squares * ratio.coefficient**2
        added = (
            part.sum(axis=0) if ratio.disjoint else np.sqrt(np.maximum(part, 0)).sum(axis=0) ** 2
        )
        found: FloatArray = np.sqrt(np.maximum(added, 0.0)) * scale
        # what is left of a variance that cancels out is rounding
        return np.where(found > 1e-12 * (abs(value) + abs(other)), found, 0.0)

    def added(parts: FloatArray) -> FloatArray:
        found: FloatArray = parts.sum(axis=0) * ratio.coefficient * scale
        return found

    def by_dimension(parts: FloatArray) -> FloatArray:
        return added(np.stack([np.bincount(dimension, row, n_dimensions) for row in parts]))

    return Split(
        value,
        other,
        value - other,
        float(error(whole_sq)[0]),
        _own_error(ratio, squares_a, value, other, error),
        _own_error(ratio, squares_b, other, value, error),
        added(mix),
        added(within),
        error(contribution_sq),
        added(excess_a - excess_b),
        error(excess_sq),
        w_a.mean(axis=0),
        w_b.mean(axis=0),
        by_dimension(mix),
        error(places[0][0] + places[1][0]),
        by_dimension(within),
        error(places[0][1] + places[1][1]),
        _figure(ratio, m_a),
        _figure(ratio, m_b),
    )


def _scale(ratio: Ratio, a: FloatArray, b: FloatArray) -> tuple[float, float, float]:
    """(factor from parts to figure, figure on both sides); a root's change is that of the square
    over the sum of both roots.
    """
    value, other = float(a.sum()) * ratio.coefficient, float(b.sum()) * ratio.coefficient
    if not ratio.root:
        return 1.0, value, other
    root, root_other = max(value, 0.0) ** 0.5, max(other, 0.0) ** 0.5
    both = root + root_other
    return (1 / both if both > 0 else 0.0), root, root_other


def _own_error(
    ratio: Ratio,
    squares: FloatArray,
    value: float,
    other: float,
    error: Callable[[FloatArray], FloatArray],
) -> float:
    """Of one side's figure; the root of a mean has the error of the mean over twice the root."""
    found = float(error(squares)[0])
    if not ratio.root:
        return found
    return found * (value + other) / (2 * value) if value > 0 else 0.0


def _figure(ratio: Ratio, parts: FloatArray) -> FloatArray:
    value: FloatArray = parts.sum(axis=0) * ratio.coefficient
    return np.sqrt(np.maximum(value, 0.0)) if ratio.root else value


def _total_sq(ratio: Ratio, whole: Sums) -> FloatArray:
    """Variance of N / D, (parts, 1); of a share at least that with one hit and one miss more, as
    it would else vanish at 0 and 1 (Agresti & Caffo 2000).
    """
    squares = _form(whole, 1 / whole.d, -whole.ratio / whole.d)
    if not ratio.share and ratio.name != "f1":
        return squares
    weight = 2 if ratio.name == "f1" else 1  # of a right row
    raised, rows = (whole.x + weight) / (whole.d + 2 * weight), whole.d / weight + 2
    found: FloatArray = np.maximum(squares, raised * (1 - raised) / rows)
    return found


def _alike_sq(a: Sums, b: Sums) -> FloatArray:
    """Variance of the difference if both sides are alike, around their common ratio."""
    common = (a.x + b.x) / (a.d + b.d)
    spread = _form(a, np.ones_like(common), -common) + _form(b, np.ones_like(common), -common)
    squares: FloatArray = spread / (a.d + b.d) * (1 / a.d + 1 / b.d)
    return squares


def _form(s: Sums, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    """Sum over rows of (alpha x + beta d)^2."""
    squares: FloatArray = alpha**2 * s.xx + 2 * alpha * beta * s.xd + beta**2 * s.dd
    return squares


@dataclass(frozen=True, slots=True)
class _Side:
    """What the influence of one row of a side on a group's parts is made of.

    By antisymmetry each formula holds for either side with `shift`, its own weight minus the
    other's. All (parts, groups) but the whole, (parts, 1).
    """

    s: Sums
    whole: Sums
    total: FloatArray
    middle: FloatArray
    shift: FloatArray
    weight: FloatArray
    excess: FloatArray
    mean: FloatArray
    pooled: FloatArray
    alone: NDArray[np.bool_]
    both: NDArray[np.bool_]

    def contribution_sq(self) -> FloatArray:
        """Variance from this side's rows: those of the group, then all others."""
        size, half = self.whole.d, self.shift / 2
        # w m - w M̄, M̄ moving with the whole and w with its denominator
        own = (self.s.x - self.s.d * self.middle) / size
        alpha_rest = -half / size
        beta_rest = (-own + half * self.total) / size
        group = _form(self.s, 1 / size + alpha_rest, -self.middle / size + beta_rest)
        return np.maximum(group, self._usual()) + self._rest(alpha_rest, beta_rest)

    def excess_sq(self) -> FloatArray:
        """The same of w (m - M).

        A group that only this side has is compared with the other rows of this side alone, so its
        size is a fact and its spread is around its own figure.
        """
        size = self.whole.d
        alpha = (1 - self.weight) / size
        beta = -alpha * self.total - self.excess / size
        own = np.where(self.s.d > 0, self.s.x / np.maximum(self.s.d, 1e-300), 0.0)
        centred = np.maximum(_form(self.s, alpha, -alpha * own), 0.0)
        group = np.where(self.alone, centred, _form(self.s, alpha, beta))
        floor = self._usual() * (1 - self.weight) ** 2
        alpha_rest = -self.weight / size
        beta_rest = (self.weight * self.total - self.excess) / size
        return np.maximum(group, floor) + self._rest(alpha_rest, beta_rest)

    def dimension_sq(self, dimension: IntArray, n: int) -> tuple[FloatArray, FloatArray]:
        """Variance of the sums of mix and of within over a dimension's groups, (parts, n)."""
        size = self.whole.d
        share = np.where(self.alone, 1.0, np.where(self.both, 0.5, 0.0))
        slope = np.divide(
            self.shift * share, self.s.d, out=np.zeros_like(self.s.d), where=self.s.d > 0
        )
        own = np.where(self.s.d > 0, self.s.x / np.maximum(self.s.d, 1e-300), 0.0)
        expected = np.stack([np.bincount(dimension, r, n) for r in self.weight * self.mean])
        level = (self.mean - expected[:, dimension]) / size
        mix = _form(self.s, slope, level - slope * own)
        within = _form(self.s, 1 / size - slope, -self.total / size - level + slope * own)
        return (
            np.stack([np.bincount(dimension, row, n) for row in mix]),
            np.stack([np.bincount(dimension, row, n) for row in within]),
        )

    def _usual(self) -> FloatArray:
        """What as many rows as both sides lead to expect vary by, if they are like all rows: few
        rows that happen to be alike, or none, would else seem sure.
        """
        whole = _form(self.whole, 1 / self.whole.d, -self.total / self.whole.d)
        usual: FloatArray = whole * self.pooled
        return usual

    def _rest(self, alpha: FloatArray, beta: FloatArray) -> FloatArray:
        s, t = self.s, self.whole
        rest = Sums(t.x - s.x, t.d - s.d, t.xx - s.xx, t.xd - s.xd, t.dd - s.dd)
        return np.maximum(_form(rest, alpha, beta), 0.0)
