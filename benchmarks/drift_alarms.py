"""Drift without drift: how often each figure is above its 95 % point."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from console.analysis.distances import (
    distance_rows,
    homogeneity,
    ks_bracket,
    psi_noise,
    used_bins,
    wasserstein,
)
from console.analysis.drift_noise import ks_noise, null_rows, wasserstein_noise

__all__ = ["Table", "alarms", "ordered"]

FloatArray = NDArray[np.float64]
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]

RUNS = 2_000
SHAPES: Mapping[str, FloatArray] = {
    "10 equal bins": np.full(10, 0.1),
    "10, and 2 of share .002": np.array([*np.full(10, 0.0996), 0.002, 0.002]),
    "one of .93, and 5 small": np.array([0.93, 0.02, 0.02, 0.01, 0.01, 0.01]),
    "100, share 1/k": 1 / np.arange(1, 101) / np.sum(1 / np.arange(1, 101)),
}


def alarms() -> Table:
    """Per cent of windows without drift whose figure is above its 95 % point (due: 5)."""
    rows = []
    for name, shares in SHAPES.items():
        for m in (1_000, 50_000):
            for n in (50, 100, 200, 1_000, 10_000):
                rng = np.random.default_rng((n, m, len(shares)))
                ref, cur = (rng.multinomial(k, shares, RUNS).astype(float) for k in (m, n))
                found, null = distance_rows(ref, cur), null_rows(ref, cur)
                pairs = list(zip(ref, cur, strict=True))
                formula = [psi_noise(used_bins(a, b), n, m) for a, b in pairs]
                over = np.array([f.q95 if f else 0.0 for f in formula])
                p = np.array([homogeneity(a, b) for a, b in pairs])
                psi_above = found.psi > null.psi[:, 1]
                shown = (
                    found.psi > over,
                    psi_above,
                    found.js > null.js[:, 1],
                    found.hellinger > null.hellinger[:, 1],
                    p < 0.05,
                    psi_above & (p < 0.05),
                )
                rows.append((name, f"{m:,}", f"{n:,}", *map(_percent, shown)))
    head = ("bins", "reference", "n", "PSI, (B-1)(1/n+1/m)", "PSI", "JS", "Hellinger", "p < .05")
    return (*head, "PSI and p"), rows


def ordered() -> Table:
    """The same for figures of an ordered column in 40 bins at the reference's quantiles."""
    rows = []
    draws: Mapping[str, Callable[[np.random.Generator, int], FloatArray]] = {
        "normal": lambda rng, k: rng.normal(size=k),
        "lognormal": lambda rng, k: rng.lognormal(size=k),
        "80 % zeros": lambda rng, k: np.where(rng.random(k) < 0.8, 0.0, rng.exponential(size=k)),
    }
    for name, draw in draws.items():
        for n in (50, 200, 1_000):
            rng, m = np.random.default_rng(n), 5_000
            ks_above, moved_above = [], []
            for _ in range(RUNS // 2):
                values, window = draw(rng, m), draw(rng, n)
                edges = np.unique(np.quantile(values, np.arange(1, 40) / 40))
                ref, cur = (
                    np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1).astype(float)
                    for x in (values, window)
                )
                low = np.array([min(values.min(), window.min()), *edges])
                high = np.array([*edges, max(values.max(), window.max())])
                bracket, gap = ks_bracket(ref, cur), ks_noise(n, m)
                moved = wasserstein(low, high, ref, cur, float(values.std()))
                by_chance = wasserstein_noise(low, high, ref, n, m, float(values.std()))
                if bracket and gap and moved and by_chance:
                    ks_above.append(bracket[0] > gap.q95)
                    moved_above.append(moved.value > by_chance.q95)
            rows.append((name, f"{n:,}", _percent(ks_above), _percent(moved_above)))
    return ("column", "n", "KS", "Wasserstein"), rows


def _percent(above: object) -> str:
    return f"{100 * float(np.mean(np.asarray(above))):.1f}"
