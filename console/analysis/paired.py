"""Two versions on the very same rows (a shadow): only rows where they differ tell them apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from collectors.contract import Task
from console.analysis.estimate import Estimate, IntervalKind, State
from console.analysis.intervals import figure, mean_interval, normal_quantile
from console.analysis.sequences import boundary, mean_sequence, rate_sequence

__all__ = ["Paired", "mcnemar", "paired", "right_difference"]


@dataclass(frozen=True, slots=True)
class Paired:
    """version against other, on n labelled rows that both scored.

    difference: of accuracy, or of the mean absolute error, version minus other. both_right,
    only_version, only_other, neither: rows by who was right; None for a regression. p_value: of
    McNemar's exact test, for one look; None for a regression.
    """

    version: str
    other: str
    n: int
    metric: str
    difference: Estimate
    both_right: int | None = None
    only_version: int | None = None
    only_other: int | None = None
    neither: int | None = None
    p_value: float | None = None


def paired(task: Task, frame: pl.DataFrame, *, watched: bool) -> tuple[Paired, ...]:
    """From the query `pairs`, summed over its steps; the most rows first."""
    if frame.is_empty():
        return ()
    sums = [c for c in frame.columns if c not in ("start", "version", "other")]
    folded = frame.group_by("version", "other", maintain_order=True).agg(pl.col(sums).sum())
    made = (
        _of_errors(row, watched) if task is Task.REGRESSION else _of_answers(row, watched)
        for row in folded.filter(pl.col("n") > 0).iter_rows(named=True)
    )
    return tuple(sorted(made, key=lambda p: (-p.n, p.version, p.other)))


def _of_answers(row: Mapping[str, Any], watched: bool) -> Paired:
    n, first, second = int(row["n"]), int(row["only_first"]), int(row["only_second"])
    return Paired(
        row["version"],
        row["other"],
        n,
        "accuracy",
        right_difference(first, second, n, watched=watched),
        int(row["both_right"]),
        first,
        second,
        int(row["neither"]),
        mcnemar(first, second),
    )


def _of_errors(row: Mapping[str, Any], watched: bool) -> Paired:
    """Columns e_abs_diff, e_abs_diff_sq: sums of |e of version| - |e of other| and its square."""
    n, total, squares = int(row["n"]), float(row["e_abs_diff"]), float(row["e_abs_diff_sq"])
    ends = (mean_sequence if watched else mean_interval)(total, squares, n)
    made = _estimate(total / n, ends, n, watched)
    return Paired(row["version"], row["other"], n, "mae", made)


def right_difference(first: int, second: int, n: int, *, watched: bool) -> Estimate:
    """Accuracy of the first minus that of the second, both on the same n rows.

    first, second: rows that only this one had right. Fixed: Wald with half a row added to each of
    the four cells (Agresti & Min 2005), so that it does not vanish where they never differ.
    watched: an asymptotic confidence sequence with the same variance, widened to hold 0 where the
    exact sequence of the first's share of the rows that tell them apart holds one half.
    """
    if n <= 0:
        return Estimate(None, None, None, 0, State.NO_LABELS)
    gap, size = (first - second) / n, n + 2
    centre = (first - second) / size
    variance = max((first + second + 1) / size - centre * centre, 0.0) / size
    if not watched:
        half = normal_quantile(0.975) * math.sqrt(variance)
        return _estimate(gap, (max(centre - half, -1.0), min(centre + half, 1.0)), n, watched)
    half = boundary(n) * math.sqrt(variance)
    low, high = max(centre - half, -1.0), min(centre + half, 1.0)
    share_low, share_high = rate_sequence(first, first + second)
    if share_low <= 0.5 <= share_high:  # the exact one cannot tell them apart: nor do we
        low, high = min(low, 0.0), max(high, 0.0)
    return _estimate(gap, (low, high), n, watched)


def mcnemar(first: int, second: int) -> float:
    """P-value, two-sided, of the exact test that each is as often right alone (McNemar 1947).

    Twice the smaller tail of a binomial with p = 1/2 over the rows that tell them apart, at most 1.
    """
    total, least = first + second, min(first, second)
    if total <= 0 or first == second:
        return 1.0
    log_term = math.lgamma(total + 1) - math.lgamma(least + 1) - math.lgamma(total - least + 1)
    log_term -= total * math.log(2)
    # terms below the largest one shrink at least as fast as a geometric series
    ratio, tail, k = 1.0, 1.0, least
    while k > 0 and ratio > tail * 1e-17:
        ratio *= k / (total - k + 1)
        tail += ratio
        k -= 1
    return min(2 * math.exp(log_term) * tail, 1.0)


def _estimate(value: float, ends: tuple[float, float] | None, n: int, watched: bool) -> Estimate:
    made = figure(value, ends, n)
    kind = IntervalKind.PEEK_SAFE if watched else IntervalKind.FIXED
    return Estimate(made.value, made.low, made.high, made.n, made.state, interval=kind)
