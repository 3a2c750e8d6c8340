"""Clocks: fixed, paced and stepped; a replay neither starts early nor runs past its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from console.clocks import FixedClock, LiveClock, ReplayClock, SteppedClock
from console.feed import Mode

START = datetime(2024, 3, 1, 6, tzinfo=UTC)
END = START + timedelta(hours=10)


class Ticks:
    """A host's clock that the test sets."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_a_fixed_clock_stays() -> None:
    clock = FixedClock(START)
    assert (clock.now(), clock.mode) == (START, Mode.OFFLINE)


def test_the_live_clock_is_aware_and_runs() -> None:
    first = LiveClock().now()
    assert first.tzinfo is UTC
    assert LiveClock().now() >= first


def test_a_replay_moves_only_when_it_is_ticked() -> None:
    ticks = Ticks()
    clock = ReplayClock(START, END, 600, ticks)
    ticks.at += 1000
    assert clock.now() == START
    clock.tick()  # loading took its time; the replay begins now
    assert clock.now() == START
    ticks.at += 1.5
    assert clock.now() == START
    clock.tick()
    assert clock.now() == clock.now() == START + timedelta(minutes=15)
    clock.tick()
    assert clock.now() == START + timedelta(minutes=15)


def test_a_pause_of_the_host_is_no_leap_of_the_replay() -> None:
    ticks = Ticks()
    clock = ReplayClock(START, END, 60, ticks)
    clock.tick()
    ticks.at += 3600
    clock.tick()
    assert clock.now() - START <= timedelta(seconds=60 * ReplayClock.MOST)
    ticks.at += 1
    before = clock.now()
    clock.tick()
    assert clock.now() == before + timedelta(minutes=1)


def test_a_replay_stops_at_its_end_at_any_speed() -> None:
    ticks = Ticks()
    clock = ReplayClock(START, END, 1e7, ticks)
    for _ in range(3):
        clock.tick()
        ticks.at += 8 * 3600
    assert clock.now() == END


def test_a_stepped_clock_moves_only_when_told_and_not_past_its_end() -> None:
    clock = SteppedClock(START, END, timedelta(hours=6))
    assert clock.now() == clock.now() == START
    clock.tick()
    assert clock.now() == START + timedelta(hours=6)
    clock.tick()
    clock.tick()
    assert clock.now() == END
