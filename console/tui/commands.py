"""What each action does. One method per action, named like its id in the table of actions."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from console.feed import Explain, Request, RowsRequest
from console.tui import requests
from console.tui.clipboard import osc52, tsv
from console.tui.help_page import help_lines
from console.tui.palette import Choice, choices
from console.tui.pane_layout import Emphasis
from console.tui.prompt import edit
from console.tui.prompts import LONGEST_PROMPT, Prompts
from console.tui.safe import safe
from console.tui.traffic_commands import TrafficCommands

if TYPE_CHECKING:
    from console.tui.app import ModelwatchApp

__all__ = ["Commands"]

THRESHOLD_PANE = "performance"
"""The pane whose figures depend on the operating threshold."""

_OF_TIME = frozenset({"step_back", "step_forward", "go_to_time", "window_down", "window_up", "now"})
ROWS_PANE, SQL_PANE, AGREEMENT_PANE = "rows", "sql", "agreement"

_WHILE_TYPING = frozenset({"interrupt", "redraw"})


class _Scroller(Protocol):
    def move(self, rows: int) -> None: ...
    def move_page(self, pages: int) -> None: ...
    def move_to_end(self, *, last: bool) -> None: ...


class Commands(TrafficCommands):
    """Carries out actions on the app: `press` for a key, `run` for an action id."""

    def __init__(self, app: ModelwatchApp) -> None:
        self._app = app
        self._prompts = Prompts(app)
        self._leaving = False  # whether quitting was asked for while a change was under way
        self._rows_from: int | None = None  # the pane whose figure the raw rows are behind

    @property
    def typing(self) -> bool:
        """Whether keys are text for a prompt."""
        return self._prompts.typing or self._app.control_page.typing

    def press(self, key: str, character: str | None) -> None:
        """A key: text while a prompt is open, otherwise the action it is bound to."""
        action = self._app.keymap.by_key.get(key)
        if action is not None and action.id in _WHILE_TYPING and len(key) > 1:
            self.run(action.id)
        elif self._app.page == "palette":
            self._type_palette(key, character)
        elif self._prompts.typing:
            self._prompts.press(key, character)
        elif self._app.control_page.takes(key):
            self._app.control_page.press(key, character)
        elif action is not None:
            self.run(action.id)

    def paste(self, text: str) -> None:
        """Pasted text goes into an open prompt and nowhere else."""
        words = safe(text[:LONGEST_PROMPT]).strip()
        if self._app.page == "palette":
            self._app.palette.type((self._app.palette.text + words)[:LONGEST_PROMPT])
        elif self._app.control_page.modal:
            self._app.control_page.paste(words)
        else:
            self._prompts.paste(words)

    def run(self, action_id: str) -> None:
        """Do it; the notice of the action before goes away."""
        self._app.footer.say("")
        self._leaving = self._leaving and action_id == "quit"
        status = self._app.status
        if status is not None and not status.timed and action_id in _OF_TIME:
            self._app.footer.say("the log says no times: there is one window, all of it")
            return
        if action_id.startswith("pane_"):
            self._pane(int(action_id.removeprefix("pane_")))
            return
        method: Callable[[], None] = getattr(self, action_id)
        method()

    # panes

    def go_to(self, index: int) -> None:
        """Make a pane the one keys act on; leaves any page."""
        self._app.active = index % len(self._app.panes)
        self._app.page = ""
        self._app.arrange()

    def labellers(self) -> None:
        """To the pane of those who label."""
        places = [i for i, info in enumerate(self._app.infos) if info.name == AGREEMENT_PANE]
        if not places:
            self._app.footer.say("no deployment's labels say who gave them")
            return
        self.go_to(places[0])

    def next_pane(self) -> None:
        """To the pane after this one."""
        self.go_to(self._app.active + 1)

    def previous_pane(self) -> None:
        """To the pane before this one."""
        self.go_to(self._app.active - 1)

    def zoom(self) -> None:
        """All panes or this one."""
        self._app.zoomed = not self._app.zoomed
        self._app.arrange()

    def plot(self) -> None:
        """Both, plot, table."""
        order = list(Emphasis)
        pane = self._app.pane
        if pane.view is not None and not pane.view.plots:
            self._app.footer.say("this pane has no plot")
            return
        pane.emphasis = order[(order.index(pane.emphasis) + 1) % len(order)]
        self._app.footer.say(f"showing {pane.emphasis.value}")
        pane.redraw()

    def _pane(self, key: int) -> None:
        for index, info in enumerate(self._app.infos):
            if info.key == key:
                self.go_to(index)
                return
        self._app.footer.say(f"there is no pane {key}")

    # rows

    def down(self) -> None:
        """One row down."""
        self._move(lambda target: target.move(1))

    def up(self) -> None:
        """One row up."""
        self._move(lambda target: target.move(-1))

    def page_down(self) -> None:
        """One page down."""
        self._move(lambda target: target.move_page(1))

    def page_up(self) -> None:
        """One page up."""
        self._move(lambda target: target.move_page(-1))

    def top(self) -> None:
        """To the first row."""
        self._move(lambda target: target.move_to_end(last=False))

    def bottom(self) -> None:
        """To the last row."""
        self._move(lambda target: target.move_to_end(last=True))

    def filter(self) -> None:
        """Type a filter; rows go while it is typed."""
        if self._app.page:
            self._app.footer.say("filtering works in a pane; esc goes back to it")
            return
        self._prompts.open_filter()

    def sort(self) -> None:
        """By the next column."""
        self._app.footer.say(self._app.pane.table.sort_next())
        self._app.redraw_panes()

    def reverse(self) -> None:
        """The other way round."""
        self._app.footer.say(self._app.pane.table.sort_reverse())
        self._app.redraw_panes()

    def open(self) -> None:
        """A deployment where the pane says so, otherwise the detail of the row."""
        pane = self._app.pane
        row = pane.table.cursor
        if self._app.page or row is None or pane.view is None:
            return
        deployments = self._app.status.deployments if self._app.status else ()
        goal = [i for i, info in enumerate(self._app.infos) if info.name == pane.info.opens]
        if goal and row.key in deployments:
            self._select_deployment(row.key)
            self.go_to(goal[0])
            return
        self._app.pages.open_detail(row)

    def left(self) -> None:
        """One figure to the left."""
        self._move_column(-1)

    def right(self) -> None:
        """One figure to the right."""
        self._move_column(1)

    def explain(self) -> None:
        """Why the figure under the cursor changed."""
        pane = self._app.pane
        row, column = pane.table.cursor, pane.table.figure
        if self._app.page not in {"", "detail"}:
            self._app.footer.say("figures are explained in a pane; esc goes back to it")
        elif pane.view is None or row is None or column is None:
            self._app.footer.say("there is no figure here to explain; h and l go to one")
        else:
            self._app.pages.open_explanation(row, column)

    def rows_behind(self) -> None:
        """The raw rows of the figure under the cursor; on their own pane, those of everything."""
        pane = self._app.pane
        row, column = pane.table.cursor, pane.table.figure
        if self._app.page not in {"", "detail"} or self._rows_pane is None:
            self._app.footer.say("raw rows are listed from a pane; esc goes back to it")
        elif pane.info.name == ROWS_PANE:
            self._app.ask(replace(self._app.request, rows=None))
        elif pane.view is None or row is None or column is None:
            self._app.footer.say("there is no figure here; h and l go to one")
        else:
            origin = Explain(pane.info.name, row.key, column.title)
            self._rows_from = self._app.active
            self._app.ask(replace(self._app.request, rows=RowsRequest(origin)))
            self.go_to(self._rows_pane)

    def row_kind(self) -> None:
        """Rows of the next kind, of the same figure's slice."""
        if self._app.pane.info.name != ROWS_PANE:
            self._app.footer.say("this is a key of the pane of raw rows")
            return
        status, known = self._app.status, self._app.request.rows or RowsRequest()
        kinds = status.row_kinds if status is not None else ()
        if kinds:
            place = kinds.index(known.kind) + 1 if known.kind in kinds else 0
            rows = replace(known, kind=kinds[place % len(kinds)])
            self._app.ask(replace(self._app.request, rows=rows))

    def query(self) -> None:
        """Type a query, on its pane."""
        place = next((i for i, info in enumerate(self._app.infos) if info.name == SQL_PANE), None)
        if place is None:
            self._app.footer.say("SQL is for logs that were opened, which nobody writes to")
            return
        self.go_to(place)
        self._prompts.open_query()

    def save(self) -> None:
        """Type where the table is written to."""
        if self._app.page:
            self._app.footer.say("a table is written from its pane; esc goes back to it")
        else:
            self._prompts.open_save()

    @property
    def _rows_pane(self) -> int | None:
        infos = enumerate(self._app.infos)
        return next((i for i, info in infos if info.name == ROWS_PANE), None)

    def back(self) -> None:
        """From a page to the panes; from raw rows to their figure; then a filter is cleared; then
        a zoomed pane is not."""
        app = self._app
        if app.page:
            app.page = ""
            app.arrange()
        elif app.pane.info.name == ROWS_PANE and self._rows_from is not None:
            place, self._rows_from = self._rows_from, None
            self.go_to(place)
        elif app.pane.table.filter:
            self._prompts.set_filter("")
            app.footer.ask(None)
        elif app.zoomed:
            self.zoom()

    def copy(self) -> None:
        """The table of the pane, as it is filtered and sorted."""
        taken = tsv(self._app.pane.table.as_rows())
        self._app.write_raw(osc52(taken.text, os.environ))
        of = f" of {taken.total}, the most a terminal takes" if taken.rows < taken.total else ""
        self._app.footer.say(f"sent {taken.rows} rows{of} to the clipboard (OSC 52)")

    def _move(self, move: Callable[[_Scroller], None]) -> None:
        if self._app.page:
            move(self._app.document)
        else:
            move(self._app.pane.table)
            self._app.pane.redraw()

    def _move_column(self, step: int) -> None:
        if not self._app.page:
            self._app.pane.table.move_column(step)
            self._app.pane.redraw()

    # time

    def pause(self) -> None:
        """Stop or go on."""
        self._app.paused = not self._app.paused
        self._app.data.set_paused(self._app.paused)
        self._app.show_state()

    def refresh(self) -> None:
        """A new frame now, also when paused."""
        self._app.data.refresh()
        self._app.footer.say("asked for new figures")

    def step_back(self) -> None:
        """One window back."""
        self._step(-1)

    def step_forward(self) -> None:
        """One window forward."""
        self._step(1)

    def go_to_time(self) -> None:
        """Type a time and go there."""
        self._prompts.open_time()

    def now(self) -> None:
        """Follow the clock."""
        self._app.ask(requests.follow_clock(self._app.request))

    def window_down(self) -> None:
        """Shorter."""
        self._change(requests.change_window(self._app.request, -1), "this is the shortest window")

    def window_up(self) -> None:
        """Longer."""
        self._change(requests.change_window(self._app.request, 1), "this is the longest window")

    def _step(self, windows: int) -> None:
        clock = self._app.latest_clock
        if clock is None:
            self._app.footer.say("no figures yet")
            return
        self._change(
            requests.step_time(self._app.request, clock, windows), "already following the clock"
        )

    def _change(self, request: Request, otherwise: str) -> None:
        if request == self._app.request:
            self._app.footer.say(otherwise)
        else:
            self._app.ask(request)

    # what

    def deployment(self) -> None:
        """The next one."""
        status = self._app.status
        if status is not None:
            request = requests.next_deployment(self._app.request, status)
            self._change(request, "there is only one deployment")

    def version(self) -> None:
        """All, or the next one."""
        status = self._app.status
        if status is not None:
            request = requests.next_version(self._app.request, status)
            self._change(request, "there are no versions to choose from")

    def segment(self) -> None:
        """None, or the next one."""
        status = self._app.status
        if status is not None:
            request = requests.next_segment(self._app.request, status)
            self._change(request, "there are no segments to choose from")

    def against(self) -> None:
        """The reference, another window, or another version."""
        status = self._app.status
        if status is not None:
            self._app.ask(requests.next_against(self._app.request, status))

    def against_typed(self) -> None:
        """Type what to compare with."""
        self._prompts.open_against()

    def threshold_down(self) -> None:
        """A little lower."""
        self._move_threshold(-1)

    def threshold_up(self) -> None:
        """A little higher."""
        self._move_threshold(1)

    def threshold_reset(self) -> None:
        """As it is in service."""
        request = replace(self._app.request, threshold=None)
        self._change(request, "the threshold is the one in service")

    def _move_threshold(self, steps: int) -> None:
        status = self._app.status
        if self._app.pane.info.name != THRESHOLD_PANE:
            self._app.footer.say("the threshold moves on the performance pane")
        elif status is not None:
            end = "the threshold is at its end"
            if status.threshold is None:
                end = f"{status.deployment} has no threshold of a score to move"
            self._change(requests.move_threshold(self._app.request, status, steps), end)

    def _select_deployment(self, name: str) -> None:
        current = self._app.request.deployment or (
            self._app.status.deployment if self._app.status else None
        )
        if name != current:
            self._app.ask(requests.select_deployment(self._app.request, name))

    # app

    def help(self) -> None:
        """Every key; a second time: back."""
        app = self._app
        if app.page == "help":
            self.back()
            return
        app.page = "help"
        app.document.open("Keys", lambda width, height: help_lines(app.keymap, app.infos, width))
        app.arrange()

    def palette(self) -> None:
        """Choose by name."""
        app = self._app
        status = app.status
        app.page = "palette"
        everything = choices(
            app.keymap, app.infos, status.deployments if status else (),
            status.versions if status else (), status.segments if status else (),
        )  # fmt: skip
        app.palette.open(everything, self._choose)
        app.arrange()

    def redraw(self) -> None:
        """The whole screen."""
        self._app.redraw_all()

    def quit(self) -> None:
        """Leave; while a change is under way only when asked twice."""
        if self._app.control_page.running and not self._leaving:
            self._leaving = True
            key = self._app.keymap.key_of("quit") or "quit"
            self._app.footer.say(
                f"a change is under way; {key} again leaves before requests can prove it"
            )
            return
        self._app.exit(0)

    def interrupt(self) -> None:
        """Ctrl+c never stops anything."""
        key = self._app.keymap.key_of("quit")
        self._app.footer.say(f"press {key} to quit" if key else "quit is in the palette")

    def _choose(self, choice: Choice) -> None:
        self._app.page = ""
        self._app.arrange()
        request = self._app.request
        if choice.kind == "deployment":
            self._select_deployment(choice.name)
        elif choice.kind == "version":
            self._app.ask(replace(request, version=choice.name))
        elif choice.kind == "against":
            self._app.ask(replace(request, against=choice.name or None))
        elif choice.kind == "segment":
            self._app.ask(replace(request, segment=choice.name))
        else:
            self.run(choice.name)

    # typing

    def _type_palette(self, key: str, character: str | None) -> None:
        palette = self._app.palette
        if key == "escape":
            self.back()
        elif key == "enter":
            palette.accept()
        elif key in {"down", "up", "pagedown", "pageup", "tab", "shift+tab"}:
            step = 10 if key.startswith("page") else 1
            palette.move(step if key in {"down", "pagedown", "tab"} else -step)
        else:
            palette.type(edit(palette.text, key, character)[:LONGEST_PROMPT])
