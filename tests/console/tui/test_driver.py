"""The cell-diffing driver in a real pseudo-terminal, beside the stock one."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.tui.driver_screen import Screen, blank_row, changes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pty")

ROOT = Path(__file__).parents[3]
WITHIN = 20.0  # seconds until a condition counts as never true; not a timing assertion

APP = r"""
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from textual.app import App
from textual.containers import Grid
from textual.screen import ModalScreen
from textual.widgets import RichLog, Static
from rich.text import Text
from textual.drivers.linux_driver import LinuxDriver
from console.tui.driver import CellDiffDriver

class Ask(ModalScreen):
    CSS = "Ask { align: center middle; } Ask Static { width: 30; height: 7; border: heavy red; }"
    BINDINGS = [("escape", "dismiss", "close")]
    def compose(self):
        yield Static(Text("really? 東京 \N{FAMILY} ok", "bold reverse"))

class Panes(App):
    CSS = '''
    Grid { grid-size: 3 2; } .pane { border: round green; background: $panel; }
    Screen { layers: base; } RichLog { height: 6; }
    '''
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [("u", "update", ""), ("m", "ask", ""), ("s", "scroll", ""), ("q", "quit", ""),
                ("r", "redraw", ""), ("b", "busy", ""), ("f", "flood", "")]
    n = 0
    def compose(self):
        with Grid():
            for i in range(6):
                yield Static(classes="pane", id=f"p{i}")
        log = RichLog(id="log")
        yield log
    def on_mount(self):
        self.show()
        log = self.query_one("#log", RichLog)
        for i in range(60):
            log.write(Text(f"line {i} é 中文 " + "·" * (i % 30), "cyan"))
    def show(self):
        for i in range(6):
            values = [(j * 37 + self.n * (j == i)) % 1000 for j in range(8)]
            rows = [Text(f"row {j:2d}  v{j}  {value:6d}") for j, value in enumerate(values)]
            rows.insert(0, Text(f"tick {self.n} 東{self.n}", "bold yellow"))
            self.query_one(f"#p{i}", Static).update(Text("\n").join(rows))
    def action_update(self):
        self.n += 1
        self.show()
    def action_ask(self): self.push_screen(Ask())
    def action_scroll(self): self.query_one("#log").scroll_relative(y=-3, animate=False)
    def action_redraw(self): self._driver.invalidate()
    def action_busy(self):
        import time
        time.sleep(600)
    def action_flood(self):
        self.left = 300
        self.step()
    def step(self):
        self.action_update()
        self.left -= 1
        if self.left: self.set_timer(0.002, self.step)
        else: open(sys.argv[2], "w").close()

