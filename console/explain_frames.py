"""Fetches what an explanation needs: both sides' totals, features of both, and what happened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from collectors.contract import Task
from collectors.reader import Param
from console.analysis.against import Side
from console.analysis.ask import Ask, Step, step_for, utc
from console.analysis.comovement import MoveFrames
from console.analysis.events import EventFrames
from console.analysis.explain import ExplainFrames
from console.analysis.explain_sums import SideFrames, slice_number
from console.analysis.maturity import Maturity
from console.analysis.traffic import TrafficSnapshot

__all__ = ["Source", "explain_frames"]

_LENGTHS = {
    Step.HOUR: timedelta(hours=1),
    Step.DAY: timedelta(days=1),
    Step.WEEK: timedelta(days=7),
}
_SCORED = ("log_loss", "brier")
_FAR_APART = 3  # times the window, from which the other side is too far away to follow all steps


class Source(Protocol):
    """Where frames come from: a `console.snapshots.Taker`."""

    def windowed(
        self, ask: Ask, query: str, span: tuple[datetime, datetime] | None = None, **params: Param
    ) -> pl.DataFrame:
        """A query over the ask's window, or a span, as known at its moment, of its version."""

    def fixed(self, ask: Ask, query: str, **params: Param) -> pl.DataFrame:
        """A query without a window."""

    def asked(self, ask: Ask) -> Ask:
        """The window that is really shown."""

    def other(self, ask: Ask) -> Ask | None:
        """The other side of the comparison; None: the reference."""

    def traffic(self, ask: Ask) -> TrafficSnapshot:
        """The observed split."""

    def maturity_of(self, ask: Ask) -> Maturity:
        """How complete labels usually are."""


def explain_frames(source: Source, ask: Ask, figure: str) -> ExplainFrames:
    """All frames for `explain`. figure: by its name as the analysis knows it."""
    version = _only_version(source, ask)
    problem = ""
    if ask.against.side is Side.REFERENCE and version is None and not _common(source, ask):
        problem = "each version has a reference of its own: choose one with --version"
    mine = _side(source, ask, figure)
    if ask.against.side is Side.VERSION and ask.version is None:
        mine = _without(mine, ask.against.version)
    other = source.other(ask)
    if other is not None:
        theirs = _side(source, other, figure)
    else:
        theirs = _reference(source, ask, figure, version)
        if problem:
            theirs = replace(theirs, totals=theirs.totals.clear())
    steps = _steps(source, ask)
    series = _series(source, ask, figure, steps)
    features = source.windowed(
        ask, "features", steps.span, step=steps.step.value, first=-2, last=_last(ask)
    )
    return ExplainFrames(
        mine,
        theirs,
        series,
        None if problem else _moves(source, ask, other, version, features),
        _events(source, ask, steps, series, features),
        problem,
    )


def _last(ask: Ask) -> int:
    """Number of the last feature; the score and the prediction are -1 and -2."""
    return len(ask.deployment.features) - 1


def _only_version(source: Source, ask: Ask) -> str | None:
    """The asked version, or the one that answered everything in the window."""
    if ask.version is not None:
        return ask.version
    found = source.windowed(ask, "volume", step="all").filter(pl.col("n") > 0)
    known = found["version"].unique().to_list()
    return str(known[0]) if len(known) == 1 else None


def _common(source: Source, ask: Ask) -> bool:
    """Whether one reference serves every version."""
    found = source.fixed(ask, "reference_profile")["version"].unique().to_list()
    return found == [""]


@dataclass(frozen=True, slots=True)
class _Steps:
    """Over which steps a figure is followed."""

    start: datetime
    end: datetime
    step: Step

    @property
    def span(self) -> tuple[datetime, datetime]:
        return self.start, self.end


def _series(source: Source, ask: Ask, figure: str, steps: _Steps) -> pl.DataFrame:
    """Outcome rows by step, of all rows or of the asked slice."""
    d = ask.deployment
    if figure == "error_rate":
        return _as_outcomes(source.windowed(ask, "volume", steps.span, step=steps.step.value))
    number = slice_number(ask)
    binned = figure in _SCORED and d.task is Task.BINARY
    query = "binary" if binned else "totals"
    return source.windowed(ask, query, steps.span, step=steps.step.value, first=number, last=number)


def _as_outcomes(volume: pl.DataFrame) -> pl.DataFrame:
    """Volume in the shape of outcomes: the whole only, since errors are not kept by segment."""
    nothing = pl.lit("")
    return volume.with_columns(
        segment=pl.lit(0, pl.Int64), value=nothing, value2=nothing, n_labelled=pl.col("n")
    )


