"""What is summed up per task: the values of an outcome row, its tables, and their SQL.

One `Outcome` per task in one table, so that nothing else in the store asks for the task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collectors.contract import Task
from collectors.store.database import read_sql
from collectors.store.layout import Layout
from collectors.store.names import text
from collectors.store.segment_values import CLASSES, folded, folded_label
from collectors.store.tables import RollupTable

__all__ = ["OUTCOMES", "Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How predictions and labels of one task become sums.

    values: SQL list of the task's columns in `outcome_rows`; it is given the column that says how
    many score edges lie below the score, and whether there are too many classes. cells: the file
    that sums them per finest cell. parts: what else its files need. others: (table, SELECT) of
    tables without segments. coarse: score bins merged for one segment and for a cross of two; the
    whole then has cells of its own.
    """

    tables: tuple[RollupTable, ...]
    values: Callable[[Layout, str, bool], str]
    cells: str
    others: Callable[[Layout], tuple[tuple[str, str], ...]]
    parts: Callable[[Layout], dict[str, str]] = lambda _: {}
    coarse: tuple[int, int] = (1, 1)

    @property
    def totals(self) -> RollupTable:
        """The first table without score bins; kept by the day only, where there are bins."""
        main = self.tables[0]
        keys = {key: kind for key, kind in main.keys.items() if key != "bin"}
        name = "rollup_totals" if "bin" in main.keys else main.name
        return RollupTable(name, keys, main.counts, main.sums)

    @property
    def conditions(self) -> RollupTable:
        """The first table's sums of rows whose feature is missing (1) or outside (2)."""
        main = self.tables[0]
        keys = {k: kind for k, kind in main.keys.items() if k not in (*_SEGMENT, "bin")}
        return RollupTable("rollup_condition", {**_CONDITION, **keys}, main.counts, main.sums)


_SEGMENT = {
    "segment": "SMALLINT NOT NULL",
    "value": "VARCHAR NOT NULL",
    "value2": "VARCHAR NOT NULL",
}
_CONDITION = {"feature": "SMALLINT NOT NULL", "condition": "TINYINT NOT NULL"}


def _has_fallback(layout: Layout) -> bool:
    return layout.deployment.fallback is not None


def _binary_values(layout: Layout, place: str, _: bool) -> str:
    score = "score" if layout.has_score else "CAST(NULL AS DOUBLE)"
    fallback = ", fallback_predicted" if _has_fallback(layout) else ""
    # the same edges serve performance and drift
    bin_ = f"CASE WHEN score IS NULL THEN -1 ELSE {place} END" if layout.has_score else "-1"
    return f"predicted, {score} AS score, CAST({bin_} AS SMALLINT) AS bin{fallback}"


def _binary_parts(layout: Layout) -> dict[str, str]:
    """Confusion counts of the fallback; without one they cost nothing."""
    counts = {"tp": (1, 1), "fp": (1, 0), "fn": (0, 1), "tn": (0, 0)}
    cells, sums = [], []
    for name, (predicted, label) in counts.items():
        right = f"fallback_predicted = {predicted} AND label = {label}"
        summed = f"sum(CASE WHEN {right} THEN weight ELSE 0 END)" if _has_fallback(layout) else "0"
        cells.append(f"CAST({summed} AS INTEGER) AS fallback_{name}")
        total = f"sum(fallback_{name})" if _has_fallback(layout) else "0"
        sums.append(f"CAST({total} AS BIGINT) AS fallback_{name}")
    return {"fallback_cells": ", ".join(cells), "fallback_sums": ", ".join(sums)}


