"""Clock, window and step: from what a user says to an `Ask`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from collectors.contract import Deployment
from collectors.reader import Reader
from console.analysis.against import REFERENCE, Against, Side
from console.analysis.ask import Ask, SegmentAsk, Step, floor_hour, step_for, utc
from console.errors import UsageError
from console.times import parse_moment

__all__ = ["FAR", "latest_moment", "make_ask", "parse_against"]

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
    against: str | None = None,
    watched: bool = False,
    threshold: float | None = None,
) -> Ask:
    """The window ends at `end`, else at the time cursor, else at the clock; hours are whole.

    Raises UsageError when nothing is left between start and end, for an unknown segment, or for
    something that cannot be compared with.
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
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError("a threshold lies between 0 and 1")
    other = parse_against(against) if against else REFERENCE
    if other.side is Side.VERSION and other.version == version:
        raise UsageError(f"{version} cannot be compared with itself; choose another --version")
    if other.known is not None and other.known > known:
        raise UsageError("what is compared with must be known earlier than the window's own time")
    step = (step or step_for(stop - begin)) if deployment.timed else Step.ALL
    return Ask(deployment, first, last, known, step, version, asked, other, watched, threshold)


def parse_against(text: str) -> Against:
    """`reference`, `before`, `week`, `version=V`, `known=TIME` or `TIME..TIME`.

    Raises UsageError for anything else.
    """
    kind, _, value = text.partition("=")
    if kind == Side.VERSION and value:
        return Against(Side.VERSION, version=value)
    if kind == Side.KNOWN and value:
        return Against(Side.KNOWN, known=parse_moment(value))
    if text in (Side.REFERENCE, Side.BEFORE, Side.WEEK):
        return Against(Side(text))
    begin, dots, end = text.partition("..")
    if dots:
        start, stop = floor_hour(parse_moment(begin)), parse_moment(end)
        stop = stop if stop == floor_hour(stop) else floor_hour(stop) + timedelta(hours=1)
        if not EARLIEST <= start < stop <= LATEST or stop - start > LONGEST:
            raise UsageError(f"{text!r} is no window; give an earlier and a later time")
        return Against(Side.SPAN, start=start, end=stop)
    raise UsageError(
        f"cannot compare with {text!r}; give reference, before, week, version=V, known=TIME "
        "or TIME..TIME"
    )
