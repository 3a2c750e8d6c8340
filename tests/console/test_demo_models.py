"""The demo serves the sample's models: what it answers is what was logged."""

from __future__ import annotations

import polars as pl
import pytest
from sample_rows import SAMPLE, predictions

from console.demo.scoring import load_model

EVERY = 7
"""One row in so many: 15,000 of 103,388, from every month, in three seconds."""


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_served_model_answers_what_scikit_learn_did(version: str) -> None:
    model = load_model(SAMPLE, version)
    rows = predictions().filter(pl.col("version") == version)[::EVERY].to_dicts()
    assert len(rows) > 1000
    for row in rows:
        assert model.score(row) == pytest.approx(row["late_score"], abs=1e-9), row["request_id"]
        assert (model.score(row) >= model.threshold) == row["late_predicted"]


def test_rows_with_missing_and_rare_values_are_among_them() -> None:
    """What needs care: no weather, no flights before, what January hardly had."""
    rows = predictions()
    for version in ("v1", "v2"):
        model = load_model(SAMPLE, version)
        for odd in (
            pl.col("temp").is_null(),
            pl.col("cong_mean").is_null(),
            pl.col("carrier").is_in(["HA", "OO", "YV"]),
            pl.col("dest").is_in(["ABQ", "BGR", "CHO", "ANC"]),
        ):
            few = rows.filter(odd, pl.col("version") == version).head(20).to_dicts()
            for row in few:
                assert model.score(row) == pytest.approx(row["late_score"], abs=1e-9)
    assert rows.filter(pl.col("temp").is_null()).height > 100


def test_the_fallback_answers_what_was_logged() -> None:
    model = load_model(SAMPLE, "fallback")
    for row in predictions()[::EVERY].to_dicts():
        assert model.score(row) == pytest.approx(row["fallback_score"], abs=1e-12)


def test_a_request_of_nothing_is_scored_too() -> None:
    for name in ("v1", "v2", "fallback"):
        assert 0 < load_model(SAMPLE, name).score({}) < 1
