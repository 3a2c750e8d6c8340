"""Findings on nothing, through the console's own analysis: docs/statistics.md has all the rates.

A rate here is one of few draws, so its bound is three standard errors above what is due.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.alarms import (
    FALSE_ALARMS,
    Nothing,
    explained,
    found_onset,
    judged,
    lasting,
    moved,
    sliced,
    slow_alarm,
)
from benchmarks.alarms_data import drawn
from console.analysis.distances import DriftState

DUE = 0.05


def most(runs: int, due: float = DUE) -> float:
    return due + 3 * float(np.sqrt(due * (1 - due) / runs))


@pytest.mark.slow
@pytest.mark.parametrize("nothing", FALSE_ALARMS, ids=lambda nothing: nothing.names[0])
def test_a_finding_seldom_comes_on_nothing(nothing: Nothing) -> None:
    runs = 80
    for n in nothing.sizes[1:]:
        for name, rate in zip(nothing.names, nothing.rates(n, runs), strict=True):
            assert rate <= most(runs), f"{name} at {n}"


@pytest.mark.slow
def test_a_series_of_nothing_seldom_changes() -> None:
    rng = np.random.default_rng(11)
    for days in (28, 60):
        assert sum(found_onset(rng.normal(size=days)).changed for _ in range(200)) <= 200 * most(
            200
        )
        drifting = [lasting(rng, days) for _ in range(200)]
        assert sum(found_onset(values).changed for values in drifting) <= 200 * most(200, 0.1)
        assert sum(slow_alarm(values) for values in drifting) <= 200 * most(200, 0.1)


def test_a_collapse_is_found_by_each() -> None:
    """The same draws with something in them: else silence would pass for care."""
    rng = np.random.default_rng(12)
    now, before = drawn(rng, 5_000, failing=(0, 0, 0.0)), drawn(rng, 5_000)
    assert [w.values for w in sliced(now).worst] == [(("a", "v0"), ("b", "v0"))]
    first = explained(now, before).slices[0]
    assert set(first.values) <= {("a", "v0"), ("b", "v0")}  # the cross, or one of its two values
    assert judged(drawn(rng, 1_000, recall=0.3), before)
    drifted = {r.feature for r in moved(rng, 1_000, 1.0).rows if r.state is DriftState.DRIFTED}
    assert drifted == {"x0"}
