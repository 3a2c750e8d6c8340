"""Each planted course is named for what it is, and noise, weather and the time of day for none."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from console.analysis.estimate import State
from console.analysis.onset import LEAST_POINTS, Onset, Point, Shape, onset_of
from console.analysis.shapes import best_fits

START = datetime(2013, 2, 4, tzinfo=UTC)  # a Monday
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


def series(values: ArrayLike, n: float | ArrayLike = 100.0, step: timedelta = DAY) -> list[Point]:
    found = np.asarray(values, np.float64)
    rows = np.broadcast_to(np.asarray(n, np.float64), found.shape)
    return [
        Point(START + i * step, float(v), float(m))
        for i, (v, m) in enumerate(zip(found, rows, strict=True))
    ]


def noise(n: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=n)


def daily(n: int, height: float = 3.0) -> NDArray[np.float64]:
    return height * np.sin(np.arange(n) * math.pi / 12)


def test_a_step_has_its_place_its_levels_and_its_rows() -> None:
    o = onset_of(series(noise(50) + 3 * (np.arange(50) >= 30)))
    assert (o.shape, o.state, o.end) == (Shape.STEP, State.OK, None)
    assert o.start == START + 30 * DAY
    assert (o.n_rows, o.lasting) == (2000, True)
    assert o.before == pytest.approx(0, abs=0.5)
    assert o.after == pytest.approx(3, abs=0.6)
    assert o.size.low is not None
    assert o.size.high is not None
    assert o.size.low < 3 < o.size.high
    assert o.words == "abrupt since 06 Mar"


def test_a_step_by_the_hour_says_the_hour() -> None:
    o = onset_of(series(noise(50) + 8 * (np.arange(50) >= 30), step=HOUR))
    assert o.words == "abrupt since 05 Feb 06:00"


def test_a_slow_rise_is_a_ramp_and_says_from_where() -> None:
    up = np.concatenate([np.zeros(30), np.linspace(0, 10, 30)])
    o = onset_of(series(noise(60) + up))
    assert (o.shape, o.lasting) == (Shape.RAMP, True)
    assert o.earliest is not None
    assert o.latest is not None
    assert o.earliest <= START + 30 * DAY <= o.latest
    assert o.after == pytest.approx(10, abs=1.5)
    assert o.words.startswith("gradual since about ")


def test_a_rise_that_levels_off_says_since_when_it_is_level() -> None:
    up = np.concatenate([np.zeros(25), np.linspace(0, 12, 20), np.full(25, 12.0)])
    o = onset_of(series(noise(70) + up))
    assert o.shape is Shape.RAMP
    assert o.end is not None
    assert abs(o.end - (START + 45 * DAY)) <= 4 * DAY
    assert ", level since " in o.words


@pytest.mark.parametrize(
    ("first", "size", "step", "words"),
    [
        (20, 1, DAY, "a spike on 24 Feb, over"),
        (20, 2, DAY, "a spike on 24 Feb to 25 Feb, over"),
        (14, 3, HOUR, "a spike on 04 Feb 14:00 to 17:00, over"),
        (22, 3, HOUR, "a spike on 04 Feb 22:00 to 05 Feb 01:00, over"),
        (20, 9, DAY, "from 24 Feb to 04 Mar, over"),
    ],
)
def test_a_spell_that_ended_is_over(first: int, size: int, step: timedelta, words: str) -> None:
    up = np.zeros(48)
    up[first : first + size] = 12
    o = onset_of(series(noise(48) + up, step=step))
    assert (o.shape, o.lasting, o.changed) == (Shape.SPIKE, False, True)
    assert o.n_rows == 100 * size
    assert o.words == words


def test_of_several_changes_the_largest_is_told_with_their_number() -> None:
    level = np.repeat([0.0, 20.0, 0.0, 30.0, 5.0, 20.0], 20)
    o = onset_of(series(noise(120) + level))
    assert o.changes == tuple(START + i * DAY for i in (20, 40, 60, 80, 100))
    assert (o.shape, o.start, o.end) == (Shape.SPIKE, START + 60 * DAY, START + 80 * DAY)
    assert o.words == "from 05 Apr to 24 Apr, over, the largest of 5 changes"


def test_one_course_is_told_where_it_explains_most() -> None:
    level = np.repeat([0.0, 2.0, 13.0, 14.0], 20)
    o = onset_of(series(noise(80) + level))
    assert (o.shape, o.changes) == (Shape.STEP, ())
    assert o.start == START + 40 * DAY


def test_a_daily_pattern_is_no_change() -> None:
    o = onset_of(series(noise(24 * 6) * 0.5 + daily(24 * 6), step=HOUR))
    assert (o.shape, o.pattern, o.changed) == (Shape.SEASONAL, "daily", False)
    assert o.words == "daily pattern, no change"


def test_a_window_that_ends_at_noon_is_no_change_where_earlier_days_teach_the_pattern() -> None:
    values = noise(24 * 6 + 13) * 0.5 + daily(24 * 6 + 13)
    points = series(values, step=HOUR)
    last = points[-24:]
    assert onset_of(last).changed
    assert onset_of(last, earlier=points[:-24]).shape is Shape.SEASONAL


def test_a_weekend_is_no_change() -> None:
    weekend = np.tile([0.0, 0, 0, 0, 0, 6, 6], 6)
    assert onset_of(series(noise(42) + weekend)).words == "weekly pattern, no change"


def test_a_change_is_found_beneath_a_daily_pattern() -> None:
    values = noise(24 * 6) * 0.5 + daily(24 * 6)
    values[100:] += 3
    o = onset_of(series(values, step=HOUR))
    assert (o.shape, o.pattern) == (Shape.STEP, "daily")
    assert o.start == START + 100 * HOUR


def test_an_outage_of_one_day_is_not_learned_as_a_pattern() -> None:
    values = noise(24 * 4) * 0.5
    values[60:66] += 9
    o = onset_of(series(values, step=HOUR))
    assert (o.shape, o.pattern) == (Shape.SPIKE, None)


def test_few_rows_do_not_outweigh_many() -> None:
    values = np.zeros(40)
    values[20] = 0.5
    rows = np.full(40, 1000.0)
    rows[20] = 2
    assert not onset_of(series(values + 0.1, rows), share=True).changed
    assert onset_of(series(values + 0.1), share=True).shape is Shape.SPIKE


def test_gaps_are_no_change() -> None:
    points = series(noise(60), step=HOUR)
    del points[20:30]
    assert onset_of(points).shape is Shape.NONE


def test_the_order_of_points_is_of_no_matter() -> None:
    points = series(noise(50) + 3 * (np.arange(50) >= 30))
    assert onset_of(points[::-1]) == onset_of(points)


def test_the_unit_is_of_no_matter() -> None:
    values = noise(50) + 3 * (np.arange(50) >= 30)
    one, million = onset_of(series(values)), onset_of(series(values * 1e6))
    assert (one.shape, one.start, one.n_rows) == (million.shape, million.start, million.n_rows)
    assert million.size.value == pytest.approx(1e6 * (one.size.value or 0))


def test_too_few_steps_have_a_state_and_no_words() -> None:
    assert onset_of([]) == Onset(Shape.NONE, State.NO_ROWS)
    assert onset_of([Point(START, math.nan, 5), Point(START, 1.0, 0)]).state is State.NO_ROWS
    few = onset_of(series(noise(LEAST_POINTS - 1)))
    assert (few.state, few.words) == (State.TOO_FEW, "")
    assert onset_of(series(np.zeros(20))).words == "no change"


VALUES = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324]),
    st.floats(allow_nan=True, allow_infinity=True),
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(VALUES, st.one_of(st.sampled_from([0.0, 1.0, 1e15, math.nan, -1]), st.floats())),
        max_size=40,
    ),
    st.sampled_from([HOUR, DAY, WEEK]),
)
def test_hostile_numbers_are_a_state(rows: list[tuple[float, float]], step: timedelta) -> None:
    points = [Point(START + i * step, v, n) for i, (v, n) in enumerate(rows)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        o = onset_of(points)
    for value in (o.before, o.after, o.size.value, o.size.low, o.size.high):
        assert value is None or math.isfinite(value)
    assert o.changed == (o.start is not None)
    if o.start is not None:
        assert o.earliest is not None
        assert o.latest is not None
        assert o.earliest <= o.start <= o.latest
        assert o.end is None or o.start < o.end


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=8, max_size=60))
def test_levels_of_a_share_are_shares(rows: list[tuple[int, int]]) -> None:
    o = onset_of(series([min(k, n) / n for k, n in rows], [n for _, n in rows]), share=True)
    for value in (o.before, o.after):
        assert value is None or 0 <= value <= 1


def test_a_course_gains_what_least_squares_says() -> None:
    rng = np.random.default_rng(5)
    x = np.cumsum(rng.integers(1, 3, 40)).astype(float)
    y, w = rng.normal(size=40) + 0.1 * x, rng.uniform(0.1, 2, 40)
    root = np.sqrt(w)

    def left(*columns: NDArray[np.float64]) -> float:
        design = np.stack([np.ones(40), *columns], axis=1) * root[:, None]
        coefficients = np.linalg.lstsq(design, y * root)[0]
        return float(((y * root - design @ coefficients) ** 2).sum())

    for fit in best_fits(x, y, w):
        assert fit.gain == pytest.approx(left() - left(fit.course(x)), rel=1e-9)


def alarms(draw: Callable[[], list[Point]], times: int, *, share: bool = False) -> float:
    return sum(onset_of(draw(), share=share).changed for _ in range(times)) / times


def test_noise_is_seldom_called_a_change() -> None:
    """Due: at most 5 %; the standard error of 200 draws is 1.5."""
    rng = np.random.default_rng(1)
    for n in (8, 14, 30, 72):
        assert alarms(lambda n=n: series(rng.normal(size=n)), 200) <= 0.06
    assert alarms(lambda: series(rng.binomial(20, 0.1, 60) / 20, 20), 100, share=True) <= 0.06


def test_weather_that_lasts_for_days_is_seldom_called_a_change() -> None:
    """Neighbours that go together (r = .4) make runs that look like steps."""
    rng = np.random.default_rng(2)

    def lasting() -> list[Point]:
        e = rng.normal(size=110)
        for i in range(1, 110):
            e[i] += 0.4 * e[i - 1]
        return series(e[50:])

    assert alarms(lasting, 150) <= 0.08


def test_a_change_of_two_sigma_is_found() -> None:
    rng = np.random.default_rng(3)
    late = 2.0 * (np.arange(30) >= 15)
    assert alarms(lambda: series(rng.normal(size=30) + late), 100) > 0.8


def test_a_step_at_noon_is_not_learned_as_a_pattern() -> None:
    """Of five days, mornings are low three times and afternoons high three times."""
    values = noise(24 * 5) + 6 * (np.arange(24 * 5) >= 60)
    o = onset_of(series(values, step=HOUR))
    assert (o.shape, o.pattern, o.start) == (Shape.STEP, None, START + 60 * HOUR)


def test_a_long_series_is_searched_at_every_place() -> None:
    """More than 64 steps are searched in two passes."""
    x = np.arange(300.0)
    held = (x >= 83) & (x < 151)
    spell = best_fits(x, held * 5.0 + 0.1 * noise(300), np.ones(300))[-1]
    assert (spell.first, spell.last) == (83, 151)
    rise = np.clip((x - 83) / 68, 0, 1)
    ramp = best_fits(x, rise * 5 + 0.01 * noise(300), np.ones(300))[2]
    assert (ramp.first - 1, ramp.last) == (83, 151)
