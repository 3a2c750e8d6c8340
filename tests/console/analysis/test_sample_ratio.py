"""The split against its plan: the frozen value, many looks, and plans that make no sense."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from console.analysis.sample_ratio import log_bayes_factor, sample_ratio


def test_it_has_the_frozen_value():
    found = sample_ratio({"a": 5200, "b": 4800}, {"a": 1, "b": 1})
    assert found.log_bayes_factor == pytest.approx(3.6219, abs=5e-5)  # > ln 20 = 2.9957
    assert found.mismatch
    assert not sample_ratio({"a": 5100, "b": 4900}, {"a": 1, "b": 1}).mismatch


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=6), st.integers(0, 5))
def test_three_and_more_versions_are_a_dirichlet_mixture(counts, seed):
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(counts)))
    n = np.array(counts, dtype=float)
    prior = special.gammaln(len(n)) - special.gammaln(len(n) + n.sum())
    record = prior + special.gammaln(n + 1).sum() - special.xlogy(n, shares).sum()
    found = log_bayes_factor(tuple(counts), tuple(shares))
    assert found == pytest.approx(record, rel=1e-9, abs=1e-6)


def test_looking_at_each_row_cries_wolf_5_times_in_100_at_most():
    rng = np.random.default_rng(4)
    runs, looks = 400, 10_000
    n = np.arange(1, looks + 1)
    cried = 0
    for _ in range(runs):
        k = np.cumsum(rng.random(looks) < 0.1)
        log_bf = special.betaln(1 + k, 1 + n - k) - special.xlogy(k, 0.1) - (n - k) * np.log(0.9)
        cried += bool((log_bf > math.log(20)).any())
    assert cried / runs <= 0.05


def test_without_a_plan_nothing_is_made_up():
    found = sample_ratio({"a": 10, "b": 90}, {})
    assert found.log_bayes_factor is None
    assert not found.mismatch
    assert sample_ratio({}, {"a": 1, "b": 1}).log_bayes_factor is None
    assert sample_ratio({"a": 5}, {"a": 1}).log_bayes_factor is None


def test_a_planned_version_that_gets_nothing_is_a_mismatch_soon():
    assert not sample_ratio({"a": 3}, {"a": 50, "b": 50}).mismatch
    assert sample_ratio({"a": 10}, {"a": 50, "b": 50}).mismatch


def test_a_version_that_was_to_get_nothing():
    found = sample_ratio({"a": 10, "b": 1, "c": 7}, {"a": 1, "b": 0})
    assert found.log_bayes_factor == math.inf
    assert found.mismatch
    assert found.others == 7
