"""The summary that a headless demo ends with: what the console would show, in short."""

from __future__ import annotations

from console.errors import UsageError
from console.panes import view
from console.session import Session
from console.show import to_table
from console.snapshots import Taker
from console.times import parse_duration
from console.windows import make_ask

__all__ = ["summary"]

WIDTH = 100


def summary(session: Session, window: str) -> str:
    """The overview over the last window and over everything, as text."""
    try:
        length = parse_duration(window)
    except ValueError as error:
        raise UsageError(str(error)) from error
    clock = session.clock.now()
    taker = Taker(session.reader, session.deployments)
    parts = []
    for title, span in (
        (f"the last {window}", length),
        ("the last 330 days", parse_duration("330d")),
    ):
        ask = make_ask(session.deployments[0], clock, span)
        shown = view("overview", taker.overview(ask))
        heading = f"modelwatch: {title}, as of {clock:%Y-%m-%d %H:%M} UTC"
        parts.append(to_table(shown, heading, WIDTH))
    rows = sum(
        taker.data(make_ask(d, clock, parse_duration("400d"))).n for d in session.deployments
    )
    parts.append(
        f"{rows:,} predictions in {len(session.deployments)} deployments; every figure is "
        "read from rollups. `make demo` in a terminal opens the console."
    )
    return "\n\n".join(parts)
