"""Which simple course fits a series best: a step, a ramp, or a spell that ended.

Each is a flat line plus one regressor r in 0..1, so before is the line, after the line plus the
coefficient, and one formula serves all: with weights w = 1/variance, a fit takes
(sum w r y)^2 / (sum w r^2 - (sum w r)^2 / sum w) off the weighted sum of squares of a flat line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fit", "Shape", "begins", "best_fits"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_GRID = 64
"""Places that begins and ends are first searched on, in pairs; then every place around the best."""

_SHORT = 8
"""Spells of up to so many steps are searched for everywhere."""


class Shape(StrEnum):
    """How a series changed."""

    NONE = "none"
    STEP = "step"
    """Abrupt, and stayed."""
    RAMP = "ramp"
    """Gradual."""
    SPIKE = "spike"
    """A spell that ended: back where it was."""
    SEASONAL = "seasonal"
    """What changes follows the hour of the day or the day of the week; no change besides."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One course. first: first index that is off the line; last: the first index that is at the
    new level (ramp) or back (spike), else the length. gain: what it takes off the weighted sum of
    squares (twice the log likelihood). extra: places that were searched for beyond one.
    """

    shape: Shape
    first: int
    last: int
    gain: float
    extra: int
    before: float
    after: float
    se: float

    def course(self, x: FloatArray) -> FloatArray:
        """(n,) the regressor at times x."""
        index = np.arange(len(x))
        if self.shape is Shape.RAMP:
            begin, end = x[self.first - 1], x[self.last]
            rise: FloatArray = np.clip((x - begin) / (end - begin), 0.0, 1.0)
            return rise
        held = (index >= self.first) & (index < self.last)
        return held.astype(np.float64)


class _Sums:
    """Prefix sums of a series, with 0 in front: any interval's sum is a difference."""

    def __init__(self, x: FloatArray, y: FloatArray, w: FloatArray) -> None:
        self.n, self.x = len(x), x
        self.total = float(w.sum())
        self.mean = float((w * y).sum()) / self.total
        y = y - self.mean
        parts = (w, w * y, w * x, w * x * x, w * x * y)
        self.w, self.y, self.wx, self.wxx, self.wxy = (
            np.concatenate(([0.0], np.cumsum(part))) for part in parts
        )

    def fit(self, shape: Shape, j: int, k: int, extra: int) -> Fit:
        one = (np.array([j]), np.array([k]))
        r, rr, ry = self.ramp(*one) if shape is Shape.RAMP else self.spell(*one)
        spread = float(rr[0] - r[0] * r[0] / self.total)
        slope = float(ry[0]) / spread if spread > 0 else 0.0
        before = self.mean - slope * float(r[0]) / self.total
        gain = slope * float(ry[0])
        first = j + 1 if shape is Shape.RAMP else j
        se = 1 / math.sqrt(spread) if spread > 0 else math.inf
        return Fit(shape, first, k, gain, extra, before, before + slope, se)

    def spell(self, j: IntArray, k: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Sums of w r, w r^2, w r y of r = 1 on [j, k)."""
        r = self.w[k] - self.w[j]
        return r, r, self.y[k] - self.y[j]

    def ramp(self, j: IntArray, k: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The same for r rising from 0 at x[j] to 1 at x[k], 1 from there on."""
        begin, length = self.x[j], self.x[k] - self.x[j]
        w, y = self.w[k] - self.w[j], self.y[k] - self.y[j]
        wx, wxy = self.wx[k] - self.wx[j], self.wxy[k] - self.wxy[j]
        wxx = self.wxx[k] - self.wxx[j]
        rest = self.total - self.w[k]
        r = (wx - begin * w) / length + rest
        rr = (wxx - 2 * begin * wx + begin * begin * w) / (length * length) + rest
        ry = (wxy - begin * y) / length - self.y[k]
        return r, rr, ry

    def gains(self, sums: tuple[FloatArray, FloatArray, FloatArray]) -> FloatArray:
        r, rr, ry = sums
        spread = rr - r * r / self.total
        held = spread > 1e-12 * self.total
        return np.where(held, ry * ry / np.where(held, spread, 1.0), 0.0)


def best_fits(x: FloatArray, y: FloatArray, w: FloatArray) -> tuple[Fit, ...]:
    """The best step, ramp to the end, ramp that levels off, and spell, as far as n allows.

    x: (n,) ascending times in steps; y: values; w: (n,) > 0, 1/variance. n >= 3.
    """
    sums, n = _Sums(x, y, w), len(x)
    places = np.arange(1, n)
    at = int(places[sums.gains(sums.spell(places, np.full(n - 1, n))).argmax()])
    out = [sums.fit(Shape.STEP, at, n, 0)]
    if n >= 4:
        begins = np.arange(n - 2)
        found = sums.gains(sums.ramp(begins, np.full(n - 2, n - 1)))
        out.append(sums.fit(Shape.RAMP, int(found.argmax()), n - 1, 0))
        j, k = _best_pair(sums, Shape.RAMP)
        out.append(sums.fit(Shape.RAMP, j, k, 1))
        j, k = _best_pair(sums, Shape.SPIKE)
        out.append(sums.fit(Shape.SPIKE, j, k, 1))
    return tuple(out)


def begins(x: FloatArray, y: FloatArray, w: FloatArray, fit: Fit) -> tuple[IntArray, FloatArray]:
    """Every place where a course with the same end could begin, with its gain."""
    sums = _Sums(x, y, w)
    if fit.shape is Shape.RAMP:
        places = np.arange(fit.last - 1)
        return places + 1, sums.gains(sums.ramp(places, np.full(len(places), fit.last)))
    places = np.arange(1, fit.last)
    return places, sums.gains(sums.spell(places, np.full(len(places), fit.last)))


def _best_pair(sums: _Sums, shape: Shape) -> tuple[int, int]:
    """Begin and end of the best ramp that levels off, or of the best spell: n^2 pairs, in two
    passes where n is large."""
    n, low, least = sums.n, int(shape is Shape.SPIKE), 1 if shape is Shape.SPIKE else 2
    grid = np.unique(np.linspace(low, n - 1, min(n - low, _GRID)).round().astype(np.int64))
    found = [_pairs(grid, grid, least)]
    if n > _GRID and shape is Shape.SPIKE:
        begins = np.arange(low, n - 1)
        short = [np.stack((begins, begins + size)) for size in range(1, _SHORT + 1)]
        found.append(np.concatenate([s[:, s[1] < n] for s in short], axis=1))
    j, k = _best_of(sums, shape, np.concatenate(found, axis=1))
    if n > _GRID:
        reach = math.ceil(n / _GRID)
        near = [np.arange(max(low, place - reach), min(n, place + reach + 1)) for place in (j, k)]
        j, k = _best_of(sums, shape, _pairs(near[0], near[1], least))
    return j, k


def _pairs(begins: IntArray, ends: IntArray, least: int) -> IntArray:
    grid = np.stack(np.meshgrid(begins, ends, indexing="ij")).reshape(2, -1)
    return grid[:, grid[1] - grid[0] >= least]


def _best_of(sums: _Sums, shape: Shape, pairs: IntArray) -> tuple[int, int]:
    j, k = pairs
    gains = sums.gains(sums.ramp(j, k) if shape is Shape.RAMP else sums.spell(j, k))
    at = int(gains.argmax())
    return int(j[at]), int(k[at])
