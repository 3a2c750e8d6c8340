"""A version and the logged fallback on the very same rows: only where they differ tells them apart.

The log has both answers in one row, so the joint counts are sums over the cells of the rollup.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from collectors.contract import Task
from console.analysis.estimate import Estimate, IntervalKind, State
from console.analysis.intervals import figure, normal_quantile
from console.analysis.sequences import boundary, rate_sequence

__all__ = ["Paired", "mcnemar", "paired", "right_difference"]


@dataclass(frozen=True, slots=True)
class Paired:
    """What is logged beside a version (a fallback, or a shadow) against it, on n labelled rows.

    difference: accuracy of `beside` minus that of the version. both_right, only_beside,
    only_version, neither: rows by who was right. p_value: of McNemar's exact test, for one look.
    """

    beside: str
    version: str
    n: int
    difference: Estimate
    both_right: int
    only_beside: int
    only_version: int
    neither: int
    p_value: float


def paired(task: Task, beside: str, frame: pl.DataFrame, *, watched: bool) -> tuple[Paired, ...]:
    """From the outcome rollup of a window, for each version that has a fallback logged.

    Nothing for a regression, which has no right and wrong.
    """
    if task is Task.REGRESSION or frame.is_empty():
        return ()
    said = pl.col("predicted")
    if task is Task.BINARY:
        right = {1: ("fallback_tp", "fallback_fn"), 0: ("fallback_tn", "fallback_fp")}
        wrong = {1: ("fallback_tn", "fallback_fp"), 0: ("fallback_tp", "fallback_fn")}
        found = {
            "both": _when(right, 0),
            "only_version": _when(right, 1),
            "only_beside": _when(wrong, 0),
            "neither": _when(wrong, 1),
        }
    else:
        hit = (said == pl.col("actual")).fill_null(value=False)
        known, good = pl.col("n_fallback"), pl.col("fallback_right")
        found = {
            "both": pl.when(hit).then(good).otherwise(0),
            "only_version": pl.when(hit).then(known - good).otherwise(0),
            "only_beside": pl.when(hit).then(0).otherwise(good),
            "neither": pl.when(hit).then(0).otherwise(known - good),
        }
    counts = frame.group_by("version", maintain_order=True).agg(
        e.sum().alias(k) for k, e in found.items()
    )
    made = (
        _of(beside, *row, watched=watched)
        for row in counts.sort("version").iter_rows()
        if sum(row[1:])
    )
    return tuple(sorted(made, key=lambda p: (-p.n, p.version)))


def _when(columns: dict[int, tuple[str, str]], place: int) -> pl.Expr:
    """The column that holds a kind of row, by what the version said."""
    yes, no = columns[1][place], columns[0][place]
    return pl.when(pl.col("predicted") == 1).then(pl.col(yes)).otherwise(pl.col(no))


def _of(  # noqa: PLR0917 - the four cells of one table
    beside: str, version: str, both: int, mine: int, other: int, neither: int, *, watched: bool
) -> Paired:
    n = both + mine + other + neither
    difference = right_difference(other, mine, n, watched=watched)
    return Paired(beside, version, n, difference, both, other, mine, neither, mcnemar(other, mine))


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
