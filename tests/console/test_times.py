from datetime import UTC, datetime

import pytest

from console.errors import UsageError
from console.times import moment_near, parse_moment

CLOCK = datetime(2013, 12, 31, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2013-02-12", datetime(2013, 2, 12, tzinfo=UTC)),
        ("2013-02-12T14:00", datetime(2013, 2, 12, 14, tzinfo=UTC)),
        ("2013-02-12 14:00+01:00", datetime(2013, 2, 12, 13, tzinfo=UTC)),
        ("02-12", datetime(2013, 2, 12, tzinfo=UTC)),
        ("02-12 14:05", datetime(2013, 2, 12, 14, 5, tzinfo=UTC)),
        ("12-31 23:00", datetime(2012, 12, 31, 23, tzinfo=UTC)),
        ("05:15", datetime(2013, 12, 31, 5, 15, tzinfo=UTC)),
    ],
)
def test_a_time_takes_what_it_leaves_out_from_the_clock(text: str, moment: datetime) -> None:
    assert moment_near(text, CLOCK) == moment


@pytest.mark.parametrize("text", ["", "noon", "13-45", "25:00", "2013-02-30", "02-30 10:00"])
def test_what_is_no_time_says_how_to_write_one(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        moment_near(text, CLOCK)


def test_a_time_at_the_end_of_time_is_refused_not_fatal() -> None:
    with pytest.raises(UsageError, match="out of the range"):
        parse_moment("9999-12-31T23:59-12:00")
