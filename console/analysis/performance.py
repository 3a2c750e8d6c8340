"""Performance over windows: every metric per version and step, beside baselines and reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from collectors.contract import Task
from console.analysis.against import Side
from console.analysis.ask import Ask, Step
from console.analysis.baselines import with_baselines
from console.analysis.detectable import with_detectable
from console.analysis.divergence import Divergence, diverge
from console.analysis.estimate import Estimate
from console.analysis.estimated import Estimated, estimated, maps_of
from console.analysis.figures import HEADLINE, Figures, Group, figures, stale
from console.analysis.findings import Finding, worst_first
from console.analysis.headline import Course, headline_courses
from console.analysis.maturity import (
    NOTHING_KNOWN,
    Completeness,
    Maturity,
    completeness,
    mark,
)
from console.analysis.operating import Operating, operating, with_states
from console.analysis.performance_findings import judge, name_of
from console.analysis.regression import error_quantiles
from console.analysis.revised import revised
from console.analysis.selection import Selection, selection
from console.analysis.sequences import watch

__all__ = ["PerformanceFrames", "PerformanceSnapshot", "Slice", "performance", "slice_of"]

Slice = tuple[str, str, str]
"""A version and its segment values: what rows of one line share."""


@dataclass(frozen=True, slots=True)
class PerformanceFrames:
    """Outcome rollups: the series, the whole window, the window before, the reference.

    scores: of multiclass deployments, per class. errors: error histogram of regression. days: the
    series by day or finer, None where `series` is. bins: the frozen bins, where scores have any.
    other: the other side over its whole window, where that is not the reference. calibration: the
    references' score bins over all rows (multiclass: per class). coarse: how many of these are
    merged to one in the series. stopped: predictions have stopped coming before the clock.
    """

    series: pl.DataFrame
    whole: pl.DataFrame
    before: pl.DataFrame
    reference: pl.DataFrame
    series_scores: pl.DataFrame | None = None
    whole_scores: pl.DataFrame | None = None
    errors: pl.DataFrame | None = None
    days: pl.DataFrame | None = None
    before_days: pl.DataFrame | None = None
    bins: pl.DataFrame | None = None
    other: pl.DataFrame | None = None
    other_scores: pl.DataFrame | None = None
    calibration: pl.DataFrame | None = None
    coarse: int = 1
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class PerformanceSnapshot:
    """series: one row per step and slice; whole: one per slice over the window.

    A slice is a version, or a version's segment value. before: the same over the window of equal
    length before; reference: on the version's training or validation data. judged: how many slices
    could be compared with anything; without any, no finding is no good news. errors: of regression,
    quantiles of prediction minus label by version. operating: what other thresholds would give.
    other: the other side of the comparison, where that is not the reference. estimated: what the
    scores promise without labels, of the series and of the whole. divergence: whether labels kept
    the promise. selection: whether rows without a label are like the others. stopped: predictions
    have stopped before the clock, so figures that reach to it are stale. known: how late and how
    complete labels usually are. courses: how the headline went over this window and the
    one before, of the largest slices.
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
    operating: Mapping[Slice, Operating] = field(default_factory=dict)
    other: tuple[Figures, ...] = ()
    estimated: Mapping[Group, Estimated] = field(default_factory=dict)
    estimated_series: Mapping[Group, Estimated] = field(default_factory=dict)
    divergence: Mapping[Slice, Divergence] = field(default_factory=dict)
    selection: Mapping[Slice, Selection] = field(default_factory=dict)
    known: Maturity = NOTHING_KNOWN
    stopped: bool = False
    courses: Mapping[Slice, Course] = field(default_factory=dict)

    def compared_to(self, f: Figures) -> Figures | None:
        """The slice on the other side: in its reference, or in what was asked for instead."""
        against = self.ask.against
        if against.side is Side.REFERENCE:
            return self.reference_of(f)
        version, *values = slice_of(f)
        if against.side is Side.VERSION:
            if version == against.version:
                return None
            version = against.version or ""
        wanted = (version, values[0], values[1])
        return next((o for o in self.other if slice_of(o) == wanted), None)

    def judged_by(self, f: Figures) -> Figures | None:
        """The same, where the two are of different rows, so that their intervals may be compared.

        What was known earlier is of the same rows.
        """
        return None if self.ask.against.side is Side.KNOWN else self.compared_to(f)

    def labels_of(self, f: Figures, start: datetime, end: datetime) -> Completeness:
        """How complete the labels of figures over [start, end) are."""
        arrived = self.known.arrived_of(start, end, self.ask.as_of) if self.known.n else None
        return completeness(self.known, f.n, f.n_labelled, arrived)

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
    days = frames.series if frames.days is None else frames.days
    whole = figures(d, frames.whole, frames.whole_scores)
    whole = with_baselines(d, whole, days, frames.before)
    maps = maps_of(d, frames.calibration, frames.coarse)
    snapshot = PerformanceSnapshot(
        ask,
        series,
        _marked(ask, whole, known, whole=True),
        before,
        figures(d, frames.reference),
        (),
        0,
        HEADLINE[d.task],
        _errors(frames.errors),
        operating(d, frames.whole, frames.bins, ask.threshold),
        figures(d, frames.other, frames.other_scores) if frames.other is not None else (),
        estimated(d, frames.whole, maps, frames.whole_scores),
        estimated(d, frames.series, maps, frames.series_scores),
        selection=selection(
            ask if frames.days is None else replace(ask, step=Step.DAY),
            days,
            frames.whole,
            known,
        ),
        known=known,
    )
    compared = [(f, snapshot.judged_by(f)) for f in snapshot.whole]
    fine = frames.before_days
    courses = headline_courses(ask, fine, days, known) if fine is not None else {}
    # the series of several classes is of accuracy: F1 over classes is no ratio of sums
    told = {} if d.task is Task.MULTICLASS else courses
    found, judged = judge(d, snapshot.headline, compared, ask.against.has, told)
    divergence = _divergence(snapshot)
    found += [v.finding for v in divergence.values() if v.finding is not None]
    found += [*revised(snapshot), *_selected(snapshot)]
    whole = tuple(with_detectable(f, other) for f, other in compared)
    snapshot = replace(
        snapshot,
        whole=whole,
        findings=worst_first(found),
        judged=judged,
        divergence=divergence,
        courses=courses,
    )
    snapshot = _stale(snapshot) if frames.stopped else snapshot
    return replace(snapshot, operating=with_states(snapshot.operating, snapshot.whole))


