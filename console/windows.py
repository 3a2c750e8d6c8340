"""Clock, window and step: from what a user says to an `Ask`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from collectors.contract import Deployment
from collectors.reader import Reader
from console.analysis.ask import Ask, SegmentAsk, Step, floor_hour, step_for, utc
from console.errors import UsageError

__all__ = ["FAR", "latest_moment", "make_ask"]

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
LONGEST = timedelta(days=36525)
FAR = datetime(9000, 1, 1)  # noqa: DTZ001 - naive UTC as stored


def latest_moment(reader: Reader, deployments: Sequence[Deployment]) -> datetime | None:
    """When the newest prediction or label of any deployment came; None for an empty store."""
    moments = []
    for d in deployments:
        row = reader.query("extent", d.name, end=FAR).row(0, named=True)
        moments += [m for m in (row["last_ts"], row["last_received"]) if m is not None]
    return utc(max(moments)) + timedelta(microseconds=1) if moments else None


def make_ask(
    deployment: Deployment,
    clock: datetime,
    window: timedelta,
    *,
    as_of: datetime | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    step: Step | None = None,
    version: str | None = None,
    segment: str | None = None,
) -> Ask:
    """The window ends at `end`, else at the time cursor, else at the clock; hours are whole.

    Raises UsageError when nothing is left between start and end, or for an unknown segment.
    """
    known = min(as_of, clock) if as_of is not None else clock
    stop = end if end is not None else known
    if window > LONGEST:
        raise UsageError("the longest window is 100 years")
    if not EARLIEST <= stop <= LATEST or (start is not None and start < EARLIEST):
        raise UsageError("times are known from 1900 to 9000")
    begin = start if start is not None else stop - window
    if begin < stop - LONGEST:
        raise UsageError("the longest window is 100 years")
    first = floor_hour(begin)
    last = stop if stop == floor_hour(stop) else floor_hour(stop) + timedelta(hours=1)
    if last <= first:
        raise UsageError(
            f"the window from {begin:%Y-%m-%d %H:%M} to {stop:%Y-%m-%d %H:%M} is empty"
        )
    asked = None
    if segment:
        try:
            asked = SegmentAsk.parse(segment, [s.name for s in deployment.segments])
            asked.number_in(deployment)
        except ValueError as error:
            raise UsageError(str(error)) from error
    return Ask(deployment, first, last, known, step or step_for(stop - begin), version, asked)
