"""What the keys for time, deployment, version and segment do to a request: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from console.feed import Request, Status

__all__ = [
    "WINDOWS",
    "change_window",
    "follow_clock",
    "go_to",
    "next_deployment",
    "next_segment",
    "next_version",
    "same_picture",
    "select_deployment",
    "step_time",
    "window_text",
]

WINDOWS = tuple(timedelta(hours=h) for h in (1, 6, 24, 168, 720, 2160, 8760))


def step_time(request: Request, clock: datetime, windows: int) -> Request:
    """Move the time cursor by whole windows; at or past the clock it follows the clock again."""
    try:
        cursor = (request.as_of or clock) + windows * request.window
    except OverflowError:
        return request
    return replace(request, as_of=None if cursor >= clock else cursor)


def go_to(request: Request, clock: datetime, moment: datetime) -> Request:
    """Put the time cursor on a moment; at or past the clock it follows the clock."""
    return replace(request, as_of=None if moment >= clock else moment)


def follow_clock(request: Request) -> Request:
    """Back to now."""
    return replace(request, as_of=None)


def change_window(request: Request, step: int) -> Request:
    """The next longer (1) or shorter (-1) window."""
    if step > 0:
        window = next((w for w in WINDOWS if w > request.window), request.window)
    else:
        window = next((w for w in reversed(WINDOWS) if w < request.window), request.window)
    return replace(request, window=window)


def select_deployment(request: Request, name: str) -> Request:
    """Another deployment; its versions and segments are its own, so those go back to all."""
    return replace(request, deployment=name, version=None, segment=None)


def next_deployment(request: Request, status: Status) -> Request:
    """The deployment after the one shown, the first after the last."""
    names = status.deployments
    if len(names) < 2:
        return request
    current = request.deployment or status.deployment
    index = names.index(current) + 1 if current in names else 0
    return select_deployment(request, names[index % len(names)])


def next_version(request: Request, status: Status) -> Request:
    """All versions, then each one alone."""
    return replace(request, version=_next(request.version, status.versions))


def next_segment(request: Request, status: Status) -> Request:
    """No breakdown, then by each segment."""
    return replace(request, segment=_next(request.segment, status.segments))


def same_picture(one: Request, other: Request) -> bool:
    """Whether two requests differ in the visible panes only."""
    return replace(one, panes=()) == replace(other, panes=())


def window_text(window: timedelta) -> str:
    """A short name: 1h, 7d, 90m. Whole hours from six hours on: a window starts on a full hour,
    so one that ends now is up to an hour longer than it was asked for."""
    seconds = round(window.total_seconds())
    grain = 3600 if seconds >= 6 * 3600 else 60 if seconds >= 60 else 1
    seconds -= seconds % grain
    for unit, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"


def _next(current: str | None, choices: Sequence[str]) -> str | None:
    order = [None, *choices]
    return order[(order.index(current) + 1) % len(order)] if current in order else None
