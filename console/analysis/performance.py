"""Performance over windows: every metric per version and step, beside baselines and reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import polars as pl

from collectors.contract import Deployment, Task
from console.analysis.ask import Ask
from console.analysis.binary import Confusion, binary_metrics
from console.analysis.estimate import Estimate
from console.analysis.figures import HEADLINE, Figures, figures
from console.analysis.findings import Finding, worst_first
from console.analysis.maturity import Maturity, mark
from console.analysis.performance_findings import judge
from console.analysis.regression import error_quantiles

__all__ = ["PerformanceFrames", "PerformanceSnapshot", "Slice", "performance", "slice_of"]

Slice = tuple[str, str, str]
"""A version and its segment values: what rows of one line share."""


@dataclass(frozen=True, slots=True)
class PerformanceFrames:
    """Outcome rollups: the series, the whole window, the window before, the reference.

    scores: of multiclass deployments, per class. errors: error histogram of regression.
    """

    series: pl.DataFrame
    whole: pl.DataFrame
    before: pl.DataFrame
    reference: pl.DataFrame
    series_scores: pl.DataFrame | None = None
    whole_scores: pl.DataFrame | None = None
    errors: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class PerformanceSnapshot:
    """series: one row per step and slice; whole: one per slice over the window.

    A slice is a version, or a version's segment value. before: the same over the window of equal
    length before; reference: on the version's training or validation data. judged: how many slices
    could be compared with anything; without any, no finding is no good news. errors: of regression,
    quantiles of prediction minus label by version.
    """

    ask: Ask
    series: tuple[Figures, ...]
    whole: tuple[Figures, ...]
    before: tuple[Figures, ...]
    reference: tuple[Figures, ...]
    findings: tuple[Finding, ...]
    judged: int
    headline: str
    errors: Mapping[str, Mapping[float, Estimate]]

    def reference_of(self, f: Figures) -> Figures | None:
        """The slice in the version's own reference, or in the one that serves all."""
        version, *values = slice_of(f)
        found = {slice_of(r): r for r in self.reference}
        own = found.get((version, values[0], values[1]))
        return own or found.get(("", values[0], values[1]))

    def before_of(self, f: Figures) -> Figures | None:
        """The slice in the window before."""
        return next((b for b in self.before if slice_of(b) == slice_of(f)), None)

    @property
    def lines(self) -> tuple[tuple[Slice, tuple[Figures, ...]], ...]:
        """The series, slice by slice."""
        out: dict[Slice, list[Figures]] = {}
        for f in self.series:
            out.setdefault(slice_of(f), []).append(f)
        return tuple((key, tuple(found)) for key, found in out.items())


def slice_of(f: Figures) -> Slice:
    """What identifies a line: version and segment values."""
    return (f.group.version, f.group.value, f.group.value2)


def performance(ask: Ask, frames: PerformanceFrames, known: Maturity) -> PerformanceSnapshot:
    """All performance figures of a window. Pure: frames in, snapshot out."""
    d = ask.deployment
    before = figures(d, frames.before)
    series = _marked(ask, figures(d, frames.series, frames.series_scores), known)
    whole = _with_previous(d, figures(d, frames.whole, frames.whole_scores), before)
    snapshot = PerformanceSnapshot(
        ask,
        series,
        _marked(ask, whole, known),
        before,
        figures(d, frames.reference),
        (),
        0,
        HEADLINE[d.task],
        _errors(frames.errors),
    )
    compared = [(f, snapshot.reference_of(f)) for f in snapshot.whole]
    found, judged = judge(d, snapshot.headline, compared)
    return replace(snapshot, findings=worst_first(found), judged=judged)


def _marked(ask: Ask, found: Iterable[Figures], known: Maturity) -> tuple[Figures, ...]:
    spans = ((f, ask.step_start(f.group.start), ask.step_end(f.group.start)) for f in found)
    return mark(spans, known, ask.as_of)


def _errors(frame: pl.DataFrame | None) -> dict[str, Mapping[float, Estimate]]:
    """Quantiles of the error by version, from the log-spaced histogram of both signs.

    Bin k > 0 holds errors of expm1((k - 1) / 8) to expm1(k / 8), bin -k the same below zero.
    """
    histograms: dict[str, list[tuple[float, float, int]]] = {}
    for version, number, n in frame.iter_rows() if frame is not None else ():
        near, far = math.expm1((abs(number) - 1) / 8), math.expm1(abs(number) / 8)
        ends = (near, far) if number > 0 else (-far, -near)
        histograms.setdefault(version, []).append((*ends, n))
    out: dict[str, Mapping[float, Estimate]] = {}
    for version, bins in histograms.items():
        lower, upper, counts = zip(*sorted(bins), strict=True)
        out[version] = error_quantiles(lower, upper, counts)
    return out


def _with_previous(
    d: Deployment, whole: tuple[Figures, ...], before: tuple[Figures, ...]
) -> tuple[Figures, ...]:
    """Add the baseline that repeats the window before: its majority class, its mean."""
    last = {slice_of(f): f for f in before if f.n_labelled}
    out = []
    for f in whole:
        old = last.get(slice_of(f))
        extra = _previous(d, f, old) if old is not None and f.n_labelled else {}
        baselines = {**(f.baselines or {}), **({"previous": extra} if extra else {})}
        out.append(replace(f, baselines=baselines))
    return tuple(out)


def _previous(d: Deployment, f: Figures, old: Figures) -> Mapping[str, Estimate]:
    if d.task is Task.BINARY and f.confusion is not None and old.confusion is not None:
        positive, negative = f.confusion.tp + f.confusion.fn, f.confusion.fp + f.confusion.tn
        yes = old.confusion.tp + old.confusion.fn > old.confusion.fp + old.confusion.tn
        said = Confusion(positive, negative, 0, 0) if yes else Confusion(0, 0, positive, negative)
        return binary_metrics(said)
    if d.task is Task.REGRESSION and old.y_mean is not None and f.y_mean is not None:
        spread = (f.baselines or {}).get("mean", {}).get("rmse")
        if spread is not None and spread.value is not None:
            # mean square about another mean: variance plus the shift squared
            rmse = (spread.value**2 + (f.y_mean - old.y_mean) ** 2) ** 0.5
            return {"rmse": Estimate(rmse, None, None, f.n_labelled)}
    return {}
