"""Subgroups: every segment value, and crosses of two, against the whole; the surely worst first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from collectors.contract import Deployment, Task
from console.analysis.ask import Ask
from console.analysis.estimate import Estimate, State, missing
from console.analysis.fairness import Disparity, disparities
from console.analysis.figures import HEADLINE, Figures, figures, lower_is_better
from console.analysis.findings import Finding, Severity, worst_first
from console.analysis.gaps import gaps
from console.analysis.intervals import normal_quantile
from console.analysis.maturity import Maturity, mark
from console.analysis.sequences import watch
from console.analysis.shrinkage import shrunken_means, shrunken_shares
from console.analysis.worst_slice import WorstSlice, worst_slices

__all__ = ["SubgroupRow", "SubgroupsSnapshot", "segment_name", "subgroups"]


@dataclass(frozen=True, slots=True)
class SubgroupRow:
    """One segment value of one version. gaps: by metric, minus the whole's, with its interval.

    values: segment name -> value, one or two of them. share: of the version's predictions.
    shrunken: the headline figure, drawn to the mean of its segment by how little is known of it.
    disparity: binary only. change: the headline minus what it was on the other side, `then`; None
    where the other side is the reference.
    """

    figures: Figures
    segment: str
    value: str
    values: tuple[tuple[str, str], ...]
    gaps: Mapping[str, Estimate]
    share: float
    shrunken: Estimate
    disparity: Disparity | None = None
    then: Estimate | None = None
    change: Estimate | None = None


@dataclass(frozen=True, slots=True)
class SubgroupsSnapshot:
    """Rows worst first by evidence: by the better end of the gap's interval, not by the gap.

    worst: the surely worst slice of each version among all segment values and their crosses; ()
    where a segment was asked for.
    """

    ask: Ask
    headline: str
    rows: tuple[SubgroupRow, ...]
    whole: tuple[Figures, ...]
    findings: tuple[Finding, ...]
    worst: tuple[WorstSlice, ...] = ()


def segment_name(d: Deployment, number: int) -> tuple[str, ...]:
    """The column or the two columns of a segment number."""
    names = [s.name for s in d.segments]
    if number <= len(names):
        return (names[number - 1],)
    i, j = d.segment_crosses[number - 1 - len(names)]
    return (names[i], names[j])


def subgroups(
    ask: Ask,
    segments: pl.DataFrame,
    whole: pl.DataFrame,
    known: Maturity,
    *,
    crosses: pl.DataFrame | None = None,
    other: pl.DataFrame | None = None,
) -> SubgroupsSnapshot:
    """Figures and gaps of every segment value in the frames. Pure.

    crosses: outcome rows of the crosses of two, to be searched for the worst slice. other: those
    of `segments` on the other side of the comparison.
    """
    d = ask.deployment
    headline = HEADLINE[d.task]
    wholes = {f.group.version: f for f in _marked(ask, figures(d, whole), known)}
    past = {_key(f): f for f in figures(d, other)} if other is not None else None
    rows = []
    for family in _families(_marked(ask, figures(d, segments), known)):
        total = wholes.get(family[0].group.version)
        if total is None:
            continue
        shrunken, fair = _shrunken(d, headline, family), disparities(family)
        for f, drawn, disparity in zip(family, shrunken, fair, strict=True):
            if not _wanted(ask, d, f):
                continue
            names = segment_name(d, f.group.segment)
            values = (f.group.value, f.group.value2)[: len(names)]
            then = _then(ask, f, headline, past)
            rows.append(
                SubgroupRow(
                    f,
                    ",".join(names),
                    ",".join(values),
                    tuple(zip(names, values, strict=True)),
                    gaps(d, f, total),
                    f.n / total.n if total.n else 0.0,
                    drawn,
                    disparity,
                    then,
                    _change(f.metrics[headline], then) if then is not None else None,
                )
            )
    rows.sort(key=lambda r: (_badness(r.gaps[headline], headline), r.segment, r.value))
    worst = worst_slices(d, whole, segments, crosses) if crosses is not None else ()
    found = [*_findings(ask, headline, rows), *_of_crosses(worst, wholes, headline)]
    return SubgroupsSnapshot(
        ask, headline, tuple(rows), tuple(wholes.values()), worst_first(found), worst
    )


def _families(found: tuple[Figures, ...]) -> list[list[Figures]]:
    """The values of one segment and version together."""
    out: dict[tuple[str, int], list[Figures]] = {}
    for f in found:
        out.setdefault((f.group.version, f.group.segment), []).append(f)
    return list(out.values())


def _shrunken(d: Deployment, headline: str, family: list[Figures]) -> tuple[Estimate, ...]:
    counts = [f.confusion for f in family if f.confusion is not None]
    if d.task is not Task.BINARY or len(counts) < len(family):
        return shrunken_means([f.metrics[headline] for f in family])
    # F1 is 2J / (1 + J) of the share J, so it is that share which is drawn to its mean
    shares = shrunken_shares([c.tp for c in counts], [c.tp + c.fp + c.fn for c in counts])
    return tuple(
        replace(e, value=_f1(e.value), low=_f1(e.low), high=_f1(e.high))
        if e.value is not None
        else missing(f.metrics[headline].state, f.metrics[headline].n)
        for e, f in zip(shares, family, strict=True)
    )


def _f1(jaccard: float | None) -> float | None:
    return None if jaccard is None else 2 * jaccard / (1 + jaccard)


Key = tuple[str, int, str, str]


def _key(f: Figures) -> Key:
    return f.group.version, f.group.segment, f.group.value, f.group.value2


def _then(
    ask: Ask, f: Figures, headline: str, past: Mapping[Key, Figures] | None
) -> Estimate | None:
    """The headline on the other side; no rows where the group was not there."""
    if past is None:
        return None
    version = ask.against.version if ask.against.version is not None else f.group.version
    old = past.get((version, f.group.segment, f.group.value, f.group.value2))
    return missing(State.NO_ROWS) if old is None else old.metrics[headline]


def _change(now: Estimate, then: Estimate) -> Estimate:
    """Difference of two independent figures; their intervals squared and added (MOVER)."""
    if now.value is None or then.value is None:
        return missing(now.state if now.value is None else then.state, now.n)
    value = now.value - then.value
    state = then.state if now.state is State.OK else now.state
    if now.low is None or now.high is None or then.low is None or then.high is None:
        return Estimate(value, None, None, now.n, state)
    low = value - math.hypot(now.value - now.low, then.high - then.value)
    high = value + math.hypot(now.high - now.value, then.value - then.low)
    return Estimate(value, low, high, now.n, state, interval=now.interval)


def _marked(ask: Ask, found: tuple[Figures, ...], known: Maturity) -> tuple[Figures, ...]:
    marked = mark(((f, ask.start, ask.end) for f in found), known, ask.as_of)
    return tuple(watch(ask, f, ask.end) for f in marked)


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


def _of_crosses(
    worst: tuple[WorstSlice, ...], wholes: Mapping[str, Figures], headline: str
) -> list[Finding]:
    """The crosses among the worst slices; single values have findings of their own."""
    out = []
    for w in worst:
        whole = wholes.get(w.version)
        if not w.parents or whole is None or whole.metrics[headline].state is not State.OK:
            continue
        slice_ = " ".join(f"{k}={v}" for k, v in w.values)
        parents = " and ".join(f"{k}={v} ({m:.3g})" for k, v, m in w.parents if m is not None)
        text = (
            f"{w.version}: {w.metric} {w.value:.3g} for {slice_}, {w.whole:.3g} over all: worse "
            f"than {parents} explain; the worst of {w.looked} slices"
        )
        weight = abs(w.gap.value or 0.0) * w.share**0.5
        out.append(Finding(Severity.WARNING, "subgroups", text, weight))
    return out


def _surely_worse(gap: Estimate, metric: str, looked: int) -> bool:
    if gap.value is None or gap.low is None or gap.high is None:
        return False
    wider = normal_quantile(1 - 0.025 / looked) / normal_quantile(0.975)
    if lower_is_better(metric):
        return gap.value - (gap.value - gap.low) * wider > 0
    return gap.value + (gap.high - gap.value) * wider < 0
