"""The console in a pty: CPU to the first paint, bytes per refresh, key to paint."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.lab import Lab
from benchmarks.measure import Figure
from benchmarks.terminal import Terminal

__all__ = ["run"]

_COMMAND = ("-c", "import sys; from console.cli import main; main(sys.argv[1:])")
_SIZES = {(80, 24): 2.0, (200, 50): 4.0}
"""Columns and rows, with the goal for one refresh in kB."""

_SECONDS = 12
_KEYS = "234561" * 4
_TIMES = 3
_FIGURES = "v1"
"""What a pane shows once it has figures."""


def run(lab: Lab) -> Iterator[Figure]:
    """The console over the store, then the demo's replay, which brings rows all the time."""
    lab.prepare()
    live = (*_COMMAND, "--config", str(lab.config), "--store", str(lab.store))
    paints, firsts = [], []
    for _ in range(_TIMES):
        with _terminal(80, 24, live) as console:
            paints.append(console.until("1 Overview"))
            firsts.append(console.until(_FIGURES))
    yield Figure("terminal", "first paint", min(paints), "CPU-s", goal="< 0.5 CPU-s", limit=0.5)
    yield Figure(
        "terminal",
        "first figures on the screen, the log is in the store",
        min(firsts),
        "CPU-s",
        goal="< 1 CPU-s at 1M rows",
        limit=1.0,
    )
    for (width, height), goal in _SIZES.items():
        with _terminal(width, height, (*_COMMAND, "demo")) as demo:
            demo.until(_FIGURES)
            demo.read(3)
            before = demo.cpu()
            sizes = [len(demo.read(1)) for _ in range(_SECONDS)]
            busy = (demo.cpu() - before) / _SECONDS
            yield Figure(
                "terminal",
                f"a second of replay at {width}x{height}, one refresh",
                statistics.mean(sizes) / 1000,
                "kB",
                goal=f"<= {goal:g} kB",
                limit=goal,
                note=f"most {max(sizes) / 1000:.1f} kB; {busy:.2f} CPU-s a second",
            )
            if width == 80:
                yield from _keys(demo)


def _keys(demo: Terminal) -> Iterator[Figure]:
    running = sorted(demo.key(key, quiet=0.3) for key in _KEYS)
    demo.child.send("p")
    demo.read(3)
    silent = len(demo.read(3))
    paused = sorted(demo.key(key, quiet=1.0) for key in _KEYS)
    for what, taken in (("replay runs", running), ("paused", paused)):
        yield Figure(
            "terminal",
            f"key to paint, {what}, 95th percentile",
            taken[int(0.95 * len(taken))],
            "ms",
            goal="< 50 ms",
            limit=50,
            note=f"median {statistics.median(taken):.1f} ms; wall time",
        )
    yield Figure("terminal", "3 s paused", silent, "bytes", goal="0 bytes", limit=0)


@contextmanager
def _terminal(width: int, height: int, args: tuple[str, ...]) -> Iterator[Terminal]:
    terminal = Terminal(width, height, args)
    try:
        yield terminal
    finally:
        terminal.close()
