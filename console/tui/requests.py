"""What the keys for time, deployment, version, comparison and threshold do to a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from console.feed import Request, Status

__all__ = [
    "AGAINST",
    "WINDOWS",
    "against_text",
    "change_window",
    "difference",
    "follow_clock",
    "go_to",
    "move_threshold",
    "next_against",
    "next_deployment",
    "next_segment",
    "next_version",
    "same_but_threshold",
    "same_picture",
    "select_deployment",
    "step_time",
    "threshold_text",
    "window_text",
]

WINDOWS = tuple(timedelta(hours=h) for h in (1, 6, 24, 168, 720, 2160, 8760))

AGAINST = ("before", "week")
"""What a window can be compared with besides the reference and other versions."""

THRESHOLD_STEP = 0.01


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
    """Another deployment; versions, segments and thresholds are its own, so those go back."""
    against = request.against if request.against in AGAINST else None
    return replace(
        request, deployment=name, version=None, segment=None, against=against, threshold=None
    )


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


def next_against(request: Request, status: Status) -> Request:
    """Compare with the reference, the window before, the week before, then other versions."""
    versions = [f"version={v}" for v in status.versions if v != request.version]
    return replace(request, against=_next(request.against, (*AGAINST, *versions)))


def against_text(against: str | None) -> str:
    """What is compared with, for the state line and the palette."""
    if against is None:
        return "reference"
    kind, _, value = against.partition("=")
    words = {"before": "window before", "week": "week before", "version": f"version {value}"}
    return words.get(kind, f"known {value}" if kind == "known" else against)


def move_threshold(request: Request, status: Status, steps: int) -> Request:
    """Another operating threshold, from the one in use on; it stays within 0 and 1."""
    if status.threshold is None:
        return request
    now = status.threshold if request.threshold is None else request.threshold
    moved = round(min(1.0, max(0.0, now + steps * THRESHOLD_STEP)), 2)
    return replace(request, threshold=moved)


def difference(shown: Request, new: Request) -> str:
    """What is asked for that is not on the screen yet, in a few words."""
    words = (
        (new.deployment != shown.deployment and bool(new.deployment), new.deployment or ""),
        (new.window != shown.window, window_text(new.window)),
        (new.as_of != shown.as_of, f"as of {new.as_of:%m-%d %H:%M}" if new.as_of else "now"),
        (
            new.version != shown.version,
            f"version {new.version}" if new.version else "all versions",
        ),
        (new.against != shown.against, f"vs {against_text(new.against)}"),
        (new.threshold != shown.threshold, f"threshold {threshold_text(new.threshold)}"),
        (new.rows != shown.rows, "raw rows"),
        (new.sql != shown.sql, "a query"),
        (True, new.segment or "all segments"),
    )
    return next(text for differs, text in words if differs)[:40]


def threshold_text(threshold: float | None) -> str:
    """A tried threshold, or the one in service."""
    return "in service" if threshold is None else f"{threshold:.2f}"


def same_picture(one: Request, other: Request) -> bool:
    """Whether two requests differ in the visible panes and the explained figure only."""
    return _picture(one) == _picture(other)


def same_but_threshold(one: Request, other: Request) -> bool:
    """Whether two requests differ in the tried threshold only."""
    return replace(one, threshold=None) == replace(other, threshold=None)


def _picture(request: Request) -> Request:
    return replace(request, panes=(), explain=None, rows=None, sql=None)


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
