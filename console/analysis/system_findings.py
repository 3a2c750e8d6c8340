"""Broken limits of system metrics in words: since when, how long, how far."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from collectors.contract import Limit
from console.analysis.ask import Ask
from console.analysis.findings import Finding, Severity, worst_first
from console.analysis.system_rows import Breach, Standing, SystemRow, amount

__all__ = ["side_of", "system_findings"]

_NAMED = 3
_OLD = timedelta(hours=1)  # a newest sample older than this is worth its time


def side_of(limit: Limit, value: float) -> str:
    """Which side a value beyond a limit lies on."""
    return "above" if limit.above is not None and value > limit.above else "below"


def system_findings(ask: Ask, rows: Iterable[SystemRow], n_hidden: int) -> tuple[Finding, ...]:
    """Broken limits, and limits that nothing can be said about, worst first.

    n_hidden: broken limits of series that are not shown.
    """
    rows = list(rows)
    apart = {(r.metric, r.origin) for r in rows if r.breach is not None and r.version is not None}
    found = [
        Finding(Severity.BAD, "system", _sentence(ask, row, row.limit, row.breach), _weight(row))
        for row in rows
        if row.breach is not None
        and row.limit is not None
        # that of all versions says nothing new where one of them is named
        and (row.version is not None or (row.metric, row.origin) not in apart)
    ]
    if n_hidden > 0:
        text = f"{n_hidden:,} more series of samples, which are not shown, broke a limit"
        found.append(Finding(Severity.BAD, "system", text))
    lacking = [row.metric for row in rows if row.standing is Standing.NO_SAMPLES]
    lacking = list(dict.fromkeys(lacking))
    if lacking:
        named = ", ".join(lacking[:_NAMED])
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        whose = "its limit" if len(lacking) == 1 else "their limits"
        text = f"no samples of {named}{more} in this window: {whose} cannot be judged"
        found.append(Finding(Severity.WARNING, "system", text))
    return worst_first(found)


def _weight(row: SystemRow) -> float:
    return 2.0 if row.standing is Standing.BROKEN else 1.0


def _sentence(ask: Ask, row: SystemRow, limit: Limit, breach: Breach) -> str:
    side = side_of(limit, breach.worst)
    bound = amount(row.metric, limit.above if side == "above" else limit.below)
    of = f" of {row.version}" if row.version is not None else ""
    what = f"{row.metric}{of} ({row.origin})"
    worst = f"worst {amount(row.metric, breach.worst)}"
    long = _length(breach.seconds)
    times = f", {breach.n_times} times" if breach.n_times > 1 else ""
    if breach.until is None:
        text = f"{what} {side} its limit of {bound} since {breach.since:%d %b %H:%M}{times}"
        text += f", {long} in all, {worst}"
        if min(ask.end, ask.as_of) - breach.newest > _OLD:
            text += f", newest value {breach.newest:%d %b %H:%M}"
        return text
    span = f"{breach.since:%d %b %H:%M} to {breach.until:%d %b %H:%M}"
    if breach.n_times > 1:
        first = f"{breach.first_since:%d %b %H:%M}"
        span = f"{breach.n_times} times from {first} to {breach.until:%d %b %H:%M}"
    return f"{what} was {side} its limit of {bound} {span}, {long} in all, {worst}"


def _length(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
