"""Subgroups: every segment value, and crosses of two, against the whole; the surely worst first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from collectors.contract import Deployment, Task
from console.analysis.ask import Ask
from console.analysis.binary import Confusion
from console.analysis.estimate import TOO_FEW, Estimate, State, missing
from console.analysis.figures import HEADLINE, Figures, figures, lower_is_better
from console.analysis.findings import Finding, Severity, worst_first
from console.analysis.intervals import newcombe, normal_quantile
from console.analysis.maturity import Maturity, mark

__all__ = ["SubgroupRow", "SubgroupsSnapshot", "segment_name", "subgroups"]


@dataclass(frozen=True, slots=True)
class SubgroupRow:
    """One segment value of one version. gap: headline minus the whole's, with its interval.

    values: segment name -> value, one or two of them. whole: the version's figures over all rows.
    """

    figures: Figures
    segment: str
    value: str
    values: tuple[tuple[str, str], ...]
    gaps: Mapping[str, Estimate]
    share: float


@dataclass(frozen=True, slots=True)
class SubgroupsSnapshot:
    """Rows worst first by evidence: by the better end of the gap's interval, not by the gap."""

    ask: Ask
    headline: str
    rows: tuple[SubgroupRow, ...]
    whole: tuple[Figures, ...]
    findings: tuple[Finding, ...]


def segment_name(d: Deployment, number: int) -> tuple[str, ...]:
    """The column or the two columns of a segment number."""
    names = [s.name for s in d.segments]
    if number <= len(names):
        return (names[number - 1],)
    i, j = d.segment_crosses[number - 1 - len(names)]
    return (names[i], names[j])


def subgroups(
    ask: Ask, segments: pl.DataFrame, whole: pl.DataFrame, known: Maturity
) -> SubgroupsSnapshot:
    """Figures and gaps of every segment value in the frames. Pure."""
    d = ask.deployment
    headline = HEADLINE[d.task]
    wholes = {f.group.version: f for f in _marked(ask, figures(d, whole), known)}
    rows = []
    for f in _marked(ask, figures(d, segments), known):
        total = wholes.get(f.group.version)
        if total is None or not _wanted(ask, d, f):
            continue
        names = segment_name(d, f.group.segment)
        values = (f.group.value, f.group.value2)[: len(names)]
        rows.append(
            SubgroupRow(
                f,
                ",".join(names),
                ",".join(values),
                tuple(zip(names, values, strict=True)),
                _gaps(d, f, total),
                f.n / total.n if total.n else 0.0,
            )
        )
    rows.sort(key=lambda r: (_badness(r.gaps[headline], headline), r.segment, r.value))
    return SubgroupsSnapshot(
        ask,
        headline,
        tuple(rows),
        tuple(wholes.values()),
        worst_first(_findings(ask, headline, rows)),
    )


def _marked(ask: Ask, found: tuple[Figures, ...], known: Maturity) -> tuple[Figures, ...]:
    return mark(((f, ask.start, ask.end) for f in found), known, ask.as_of)


def _wanted(ask: Ask, d: Deployment, f: Figures) -> bool:
    if ask.segment is None:
        return True
    held = dict(
        zip(segment_name(d, f.group.segment), (f.group.value, f.group.value2), strict=False)
    )
    return all(
        value is None or held.get(name) == value
        for name, value in zip(ask.segment.names, ask.segment.values, strict=True)
    )


def _badness(gap: Estimate, metric: str) -> float:
    """Sort key, smallest first: how bad the gap is at least. Too few rows sink to the end."""
    if gap.low is None or gap.high is None or gap.state is State.TOO_FEW:
        return 1e9
    return -gap.low if lower_is_better(metric) else gap.high


# which counts make a share: (hits, rows) from a confusion
_SHARES = {
    "accuracy": lambda c: (c.tp + c.tn, c.n),
    "precision": lambda c: (c.tp, c.tp + c.fp),
    "recall": lambda c: (c.tp, c.tp + c.fn),
    "specificity": lambda c: (c.tn, c.tn + c.fp),
    "fpr": lambda c: (c.fp, c.tn + c.fp),
    "fnr": lambda c: (c.fn, c.tp + c.fn),
    # F1 is 2J / (1 + J) of this share, so the gap of F1 follows from the gap of J
    "jaccard": lambda c: (c.tp, c.tp + c.fp + c.fn),
}


