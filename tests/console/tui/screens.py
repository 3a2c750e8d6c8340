"""Helpers for tests of the app: an app that is fed by hand, and what is on its screen."""

from __future__ import annotations

from fake import PANES, FakeBackend, make_frame

from console.feed import Request
from console.tui.app import ModelwatchApp
from console.tui.data_thread import Update
from console.tui.options import PaneInfo, ScreenOptions


class HandFed(ModelwatchApp):
    """Has no data thread: `feed` answers the request of the moment."""

    def __init__(
        self, options: ScreenOptions | None = None, panes: tuple[PaneInfo, ...] = PANES
    ) -> None:
        super().__init__(FakeBackend, panes, initial=Request(panes=("overview",)), options=options)
        self.written: list[str] = []

    def start_data(self) -> None:
        pass

    def write_raw(self, sequence: str) -> None:
        self.written.append(sequence)

    def feed(self, step: int = 0, *, hostile: str = "", live: bool = True) -> None:
        frame = make_frame(self.request, step, live=live, hostile=hostile)
        self.receive(Update(frame, request=self.request))


def shown(app: ModelwatchApp) -> list[str]:
    """The lines on the screen."""
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


def text(app: ModelwatchApp) -> str:
    return "\n".join(shown(app))
