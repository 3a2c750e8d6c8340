"""What the prediction log says about the serving system: latency, errors, cost, throughput."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from console.analysis.ask import Ask, Step, utc
from console.analysis.estimate import Estimate, State
from console.analysis.intervals import normal_quantile, proportion

__all__ = [
    "LATENCY",
    "PER_SECOND",
    "LogStep",
    "judging_step",
    "latency_beyond",
    "log_steps",
    "surely_more",
]

LATENCY: Mapping[str, float] = {
    "latency_p50_ms": 0.5,
    "latency_p95_ms": 0.95,
    "latency_p99_ms": 0.99,
}
PER_SECOND = ("requests_per_second", "errors_per_second")
"""Amounts: those of a version depend on its share, so their limits are of all versions together."""

_BEYOND = 5  # rows that must lie beyond a quantile for it to be more than a guess
_SHORTEST = 60
"""Seconds below which a count is no rate yet."""

_LENGTHS = (
    (timedelta(days=8), Step.HOUR),
    (timedelta(days=200), Step.DAY),
    (timedelta.max, Step.WEEK),
)


@dataclass(frozen=True, slots=True)
class LogStep:
    """[start, end), as far as it has passed. complete: the log began before it and goes on after.

    bucket: what the store calls it, naive. metrics: error_rate (0..1), requests_per_second,
    errors_per_second, cost_per_1000 and latency_p50_ms/p95/p99, where the log has them.
    """

    bucket: datetime
    start: datetime
    end: datetime
    n: int
    n_error: int
    metrics: Mapping[str, Estimate]
    complete: bool


def judging_step(ask: Ask) -> Step:
    """The step at which the log is compared with limits: hours up to 8 days, days up to 200.

    A burst of errors must not vanish in the day's rate; it is never coarser than what is shown.
    """
    if not ask.deployment.timed:
        return Step.ALL
    fine = next(step for length, step in _LENGTHS if ask.end - ask.start <= length)
    order = list(Step)
    return min(fine, ask.step, key=order.index)


def log_steps(
    ask: Ask, volume: pl.DataFrame, latency: pl.DataFrame, seen: tuple[datetime, datetime] | None
) -> dict[str | None, tuple[LogStep, ...]]:
    """Steps in order by version, and over all of them (None) where there are several.

    volume: (start, version, n, n_error, n_cost, cost_sum); latency: (start, version, bin, n).
    seen: the log's first hour, and until when it is known.
    """
    if volume.is_empty():
        return {}
    several = volume["version"].n_unique() > 1
    volume = volume.filter(pl.col("n") > 0)
    if several:
        volume, latency = _with_all(volume), _with_all(latency)
    quantiles = latency_quantiles(latency)
    errors = _logs_errors(ask, volume)
    out: dict[str | None, list[LogStep]] = {}
    for row in volume.sort("start").iter_rows(named=True):
        at = utc(row["start"])
        start, end = ask.step_start(at), ask.step_end(at)
        passed = min(end, ask.as_of)
        began = max(start, seen[0]) if seen is not None else start
        n, failed, seconds = row["n"], row["n_error"], (passed - began).total_seconds()
        metrics = dict(quantiles.get((row["start"], row["version"]), {}))
        if errors:
            metrics["error_rate"] = proportion(failed, n)
        if ask.deployment.timed and seconds >= _SHORTEST:
            metrics["requests_per_second"] = Estimate(n / seconds, None, None, n)
            if errors:
                metrics["errors_per_second"] = Estimate(failed / seconds, None, None, n)
        if row["n_cost"]:
            cost = 1000 * row["cost_sum"] / row["n_cost"]
            metrics["cost_per_1000"] = Estimate(cost, None, None, row["n_cost"])
        whole = seen is not None and seen[0] < start and end <= min(seen[1], ask.as_of)
        out.setdefault(row["version"], []).append(
            LogStep(row["start"], start, end, n, failed, metrics, whole)
        )
    return {version: tuple(steps) for version, steps in out.items()}


def _with_all(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows, and those over all versions, whose version is null."""
    keys = [name for name in ("start", "bin") if name in frame.columns]
    rest = [name for name in frame.columns if name not in (*keys, "version")]
    over = frame.group_by(keys).agg(pl.col(rest).sum())
    over = over.with_columns(version=pl.lit(None, dtype=pl.String)).select(frame.columns)
    return pl.concat([frame, over])


