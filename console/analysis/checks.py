"""One check of data quality: what came of a rule, in which hours, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from collectors.quality_rules import Action
from console.analysis.estimate import Estimate
from console.analysis.intervals import proportion

__all__ = [
    "BROKEN",
    "Check",
    "CheckState",
    "Hours",
    "Run",
    "breaks",
    "counted",
    "run_of",
    "run_start",
]

_HOUR = timedelta(hours=1)

_LONG = timedelta(hours=2)
"""From its first to its last hour, what is said to last where there were other stretches before."""

BROKEN = frozenset(("range", "values", "required", "nulls"))
"""Rules on a column that say that it is broken, not only other than it was."""

Hours = Mapping[datetime, int]
"""Rows by hour."""


class CheckState(StrEnum):
    """What came of a rule."""

    OK = "ok"
    FAILING = "failing"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Run:
    """The last stretch of hours in which a rule failed. lasting: it reaches the newest hour that
    has rows, and is no single hour of many. share: of its rows that failed; None where rows are
    not what is counted.
    """

    start: datetime
    end: datetime
    share: float | None
    lasting: bool


@dataclass(frozen=True, slots=True)
class Check:
    """One rule on one subject. n: rows or records judged in the window; hours: those that fail.

    rule: range, values, required, nulls, unseen, late, duplicates, volume or freshness. subject: a
    column, or a kind of source. allowed: what may be, in words. share: of n that failed. age: of
    the newest row, for freshness. run: None where nothing failed, or no hour did surely.
    """

    rule: str
    subject: str
    action: Action
    allowed: str
    n: int
    n_failed: int
    share: Estimate
    state: CheckState
    hours: tuple[datetime, ...] = ()
    run: Run | None = None
    age: timedelta | None = None

    @property
    def share_now(self) -> float | None:
        """The share that fails since it does, where it still does; else that of the window."""
        if self.run is not None and self.run.lasting and self.run.share is not None:
            return self.run.share
        return self.share.value


def counted(
    blank: Check,
    found: Mapping[datetime, tuple[int, int]],
    rows: Hours,
    limit: float,
    *,
    timed: bool = True,
) -> Check:
    """A check from rows that failed by hour. found: (failed, those of them not in `rows`)."""
    n = sum(rows.values()) + sum(apart for _, apart in found.values())
    n_failed = sum(k for k, _ in found.values())
    if not n:
        return blank
    hours = tuple(
        sorted(h for h, (k, apart) in found.items() if breaks(k, rows.get(h, 0) + apart, limit))
    )
    failing = bool(hours) or breaks(n_failed, n, limit)
    if not timed:
        hours = ()
    last = max([*rows, *found])
    run = None
    if hours:
        over = {h for h, (k, apart) in found.items() if k > limit * (rows.get(h, 0) + apart)}
        start = run_start(hours[-1], over, [*rows, *found])
        of_run = [h for h in {*rows, *found} if start <= h <= hours[-1]]
        k = sum(found.get(h, (0, 0))[0] for h in of_run)
        m = sum(rows.get(h, 0) + found.get(h, (0, 0))[1] for h in of_run)
        run = run_of(start, hours, k / m if m else None, hours[-1] == last)
    return replace(
        blank,
        n=n,
        n_failed=min(n_failed, n),
        share=proportion(min(n_failed, n), n),
        state=CheckState.FAILING if failing else CheckState.OK,
        hours=hours,
        run=run,
    )


def breaks(k: int, n: int, limit: float) -> bool:
    """Whether k of n rows are surely more than the limit; where none may fail, one is."""
    if k <= 0 or n <= 0:
        return False
    if limit <= 0:
        return True
    low = proportion(min(k, n), n).low
    return low is not None and low > limit


def run_of(
    start: datetime, hours: tuple[datetime, ...], share: float | None, is_newest: bool
) -> Run:
    """The run that begins at `start` and ends with the last of `hours`, which fail; in order."""
    long = hours[-1] - start >= _LONG or hours[0] >= start
    return Run(start, hours[-1] + _HOUR, share, is_newest and long)


def run_start(last: datetime, bad: Set[datetime], known: Iterable[datetime]) -> datetime:
    """Where the run of bad hours that ends with `last` begins; hours without rows do not end it."""
    start = last
    for hour in sorted({h for h in known if h < start}, reverse=True):
        if hour not in bad:
            break
        start = hour
    return start
