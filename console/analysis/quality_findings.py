"""What checks of data quality say in sentences, and what to look at before drift."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import PurePath

from collectors.quality_rules import Action
from console.analysis.ask import Ask
from console.analysis.checks import BROKEN, Check
from console.analysis.findings import Finding, Severity
from console.analysis.quality import QualitySnapshot

__all__ = ["first_to_look_at", "flagged_figures", "quality_findings"]

_NAMED = 4
"""Failing checks that get a sentence each."""

_BAD = 0.25
"""Share of rows that fail from which a check is bad news, not only a warning."""

_WORDS = {
    "range": "out of range",
    "values": "not among the allowed values",
    "required": "without the required value",
    "nulls": "missing",
    "unseen": "outside what the reference has seen",
    "late": "late",
    "duplicates": "of the records repeat earlier ones",
}

_TOGETHER = frozenset(("nulls", "unseen", "required"))
"""Rules that a feed which is down breaks for many columns at once."""


def quality_findings(ask: Ask, s: QualitySnapshot, drifted: Iterable[str] = ()) -> list[Finding]:
    """The findings of checks. drifted: columns that have drifted too."""
    moved = frozenset(drifted)
    groups = _groups(s.failing)
    out = [_sentence(ask, g, moved) for g in groups[:_NAMED]]
    left = sum(len(g) for g in groups[_NAMED:])
    if left:
        text = f"{left} more checks fail" if left > 1 else "one more check fails"
        out.append(Finding(Severity.WARNING, "data", text))
    for batch in s.batches[:1]:
        name = PurePath(batch.source).name
        share = 100 * batch.n_failed / max(batch.n, 1)
        text = f"{share:.0f}% of a batch of {batch.n:,} records of {name} went to quarantine"
        if len(s.batches) > 1:
            text += f", and {len(s.batches) - 1} more batches failed"
        out.append(Finding(Severity.BAD, "data", text, 3))
    return [*out, *flagged_figures(s)]


def flagged_figures(s: QualitySnapshot) -> list[Finding]:
    """That figures rest on hours whose data fail checks; every pane with figures says it."""
    if not s.flagged:
        return []
    of = f" of {s.n_hours:,}" if s.n_hours >= len(s.flagged) else ""
    text = f"data of {len(s.flagged):,}{of} hours in this window fail checks, so its figures may"
    return [Finding(Severity.NOTE, "data", f"{text} be wrong")]


def first_to_look_at(ask: Ask, s: QualitySnapshot, drifted: Iterable[str]) -> list[Finding]:
    """Columns that have drifted and are broken by a check: the check comes first."""
    moved = frozenset(drifted)
    groups = [g for g in _groups(s.failing) if _is_first(g, moved)]
    return [_sentence(ask, g, moved) for g in groups[:_NAMED]]


def _groups(failing: Sequence[Check]) -> list[list[Check]]:
    """Checks that one sentence says together: of a rule, failing since the same hour."""
    out: dict[tuple[object, ...], list[Check]] = {}
    for place, c in enumerate(failing):
        together = c.rule in _TOGETHER and c.run is not None and c.run.lasting
        key = (c.rule, c.action, c.run.start) if together and c.run is not None else (place,)
        out.setdefault(key, []).append(c)
    return list(out.values())


def _is_first(group: Sequence[Check], drifted: frozenset[str]) -> bool:
    return any(c.rule in BROKEN and c.subject in drifted for c in group)


def _sentence(ask: Ask, group: Sequence[Check], drifted: frozenset[str]) -> Finding:
    """The first of a group is the worst."""
    c = group[0]
    share = c.share_now
    named = ", ".join(of.subject for of in group[:3])
    more = f" and {len(group) - 3} more" if len(group) > 3 else ""
    least = min((of.share_now or 0.0 for of in group), default=0.0)
    upto = "up to " if share is not None and _percent(least) != _percent(share) else ""
    text = f"{named}{more}: {upto}{_what(c, share)}{_when(ask, c)}"
    if _is_first(group, drifted):
        text += f" (broken data): look at this before {'its' if len(group) == 1 else 'their'} drift"
    heavy = c.rule == "freshness" or (share or 0.0) >= _BAD
    severity = Severity.BAD if heavy else Severity.WARNING
    return Finding(severity, "data", text, 2 + (share if share is not None else 1.0))


def _what(c: Check, share: float | None) -> str:
    if c.rule == "volume":
        return f"{c.n_failed:,} of {c.n:,} hours are not {c.allowed}"
    if c.rule == "freshness":
        if c.age is None:
            return "there are none"
        return f"the newest is {_span(c.age)} old, {c.allowed.removesuffix(' old')} is allowed"
    part = f"{_percent(share)} " if share is not None else ""
    apart = ", in quarantine" if c.action is Action.QUARANTINE else ""
    allowed = f" ({c.allowed})" if c.rule in ("range", "late") else ""
    return f"{part}{_WORDS[c.rule]}{allowed}{apart}"


def _when(ask: Ask, c: Check) -> str:
    if c.run is None:
        return ""
    if c.run.lasting:
        return f" since {_moment(ask, c.run.start)}"
    hours = f"in {len(c.hours):,} hours, the last at" if len(c.hours) > 1 else "at"
    return f" {hours} {_moment(ask, c.run.end - timedelta(hours=1))}"


def _moment(ask: Ask, at: datetime) -> str:
    recent = min(ask.end, ask.as_of) - at < timedelta(hours=24)
    return f"{at:%H:%M}" if recent else f"{at:%d %b %H:%M}"


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "less than 0.1%"
    return f"{100 * share:.1f}%" if share < 0.1 else f"{100 * share:.0f}%"


def _span(length: timedelta) -> str:
    hours = length.total_seconds() / 3600
    if hours < 2:
        return f"{60 * hours:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"