def _logs_errors(ask: Ask, volume: pl.DataFrame) -> bool:
    """Whether the log says which requests failed; where it does not, none is no good news."""
    source_format = getattr(ask.deployment.predictions, "format", None)
    platform = bool(getattr(source_format, "is_platform", False))
    return bool(ask.deployment.error) or platform or bool(volume["n_error"].sum())


def latency_quantiles(
    frame: pl.DataFrame,
) -> dict[tuple[datetime, str | None], dict[str, Estimate]]:
    """`traffic.histogram_quantiles` of every step and version at once, by (start, version)."""
    frame = frame.filter(pl.col("n") > 0)
    if frame.is_empty():
        return {}
    keys = ["start", "version"]
    low, high = (pl.col("bin") / 8).exp(), ((pl.col("bin") + 1) / 8).exp()
    frame = frame.sort("bin").with_columns(
        total=pl.col("n").sum().over(keys), passed=pl.col("n").cum_sum().over(keys)
    )
    found = []
    for name, q in LATENCY.items():
        for part, share in (("", pl.lit(q)), ("_low", _wilson(q, -1)), ("_high", _wilson(q, 1))):
            target = share * pl.col("total")
            inside = low + (high - low) * (target - pl.col("passed") + pl.col("n")) / pl.col("n")
            reached = pl.col("passed") >= target
            value = pl.coalesce(inside.filter(reached).first(), high.last())
            found.append(value.alias(name + part))
            if not part:
                width = pl.coalesce((high - low).filter(reached).first(), (high - low).last())
                found.append(width.alias(f"{name}_width"))
    rows = frame.group_by(keys, maintain_order=True).agg(pl.col("total").first(), *found)
    return {(row["start"], row["version"]): _estimates(row) for row in rows.iter_rows(named=True)}


def _wilson(q: float, side: int) -> pl.Expr:
    """A limit of the 95 % Wilson interval of the share q of `total` rows."""
    z, n = normal_quantile(0.975), pl.col("total")
    centre = q + z * z / (2 * n)
    half = z * (q * (1 - q) / n + z * z / (4 * n * n)).sqrt()
    return ((centre + side * half) / (1 + z * z / n)).clip(0.0, 1.0)


def _estimates(row: Mapping[str, float]) -> dict[str, Estimate]:
    n = int(row["total"])
    out = {}
    for name, q in LATENCY.items():
        value = row[name]
        out[name] = Estimate(
            value,
            min(value, row[f"{name}_low"]),
            max(value, row[f"{name}_high"]),
            n,
            State.OK if n * (1 - q) >= _BEYOND else State.TOO_FEW,
            row[f"{name}_width"],
        )
    return out


def latency_beyond(
    latency: pl.DataFrame, limit: float, *, several: bool
) -> dict[tuple[datetime, str | None], tuple[int, int, int]]:
    """(rows above a latency, rows below it, rows) by (start, version), and over all versions.

    Rows in the bin that holds the limit are on neither side.
    """
    if several:
        latency = _with_all(latency)
    at = 8 * math.log(limit) if limit > 0 else -math.inf
    counts = latency.group_by("start", "version").agg(
        above=pl.col("n").filter(pl.col("bin") >= at).sum(),
        below=pl.col("n").filter(pl.col("bin") + 1 <= at).sum(),
        n=pl.col("n").sum(),
    )
    return {
        (start, version): (above, below, n)
        for start, version, above, below, n in counts.iter_rows()
    }


def surely_more(k: int, n: int, share: float, looks: int) -> bool:
    """Whether k of n rows are more than a share explains, at 2.5 % for all looks together.

    Chernoff's bound, which holds for any n: P(K >= k) <= exp(-n KL(k/n, share)).
    """
    if n <= 0 or k <= 0 or k / n <= share:
        return False
    if share <= 0:
        return True
    x = k / n
    kl = x * math.log(x / share)
    if x < 1:
        kl += (1 - x) * math.log((1 - x) / (1 - share))
    return n * kl > math.log(max(looks, 1) / 0.025)
