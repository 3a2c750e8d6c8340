"""Two versions, one figure: the difference, the verdict, how much longer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.analysis.binary import Confusion, binary_metrics
from console.analysis.comparison import LONGEST, Pace, Verdict, compare
from console.analysis.detectable import standard_error
from console.analysis.estimate import Estimate, IntervalKind, State
from console.analysis.intervals import mean, newcombe, proportion
from console.analysis.sequences import boundary

RATE = Pace(10_000, 1_000.0)


def test_shares_have_newcombes_interval():
    found = compare("recall", proportion(56, 70), proportion(48, 80), watched=False).difference
    assert (found.low, found.high) == pytest.approx(newcombe(56, 70, 48, 80))
    assert (found.low, found.high) == pytest.approx((0.05243, 0.33387), abs=5e-6)
    assert found.n == 150


def test_watched_shares_have_growthbooks_sequence():
    """With its own tuning; and up to the row that is added to each share."""
    a, b = proportion(1_080, 10_000), proportion(1_000, 10_000)
    found = compare("recall", a, b, watched=True).difference
    error = math.hypot(standard_error("recall", a) or 0, standard_error("recall", b) or 0)
    assert error == pytest.approx(math.sqrt(1.86336e-5), rel=1e-3)
    assert found.interval is IntervalKind.PEEK_SAFE
    assert found.high == pytest.approx(0.008 + boundary(20_000) * error)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.1, Verdict.BETTER),
        (-0.009, 0.1, Verdict.NO_WORSE),
        (-0.009, -0.001, Verdict.NO_WORSE),
        (-0.1, -0.001, Verdict.WORSE),
        (-0.1, 0.1, Verdict.CANNOT_TELL),
    ],
)
def test_the_verdict_follows_the_interval(low, high, verdict):
    half, centre = (high - low) / 2 / math.sqrt(2), (low + high) / 2
    mine = Estimate(0.5 + centre, 0.5 + centre - half, 0.5 + centre + half, 500)
    other = Estimate(0.5, 0.5 - half, 0.5 + half, 500)
    assert compare("f1", mine, other, watched=False, margin=0.01).verdict is verdict
    # of a loss the smaller one is better
    assert compare("mae", other, mine, watched=False, margin=0.01).verdict is verdict


def test_no_margin_no_bearable_loss():
    e = proportion(500, 1_000)
    assert compare("f1", e, e, watched=False).verdict is Verdict.CANNOT_TELL
    assert compare("f1", e, e, watched=False, margin=0.1).verdict is Verdict.NO_WORSE


def test_what_bins_hide_counts_against_a_verdict():
    mine = Estimate(0.9, 0.89, 0.91, 1_000, bin_error=0.02)
    other = Estimate(0.85, 0.84, 0.86, 1_000, bin_error=0.02)
    assert compare("roc_auc", mine, other, watched=False).verdict is Verdict.CANNOT_TELL


@pytest.mark.parametrize("state", [State.NO_LABELS, State.NO_ROWS, State.CANNOT_TELL])
def test_a_side_without_a_figure_gives_no_verdict_but_a_state(state):
    made = compare("f1", Estimate(None, None, None, 0, state), proportion(1, 2), watched=True)
    assert made.difference.value is None
    assert made.difference.state is state
    assert made.verdict is Verdict.CANNOT_TELL


def test_too_few_rows_are_too_few_for_a_verdict():
    made = compare("recall", proportion(9, 9), proportion(0, 900), watched=False)
    assert made.difference.state is State.TOO_FEW
    assert made.verdict is Verdict.CANNOT_TELL


def test_bias_is_shown_and_not_judged():
    made = compare("bias", mean(900, 1_000, 1_000), mean(0, 1_000, 1_000), watched=False)
    assert made.verdict is Verdict.CANNOT_TELL
    assert made.difference.value == pytest.approx(0.9)


@pytest.mark.parametrize("watched", [False, True])
def test_after_the_days_it_names_the_interval_is_as_narrow_as_the_margin(watched):
    a = b = proportion(5_400, 10_000)
    now = compare("accuracy", a, b, watched=watched, margin=0.008, paces=(RATE, RATE))
    assert now.more_days is not None
    assert now.more_days > 0
    assert now.more_rows == math.ceil(2_000 * now.more_days)
    later = [round(10_000 + 1_000 * now.more_days)] * 2
    c = compare(
        "accuracy",
        proportion(round(later[0] * 0.54), later[0]),
        proportion(round(later[1] * 0.54), later[1]),
        watched=watched,
        margin=0.008,
        paces=(RATE, RATE),
    )
    half = ((c.difference.high or 0) - (c.difference.low or 0)) / 2
    assert half == pytest.approx(0.008, rel=5e-3)


def test_enough_is_enough_and_never_is_never():
    a = b = proportion(5_400, 10_000)

    def longer(margin: float, *paces: Pace) -> tuple[int | None, float | None]:
        made = compare("f1", a, b, watched=False, margin=margin, paces=(paces[0], paces[1]))
        return made.more_rows, made.more_days

    assert longer(0.5, RATE, RATE) == (0, 0.0)
    assert longer(0.0, RATE, RATE) == (None, None)
    # a version that gets no more rows stays as uncertain as it is
    stopped = Pace(10_000, 0.0)
    assert longer(0.005, RATE, stopped) == (None, None)
    assert longer(1e-9, RATE, RATE) == (None, None)
    assert LONGEST > 0


CELLS = st.integers(0, 3_000)
MATRIX = st.builds(Confusion, CELLS, CELLS, CELLS, CELLS)


@settings(deadline=None)
@given(MATRIX, MATRIX, st.booleans())
def test_whatever_the_counts_the_sides_swap_signs(one, two, watched):
    mine, other = binary_metrics(one), binary_metrics(two)
    for name, e in mine.items():
        c = compare(name, e, other[name], watched=watched, margin=0.01, paces=(RATE, RATE))
        back = compare(name, other[name], e, watched=watched, margin=0.01).difference
        d = c.difference
        if d.low is None or d.high is None or back.low is None or back.high is None:
            continue
        assert d.low <= (d.value or 0.0) <= d.high
        assert (d.low, d.high) == pytest.approx((-back.high, -back.low), abs=1e-9)


def test_peeking_at_two_equal_versions():
    """A split by half, looked at each 50 rows to 20,000 a side: called different 5 % at most."""
    rng = np.random.default_rng(11)
    runs, n = 400, np.arange(50, 20_001, 50)
    wide = np.array([boundary(int(2 * m)) for m in n])
    called = 0
    for _ in range(runs):
        a, b = (np.cumsum(rng.binomial(50, 0.2, len(n))) for _ in range(2))
        p, q = (a + 1) / (n + 2), (b + 1) / (n + 2)
        error = np.sqrt((p * (1 - p) + q * (1 - q)) / n)
        called += bool((np.abs(a - b) / n > wide * error).any())
    assert called / runs <= 0.05


def test_two_shares_are_never_more_than_one_apart() -> None:
    few = Estimate(0.5, 0.05, 0.95, 4, State.TOO_FEW)
    found = compare("precision", few, few, watched=True).difference
    assert found.low == -1.0
    assert found.high == 1.0
