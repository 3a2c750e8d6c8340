"""What a version must beat, beside the majority and the fallback: the day before, the champion.

Persistence answers with the majority class of the day before, or with its mean. Days are UTC days
with labels; a day without any is passed over, and the first day of the window takes what the
window before had. Labels count as they are known at the moment that is asked for, also those that
had not come when the day began: the baseline is rather too good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from collectors.contract import Deployment, Task
from console.analysis.binary import Confusion, binary_metrics
from console.analysis.costs import COST, confusion_cost, error_cost, has_costs
from console.analysis.estimate import Estimate
from console.analysis.figures import Figures
from console.analysis.intervals import figure, mean, proportion

__all__ = ["CHAMPION", "PERSISTENCE", "persistence", "with_baselines"]

CHAMPION, PERSISTENCE = "champion", "persistence"

_SLICE = ("version", "value", "value2")

Found = Mapping[tuple[str, str, str], Mapping[str, Estimate]]


def with_baselines(
    d: Deployment, whole: Sequence[Figures], days: pl.DataFrame, before: pl.DataFrame
) -> tuple[Figures, ...]:
    """The figures of a window with persistence, and with those of the champion on its own rows."""
    daily = persistence(d, days, before)
    champions = {_values(f): f for f in whole if f.group.version == d.champion and f.n_labelled}
    out = []
    for f in whole:
        more = dict(f.baselines or {})
        last = daily.get((f.group.version, f.group.value, f.group.value2))
        if last:
            more[PERSISTENCE] = last
        champion = champions.get(_values(f))
        if champion is not None and f.group.version != d.champion:
            more[CHAMPION] = champion.metrics
        out.append(replace(f, baselines=more))
    return tuple(out)


def _values(f: Figures) -> tuple[str, str]:
    return f.group.value, f.group.value2


def persistence(d: Deployment, days: pl.DataFrame, before: pl.DataFrame) -> Found:
    """Figures by (version, value, value2), over the labelled rows that have a day before them.

    days: outcome rows by hour or by day; before: those of the window before, any step. Binary: all
    figures of an answer without a score. Multiclass: accuracy. Regression: rmse and bias (its
    mean absolute error is not among the sums).
    """
    if days.is_empty():
        return {}
    before = before if before.width else days.clear()
    match d.task:
        case Task.BINARY:
            return _binary(d, days, before)
        case Task.MULTICLASS:
            return _multiclass(d, days, before)
        case Task.REGRESSION:
            return _regression(days, before)


def _by_day(frame: pl.DataFrame, *sums: str) -> pl.DataFrame:
    """Sums per slice and day that has labels, in the order of days."""
    return (
        frame.group_by(*_SLICE, pl.col("start").dt.truncate("1d").alias("day"))
        .agg(pl.col(*sums).sum())
        .filter(pl.col("n_labelled") > 0)
        .sort(*_SLICE, "day")
    )


def _with_last(days: pl.DataFrame, before: pl.DataFrame, said: pl.Expr) -> pl.DataFrame:
    """Days with the column `last`: what `said` was the day before, if there was one."""
    older = before.with_columns(said.alias("said")).group_by(*_SLICE).agg(pl.col("said").last())
    return (
        days.with_columns(said.shift(1).over(*_SLICE).alias("last"))
        .join(older, on=_SLICE, how="left", maintain_order="left")
        .with_columns(pl.coalesce("last", "said").alias("last"))
        .filter(pl.col("last").is_not_null())
    )


def _binary(d: Deployment, frame: pl.DataFrame, before: pl.DataFrame) -> Found:
    sums = ("n_labelled", "n_positive")
    said = 2 * pl.col("n_positive") > pl.col("n_labelled")
    days = _with_last(_by_day(frame, *sums), _by_day(before, *sums), said)
    yes, no = pl.col("n_positive"), pl.col("n_labelled") - pl.col("n_positive")
    cells = days.group_by(*_SLICE).agg(
        yes.filter("last").sum().alias("tp"),
        no.filter("last").sum().alias("fp"),
        yes.filter(~pl.col("last")).sum().alias("fn"),
        no.filter(~pl.col("last")).sum().alias("tn"),
    )
    costs = d.costs if has_costs(d.task, d.costs) else None
    out = {}
    for version, value, value2, *counts in cells.iter_rows():
        c = Confusion(*(int(k) for k in counts))
        found = binary_metrics(c)
        if costs is not None:
            found[COST] = confusion_cost(c, costs)
        out[version, value, value2] = found
    return out


def _multiclass(d: Deployment, frame: pl.DataFrame, before: pl.DataFrame) -> Found:
    classes = [_by_class(part) for part in (frame, before)]
    said = pl.col("most")
    days, older = (_most_frequent(part) for part in classes)
    last = _with_last(days, older, said).select(*_SLICE, "day", "last")
    joined = classes[0].join(last, on=[*_SLICE, "day"], how="inner")
    shares = joined.group_by(*_SLICE).agg(
        pl.col("n").filter(pl.col("actual") == pl.col("last")).sum().alias("right"),
        pl.col("n").sum(),
    )
    costs = d.costs if has_costs(d.task, d.costs) else None
    out: dict[tuple[str, str, str], Mapping[str, Estimate]] = {}
    for version, value, value2, right, n in shares.iter_rows():
        found = {"accuracy": proportion(int(right), int(n))}
        if costs is not None:
            found[COST] = error_cost(found["accuracy"], costs)
        out[version, value, value2] = found
    return out


def _by_class(frame: pl.DataFrame) -> pl.DataFrame:
    return (
        frame.filter(pl.col("actual").is_not_null())
        .group_by(*_SLICE, "actual", pl.col("start").dt.truncate("1d").alias("day"))
        .agg(pl.col("n").sum())
        .filter(pl.col("n") > 0)
    )


def _most_frequent(classes: pl.DataFrame) -> pl.DataFrame:
    """The majority class per slice and day; of equals the first by name."""
    return (
        classes.sort(*_SLICE, "day", "n", "actual", descending=[False] * 4 + [True, False])
        .group_by(*_SLICE, "day", maintain_order=True)
        .agg(pl.col("actual").first().alias("most"))
    )


def _regression(frame: pl.DataFrame, before: pl.DataFrame) -> Found:
    sums = ("n_labelled", "y_sum", "y_sq")
    said = pl.col("y_sum") / pl.col("n_labelled")
    days = _with_last(_by_day(frame, *sums), _by_day(before, *sums), said)
    n, last, y = pl.col("n_labelled"), pl.col("last"), pl.col("y_sum")
    errors = days.group_by(*_SLICE).agg(
        n.sum(),
        (n * last - y).sum().alias("e_sum"),
        (n * last * last - 2 * last * y + pl.col("y_sq")).sum().alias("e_sq"),
    )
    out: dict[tuple[str, str, str], Mapping[str, Estimate]] = {}
    for version, value, value2, rows, e_sum, e_sq in errors.iter_rows():
        squares = max(float(e_sq), 0.0)
        out[version, value, value2] = {
            "rmse": figure((squares / rows) ** 0.5, None, int(rows)),
            "bias": mean(float(e_sum), squares, int(rows)),
        }
    return out
