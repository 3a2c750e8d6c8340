"""Adjusted p-values are scipy's, and a missing one does not count."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from console.analysis.multiplicity import benjamini_hochberg

P = st.floats(0, 1)


@settings(deadline=None)
@given(st.lists(P, min_size=1, max_size=40))
def test_it_is_scipys_figure(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(list(false_discovery_control(p)))


@settings(deadline=None)
@given(st.lists(P, max_size=20))
def test_what_is_no_number_stays_out_of_the_count(p: list[float]) -> None:
    with_gaps = benjamini_hochberg([math.nan, *p, math.nan])
    assert with_gaps == (1.0, *benjamini_hochberg(p), 1.0)


def test_of_twenty_true_nulls_a_single_small_one_is_no_discovery() -> None:
    adjusted = benjamini_hochberg([0.03, *(0.2 + 0.04 * i for i in range(19))])
    assert adjusted[0] == pytest.approx(0.6)


def test_nothing_asked_nothing_found() -> None:
    assert benjamini_hochberg([]) == ()
