"""The sample's models, from their shipped numbers: what is served is what was logged.

Plain Python: a model server starts with nothing but the standard library, and one answer of the
250 trees takes a tenth of a millisecond.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["SERVING", "Boosted", "Linear", "Model", "Rates", "Row", "load_model"]

SERVING = "serving"
"""The folder of a sample with its models."""

Row = Mapping[str, Any]
"""One request: feature -> text, number, or None where it is missing."""


class Model(Protocol):
    """What answers a request."""

    @property
    def threshold(self) -> float:
        """From which score on it predicts late."""

    def score(self, row: Row) -> float:
        """The chance of being late, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Linear:
    """v1: a logistic regression over one-hot categories and scaled numbers."""

    threshold: float
    intercept: float
    categories: Mapping[str, tuple[Mapping[str, float], float]]
    """Feature -> weight by value, and that of any other value."""
    numbers: Mapping[str, tuple[float, float, float, float]]
    """Feature -> fill, mean, scale, weight."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Linear:
        """From its file."""
        return cls(
            document["threshold"],
            document["intercept"],
            {k: (v["weights"], v["other"]) for k, v in document["categories"].items()},
            {
                k: (v["fill"], v["mean"], v["scale"], v["weight"])
                for k, v in document["numbers"].items()
            },
        )

    def score(self, row: Row) -> float:
        """The chance of being late."""
        total = self.intercept
        for name, (weights, other) in self.categories.items():
            total += weights.get(row.get(name) or "", other)
        for name, (fill, mean, scale, weight) in self.numbers.items():
            value = row.get(name)
            total += weight * ((fill if value is None else value) - mean) / scale
        return _logistic(total)


@dataclass(frozen=True, slots=True)
class Boosted:
    """v2: a sum of trees over coded categories and plain numbers."""

    threshold: float
    baseline: float
    features: tuple[str, ...]
    codes: Mapping[str, Mapping[str, int]]
    trees: tuple[Any, ...]
    """A leaf is a number, a node [feature, threshold, missing goes left, left, right]."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Boosted:
        """From its file."""
        return cls(
            document["threshold"],
            document["baseline"],
            tuple(document["features"]),
            {k: {v: n for n, v in enumerate(known)} for k, known in document["categories"].items()},
            tuple(document["trees"]),
        )

    def score(self, row: Row) -> float:
        """The chance of being late."""
        values = [
            self.codes[name].get(row.get(name) or "", -1) if name in self.codes else row.get(name)
            for name in self.features
        ]
        total = self.baseline
        for tree in self.trees:
            node = tree
            while type(node) is list:
                value = values[node[0]]
                left = node[2] if value is None else value <= node[1]
                node = node[3] if left else node[4]
            total += node
        return _logistic(total)


@dataclass(frozen=True, slots=True)
class Rates:
    """The fallback: a rate by the values of some features."""

    threshold: float
    by: tuple[str, ...]
    rates: Mapping[str, float]
    other: float

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Rates:
        """From its file."""
        return cls(
            document["threshold"], tuple(document["by"]), document["rates"], document["other"]
        )

    def score(self, row: Row) -> float:
        """The rate of such flights in January."""
        return self.rates.get(" ".join(str(row.get(name)) for name in self.by), self.other)


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Model]] = {
    "linear": Linear.of,
    "boosted": Boosted.of,
    "rates": Rates.of,
}


def load_model(sample: Path, name: str) -> Model:
    """A model of the sample: v1, v2 or fallback. Raises OSError or ValueError."""
    document = json.loads((sample / SERVING / f"{name}.json").read_text(encoding="utf-8"))
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"{name}.json in {sample / SERVING} holds no model that can be served")
    return _KINDS[kind](document)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))
