"""What is fetched for the preview of a fallback."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from console.analysis.ask import Ask, naive, utc
from console.analysis.fallback_preview import PreviewFrames, PreviewTarget
from console.analysis.figures import OUTCOME_QUERY

if TYPE_CHECKING:
    from console.snapshots import Taker

__all__ = ["preview_frames"]


def preview_frames(taker: Taker, ask: Ask, targets: Sequence[PreviewTarget]) -> PreviewFrames:
    """Rollups of the window, and of when versions last served that have no label in it."""
    seen = {
        row["version"]: row
        for row in taker.fixed(ask, "versions", end=naive(ask.as_of)).iter_rows(named=True)
    }  # fmt: skip
    outcome, latency = _of(taker, ask)
    earlier = {}
    for target in targets:
        version = target.alike
        if version not in seen or _labelled(outcome, version):
            continue
        last = min(utc(seen[version]["last_seen"]) + timedelta(hours=1), ask.as_of)
        span = (last - (ask.end - ask.start), last)
        past, past_latency = (f.filter(pl.col("version") == version) for f in _of(taker, ask, span))
        earlier[version] = (*span, past, past_latency)
    return PreviewFrames(outcome, latency, tuple(seen), earlier)


def _of(
    taker: Taker, ask: Ask, span: tuple[datetime, datetime] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    name = OUTCOME_QUERY[ask.deployment.task]
    return (
        taker.windowed(ask, name, span, step="all", first=0, last=0),
        taker.windowed(ask, "latency", span),
    )


def _labelled(outcome: pl.DataFrame, version: str) -> bool:
    mine = outcome.filter(pl.col("version") == version)
    if "n_labelled" in mine.columns:
        return bool(mine["n_labelled"].sum())
    return bool(mine.filter(pl.col("actual").is_not_null()).height)
