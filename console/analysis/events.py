"""What else happened between two windows: versions, the split, labels and feeds that stopped, and
what the serving system itself says was changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import polars as pl

from collectors.contract import Deployment
from console.analysis.ask import utc
from console.analysis.changes import RecordedChange
from console.analysis.intervals import wilson
from console.analysis.maturity import Maturity
from console.analysis.onset import Onset
from console.analysis.traffic import ShareChange

__all__ = ["ChangeEvent", "EventFrames", "EventKind", "change_events"]

_ENOUGH = 20  # rows of a step below which nothing is said of it
_RIPE = 0.95
_LOW = 0.8
_GONE, _HELD = 0.5, 0.1
"""Shares of missing values: a feed has stopped from the one, it worked below the other."""
_LEAST, _SURELY = 5, 0.3  # rows of a step, and what its share of missing values surely is above
_NEAR = 2.0  # steps from the onset
_NAMED = 4
_MOST_TURNS = 2  # a feature that comes and goes more often does so every night


class EventKind(StrEnum):
    """What happened."""

    VERSION = "version"
    SHARE = "share"
    LABELS = "labels"
    FEED = "feed"
    ALIAS = "alias"
    DEPLOY = "deploy"
    SPLIT = "split"
    RAMP = "ramp"
    FALLBACK = "fallback"
    CHANGE = "change"
    """Any other change that the serving system tells of."""


_RECORDED = (
    EventKind.ALIAS,
    EventKind.DEPLOY,
    EventKind.SPLIT,
    EventKind.RAMP,
    EventKind.FALLBACK,
)


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """at: start of its step, or the moment where it was recorded, aware UTC. near: within two steps
    of the figure's onset.
    """

    at: datetime
    kind: EventKind
    text: str
    near: bool = False


@dataclass(frozen=True, slots=True)
class EventFrames:
    """Over [start, end), both sides: what the traffic pane found, rows and labels by step, features
    by step (feature, bin, n). step: length of a step. recorded: changes of the serving system.
    """

    start: datetime
    end: datetime
    step: timedelta
    seen: tuple[tuple[str, datetime, datetime], ...] = ()
    changes: tuple[ShareChange, ...] = ()
    labels: Sequence[tuple[datetime, int, int]] = ()
    known: Maturity | None = None
    as_of: datetime | None = None
    features: pl.DataFrame | None = None
    recorded: tuple[RecordedChange, ...] = ()


def change_events(
    d: Deployment, frames: EventFrames | None, onset: Onset | None
) -> tuple[ChangeEvent, ...]:
    """In order of time, those near the onset marked."""
    if frames is None:
        return ()
    found = [*_versions(frames), *_labels(frames), *_feeds(d, frames), *_recorded(frames)]
    begin = onset.start if onset is not None and onset.changed else None
    room = _NEAR * frames.step
    out = [
        replace(e, near=begin is not None and abs(e.at - begin) <= room)
        for e in found
        if frames.start <= e.at < frames.end
    ]
    return tuple(sorted(out, key=lambda e: (e.at, e.kind, e.text)))


def _versions(frames: EventFrames) -> Iterator[ChangeEvent]:
    first = min((s[1] for s in frames.seen), default=None)
    for version, begin, last in frames.seen:
        if begin != first:
            yield ChangeEvent(begin, EventKind.VERSION, f"{version} first seen")
        if last + timedelta(days=1) < frames.end and last > frames.start:
            yield ChangeEvent(last, EventKind.VERSION, f"{version} last seen")
    shifts: dict[datetime, list[str]] = {}
    for c in frames.changes:
        text = f"{c.version} {100 * c.before:.0f}% -> {100 * c.after:.0f}%"
        shifts.setdefault(c.at, []).append(text)
    for at, texts in shifts.items():
        named = ", ".join(texts[:_NAMED])
        yield ChangeEvent(at, EventKind.SHARE, f"share of the traffic: {named}")


def _recorded(frames: EventFrames) -> Iterator[ChangeEvent]:
    known = {kind.value: kind for kind in _RECORDED}
    for c in frames.recorded:
        yield ChangeEvent(c.at, known.get(c.kind, EventKind.CHANGE), c.text)


def _labels(frames: EventFrames) -> Iterator[ChangeEvent]:
    """Runs of steps whose labels should have come and have not."""
    known, as_of = frames.known, frames.as_of
    usual = known.usual if known is not None else None
    if known is None or usual is None or as_of is None:
        return
    run: list[tuple[datetime, int, int]] = []
    for start, n, labelled in [*sorted(frames.labels), (frames.end, 0, 0)]:
        late = known.arrived_of(start, start + frames.step, as_of) < _RIPE if n else True
        low = n >= _ENOUGH and not late and wilson(labelled, n)[1] < _LOW * usual
        if low:
            run.append((start, n, labelled))
        elif run and n >= _ENOUGH:
            yield _outage(run, usual)
            run = []
    if run:
        yield _outage(run, usual)


def _outage(run: list[tuple[datetime, int, int]], usual: float) -> ChangeEvent:
    share = sum(r[2] for r in run) / max(sum(r[1] for r in run), 1)
    until = f" until {run[-1][0]:%d %b %H:%M}" if len(run) > 1 else ""
    text = f"labels did not come{until}: {100 * share:.0f}%, usually {100 * usual:.0f}%"
    return ChangeEvent(run[0][0], EventKind.LABELS, text)


def _feeds(d: Deployment, frames: EventFrames) -> Iterator[ChangeEvent]:
    """Features whose values stopped coming, or came back, at the same step as one event."""
    if frames.features is None or frames.features.is_empty():
        return
    n = pl.col("n").cast(pl.Float64)
    rows = (
        frames.features.filter(pl.col("feature") >= 0)
        .group_by("feature", "start")
        .agg(total=n.sum(), gone=n.filter(pl.col("bin").is_in([-1, -2])).sum())
        .filter(pl.col("total") >= _LEAST)
        .sort("feature", "start")
    )
    turns: dict[tuple[datetime, bool], list[str]] = {}
    found: dict[int, list[tuple[datetime, bool]]] = {}
    last: tuple[int, bool] | None = None
    for feature, start, total, gone in rows.iter_rows():
        if feature >= len(d.features):
            continue
        share = gone / total
        was = last[1] if last is not None and last[0] == feature else None
        stopped = share >= _GONE and wilson(gone, total)[0] > _SURELY
        now = True if stopped else False if share <= _HELD else was
        if was is not None and now is not None and now != was:
            found.setdefault(feature, []).append((utc(start), now))
        if now is not None:
            last = (feature, now)
    for feature, mine in found.items():
        if len(mine) <= _MOST_TURNS:
            for turn in mine:
                turns.setdefault(turn, []).append(d.features[feature].name)
    for (at, gone_now), names in turns.items():
        named = ", ".join(names[:_NAMED])
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = "values stopped coming" if gone_now else "values came again"
        yield ChangeEvent(at, EventKind.FEED, f"{what}: {named}{more}")
