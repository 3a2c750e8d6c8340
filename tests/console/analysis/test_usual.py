"""A silence is one when days before were not silent: nights, weekends and gaps are none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from console.analysis.usual import UsualVolume, usual_volume

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def volume(rate: Callable[[datetime], int], since: datetime, until: datetime) -> UsualVolume:
    """Predictions by hour, from all versions, as the rollup has them: hours with rows only."""
    hours = [since + i * HOUR for i in range(int((until - since) / HOUR))]
    rows = [(h.replace(tzinfo=None), n) for h in hours if (n := rate(h))]
    return usual_volume(
        pl.DataFrame(rows, schema={"start": pl.Datetime("us"), "n": pl.Int64}, orient="row")
    )


def office(hour: datetime) -> int:
    """Monday to Friday, nine to five."""
    return 60 if hour.weekday() < 5 and 9 <= hour.hour < 17 else 0


SATURDAY, SECOND_MONDAY = MONDAY + 12 * DAY, MONDAY + 14 * DAY


def test_a_saturday_of_an_office_service_is_no_outage() -> None:
    closing = SATURDAY - 7 * HOUR
    for hours in (2, 12, 24, 36, 60):
        now = closing + hours * HOUR
        known = volume(office, MONDAY, min(now, SATURDAY))
        assert known.expected(closing, now) == pytest.approx(0, abs=1e-9), hours


def test_a_monday_of_an_office_service_that_stays_silent_is_one() -> None:
    known = volume(office, MONDAY, SATURDAY)
    last = SATURDAY - 7 * HOUR
    now = SECOND_MONDAY + 10 * HOUR
    assert known.expected(last, now) == 60
    assert known.expected(last, SECOND_MONDAY + 9 * HOUR + timedelta(minutes=10)) == 10


def test_a_night_is_no_outage_and_a_silent_noon_is() -> None:
    def by_day(hour: datetime) -> int:
        return 30 if 8 <= hour.hour < 20 else 0

    now = MONDAY + 10 * DAY
    known = volume(by_day, MONDAY, now)
    assert known.expected(now - 4 * HOUR, now + 7 * HOUR) == 0
    noon = now + 12 * HOUR
    assert known.expected(noon, noon + 2 * HOUR) == 60


def test_neither_a_free_day_nor_a_busy_one_makes_a_silence() -> None:
    """A busy day a week ago is not what one may expect; nor are the six days after a free one."""
    at, now = MONDAY + 8 * DAY + 10 * HOUR, MONDAY + 8 * DAY + 11 * HOUR

    def busy(hour: datetime) -> int:
        return 500 if hour.date() == (at - 7 * DAY).date() else 2

    def free(hour: datetime) -> int:
        return 0 if hour.date() == (at - 7 * DAY).date() else 50

    mean = (500 + 6 * 2) / 7
    assert volume(busy, MONDAY, at).expected(at, now) == pytest.approx(mean)
    assert volume(free, MONDAY, at).expected(at, now) == 0


def test_parts_of_hours_count_by_their_length() -> None:
    known = volume(lambda _: 60, MONDAY, MONDAY + DAY)
    at = MONDAY + 5 * HOUR
    assert known.came(at + timedelta(minutes=45), at + timedelta(minutes=75)) == pytest.approx(30)
    assert known.came(at, at) == 0


def test_what_is_not_known_is_not_guessed() -> None:
    known = volume(lambda _: 60, MONDAY, MONDAY + 6 * DAY)
    at = MONDAY + 6 * DAY
    assert known.expected(at, at + HOUR) is None  # less than a week of history
    long = volume(lambda _: 60, MONDAY, MONDAY + 30 * DAY)
    end = MONDAY + 30 * DAY
    assert long.week_before(end - 8 * DAY, end) is None  # would overlap itself
    assert long.week_before(end - 7 * DAY, end) == 7 * 24 * 60
    empty = volume(lambda _: 0, MONDAY, end)
    assert (empty.first, empty.expected(at, end)) == (None, None)


def test_versions_are_added_up() -> None:
    rows = [(MONDAY.replace(tzinfo=None), 3), (MONDAY.replace(tzinfo=None), 4)]
    schema = {"start": pl.Datetime("us"), "n": pl.Int64}
    known = usual_volume(pl.DataFrame(rows, schema=schema, orient="row"))
    assert known.came(MONDAY, MONDAY + HOUR) == 7
