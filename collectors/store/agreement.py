"""Labels of several people about one prediction: each one's latest word, as SQL."""

from __future__ import annotations

from collectors.contract import Task
from collectors.store.labels import latest, latest_of_each
from collectors.store.layout import Layout, Role
from collectors.store.names import text

__all__ = ["AGREEMENT", "LONGEST_LABELLER", "agreement_parts"]

AGREEMENT = frozenset({"agreement", "agreement_numbers", "disagreements"})
"""Queries that take these parts."""

LONGEST_LABELLER = 200
"""Characters of a labeller's name that are told apart."""


def agreement_parts(layout: Layout) -> dict[str, str]:
    """Parts of `queries/agreement*.sql` and `queries/disagreements.sql`.

    given: (id, ts, labeller, value, received), one row per prediction and labeller who is named.
    predictions: (id, ts, version, score, predicted, distance). distance: how far the model was
    from another answer: of its score from the threshold; between its two most likely classes;
    NULL where neither is logged. order: which disagreement is worth settling first.
    """
    within = "ts >= $start AND ts < $end AND ts <= $as_of"
    named = (
        f"SELECT * REPLACE (left(labeller, {LONGEST_LABELLER}) AS labeller) "
        f"FROM {layout.table('labels')} "
        f"WHERE {within} AND received <= $as_of AND labeller IS NOT NULL AND labeller <> ''"
    )
    answered = f"FROM {layout.table('predictions')} WHERE {within}"
    version = "CAST($version AS VARCHAR)"
    numbers = layout.task is Task.REGRESSION
    return {
        "given": (
            f"SELECT * FROM ({latest_of_each(f'({named}) AS named')}) AS each_one "
            f"WHERE {version} IS NULL "
            f"OR id IN (SELECT id {answered} AND version = {version})"
        ),
        "predictions": (
            f"SELECT id, ts, version, {'score' if layout.has_score else 'CAST(NULL AS DOUBLE)'} "
            f"AS score, predicted, {_distance(layout)} AS distance {answered}"
        ),
        "spread": "max(value) - min(value)" if numbers else "CAST(NULL AS DOUBLE)",
        "order": "spread DESC" if numbers else "distance NULLS LAST",
        "counting": latest(layout.table("labels"), where=f"{within} AND received <= $as_of"),
    }


def _distance(layout: Layout) -> str:
    """How near another answer was, as SQL over a prediction."""
    if layout.has_score:
        return f"abs(score - ({_threshold(layout)}))"
    classes = [c.name for c in layout.columns if c.role is Role.CLASS_SCORE]
    if layout.task is Task.MULTICLASS and len(classes) > 1:
        ordered = f"list_sort([{', '.join(classes)}], 'DESC', 'NULLS LAST')"
        return f"{ordered}[1] - {ordered}[2]"
    return "CAST(NULL AS DOUBLE)"


def _threshold(layout: Layout) -> str:
    d = layout.deployment
    usual = repr(float(d.threshold_of("")))
    if isinstance(d.threshold, dict):
        known = [(v, t) for v, t in d.threshold.items() if v]
        cases = " ".join(f"WHEN {text(v)} THEN {float(t)!r}" for v, t in known)
        if known:
            usual = f"CASE version {cases} ELSE {usual} END"
    return f"coalesce(CAST($threshold AS DOUBLE), {usual})"