def _gaps(d: Deployment, part: Figures, whole: Figures) -> dict[str, Estimate]:
    if d.task is Task.BINARY and part.confusion is not None and whole.confusion is not None:
        found = {
            name: _share_gap(part.confusion, whole.confusion, name)
            for name in _SHARES
            if name != "jaccard"
        }
        found["f1"] = _f1_gap(part, whole)
        return found
    return {
        name: _mean_gap(estimate, whole.metrics[name], part, whole)
        for name, estimate in part.metrics.items()
        if name in ("accuracy", "f1", "mae", "bias", "rmse")
    }


def _share_gap(part: Confusion, whole: Confusion, name: str) -> Estimate:
    """Share of a part minus share of the whole.

    The part belongs to the whole, so the difference is taken to the rest (Newcombe, independent)
    and scaled: p - P = (1 - n/N) (p - rest).
    """
    k, n = _SHARES[name](part)
    total_k, total_n = _SHARES[name](whole)
    if n == 0 or total_n == 0:
        return missing(State.CANNOT_TELL if part.n else State.NO_LABELS, n)
    outside = 1 - n / total_n
    value = k / n - total_k / total_n
    low, high = newcombe(k, n, total_k - k, total_n - n) if total_n > n else (0.0, 0.0)
    state = State.TOO_FEW if n < TOO_FEW else State.OK
    return Estimate(value, min(outside * low, value), max(outside * high, value), n, state)


def _f1_gap(part: Figures, whole: Figures) -> Estimate:
    f, total = part.metrics["f1"], whole.metrics["f1"]
    if f.value is None or total.value is None or f.low is None or f.high is None:
        return missing(f.state if f.value is None else State.CANNOT_TELL, f.n)
    return Estimate(f.value - total.value, f.low - total.value, f.high - total.value, f.n, f.state)


def _mean_gap(part: Estimate, whole: Estimate, p: Figures, w: Figures) -> Estimate:
    """Difference of two means, the part being of the whole, from the part's own interval."""
    if part.value is None or whole.value is None or part.low is None or part.high is None:
        return missing(part.state if part.value is None else State.CANNOT_TELL, part.n)
    n, total = p.n_labelled, w.n_labelled
    value = part.value - whole.value
    if n >= total:
        return Estimate(value, value, value, part.n, part.state)
    outside = 1 - n / total
    # variance of mean(part) - mean(whole) is (1 - n/N) that of mean(part), at equal spread
    half = (part.high - part.low) / 2 * outside**0.5
    return Estimate(value, value - half, value + half, part.n, part.state)


def _findings(ask: Ask, headline: str, rows: list[SubgroupRow]) -> list[Finding]:
    """The worst value of each segment and version, where the gap is sure and large.

    Sure: the interval is widened for the number of values that were looked at (Bonferroni), since
    the worst of many is bad by chance.
    """
    out: list[Finding] = []
    looked: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row.figures.group.version, row.segment)
        looked[key] = looked.get(key, 0) + 1
    seen = set()
    for row in rows:
        key = (row.figures.group.version, row.segment)
        gap = row.gaps[headline]
        crossed = len(row.values) > 1 and ask.segment is None
        settled = row.figures.metrics[headline].state is State.OK
        if crossed or key in seen or gap.value is None or not settled:
            continue
        seen.add(key)
        total = (row.figures.metrics[headline].value or 0.0) - gap.value
        if _surely_worse(gap, headline, looked[key]) and abs(gap.value) > 0.2 * abs(total):
            text = (
                f"{key[0]}: {headline} {row.figures.metrics[headline].value:.3g} for "
                f"{' '.join(f'{k}={v}' for k, v in row.values)}, {total:.3g} over all"
            )
            recall = row.figures.metrics.get("recall")
            if recall is not None and recall.value is not None:
                text += f" (recall {recall.value:.2f}, {100 * row.share:.0f}% of rows)"
            weight = abs(gap.value) * row.share**0.5
            out.append(Finding(Severity.WARNING, "subgroups", text, weight))
    return out


def _surely_worse(gap: Estimate, metric: str, looked: int) -> bool:
    if gap.value is None or gap.low is None or gap.high is None:
        return False
    wider = normal_quantile(1 - 0.025 / looked) / normal_quantile(0.975)
    if lower_is_better(metric):
        return gap.value - (gap.value - gap.low) * wider > 0
    return gap.value + (gap.high - gap.value) * wider < 0
