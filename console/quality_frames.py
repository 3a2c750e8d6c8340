"""What the checks of data quality read of a window."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import polars as pl

from collectors.quality_rules import Quality
from collectors.reader import Param
from console.analysis.ask import Ask, naive, utc
from console.analysis.quality import QualityFrames
from console.analysis.usual import UsualVolume

__all__ = ["quality_frames"]


class _Asked(Protocol):
    def windowed(
        self, ask: Ask, query: str, span: tuple[datetime, datetime] | None = None, **params: Param
    ) -> pl.DataFrame: ...

    def fixed(self, ask: Ask, query: str, **params: Param) -> pl.DataFrame: ...


def quality_frames(
    taker: _Asked,
    ask: Ask,
    rules: Quality,
    usual: UsualVolume | None,
    *,
    load_times: bool,
    ended: bool,
) -> QualityFrames:
    """Frames for the rules that there are. load_times: records were loaded when they came."""
    known: dict[str, Param] = {"as_of": naive(ask.as_of)} if load_times else {}
    since: dict[str, Param] = {"since": naive(ask.start), **known} if load_times else {}
    start, end = naive(ask.start), naive(ask.end)
    conditions = totals = None
    if rules.judges_features:
        n = len(ask.deployment.features)
        conditions = taker.windowed(ask, "conditions", None, step="hour", first=0, last=n)
    if rules.duplicates is not None:
        totals = taker.fixed(ask, "batch_totals", **since)
    return QualityFrames(
        failed=taker.fixed(ask, "failed_checks", start=start, end=end, **since),
        volume=taker.windowed(ask, "volume", None, step="hour"),
        conditions=conditions,
        totals=totals,
        usual=usual,
        newest=_newest(taker, ask, rules),
        ended=ended,
        delay=taker.windowed(ask, "delay", None, step="all")
        if rules.late_labels is not None
        else None,
    )


def _newest(taker: _Asked, ask: Ask, rules: Quality) -> dict[str, datetime | None]:
    """The newest row of each kind, at most as_of; of metrics within the window."""
    as_of = naive(ask.as_of)
    extent = taker.fixed(ask, "extent", end=as_of).row(0, named=True)
    found = {"predictions": extent["last_ts"], "labels": extent["last_received"], "metrics": None}
    if "metrics" in rules.freshness:
        samples = taker.fixed(
            ask, "metrics", start=naive(ask.start), end=min(naive(ask.end), as_of)
        )
        found["metrics"] = max(samples["last_ts"].to_list(), default=None)
    return {kind: min(utc(at), ask.as_of) if at is not None else None for kind, at in found.items()}
