"""The cursor on a figure, why it changed, what it is compared with, and another threshold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fake import explanation, make_frame
from rich.style import Style
from screens import HandFed, shown, text

from console.feed import Explain, Frame, Request
from console.tui.data_thread import Update
from console.tui.requests import (
    against_text,
    difference,
    move_threshold,
    next_against,
    same_picture,
    select_deployment,
)
from console.tui.state_line import State, state_text
from console.tui.table import RowTable
from console.views.model import Cell, Column, Row, Table, Tone

STATUS = make_frame(Request(("performance",))).status
TABLE = Table(
    (
        Column("version", flexible=True),
        Column("n", right=True),
        Column("labelled", right=True, priority=1),
        Column("F1", right=True),
        Column("AUC", right=True, priority=3),
        Column("state", priority=4),
    ),
    (
        Row("v1", tuple(map(Cell, ("v1", "214", "100%", "0.394", "0.695", "fine")))),
        Row("v2", (Cell("v2"), Cell("9"), Cell("1%"), Cell("0.1", Tone.BAD), Cell(""), Cell(""))),
    ),
)


def loaded(width: int = 80) -> RowTable:
    drawn = RowTable()
    drawn.load(TABLE)
    drawn.lines(width, 10)
    return drawn


def title(drawn: RowTable) -> str | None:
    return drawn.figure.title if drawn.figure else None


def reversed_text(drawn: RowTable, line: int, width: int = 80) -> str:
    """What is drawn in reverse video on a line."""
    shown = drawn.lines(width, 10)[line]
    spans = [s for s in shown.spans if isinstance(s.style, Style) and s.style.reverse]
    return "".join(shown.plain[s.start : s.end] for s in spans)


def test_the_cursor_begins_on_the_headline_figure_and_not_on_a_count() -> None:
    assert title(loaded()) == "F1"


def test_the_column_moves_between_the_ends_and_stays_through_refreshes() -> None:
    drawn = loaded()
    drawn.move_column(1)
    assert title(drawn) == "AUC"
    drawn.load(replace(TABLE, rows=TABLE.rows[:1]))
    assert title(drawn) == "AUC"
    for _ in range(9):
        drawn.move_column(1)
    assert title(drawn) == "state"
    for _ in range(9):
        drawn.move_column(-1)
    assert title(drawn) is None  # the name of the row is no figure
    drawn.move_column(1)
    assert title(drawn) == "n"


def test_only_columns_with_room_are_gone_to_and_a_chosen_one_comes_back() -> None:
    drawn = loaded()
    drawn.move_column(1)
    drawn.lines(24, 10)
    assert title(drawn) == "F1"
    drawn.lines(80, 10)
    assert title(drawn) == "AUC"
    drawn.lines(24, 10)
    drawn.move_column(1)
    assert title(drawn) == "F1"  # the last one that is shown here


def test_the_figure_is_a_gap_in_the_bar_and_its_title_is_reversed() -> None:
    drawn = loaded()
    assert reversed_text(drawn, 0).strip() == "F1"
    bar = reversed_text(drawn, 1)
    assert "v1" in bar and "0.695" in bar and "0.394" not in bar
    lines = drawn.lines(80, 10)
    assert all(line.plain == line.plain[:80] for line in lines)
    assert not [s for s in lines[2].spans if isinstance(s.style, Style) and s.style.reverse]
    unfocused = drawn.lines(80, 10, focused=False)
    assert not any(
        isinstance(s.style, Style) and s.style.reverse for line in unfocused for s in line.spans
    )


def test_an_empty_cell_or_an_empty_table_has_no_figure() -> None:
    drawn = loaded()
    drawn.move(1)
    assert title(drawn) == "F1"
    drawn.move_column(1)
    assert title(drawn) is None
    assert title(RowTable()) is None
    RowTable().move_column(1)
    drawn.load(Table((), ()))
    assert title(drawn) is None


async def test_each_pane_keeps_its_own_column() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("3")
        app.feed()
        await pilot.press("l")
        await pilot.press("2")
        app.feed()
        await pilot.press("h", "left", "right", "l")
        assert app.pane.table.figure is not None
        await pilot.press("3")
        assert app.pane.table.figure is not None and app.pane.table.figure.title == "JS"


# why it changed


async def test_e_asks_says_that_it_explains_shows_the_page_and_goes_back() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        app.feed()
        await pilot.press("j", "e")
        explain = Explain("performance", "accuracy", "value")
        assert app.request.explain == explain
        assert app.request.panes == ("performance",)
        await pilot.pause()
        assert "Why value of accuracy (Performance)" in text(app)
        assert "explaining …" in text(app)
        assert "loading" not in shown(app)[0]  # the picture is the same
        app.feed()  # the panes come first
        await pilot.pause()
        assert "explaining …" in text(app)
        answer(app, step=1)
        await pilot.pause()
        assert "origin=EWR explains 92 %" in text(app) and "explaining" not in text(app)
        assert "Slices that stand out" in text(app) and "7 slices were looked at" in text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert app.request.explain is None and app.page == ""
        assert "metric" in text(app)


async def test_an_explanation_follows_the_clock_and_keeps_its_place() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.press("2")
        app.feed()
        await pilot.press("e")
        answer(app, step=1)
        await pilot.pause()
        assert "step 1" in text(app)
        app.feed(step=2)
        await pilot.pause()
        assert "step 1" in text(app)  # until the newer one is there
        answer(app, step=2)
        await pilot.pause()
        assert "step 2" in text(app)
        await pilot.press("G")
        answer(app, step=3)
        await pilot.pause()
        assert "7 slices were looked at" in text(app)


async def test_an_explanation_of_another_picture_is_not_shown() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        app.feed()
        await pilot.press("e")
        answer(app, step=1)
        await pilot.press("a")
        assert app.request.explain is not None and app.request.against == "before"
        app.feed()
        await pilot.pause()
        assert "explaining …" in text(app) and "step 1" not in text(app)
        answer(app, step=2)
        await pilot.pause()
        assert "step 2" in text(app)
        await pilot.press("escape", "l", "l", "e")
        await pilot.pause()
        assert "explaining …" in text(app)


@pytest.mark.parametrize("keys", [("3",), ("tab",), ("escape",), (":", "escape"), ("?",)])
async def test_leaving_the_page_stops_explaining(keys: tuple[str, ...]) -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        app.feed()
        await pilot.press("e")
        assert app.request.explain is not None
        await pilot.press(*keys)
        assert app.request.explain is None


async def test_e_without_a_figure_is_a_sentence() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "e")
        assert "no figure here" in shown(app)[-1]
        app.feed()
        await pilot.press("h", "h", "h", "e")
        assert "no figure here" in shown(app)[-1]
        assert app.request.explain is None and app.page == ""
        await pilot.press("/", "z", "z", "z", "enter", "e")
        assert "no figure here" in shown(app)[-1]


async def test_e_explains_from_the_detail_of_a_row_too() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        app.feed()
        await pilot.press("enter", "e")
        assert app.page == "explain"
        await pilot.press("e")
        assert "esc goes back" in shown(app)[-1]


async def test_a_hostile_explanation_stays_text() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        app.feed()
        await pilot.press("e")
        answer(app, hostile="[/b]\x1b[31m\u202e")
        await pilot.pause()
        assert "[/b]?[31m" in text(app) and "\x1b" not in text(app)


def answer(app: HandFed, step: int = 0, hostile: str = "") -> None:
    assert app.request.explain is not None
    frame: Frame = make_frame(app.request, step)
    view = explanation(app.request.explain, step, hostile)
    app.receive(Update(replace(frame, explained=view), request=app.request))


# what it is compared with


def test_comparisons_cycle_and_leave_out_the_version_that_is_shown() -> None:
    request = Request(("performance",), version="v1")
    seen = []
    for _ in range(4):
        request = next_against(request, STATUS)
        seen.append(request.against)
    assert seen == ["before", "week", "version=v2", None]
    assert next_against(Request((), against="known=2013-02-12"), STATUS).against is None


@pytest.mark.parametrize(
    ("against", "words"),
    [
        (None, "reference"),
        ("before", "window before"),
        ("week", "week before"),
        ("version=v=2", "version v=2"),
        ("known=2013-02-12", "known 2013-02-12"),
        ("2013-02-12..2013-02-13", "2013-02-12..2013-02-13"),
    ],
)
def test_a_comparison_in_words(against: str | None, words: str) -> None:
    assert against_text(against) == words


async def test_a_goes_through_comparisons_and_the_state_line_says_which() -> None:
    app = HandFed()
    async with app.run_test(size=(120, 24)) as pilot:
        app.feed()
        await pilot.press("a")
        await pilot.pause()
        assert "loading vs window before" in shown(app)[0]
        app.feed()
        await pilot.pause()
        assert "vs window before" in shown(app)[0] and "loading" not in shown(app)[0]
        await pilot.press("a", "a", "a")
        assert app.request.against == "version=v2"
        await pilot.press("d")
        assert app.request.against is None  # its versions are not those of the other
        await pilot.press(":", *"compare with: week", "enter")
        assert app.request.against == "week"
        await pilot.press(":", *"compare with: reference", "enter")
        assert app.request.against is None


async def test_a_typed_comparison_is_checked_before_it_is_asked_for() -> None:
    app = HandFed()
    async with app.run_test(size=(120, 24)) as pilot:
        app.feed()
        await pilot.press("A", *"last year", "enter")
        assert "cannot compare with 'last year'" in shown(app)[-1]
        assert app.request.against is None
        await pilot.press("A", *"2013-02-12..2013-02-13", "enter")
        assert app.request.against == "2013-02-12..2013-02-13"
        await pilot.press("A", *"nonsense", "escape")
        await pilot.press("A", "enter")
        assert app.request.against == "2013-02-12..2013-02-13"
        await pilot.press("A", *"reference", "enter")
        assert app.request.against is None


# another threshold


def test_a_threshold_moves_from_the_one_in_service_and_stays_within_its_range() -> None:
    request = Request(("performance",))
    up = move_threshold(request, STATUS, 1)
    assert up.threshold == 0.51
    assert move_threshold(up, STATUS, -1).threshold == 0.5
    for steps, end in ((500, 1.0), (-500, 0.0)):
        assert move_threshold(up, STATUS, steps).threshold == end
    assert move_threshold(request, replace(STATUS, threshold=None), 1) == request


async def test_the_threshold_moves_on_the_performance_pane_only() -> None:
    app = HandFed()
    async with app.run_test(size=(120, 24)) as pilot:
        app.feed()
        await pilot.press(">")
        assert app.request.threshold is None
        assert "moves on the performance pane" in shown(app)[-1]
        await pilot.press("2")
        app.feed()
        await pilot.press(">", ">", ">", "<")
        assert app.request.threshold == 0.52
        app.feed()
        await pilot.pause()
        assert "threshold 0.52" in shown(app)[0]
        await pilot.press("_")
        assert app.request.threshold is None
        await pilot.press("_")
        assert "in service" in shown(app)[-1]


async def test_a_threshold_that_was_passed_is_still_shown() -> None:
    app = HandFed()
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.press("2")
        app.feed()
        await pilot.press(">")
        passed = app.request
        await pilot.press(">")
        app.receive(Update(make_frame(passed), request=passed))
        await pilot.pause()
        assert "thr 0.51" in shown(app)[0]
        assert "loading threshold 0.52" in shown(app)[0]


async def test_without_a_score_there_is_no_threshold_to_move() -> None:
    app = HandFed()
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.press("2")
        frame = make_frame(app.request)
        frame = replace(frame, status=replace(frame.status, threshold=None))
        app.receive(Update(frame, request=app.request))
        await pilot.press(">")
        assert app.request.threshold is None
        assert "no threshold of a score" in shown(app)[-1]


def test_another_deployment_has_its_own_threshold() -> None:
    request = Request((), against="version=v1", threshold=0.3, version="v2")
    other = select_deployment(request, "eta")
    assert (other.against, other.threshold, other.version) == (None, None, None)
    assert select_deployment(replace(request, against="week"), "eta").against == "week"


# the state line


def test_the_findings_stay_on_a_narrow_state_line() -> None:
    shown = Request((), version="v1", against="before", threshold=0.42)
    line = state_text(State(STATUS, shown), 80).plain
    assert len(line) <= 80
    for part in ("flight-delay", "v1", "vs before", "thr 0.42", "11-20 02:14 UTC", "▲3"):
        assert part in line


def test_what_is_loading_is_named() -> None:
    old = Request(("performance",))
    assert difference(old, replace(old, against="week")) == "vs week before"
    assert difference(old, replace(old, threshold=0.42)) == "threshold 0.42"
    assert difference(replace(old, threshold=0.42), old) == "threshold in service"
    assert difference(old, replace(old, window=timedelta(days=1))) == "1d"
    assert same_picture(old, replace(old, explain=Explain("performance", "a", "b")))


# which intervals


@pytest.mark.parametrize(("watched", "words"), [(True, "every look"), (False, "one look")])
async def test_a_pane_says_how_often_one_may_look_at_its_intervals(
    watched: bool, words: str
) -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        frame = make_frame(app.request)
        frame = replace(frame, status=replace(frame.status, watched=watched))
        app.receive(Update(frame, request=app.request))
        await pilot.pause()
        assert f"intervals: {words}  1/8" in shown(app)[2]
        await pilot.press("3")
        app.feed()
        await pilot.pause()
        assert "intervals" not in shown(app)[2]