app = Panes(driver_class=CellDiffDriver if sys.argv[1] == "cells" else LinuxDriver)
app.run()
sys.exit(app.return_code or 0)
"""


class Terminal:
    """An emulated terminal running the app above; `sent` counts the bytes it received."""

    def __init__(self, driver: str, size: tuple[int, int], flag: Path) -> None:
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.sent = 0
        self.log = b""
        self.master, slave = os.openpty()
        self.slave_name = os.ttyname(slave)
        self._set_size(*size)
        env = {
            **{k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG"}},
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "TEXTUAL_ANIMATIONS": "none",
            "TEXTUAL_DISABLE_KITTY_KEY": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", APP, driver, str(flag)],
            stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        self._set_size(columns, lines)

    def read(self, timeout: float = 0.05) -> bytes:
        if self.master < 0 or not select.select([self.master], (), (), timeout)[0]:
            return b""
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return b""
        self.sent += len(data)
        self.log += data
        # pyte takes `ESC[<u` for text, and knows no DECRQM.
        self.stream.feed(re.sub(rb"\x1b\[[<>?][0-9]*(?:u|\$p)", b"", data))
        return data

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WITHIN
        while not condition():
            assert time.monotonic() < deadline, "\n".join(self.screen.display)
            self.read()

    def settle(self) -> None:
        """Read until nothing more comes: the app is idle between key presses."""
        while self.read(0.25):
            pass

    def press(self, keys: str) -> None:
        for key in keys:
            os.write(self.master, key.encode())
            self.settle()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def close(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


@contextmanager
def running(driver: str, size: tuple[int, int], tmp: Path) -> Iterator[Terminal]:
    terminal = Terminal(driver, size, tmp / f"flag-{driver}")
    try:
        terminal.until(lambda: any("line 59" in line for line in terminal.screen.display))
        terminal.settle()
        yield terminal
    finally:
        if not terminal.ended():
            terminal.process.kill()
        terminal.process.wait(WITHIN)
        terminal.close()


def cells(screen: pyte.Screen) -> list[list[tuple[object, ...]]]:
    """What can be seen: on a space the text colour and boldness cannot."""
    rows = []
    for y in range(screen.lines):
        row: list[tuple[object, ...]] = []
        for x in range(screen.columns):
            c = screen.buffer[y][x]
            seen: tuple[object, ...] = (c.data, c.bg, c.reverse, c.underscore, c.strikethrough)
            if c.data.strip() or c.reverse or c.underscore:
                seen = (*seen, c.fg, c.bold, c.italics)
            row.append(seen)
        rows.append(row)
    return rows


def assert_agree(ours: Terminal, stock: Terminal, step: object) -> None:
    """Both have taken the step, and after it show the same, on a slow machine a little later."""
    stock.settle()
    ours.settle()
    deadline = time.monotonic() + WITHIN
    while cells(ours.screen) != cells(stock.screen):
        assert time.monotonic() < deadline, step
        stock.read()
        ours.read()


@pytest.mark.parametrize(
    "size", [(80, 24), (200, 50), pytest.param((33, 9), marks=pytest.mark.slow)]
)
def test_screen_equals_the_stock_drivers_after_every_step(
    size: tuple[int, int], tmp_path: Path
) -> None:
    with running("stock", size, tmp_path) as stock, running("cells", size, tmp_path) as ours:
        for keys in ["", "u", "u", "s", "s", "m", "\x1b", "u", "m", "u"]:
            for terminal in (stock, ours):
                os.write(terminal.master, keys.encode())
            assert_agree(ours, stock, keys)
        for new_size in [(70, 20), (110, 30), size]:
            for terminal in (stock, ours):
                terminal.resize(*new_size)
            assert_agree(ours, stock, new_size)


@pytest.mark.parametrize(("size", "most"), [((80, 24), 2048), ((200, 50), 4096)])
def test_a_small_update_costs_a_fraction_of_the_stock_bytes(
    size: tuple[int, int], most: int, tmp_path: Path
) -> None:
    cost = {}
    for driver in ("stock", "cells"):
        with running(driver, size, tmp_path) as terminal:
            before = terminal.sent
            terminal.press("u")
            cost[driver] = terminal.sent - before
    assert 0 < cost["cells"] < min(most, cost["stock"] / 8), cost


def test_an_idle_app_sends_nothing_and_a_redraw_sends_everything(tmp_path: Path) -> None:
    with running("cells", (80, 24), tmp_path) as terminal:
        before, picture = terminal.sent, cells(terminal.screen)
        assert terminal.read(0.2) == b""
        # Noise from elsewhere (`wall`) is what a redraw is for.
        terminal.screen.reset()
        terminal.screen.resize(24, 80)
        terminal.press("r")
        assert terminal.sent > before
        assert cells(terminal.screen) == picture


def test_a_stalled_link_gets_the_newest_state_and_no_replay(tmp_path: Path) -> None:
    with running("cells", (80, 24), tmp_path) as terminal:
        before = terminal.sent
        os.write(terminal.master, b"f")
        flag = tmp_path / "flag-cells"
        deadline = time.monotonic() + 3 * WITHIN
        while not flag.exists():  # 300 updates, none of them read
            assert time.monotonic() < deadline
            select.select((), (), (), 0.02)
        terminal.until(lambda: any("tick 300" in line for line in terminal.screen.display))
        # What the kernel had taken before, and one update.
        assert terminal.sent - before < 64_000
        terminal.press("u")
        assert any("tick 301" in line for line in terminal.screen.display)


@pytest.mark.parametrize("ignore_hangup", [False, True])
def test_the_process_ends_when_the_terminal_is_gone(ignore_hangup: bool, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        if ignore_hangup:  # as under nohup; inherited by the app
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with running("cells", (80, 24), tmp_path) as terminal:
            terminal.close()
            terminal.until(terminal.ended)
            assert terminal.process.returncode == 128 + signal.SIGHUP
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("busy", [False, True])
def test_sigterm_restores_the_terminal_even_if_the_event_loop_is_stuck(
    busy: bool, tmp_path: Path
) -> None:
    with running("cells", (80, 24), tmp_path) as terminal:
        # Held open, as a shell would: the settings must be read after the app has gone.
        shell = os.open(terminal.slave_name, os.O_RDWR | os.O_NOCTTY)
        try:
            if busy:
                terminal.press("b")
            assert not termios.tcgetattr(shell)[3] & termios.ECHO
            terminal.process.terminate()
            terminal.until(terminal.ended)
            terminal.settle()
            assert terminal.process.returncode == 128 + signal.SIGTERM
            assert termios.tcgetattr(shell)[3] & termios.ECHO
            for restore in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?2004l", b"\x1b[?7h"):
                assert restore in terminal.log
        finally:
            os.close(shell)


def test_a_stalled_link_does_not_keep_the_process(tmp_path: Path) -> None:
    with running("cells", (80, 24), tmp_path) as terminal:
        shell = os.open(terminal.slave_name, os.O_RDWR | os.O_NOCTTY)
        os.write(terminal.master, b"f")
        flag = tmp_path / "flag-cells"
        deadline = time.monotonic() + 3 * WITHIN
        while not flag.exists():
            assert time.monotonic() < deadline
            select.select((), (), (), 0.02)
        terminal.process.terminate()
        while not terminal.ended():  # nothing is read meanwhile
            assert time.monotonic() < deadline
            select.select((), (), (), 0.02)
        assert terminal.process.returncode == 128 + signal.SIGTERM
        terminal.settle()
        assert b"\x1b[?1049l" in terminal.log
        os.close(shell)


def test_quitting_leaves_the_alternate_screen_last(tmp_path: Path) -> None:
    with running("cells", (80, 24), tmp_path) as terminal:
        os.write(terminal.master, b"q")
        terminal.until(terminal.ended)
        terminal.settle()
        assert terminal.process.returncode == 0
        assert b"H" not in terminal.log.rpartition(b"\x1b[?1049l")[2]


TEXT = st.text(st.sampled_from("ab  ─⣿東👍é\u0301\x1b\x9b\r…"), max_size=12)
STYLE = st.sampled_from(
    ["", "1", "2;31", "7", "38;2;1;2;3;48;5;7", "58;5;3", "44", "39;49", "1;97"]
)
FRAMES = st.lists(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 12), STYLE, TEXT), max_size=6),
    min_size=1,
    max_size=4,
)


NO_WRAP = "\x1b[?7l"
"""Else pyte wraps, and scrolls, before a combining mark on the last cell; terminals do not."""


def painted(wanted: Screen) -> pyte.Screen:
    """The same cells written one by one, with nothing saved."""
    screen = pyte.Screen(wanted.width, wanted.height)
    stream = pyte.Stream(screen)
    stream.feed(NO_WRAP)
    for y, row in enumerate(wanted.rows):
        for x, (text, attr) in enumerate(zip(row.text, row.attr, strict=True)):
            stream.feed(f"\x1b[{y + 1};{x + 1}H\x1b[0;{attr.params}m{text}" if text else "")
    return screen


@given(FRAMES)
def test_changes_lead_a_terminal_from_any_screen_to_the_next(
    frames: list[list[tuple[int, int, str, str]]],
) -> None:
    width, height = 10, 4
    wanted, shown = Screen(width, height), [blank_row(width) for _ in range(height)]
    screen = pyte.Screen(width, height)
    stream = pyte.Stream(screen)
    stream.feed(NO_WRAP)
    for frame in frames:
        for y, x, style, text in frame:
            sgr = f"\x1b[{style}m{text}\x1b[0m" if style else text
            wanted.feed(f"\x1b[{y};{x}H{sgr}")
        update = changes(shown, {y: wanted.rows[y].copy() for y in wanted.dirty}, None)
        assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]", update)
        shown = [row.copy() for row in wanted.rows]
        stream.feed(update)
        assert cells(screen) == cells(painted(wanted))
        assert changes(shown, {y: r.copy() for y, r in enumerate(wanted.rows)}, None) == ""
