"""A process on a pseudo-terminal: its screen, its bytes, its CPU time and how soon it answers."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pexpect
import pyte

from benchmarks.measure import ROOT

__all__ = ["Terminal"]

_LONGEST = 5.0
_QUERIES = (b"\x1b[?2026$p", b"\x1b[?2048$p")  # pyte would print what it does not know


class Terminal:
    """A child on a pty and the screen that its bytes make."""

    def __init__(self, width: int, height: int, args: Sequence[str]) -> None:
        names = ("NO_COLOR", "COLORTERM", "TMUX", "STY")
        base = {k: v for k, v in os.environ.items() if k not in names}
        self.child = pexpect.spawn(
            sys.executable,
            list(args),
            dimensions=(height, width),
            cwd=str(ROOT),
            env={**base, "TERM": "xterm-256color", "LANG": "C.UTF-8"},  # type: ignore[arg-type]
        )
        self.child.delaybeforesend = None
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.ByteStream(self.screen)

    def close(self) -> None:
        """Quit by key, so that the child can clean up; by force when it does not."""
        with contextlib.suppress(OSError, pexpect.ExceptionPexpect):
            self.child.send("\x1bq")
            self.child.expect(pexpect.EOF, timeout=10)
        self.child.kill(signal.SIGKILL)
        self.child.wait()
        with contextlib.suppress(pexpect.ExceptionPexpect):
            self.child.close()

    @property
    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds: float, *, first: bool = False) -> bytes:
        """What comes in this time; first: only until something came."""
        came = b""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not (first and came):
            try:
                came += self.child.read_nonblocking(65536, timeout=left)
            except pexpect.TIMEOUT:
                break
            except pexpect.EOF as error:
                raise RuntimeError(f"the child ended:\n{self.text}") from error
        shown = came
        for query in _QUERIES:
            shown = shown.replace(query, b"")
        self.stream.feed(shown)
        return came

    def until(self, words: str, seconds: float = 60.0) -> float:
        """CPU seconds of the child once the screen shows these words."""
        end = time.monotonic() + seconds
        while words not in self.text:
            if time.monotonic() > end:
                raise RuntimeError(f"{words!r} never came:\n{self.text}")
            self.read(0.02, first=True)
        return self.cpu()

    def cpu(self) -> float:
        """CPU seconds of the child's threads so far."""
        total = 0
        for task in Path(f"/proc/{self.child.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def key(self, key: str, *, quiet: float) -> float:
        """Milliseconds of wall time from a key to the first bytes of the answer."""
        self.child.send(key)
        begin = time.perf_counter()
        self.read(_LONGEST, first=True)
        taken = (time.perf_counter() - begin) * 1000
        self.read(quiet)
        return taken
