"""What is fetched for the System pane; nothing is computed here."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from collectors.reader import Param
from console.analysis.ask import Ask, naive, utc
from console.analysis.system import MOST_SERIES, limits_first, most_drawn
from console.analysis.system_log import judging_step
from console.analysis.system_rows import SystemFrames

if TYPE_CHECKING:
    from console.snapshots import Taker

__all__ = ["system_frames"]


def system_frames(taker: Taker, ask: Ask) -> SystemFrames:
    """The frames of a window, of all versions; what limits need only where there are limits."""
    d, step = ask.deployment, ask.step.value
    until = min(ask.end, ask.as_of) if d.timed else ask.start  # such a log has no time to share
    span: dict[str, Param] = {"start": naive(ask.start), "end": naive(until)}
    first = json.dumps(limits_first(d))
    samples = taker.fixed(ask, "system_metrics", first=first, most=MOST_SERIES, **span)
    frames = SystemFrames(
        volume=taker.windowed(ask, "volume", step=step),
        latency=taker.windowed(ask, "latency_series", step=step),
        samples=samples,
        series=taker.fixed(
            ask, "system_series", step=step, first=first, most=most_drawn(ask), **span
        ),
        seen=_seen(taker, ask),
    )
    if "cost_per_hour" in samples["metric"]:
        priced: dict[str, Param] = {"metric": "cost_per_hour", "most": MOST_SERIES, **span}
        frames = replace(
            frames,
            cost_hours=taker.fixed(ask, "system_series", step="hour", first=first, **priced),
            hours=taker.windowed(ask, "volume", step="hour"),
        )
    if d.limits:
        fine = judging_step(ask).value
        limits = [{"metric": name, **limit.model_dump()} for name, limit in d.limits.items()]
        frames = replace(
            frames,
            judged_volume=taker.windowed(ask, "volume", step=fine),
            judged_latency=taker.windowed(ask, "latency_series", step=fine),
            breaches=taker.fixed(ask, "system_breaches", limits=json.dumps(limits), **span),
        )
    return frames


def _seen(taker: Taker, ask: Ask) -> tuple[datetime, datetime] | None:
    """The log's first hour, and until when it is known: an exported one to its newest row.

    Where rows still come an hour that has passed is whole, also when they stopped within it.
    """
    row = taker.fixed(ask, "extent", end=naive(ask.as_of)).row(0, named=True)
    if row["first_bucket"] is None or row["last_ts"] is None:
        return None
    until = utc(row["last_ts"]) if taker.ended(ask) else ask.as_of
    return utc(row["first_bucket"]), until
