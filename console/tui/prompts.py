"""The line that is typed into at the bottom: a filter, a time, or what to compare with."""

from __future__ import annotations

import csv
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.text import harmless
from console.errors import UsageError
from console.times import moment_near
from console.tui import requests
from console.tui.history import History
from console.tui.prompt import edit

if TYPE_CHECKING:
    from console.tui.app import ModelwatchApp

__all__ = ["LONGEST_PROMPT", "Prompts"]

LONGEST_PROMPT = 200
LONGEST_QUERY = 10_000


class _Kind(Enum):
    FILTER = "/"
    TIME = "time (UTC, like 2013-02-12 14:00, 02-12 or 14:00): "
    QUERY = "SQL: "
    SAVE = "write the table to (a new CSV file): "
    AGAINST = "compare with (reference, before, week, version=V, known=TIME, TIME..TIME): "


class Prompts:
    """At most one prompt is open; while one is, keys are text."""

    def __init__(self, app: ModelwatchApp) -> None:
        self._app = app
        self._kind: _Kind | None = None
        self._before = ""  # the filter before typing began
        self._text = ""
        self._history = History(app.options.history_file)
        self._place = 0  # how many queries back

    @property
    def typing(self) -> bool:
        """Whether keys are text."""
        return self._kind is not None

    def open_filter(self) -> None:
        """Type a filter; rows go while it is typed."""
        self._before = self._app.pane.table.filter
        self._open(_Kind.FILTER, self._before)

    def open_time(self) -> None:
        """Type a time; enter goes there."""
        self._open(_Kind.TIME, "")

    def open_against(self) -> None:
        """Type what to compare with; enter does it."""
        self._open(_Kind.AGAINST, "")

    def open_query(self) -> None:
        """Type a query; up and down bring earlier ones."""
        self._place = 0
        self._open(_Kind.QUERY, self._app.request.sql or "")

    def open_save(self) -> None:
        """Type a file's name; enter writes the table there."""
        self._open(_Kind.SAVE, "")

    def press(self, key: str, character: str | None) -> None:
        """A key while a prompt is open."""
        if key in {"enter", "escape", "tab"}:
            self._close(keep=key != "escape")
        elif key in {"down", "up"} and self._kind is _Kind.QUERY:
            self._recall(-1 if key == "up" else 1)
        elif key in {"down", "up"} and self._kind is _Kind.FILTER:
            self._app.pane.table.move(1 if key == "down" else -1)
            self._app.pane.redraw()
        else:
            self._type(edit(self._text, key, character))

    def paste(self, words: str) -> None:
        """Pasted text goes behind what is typed."""
        self._type(self._text + words)

    def set_filter(self, text: str) -> None:
        """Filter the pane's rows."""
        self._app.pane.table.set_filter(text)
        self._app.pane.redraw()

    def _open(self, kind: _Kind, text: str) -> None:
        self._kind, self._text = kind, text
        self._app.footer.ask(kind.value + text)

    def _type(self, text: str) -> None:
        if self._kind is None:
            return
        self._text = text[: LONGEST_QUERY if self._kind is _Kind.QUERY else LONGEST_PROMPT]
        if self._kind is _Kind.FILTER:
            self.set_filter(self._text)
        self._app.footer.ask(self._kind.value + self._text)

    def _close(self, *, keep: bool) -> None:
        kind, self._kind = self._kind, None
        self._app.footer.ask(None)
        if kind is _Kind.FILTER and not keep:
            self.set_filter(self._before)
        elif kind is _Kind.TIME and keep and self._text.strip():
            self._go()
        elif kind is _Kind.QUERY and keep and self._text.strip():
            self._ask_query()
        elif kind is _Kind.SAVE and keep and self._text.strip():
            self._save()
        elif kind is _Kind.AGAINST and keep and self._text.strip():
            self._compare()

    def _recall(self, step: int) -> None:
        """An earlier query (-1), or a later one."""
        queries = self._history.queries
        self._place = max(0, min(self._place - step, len(queries)))
        self._type(queries[-self._place] if self._place else "")

    def _ask_query(self) -> None:
        query = self._text.strip()
        self._history.add(query)
        self._app.footer.say("the query is running")
        self._app.ask(replace(self._app.request, sql=query))

    def _save(self) -> None:
        from console.commands.files import new_file  # noqa: PLC0415

        path = Path(self._text.strip()).expanduser()
        rows = self._app.pane.table.as_rows()
        try:
            with new_file(path) as place, place.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(
                    [harmless(cell) for cell in row] for row in rows
                )
        except UsageError as error:
            self._app.footer.say(str(error))
            return
        self._app.footer.say(f"wrote {max(0, len(rows) - 1)} rows to {path}")

    def _go(self) -> None:
        clock = self._app.latest_clock
        if clock is None:
            self._app.footer.say("no figures yet")
            return
        try:
            moment = moment_near(self._text, clock)
        except UsageError as error:
            self._app.footer.say(str(error))
            return
        self._app.ask(requests.go_to(self._app.request, clock, moment))

    def _compare(self) -> None:
        # by now the data thread has loaded what this needs; the first paint must not
        from console.windows import parse_against  # noqa: PLC0415

        text = self._text.strip()
        try:
            parse_against(text)
        except UsageError as error:
            self._app.footer.say(str(error))
            return
        against = None if text == "reference" else text
        self._app.ask(replace(self._app.request, against=against))
