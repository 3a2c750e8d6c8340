"""The app, fed by hand: every action, the layouts, what is asked for and what is dropped."""

from __future__ import annotations

import base64
import threading
from datetime import UTC, datetime, timedelta

import pytest
from fake import PANES, START, FakeBackend, make_frame
from screens import HandFed, shown, text
from textual import events

from console.feed import Request
from console.tui.actions import ACTIONS, GROUPS
from console.tui.app import ModelwatchApp
from console.tui.data_thread import Update
from console.tui.options import PaneInfo, ScreenOptions

WEEK = timedelta(days=7)


async def test_the_first_screen_says_it_waits() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)):
        assert "waiting for figures" in text(app)
        assert app.request.panes == ("overview",)


async def test_narrow_shows_one_pane_a_strip_and_the_state() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.pause()
        lines = shown(app)
    assert len(lines) == 24 and all(len(line) <= 80 for line in lines)
    for part in ("flight-delay", "LIVE", "11-13 02:14", "11-20 02:14 UTC", "age 42s", "RO", "▲3"):
        assert part in lines[0]
    assert "2 Performance" in lines[1]
    assert "eta has had no rows" in lines[3]
    assert lines[7].startswith("> flight-delay")
    assert lines[23].endswith("? help  q quit")


async def test_wide_shows_all_panes_and_asks_for_all() -> None:
    app = HandFed()
    async with app.run_test(size=(200, 50)) as pilot:
        app.feed()
        await pilot.pause()
        assert app.request.panes == tuple(pane.name for pane in PANES)
        for pane in PANES:
            assert f"{pane.key} {pane.title} " in text(app)
        assert "read-only" in shown(app)[0] and "3 findings" in shown(app)[0]
        await pilot.press("3", "z")
        assert app.request.panes == ("drift",)
        await pilot.press("z")
        assert len(app.request.panes) == len(PANES)


async def test_labellers_have_a_letter_where_labels_name_them() -> None:
    app = HandFed(panes=(*PANES, PaneInfo("agreement", "Agreement", -1)))
    async with app.run_test(size=(120, 24)) as pilot:
        app.feed()
        await pilot.pause()
        assert "L Agreement" in shown(app)[1]
        await pilot.press("L")
        assert app.request.panes == ("agreement",)
    app = HandFed()
    async with app.run_test(size=(120, 24)) as pilot:
        app.feed()
        await pilot.press("L")
        assert app.request.panes == ("overview",)
        assert "no deployment's labels say who gave them" in text(app)


async def test_resizing_changes_the_layout_and_the_request() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.resize_terminal(200, 50)
        await pilot.pause(0.05)
        assert len(app.request.panes) == len(PANES)
        await pilot.resize_terminal(100, 30)
        await pilot.pause(0.05)
        assert app.request.panes == ("overview",)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 3), (12, 4), (300, 3), (3, 100)])
async def test_tiny_screens_do_not_crash(size: tuple[int, int]) -> None:
    app = HandFed()
    async with app.run_test(size=size) as pilot:
        app.feed()
        for key in ("2", "j", "l", "e", "enter", "escape", "question_mark", "escape", "colon", "a"):
            await pilot.press(key)
        await pilot.press("escape", "A", "w", "escape", "greater_than_sign")
        app.feed(step=1)
        await pilot.pause()
        assert len(shown(app)) == size[1]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("size", [(80, 24), (130, 42)], ids=["narrow", "grid"])
async def test_every_action_works_by_each_of_its_keys(group: str, size: tuple[int, int]) -> None:
    app = HandFed()
    async with app.run_test(size=size) as pilot:
        app.feed()
        for action in ACTIONS:
            if action.group != group or action.id == "quit":
                continue
            for key in action.keys:
                await pilot.press(key)
                app.feed(step=1)
                if app.page == "palette" or app.commands.typing:
                    await pilot.press("escape")
                assert app.is_running, action.id


async def test_actions_work_before_any_figures() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        for action in ACTIONS:
            if action.id != "quit":
                await pilot.press(action.keys[0])
                if app.page == "palette" or app.commands.typing:
                    await pilot.press("escape")
        assert app.is_running


async def test_q_quits_with_zero() -> None:
    app = HandFed()
    async with app.run_test() as pilot:
        await pilot.press("q")
        await pilot.pause()
    assert app.return_code == 0


async def test_ctrl_c_says_how_to_quit_and_stops_nothing() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+c")
        assert "press q to quit" in text(app)
        await pilot.press("ctrl+q")
        assert app.is_running


