"""Weights from percent: whole, over all arms, adding up, and refused where they cannot be."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.control.split import Split, split_of_percent

ARMS = ("v1", "v2", "heuristic")
weights = st.lists(st.integers(0, 2**40), min_size=1, max_size=6)


@given(
    st.dictionaries(st.sampled_from(ARMS), st.integers(0, 100), min_size=1),
    st.lists(st.integers(0, 1000), min_size=3, max_size=3),
    st.sampled_from([100, 1000, 10_000]),
)
def test_the_named_arms_get_what_is_said_and_the_rest_adds_up(said, base, total):
    percent = {arm: Fraction(share) for arm, share in said.items()}
    before = Split(tuple(zip(ARMS, base, strict=True)))
    over = sum(said.values()) > 100 or (sum(said.values()) < 100 and len(said) == len(ARMS))
    if over:
        with pytest.raises(ValueError, match="add up to"):
            split_of_percent(percent, ARMS, before, total)
        return
    after = split_of_percent(percent, ARMS, before, total)
    assert after.arms == ARMS
    assert after.total == total
    assert all(weight >= 0 for _, weight in after.weights)
    assert all(after.weight(arm) * 100 == share * total for arm, share in said.items())


def test_what_is_left_over_is_divided_as_it_was():
    before = Split.of({"v1": 60, "v2": 10, "heuristic": 30})
    after = split_of_percent({"v2": Fraction(40)}, ARMS, before, 100)
    assert dict(after.weights) == {"v1": 40, "v2": 40, "heuristic": 20}


def test_where_nobody_has_traffic_the_first_of_the_others_gets_it():
    after = split_of_percent({"v2": Fraction(25)}, ARMS, Split(()), 100)
    assert dict(after.weights) == {"v1": 75, "v2": 25, "heuristic": 0}


@pytest.mark.parametrize(
    ("percent", "total", "said"),
    [
        ({"v9": Fraction(1)}, 100, "there is no arm 'v9'"),
        ({"v1": Fraction(101)}, 100, "cannot get 101%"),
        ({"v1": Fraction(1, 2)}, 100, "the smallest step is 1%"),
        ({"v1": Fraction(1)}, 256, "the smallest step is 0.3906%"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(percent, total, said):
    with pytest.raises(ValueError, match=said):
        split_of_percent(percent, ARMS, Split(()), total)


@given(weights, st.integers(1, 1000))
def test_shares_do_not_depend_on_the_unit(values, factor):
    arms = [f"a{n}" for n in range(len(values))]
    one = Split(tuple(zip(arms, values, strict=True)))
    other = Split(tuple((arm, w * factor) for arm, w in one.weights))
    assert one.same_shares(other)
    if sum(values):  # of nothing at all, see below
        moved = Split(((arms[0], values[0] + 1), *one.weights[1:]))
        assert moved.same_shares(one) == (moved.total * values[0] == one.total * (values[0] + 1))


def test_nothing_at_all_is_not_the_same_as_a_split():
    assert not Split.of({"v1": 0, "v2": 0}).same_shares(Split.of({"v1": 1, "v2": 0}))
    assert Split.of({"v1": 0, "v2": 0}).share("v1") == 0.0


def test_scaled_only_where_whole_numbers_say_the_same():
    assert Split.of({"v1": 3, "v2": 1}).scaled(100) == Split.of({"v1": 75, "v2": 25})
    assert Split.of({"v1": 2, "v2": 1}).scaled(100) is None
    assert Split.of({"v1": 0, "v2": 0}).scaled(100) is None
