"""The pages in place of the panes that are about one row or figure: its detail, and why it changed.

Both follow the clock: `show_frame` brings newer content into the page that is open.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from console.feed import Explain, Frame, Request
from console.tui.detail import detail_lines
from console.tui.explanation import explanation_lines
from console.tui.requests import same_picture
from console.views.model import Column, Detail, Row, View

if TYPE_CHECKING:
    from console.tui.app import ModelwatchApp

__all__ = ["Pages"]


class Pages:
    """Opens a page for what is under the cursor, and keeps it up to date."""

    def __init__(self, app: ModelwatchApp) -> None:
        self._app = app
        self._detail_of: tuple[int, tuple[Column, ...], Row, Detail | None] | None = None
        self._figure = ""  # the title of the explanation
        self._explained: tuple[Request, View] | None = None

    def show_frame(self, frame: Frame, request: Request) -> None:
        """Newer content of the page that is open."""
        if self._app.page == "detail":
            self._show_detail()
        elif self._app.page == "explain":
            if frame.explained is not None:
                self._explained = (request, frame.explained)
            self._show_explanation()

    # a row

    def open_detail(self, row: Row) -> None:
        """Everything known about a row of the active pane."""
        app = self._app
        self._detail_of = (app.active, app.pane.table.table.columns, row, None)
        app.page = "detail"
        self._show_detail(first=True)
        app.arrange()

    def _show_detail(self, *, first: bool = False) -> None:
        """A row that has gone stays as it was."""
        if self._detail_of is None:
            return
        index, columns, row, detail = self._detail_of
        pane = self._app.panes[index]
        rows = pane.table.table.rows if pane.view else ()
        newer = next((r for r in rows if r.key == row.key), None)
        if newer is not None:
            columns, row, detail = pane.table.table.columns, newer, pane.detail_of(row.key)
            self._detail_of = (index, columns, row, detail)
        title = detail.title if detail else (row.cells[0].text if row.cells else row.key)
        gone = "" if newer is not None else " (no longer in the table)"
        show = self._app.document.open if first else self._app.document.update
        show(
            f"{pane.info.title}: {title}{gone}",
            lambda width, height: detail_lines(
                columns, row, detail, self._app.artist, (width, height),
                ascii_only=self._app.options.ascii,
            ),
        )  # fmt: skip

    # a figure

    def open_explanation(self, row: Row, column: Column) -> None:
        """Why the figure changed; it is computed while the page says so."""
        app = self._app
        explain = Explain(app.pane.info.name, row.key, column.title)
        name = (row.cells[0].text.strip() if row.cells else "") or row.key
        self._figure = f"{column.title} of {name} ({app.pane.info.title})"
        app.page = "explain"
        app.arrange()
        app.ask(replace(app.request, explain=explain))
        self._show_explanation(first=True)

    def _show_explanation(self, *, first: bool = False) -> None:
        """What was explained stays until newer comes; of another picture it says nothing."""
        app = self._app
        view = None
        if self._explained is not None:
            of, known = self._explained
            if of.explain == app.request.explain and same_picture(of, app.request):
                view = known
        show = app.document.open if first else app.document.update
        show(
            f"Why {self._figure}",
            lambda width, height: explanation_lines(
                view, app.artist, (width, height), ascii_only=app.options.ascii
            ),
        )
