"""The gap of a subgroup to the whole keeps its 95 % when the subgroup is most of the whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from collectors.contract import Deployment
from console.analysis.ask import Ask, Step
from console.analysis.maturity import Maturity
from console.analysis.subgroups import subgroups

START = datetime(2024, 1, 1, tzinfo=UTC)
DEPLOYMENT = Deployment.model_validate(
    {
        "name": "d", "task": "regression", "prediction": "p", "predictions": {"path": "p"},
        "segments": ["kind"],
    }
)  # fmt: skip
ASK = Ask(DEPLOYMENT, START, START + timedelta(days=1), START + timedelta(days=2), Step.ALL)
UNKNOWN = Maturity(None, (), (), 0)
RUNS = 200


def sums(value: str, error: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, object]:
    n = len(error)
    return {
        "version": "v", "segment": 1 if value else 0, "value": value, "value2": "", "n": n,
        "n_labelled": n, "y_sum": 0.0, "y_sq": float(n), "e_sum": float(error.sum()),
        "e_abs": float(np.abs(error).sum()), "e_sq": float((error**2).sum()),
        "e_quad": float((error**4).sum()), "ape_sum": 0.0, "ape_sq": 0.0, "n_ape": 0,
        "n_fallback": 0, "fallback_e_sum": 0.0, "fallback_e_abs": 0.0, "fallback_e_sq": 0.0,
    }  # fmt: skip


def coverage(n: int, most: int) -> dict[str, float]:
    """How often the interval of each part's gap holds 0, when both parts are alike."""
    random = np.random.default_rng(20240101)
    held = {"most": 0, "rest": 0}
    for _ in range(RUNS):
        error = random.standard_normal(n)
        parts = pl.DataFrame([sums("most", error[:most]), sums("rest", error[most:])])
        whole = pl.DataFrame([sums("", error)])
        for row in subgroups(ASK, parts, whole, UNKNOWN).rows:
            gap = row.gaps["mae"]
            assert gap.low is not None
            assert gap.high is not None
            held[row.value] += gap.low <= 0 <= gap.high
    return {name: k / RUNS for name, k in held.items()}


def test_the_gap_of_a_small_part_holds_95_per_cent() -> None:
    assert coverage(1000, 900)["rest"] >= 0.9


def test_the_gap_of_a_part_that_is_nearly_all_holds_95_per_cent() -> None:
    assert coverage(1000, 900)["most"] >= 0.9
