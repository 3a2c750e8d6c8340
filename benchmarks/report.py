"""Figures as a table of text, of Markdown, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.measure import Figure

__all__ = ["HEADS", "as_json", "as_line", "as_markdown"]

HEADS = ("what", "figure", "floor", "hand-written", "goal", "reached")


def as_json(rows: int, figures: Sequence[Figure]) -> str:
    """All that was measured, unrounded."""
    listed = [
        asdict(f)
        | {
            "floor_ratio": f.floor_ratio,
            "handwritten_ratio": f.handwritten_ratio,
            "reached": f.reached,
        }
        for f in figures
    ]
    return json.dumps({"rows": rows, "figures": listed}, indent=2)


def as_line(figure: Figure) -> str:
    """One line for a terminal."""
    what, value, floor, hand, goal, reached = _cells(figure)
    columns = f"{figure.group:10} {what:58} {value:>22} {floor:>8} {hand:>8}"
    return f"{columns}  {goal} {reached}  {figure.note}".rstrip()


def as_markdown(figures: Sequence[Figure]) -> str:
    """A table: ratios to the floor and to hand-written SQL of the same run."""
    lines = [f"| {' | '.join(HEADS)} |", "|---|---:|---:|---:|---|---|"]
    lines += [f"| {' | '.join(_cells(f))} |" for f in figures]
    return "\n".join(lines)


def _cells(f: Figure) -> tuple[str, ...]:
    reached = {None: "", True: "yes", False: "no"}[f.reached]
    ratios = (f"{r:.3g}x" if r is not None else "" for r in (f.floor_ratio, f.handwritten_ratio))
    return (f.what, f"{_number(f.value)} {f.unit}", *ratios, f.goal, reached)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
