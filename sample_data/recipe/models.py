"""The two models: fitted, scored out of fold, given a threshold.

Every call is deterministic on one machine; between machines the linear algebra
differs in the last digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from recipe.features import CATEGORIES, FEATURES, NUMBERS
from recipe.training import Floats, day_folds, labelled, threshold_at_base_rate

ZERO_FILLED = ("wind_gust", "cong_mean")  # null means "none", not "unknown"
BOOSTING: dict[str, Any] = {
    "learning_rate": 0.06,
    "max_iter": 250,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 100,
    "l2_regularization": 1.0,
    "early_stopping": False,
    "random_state": 13,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a version is made: its training days (local, inclusive) and its pipelines."""

    version: str
    first: date
    last: date
    classifier: Callable[[], Pipeline]
    regressor: Callable[[], Pipeline]


@dataclass(frozen=True, slots=True)
class Trained:
    """A version ready to score, and what its training rows scored out of fold."""

    recipe: Recipe
    rows: pl.DataFrame  # training rows with late_score, delay_predicted, late_predicted
    threshold: float  # late_predicted = late_score >= threshold
    auc: float  # out of fold
    classifier: Pipeline
    regressor: Pipeline


def linear(estimator: Any) -> Pipeline:
    """v1's pipeline: one-hot categories, filled and scaled numbers, a linear model."""
    median = [name for name in NUMBERS if name not in ZERO_FILLED]
    zero = SimpleImputer(strategy="constant", fill_value=0.0)
    onehot = OneHotEncoder(
        min_frequency=50,
        handle_unknown="infrequent_if_exist",
        sparse_output=False,  # so that Ridge solves exactly, not by a tolerant iteration
    )
    columns = [
        ("categories", onehot, list(CATEGORIES)),
        ("zero", make_pipeline(zero, StandardScaler()), list(ZERO_FILLED)),
        ("median", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), median),
    ]
    return make_pipeline(ColumnTransformer(columns), estimator)


def boosted(estimator: Any) -> Pipeline:
    """v2's pipeline: categories as ordered codes, numbers as they are, nulls as NaN."""
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer(
        [("categories", ordinal, list(CATEGORIES)), ("numbers", "passthrough", list(NUMBERS))]
    )
    return make_pipeline(columns, estimator)


RECIPES = (
    Recipe(
        "v1",
        date(2013, 1, 1),
        date(2013, 1, 31),
        lambda: linear(LogisticRegression(C=0.3, max_iter=2000)),
        lambda: linear(Ridge(alpha=10)),
    ),
    Recipe(
        "v2",
        date(2013, 1, 1),
        date(2013, 4, 30),
        lambda: boosted(HistGradientBoostingClassifier(**BOOSTING)),
        lambda: boosted(HistGradientBoostingRegressor(**BOOSTING)),
    ),
)


def train(recipe: Recipe, flights: pl.DataFrame) -> Trained:
    """Fit `recipe` on its labelled days, with out-of-fold scores and the threshold."""
    rows = labelled(flights, recipe.first, recipe.last)
    late = rows["late"].to_numpy()
    delay = rows["delay_minutes"].to_numpy().astype(np.float64)
    score = _out_of_fold(recipe.classifier(), rows, late, _probability)
    predicted = _out_of_fold(recipe.regressor(), rows, delay, _value)
    threshold = threshold_at_base_rate(score, late)
    frame = matrix(rows)
    return Trained(
        recipe,
        rows.with_columns(
            pl.Series("late_score", score),
            pl.Series("late_predicted", score >= threshold),
            pl.Series("delay_predicted", predicted),
        ),
        threshold,
        float(roc_auc_score(late, score)),
        recipe.classifier().fit(frame, late),
        recipe.regressor().fit(frame, delay),
    )


def score(trained: Trained, flights: pl.DataFrame) -> pl.DataFrame:
    """Add late_score, late_predicted and delay_predicted of `trained` to `flights`."""
    frame = matrix(flights)
    scores = _probability(trained.classifier, frame)
    return flights.with_columns(
        pl.Series("late_score", scores),
        pl.Series("late_predicted", scores >= trained.threshold),
        pl.Series("delay_predicted", _value(trained.regressor, frame)),
    )


def matrix(flights: pl.DataFrame) -> pl.DataFrame:
    """Return the FEATURES as the pipelines take them: numbers as float64, null as NaN."""
    numbers = [pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in NUMBERS]
    return flights.select(*CATEGORIES, *numbers).select(FEATURES)


def _out_of_fold(
    pipeline: Pipeline,
    rows: pl.DataFrame,
    target: npt.NDArray[Any],
    predict: Callable[[Pipeline, pl.DataFrame], Floats],
) -> Floats:
    """Each row predicted by the pipeline fitted on the other folds' days."""
    frame = matrix(rows)
    out = np.empty(rows.height)
    for fit, held in day_folds(rows):
        fitted = clone(pipeline).fit(frame[fit], target[fit])
        out[held] = predict(fitted, frame[held])
    return out


def _probability(pipeline: Pipeline, frame: pl.DataFrame) -> Floats:
    return np.asarray(pipeline.predict_proba(frame)[:, 1], dtype=np.float64)


def _value(pipeline: Pipeline, frame: pl.DataFrame) -> Floats:
    return np.asarray(pipeline.predict(frame), dtype=np.float64)
