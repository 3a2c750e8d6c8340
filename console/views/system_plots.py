"""Plots of the System pane: metrics with their limits above the model's headline figure."""

from __future__ import annotations

from datetime import datetime

from collectors.contract import Limit
from console.analysis.system import SystemSnapshot
from console.analysis.system_log import PER_SECOND
from console.analysis.system_rows import Origin, SystemRow
from console.views.model import Line, Plot, Series, TimePlot, Tone
from console.views.performance import MOST_LINES, title_of, version_tone
from console.views.words import name

__all__ = ["FIRST", "headline_plot", "pane_plots", "row_plot"]

_GUTTERS = (7, 12)
"""Cells beside every plot of the pane, so that their times stand above each other."""

_MOST_PLOTS = 3
FIRST = "latency_p95_ms"
"""What is drawn first where nothing is broken."""


def pane_plots(s: SystemSnapshot) -> tuple[Plot, ...]:
    """Broken metrics, else the latency, and below the first the headline figure."""
    groups: dict[tuple[str, Origin | None], list[SystemRow]] = {}
    for r in s.rows:
        if r.series:
            groups.setdefault((r.metric, r.origin), []).append(r)
    drawn = list(groups.values())
    if drawn and drawn[0][0].breach is None:
        drawn.sort(key=lambda rows: rows[0].metric != FIRST)
    plots: list[Plot] = [_metric_plot(s, rows) for rows in drawn[:_MOST_PLOTS]]
    return (*plots[:1], headline_plot(s), *plots[1:])


def _metric_plot(s: SystemSnapshot, rows: list[SystemRow]) -> TimePlot:
    """A metric from one source: a line per version, or all that is known of the only one."""
    versions = sorted((r for r in rows if r.version is not None), key=lambda r: r.version or "")
    together = [r for r in rows if r.version is None]
    if not versions or len(rows) == 1 or (together and rows[0].metric in PER_SECOND):
        return row_plot(s, (together or rows)[0])
    first = rows[0]
    what = _far(first) if first.origin is Origin.SAMPLES else ""
    places = [h.version for h in s.headlines]
    series = tuple(
        Series(
            name(r.version, 20),
            _times(s, r),
            tuple((step.metrics[what] if what else step.figure).value for step in r.series),
            version_tone(places.index(r.version) if r.version in places else i),
        )
        for i, r in enumerate(versions[:MOST_LINES])
    )
    title = f"{what} {name(first.metric, 40)}".lstrip()
    limit = next((r.limit for r in rows if r.limit is not None), None)
    return _time_plot(s, first, title, series, limit)


def row_plot(s: SystemSnapshot, r: SystemRow) -> TimePlot:
    """One row: the mean of samples with the highest ones, or the log's value with its interval."""
    figures = [step.figure for step in r.series]
    if r.origin is Origin.SAMPLES:
        series = tuple(
            Series(what, _times(s, r), tuple(step.metrics[what].value for step in r.series), tone)
            for what, tone in ((_far(r), Tone.WARN), ("mean", Tone.ACCENT))
        )
    else:
        low, high = tuple(e.low for e in figures), tuple(e.high for e in figures)
        values = tuple(e.value for e in figures)
        series = (Series("value", _times(s, r), values, Tone.ACCENT, low, high),)
    of = f" of {name(r.version, 20)}" if r.version is not None else ""
    return _time_plot(s, r, f"{name(r.metric, 40)}{of}", series, r.limit)


def _far(r: SystemRow) -> str:
    """Which samples of a step are compared with the limit."""
    return "lowest" if r.limit is not None and r.limit.above is None else "highest"


def _times(s: SystemSnapshot, r: SystemRow) -> tuple[datetime, ...]:
    return tuple(step.start or s.ask.start for step in r.series)


def _time_plot(
    s: SystemSnapshot,
    r: SystemRow,
    title: str,
    series: tuple[Series, ...],
    limit: Limit | None,
) -> TimePlot:
    bounds = (limit.above, limit.below) if limit is not None else ()
    smallest = min((y for one in series for y in one.y if y is not None), default=0.0)
    return TimePlot(
        f"{title} ({r.origin}) by {s.ask.step.value}",
        s.ask.start,
        s.ask.end,
        series,
        tuple(Line("limit", bound, Tone.BAD) for bound in bounds if bound is not None),
        y_min=0.0 if smallest >= 0 else None,
        percent=r.metric == "error_rate",
        gutters=_GUTTERS,
    )


def headline_plot(s: SystemSnapshot) -> TimePlot:
    """The model's headline figure by version, under the same times."""
    return TimePlot(
        f"{title_of(s.headline)} by {s.ask.step.value}",
        s.ask.start,
        s.ask.end,
        tuple(
            Series(
                name(h.version, 20),
                tuple(start for start, _ in h.series),
                tuple(e.value for _, e in h.series),
                version_tone(i),
                tuple(e.low for _, e in h.series) if len(s.headlines) == 1 else (),
                tuple(e.high for _, e in h.series) if len(s.headlines) == 1 else (),
            )
            for i, h in enumerate(s.headlines[:MOST_LINES])
        ),
        y_min=0.0,
        gutters=_GUTTERS,
    )
