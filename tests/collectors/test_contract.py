"""What cannot be a deployment is refused with a sentence before anything is read."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from collectors.contract import Deployment

PLAIN = {"name": "demo", "task": "binary", "predictions": "log.csv", "score": "score"}


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    "change",
    [
        lambda x: {"threshold": x},
        lambda x: {"threshold": {"v1": x}},
        lambda x: {"segments": [{"name": "size", "edges": [1.0, x]}]},
        lambda x: {"segments": [{"name": "size", "edges": [x]}]},
        lambda x: {"fallback": {"score": "old", "threshold": x}},
    ],
    ids=["threshold", "threshold of a version", "edges", "edge", "fallback"],
)
def test_numbers_must_be_finite(change: Any, number: float) -> None:
    with pytest.raises(ValidationError, match="should be a finite number"):
        Deployment.model_validate(PLAIN | change(number))


def test_what_is_finite_is_taken() -> None:
    change: dict[str, Any] = {
        "threshold": {"": 0.25, "v2": 1},
        "segments": [{"name": "size", "edges": [-1e300, 0, 1e300]}],
    }
    found = Deployment.model_validate(PLAIN | change)
    assert (found.threshold_of("v1"), found.threshold_of("v2")) == (0.25, 1)
