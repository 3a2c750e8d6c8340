"""What is known of the arms when a change is planned: figures, how old, and what they say.

The figures are those of the Traffic and Versions panes; nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from collectors.contract import Task
from console.analysis.against import Against, Side
from console.analysis.ask import Ask
from console.analysis.comparison import Comparison, Verdict, compare
from console.analysis.estimate import Estimate, State, missing
from console.control.settings import Control
from console.snapshots import Taker

__all__ = ["ArmEvidence", "Evidence", "evidence_of"]

_DECIDING = frozenset({"error_rate", "latency_p95", "cost"})


@dataclass(frozen=True, slots=True)
class ArmEvidence:
    """One arm over the window. n: predictions. metrics: share, error_rate, latency_p95 (ms),
    cost_per_1000 and the figure of the trial, as far as they are known.

    against_stable: compared with the stable arm, the trial's figure first; empty for itself.
    """

    arm: str
    version: str
    n: int
    metrics: Mapping[str, Estimate]
    against_stable: tuple[Comparison, ...] = ()

    def metric(self, name: str) -> Estimate:
        """One figure; of nothing where it is not known."""
        return self.metrics.get(name, missing(State.NO_ROWS))

    @property
    def worse(self) -> tuple[Comparison, ...]:
        """In which of the figures that decide it is surely worse than the stable arm.

        Of a dozen figures one is often apart by chance, so only the trial's counts, which stands
        first, and errors, latency and cost.
        """
        deciding = {c.metric for c in self.against_stable[:1]} | _DECIDING
        return tuple(
            c for c in self.against_stable if c.verdict is Verdict.WORSE and c.metric in deciding
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the store said at a moment. at: the clock then. data_age: of the newest row, None
    without any. start, end: the window that figures are of. metric: the trial's figure.

    mismatch: whether traffic is surely not split as the configuration's trial says. watched:
    whether intervals hold at every look.
    """

    at: datetime
    start: datetime
    end: datetime
    data_age: timedelta | None
    metric: str
    watched: bool
    arms: tuple[ArmEvidence, ...]
    mismatch: bool = False

    def of(self, arm: str) -> ArmEvidence | None:
        """An arm's part."""
        return next((a for a in self.arms if a.arm == arm), None)

    def age(self, now: datetime) -> timedelta | None:
        """How old the newest row is now."""
        return None if self.data_age is None else self.data_age + max(now - self.at, timedelta(0))

    def document(self) -> dict[str, Any]:
        """For the audit: values, intervals and counts."""
        return {
            "at": self.at.isoformat(),
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "data_age_s": None if self.data_age is None else self.data_age.total_seconds(),
            "metric": self.metric,
            "arms": {
                a.arm: {
                    "version": a.version,
                    "n": a.n,
                    **{k: [e.value, e.low, e.high, e.n] for k, e in sorted(a.metrics.items())},
                    "against_stable": {
                        c.metric: [c.verdict.value, c.difference.low, c.difference.high]
                        for c in a.against_stable
                    },
                }
                for a in self.arms
            },
        }


def evidence_of(taker: Taker, ask: Ask, control: Control) -> Evidence:
    """Figures of every arm's version over the ask's window. Raises CollectorError."""
    stable = control.arms[control.stable]
    of = replace(ask, version=None, segment=None, threshold=None, against=_against(stable))
    traffic, trial = taker.traffic(of), taker.versions(of)
    row = taker.overview_row(replace(of, against=ask.against))
    seen = {r.version: r for r in traffic.whole}
    figures = {r.version: r for r in trial.rows if r.against == stable and not r.fallback}
    arms = []
    for arm, version in control.arms.items():
        mine = seen.get(version)
        metrics = dict(mine.metrics) if mine is not None else {}
        compared: list[Comparison] = []
        known = figures.get(version)
        if known is not None:
            compared = list(known.comparisons)
            metrics[trial.metric] = known.first.mine
        elif version == stable and figures:
            metrics[trial.metric] = next(iter(figures.values())).first.other
        if version != stable and mine is not None and stable in seen:
            compared += _of_traffic(of, mine.metrics, seen[stable].metrics)
        n = mine.n if mine is not None else 0
        arms.append(ArmEvidence(arm, version, n, metrics, tuple(compared)))
    return Evidence(
        at=ask.as_of,
        start=ask.start,
        end=min(ask.end, ask.as_of),
        data_age=row.age,
        metric=trial.metric,
        watched=ask.watched,
        arms=tuple(arms),
        mismatch=trial.ratio.mismatch,
    )


def _against(version: str) -> Against:
    return Against(Side.VERSION, version=version)


def _of_traffic(
    ask: Ask, mine: Mapping[str, Estimate], other: Mapping[str, Estimate]
) -> Iterator[Comparison]:
    """Errors by their difference; latency by whether the intervals of its 95 % point are apart."""
    if "error_rate" in mine and "error_rate" in other:
        yield compare(
            "error_rate",
            mine["error_rate"],
            other["error_rate"],
            watched=ask.watched,
            binary=ask.deployment.task is Task.BINARY,
        )
    a, b = mine.get("latency_p95"), other.get("latency_p95")
    if a is None or b is None or a.value is None or b.value is None:
        return
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return
    verdict = (
        Verdict.WORSE if a.low > b.high else Verdict.BETTER if a.high < b.low
        else Verdict.CANNOT_TELL
    )  # fmt: skip
    apart = Estimate(a.value - b.value, a.low - b.high, a.high - b.low, a.n + b.n)
    yield Comparison("latency_p95", a, b, apart, verdict)
