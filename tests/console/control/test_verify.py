"""Measured proof: what requests say of a split, and how many it takes."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.control.plane import ArmCount, Counts
from console.control.split import Split
from console.control.verify import Measured, Proof, between, needed, verify

AT = datetime(2026, 11, 21, tzinfo=UTC)


def counts(at: int, *rows: tuple[str, str, int], epoch: str = "", missing=()) -> Counts:
    return Counts(
        AT + timedelta(seconds=at),
        tuple(ArmCount(replica, arm, n, None, epoch) for replica, arm, n in rows),
        tuple(missing),
    )


def measured(**arms: int) -> Measured:
    rows = tuple(ArmCount("one", arm, n) for arm, n in arms.items())
    return Measured(AT, AT + timedelta(seconds=1), rows)


def split(**arms: int) -> Split:
    return Split.of(arms)


def test_one_percent_that_is_gone_takes_459_requests():
    # the first whole number above ln 0.01 / ln 0.99 = 458.2
    assert needed(split(v1=99, v2=1), split(v1=100, v2=0)) == 459
    nothing = verify(split(v1=99, v2=1), split(v1=100, v2=0), measured(v1=458, v2=0))
    assert (nothing.proof, nothing.needed) == (Proof.NOT_YET, 459)
    gone = verify(split(v1=99, v2=1), split(v1=100, v2=0), measured(v1=459, v2=0))
    assert gone.proof is Proof.PROVEN


def test_half_that_is_gone_takes_seven():
    assert needed(split(v1=50, v2=50), split(v1=100, v2=0)) == math.ceil(
        math.log(0.01) / math.log(0.5)
    )


def test_one_request_to_an_arm_without_weight_contradicts():
    v = verify(split(v1=50, v2=50), split(v1=100, v2=0), measured(v1=10_000, v2=1))
    assert v.proof is Proof.CONTRADICTED
    assert "v2 still got 1" in v.text


def test_the_old_split_contradicts_the_new_one():
    v = verify(split(v1=75, v2=25), split(v1=25, v2=75), measured(v1=150, v2=50))
    assert v.proof is Proof.CONTRADICTED


def test_a_replica_without_counts_proves_nothing():
    first = counts(0, ("a", "v1", 0), missing=["b"])
    last = counts(9, ("a", "v1", 999), missing=["b"])
    assert verify(split(v1=1, v2=1), split(v1=1, v2=0), between(first, last)).proof is (
        Proof.UNMEASURED
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (split(v1=75, v2=25), split(v1=50, v2=50)),
        (split(v1=95, v2=5), split(v1=75, v2=25)),
        (split(v1=100, v2=0), split(v1=75, v2=25)),
        (split(v1=50, v2=50), split(v1=100, v2=0)),
    ],
)
def test_looking_after_every_request_rarely_proves_what_is_not_so(before, after):
    """60 times 200 requests of the old split: the wrong proof comes in 1 % at most."""
    random = np.random.default_rng(7)
    wrong = 0
    for _ in range(60):
        hits = np.cumsum(random.random(200) < before.share("v2"))
        for n in range(1, 201):
            v = verify(before, after, measured(v1=int(n - hits[n - 1]), v2=int(hits[n - 1])))
            if v.proof is Proof.PROVEN:
                wrong += 1
                break
            if v.proof is Proof.CONTRADICTED and after.weight("v2") == 0:
                break
    # more than 4 of 60 at 1 % each has a chance of 1 in 3,000
    assert wrong <= 4


def test_the_new_split_is_proven_about_when_it_was_said():
    random = np.random.default_rng(11)
    before, after = split(v1=95, v2=5), split(v1=75, v2=25)
    want = needed(before, after)
    proven = 0
    for _ in range(200):
        hits = int((random.random(4 * want) < 0.25).sum())
        v = verify(before, after, measured(v1=4 * want - hits, v2=hits))
        proven += v.proof is Proof.PROVEN
    assert proven >= 180


def test_a_restart_in_between_counts_from_the_restart():
    first = counts(0, ("a", "v1", 1_000), ("a", "v2", 10), epoch="1")
    last = counts(9, ("a", "v1", 40), ("a", "v2", 2), epoch="2")
    m = between(first, last)
    assert (m.of("v1"), m.of("v2"), m.restarted) == (40, 2, ("a",))


def test_counters_that_fell_without_saying_so_are_a_restart_too():
    m = between(counts(0, ("a", "v1", 1_000)), counts(9, ("a", "v1", 40)))
    assert (m.of("v1"), m.restarted) == (40, ("a",))


def test_a_replica_that_was_not_there_before_does_not_bring_all_it_ever_served():
    m = between(counts(0, ("a", "v1", 5)), counts(9, ("a", "v1", 7), ("b", "v1", 1_000_000)))
    assert m.of("v1") == 2


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 10_000), min_size=2, max_size=4),
    st.lists(st.integers(0, 100), min_size=2, max_size=4),
    st.lists(st.integers(0, 100), min_size=2, max_size=4),
)
def test_any_counts_and_splits_give_a_verdict(hits, old, new):
    size = min(len(hits), len(old), len(new))
    arms = [f"v{n}" for n in range(size)]
    before, after = (Split(tuple(zip(arms, w[:size], strict=True))) for w in (old, new))
    v = verify(before, after, measured(**dict(zip(arms, hits[:size], strict=True))))
    assert v.needed >= 1
    assert v.n == sum(hits[:size])
    if v.proof is Proof.PROVEN and after.total:
        assert all(not hits[i] for i, arm in enumerate(arms) if not after.weight(arm))
