"""What a recorder finds out about its deployments by itself: figures and findings, for others.

The same snapshots as the overview's: Prometheus, a log and the screen say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from collectors.contract import Deployment
from collectors.live.openmetrics import Family, Sample
from collectors.reader import Reader
from console.analysis.ask import Ask
from console.analysis.findings import Finding, Severity
from console.analysis.overview import OverviewRow
from console.snapshots import Taker

__all__ = ["Headlines", "headlines", "news_of"]


@dataclass(frozen=True, slots=True)
class Headlines:
    """at: the clock that they are of. rows: one a deployment. coverage: share of the window's
    predictions with a label, by deployment.
    """

    at: datetime
    rows: tuple[OverviewRow, ...]
    coverage: Mapping[str, float]

    def families(self) -> list[Family]:
        """As metrics. A figure that does not exist has no sample; it is not 0."""
        figures, lows, highs, labelled, share = [], [], [], [], []
        ages, counts, found, covered = [], [], [], []
        for row in self.rows:
            of = {"deployment": row.deployment}
            if row.age is not None:
                ages.append(Sample(row.age.total_seconds(), of))
            counts.append(Sample(row.n, of))
            if row.deployment in self.coverage:
                covered.append(Sample(self.coverage[row.deployment], of))
            for severity in Severity:
                n = sum(1 for f in row.findings if f.severity is severity)
                found.append(Sample(n, {**of, "severity": severity.name.lower()}))
            for line in row.versions:
                version = {**of, "version": line.version}
                share.append(Sample(line.share, version))
                labelled.append(Sample(line.n_labelled, version))
                for name, e in line.metrics.items():
                    if e.value is None:
                        continue
                    labels = {**version, "metric": name, "state": e.state.value}
                    figures.append(Sample(e.value, labels))
                    if e.low is not None and e.high is not None:
                        lows.append(Sample(e.low, labels))
                        highs.append(Sample(e.high, labels))
        return [
            _gauge("figure", "A figure of performance over the window, in its own unit", figures),
            _gauge("figure_low", "Lower end of its 95 % interval", lows),
            _gauge("figure_high", "Upper end of its 95 % interval", highs),
            _gauge("window_predictions", "Predictions in the window", counts),
            _gauge("window_labelled_predictions", "Of them with a label", labelled),
            _gauge("traffic_share", "Share of the window's predictions by version", share),
            _gauge("label_coverage_ratio", "Share of predictions with a label", covered),
            _gauge("data_age_seconds", "Time since the newest prediction", ages),
            _gauge("findings", "What was found, by severity", found),
        ]


def headlines(
    reader: Reader, deployments: Sequence[Deployment], asks: Sequence[Ask], *, live: bool
) -> Headlines:
    """Look at every deployment, each over its ask's window. Raises CollectorError.

    live: whether the asks' moment is now.
    """
    at = asks[0].as_of
    taker = Taker(reader, deployments, load_times=live, live=at if live else None)
    rows, coverage = [], {}
    for ask in asks:
        rows.append(taker.overview_row(ask))
        covered = taker.data(ask).covered.value
        if covered is not None:
            coverage[ask.deployment.name] = covered
    return Headlines(at, tuple(rows), coverage)


def news_of(
    before: Headlines | None, now: Headlines
) -> tuple[list[tuple[str, Finding]], list[tuple[str, Finding]]]:
    """(deployment, finding) of what is found now and was not before, and what is found no more.

    Numbers in a sentence move all the time: a finding is told by its pane, its severity and its
    words.
    """
    old, new = _found(before), _found(now)
    came = [new[key] for key in new if key not in old]
    went = [old[key] for key in old if key not in new]
    return came, went


def _found(of: Headlines | None) -> dict[tuple[str, ...], tuple[str, Finding]]:
    if of is None:
        return {}
    return {
        (row.deployment, f.pane, f.severity.name, _words(f.text)): (row.deployment, f)
        for row in of.rows
        for f in row.findings
        if f.severity >= Severity.WARNING
    }


def _words(text: str) -> str:
    return "".join(c for c in text if not c.isdigit())


def _gauge(name: str, text: str, samples: Sequence[Sample]) -> Family:
    return Family(f"modelwatch_{name}", "gauge", text, tuple(samples))
