"""What a snapshot is asked for: deployment, window, step, version, segment, and against what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

from collectors.contract import Deployment
from collectors.row_kinds import RowKind
from console.analysis.against import REFERENCE, Against

__all__ = ["Ask", "RowsAsk", "SegmentAsk", "Step", "floor_hour", "naive", "step_for", "utc"]


class Step(StrEnum):
    """The length of one row of a series; weeks start on Monday, all in UTC."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ALL = "all"


_LENGTHS = {
    Step.HOUR: timedelta(hours=1),
    Step.DAY: timedelta(days=1),
    Step.WEEK: timedelta(days=7),
}


@dataclass(frozen=True, slots=True)
class SegmentAsk:
    """One segment column or a cross of two, each with one value or all: `origin=EWR,carrier`."""

    names: tuple[str, ...]
    values: tuple[str | None, ...]

    @classmethod
    def parse(cls, text: str, known: Sequence[str]) -> Self:
        """A comma separates columns only before a known one, so values may contain commas.

        Raises ValueError for an empty name or more than two columns.
        """
        names: list[str] = []
        values: list[str | None] = []
        for part in text.split(","):
            name, equals, value = part.partition("=")
            if names and values[-1] is not None and name.strip() not in known:
                values[-1] += f",{part}"
                continue
            names.append(name.strip())
            values.append(value if equals else None)
        if not all(names) or len(names) > 2:
            raise ValueError(
                f"{text!r}: give one segment or two, like origin or origin=EWR,carrier"
            )
        return cls(tuple(names), tuple(values))

    def number_in(self, deployment: Deployment) -> int:
        """The rollup's segment number. Raises ValueError for a segment that is not configured."""
        known = [s.name for s in deployment.segments]
        for name in self.names:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise ValueError(f"{deployment.name} has no segment {name!r} (it has: {listed})")
        if len(self.names) == 1:
            return 1 + known.index(self.names[0])
        pair = tuple(sorted(known.index(n) for n in self.names))
        if pair not in deployment.segment_crosses:
            raise ValueError(f"{deployment.name} keeps no rollup of {' and '.join(self.names)}")
        return 1 + len(known) + deployment.segment_crosses.index((pair[0], pair[1]))


@dataclass(frozen=True, slots=True)
class RowsAsk:
    """Which raw rows of the window. subject: the feature of RowKind.OUTSIDE. most: at most."""

    kind: RowKind = RowKind.WRONG
    subject: str = ""
    most: int = 100

    @classmethod
    def outside(cls, feature: str, most: int = 100) -> Self:
        """Rows of which a feature is missing, or outside what the reference has."""
        return cls(RowKind.OUTSIDE, feature, most)


@dataclass(frozen=True, slots=True)
class Ask:
    """start, end, as_of: aware UTC; rows and labels after as_of are not known. step: of a series.

    The window is [start, end); version None means every version; segment None the whole. against:
    what the window is compared with. watched: someone looks again and again while data come, so
    intervals of what is still open must hold at every look. threshold: another operating threshold
    to try, 0..1. rows: which raw rows are listed, where any are.
    """

    deployment: Deployment
    start: datetime
    end: datetime
    as_of: datetime
    step: Step
    version: str | None = None
    segment: SegmentAsk | None = None
    against: Against = REFERENCE
    watched: bool = False
    threshold: float | None = None
    rows: RowsAsk = RowsAsk()

    @property
    def key(self) -> tuple[object, ...]:
        """What identifies the ask; deployments are told by name."""
        name = self.deployment.name
        what = (self.version, self.segment, self.against, self.watched, self.threshold)
        return (name, self.start, self.end, self.as_of, self.step, *what)

    @property
    def other(self) -> Ask | None:
        """The other side of the comparison, as an ask of the same step; None: the reference."""
        span = self.against.span(self.start, self.end)
        if span is None:
            return None
        as_of = self.against.known if self.against.known is not None else self.as_of
        version = self.against.version if self.against.version is not None else self.version
        return replace(
            self,
            start=span[0],
            end=span[1],
            as_of=as_of,
            version=version,
            against=REFERENCE,
            watched=False,
        )

    def step_end(self, start: datetime | None) -> datetime:
        """Where the step that begins at `start` ends, within the window; None: the whole."""
        if start is None or self.step is Step.ALL:
            return self.end
        if self.step is Step.MONTH:
            end = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
        else:
            end = start + _LENGTHS[self.step]
        return min(end, self.end)

    def step_start(self, start: datetime | None) -> datetime:
        """Where it begins, within the window."""
        return self.start if start is None else max(start, self.start)

    def before(self) -> tuple[datetime, datetime]:
        """The window of the same length before this one."""
        return self.start - (self.end - self.start), self.start


def step_for(length: timedelta) -> Step:
    """The step that gives a plot about 30 to 70 points."""
    if length <= timedelta(days=3):
        return Step.HOUR
    return Step.DAY if length <= timedelta(days=70) else Step.WEEK


def floor_hour(moment: datetime) -> datetime:
    """Down to the full hour, the grain of the rollups."""
    return moment.replace(minute=0, second=0, microsecond=0)


def naive(moment: datetime) -> datetime:
    """An aware time as the store has it: naive UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def utc(moment: datetime) -> datetime:
    """A stored time, made aware."""
    return moment.replace(tzinfo=UTC)
