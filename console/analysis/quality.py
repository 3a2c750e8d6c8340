"""Rules of data quality over a window: which hold, which fail, since when, and in which hours.

Validation asks whether data are broken; drift asks whether the world has changed. Both may fire for
one column, and then the broken data are the first thing to look at. Rules are about the traffic
as a whole, whatever version or segment is shown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from collectors.durations import written_duration
from collectors.quality_rules import Action, ColumnRule, Quality
from console.analysis.ask import Ask, floor_hour, utc
from console.analysis.checks import (
    Check,
    CheckState,
    Hours,
    breaks,
    counted,
    run_of,
    run_start,
)
from console.analysis.estimate import State, missing
from console.analysis.intervals import proportion
from console.analysis.maturity import BINS
from console.analysis.usual import UsualVolume

__all__ = [
    "NO_RULES",
    "FailedBatch",
    "QualityFrames",
    "QualitySnapshot",
    "quality",
]

_HOUR = timedelta(hours=1)

LEAST_USUAL = 20.0
"""Predictions that an hour usually has, from which its volume is judged: below, chance alone halves
and doubles it."""


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
    source. ended: the log has ended, which is no silence. delay: how long labels took, where a
    rule asks.
    """

    failed: pl.DataFrame
    volume: pl.DataFrame
    conditions: pl.DataFrame | None
    totals: pl.DataFrame | None
    usual: UsualVolume | None
    newest: Mapping[str, datetime | None]
    ended: bool = False
    delay: pl.DataFrame | None = None


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


NO_RULES = QualitySnapshot()
"""Of a deployment without rules."""


def quality(ask: Ask, rules: Quality, frames: QualityFrames) -> QualitySnapshot:
    """All checks of a window. Pure: frames in, snapshot out."""
    made = _by_hour(frames.volume, "start", "n")
    errors = _by_hour(frames.volume, "start", "n_error")
    whole = {hour: n - errors.get(hour, 0) for hour, n in made.items()}
    failed = _failed(frames.failed)
    checks = [*_of_records(ask, rules, failed, made), *_of_features(ask, rules, frames, whole)]
    if ask.deployment.timed:
        checks += [*_late(rules, failed, made), *_late_labels(rules, frames)]
        checks += _volume(ask, rules, frames, made)
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
            yield counted(
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
    yield counted(blank, found, made, rules.late.share)


def _late_labels(rules: Quality, frames: QualityFrames) -> Iterator[Check]:
    """Labels that surely took longer; those in the bin that holds the limit count as in time."""
    if rules.late_labels is None or frames.delay is None:
        return
    after, share = rules.late_labels.after, rules.late_labels.share
    n = int(frames.delay["n"].sum())
    first = math.ceil(BINS * math.log1p(after.total_seconds()))
    late = int(frames.delay.filter(pl.col("bin") >= first)["n"].sum())
    yield Check(
        "late",
        "labels",
        Action.FLAG,
        f"{_percent(share)} later than {written_duration(after)}",
        n,
        late,
        proportion(late, n) if n > 0 else missing(State.NO_LABELS),
        CheckState.CANNOT_TELL
        if n <= 0
        else CheckState.FAILING
        if breaks(late, n, share)
        else CheckState.OK,
    )


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
            yield counted(blank, of, whole, limit, timed=ask.deployment.timed)


def _first(own: float | None, general: float | None) -> float | None:
    return own if own is not None else general


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
        start = run_start(bad[-1], set(bad), judged)
        run = run_of(start, tuple(bad), None, bad[-1] == judged[-1])
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
            CheckState.FAILING if breaks(k, n, rules.duplicates) else CheckState.OK,
        )


def _percent(share: float) -> str:
    return f"at most {100 * share:g}%"
