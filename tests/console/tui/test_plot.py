"""Plots: the exact size, readable without colour, and a sentence where there is nothing to draw.

Whatever would make plotext abort the process must not reach it: an abort would end the test run,
so the hostile cases run in a process of their own first.
"""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.tui.plot import Charset, draw
from console.tui.plot_safe import finite, number_label, number_ticks, time_ticks
from console.tui.tones import glyph, style
from console.views.model import Bars, Line, Mark, Series, TimePlot, Tone

T0 = datetime(2025, 3, 29, 12, tzinfo=UTC)
DAY = T0 + timedelta(days=1)


def series(name: str, *values: float | None, tone: Tone = Tone.ACCENT, band: float = 0.0) -> Series:
    x = tuple(T0 + timedelta(days=1) * i / max(1, len(values) - 1) for i in range(len(values)))
    low = tuple(None if v is None else v - band for v in values) if band else ()
    high = tuple(None if v is None else v + band for v in values) if band else ()
    return Series(name, x, values, tone, low, high)


def text(
    plot: TimePlot | Bars, width: int = 78, height: int = 14, charset: Charset = Charset.BRAILLE
) -> str:
    lines = draw(plot, width, height, charset=charset)
    assert len(lines) == height
    assert {line.cell_len for line in lines} == {width}
    return "\n".join(line.plain for line in lines)


def rows_with(picture: str, chars: str) -> list[int]:
    return [y for y, line in enumerate(picture.split("\n")) if set(line) & set(chars)]


NUMBERS = st.one_of(
    st.none(),
    st.floats(),
    st.sampled_from([1e308, -1e308, 5e-324, math.nan, math.inf, 0.0, 1.0]),
    st.floats(0, 1),
)
NAMES = st.text(st.characters(codec=None, exclude_categories=[]), max_size=30)
TONES = st.sampled_from(Tone)
MOMENTS = st.one_of(
    st.datetimes(timezones=st.just(UTC)),
    st.integers(-10, 110).map(lambda p: T0 + timedelta(days=p / 100)),
)


@st.composite
def any_series(data: st.DrawFn) -> Series:
    n = data(st.integers(0, 12))
    numbers = st.lists(NUMBERS, max_size=n)
    moments = data(st.lists(MOMENTS, min_size=n, max_size=n))
    y, low, high = (tuple(data(numbers)) for _ in range(3))
    return Series(data(NAMES), tuple(moments), y, data(TONES), low, high)


TIME_PLOTS = st.builds(
    TimePlot,
    title=NAMES,
    start=st.one_of(st.just(T0), MOMENTS),
    end=st.one_of(st.just(DAY), MOMENTS),
    series=st.lists(any_series(), max_size=4).map(tuple),
    lines=st.lists(st.builds(Line, NAMES, st.floats(), TONES), max_size=3).map(tuple),
    marks=st.lists(st.builds(Mark, NAMES, MOMENTS, TONES), max_size=3).map(tuple),
    y_min=NUMBERS,
    y_max=NUMBERS,
    percent=st.booleans(),
)
BARS = st.builds(
    Bars,
    title=NAMES,
    labels=st.lists(NAMES, max_size=40).map(tuple),
    groups=st.lists(
        st.tuples(NAMES, st.lists(NUMBERS, max_size=40).map(tuple), TONES), max_size=4
    ).map(tuple),
)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(TIME_PLOTS, BARS),
    st.integers(0, 100),
    st.integers(0, 20),
    st.sampled_from(Charset),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia"]),
)
def test_anything_gives_lines_of_the_exact_size(
    plot: TimePlot | Bars, width: int, height: int, charset: Charset, zone: str
) -> None:
    lines = draw(plot, width, height, charset=charset, now_zone=ZoneInfo(zone))
    assert [line.cell_len for line in lines] == [width] * height
    for line in lines:
        assert not set(line.plain) & set("\x1b\n\r\t\x9b")
        assert charset is not Charset.ASCII or line.plain.isascii()


