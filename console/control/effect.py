"""What a plan is expected to do, from what the arms have done so far. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from console.analysis.comparison import Verdict
from console.analysis.estimate import Estimate
from console.control.evidence import Evidence
from console.control.plan import Plan
from console.control.split import Split, percent_text

__all__ = ["effect_of"]

_MIXED = (("error_rate", "failed requests", True), ("cost_per_1000", "cost per 1,000", False))
"""Figures of a mixture that are the mixture of the figures; whether a share."""


def effect_of(plan: Plan, evidence: Evidence | None) -> tuple[str, ...]:
    """Sentences; none where nothing is known."""
    if evidence is None:
        return ()
    return (*_mixtures(plan, evidence), *_comparisons(plan, evidence))


def _mixtures(plan: Plan, evidence: Evidence) -> Iterator[str]:
    for name, words, share in _MIXED:
        after = _mixed(plan.after, evidence, name)
        before = None if plan.before is None else _mixed(plan.before, evidence, name)
        if after is None:
            unknown = [arm for arm in plan.after.taking if _value(evidence, arm, name) is None]
            if share and unknown:
                yield f"{words}: not known of {', '.join(unknown)}"
            continue
        if before is None:
            yield f"{words}: {_shown(after, share)} expected"
        else:
            yield f"{words}: {_shown(before, share)} -> {_shown(after, share)} expected"


def _comparisons(plan: Plan, evidence: Evidence) -> Iterator[str]:
    """What is known of the arms that get more, by the trial's figure."""
    for change in plan.increases:
        mine = evidence.of(change.arm)
        if mine is None or not mine.n:
            yield f"{change.arm} has no predictions in this window: nothing is known of it"
            continue
        figure = mine.metric(evidence.metric)
        if figure.value is None:
            yield f"{change.arm}: no {evidence.metric} yet ({mine.n:,} predictions)"
            continue
        text = f"{change.arm}: {evidence.metric} {figure.value:.3g}{_interval(figure)}"
        compared = next((c for c in mine.against_stable if c.metric == evidence.metric), None)
        if compared is not None and compared.difference.value is not None:
            word = _WORDS[compared.verdict]
            text += (
                f", {compared.difference.value:+.3g}{_interval(compared.difference)}"
                f" against the stable arm: {word}"
            )
        yield text


_WORDS = {
    Verdict.BETTER: "surely better",
    Verdict.WORSE: "surely worse",
    Verdict.NO_WORSE: "no worse by more than the margin",
    Verdict.CANNOT_TELL: "cannot be told apart",
}


def _mixed(split: Split, evidence: Evidence, name: str) -> float | None:
    """The figure of all traffic under a split; None where an arm's is not known."""
    total = 0.0
    for arm in split.taking:
        value = _value(evidence, arm, name)
        if value is None:
            return None
        total += split.share(arm) * value
    return total


def _value(evidence: Evidence, arm: str, name: str) -> float | None:
    mine = evidence.of(arm)
    return mine.metric(name).value if mine is not None else None


def _interval(e: Estimate) -> str:
    return "" if e.low is None or e.high is None else f" [{e.low:.3g}, {e.high:.3g}]"


def _shown(value: float, share: bool) -> str:
    return percent_text(value) if share else f"{value:.4g}"
