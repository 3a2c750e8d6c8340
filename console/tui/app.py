"""The terminal app: places the widgets, takes frames from the data thread, passes keys on.

It knows no store and no query. What a key does is in `commands`; what is drawn, in the widgets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.containers import Container
from textual.driver import Driver
from textual.message import Message
from textual.reactive import Reactive
from textual.screen import Screen

from console.feed import Backend, Frame, Request, Status
from console.tui import crash
from console.tui.actions import key_name, make_keymap
from console.tui.commands import Commands
from console.tui.control_page import ControlPage
from console.tui.controls import TRAFFIC_PANE, Acting, Controls
from console.tui.data_thread import DataThread, Update
from console.tui.document import DocumentView
from console.tui.footer import Footer, MessageLine, PaneStrip
from console.tui.options import PaneInfo, ScreenOptions
from console.tui.pages import Pages
from console.tui.palette import PaletteView
from console.tui.pane import PaneView
from console.tui.plots import PlotArtist
from console.tui.requests import difference, same_but_threshold, same_picture
from console.tui.screen_grid import first_span, grid_shape
from console.tui.state_line import State, StateLine

__all__ = ["MainScreen", "ModelwatchApp"]


class MainScreen(Screen[None], inherit_bindings=False):
    """The one screen; pages are drawn in place of the panes, so the state line stays."""

    AUTO_FOCUS = ""


class ModelwatchApp(App[int], inherit_bindings=False):
    """Shows what a backend answers. The backend is made on the data thread after first paint."""

    CSS_PATH: ClassVar[Path] = Path(__file__).with_name("app.tcss")
    TITLE = "modelwatch"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    ESCAPE_TO_MINIMIZE = False

    # an ansi theme from the start: NO_COLOR chooses its filter before on_mount
    theme: Reactive[str] = Reactive("ansi-dark")

    class DataReady(Message):
        """The data thread has something in its slot."""

    class ControlReady(Message):
        """The hands have something to say."""

    def __init__(
        self,
        backend_factory: Callable[[], Backend],
        panes: tuple[PaneInfo, ...],
        *,
        initial: Request,
        options: ScreenOptions | None = None,
        driver_class: type[Driver] | None = None,
        hands: Callable[[], Acting] | None = None,
    ) -> None:
        super().__init__(driver_class=driver_class)
        self.options = options or ScreenOptions()
        self.keymap = make_keymap(self.options.keys)
        self.infos = panes
        self.request = initial
        self.shown: Request | None = None
        self.status: Status | None = None
        self.latest_clock: datetime | None = None  # of the last frame that followed the clock
        self.paused = False
        self.zoomed = False
        self.page = ""  # "", "detail", "explain", "help", "control" or "palette"
        self.active = self._first_active(initial.panes)
        ascii_only = self.options.ascii
        self.artist = PlotArtist(self.options.plot_charset)
        self.panes = tuple(PaneView(i, self.artist, ascii_only=ascii_only) for i in panes)
        self.state_line = StateLine(ascii_only=ascii_only)
        self.strip = PaneStrip(panes, ascii_only=ascii_only)
        self.problem = MessageLine(ascii_only=ascii_only)
        self.document = DocumentView(ascii_only=ascii_only)
        self.palette = PaletteView(ascii_only=ascii_only)
        self.footer = Footer(self.keymap, ascii_only=ascii_only)
        self.pages = Pages(self)
        self.controls = Controls(self, hands)
        self.control_page = ControlPage(self, self.controls)
        for pane in self.panes:
            if pane.info.name == TRAFFIC_PANE:
                pane.join = self.controls.join
        self.commands = Commands(self)
        self.data = DataThread(
            backend_factory, initial, self._notify_ready, refresh_s=self.options.refresh_s
        )
        self.crash = ""
        self._failure = ""
        self._composed_once = False

    @property
    def pane(self) -> PaneView:
        """The pane keys act on."""
        return self.panes[self.active]

    def get_default_screen(self) -> Screen[None]:
        """The one screen of the app."""
        return MainScreen(id="main")

    def compose(self) -> ComposeResult:
        """State line, problem, panes or a page, strip of panes, footer."""
        yield self.state_line
        yield self.problem
        yield self.strip
        yield Container(*self.panes, id="panes")
        yield self.document
        yield self.palette
        yield self.footer

    def on_mount(self) -> None:
        """Paint first; only then import and ask for data."""
        self._composed_once = True
        self.arrange()
        if self.options.hint:
            self.footer.say(self.options.hint)
        if self.keymap.complaints:
            more = len(self.keymap.complaints) - 1
            self.footer.say(self.keymap.complaints[0] + (f" (+{more}, see help)" if more else ""))
        self.call_after_refresh(self.start_data)

    def start_data(self) -> None:
        """Start the data thread; a test that feeds frames by hand replaces this."""
        self.data.start()
        self.controls.start()

    def on_unmount(self) -> None:
        """End the data thread, interrupting its query; bounded, so quitting is quick."""
        self.controls.close()
        self.data.stop(1.0)

    def on_resize(self, event: events.Resize) -> None:
        """Another size may be another layout."""
        self.arrange(event.size.width, event.size.height)

    def arrange(self, width: int | None = None, height: int | None = None) -> None:
        """Show the right panes in the right places, and ask for exactly those."""
        if not self._composed_once or not self.panes:
            return
        size = (width or self.size.width, height or self.size.height)
        shape = grid_shape(*size, len(self.panes))
        grid = shape is not None and not self.zoomed
        container = self.query_one("#panes", Container)
        container.display = self.page == ""
        if shape is not None and grid:
            container.styles.layout = "grid"
            container.styles.grid_size_columns, container.styles.grid_size_rows = shape
            container.styles.grid_gutter_vertical = 1
            self.panes[0].styles.column_span = first_span(shape, len(self.panes))
        else:
            container.styles.layout = "vertical"
        for index, pane in enumerate(self.panes):
            pane.active = index == self.active
            pane.display = grid or pane.active
        self.strip.display = not grid and len(self.panes) > 1 and size[1] > 4
        self.footer.display = size[1] > 2
        self.document.display = self.page in {"detail", "explain", "help", "control"}
        self.palette.display = self.page == "palette"
        self.strip.show(self.pane.info.name)
        self._show_keys(grid=shape is not None)
        self.redraw_panes()
        self.ask(self.request)

    def visible_panes(self) -> list[PaneView]:
        """The panes on the screen."""
        return [pane for pane in self.panes if pane.display] if self.page == "" else [self.pane]

    def redraw_panes(self) -> None:
        """Let the panes on the screen draw what changed."""
        if self.page == "":
            for pane in self.visible_panes():
                pane.redraw()

    def ask(self, request: Request) -> None:
        """Ask for a picture; the one on the screen stays until the answer comes."""
        self.request = replace(
            request,
            panes=tuple(pane.info.name for pane in self.visible_panes()),
            explain=request.explain if self.page == "explain" else None,
        )
        self.data.set_request(self.request)
        self.show_state()

    def show_state(self, width: int | None = None) -> None:
        """Bring the state line up to date."""
        loading = ""
        if self.shown is not None and not same_picture(self.shown, self.request):
            loading = difference(self.shown, self.request)
        status = self.status
        if status is not None and self.controls.writable:
            status = replace(status, read_only=False)
        notice = self.controls.notice
        self.state_line.show(State(status, self.shown, self.paused, loading, notice))
        problem = self._failure or self.controls.failure
        problem = problem or (self.status.problem if self.status else "")
        self.problem.show(problem, width or self.size.width)

    def on_modelwatch_app_data_ready(self) -> None:
        """Take the newest update, if there still is one."""
        update = self.data.take()
        if update is not None:
            self.receive(update)

    def receive(self, update: Update) -> None:
        """Show a frame, unless it answers a request nobody is waiting for any more."""
        if update.problem:
            self._failure = update.problem
        request = update.request or self.request
        if update.frame is not None and same_but_threshold(request, self.request):
            if not update.problem:
                self._failure = ""
            self.show_frame(update.frame, request)
        self.show_state()

    def on_modelwatch_app_control_ready(self) -> None:
        """Do what the hands want to be done on this thread."""
        self.controls.work()

    def show_control(self) -> None:
        """How traffic stands may be new."""
        for pane in self.panes:
            if pane.info.name == TRAFFIC_PANE:
                pane.rejoin()
        self.redraw_panes()
        self._show_keys(grid=self.footer.grid)
        self.show_state()

    def _show_keys(self, *, grid: bool) -> None:
        hands = self.pane.info.name == TRAFFIC_PANE and self.controls.control() is not None
        self.footer.show_for(self.page, grid=grid, hands=hands)
        if self.page == "control":
            self.footer.hint(self.control_page.hint)

    def show_frame(self, frame: Frame, request: Request) -> None:
        """Hand every pane, and the open page, its part."""
        self.status, self.shown = frame.status, request
        clock = frame.status.clock
        if request.as_of is None or self.latest_clock is None or clock > self.latest_clock:
            self.latest_clock = clock
        if frame.evidence is not None:
            self.controls.learn(frame.status.deployment, frame.evidence)
        for pane in self.panes:
            pane.show_frame(frame, request)
        self.redraw_panes()
        self.pages.show_frame(frame, request)

    def on_key(self, event: events.Key) -> None:
        """All keys come here; nothing has focus."""
        event.stop()
        self.commands.press(key_name(event.key, event.character), event.character)

    def on_paste(self, event: events.Paste) -> None:
        """Only a prompt takes pasted text: a paste must never press keys."""
        event.stop()
        self.commands.paste(event.text)

    def on_pane_view_pointed(self, event: PaneView.Pointed) -> None:
        """The mouse chose a pane."""
        self.commands.go_to(self.panes.index(event.pane))

    def redraw_all(self) -> None:
        """Send the whole screen again, after something else wrote on the terminal."""
        invalidate = getattr(self._driver, "invalidate", None)
        if invalidate is not None:
            invalidate()
        self.screen.refresh(layout=True)
        for block in (self.state_line, self.strip, self.footer, *self.visible_panes()):
            block.refresh()

    def write_raw(self, sequence: str) -> None:
        """Send a control sequence of our own, as for the clipboard."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)
            self._driver.flush()

    def _notify_ready(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.post_message(self.DataReady())

    def _first_active(self, wanted: Iterable[str]) -> int:
        names = [info.name for info in self.infos]
        return next((names.index(name) for name in wanted if name in names), 0)

    def _handle_exception(self, error: Exception) -> None:
        """Leave with one sentence; the log has the traceback, without the values in it."""
        self._return_code = crash.EXIT_CODE
        if self._exception is not None:
            return
        self._exception = error
        self._exception_event.set()
        self.crash = crash.report(error, self.options.log_file)
        self.panic(Text(self.crash))