def test_hostile_values_do_not_abort_the_process() -> None:
    code = """
from datetime import *
from math import inf, nan
from console.tui.plot import Charset, draw
from console.views.model import *
t = datetime(2025, 1, 1, tzinfo=UTC)
xs = tuple(t + timedelta(seconds=i) for i in range(2_000))
wild = (nan, inf, -inf, 1e308, -1e308, 5e-324, None, 1.0)
for ys in (wild * 250, (1e308, -1e308) * 1_000, (nan,) * 2_000, (None, 1.0) * 1_000):
    s = Series("s", xs, ys, Tone.ACCENT, ys[::-1], ys)
    for limits in ((None, None), (0, 1), (nan, 1e308), (5, 5), (1, 0)):
        for size in ((1, 1), (20, 4), (80, 24)):
            for charset in Charset:
                end = xs[-1]
                draw(TimePlot("t", t, end, (s,), (), (), *limits), *size, charset=charset)
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_importing_the_adapter_leaves_plotext_for_the_first_line() -> None:
    code = "import sys, console.tui.plot; print('plotext' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("charset", Charset)
def test_a_gap_is_drawn_as_a_gap(charset: Charset) -> None:
    flat = [0.9] * 20 + [None] * 40 + [0.9] * 20
    picture = text(TimePlot("t", T0, DAY, (series("a", *flat),)), charset=charset)
    line = max(picture.split("\n")[1:-2], key=lambda row: len(row.strip()))
    blanks = line.partition("│")[2] or line[6:]
    assert "  " * 12 in blanks.strip()


def test_a_spike_between_a_hundred_thousand_points_is_seen() -> None:
    values = [0.5] * 100_000
    values[61_803] = 0.9
    picture = text(TimePlot("t", T0, DAY, (series("a", *values),), y_min=0.0, y_max=1.0))
    assert len(rows_with(picture, "⡇⢸⡀⢀⠁⠈⡏⢹⣇⣸⡄⢠⠃⠘")) >= 4


@pytest.mark.parametrize("charset", Charset)
def test_series_are_told_apart_without_colour(charset: Charset) -> None:
    plot = TimePlot("t", T0, DAY, tuple(series(f"v{k}", k, k + 0.5) for k in range(3)))
    picture = text(plot, charset=charset)
    first, _, rest = picture.partition("\n")
    signs = [first.split(f" v{k}")[0][-1] for k in range(3)]
    assert len(set(signs)) == 3
    assert all(sign in rest for sign in signs)
    styles = {str(span.style) for line in draw(plot, 78, 14) for span in line.spans}
    assert len(styles) >= 4


def test_lines_are_named_at_the_right_edge_and_marks_beside_them() -> None:
    plot = TimePlot(
        "accuracy",
        T0,
        DAY,
        (series("v1", 0.9, 0.91, 0.9, band=0.01),),
        (Line("baseline", 0.88), Line("floor", 0.2, Tone.WARN)),
        (Mark("deploy v2", T0 + timedelta(hours=12)), Mark("outside", T0 - timedelta(hours=1))),
        percent=True,
    )
    rows = text(plot).split("\n")
    assert any(row.rstrip().endswith("baseline") and "╌╌╌" in row for row in rows)
    assert any(row.rstrip().endswith("↓ floor") for row in rows)
    assert any("┊deploy v2" in row or "deploy v2┊" in row for row in rows)
    assert "outside" not in "\n".join(rows)
    assert sum("%┤" in row for row in rows) >= 2


def test_an_interval_is_a_dim_band_that_is_not_the_line() -> None:
    plot = TimePlot("t", T0, DAY, (series("a", *[0.5] * 30, band=0.1),))
    lines = draw(plot, 60, 12)
    dim = [span for line in lines[1:-2] for span in line.spans if "dim" in str(span.style)]
    assert sum(span.end - span.start for span in dim) > 60
    bold = [span for line in lines[1:-2] for span in line.spans if "cyan" in str(span.style)]
    assert bold


def test_nothing_to_draw_is_said_in_words() -> None:
    empty = TimePlot("accuracy", T0, DAY, (series("a", None, math.nan),))
    assert "accuracy: no data in this window" in text(empty)
    assert "empty" in text(TimePlot("accuracy", T0, T0, (series("a", 1.0),)))
    assert "no data" in text(Bars("age", (), ()))
    assert "no data" in text(Bars("age", ("a",), (("reference", (None,), Tone.DIM),)))
    assert text(TimePlot("accuracy", T0, DAY, (series("a", 0.5, 0.25),), percent=True), 30, 1) == (
        "accuracy 25.0%".ljust(30)
    )


@pytest.mark.parametrize("values", [(0.5,), (0.5,) * 9, (0.0, 0.0), (1e300, 1e300), (None, 3.0)])
def test_one_point_or_equal_values_are_drawn(values: tuple[float | None, ...]) -> None:
    for charset in Charset:
        picture = text(TimePlot("t", T0, DAY, (series("a", *values),)), charset=charset)
        rows = (row.replace("┤", "│").replace("+", "|") for row in picture.split("\n")[1:-2])
        axis = "|" if charset is Charset.ASCII else "│"
        assert "".join(row.partition(axis)[2] for row in rows).strip()


def test_times_are_ticked_in_the_shown_zone_on_round_hours() -> None:
    zone = ZoneInfo("Europe/Berlin")
    ticks = time_ticks(T0, DAY, zone, 70)
    assert [label for _, label in ticks][:2] == ["15:00", "18:00"]
    assert "30 Mar" in [label for _, label in ticks]
    # The night loses an hour, and the ticks stay on round ones.
    assert {moment.astimezone(zone).hour % 3 for moment, _ in ticks} == {0}
    picture = "\n".join(
        line.plain
        for line in draw(TimePlot("t", T0, DAY, (series("a", 1, 2),)), 78, 14, now_zone=zone)
    )
    assert picture.rstrip().endswith("CEST")


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (0.001, "12:00:30"),
        (0.05, "12:10"),
        (3, "30 Mar"),
        (40, "07 Apr"),
        (400, "May"),
        (9000, "2035"),
    ],
)
def test_tick_labels_suit_the_length_of_the_window(days: float, expected: str) -> None:
    labels = [label for _, label in time_ticks(T0, T0 + timedelta(days=days), UTC, 70)]
    assert expected in labels
    assert 2 <= len(labels) <= 14


@given(st.floats(-1e300, 1e300), st.floats(1e-12, 1e300), st.integers(2, 8))
def test_number_ticks_are_inside_and_in_order(low: float, span: float, most: int) -> None:
    high = low + span
    ticks, step = number_ticks(low, high, most)
    slack = max(abs(low), abs(high), span) * 1e-8
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert all(a <= b for a, b in pairwise(ticks))
    assert len(ticks) <= 21
    assert all(len(number_label(tick, step)) <= 12 for tick in ticks)


def test_numbers_are_labelled_shortly() -> None:
    assert number_label(0.975, 0.025, percent=True) == "97.5%"
    assert number_label(20_000, 5_000) == "20k"
    assert number_label(0.25, 0.25) == "0.25"
    assert number_label(1e300, 1e299) == "1e+300"
    assert finite(math.nan) is None
    assert finite(10**400) == 1e300


DISTRIBUTIONS = Bars(
    "age",
    ("<18", "18-24", "25-34", "35-44", "45-54", "55-64", "65+", "missing"),
    (
        ("reference", (0.02, 0.1, 0.2, 0.25, 0.2, 0.13, 0.09, 0.01), Tone.DIM),
        ("current", (0.01, 0.05, 0.15, 0.22, 0.28, 0.16, 0.12, None), Tone.ACCENT),
    ),
)


@pytest.mark.parametrize("charset", Charset)
@pytest.mark.parametrize("size", [(36, 6), (60, 10), (100, 20)])
def test_distributions_stand_side_by_side(size: tuple[int, int], charset: Charset) -> None:
    picture = text(DISTRIBUTIONS, *size, charset=charset)
    rows = picture.split("\n")
    assert "reference" in rows[0]
    assert "current" in rows[0]
    reference, current = rows[0].split(" reference")[0][-1], rows[0].split(" current")[0][-1]
    assert reference != current
    assert reference in "".join(rows[2:-1])
    assert current in "".join(rows[2:-1])
    assert "?" in rows[-2]  # an unknown share is not a share of zero
    assert "<18" in rows[-1]
    assert "%" in picture


def test_more_bins_than_cells_are_added_up() -> None:
    wide = Bars("x", tuple(map(str, range(510))), (("current", (0.002,) * 510, Tone.ACCENT),))
    rows = text(wide, 40, 8).split("\n")
    assert len({row.count("█") for row in rows[2:-2]}) == 1


def test_every_tone_has_its_own_glyph_and_no_blue() -> None:
    for ascii_only in (False, True):
        signs = [glyph(tone, ascii_only=ascii_only) for tone in Tone]
        assert len(set(signs)) == len(signs)
        assert not ascii_only or "".join(signs).isascii()
    for tone in Tone:
        colour = style(tone).color
        assert colour is None or (colour.number is not None and colour.number not in {4, 12})
