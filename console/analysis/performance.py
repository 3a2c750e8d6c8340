"""Performance over windows: every metric per version and step, beside baselines and reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from collectors.contract import Deployment, Task
from console.analysis.ask import Ask
from console.analysis.binary import Confusion, binary_metrics
from console.analysis.estimate import Estimate
from console.analysis.figures import (
    HEADLINE,
    Figures,
    figures,
    lower_is_better,
    provisional,
)
from console.analysis.findings import Finding, Severity, worst_first

__all__ = ["PerformanceFrames", "PerformanceSnapshot", "performance"]

SETTLED = 0.9
"""Rows count as provisional while under this share of the labels that usually come has come."""


@dataclass(frozen=True, slots=True)
class PerformanceFrames:
    """Outcome rollups: the series, the whole window, the window before, the reference.

    coverage: (n, n_labelled) of the four weeks before, from which the usual share of labels is
    read; label_age: how old a prediction is when its label has usually come.
    """

    series: pl.DataFrame
    whole: pl.DataFrame
    before: pl.DataFrame
    reference: pl.DataFrame
    series_scores: pl.DataFrame | None = None
    whole_scores: pl.DataFrame | None = None
    usual_coverage: float | None = None
    label_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class PerformanceSnapshot:
    """series: one row per step and version; whole: one per version over the window.

    before: the same over the window of equal length before; reference: by version, on its training
    or validation data. All ordered by time, then version.
    """

    ask: Ask
    series: tuple[Figures, ...]
    whole: tuple[Figures, ...]
    before: tuple[Figures, ...]
    reference: tuple[Figures, ...]
    findings: tuple[Finding, ...]
    headline: str

    def reference_of(self, version: str) -> Figures | None:
        """A version's own reference, or the one that serves all."""
        by_version = {f.group.version: f for f in self.reference}
        return by_version.get(version) or by_version.get("")

    def whole_of(self, version: str) -> Figures | None:
        """A version's figures over the whole window."""
        return next((f for f in self.whole if f.group.version == version), None)


def performance(ask: Ask, frames: PerformanceFrames) -> PerformanceSnapshot:
    """All performance figures of a window. Pure: frames in, snapshot out."""
    d = ask.deployment
    whole = figures(d, frames.whole, frames.whole_scores)
    before = figures(d, frames.before)
    reference = figures(d, frames.reference)
    series = _with_states(ask, figures(d, frames.series, frames.series_scores), frames)
    whole = _with_states(ask, _with_persistence(d, whole, before), frames)
    headline = HEADLINE[d.task]
    return PerformanceSnapshot(
        ask,
        series,
        whole,
        before,
        reference,
        worst_first(_findings(d, headline, whole, reference)),
        headline,
    )


def _with_states(
    ask: Ask, found: tuple[Figures, ...], frames: PerformanceFrames
) -> tuple[Figures, ...]:
    """Mark figures whose labels are still due."""
    usual, age = frames.usual_coverage, frames.label_age
    if usual is None or age is None:
        return found
    return tuple(
        provisional(f)
        if _end_of(ask, f.group.start) > ask.as_of - age and f.n_labelled < SETTLED * usual * f.n
        else f
        for f in found
    )


def _end_of(ask: Ask, start: datetime | None) -> datetime:
    length = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
    if start is None or ask.step.value not in length or start <= ask.start:
        return ask.end
    return min(start + length[ask.step.value], ask.end)


