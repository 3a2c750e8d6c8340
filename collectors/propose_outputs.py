"""What the model answered and what was true: prediction, scores, ground truth, task, positive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from collectors.contract import Task
from collectors.profile import ColumnProfile, LogProfile
from collectors.propose_checks import is_yes_or_no
from collectors.role_names import plain_name

__all__ = [
    "Outputs",
    "class_score_columns",
    "kept_promise",
    "positive_of",
    "same_everywhere",
    "task_of",
]

_FEW, _MANY = 2, 30
"""Whole numbers of at most two values are two classes, of more than thirty a quantity."""

_SUM_ERROR = 0.02
_PROMISED, _SPREAD, _CALIBRATED = 500, 0.1, 0.05


@dataclass(frozen=True, slots=True)
class Outputs:
    """What stands for the answer and the truth in a log; None and empty for what is not there."""

    prediction: ColumnProfile | None = None
    score: ColumnProfile | None = None
    target: ColumnProfile | None = None
    class_scores: Mapping[str, str] = field(default_factory=dict)


def task_of(  # noqa: PLR0911 - one answer per kind of evidence
    outputs: Outputs, given: str
) -> tuple[Task | None, str]:
    """The task and the reason for it; None when the values do not say."""
    if given:
        return Task(given), "as given"
    answers = [c for c in (outputs.prediction, outputs.target) if c is not None]
    if not answers and outputs.score is None:
        if len(outputs.class_scores) > 1:
            return Task.MULTICLASS, f"{len(outputs.class_scores)} probabilities, one per class"
        return None, "there is neither a prediction nor a score"
    if len(outputs.class_scores) == _FEW:
        return Task.BINARY, "two probabilities, one per class"
    if outputs.class_scores:
        n = len(outputs.class_scores)
        return Task.MULTICLASS, f"{n} probabilities, one per class"
    if outputs.score is not None and all(c.n_distinct <= _FEW for c in answers):
        return Task.BINARY, f"{outputs.score.name} lies between 0 and 1, and there are two answers"
    return _by_answers(outputs, answers)


def _by_answers(outputs: Outputs, answers: Sequence[ColumnProfile]) -> tuple[Task | None, str]:
    widest = max(answers, key=lambda c: c.n_distinct)
    if not all(c.numeric for c in answers):
        if all(c.n_distinct <= _FEW for c in answers):
            return Task.BINARY, f"{widest.name} has two values"
        return Task.MULTICLASS, f"{widest.name} holds {widest.n_distinct} classes in words"
    if any(not c.integer for c in answers):
        broken = next(c for c in answers if not c.integer)
        return Task.REGRESSION, f"{broken.name} holds numbers with a fraction"
    if widest.n_distinct <= _FEW:
        return Task.BINARY, f"{widest.name} has two values"
    if widest.n_distinct > _MANY:
        return Task.REGRESSION, f"{widest.name} holds {widest.n_distinct} whole numbers"
    return None, (
        f"{widest.name} holds {widest.n_distinct} whole numbers: they may be classes or quantities"
    )


def positive_of(outputs: Outputs, log: LogProfile) -> tuple[str, str, tuple[str, ...]]:
    """(positive value, why, candidates): of a binary task; candidates when it cannot be told."""
    answers = [c for c in (outputs.prediction, outputs.target) if c is not None]
    values = {v for c in answers for v in c.values}
    lowered = {v.strip().lower() for v in values}
    if not values or is_yes_or_no(frozenset(values)):
        return "", "", ()
    if lowered <= {"-1", "1", "-1.0", "1.0"}:
        return next((v for v in values if float(v) > 0), "1"), "1 against -1", ()
    found = _by_score(outputs, log)
    if found:
        return found, f"rows of higher {outputs.score.name if outputs.score else ''} say so", ()
    return "", "the two answers do not say which of them is positive", tuple(sorted(values))


def _by_score(outputs: Outputs, log: LogProfile) -> str:
    """The predicted value that all higher scores have, "" when scores do not part the two."""
    if outputs.score is None or outputs.prediction is None:
        return ""
    rows = log.rows.select(
        pl.col(outputs.prediction.name).alias("said"),
        pl.col(outputs.score.name).cast(pl.Float64, strict=False).alias("score"),
    ).drop_nulls()
    ends = rows.group_by("said").agg(low=pl.col("score").min(), high=pl.col("score").max())
    if ends.height != 2:
        return ""
    first, second = ends.sort("low").rows(named=True)
    return str(second["said"]) if first["high"] <= second["low"] else ""


def class_score_columns(
    log: LogProfile, free: Sequence[ColumnProfile], classes: Sequence[str]
) -> dict[str, str]:
    """class -> column of probabilities that add up to one in every row; empty when there are none.

    Columns are named after the classes, alone or behind a common beginning.
    """
    shares = [
        c
        for c in free
        if c.numeric and c.low is not None and c.high is not None and c.low >= 0 and c.high <= 1
    ]
    if len(shares) < 2:
        return {}
    for named in (_by_class(shares, classes), _by_beginning(shares), _h2o(shares, classes)):
        if len(named) >= 2 and _add_up(log, list(named.values())):
            return named
    return {}


def _by_class(shares: Sequence[ColumnProfile], classes: Sequence[str]) -> dict[str, str]:
    named = {c.name: c.name for c in shares}
    if len(classes) >= 2 and all(name in named for name in classes):
        return {name: named[name] for name in classes}
    found: dict[str, str] = {}
    for name in classes:
        plain = plain_name(name)
        of = [
            c.name
            for c in shares
            if plain and (plain_name(c.name) == plain or plain_name(c.name).endswith(f"_{plain}"))
        ]
        if of:
            found[name] = min(of, key=len)
    return found if len(set(found.values())) == len(found) == len(classes) else {}


def _h2o(shares: Sequence[ColumnProfile], classes: Sequence[str]) -> dict[str, str]:
    """`p0` and `p1` of classes 0 and 1."""
    named = {c.name for c in shares}
    found = {name: f"p{name}" for name in classes}
    return found if set(found.values()) <= named else {}


def _by_beginning(shares: Sequence[ColumnProfile]) -> dict[str, str]:
    for begin in (
        "y_pred_proba_",
        "proba_",
        "prob_",
        "probability_",
        "p_",
        "score_",
        "y_pred_",
        "output.probabilities.",
        "output.scores.",
        "output.",
    ):
        of = {c.name[len(begin) :]: c.name for c in shares if c.name.lower().startswith(begin)}
        if len(of) >= 2:
            return of
    return {}


def _add_up(log: LogProfile, columns: Sequence[str]) -> bool:
    rows = log.rows.select(pl.col(list(columns)).cast(pl.Float64, strict=False)).drop_nulls()
    if rows.is_empty():
        return False
    total = rows.sum_horizontal()
    return int(((total - 1).abs() <= _SUM_ERROR).sum()) >= 0.99 * rows.height


def kept_promise(log: LogProfile, score: str, column: str) -> bool:
    """Whether a column of two values is what a score speaks of: in rows of a score of 0.7 it is
    yes in 70 of 100, over the whole range of scores. A feature does not do that by chance.
    """
    low = pl.col(column).str.to_lowercase()
    rows = log.rows.select(
        pl.col(score).cast(pl.Float64, strict=False).alias("score"),
        pl.when(low.is_in(["1", "1.0", "true", "yes", "t"])).then(1.0).otherwise(0.0).alias("y"),
    ).drop_nulls()
    if rows.height < _PROMISED or float(str(rows["score"].std() or 0)) < _SPREAD:
        return False
    bins = (
        rows.with_columns((pl.col("score") * 10).floor().clip(0, 9).alias("bin"))
        .group_by("bin")
        .agg(pl.len().alias("n"), pl.col("score").mean(), pl.col("y").mean())
    )
    error = ((bins["score"] - bins["y"]).abs() * bins["n"]).sum() / rows.height
    return bins.height >= 4 and float(error) <= _CALIBRATED


def same_everywhere(log: LogProfile, one: str, other: str) -> bool:
    """Whether two columns say the same in every row looked at that has both."""
    rows = log.rows.select(pl.col(one).alias("a"), pl.col(other).alias("b")).drop_nulls()
    return rows.height >= 50 and bool((rows["a"] == rows["b"]).all())