@pytest.mark.parametrize("width", [80, 110])
async def test_a_late_frame_of_an_older_request_is_dropped(width: int) -> None:
    app = HandFed()
    async with app.run_test(size=(width, 24)) as pilot:
        app.feed()
        old = app.request
        await pilot.press("d")
        assert app.request.deployment == "fraud-scorer"
        await pilot.pause()
        assert "loading" in shown(app)[0]
        app.receive(Update(make_frame(old, 7), request=old))
        await pilot.pause()
        assert "loading" in shown(app)[0] and shown(app)[0].startswith("flight-delay")
        app.feed()
        await pilot.pause()
        assert shown(app)[0].startswith("fraud-scorer") and "loading" not in shown(app)[0]


async def test_a_pane_never_shows_figures_of_another_deployment() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.press("2")
        app.feed()
        await pilot.press("d")
        app.feed()
        await pilot.press("1")
        await pilot.pause()
        assert "waiting for figures" in text(app)


async def test_time_steps_back_and_forward_and_follows_again() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.press("[", "[")
        assert app.request.as_of == START - 2 * WEEK
        app.feed()
        await pilot.pause()
        assert "AS OF" in shown(app)[0]
        await pilot.press("]")
        assert app.request.as_of == START - WEEK
        await pilot.press("]")
        assert app.request.as_of is None
        await pilot.press("]")
        assert "already following" in text(app)
        await pilot.press("[", "=")
        assert app.request.as_of is None


async def test_windows_versions_and_segments_cycle() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.press("{")
        assert app.request.window == timedelta(days=1)
        await pilot.press("{", "{", "{", "{")
        assert app.request.window == timedelta(hours=1)
        await pilot.press(*["}"] * 9)
        assert app.request.window == timedelta(days=365)
        seen = []
        for _ in range(3):
            await pilot.press("n")
            seen.append(app.request.version)
        assert seen == ["v1", "v2", None]
        await pilot.press("b")
        assert app.request.segment == "origin"
        app.feed()
        await pilot.pause()
        assert "origin" in shown(app)[0]


async def test_enter_on_a_deployment_selects_it_and_shows_its_performance() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.press("j", "enter")
        assert app.request == Request(panes=("performance",), deployment="fraud-scorer")


async def test_detail_opens_updates_live_and_closes() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 40)) as pilot:
        await pilot.press("2")
        app.feed()
        await pilot.press("enter")
        await pilot.pause()
        assert "Performance: AUC of all versions" in text(app)
        assert "intervals are Wilson" in text(app)
        before = text(app)
        app.feed(step=3)
        await pilot.pause()
        assert text(app) != before
        await pilot.press("j", "G", "g", "escape")
        await pilot.pause()
        assert app.page == "" and "metric" in text(app)


async def test_filter_is_typed_kept_and_cleared() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("3")
        app.feed()
        await pilot.press("/", "_", "1", "1", "q")
        assert app.is_running and app.pane.table.filter == "_11q"
        assert shown(app)[-1].startswith("/_11q")
        await pilot.press("backspace", "enter")
        assert "of 120" in text(app)
        await pilot.press("j")
        assert app.pane.table.cursor.key == "f111"  # type: ignore[union-attr]
        app.feed(step=5)
        assert app.pane.table.cursor.key == "f111"  # type: ignore[union-attr]
        await pilot.press("/", "x", "escape")
        assert app.pane.table.filter == "_11"
        await pilot.press("escape")
        assert app.pane.table.filter == ""


async def test_a_typed_time_moves_the_cursor_and_a_wrong_one_says_why() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.press("t", *"2013-02-12 14:00", "enter")
        assert app.request.as_of == datetime(2013, 2, 12, 14, tzinfo=UTC)
        await pilot.press("t", *"noon", "enter")
        assert "no time" in shown(app)[-1]
        assert app.request.as_of == datetime(2013, 2, 12, 14, tzinfo=UTC)
        await pilot.press("t", *"9999-01-01", "enter")
        assert app.request.as_of is None
        await pilot.press("t", *"2013-02-12", "escape")
        assert app.request.as_of is None


async def test_a_paste_never_presses_keys() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        app.post_message(events.Paste("q\x1b[31mq"))
        await pilot.pause()
        assert app.is_running
        await pilot.press("/")
        app.post_message(events.Paste("et\x1b[31ma\nq"))
        await pilot.pause()
        assert app.pane.table.filter == "et?[31ma q"


