"""The screen's backend: what it says while it starts, and the frames it answers with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import awkward
import pytest

from collectors.errors import SourceError
from collectors.store.database import Database
from console.clocks import FixedClock, SteppedClock
from console.config import load_config
from console.feed import Explain, Frame, Mode, Request
from console.panes import PANES
from console.session import MOST_FAILURES, Session

CLOCK = awkward.at(awkward.ROWS)
WEEK = timedelta(days=7)

Made = Callable[..., Session]


@pytest.fixture
def session_of(awkward_config: Path) -> Iterator[Made]:
    """Makes sessions over the awkward store, and closes them."""
    config = load_config(awkward_config)
    made: list[Session] = []

    def make(clock: object = None, **more: object) -> Session:
        database = Database(awkward_config.parent / "store.duckdb", config.engine(), read_only=True)
        clock = clock or FixedClock(CLOCK)
        made.append(Session(database, config.deployment, clock, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for session in made:
        session.close()


def rows(frame: Frame, pane: str) -> int:
    return len(dict(frame.views)[pane].table.rows)


def test_a_frame_holds_the_asked_panes_in_their_order(session_of: Made) -> None:
    frame = session_of().frame(Request(("drift", "performance"), window=WEEK))
    assert [name for name, _ in frame.views] == ["drift", "performance"]
    assert rows(frame, "performance") > 0
    status = frame.status
    assert status.deployment == "binary"
    assert status.deployments == ("binary", "multi", "number", "bare", "scoreless")
    assert set(status.versions) == set(awkward.VERSIONS)
    assert status.segments == ("[bold]kind", "band")
    assert (status.mode, status.clock, status.problem) == (Mode.OFFLINE, CLOCK, "")
    assert status.end <= CLOCK
    assert status.findings > 0


def test_every_pane_of_every_deployment_is_answered(session_of: Made) -> None:
    session = session_of()
    asked = tuple(name for name in PANES if name != "overview")
    for name in ("binary", "multi", "number", "bare", "scoreless"):
        frame = session.frame(Request(asked, deployment=name, window=WEEK))
        assert frame.status.deployment == name
        assert tuple(pane for pane, _ in frame.views) == asked


def test_the_same_request_at_the_same_moment_is_the_same_frame(session_of: Made) -> None:
    session = session_of()
    request = Request(("traffic",), window=WEEK)
    assert session.frame(request) is session.frame(request)
    assert session.frame(Request(("data",), window=WEEK)) is not session.frame(request)


def test_the_past_is_shown_as_it_was(session_of: Made) -> None:
    session = session_of()
    moment = awkward.at(50)
    frame = session.frame(Request(("traffic",), window=WEEK, as_of=moment))
    assert frame.status.mode is Mode.AS_OF
    assert frame.status.end == moment
    assert frame.status.clock == CLOCK
    seen = sum(int(r.cells[1].text) for r in dict(frame.views)["traffic"].table.rows)
    assert seen == 50


def test_a_future_cursor_is_held_at_the_clock(session_of: Made) -> None:
    frame = session_of().frame(Request(("data",), window=WEEK, as_of=CLOCK + WEEK))
    assert frame.status.end <= CLOCK


def test_an_unknown_deployment_is_the_first_one(session_of: Made) -> None:
    frame = session_of().frame(Request(("performance",), deployment="nope", window=WEEK))
    assert frame.status.deployment == "binary"
    assert rows(frame, "performance") > 0


def test_an_unknown_segment_is_a_problem_and_still_a_picture(session_of: Made) -> None:
    frame = session_of().frame(Request(("performance",), window=WEEK, segment="colour"))
    assert "no segment 'colour'" in frame.status.problem
    assert dict(frame.views)["performance"].title == "Performance"


def test_a_problem_goes_with_the_request_that_had_it(session_of: Made) -> None:
    session = session_of()
    session.frame(Request(("performance",), window=WEEK, segment="colour"))
    assert session.frame(Request(("performance",), window=WEEK)).status.problem == ""


def test_a_segment_without_values_gives_empty_tables(session_of: Made) -> None:
    session = session_of()
    frame = session.frame(
        Request(("performance", "subgroups"), window=WEEK, segment="band=nothing")
    )
    assert frame.status.problem == ""
    assert (rows(frame, "performance"), rows(frame, "subgroups")) == (0, 0)
    bare = session.frame(Request(("subgroups",), deployment="bare", window=WEEK))
    assert "no segments" in dict(bare.views)["subgroups"].table.empty


def test_a_version_that_never_was_gives_empty_tables(session_of: Made) -> None:
    frame = session_of().frame(Request(("performance", "drift"), window=WEEK, version="v99"))
    assert (rows(frame, "performance"), rows(frame, "drift")) == (0, 0)


def test_starting_says_what_it_does_and_then_shows_figures(session_of: Made) -> None:
    def start() -> Iterator[str]:
        yield "reading the references"
        yield "building the rollups"

    session = session_of(start=start)
    request = Request(("traffic", "drift"), window=WEEK)
    assert session.starting
    first = session.frame(request)
    assert first.status.progress == "opening the store"
    assert [name for name, _ in first.views] == ["traffic", "drift"]
    for _, view in first.views:
        assert view.table.rows == ()
        assert any("opening the store" in cell.text for cell in view.headline)
    said = []
    while session.starting:
        assert session.advance()
        said.append(session.frame(request).status.progress)
    assert said == ["reading the references", "building the rollups", ""]
    assert rows(session.frame(request), "traffic") > 0


def test_a_feed_that_fails_is_a_problem_until_it_works_again(session_of: Made) -> None:
    broken = [True]

    def feed() -> bool:
        if broken[0]:
            raise SourceError("the disk is gone", "bring it back")
        return True

    session = session_of(feed=feed)
    request = Request(("data",), window=WEEK)
    session.frame(request)
    assert session.advance()  # so that the screen asks for a frame, though no clock moves
    assert "bring it back" in session.frame(request).status.problem
    assert not session.advance()
    assert "bring it back" in session.frame(Request(("traffic",), window=WEEK)).status.problem
    broken[0] = False
    assert session.advance()
    assert session.frame(request).status.problem == ""


def test_a_replay_is_finished_when_all_up_to_its_end_is_loaded(session_of: Made) -> None:
    end = CLOCK + timedelta(hours=7)
    loaded: list[object] = []
    clock = SteppedClock(CLOCK, end, timedelta(hours=6))

    def feed() -> bool:
        loaded.append(clock.now())
        return True

    session = session_of(clock, feed=feed, end=end)
    assert not session.finished
    while not session.finished:
        session.advance()
    assert loaded == [CLOCK + timedelta(hours=6), end]


def test_a_feed_that_keeps_failing_is_given_up_with_its_reason(session_of: Made) -> None:
    broken = [True]

    def feed() -> bool:
        if broken[0]:
            raise SourceError("the disk is full")
        return False

    end = CLOCK + timedelta(hours=7)
    session = session_of(SteppedClock(CLOCK, end, timedelta(hours=6)), feed=feed, end=end)
    for _ in range(MOST_FAILURES - 1):
        session.advance()
        assert session.failed == ""
    session.advance()
    assert "the disk is full" in session.failed
    # what was not loaded is not behind us
    assert not session.finished
    broken[0] = False
    session.advance()
    assert session.failed == ""
    assert session.finished


def test_failures_count_only_in_a_row(session_of: Made) -> None:
    turns = [0]

    def feed() -> bool:
        turns[0] += 1
        if turns[0] % MOST_FAILURES:
            raise SourceError("the disk is slow")
        return False

    session = session_of(feed=feed)
    for _ in range(4 * MOST_FAILURES):
        session.advance()
        assert session.failed == ""


def test_new_rows_make_a_new_frame(session_of: Made) -> None:
    came = [False]
    session = session_of(feed=lambda: came[0])
    request = Request(("traffic",), window=WEEK)
    first = session.frame(request)
    session.advance()
    assert session.frame(request) is first
    came[0] = True
    session.advance()
    assert session.frame(request) is not first


# the quick part first


def test_what_was_not_on_the_screen_comes_pane_by_pane_and_the_findings_after(
    session_of: Made,
) -> None:
    session = session_of()
    request = Request(("performance", "traffic"), window=WEEK)
    frames = list(session.frames(request))
    assert [[name for name, _ in f.views] for f in frames] == [
        ["performance"],
        ["performance", "traffic"],
        ["performance", "traffic"],
    ]
    assert [f.status.findings is None for f in frames] == [True, True, False]
    # only the findings are missing at first
    assert {f.status.data_age for f in frames} == {frames[-1].status.data_age}
    assert frames[-1].status.findings
    # what is there already stays: another pane of the same picture
    first, *_ = session.frames(Request(("data",), window=WEEK))
    assert first.status == frames[-1].status


def test_the_overview_grows_by_deployments_and_says_so(session_of: Made) -> None:
    session = session_of()
    frames = list(session.frames(Request(("overview", "traffic"), window=WEEK, deployment="multi")))
    assert [name for name, _ in frames[0].views] == ["traffic"]
    views = [dict(f.views)["overview"] for f in frames[1:]]
    assert views[0].table.rows[0].key == "multi"
    assert ["so far" in v.headline[-1].text for v in views] == [True] * 4 + [False] * 2
    assert "4 of 5 deployments" in views[3].headline[-1].text
    assert [len([r for r in v.table.rows if "/" not in r.key]) for v in views] == [1, 2, 3, 4, 5, 5]
    assert views[-1] == dict(session.frame(frames[-1].request).views)["overview"]
    session.frame(Request(("data",), window=WEEK, deployment="multi"))
    first, *_ = session.frames(Request(("overview",), window=WEEK, deployment="multi"))
    assert dict(first.views)["overview"] == views[-1]  # it is on the screen already


def test_a_refresh_comes_whole(session_of: Made) -> None:
    session = session_of(feed=lambda: True)
    request = Request(("performance", "traffic"), window=WEEK)
    session.frame(request)
    session.advance()
    (frame,) = session.frames(request)
    assert len(frame.views) == 2 and frame.status.findings is not None


def test_findings_of_another_deployment_or_window_are_not_kept(session_of: Made) -> None:
    session = session_of()
    assert session.frame(Request(("traffic",), window=WEEK)).status.findings
    for other in (
        Request(("traffic",), window=WEEK, deployment="multi"),
        Request(("traffic",), window=WEEK, deployment="multi", as_of=awkward.at(50)),
    ):
        first, *_ = session.frames(other)
        assert first.status.findings is None
        assert first.status.data_age is not None


def test_an_answer_that_was_broken_off_is_made_again(session_of: Made) -> None:
    session = session_of()
    session.frame(Request(("traffic",), window=WEEK))
    request = Request(("data", "drift"), window=WEEK)
    next(session.frames(request))  # then nobody wants the rest
    frame = session.frame(request)
    assert [name for name, _ in frame.views] == ["data", "drift"]
    assert frame.status.findings is not None


def test_an_explanation_comes_after_the_panes(session_of: Made) -> None:
    session = session_of()
    table = dict(session.frame(Request(("performance",), window=WEEK)).views)["performance"].table
    explain = Explain("performance", table.rows[0].key, table.columns[3].title)
    request = Request(("performance",), window=WEEK, explain=explain)
    frames = list(session.frames(request))
    assert all(f.explained is None and f.views for f in frames[:-1])
    assert frames[-1].explained is not None and frames[-1].explained.headline
    assert session.frame(request) is session.frame(request)


def test_panes_looked_at_one_after_the_other_are_of_one_moment(session_of: Made) -> None:
    """And nothing is read twice, so a threshold that moves costs no query."""
    clock = [CLOCK]

    class Moving(FixedClock):
        def now(self) -> datetime:
            return clock[0]

    session = session_of(Moving(CLOCK), feed=lambda: False)
    request = Request(("performance",), window=WEEK)
    first = session.frame(request)
    clock[0] += timedelta(seconds=5)
    asked = count_queries(session)
    moved = session.frame(replace(request, threshold=0.42))
    assert moved.status.clock == first.status.clock == CLOCK
    assert asked == []
    assert session.frame(replace(request, threshold=0.42)).status.clock == clock[0]
    assert asked != []


def test_a_new_row_ends_the_moment(session_of: Made) -> None:
    session = session_of(feed=lambda: True)
    session.frame(Request(("traffic",), window=WEEK))
    asked = count_queries(session)
    session.advance()
    session.frame(Request(("performance",), window=WEEK))
    assert asked != []


def test_a_threshold_is_there_to_move_where_there_is_a_score(session_of: Made) -> None:
    session = session_of()
    found = {
        name: session.frame(Request(("traffic",), window=WEEK, deployment=name)).status.threshold
        for name in session.frame(Request(("traffic",), window=WEEK)).status.deployments
    }
    assert found["binary"] is not None
    assert found["multi"] is found["number"] is found["scoreless"] is None


def test_what_cannot_be_compared_with_is_a_problem_and_still_a_picture(session_of: Made) -> None:
    frame = session_of().frame(Request(("performance",), window=WEEK, against="yesteryear"))
    assert "cannot compare with 'yesteryear'" in frame.status.problem
    assert rows(frame, "performance") > 0


def count_queries(session: Session) -> list[str]:
    """The names of the queries from here on."""
    asked: list[str] = []
    answer = session.reader.answer

    def counted(memo: Any, name: str, *more: Any) -> Any:
        asked.append(name)
        return answer(memo, name, *more)

    session.reader.answer = counted  # type: ignore[method-assign]
    return asked


def test_intervals_hold_at_every_look_only_where_someone_watches_rows_come(
    session_of: Made,
) -> None:
    request = Request(("performance",), window=WEEK)
    assert not session_of().frame(request).status.watched
    replay = session_of(SteppedClock(CLOCK, CLOCK, timedelta(hours=6)))
    assert replay.frame(request).status.watched
    assert not replay.frame(replace(request, as_of=awkward.at(50))).status.watched
