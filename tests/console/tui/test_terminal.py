"""The console in a real terminal: what a screen shows after real keys came through a pty."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pexpect
import pyte
import pytest

ROOT = Path(__file__).parents[3]
WAIT = 20.0


class Terminal:
    """A child on a pty and the screen its bytes make."""

    def __init__(self, width: int, height: int, args: list[str], env: dict[str, str]) -> None:
        names = ("NO_COLOR", "COLORTERM", "TMUX", "STY")
        base = {k: v for k, v in os.environ.items() if k not in names}
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "tests.console.tui.fake", *args],
            dimensions=(height, width),
            cwd=str(ROOT),
            env={**base, "TERM": "xterm-256color", "LANG": "C.UTF-8", **env},  # type: ignore[arg-type]
            timeout=WAIT,
            # under nohup, or some CI, it would inherit that the end of the terminal is ignored
            preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),
        )
        self.child.delaybeforesend = None
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def read(self, seconds: float) -> bytes:
        """What comes in this time."""
        came = b""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                came += self.child.read_nonblocking(65536, timeout=left)
            except pexpect.TIMEOUT:
                break
            except pexpect.EOF:
                break
        self.bytes += came
        self.stream.feed(came.replace(b"\x1b[?2026$p", b"").replace(b"\x1b[?2048$p", b""))
        return came

    def until(self, words: str) -> None:
        end = time.monotonic() + WAIT
        while words not in self.text:
            assert time.monotonic() < end, f"{words!r} never came:\n{self.text}"
            self.read(0.05)

    def keys(self, keys: str) -> None:
        self.child.send(keys)


@contextmanager
def terminal(
    width: int, height: int, *args: str, env: dict[str, str] | None = None
) -> Iterator[Terminal]:
    screen = Terminal(width, height, list(args), env or {})
    try:
        yield screen
    finally:
        with suppress(pexpect.ExceptionPexpect):  # killed, but a busy machine has not reaped it yet
            screen.child.close(force=True)


def end(screen: Terminal) -> int | None:
    """Quit by key; the exit code."""
    screen.keys("q")
    screen.child.expect(pexpect.EOF)
    screen.child.wait()
    return screen.child.exitstatus


def test_a_session_at_80_by_24_and_silence_when_paused() -> None:
    with terminal(80, 24, "--live") as screen:
        screen.until("> flight-delay")
        assert "flight-delay" in screen.lines[0] and "UTC" in screen.lines[0]
        screen.keys("3")
        screen.until("feature_000")
        screen.keys("/_11")
        screen.until("10 of 120")
        screen.keys("\r\x1b")
        screen.until("1/120")
        screen.keys("\x03")
        screen.until("press q to quit")
        screen.screen.reset()
        screen.keys("\x0c")
        screen.until("> feature_110")  # the row the cursor was on when the filter went
        screen.until("? help  q quit")
        assert "press q to quit" not in screen.text and "? help  q quit" in screen.lines[-1]
        screen.keys("2")
        screen.until("> AUC")
        screen.keys("j\x1b[Ce")  # the arrow to the right, as terminals send it
        screen.until("Why 95 % interval of accuracy")
        screen.until("Slices that stand out")
        screen.keys("\x1b")
        screen.until("> accuracy")
        screen.keys("p")
        screen.until("PAUSED")
        screen.read(1.5)
        assert screen.read(2.0) == b""
        assert end(screen) == 0
    assert b"\x1b[?1049l" in screen.bytes + (screen.child.before or b"")


@pytest.mark.slow
def test_a_grid_at_200_by_50_without_colours() -> None:
    with terminal(200, 50, "--live", env={"NO_COLOR": "1", "TERM": "linux"}) as screen:
        screen.until("> flight-delay")
        for title in ("1 Overview", "2 Performance", "6 Data"):
            assert title in screen.text
        screen.keys("?")
        screen.until("Move one row down.")
        colours = {char.fg for row in screen.screen.buffer.values() for char in row.values()}
        assert colours == {"default"}
        screen.keys("\x1b")
        screen.until("2 Performance")
        screen.keys("z")
        screen.until("1 Overview  2 Performance")
        assert end(screen) == 0


def test_ascii_and_hostile_names_on_a_real_terminal() -> None:
    hostile = "[/b]\\x1b]0;owned\\x07\\x9b2J\\u202e模"
    env = {"LANG": "C", "PYTHONIOENCODING": "ascii"}  # this alone turns --ascii on
    with terminal(80, 24, "--hostile", hostile, env=env) as screen:
        screen.until("[/b]")
        screen.keys("2")
        screen.until("Performance")
        screen.read(0.5)
        assert screen.screen.title != "owned"
        assert all(ord(char) < 128 for char in screen.text)
        assert b"owned\x07" not in screen.bytes
        assert end(screen) == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_restores_the_terminal(number: signal.Signals) -> None:
    with terminal(80, 24, "--live") as screen:
        screen.until("> flight-delay")
        screen.child.kill(number)
        screen.child.expect(pexpect.EOF)
        assert b"\x1b[?1049l" in (screen.child.before or b"")
        screen.child.wait()
        assert screen.child.exitstatus == 128 + number
