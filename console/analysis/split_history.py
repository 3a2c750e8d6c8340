"""How a control plane's replicas split traffic over time, from readings that were kept. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from console.analysis.ask import utc

__all__ = ["SplitStep", "split_steps", "step_seconds"]

_STEPS = 120
_SHORTEST_S = 60


@dataclass(frozen=True, slots=True)
class SplitStep:
    """One arm of one replica in one step of time.

    share: configured, 0 to 1, as last read in the step; None where it could not be read, or all
    weights are 0. n, n_error: requests; None where they are not counted. n_readings: looks, of
    which n_problem found one. arm: "" of a replica that could not be read, then problem says why.
    """

    start: datetime
    replica: str
    arm: str
    share: float | None
    n: int | None
    n_error: int | None
    n_readings: int
    n_problem: int
    problem: str = ""


def step_seconds(start: datetime, end: datetime) -> int:
    """How long a step is, so that a window has no more than so many; a minute at least."""
    return max(_SHORTEST_S, math.ceil((end - start) / timedelta(seconds=_STEPS)))


def split_steps(frame: pl.DataFrame | None) -> tuple[SplitStep, ...]:
    """The rows of the query `split_series`, by time, replica and arm."""
    if frame is None or frame.is_empty():
        return ()
    totals: dict[tuple[datetime, str], int] = {}
    rows = frame.sort("ts", "replica", "arm").rows(named=True)
    for r in rows:
        if r["weight"] is not None:
            at = (r["ts"], r["replica"])
            totals[at] = totals.get(at, 0) + max(r["weight"], 0)
    out = []
    for r in rows:
        total, weight = totals.get((r["ts"], r["replica"]), 0), r["weight"]
        out.append(
            SplitStep(
                utc(r["ts"]),
                r["replica"],
                r["arm"],
                max(weight, 0) / total if weight is not None and total > 0 else None,
                r["n"],
                r["n_error"],
                r["n_readings"],
                r["n_problem"],
                r["problem"],
            )
        )
    return tuple(out)
