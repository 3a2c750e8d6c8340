"""All deployments at once, what is wrong first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.analysis.ask import Ask
from console.analysis.data import DataSnapshot
from console.analysis.drift import DriftSnapshot
from console.analysis.estimate import Estimate
from console.analysis.findings import Finding, worst_first
from console.analysis.performance import PerformanceSnapshot
from console.analysis.subgroups import SubgroupsSnapshot
from console.analysis.traffic import TrafficSnapshot
from console.analysis.trial import TrialSnapshot

__all__ = ["OverviewRow", "OverviewSnapshot", "VersionLine", "overview", "overview_row"]


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version in short: its share of traffic, its headline figure, and its reference's."""

    version: str
    share: float
    n: int
    n_labelled: int
    headline: Estimate
    reference: float | None
    series: tuple[tuple[datetime, float | None], ...]
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """One deployment: its findings, worst first, and one line per version.

    judged: whether any performance figure could be compared with anything.
    """

    deployment: str
    task: str
    metric: str
    n: int
    age: timedelta | None
    versions: tuple[VersionLine, ...]
    findings: tuple[Finding, ...]
    judged: bool

    @property
    def severity(self) -> int:
        """0 when nothing was found."""
        return max((f.severity for f in self.findings), default=0)


@dataclass(frozen=True, slots=True)
class OverviewSnapshot:
    """Deployments, the worst first."""

    ask: Ask
    rows: tuple[OverviewRow, ...]


def overview_row(
    performance: PerformanceSnapshot,
    drift: DriftSnapshot,
    subgroups: SubgroupsSnapshot,
    traffic: TrafficSnapshot,
    data: DataSnapshot,
    *,
    versions: TrialSnapshot,
    system: tuple[Finding, ...] = (),
) -> OverviewRow:
    """What the other panes found about one deployment.

    system: what the System pane found, where the deployment has limits.
    """
    ask = performance.ask
    total = sum(f.n for f in performance.whole) or 1
    lines = []
    for f in performance.whole:
        version = f.group.version
        reference = performance.reference_of(f)
        was = reference.metrics[performance.headline].value if reference is not None else None
        series = tuple(
            (s.group.start, s.metrics[performance.headline].value)
            for s in performance.series
            if s.group.version == version and s.group.start is not None
        )
        headline = f.metrics[performance.headline]
        lines.append(
            VersionLine(version, f.n / total, f.n, f.n_labelled, headline, was, series, f.metrics)
        )
    findings = (
        *versions.findings,  # first: of two alike, that of the pane that comes later is kept
        *performance.findings,
        *drift.findings,
        *subgroups.findings,
        *traffic.findings,
        *system,
        *data.findings,
    )
    return OverviewRow(
        ask.deployment.name,
        ask.deployment.task.value,
        performance.headline,
        data.n,
        data.age,
        tuple(lines),
        worst_first(_distinct(findings)),
        performance.judged > 0,
    )


def _distinct(findings: Iterable[Finding]) -> Iterable[Finding]:
    """A sentence once, though two panes say it."""
    return {f.text: f for f in findings}.values()


def overview(ask: Ask, rows: tuple[OverviewRow, ...]) -> OverviewSnapshot:
    """The worst deployment first: by its worst finding, then by their number."""

    def badness(row: OverviewRow) -> tuple[int, float, str]:
        bad = sum(1 for f in row.findings if f.severity == row.severity)
        return (-row.severity, -bad, row.deployment)

    return OverviewSnapshot(ask, tuple(sorted(rows, key=badness)))