def _with_persistence(
    d: Deployment, whole: tuple[Figures, ...], before: tuple[Figures, ...]
) -> tuple[Figures, ...]:
    """Add the baseline that says what the window before said: its majority, its mean."""
    last = {f.group.version: f for f in before if f.n_labelled}
    out = []
    for f in whole:
        old = last.get(f.group.version)
        if old is None or not f.n_labelled:
            out.append(f)
            continue
        extra: Mapping[str, Estimate] = {}
        if d.task is Task.BINARY and f.confusion is not None and old.confusion is not None:
            positive, negative = f.confusion.tp + f.confusion.fn, f.confusion.fp + f.confusion.tn
            yes = old.confusion.tp + old.confusion.fn > old.confusion.fp + old.confusion.tn
            said = (
                Confusion(positive, negative, 0, 0) if yes else Confusion(0, 0, positive, negative)
            )
            extra = binary_metrics(said)
        elif d.task is Task.REGRESSION and old.y_mean is not None and f.y_mean is not None:
            spread = (f.baselines or {}).get("mean", {}).get("rmse")
            if spread is not None and spread.value is not None:
                # mean square about another mean: variance plus the shift squared
                rmse = (spread.value**2 + (f.y_mean - old.y_mean) ** 2) ** 0.5
                extra = {"rmse": Estimate(rmse, None, None, f.n_labelled)}
        baselines = {**(f.baselines or {}), **({"persistence": extra} if extra else {})}
        out.append(replace(f, baselines=baselines))
    return tuple(out)


def _findings(
    d: Deployment, headline: str, whole: tuple[Figures, ...], reference: tuple[Figures, ...]
) -> list[Finding]:
    by_version = {f.group.version: f for f in reference}
    out: list[Finding] = []
    total = sum(f.n for f in whole) or 1
    for f in whole:
        version, share = f.group.version, f.n / total
        now = f.metrics.get(headline)
        if now is None or now.value is None or now.low is None or now.high is None:
            continue
        if f.n_labelled < 100:
            continue
        ref = by_version.get(version) or by_version.get("")
        was = ref.metrics[headline] if ref is not None else None
        if was is not None and was.value is not None:
            worse = _clearly_worse(headline, now, was.value)
            if worse is not None:
                dead = headline == "f1" and now.value < was.value / 3
                text = (
                    f"{version}: {headline} {_number(now.value)} where its reference has "
                    f"{_number(was.value)}"
                )
                if dead:
                    recall = f.metrics["recall"].value
                    auc = f.metrics["roc_auc"].value
                    text += f" (recall {_number(recall)}, AUC {_number(auc)})"
                severity = Severity.BAD if dead or worse > 0.3 else Severity.WARNING
                out.append(Finding(severity, "performance", text, worse * share**0.5 + dead))
        fallback = (f.baselines or {}).get("fallback", {}).get(headline)
        if fallback is not None and fallback.value is not None:
            worse = _clearly_worse(headline, now, fallback.value)
            if worse is not None:
                text = (
                    f"{version}: the fallback is better, {headline} {_number(fallback.value)} "
                    f"against {_number(now.value)}"
                )
                out.append(Finding(Severity.BAD, "performance", text, worse))
    out += _champion_finding(d, headline, whole)
    return out


def _champion_finding(d: Deployment, headline: str, whole: tuple[Figures, ...]) -> list[Finding]:
    """Another version clearly better than the champion, whatever accuracy says."""
    by_version = {f.group.version: f.metrics.get(headline) for f in whole if f.n_labelled >= 100}
    champion = by_version.get(d.champion)
    if champion is None or champion.low is None or champion.high is None:
        return []
    out = []
    for version, other in by_version.items():
        if version == d.champion or other is None or other.low is None or other.high is None:
            continue
        lower = lower_is_better(headline)
        better = other.high < champion.low if lower else other.low > champion.high
        if better and champion.value is not None and other.value is not None:
            out.append(
                Finding(
                    Severity.WARNING,
                    "performance",
                    f"{version} beats the champion {d.champion}: {headline} "
                    f"{_number(other.value)} against {_number(champion.value)}",
                    abs(other.value - champion.value),
                )
            )
    return out


def _clearly_worse(metric: str, now: Estimate, than: float) -> float | None:
    """By what share a figure is worse than a value outside its interval, or None."""
    if now.value is None or now.low is None or now.high is None or than == 0:
        return None
    if lower_is_better(metric):
        return (now.value - than) / abs(than) if now.low > than else None
    return (than - now.value) / abs(than) if now.high < than else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
