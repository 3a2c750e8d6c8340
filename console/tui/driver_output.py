"""The one thread that writes to the terminal: latest screen wins, nothing piles up."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import threading
from collections.abc import Callable
from typing import Final

from console.tui.driver_screen import Row, Screen, blank_row, changes

__all__ = ["RESTORE", "Output"]

# Cancel a half-sent sequence, end a synchronized update; paste, wrap, mouse, focus, keyboard off;
# leave the alternate screen; show the cursor, reset the look.
RESTORE: Final = (
    "\x18\x1b\\\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"
    "\x1b[?1004l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m"
)
_SYNC_ON, _SYNC_OFF = "\x1b[?2026h", "\x1b[?2026l"
# A clipboard copy is the largest command; beyond this, on a stalled link, more of them are dropped.
_MAX_COMMANDS: Final = 1 << 20
_STOP_WITHIN: Final = 0.8  # seconds a stalled link may delay the end
_CHUNK: Final = 512  # bytes a terminal that reports as writable takes without blocking for long


class Output:
    """Owns the wanted screen, the pending commands and the thread that writes both to `fd`.

    `gone` is called once, from the thread, when the terminal has been hung up. `bytes_written`
    counts what was sent.
    """

    def __init__(self, fd: int, gone: Callable[[], None]) -> None:
        self.bytes_written = 0
        self._fd, self._own = _writable(fd)
        self._gone = gone
        self._changed = threading.Condition()  # guards all below, except _shown
        self._wanted = Screen(0, 0)
        self._commands: list[str] = []
        self._active = False  # in the alternate screen: outside it there are no frames
        self._forget = True
        self._due = False
        self._sync = False
        self._stopping = False
        self._dead = False
        self._shown: list[Row] = []  # what the terminal has been sent; the thread's own
        self._shown_cursor: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self._run, name="console-output", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    # Called by the driver, from the event loop or the input thread

    def enter(self, command: str, size: tuple[int, int]) -> None:
        """Switch to the alternate screen, which is empty then."""
        with self._changed:
            self._commands.append(command)
            self._wanted = Screen(*size)
            self._active = self._forget = True
            self._due = False
            self._changed.notify()

    def leave(self, command: str) -> None:
        """Leave the alternate screen; a frame not sent yet is of no use any more."""
        with self._changed:
            self._commands.append(command)
            self._active = self._due = False
            self._changed.notify()

    def draw(self, frame: str, size: tuple[int, int], *, forget: bool) -> None:
        """Draw a frame into the wanted screen; `publish` makes it due."""
        with self._changed:
            if size != (self._wanted.width, self._wanted.height):
                self._wanted.resize(*size)
                forget = True
            self._forget |= forget
            self._wanted.feed(frame)

    def publish(self, *, sync: bool) -> None:
        """The wanted screen is complete; `sync` asks for synchronized-update brackets."""
        with self._changed:
            self._due, self._sync = self._active, sync
            self._changed.notify()

    def command(self, data: str, *, disturbs: bool) -> None:
        """Pass on what is not a frame; if it may disturb the cells, they are painted anew."""
        with self._changed:
            if sum(map(len, self._commands)) + len(data) > _MAX_COMMANDS:
                return
            if data == "\x07" and data in self._commands:
                return
            self._commands.append(data)
            if disturbs:
                self._forget = True
                self._due = self._active
            self._changed.notify()

    def invalidate(self) -> None:
        """Paint every cell again."""
        with self._changed:
            self._forget, self._due = True, self._active
            self._changed.notify()

    def abandon(self) -> None:
        """Write nothing more: the terminal is gone."""
        with self._changed:
            self._dead = True
            self._changed.notify()

    def stop(self) -> None:
        """Send what is pending and end; on a stalled link drop it and restore the terminal."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(_STOP_WITHIN)
        if self._thread.is_alive():
            # The kernel's buffer is full of frames nobody will want to see.
            self.force(RESTORE)
        elif self._own:
            os.close(self._fd)

    def force(self, data: str) -> None:
        """Write at once, past everything pending, without waiting for the terminal."""
        self._dead = True
        with contextlib.suppress(OSError, termios.error):
            if not select.select((), (self._fd,), (), 0)[1]:
                termios.tcflush(self._fd, termios.TCOFLUSH)
            if self._own or select.select((), (self._fd,), (), 0)[1]:
                os.write(self._fd, data.encode())

    # The thread

    def _run(self) -> None:
        try:
            while (data := self._next()) is not None:
                self._write(data.encode("utf-8", "replace"))
        except OSError:
            if not self._dead:
                self._dead = True
                self._gone()

    def _next(self) -> str | None:
        """Wait for something to send; None when there is nothing more to come."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._commands or self._due or self._stopping or self._dead
            )
            if self._dead or (self._stopping and not self._commands):
                return None
            commands = "".join(self._commands)
            self._commands.clear()
            if not (self._due and self._active):
                return commands
            wanted, forget, sync = self._wanted, self._forget, self._sync
            self._due = self._forget = False
            lines = range(wanted.height) if forget else sorted(wanted.dirty)
            rows = {y: wanted.rows[y].copy() for y in lines}
            wanted.dirty = set()
            cursor = _clamp(wanted.cursor, wanted.width, wanted.height)
            width, height = wanted.width, wanted.height
        # The comparison is the costly part and runs outside the lock.
        return commands + self._compare(rows, (width, height), cursor, forget=forget, sync=sync)

    def _compare(
        self,
        rows: dict[int, Row],
        size: tuple[int, int],
        cursor: tuple[int, int],
        *,
        forget: bool,
        sync: bool,
    ) -> str:
        """The update from what was sent to `rows`; the state afterwards becomes what was sent."""
        start = ""
        if forget:
            start = "\x1b[0m\x1b[2J"
            self._shown = [blank_row(size[0]) for _ in range(size[1])]
            self._shown_cursor = None
        body = changes(self._shown, rows, cursor)
        for y, row in rows.items():
            self._shown[y] = row
        if not body and cursor != self._shown_cursor:
            body = f"\x1b[{cursor[1] + 1};{cursor[0] + 1}H"
        self._shown_cursor = cursor
        update = start + body
        return f"{_SYNC_ON}{update}{_SYNC_OFF}" if sync and update else update

    def _write(self, data: bytes) -> None:
        """Write all of it, however long that takes; raises OSError when the terminal is gone."""
        view = memoryview(data)
        while view:
            if self._dead:
                raise OSError
            # A timeout, so that `force` and `abandon` are noticed during a stall.
            if not select.select((), (self._fd,), (), 0.1)[1]:
                continue
            with contextlib.suppress(BlockingIOError):
                sent = os.write(self._fd, view if self._own else view[:_CHUNK])
                self.bytes_written += sent
                view = view[sent:]


def _writable(fd: int) -> tuple[int, bool]:
    """A descriptor for writing to the terminal `fd`, and whether it is our own non-blocking one.

    Making `fd` itself non-blocking would change the shell's terminal too, as they share it.
    """
    with contextlib.suppress(OSError):
        return os.open(os.ttyname(fd), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY), True
    return fd, False


def _clamp(cursor: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """The cursor inside the screen."""
    return max(0, min(cursor[0], width - 1)), max(0, min(cursor[1], height - 1))
