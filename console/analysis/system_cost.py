"""Cost per 1,000 predictions from a sampled cost per hour and the log's predictions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from console.analysis.ask import Ask, Step, naive, utc
from console.analysis.estimate import Estimate

__all__ = ["SampledCost", "sampled_cost"]

_STEPS = {Step.HOUR: "1h", Step.DAY: "1d", Step.WEEK: "1w", Step.MONTH: "1mo"}


@dataclass(frozen=True, slots=True)
class SampledCost:
    """Cost per 1,000 predictions over the window and by step; n: predictions in priced hours."""

    whole: Estimate
    series: tuple[tuple[datetime, Estimate], ...]
    newest: datetime


def sampled_cost(
    ask: Ask, cost: pl.DataFrame, volume: pl.DataFrame
) -> dict[str | None, SampledCost]:
    """By version; None: samples without a version, over the predictions of all.

    cost: (start, version, mean) of cost_per_hour by hour; volume: (start, version, n) by hour. Only
    hours that have samples count, with the predictions of those hours.
    """
    out: dict[str | None, SampledCost] = {}
    for (name,), part in cost.partition_by("version", as_dict=True).items():
        version = str(name) or None
        rows = volume if version is None else volume.filter(pl.col("version") == version)
        made = rows.group_by("start").agg(pl.col("n").sum())
        as_of = pl.lit(naive(ask.as_of))
        passed = (pl.min_horizontal(pl.col("start").dt.offset_by("1h"), as_of)) - pl.col("start")
        hours = (
            part.select("start", "mean")
            .join(made, on="start", how="inner")
            .filter(pl.col("n") > 0)
            .sort("start")
            .with_columns(cost=pl.col("mean") * passed.dt.total_microseconds() / 3.6e9)
        )
        if hours.is_empty():
            continue
        steps = hours
        if ask.step is not Step.ALL:
            steps = hours.with_columns(pl.col("start").dt.truncate(_STEPS[ask.step]))
        sums = steps.group_by("start", maintain_order=True).agg(pl.col("cost", "n").sum())
        series = tuple(
            (ask.step_start(utc(start)), _per_1000(total, n))
            for start, total, n in sums.iter_rows()
        )
        out[version] = SampledCost(
            _per_1000(float(hours["cost"].sum()), int(hours["n"].sum())),
            series if ask.step is not Step.ALL else (),
            min(utc(hours["start"].to_list()[-1]) + timedelta(hours=1), ask.as_of),
        )
    return out


def _per_1000(total: float, n: int) -> Estimate:
    return Estimate(1000 * total / n, None, None, n)
