"""The fitted classifiers as plain JSON, so that they can be served without scikit-learn.

Whoever scores with them needs a sum, a comparison and an exponential; `console/demo/scoring.py`
does. What they answer is held against the shipped scores by a test.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from recipe.fallback import Fallback
from recipe.features import CATEGORIES, FEATURES, NUMBERS
from recipe.models import Trained

Document = dict[str, Any]


def documents(trained: list[Trained], rates: Fallback) -> dict[str, str]:
    """File name below `serving/` -> its text, for each version and for the fallback."""
    kinds = {"v1": linear, "v2": boosted}
    found = {
        model.recipe.version: kinds[model.recipe.version](model.classifier)
        | {"threshold": model.threshold}
        for model in trained
    }
    found["fallback"] = rule(rates)
    return {
        f"{name}.json": json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"
        for name, document in found.items()
    }


def linear(pipeline: Any) -> Document:
    """A logistic regression: weight by category, and fill, mean, scale and weight by number.

    other: the weight of a category that is rare or unknown; none where there is no rare one.
    """
    columns, model = pipeline[0], pipeline[1]
    weights = iter(float(w) for w in model.coef_[0])
    encoder = columns.named_transformers_["categories"]
    categories: dict[str, Document] = {}
    rare_ones = encoder.infrequent_categories_
    for name, known, rare in zip(CATEGORIES, encoder.categories_, rare_ones, strict=True):
        gone = set() if rare is None else set(rare)
        own = {str(value): next(weights) for value in known if value not in gone}
        categories[name] = {"weights": own, "other": next(weights) if gone else 0.0}
    numbers: dict[str, Document] = {}
    for part, _, names in columns.transformers_[1:]:
        imputer, scaler = columns.named_transformers_[part]
        fitted = (imputer.statistics_, scaler.mean_, scaler.scale_)
        for name, fill, mean, scale in zip(names, *fitted, strict=True):
            numbers[name] = {
                "fill": float(fill),
                "mean": float(mean),
                "scale": float(scale),
                "weight": next(weights),
            }
    if next(weights, None) is not None:
        raise ValueError("the pipeline has more weights than columns")
    return {
        "kind": "linear",
        "intercept": float(model.intercept_[0]),
        "categories": categories,
        "numbers": numbers,
    }


def boosted(pipeline: Any) -> Document:
    """A sum of trees. A leaf is its value; a node is
    [place of its feature, threshold, whether a missing value goes left, left, right].

    categories: the values that are known, whose places are their codes; unknown is -1.
    """
    columns, model = pipeline[0], pipeline[1]
    encoder = columns.named_transformers_["categories"]
    if tuple(FEATURES) != (*CATEGORIES, *NUMBERS):
        raise ValueError("the trees count features in this order")
    return {
        "kind": "boosted",
        "baseline": float(np.ravel(model._baseline_prediction)[0]),
        "features": list(FEATURES),
        "categories": {
            name: [str(value) for value in known]
            for name, known in zip(CATEGORIES, encoder.categories_, strict=True)
        },
        "trees": [_tree(step[0].nodes, 0) for step in model._predictors],
    }


def rule(rates: Fallback) -> Document:
    """January's late rate by carrier and origin, and of all others."""
    rows = rates.table.sort("carrier", "origin")
    return {
        "kind": "rates",
        "by": ["carrier", "origin"],
        "rates": {
            f"{row['carrier']} {row['origin']}": row["fallback_score"]
            for row in rows.iter_rows(named=True)
        },
        "other": rates.score,
        "threshold": rates.threshold,
    }


def _tree(nodes: Any, place: int) -> Any:
    node = nodes[place]
    if node["is_leaf"]:
        return float(node["value"])
    if node["is_categorical"]:
        raise ValueError("a split over sets of categories is not written here")
    return [
        int(node["feature_idx"]),
        float(node["num_threshold"]),
        int(node["missing_go_to_left"]),
        _tree(nodes, int(node["left"])),
        _tree(nodes, int(node["right"])),
    ]