async def test_copy_sends_the_table_as_tsv_by_osc_52(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.press("/", "e", "t", "a", "enter", "y")
    assert app.written[0].startswith("\x1b]52;c;") and app.written[0].endswith("\x07")
    copied = base64.b64decode(app.written[0][7:-1]).decode().splitlines()
    assert copied[0].split("\t")[:2] == ["deployment", "state"]
    assert [line.split("\t")[0] for line in copied[1:]] == ["eta"]


async def test_palette_finds_deployments_and_actions() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.press(":", *"fraud", "enter")
        assert app.request.deployment == "fraud-scorer" and app.page == ""
        await pilot.press("ctrl+p", *"pane: drift", "enter")
        assert app.pane.info.name == "drift"
        await pilot.press(":", *"no such thing", "enter")
        assert app.page == "palette" and "esc goes back" in text(app)
        await pilot.press("escape")
        assert app.page == ""


async def test_pause_is_said_and_passed_on() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.press("p")
        await pilot.pause()
        assert "PAUSED" in shown(app)[0] and app.data._paused
        await pilot.press("p")
        await pilot.pause()
        assert "PAUSED" not in shown(app)[0] and not app.data._paused


async def test_an_equal_frame_repaints_nothing_and_a_changed_row_only_itself() -> None:
    app = HandFed()
    async with app.run_test(size=(80, 24)) as pilot:
        app.feed()
        await pilot.pause()
        regions: list[object] = []
        pane = app.pane
        refresh = pane.refresh
        pane.refresh = lambda *r, **k: (regions.extend(r or ("all",)), refresh(*r, **k))[1]  # type: ignore
        app.feed()
        assert regions == []
        app.feed(step=1)
        assert regions and "all" not in regions and len(regions) <= 3


async def test_a_failing_backend_is_a_sentence_and_recovers() -> None:
    backend = FakeBackend(error="the store is locked by pid 7 [/b]")
    app = ModelwatchApp(
        lambda: backend, PANES, initial=Request(panes=("overview",)),
        options=ScreenOptions(refresh_s=0.01),
    )  # fmt: skip
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "the store is locked by pid 7 [/b]" in text(app))
        backend.error = ""
        await pilot.press("r")
        await until(pilot, lambda: "> flight-delay" in text(app))
        await until(pilot, lambda: "locked" not in text(app))


async def test_keys_paint_while_a_query_runs_and_quit_interrupts_it() -> None:
    gate = threading.Event()
    backend = FakeBackend(gate=gate)
    app = ModelwatchApp(lambda: backend, PANES, initial=Request(panes=("overview",)))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(backend.requests))
        await pilot.press("?")
        await pilot.pause()
        assert "Show every key." in text(app) or "Go to the next pane" in text(app)
        gate.set()
        await pilot.press("q")
    assert backend.closed


async def test_a_pane_that_cannot_be_drawn_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = HandFed()
    async with app.run_test(size=(200, 50)) as pilot:
        monkeypatch.setattr(app.panes[1].table, "lines", lambda *a, **k: 1 / 0)
        app.feed()
        await pilot.pause()
        assert "this pane could not be drawn (ZeroDivisionError)" in text(app)
        assert "feature_000" in text(app)


async def test_the_mouse_chooses_a_pane() -> None:
    app = HandFed()
    async with app.run_test(size=(200, 50)) as pilot:
        app.feed()
        await pilot.click("#pane-5", offset=(5, 3))
        await pilot.pause()
        assert app.pane.info.name == "traffic"


async def test_clashing_keys_are_said_at_start() -> None:
    app = HandFed(ScreenOptions(keys={"deployment": "j"}))
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause()
        assert 'The key "j" is set for deployment' in shown(app)[-1]
        await pilot.press("?")
        await pilot.pause()
        assert 'The key "j" is set for deployment' in text(app)


async def test_an_error_in_the_app_leaves_with_a_sentence_and_a_log_without_values(
    tmp_path, capsys
) -> None:  # type: ignore[no-untyped-def]
    log = tmp_path / "state" / "modelwatch.log"
    app = HandFed(ScreenOptions(log_file=log))

    def broken() -> None:
        value = "hunter2"
        raise ValueError(f"token {value}")

    with pytest.raises(ValueError, match="token"):
        async with app.run_test(size=(80, 24)) as pilot:
            app.commands.refresh = broken  # type: ignore[method-assign]
            await pilot.press("r")
            await pilot.pause()
    assert app.return_code == 3
    assert "ValueError" in app.crash and str(log) in app.crash
    assert "in broken" in log.read_text() and "hunter2" not in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    err = capsys.readouterr().err
    assert "hunter2" not in err and "Traceback" not in err


async def until(pilot, condition) -> None:  # type: ignore[no-untyped-def]
    for _ in range(500):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never came to be")
