"""What the performance figures say in sentences, and only where the evidence carries it.

A figure is compared when it is settled (state ok) and rests on enough labels, with a comparison
that has an interval of its own; it is worse when the two intervals lie apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from collectors.contract import Deployment
from console.analysis.estimate import Estimate, State
from console.analysis.figures import Figures, lower_is_better
from console.analysis.findings import Finding, Severity
from console.analysis.headline import Course, SlowChange

__all__ = ["LEAST_LABELS", "judge", "name_of", "surely_worse", "worse_by"]

LEAST_LABELS = 100
"""Labelled rows for a verdict: with fewer, only a collapse could be told from chance."""

SAME_ROWS = 0.9
"""A fallback that answered for fewer of the labelled rows is not compared with them."""


def judge(
    d: Deployment,
    headline: str,
    compared: Iterable[tuple[Figures, Figures | None]],
    other_has: str = "its reference has",
    courses: Mapping[tuple[str, str, str], Course] | None = None,
) -> tuple[list[Finding], int]:
    """Findings on (figures, what they are compared with), and how many could be judged at all.

    other_has: the other side in a sentence, before its figure. courses: how the headline
    went over time, by version and segment values.
    """
    pairs = list(compared)
    total = sum(f.n for f, _ in pairs) or 1
    out: list[Finding] = []
    judged = 0
    for f, reference in pairs:
        now = f.metrics[headline]
        if not _usable(now, f.n_labelled):
            continue
        was = reference.metrics[headline] if reference is not None else None
        beside = (f.baselines or {}).get("fallback", {})
        fallback = beside.get(headline)
        share = (f.n / total) ** 0.5
        group = f.group
        course = (courses or {}).get((group.version, group.value, group.value2))
        said: list[Finding] = []
        if was is not None and reference is not None and _usable(was, reference.n_labelled):
            judged += 1
            since = _since(headline, course)
            said = _against(f, headline, now, was, share, other_has=other_has, since=since)
            out += said
        if not said:
            out += _slowly_worse(f, headline, course, share)
        if fallback is not None and _rows(beside) >= SAME_ROWS * f.n_labelled:
            judged += 1
            worse = worse_by(headline, now, fallback)
            if worse is not None:
                text = (
                    f"{name_of(f)}: the fallback is better, {headline} "
                    f"{_number(fallback.value)} against {_number(now.value)}"
                )
                out.append(Finding(Severity.BAD, "performance", text, worse))
    return out + _champion(d, headline, [f for f, _ in pairs]), judged


def surely_worse(metric: str, f: Figures, than: Figures) -> bool:
    """Whether one figure is worse than another by the rule of the findings: settled, enough labels
    on both sides, and intervals that lie apart. Never for a bias, which has no better end."""
    if metric == "bias" or metric not in f.metrics or metric not in than.metrics:
        return False
    now, was = f.metrics[metric], than.metrics[metric]
    usable = _usable(now, f.n_labelled) and _usable(was, than.n_labelled)
    return usable and worse_by(metric, now, was) is not None


def name_of(f: Figures) -> str:
    """A slice in words: the version and its segment values."""
    values = [v for v in (f.group.value, f.group.value2) if v]
    return " ".join((f.group.version, *values))


def _against(
    f: Figures,
    headline: str,
    now: Estimate,
    was: Estimate,
    share: float,
    *,
    other_has: str,
    since: str,
) -> list[Finding]:
    worse = worse_by(headline, now, was)
    if worse is None or now.value is None or was.value is None:
        return []
    dead = headline == "f1" and now.value < was.value / 3
    text = f"{name_of(f)}: {headline} {_number(now.value)} where {other_has} {_number(was.value)}"
    if dead:
        recall, auc = f.metrics["recall"].value, f.metrics["roc_auc"].value
        text += f" (recall {_number(recall)}, AUC {_number(auc)})"
    text += since
    severity = Severity.BAD if dead or worse > 0.3 else Severity.WARNING
    return [Finding(severity, "performance", text, worse * share + dead)]


def _since(headline: str, course: Course | None) -> str:
    """When it got worse, where that is sure: the change lasts and is for the worse.

    A change that the time of day may explain is not said.
    """
    onset = course.onset if course is not None else None
    if onset is not None and onset.lasting and not onset.can_be_daily:
        size = onset.size
        if size.low is not None and size.high is not None:
            worse = size.low > 0 if lower_is_better(headline) else size.high < 0
            return f", {onset.words}" if worse else ""
    slow = _slowly(headline, course)
    return f", slowly worse since about {slow.since:%d %b}" if slow is not None else ""


def _slowly(headline: str, course: Course | None) -> SlowChange | None:
    """An alarm for a slow change, when it is for the worse."""
    slow = course.slow if course is not None else None
    if slow is None or slow.since is None or slow.rises != lower_is_better(headline):
        return None
    return slow


def _slowly_worse(f: Figures, headline: str, course: Course | None, share: float) -> list[Finding]:
    """A slow change for the worse against the window before, while intervals still overlap."""
    slow = _slowly(headline, course)
    if slow is None:
        return []
    way = "up" if slow.rises else "down"
    text = (
        f"{name_of(f)}: {headline} has drifted {way} slowly since about {slow.since:%d %b} "
        f"(CUSUM {slow.value:.1f}, alarm from {slow.threshold:.3g})"
    )
    return [Finding(Severity.WARNING, "performance", text, 0.1 * share)]


def _champion(d: Deployment, headline: str, whole: list[Figures]) -> list[Finding]:
    """Another version clearly better than the champion, whatever accuracy says."""
    out = []
    champions = {
        f.group.value + "\0" + f.group.value2: f for f in whole if f.group.version == d.champion
    }
    for f in whole:
        champion = champions.get(f.group.value + "\0" + f.group.value2)
        if champion is None or f is champion:
            continue
        mine, other = champion.metrics[headline], f.metrics[headline]
        if not (_usable(mine, champion.n_labelled) and _usable(other, f.n_labelled)):
            continue
        worse = worse_by(headline, mine, other)
        if worse is not None:
            text = (
                f"{name_of(f)} beats the champion {d.champion}: {headline} "
                f"{_number(other.value)} against {_number(mine.value)}"
            )
            out.append(Finding(Severity.WARNING, "performance", text, worse))
    return out


def _rows(figures: Mapping[str, Estimate]) -> int:
    """Labelled rows that figures rest on; some count only part of them."""
    return max((e.n for e in figures.values()), default=0)


def _usable(e: Estimate, n_labelled: int) -> bool:
    settled = e.state in (State.OK, State.STALE)  # what has stopped is settled too
    return settled and e.low is not None and n_labelled >= LEAST_LABELS


def worse_by(metric: str, now: Estimate, than: Estimate) -> float | None:
    """By what share a figure is worse than another, when their intervals lie apart; else None."""
    if now.value is None or than.value is None or than.value == 0:
        return None
    if now.low is None or now.high is None or than.low is None or than.high is None:
        return None
    if lower_is_better(metric):
        return (now.value - than.value) / abs(than.value) if now.low > than.high else None
    return (than.value - now.value) / abs(than.value) if now.high < than.low else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
