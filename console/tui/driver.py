"""A Textual driver for slow links and lost ones; give it to `App(driver_class=...)`.

Stock Textual sends every repainted region again (16 kB for a six-pane refresh at 80x24), replays
what piled up while a link was stalled, and spins at half a core when the terminal is gone:
`LinuxDriver.run_input_thread` ignores end of file, and a descriptor at its end is always readable.

`CellDiffDriver` keeps the screen as cells and sends the cells that changed. One thread writes; it
compares the newest wanted screen with what the terminal has really been sent, so whatever happens
during a stall collapses into one update. It reads frames by the grammar of Textual 8.2.8 (pinned;
`tests/console/tui/test_driver.py` holds its screens equal to the stock driver's). The stock driver
stays usable in its place.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import termios
import threading
from codecs import getincrementaldecoder
from typing import TYPE_CHECKING, Any, Final

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from console.tui.driver_output import RESTORE, Output

if TYPE_CHECKING:
    from types import FrameType

    from textual.app import App
    from textual.message import Message

__all__ = ["CellDiffDriver"]

EXIT_WITHIN: Final = 1.5  # seconds from a hang-up or SIGTERM to the end of the process, at most
_LEAVE: Final = (signal.SIGTERM, signal.SIGHUP)
_FRAME: Final = re.compile(r"\n|\x1b\[\d+;\d+H")
# Commands that leave the cells alone: modes, queries, window titles, clipboard (also wrapped for
# tmux and screen), keyboard protocol, cursor shape, bell.
_NEUTRAL: Final = re.compile(
    r"(?:\x1b\[\?[\d;]+[hl]|\x1b\[[?<=>]?[\d;]*(?:\$p|[ucnt]| q)"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP(?:[^\x1b]|\x1b[^\\])*\x1b\\|\x07)*"
)
_SYNC_ON, _SYNC_OFF = "\x1b[?2026h", "\x1b[?2026l"
_ALT_ON, _ALT_OFF = "\x1b[?1049h", "\x1b[?1049l"


class CellDiffDriver(LinuxDriver):
    """Sends changed cells only, never queues frames, and leaves when the terminal does.

    On SIGTERM, SIGHUP (unless ignored) or the end of the terminal the app is asked to exit with
    code 128 + signal; if the process still runs `EXIT_WITHIN` seconds later, because a query or a
    handler does not return, the terminal is restored from a thread and the process ends itself.
    """

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._output: Output | None = None
        self._in_sync = False
        self._resized = True
        self._bytes_before = 0
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._handlers: dict[signal.Signals, Any] = {}
        self._wakeup_before = -1
        self._leaving = False
        self._out_fd = self._file.fileno() if self._file is not None else 2
        self._tty_fds = [fd for fd in {self.fileno, 1, self._out_fd} if _same_tty(fd, self._out_fd)]

    @property
    def bytes_written(self) -> int:
        """Bytes sent to the terminal so far."""
        return self._bytes_before + (self._output.bytes_written if self._output else 0)

    def invalidate(self) -> None:
        """Forget what the terminal shows and paint every cell again (ctrl+l)."""
        if self._output is not None:
            self._output.invalidate()

    # Output

    def write(self, data: str) -> None:
        """Take one piece of output: a frame into the cells, anything else on to the terminal."""
        output = self._output
        if output is None:
            return
        if data == _SYNC_ON:
            self._in_sync = True
        elif data == _SYNC_OFF:
            self._in_sync = False
            output.publish(sync=True)
        elif data == _ALT_ON:
            output.enter(data, self._terminal_size())
        elif data == _ALT_OFF:
            output.leave(data)
        elif _FRAME.match(data):
            # The signal may have been seen before the terminal had its new size, so both count.
            size = self._terminal_size()
            resized, self._resized = self._resized, False
            output.draw(data, size, forget=resized)
            if not self._in_sync:
                output.publish(sync=False)
        elif data:
            output.command(data, disturbs=not _NEUTRAL.fullmatch(data))

    def _terminal_size(self) -> tuple[int, int]:
        """Columns and lines of the real terminal, which may differ from what Textual believes."""
        with contextlib.suppress(OSError, AttributeError, ValueError):
            size = os.get_terminal_size(self._out_fd)
            if size.columns and size.lines:
                return size.columns, size.lines
        return self._get_terminal_size()

    def process_message(self, message: Message) -> None:
        """Note in-band size reports before they are acted on."""
        if type(message).__name__ in {"Resize", "InBandWindowResize"}:
            self._resized = True
        super().process_message(message)

    def start_application_mode(self) -> None:
        """Enter the alternate screen, with this driver's writer in place of the stock one."""
        self._resized, self._in_sync = True, False
        self._output = Output(self._out_fd, self._hung_up)
        self._output.start()
        self._watch_signals()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._writer_thread is not None:
            self._writer_thread.stop()  # idle: every write comes through `write` above
            self._writer_thread = None
        with contextlib.suppress(ValueError):
            stock = signal.getsignal(signal.SIGWINCH)

            def resized(number: int, frame: FrameType | None) -> None:
                self._resized = True
                if callable(stock):
                    stock(number, frame)

            signal.signal(signal.SIGWINCH, resized)

    def close(self) -> None:
        """Send what is left, but wait for a stalled link no longer than a second."""
        output, self._output = self._output, None
        if output is not None:
            output.stop()
            self._bytes_before += output.bytes_written
        self._unwatch_signals()

    # Input

    def run_input_thread(self) -> None:
        """Read keys until told to stop; the end of the terminal ends the app."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        sources = [self.fileno, self._wake_read]
        try:
            while not self.exit_event.is_set():
                ready, _, _ = select.select(sources, (), (), 0.1)
                if self._wake_read in ready:
                    self._read_signals()
                if self.fileno in ready:
                    try:
                        data = os.read(self.fileno, 4096)
                    except OSError:  # EIO: the other side is gone
                        data = b""
                    if data:
                        for message in parser.feed(decode(data)):
                            self.process_message(message)
                    else:
                        sources.remove(self.fileno)  # at its end it would be readable for ever
                        if self.input_tty:
                            self._hung_up()
                elif not self.input_tty and self._tty_fds and not os.isatty(self._out_fd):
                    self._hung_up()
                for message in parser.tick():
                    self.process_message(message)
        finally:
            with contextlib.suppress(EOFError, ParseError):
                for _ in parser.feed(""):
                    pass

    # Leaving

    def _watch_signals(self) -> None:
        """Have SIGTERM and SIGHUP noticed by the input thread, even if the event loop is stuck."""
        with contextlib.suppress(ValueError):  # not the main thread: leave signals alone
            for number in _LEAVE:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._signalled)
            self._wakeup_before = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        """The same from the main thread, should something else own the wake-up pipe."""
        self._leave(number)

    def _unwatch_signals(self) -> None:
        """Give the signals back, unless one of them is why we leave."""
        if self._handlers and not self._leaving:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._wakeup_before)
            self._handlers.clear()

    def _read_signals(self) -> None:
        """Act on the signal numbers the interpreter's C handler wrote to the pipe."""
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self._wake_read, 512):
                if number in {int(leave) for leave in self._handlers}:
                    self._leave(number)

    def _hung_up(self) -> None:
        """The terminal is gone: nothing more can be read or shown."""
        if self._leaving:
            return
        # Whatever prints later would fail with EIO and spoil the exit code.
        with contextlib.suppress(OSError):
            null = os.open(os.devnull, os.O_RDWR)
            for fd in self._tty_fds:
                os.dup2(null, fd)
            os.close(null)
        if self._output is not None:
            self._output.abandon()
        self._leave(signal.SIGHUP)

    def _leave(self, number: int) -> None:
        """Ask the app to exit, and see to it that the process does."""
        if self._leaving:
            return
        self._leaving = True
        code = 128 + number
        last_resort = threading.Timer(EXIT_WITHIN, self._end_process, (code,))
        last_resort.daemon = True
        last_resort.start()
        with contextlib.suppress(RuntimeError):  # the loop is closed: already leaving
            self._loop.call_soon_threadsafe(lambda: self._app.exit(return_code=code))

    def _end_process(self, code: int) -> None:
        """Restore the terminal without the event loop's help and end."""
        with contextlib.suppress(Exception):
            if self.attrs_before is not None:
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        with contextlib.suppress(Exception):
            if self._output is not None:
                self._output.force(RESTORE)
        os._exit(code)


def _same_tty(fd: int, other: int) -> bool:
    """Whether both descriptors are the same terminal."""
    try:
        return os.isatty(fd) and os.fstat(fd).st_rdev == os.fstat(other).st_rdev
    except OSError:
        return False
