"""Plots of views as SVG that stands in a page: no script, no file beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape

from console.views.model import Bars, Plot, Series, TimePlot, Tone

__all__ = ["svg"]

WIDTH, HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 26, 34
_COLOURS = ("#2563eb", "#c2410c", "#15803d", "#7c3aed", "#be123c", "#0e7490")
_TONES = {Tone.BAD: "#b91c1c", Tone.WARN: "#b45309", Tone.GOOD: "#15803d"}


def svg(plot: Plot) -> str:
    """One plot, with a title for those who hear it."""
    body = "".join(_times(plot) if isinstance(plot, TimePlot) else _bars(plot))
    title = escape(plot.title)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
        f'<title>{title}</title><text x="4" y="16" class="t">{title}</text>{body}</svg>'
    )


def _times(plot: TimePlot) -> Iterator[str]:
    values = [v for s in plot.series for v in (*s.y, *s.low, *s.high) if v is not None]
    values += [line.y for line in plot.lines]
    if not values:
        yield _note("nothing to draw in this window")
        return
    low = plot.y_min if plot.y_min is not None else min(values)
    high = plot.y_max if plot.y_max is not None else max(values)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    span = max((plot.end - plot.start).total_seconds(), 1.0)

    def x(moment: datetime) -> float:
        share = (moment - plot.start).total_seconds() / span
        return _LEFT + min(max(share, 0.0), 1.0) * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    for value in (low, (low + high) / 2, high):
        label = f"{value:.0%}" if plot.percent else f"{value:.4g}"
        yield _line(_LEFT, y(value), WIDTH - _RIGHT, y(value), "g")
        yield _label(_LEFT - 6, y(value) + 4, label, "r")
    for moment, anchor in ((plot.start, "l"), (plot.end, "r")):
        yield _label(x(moment), HEIGHT - 18, f"{moment:%Y-%m-%d}", anchor)
    for mark in plot.marks:
        yield _line(x(mark.x), _TOP, x(mark.x), HEIGHT - _BOTTOM, "d")
    for line in plot.lines:
        yield _line(_LEFT, y(line.y), WIDTH - _RIGHT, y(line.y), "d")
        yield _label(WIDTH - _RIGHT, y(line.y) - 3, line.name, "r")
    for i, series in enumerate(plot.series):
        colour = _TONES.get(series.tone, _COLOURS[i % len(_COLOURS)])
        xs = [x(moment) for moment in series.x]
        yield from _band(xs, series, y, colour)
        for part in _parts(xs, [None if v is None else y(v) for v in series.y]):
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in part)
            if len(part) == 1:
                yield f'<circle cx="{part[0][0]:.1f}" cy="{part[0][1]:.1f}" r="2" fill="{colour}"/>'
            yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        yield _legend(i, series.name, colour)


def _band(xs: Sequence[float], series: Series, y: object, colour: str) -> Iterator[str]:
    """The interval as an area, where there is one at every point of a stretch."""
    if not series.low or not callable(y):
        return
    points = [
        (a, y(low), y(high))
        for a, low, high in zip(xs, series.low, series.high, strict=False)
        if low is not None and high is not None
    ]
    if len(points) > 1:
        upper = [f"{a:.1f},{high:.1f}" for a, _, high in points]
        lower = [f"{a:.1f},{low:.1f}" for a, low, _ in reversed(points)]
        yield f'<polygon points="{" ".join(upper + lower)}" fill="{colour}" opacity="0.15"/>'


def _parts(xs: Sequence[float], ys: Sequence[float | None]) -> Iterator[list[tuple[float, float]]]:
    """Stretches without a gap."""
    part: list[tuple[float, float]] = []
    for a, b in zip(xs, ys, strict=False):
        if b is None:
            if part:
                yield part
            part = []
        else:
            part.append((a, b))
    if part:
        yield part


def _bars(plot: Bars) -> Iterator[str]:
    highest = max((v for _, values, _ in plot.groups for v in values if v), default=0.0)
    if not highest or not plot.labels:
        yield _note("nothing to draw in this window")
        return
    place = (WIDTH - _LEFT - _RIGHT) / len(plot.labels)
    width = place * 0.8 / max(1, len(plot.groups))
    full = HEIGHT - _TOP - _BOTTOM
    for i, (name, values, tone) in enumerate(plot.groups):
        colour = _TONES.get(tone, _COLOURS[i % len(_COLOURS)])
        for k, value in enumerate(values):
            tall = full * (value or 0) / highest
            left = _LEFT + k * place + place * 0.1 + i * width
            yield (
                f'<rect x="{left:.1f}" y="{HEIGHT - _BOTTOM - tall:.1f}" width="{width:.1f}" '
                f'height="{tall:.1f}" fill="{colour}"/>'
            )
        yield _legend(i, name, colour)
    every = max(1, len(plot.labels) // 8)
    for k in range(0, len(plot.labels), every):
        text = escape(plot.labels[k][:14])
        yield f'<text x="{_LEFT + k * place:.1f}" y="{HEIGHT - 18}" class="l">{text}</text>'


def _legend(i: int, name: str, colour: str) -> str:
    left = _LEFT + i * 150
    return (
        f'<rect x="{left}" y="{HEIGHT - 12}" width="10" height="4" fill="{colour}"/>'
        f'<text x="{left + 14}" y="{HEIGHT - 6}" class="l">{escape(name[:20])}</text>'
    )


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _note(text: str) -> str:
    return f'<text x="{_LEFT}" y="{HEIGHT / 2}" class="l">{text}</text>'
