"""One pane on the screen: draws a view, keeps the cursor; asks for nothing itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from rich.text import Text
from textual import events
from textual.message import Message

from console.feed import Frame, Request
from console.tui.cells import line, wrap
from console.tui.lines import LineBlock
from console.tui.options import PaneInfo
from console.tui.paint import DIM, style_of
from console.tui.pane_layout import Emphasis, pane_lines, title_line
from console.tui.plots import PlotArtist
from console.tui.requests import same_picture
from console.tui.table import RowTable
from console.views.model import Detail, Tone, View

__all__ = ["PaneView"]

_log = logging.getLogger(__name__)

_OF_ONE_KIND = frozenset({"performance", "subgroups", "versions"})
"""Panes whose intervals hold at every look while someone watches, else for one look."""
_WIDE_TITLE = 50


class PaneView(LineBlock):
    """A generic pane: title, headline, table, plots and notes of whatever view it is given."""

    class Pointed(Message):
        """The mouse (when it is on) chose this pane."""

        def __init__(self, pane: PaneView) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, info: PaneInfo, artist: PlotArtist, *, ascii_only: bool) -> None:
        super().__init__(id=f"pane-{info.key}", classes="pane")
        self.info = info
        self.ascii_only = ascii_only
        self.table = RowTable(ascii_only=ascii_only)
        self.view: View | None = None
        self.active = False
        self.emphasis = Emphasis.BOTH
        self._artist = artist
        self.join: Callable[[View | None], View | None] = lambda view: view
        self._base: View | None = None  # as the store makes it
        self._asked: Request | None = None
        self._old = False
        self._watched = False

    def show_frame(self, frame: Frame, asked: Request) -> None:
        """Take this pane's view out of a frame; a view of another picture is forgotten."""
        view = dict(frame.views).get(self.info.name)
        if view is not None:
            self._base, self._asked, self._old = view, asked, False
            self._watched = frame.status.watched
            self.rejoin()
        elif self._asked is not None and not same_picture(self._asked, asked):
            self._base = None
            self.rejoin()
        else:
            self._old = True  # same deployment and window, but of an earlier clock

    def rejoin(self) -> None:
        """Make the view anew with what is known beside the store: `join` is called again."""
        self.view = self.join(self._base)
        if self.view is not None:
            self.table.load(self.view.table)

    def detail_of(self, key: str) -> Detail | None:
        """The detail of a row, if the view has one."""
        return dict(self.view.details).get(key) if self.view else None

    def lines(self, width: int, height: int) -> Sequence[Text]:
        """The title, then the view."""
        right = self.table.position if self.view else ""
        if self.view and self.info.name in _OF_ONE_KIND and width >= _WIDE_TITLE:
            right = f"intervals: {'every' if self._watched else 'one'} look  {right}".strip()
        if self._base and self._old:
            right = f"{right}  refreshing".strip()
        name = f"{self.info.sign} {self.info.title}"
        title = title_line(name, right, width, focused=self.active, ascii_only=self.ascii_only)
        if self.view is None:
            return [title, *(line([(t, DIM)]) for t in wrap("waiting for figures", width, 1))]
        return [title, *self._body(self.view, width, height - 1)]

    def _body(self, view: View, width: int, height: int) -> Sequence[Text]:
        """A view that cannot be drawn must not take the other panes with it."""
        try:
            return pane_lines(
                view, self.table, self._artist, (width, height), self.emphasis, focused=self.active
            )
        except Exception as error:
            _log.exception("the pane %s could not be drawn", self.info.name)
            sentence = f"this pane could not be drawn ({type(error).__name__})"
            return [line([(sentence, style_of(Tone.BAD))])]

    def on_click(self, event: events.Click) -> None:
        """Choose this pane; only with --mouse."""
        event.stop()
        self.post_message(self.Pointed(self))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move the cursor with the wheel; only with --mouse."""
        event.stop()
        self.table.move(3)
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Move the cursor with the wheel; only with --mouse."""
        event.stop()
        self.table.move(-3)
        self.redraw()
