"""Do the answer, its score and the truth speak of the same thing: what a name cannot promise.

A score that falls where the answer is yes, words compared with numbers, a confidence taken for a
probability: each gives figures that look like figures. They are looked for before one is taken.
"""

from __future__ import annotations

import polars as pl

from collectors.profile import LogProfile

__all__ = [
    "as_answer",
    "as_answers",
    "is_yes_or_no",
    "ordering",
    "rarely_low",
    "tells_apart",
    "values_of",
]

_YES, _NO = ("1", "true", "t", "yes"), ("0", "false", "f", "no")
_LEAST = 20
"""Rows of each answer without which nothing is said about them."""


def values_of(log: LogProfile, column: str) -> frozenset[str]:
    """The different values of a column in the rows looked at."""
    return frozenset(log.rows[column].drop_nulls().unique().to_list())


def is_yes_or_no(values: frozenset[str]) -> bool:
    """Whether values are read as yes and no without being told."""
    return {as_answer(v) for v in values} <= {"1", "0"}


def as_answers(values: frozenset[str], positive: str, *, binary: bool) -> frozenset[str]:
    """Values as the store tells them apart: 1 and 0 where they are yes and no."""
    if not binary or positive:
        return values
    return frozenset(as_answer(v) for v in values)


def as_answer(value: str) -> str:
    """1 or 0 for what is read as yes or no, else the value."""
    low = value.strip().lower()
    if low in _YES or low in _NO:
        return "1" if low in _YES else "0"
    try:
        number = float(low)
    except ValueError:
        return value
    return "1" if number == 1 else "0" if number == 0 else value


def _scored(log: LogProfile, score: str, column: str, positive: str) -> pl.DataFrame:
    """(score, said): scores with whether the row says yes; no rows when few say either."""
    said = pl.col("said")
    yes = (
        said == positive
        if positive
        else (said.str.strip_chars().str.to_lowercase().is_in(_YES))
        | (said.cast(pl.Float64, strict=False) == 1).fill_null(value=False)
    )
    rows = (
        log.rows.select(
            pl.col(score).cast(pl.Float64, strict=False).alias("score"),
            pl.col(column).alias("said"),
        )
        .drop_nulls()
        .with_columns(said=yes)
    )
    n_yes = int(rows["said"].sum())
    return rows if min(n_yes, rows.height - n_yes) >= _LEAST else rows.clear()


def ordering(log: LogProfile, score: str, column: str, positive: str) -> float | None:
    """How often a row that says yes has a higher score than one that says no, 0 to 1; None when
    too few say either.
    """
    rows = _scored(log, score, column, positive)
    if rows.is_empty():
        return None
    ranks = rows.with_columns(pl.col("score").rank("average")).filter(pl.col("said"))["score"]
    n_yes, n_no = len(ranks), rows.height - len(ranks)
    return (float(ranks.sum()) - n_yes * (n_yes + 1) / 2) / (n_yes * n_no)


def tells_apart(log: LogProfile, score: str, column: str, positive: str) -> bool:
    """Whether every score of a yes is above every score of a no."""
    rows = _scored(log, score, column, positive)
    if rows.is_empty():
        return False
    yes, no = rows.filter(pl.col("said"))["score"], rows.filter(~pl.col("said"))["score"]
    return float(str(yes.min())) > float(str(no.max()))


def rarely_low(log: LogProfile, score: str, column: str, positive: str) -> bool:
    """Whether scores stay at 0.5 and above also where the answer is no: then they say how sure
    the answer is, not how probable a yes.
    """
    rows = _scored(log, score, column, positive)
    return not rows.is_empty() and float(str(rows["score"].min())) >= 0.5