def _divergence(s: PerformanceSnapshot) -> dict[Slice, Divergence]:
    """Whether labels keep what scores promise; the promise rests on references, whatever the window
    is compared with."""
    total = sum(f.n for f in s.whole) or 1
    return {
        slice_of(f): diverge(
            f, s.estimated.get(f.group), s.reference_of(f), s.headline, f.n / total
        )
        for f in s.whole
    }


def _selected(s: PerformanceSnapshot) -> list[Finding]:
    names = {slice_of(f): name_of(f) for f in s.whole}
    found = [s.selection[key].finding(names[key]) for key in s.selection if key in names]
    return [f for f in found if f is not None]


def _stale(s: PerformanceSnapshot) -> PerformanceSnapshot:
    """Figures that reach to the clock, though predictions have stopped before it."""
    return replace(
        s,
        stopped=True,
        whole=tuple(stale(f) for f in s.whole),
        series=tuple(
            stale(f) if s.ask.step_end(f.group.start) >= s.ask.as_of else f for f in s.series
        ),
    )


def _marked(
    ask: Ask, found: Iterable[Figures], known: Maturity, *, whole: bool = False
) -> tuple[Figures, ...]:
    spans = (
        (f, ask.start, ask.end)
        if whole
        else (f, ask.step_start(f.group.start), ask.step_end(f.group.start))
        for f in found
    )
    marked = mark(spans, known, ask.as_of)
    return tuple(watch(ask, f, ask.end if whole else None) for f in marked)


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
