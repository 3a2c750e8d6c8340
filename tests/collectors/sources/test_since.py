"""How far a source was read, in the server's own way of writing it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.sources.since import Farthest, read_mark

NOW = datetime(2024, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)

FORMS = [
    ("2024-03-01T10:00:00Z", "2024-03-01T09:00:00Z", "2024-03-01T09:59:59Z"),
    ("2024-03-01 10:00:00", "2024-03-01 09:00:00", "2024-03-01 09:59:59"),
    ("2024-03-01T10:00:00.000Z", "2024-03-01T09:00:00.000Z", "2024-03-01T09:59:59.999Z"),
    ("2024-03-01T10:00:00.5+0200", "2024-03-01T09:00:00.5+0200", "2024-03-01T10:00:00.4+0200"),
    ("2024-03-01T00:00:00+02:00", "2024-02-29T23:00:00+02:00", "2024-02-29T23:59:59+02:00"),
    ("2024-03-01", "2024-02-29", "2024-02-29"),
    (1709287200, "1709283600", "1709287199"),
    ("1709287200", "1709283600", "1709287199"),
    (1709287200.25, "1709283600.250", "1709287200.249"),
    (1709287200123, "1709283600123", "1709287200122"),
    (1709287200123456789, "1709283600123456789", "1709287200123456788"),
    (41, "41", "40"),
    (-41, "-41", "-42"),
    (5_000_000_000, "5000000000", "4999999999"),
    (0, "0", "-1"),
]


@pytest.mark.parametrize(("value", "back", "before"), FORMS)
def test_a_value_is_moved_in_its_own_form(value: object, back: str, before: str) -> None:
    mark = read_mark(value, NOW)
    assert mark is not None
    assert (mark.back(HOUR), mark.before()) == (back, before)
    earlier, later = read_mark(mark.before(), NOW), read_mark(mark.after(), NOW)
    assert earlier is not None and later is not None
    assert earlier.value < mark.value < later.value


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, "", " ", "soon", "a" * 999, [1], {}),
        *(float("nan"), float("inf"), 1e300, 10**400, "9" * 30, "٣٤"),
        *("0000-00-00", "2024-02-30", "2024-W01-1T25:00"),
    ],
)
def test_what_is_no_time_or_number_is_none(value: object) -> None:
    assert read_mark(value, NOW) is None


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01"])
def test_the_ends_of_the_calendar_stay(edge: str) -> None:
    mark = read_mark(edge, NOW)
    if mark is not None:
        assert mark.back(HOUR) and mark.before() and mark.after()


def test_what_is_later_than_the_clock_is_left_out() -> None:
    far = Farthest(NOW)
    for value in ("2024-03-01", "9999-01-01", "2024-03-09T00:00:00Z", None, "x"):
        far.add(value)
    mark = far.of(far.kind())
    assert mark is not None and mark.text == "2024-03-09T00:00:00Z"


def test_the_kind_is_that_of_most_values() -> None:
    far = Farthest(NOW)
    for value in (1709287200, 1709287300, 9e17, "2024-03-01"):
        far.add(value)
    assert far.kind() == "epoch"
    mark = far.of("epoch")
    assert mark is not None and mark.text == "1709287300"
    assert not far.any(None)


def test_ids_that_grow_into_times_go_on_as_numbers() -> None:
    far = Farthest(NOW)
    far.add(999_999_999)
    mark = far.of("number")
    assert far.any("number")
    assert mark is not None and (mark.kind, mark.back(HOUR)) == ("number", "999999999")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2024, 3, 9)),
    st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]),
    st.sampled_from(["", "Z", "+00:00", "-05:30", "+0100"]),
    st.integers(1, 10**7),
)
def test_back_is_that_much_earlier(moment: datetime, spec: str, zone: str, seconds: int) -> None:
    mark = read_mark(moment.isoformat(timespec=spec) + zone, NOW)
    assert mark is not None
    back = read_mark(mark.back(timedelta(seconds=seconds)), NOW)
    assert back is not None
    assert back.value == pytest.approx(mark.value - seconds, abs=2e-6)
    assert len(back.text) == len(mark.text)
