"""The palette: type a part of a name, choose an action, a pane or a deployment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from console.tui.actions import ACTIONS, Keymap
from console.tui.cells import fit, line
from console.tui.lines import LineBlock
from console.tui.options import PaneInfo
from console.tui.paint import BOLD, CURSOR, DIM
from console.tui.pane_layout import title_line
from console.tui.requests import AGAINST, against_text

__all__ = ["Choice", "PaletteView", "choices"]

_WIDEST = 100
_HIDDEN = frozenset({"palette", "interrupt", "down", "up"})


@dataclass(frozen=True, slots=True)
class Choice:
    """One line: what it is, its key, and the action id or the name it stands for."""

    text: str
    key: str
    kind: str
    name: str


class PaletteView(LineBlock):
    """A prompt over a list that shrinks as the user types. Nothing in it is markup."""

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(id="palette")
        self.ascii_only = ascii_only
        self.text = ""
        self._all: Sequence[Choice] = ()
        self._index = 0
        self._chosen: Callable[[Choice], None] | None = None

    def open(self, all_choices: Sequence[Choice], chosen: Callable[[Choice], None]) -> None:
        """Start with an empty prompt."""
        self._all, self._chosen, self.text, self._index = all_choices, chosen, "", 0
        self.redraw()

    def type(self, text: str) -> None:
        """The prompt is now this."""
        self.text, self._index = text, 0
        self.redraw()

    def move(self, rows: int) -> None:
        """Choose another line."""
        self._index = max(0, min(self._index + rows, len(self.matches()) - 1))
        self.redraw()

    def accept(self) -> None:
        """Do what the line under the cursor says."""
        found = self.matches()
        if found and self._chosen is not None:
            self._chosen(found[self._index])

    def matches(self) -> list[Choice]:
        """Choices that contain every word typed, whatever the case."""
        words = self.text.casefold().split()
        return [c for c in self._all if all(word in c.text.casefold() for word in words)]

    def lines(self, width: int, height: int) -> Sequence[Text]:
        """Title, prompt, list."""
        found = self.matches()
        title = title_line(
            "Palette", f"{len(found)} of {len(self._all)}", width,
            focused=True, ascii_only=self.ascii_only,
        )  # fmt: skip
        prompt = line([(": ", BOLD), (self.text, None), (" ", CURSOR)])
        room = max(1, height - 2)
        top = max(0, self._index - room + 1)
        out = [title, prompt]
        for index, choice in enumerate(found[top : top + room], start=top):
            mark = "> " if index == self._index else "  "
            key_width = 12 if width > 40 else 0
            text = mark + fit(choice.text, max(0, min(width, _WIDEST) - 2 - key_width))
            key = fit(choice.key, key_width)
            here = index == self._index
            out.append(line([(text, CURSOR if here else None), (key, CURSOR if here else DIM)]))
        if not found:
            out.append(line([("  nothing has that name; esc goes back", DIM)]))
        return out


def choices(
    keymap: Keymap,
    panes: Sequence[PaneInfo],
    deployments: Sequence[str],
    versions: Sequence[str],
    segments: Sequence[str],
) -> list[Choice]:
    """All that can be chosen: deployments, versions, segments, comparisons, panes, actions."""
    out = [Choice(f"deployment: {name}", "", "deployment", name) for name in deployments]
    out += [Choice(f"version: {name}", "", "version", name) for name in versions]
    out += [Choice(f"segment: {name}", "", "segment", name) for name in segments]
    compared = ["", *AGAINST, *(f"version={name}" for name in versions)]
    out += [
        Choice(f"compare with: {against_text(name or None)}", "", "against", name)
        for name in compared
    ]
    titles = {f"pane_{pane.key}": f"pane: {pane.title}" for pane in panes}
    names = {pane.name for pane in panes}
    for action in ACTIONS:
        if not action.is_there(names):
            continue
        if action.id in _HIDDEN or (action.id.startswith("pane_") and action.id not in titles):
            continue
        text = titles.get(action.id, f"{action.label}: {action.help}")
        out.append(Choice(text, keymap.key_of(action.id), "action", action.id))
    return out
