"""Names written by strangers: nothing parses them, nothing dangerous reaches the terminal."""

from __future__ import annotations

import pytest
from fake import PANES, make_frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.text import Text
from screens import HandFed, shown

from console.feed import Request
from console.tui.clipboard import osc52, tsv
from console.tui.options import ScreenOptions
from console.tui.pane_layout import Emphasis, pane_lines
from console.tui.plots import PlotArtist
from console.tui.state_line import State, state_text
from console.tui.table import RowTable

HOSTILE = {
    "markup": "a [/b] [red]x[/] [@click=app.quit]c[/]",
    "escape": "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "c1": "\x9b31m\x85\x90q\x9c",
    "lines": "one\r\ntwo\ttab\x00",
    "bidi": "abc\u202eevil\u2066\u200d\ufeff",
    "marks": "z" + "\u0301" * 500,
    "wide": "模型" * 400,
    "emoji": "👩‍👩‍👧‍👦🇩🇪❤️",
    "surrogate": "\ud800x",
    "long": "x" * 10_000,
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_hostile_names_everywhere(name: str, ascii_only: bool) -> None:
    app = HandFed(ScreenOptions(ascii=ascii_only))
    async with app.run_test(size=(130, 42)) as pilot:
        app.feed(hostile=name)
        await pilot.pause()
        lines = shown(app)
        for keys in ("2", "\r", "\x1b3z", "\r", "\x1b:", "\ry/"):
            for key in keys:
                app.commands.press({"\r": "enter", "\x1b": "escape"}.get(key, key), key)
            app.feed(step=1, hostile=name)
            await pilot.pause()
            lines += shown(app)
    for line in lines:
        assert line.isprintable() or not line
        assert not ascii_only or line.isascii()
    assert "owned\x07" not in "".join(app.written)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text(max_size=80), st.integers(1, 150), st.integers(1, 50), st.sampled_from(Emphasis))
def test_any_name_in_any_size_keeps_to_the_size(
    name: str, width: int, height: int, emphasis: Emphasis
) -> None:
    request = Request(panes=tuple(pane.name for pane in PANES))
    frame = make_frame(request, hostile=name)
    artist = PlotArtist("ascii")
    for _, view in frame.views:
        table = RowTable()
        table.load(view.table)
        lines = pane_lines(view, table, artist, (width, height), emphasis)
        assert len(lines) <= height
        assert all(isinstance(line, Text) for line in lines)
    state = state_text(State(frame.status, request, True, name), 80)
    assert state.plain.isprintable() or not state.plain


def test_a_tab_or_a_newline_cannot_add_cells_to_a_copy() -> None:
    copy = tsv([["a", "b"], ["x\ty", "1\n2"]])
    assert copy.text == "a\tb\nx y\t1 2\n"
    assert copy.rows == copy.total == 1


def test_a_copy_is_limited_to_whole_rows() -> None:
    copy = tsv([["n"], *([f"{i:099}"] for i in range(900))])
    assert len(copy.text) <= 50_000 and copy.text.endswith("\n")
    assert 0 < copy.rows < copy.total == 900


def test_the_clipboard_sequence_is_wrapped_for_multiplexers() -> None:
    assert osc52("x", {"TERM": "xterm"}) == "\x1b]52;c;eA==\x07"
    assert "\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\" in osc52("x", {"TMUX": "/run/t"})
    pieces = osc52("x" * 1000, {"STY": "1.x", "TERM": "screen"}).split("\x1b\\")
    assert all(len(piece) < 250 and piece.startswith("\x1bP") for piece in pieces if piece)
