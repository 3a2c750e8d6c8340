"""What a window is too small to show: the stated change is found 4 times in 5."""

from __future__ import annotations

import numpy as np
import pytest

from console.analysis.binary import Confusion, binary_metrics
from console.analysis.detectable import detectable, with_detectable
from console.analysis.estimate import Estimate, IntervalKind, State
from console.analysis.figures import Figures, Group
from console.analysis.intervals import proportion
from console.views.words import detectable_words


def test_a_change_of_that_size_is_found_4_times_in_5():
    rng = np.random.default_rng(5)
    n, m, p = 400, 5_000, 0.4
    size = detectable("accuracy", proportion(160, n), proportion(2_000, m)) or 0.0
    now = rng.binomial(n, p - size, 20_000) / n
    was = rng.binomial(m, p, 20_000) / m
    error = np.sqrt(now * (1 - now) / n + was * (1 - was) / m)
    found = (np.abs(now - was) > 1.96 * error).mean()
    assert found == pytest.approx(0.8, abs=0.03)


def test_more_rows_show_smaller_changes_and_watching_costs():
    few, many = proportion(40, 100), proportion(4_000, 10_000)
    other = proportion(40_000, 100_000)
    assert (detectable("recall", few, other) or 0) > 5 * (detectable("recall", many, other) or 1)
    watched = Estimate(many.value, 0.38, 0.42, many.n, interval=IntervalKind.PEEK_SAFE)
    assert (detectable("recall", watched, other) or 0) > (detectable("recall", many, other) or 1)


def test_none_of_twenty_still_has_an_error():
    assert (detectable("fpr", proportion(0, 20), proportion(0, 1_000)) or 0) > 0.05


def test_without_an_interval_there_is_nothing_to_say():
    bare = Estimate(0.5, None, None, 10)
    assert detectable("f1", bare, proportion(1, 2)) is None
    assert detectable("f1", Estimate(None, None, None, 0, State.NO_LABELS), bare) is None
    constant = Estimate(3.0, 3.0, 3.0, 50)
    assert detectable("mae", constant, constant) is None


def test_the_sentence():
    group = Group(None, "v1", 0, "", "")
    now = Confusion(20, 30, 30, 60)
    was = Confusion(2_000, 3_000, 3_000, 6_000)
    f = Figures(group, 140, 140, binary_metrics(now), now)
    other = Figures(group, 14_000, 14_000, binary_metrics(was), was)
    made = with_detectable(f, other).metrics
    assert detectable_words("accuracy", made["accuracy"]) == (
        "with n = 140 a drop of less than 11.8 points would not be seen"
    )
    assert " rise " in detectable_words("fpr", made["fpr"])
    assert detectable_words("roc_auc", made["roc_auc"]) == ""
    assert with_detectable(f, None) is f


def test_what_cannot_fall_that_far_is_said_so():
    e = Estimate(0.04, 0.01, 0.13, 51, detectable=0.092)
    assert detectable_words("recall", e) == "with n = 51 not even a drop to 0 would be seen"
    e = Estimate(0.96, 0.87, 0.99, 51, detectable=0.092)
    assert detectable_words("fnr", e) == "with n = 51 not even a rise to 1 would be seen"
