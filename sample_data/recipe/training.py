"""What the models and the fallback share: training rows, folds over days, the threshold."""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.model_selection import GroupKFold

FOLDS = 5  # over local days: a day is never on both sides

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def labelled(flights: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    """Labelled flights of the local days first..last, in time order."""
    inside = flights.filter(
        pl.col("local_date").is_between(first, last), pl.col("late").is_not_null()
    )
    return inside.sort("timestamp", "request_id")


def day_folds(rows: pl.DataFrame) -> list[tuple[Indices, Indices]]:
    """FOLDS pairs of (fit, held-out) row numbers, split by local date."""
    days = rows["local_date"].to_physical().to_numpy()
    return list(GroupKFold(n_splits=FOLDS).split(days, groups=days))


def threshold_at_base_rate(scores: Floats, late: npt.NDArray[np.bool_]) -> float:
    """Return the quantile that makes as many positives as there were late flights."""
    return float(np.quantile(scores, 1 - late.mean()))