def _multiclass_values(layout: Layout, _: str, folds: bool) -> str:
    columns = [f"c{i}" for i in range(len(layout.classes))]
    log_loss = brier = "CAST(NULL AS DOUBLE)"
    if columns:
        # figures of probabilities are of the rows that have them all
        whole = " AND ".join(f"{column} >= 0 AND {column} <= 1" for column in columns)
        of_label = " ".join(
            f"WHEN label = {text(name)} THEN {column}"
            for name, column in zip(layout.classes, columns, strict=True)
        )
        clipped = f"CASE {of_label} ELSE 0 END"
        floor = "2.220446049250313e-16"
        loss = f"-ln(CASE WHEN ({clipped}) < {floor} THEN {floor} ELSE ({clipped}) END)"
        squares = " + ".join(
            f"power({column} - CASE WHEN label = {text(name)} THEN 1 ELSE 0 END, 2)"
            for name, column in zip(layout.classes, columns, strict=True)
        )
        log_loss = f"CASE WHEN label IS NOT NULL AND {whole} THEN {loss} END"
        brier = f"CASE WHEN label IS NOT NULL AND {whole} THEN {squares} END"
    fallback = "fallback_predicted" if _has_fallback(layout) else "CAST(NULL AS VARCHAR)"
    scores = "".join(f", {column}" for column in columns)
    predicted = folded(layout, CLASSES, "predicted") if folds else "predicted"
    actual = folded_label(layout) if folds else "label"
    return (
        f"{predicted} AS predicted, {actual} AS actual, "
        f"{fallback} AS fallback_predicted, {log_loss} AS log_loss, "
        f"{brier} AS brier{scores}"
    )


def _regression_values(layout: Layout, _: str, __: bool) -> str:
    fallback = "fallback_predicted - label" if _has_fallback(layout) else "CAST(NULL AS DOUBLE)"
    return (
        "predicted AS prediction, label AS actual, predicted - label AS error_value, "
        f"{fallback} AS fallback_error"
    )


def _class_scores(layout: Layout) -> tuple[tuple[str, str], ...]:
    return tuple(
        (
            "rollup_class_score",
            read_sql(
                "rollups/class_score.sql", number=str(i), column=f"c{i}", **{"class": text(name)}
            ),
        )
        for i, name in enumerate(layout.classes)
    )


OUTCOMES: dict[Task, Outcome] = {
    Task.BINARY: Outcome(
        tables=(
            RollupTable(
                "rollup_binary",
                {**_SEGMENT, "bin": "SMALLINT NOT NULL", "predicted": "TINYINT NOT NULL"},
                (
                    *("n", "n_labelled", "n_positive"),
                    *("fallback_tp", "fallback_fp", "fallback_fn", "fallback_tn"),
                ),
                (
                    *("score_sum", "labelled_score_sum", "labelled_score_sq"),
                    *("positive_score_sum", "log_loss_sum"),
                ),
            ),
        ),
        values=_binary_values,
        cells="rollups/binary_cells.sql",
        others=lambda _: (),
        parts=_binary_parts,
        coarse=(8, 16),
    ),
    Task.MULTICLASS: Outcome(
        tables=(
            RollupTable(
                "rollup_multiclass",
                {**_SEGMENT, "predicted": "VARCHAR NOT NULL", "actual": "VARCHAR"},
                ("n", "n_scored", "n_fallback", "fallback_right"),
                ("log_loss_sum", "brier_sum"),
            ),
            RollupTable(  # predicted: 1 where this class is the predicted one
                "rollup_class_score",
                {
                    "class": "SMALLINT NOT NULL",
                    "bin": "SMALLINT NOT NULL",
                    "predicted": "TINYINT NOT NULL",
                },
                ("n", "n_labelled", "n_positive"),
                ("labelled_score_sum", "labelled_score_sq", "positive_score_sum"),
            ),
        ),
        values=_multiclass_values,
        cells="rollups/multiclass_cells.sql",
        others=_class_scores,
    ),
    Task.REGRESSION: Outcome(
        tables=(
            RollupTable(
                "rollup_regression",
                _SEGMENT,
                ("n", "n_labelled", "n_ape", "n_fallback"),
                (
                    *("prediction_sum", "y_sum", "y_sq", "e_sum", "e_abs", "e_sq", "e_quad"),
                    *("ape_sum", "ape_sq"),
                    *("fallback_e_sum", "fallback_e_abs", "fallback_e_sq"),
                ),
            ),
            RollupTable("rollup_error", {"bin": "SMALLINT NOT NULL"}, ("n",)),
        ),
        values=_regression_values,
        cells="rollups/regression_cells.sql",
        others=lambda _: (("rollup_error", read_sql("rollups/error_histogram.sql")),),
    ),
}