def _side(source: Source, ask: Ask, figure: str) -> SideFrames:
    d = ask.deployment
    if figure == "error_rate":
        return SideFrames(_as_outcomes(source.windowed(ask, "volume", step="all")))
    last = len(d.segments) + len(d.segment_crosses)
    totals = source.windowed(ask, "totals", step="all", first=0, last=last)
    conditions = source.windowed(ask, "conditions", step="all", first=0, last=_last(ask))
    if figure not in _SCORED or d.task is not Task.BINARY:
        return SideFrames(totals, None, conditions)
    binned = source.windowed(ask, "binary", step="all", first=0, last=0)
    if _all_scored(binned):
        return SideFrames(_scored(totals), binned, _scored(conditions))
    totals = source.windowed(ask, "binary", step="all", first=0, last=last)
    return SideFrames(totals, binned)


def _all_scored(binned: pl.DataFrame) -> bool:
    """Whether every labelled row has a score, so that bins need not tell them apart."""
    return binned.filter((pl.col("bin") < 0) & (pl.col("n_labelled") > 0)).is_empty()


def _scored(totals: pl.DataFrame) -> pl.DataFrame:
    return totals.with_columns(n_scored=pl.col("n_labelled"))


def _reference(source: Source, ask: Ask, figure: str, version: str | None) -> SideFrames:
    d = ask.deployment
    if figure == "error_rate":
        return SideFrames(_as_outcomes(source.windowed(ask, "volume", step="all")).clear())
    last = len(d.segments) + len(d.segment_crosses)

    def held(query: str, first: int, until: int) -> pl.DataFrame:
        # the reference's rows stand for the version, so versions are no difference of the sides
        found = _of(source.fixed(ask, query, first=first, last=until), version)
        return found.with_columns(version=pl.lit(version or ""))

    totals = held("reference_totals", 0, last)
    conditions = held("reference_conditions", 0, _last(ask))
    if figure not in _SCORED or d.task is not Task.BINARY:
        return SideFrames(totals, None, conditions)
    binned = held("reference_binary", 0, 0)
    if _all_scored(binned):
        return SideFrames(_scored(totals), binned, _scored(conditions))
    return SideFrames(held("reference_binary", 0, last), binned)


def _of(frame: pl.DataFrame, version: str | None) -> pl.DataFrame:
    """The rows of a version's own reference, else of the one that serves every version."""
    own = frame.filter(pl.col("version") == version) if version else frame.clear()
    return own if own.height else frame.filter(pl.col("version") == "")


def _without(side: SideFrames, version: str | None) -> SideFrames:
    def kept(frame: pl.DataFrame | None) -> pl.DataFrame | None:
        return None if frame is None else frame.filter(pl.col("version") != version)

    totals = side.totals.filter(pl.col("version") != version)
    return SideFrames(totals, kept(side.binned), kept(side.conditions))


def _steps(source: Source, ask: Ask) -> _Steps:
    """Both sides, or the window and as much before it."""
    length = ask.end - ask.start
    other = source.other(ask)
    until = min(ask.end, max(ask.as_of, ask.start + timedelta(hours=1)))
    start, end = ask.start, until
    if other is None or other.start == ask.start:
        start = ask.start - length
    elif other.start - ask.end <= _FAR_APART * length >= ask.start - other.end:
        start, end = min(ask.start, other.start), max(until, other.end)
    shown = source.asked(replace(ask, start=start, end=end, step=step_for(end - start)))
    return _Steps(shown.start, shown.end, shown.step)


def _moves(
    source: Source, ask: Ask, other: Ask | None, version: str | None, series: pl.DataFrame
) -> MoveFrames:
    now = source.windowed(ask, "features", step="all", first=-2, last=_last(ask))
    if ask.against.side is Side.VERSION and ask.version is None:
        now = now.filter(pl.col("version") != ask.against.version)
    profile = _of(source.fixed(ask, "reference_profile"), version)
    if other is not None:
        before = source.windowed(other, "features", step="all", first=-2, last=_last(ask))
    else:
        before = _of(source.fixed(ask, "reference_features"), version)
    return MoveFrames(now, before, source.fixed(ask, "bins"), profile, series)


def _events(
    source: Source, ask: Ask, steps: _Steps, series: pl.DataFrame, features: pl.DataFrame
) -> EventFrames:
    every = replace(ask, start=steps.start, end=steps.end, step=steps.step, segment=None)
    split = source.traffic(every)
    labelled = (
        pl.col("n").filter(pl.col("actual").is_not_null()).sum()
        if "actual" in series.columns
        else pl.col("n_labelled").sum()
    )
    rows = series.group_by("start").agg(pl.col("n").sum(), labelled.alias("labelled")).rows()
    return EventFrames(
        steps.start,
        steps.end,
        _LENGTHS[steps.step],
        split.seen,
        split.changes,
        tuple((utc(start), n, k) for start, n, k in rows),
        source.maturity_of(ask),
        ask.as_of,
        features,
        split.recorded,
    )
