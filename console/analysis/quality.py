"""Rules of data quality over a window: which hold, which fail, since when, and in which hours.

Validation asks whether data are broken; drift asks whether the world has changed. Both may fire for
one column, and then the broken data are the first thing to look at. Rules are about the traffic
as a whole, whatever version or segment is shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import polars as pl

from collectors.durations import written_duration
from collectors.quality_rules import Action, ColumnRule, Quality
from console.analysis.ask import Ask, floor_hour, utc
from console.analysis.estimate import Estimate, State, missing
from console.analysis.intervals import proportion
from console.analysis.usual import UsualVolume

__all__ = [
    "BROKEN",
    "NO_RULES",
    "Check",
    "CheckState",
    "FailedBatch",
    "QualityFrames",
    "QualitySnapshot",
    "Run",
    "quality",
]

_HOUR = timedelta(hours=1)

_LONG = timedelta(hours=2)
"""From its first to its last hour, what is said to last where there were other stretches before."""

LEAST_USUAL = 20.0
"""Predictions that an hour usually has, from which its volume is judged: below, chance alone halves
and doubles it."""


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


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """A batch of which too large a part went to quarantine."""

    source: str
    n: int
    n_failed: int
    at: datetime


@dataclass(frozen=True, slots=True)
class QualityFrames:
    """failed: what failed rules on records, by hour. volume: by hour. conditions: rows whose
    feature is missing or outside the reference, by hour; None where no rule asks. totals: records
    of the batches since the window's start, by kind; None likewise. newest: row of each kind of
    source. ended: the log has ended, which is no silence.
    """

    failed: pl.DataFrame
    volume: pl.DataFrame
    conditions: pl.DataFrame | None
    totals: pl.DataFrame | None
    usual: UsualVolume | None
    newest: Mapping[str, datetime | None]
    ended: bool = False


@dataclass(frozen=True, slots=True)
class QualitySnapshot:
    """checks: failing ones first. flagged: hours of the window whose rows fail checks. n_hours: of
    the window that have rows.
    """

    checks: tuple[Check, ...] = ()
    batches: tuple[FailedBatch, ...] = ()
    flagged: tuple[datetime, ...] = ()
    n_hours: int = 0

    @property
    def failing(self) -> tuple[Check, ...]:
        """Checks that fail."""
        return tuple(c for c in self.checks if c.state is CheckState.FAILING)

    @property
    def spans(self) -> tuple[tuple[datetime, datetime], ...]:
        """The flagged hours as [start, end) stretches."""
        out: list[tuple[datetime, datetime]] = []
        for hour in self.flagged:
            if out and out[-1][1] == hour:
                out[-1] = (out[-1][0], hour + _HOUR)
            else:
                out.append((hour, hour + _HOUR))
        return tuple(out)

    def of_column(self, name: str) -> Check | None:
        """The worst check that says that a column is broken, or None.

        Values that the reference has not seen may well be right: that is for drift to say.
        """
        mine = [c for c in self.failing if c.subject == name and c.rule in BROKEN]
        return max(mine, key=_badness, default=None)


NO_RULES = QualitySnapshot()
"""Of a deployment without rules."""

BROKEN = frozenset(("range", "values", "required", "nulls"))
"""Rules on a column that say that it is broken, not only other than it was."""

Hours = Mapping[datetime, int]


def quality(ask: Ask, rules: Quality, frames: QualityFrames) -> QualitySnapshot:
    """All checks of a window. Pure: frames in, snapshot out."""
    made = _by_hour(frames.volume, "start", "n")
    errors = _by_hour(frames.volume, "start", "n_error")
    whole = {hour: n - errors.get(hour, 0) for hour, n in made.items()}
    failed = _failed(frames.failed)
    checks = [*_of_records(ask, rules, failed, made), *_of_features(ask, rules, frames, whole)]
    if ask.deployment.timed:
        checks += [*_late(rules, failed, made), *_volume(ask, rules, frames, made)]
        checks += _freshness(ask, rules, frames)
    checks += _duplicates(rules, frames)
    flagged = sorted({hour for c in checks for hour in c.hours})
    order = {CheckState.FAILING: 0, CheckState.CANNOT_TELL: 1, CheckState.OK: 2}
    checks.sort(key=lambda c: (order[c.state], -_badness(c)))
    return QualitySnapshot(tuple(checks), tuple(_batches(frames.failed)), tuple(flagged), len(made))


def _badness(c: Check) -> float:
    share = c.share_now
    return share if share is not None else 1.0


def _by_hour(frame: pl.DataFrame, at: str, column: str) -> dict[datetime, int]:
    out: defaultdict[datetime, int] = defaultdict(int)
    for moment, n in frame.select(at, column).iter_rows():
        out[utc(moment)] += n
    return dict(out)


_Key = tuple[str, str]


def _failed(frame: pl.DataFrame) -> dict[_Key, dict[datetime, tuple[int, int]]]:
    """(rule, subject) -> hour -> (rows that failed, those of them that were set apart)."""
    out: defaultdict[_Key, dict[datetime, tuple[int, int]]] = defaultdict(dict)
    for row in frame.iter_rows(named=True):
        if row["rule"] == "batch" or row["bucket"] is None:
            continue
        hours = out[row["rule"], row["subject"]]
        hour = utc(row["bucket"])
        n, apart = hours.get(hour, (0, 0))
        hours[hour] = (n + row["n_failed"], apart + row["n_failed"] * row["quarantined"])
    return dict(out)


def _batches(frame: pl.DataFrame) -> Iterator[FailedBatch]:
    found = frame.filter(pl.col("rule") == "batch").sort("at_time", descending=True)
    for row in found.iter_rows(named=True):
        yield FailedBatch(row["subject"], row["n"], row["n_failed"], utc(row["at_time"]))


# -- rules on records --------------------------------------------------------------------------


def _of_records(
    ask: Ask,
    rules: Quality,
    failed: Mapping[_Key, Mapping[datetime, tuple[int, int]]],
    made: Hours,
) -> Iterator[Check]:
    for subject, rule in rules.columns.items():
        for kind, allowed in _row_rules(rule):
            found = failed.get((kind, subject), {})
            yield _counted(
                Check(
                    kind, subject, rule.action, allowed, 0, 0, missing(State.NO_ROWS),
                    CheckState.CANNOT_TELL,
                ),
                found,
                made,
                rule.tolerance,
                timed=ask.deployment.timed,
            )  # fmt: skip


def _row_rules(rule: ColumnRule) -> Iterator[tuple[str, str]]:
    """(rule, what is allowed) of the rules on single records."""
    if rule.min is not None or rule.max is not None:
        low = f"{rule.min:g}" if rule.min is not None else ""
        high = f"{rule.max:g}" if rule.max is not None else ""
        yield (
            "range",
            f"{low} to {high}" if low and high else f"from {low}" if low else f"to {high}",
        )
    if rule.values:
        named = ", ".join(str(v) for v in rule.values[:3])
        more = f" and {len(rule.values) - 3} more" if len(rule.values) > 3 else ""
        yield "values", named + more
    if rule.required:
        yield "required", "a value in every row"


def _late(
    rules: Quality, failed: Mapping[_Key, Mapping[datetime, tuple[int, int]]], made: Hours
) -> Iterator[Check]:
    if rules.late is None:
        return
    allowed = f"{_percent(rules.late.share)} older than {written_duration(rules.late.after)}"
    blank = Check(
        "late", "predictions", Action.FLAG, allowed, 0, 0, missing(State.NO_ROWS),
        CheckState.CANNOT_TELL,
    )  # fmt: skip
    found = failed.get(("late", "predictions"), {})
    yield _counted(blank, found, made, rules.late.share)


def _of_features(ask: Ask, rules: Quality, frames: QualityFrames, whole: Hours) -> Iterator[Check]:
    """Shares of rows of a feature that are missing, or outside what the reference has seen."""
    if frames.conditions is None:
        return
    found: defaultdict[tuple[int, str], dict[datetime, tuple[int, int]]] = defaultdict(dict)
    counts = frames.conditions.group_by("start", "segment", "value").agg(pl.col("n").sum())
    for start, feature, value, n in counts.iter_rows():
        found[feature, value][utc(start)] = (n, 0)
    for number, feature in enumerate(ask.deployment.features):
        own = rules.columns.get(feature.name)
        for rule, condition, limit in (
            ("nulls", "missing", _first(own.nulls if own else None, rules.nulls)),
            ("unseen", "outside", _first(own.unseen if own else None, rules.unseen)),
        ):
            if limit is None:
                continue
            blank = Check(
                rule, feature.name, Action.FLAG, _percent(limit), 0, 0, missing(State.NO_ROWS),
                CheckState.CANNOT_TELL,
            )  # fmt: skip
            of = found.get((number, condition), {})
            yield _counted(blank, of, whole, limit, timed=ask.deployment.timed)


def _first(own: float | None, general: float | None) -> float | None:
    return own if own is not None else general


def _counted(
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
        sorted(h for h, (k, apart) in found.items() if _breaks(k, rows.get(h, 0) + apart, limit))
    )
    failing = bool(hours) or _breaks(n_failed, n, limit)
    if not timed:
        hours = ()
    last = max([*rows, *found])
    run = None
    if hours:
        over = {h for h, (k, apart) in found.items() if k > limit * (rows.get(h, 0) + apart)}
        start = _run_start(hours[-1], over, [*rows, *found])
        of_run = [h for h in {*rows, *found} if start <= h <= hours[-1]]
        k = sum(found.get(h, (0, 0))[0] for h in of_run)
        m = sum(rows.get(h, 0) + found.get(h, (0, 0))[1] for h in of_run)
        run = _run(start, hours, k / m if m else None, hours[-1] == last)
    return replace(
        blank,
        n=n,
        n_failed=min(n_failed, n),
        share=proportion(min(n_failed, n), n),
        state=CheckState.FAILING if failing else CheckState.OK,
        hours=hours,
        run=run,
    )


def _breaks(k: int, n: int, limit: float) -> bool:
    """Whether k of n rows are surely more than the limit; where none may fail, one is."""
    if k <= 0 or n <= 0:
        return False
    if limit <= 0:
        return True
    low = proportion(min(k, n), n).low
    return low is not None and low > limit


def _run(start: datetime, hours: tuple[datetime, ...], share: float | None, is_newest: bool) -> Run:
    long = hours[-1] - start >= _LONG or hours[0] >= start
    return Run(start, hours[-1] + _HOUR, share, is_newest and long)


def _run_start(last: datetime, bad: Set[datetime], known: Iterable[datetime]) -> datetime:
    """Where the run of bad hours that ends with `last` begins; hours without rows do not end it."""
    start = last
    for hour in sorted({h for h in known if h < start}, reverse=True):
        if hour not in bad:
            break
        start = hour
    return start


# -- rules on the flow -------------------------------------------------------------------------


def _volume(ask: Ask, rules: Quality, frames: QualityFrames, made: Hours) -> Iterator[Check]:
    """Full hours against the least and the most that is usual for them."""
    if rules.volume is None or frames.usual is None:
        return
    low, high = rules.volume
    newest = frames.newest.get("predictions")
    end = min(ask.end, ask.as_of, *([newest] if newest is not None else []))
    hour = floor_hour(ask.start)
    hour += _HOUR if hour < ask.start else timedelta()
    judged: list[datetime] = []
    bad: list[datetime] = []
    while hour + _HOUR <= end:
        least, most = frames.usual.expected(hour, hour + _HOUR), frames.usual.most(hour)
        if least is not None and most is not None and most >= LEAST_USUAL:
            judged.append(hour)
            n = made.get(hour, 0)
            if n < low * least or n > high * most:
                bad.append(hour)
        hour += _HOUR
    run = None
    if bad:
        start = _run_start(bad[-1], set(bad), judged)
        run = _run(start, tuple(bad), None, bad[-1] == judged[-1])
    yield Check(
        "volume",
        "predictions",
        Action.FLAG,
        f"{low:g} to {high:g} times the usual of the hour",
        len(judged),
        len(bad),
        proportion(len(bad), len(judged)) if judged else missing(State.CANNOT_TELL),
        CheckState.CANNOT_TELL if not judged else CheckState.FAILING if bad else CheckState.OK,
        tuple(bad),
        run,
    )


def _freshness(ask: Ask, rules: Quality, frames: QualityFrames) -> Iterator[Check]:
    """The age of the newest row of each kind, where the window reaches to the clock."""
    for kind, within in rules.freshness.items():
        newest = frames.newest.get(kind)
        age = ask.as_of - newest if newest is not None else None
        state = CheckState.CANNOT_TELL
        if ask.end >= ask.as_of and not frames.ended:
            state = CheckState.OK if age is not None and age <= within else CheckState.FAILING
        yield Check(
            "freshness",
            kind,
            Action.FLAG,
            f"at most {written_duration(within)} old",
            0,
            0,
            missing(State.CANNOT_TELL),
            state,
            age=age,
        )


def _duplicates(rules: Quality, frames: QualityFrames) -> Iterator[Check]:
    if rules.duplicates is None or frames.totals is None:
        return
    for row in frames.totals.iter_rows(named=True):
        if row["kind"] not in ("predictions", "labels") or row["n_read"] <= 0:
            continue
        k, n = row["n_duplicate"], row["n_read"]
        yield Check(
            "duplicates",
            row["kind"],
            Action.FLAG,
            _percent(rules.duplicates),
            n,
            k,
            proportion(min(k, n), n),
            CheckState.FAILING if _breaks(k, n, rules.duplicates) else CheckState.OK,
        )


def _percent(share: float) -> str:
    return f"at most {100 * share:g}%"
