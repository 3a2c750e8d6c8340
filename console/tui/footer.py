"""The bottom line: keys, or what the user types, or a short notice; and the strip of panes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text
from textual.timer import Timer

from console.tui.actions import FOOTER, FOOTER_END, HANDS, Keymap
from console.tui.cells import cut, line, width_of, wrap
from console.tui.lines import LineBlock
from console.tui.options import PaneInfo
from console.tui.paint import BOLD, CURSOR, DIM, FOCUS, KEY, style_of
from console.views.model import Tone

__all__ = ["Footer", "MessageLine", "PaneStrip"]

_PANE_ONLY = frozenset({"open", "filter", "sort", "copy", "plot", "zoom"})
_PROBLEM_LINES = 3
_NOTICE_S = 6.0
_HINTS = {
    "palette": "type a part of a name  up down choose  enter do it  esc back",
    "control": "esc back  up down more of it",
}
_SHORT = {"escape": "esc", "pageup": "pgup", "pagedown": "pgdn"}


_Part = tuple[str, Style | None]


class Footer(LineBlock):
    """A prompt goes before a notice, a notice before the keys; `?` is always there."""

    def __init__(self, keymap: Keymap, *, ascii_only: bool) -> None:
        super().__init__(id="footer")
        self.ascii_only = ascii_only
        self.grid = False
        self._left_out = HANDS
        self._hint = ""
        self._keymap = keymap
        self._prompt: str | None = None
        self._notice = ""
        self._clearing: Timer | None = None

    @property
    def notice(self) -> str:
        """The notice shown now."""
        return self._notice

    def say(self, notice: str) -> None:
        """Show a sentence until the next key, or for a few seconds."""
        if self._clearing is not None:
            self._clearing.stop()
            self._clearing = None
        if notice:
            self._clearing = self.set_timer(_NOTICE_S, lambda: self.say(""))
        if notice != self._notice:
            self._notice = notice
            self.redraw()

    def show_for(self, page: str, *, grid: bool, hands: bool = False) -> None:
        """Leave out the keys that do nothing on this page. hands: whether traffic can be moved."""
        self.grid = grid
        self._hint = _HINTS.get(page, "")
        if page:
            self._left_out = _PANE_ONLY if page == "detail" else _PANE_ONLY | {"explain"}
        else:
            self._left_out = frozenset({"back"} if grid else {"back", "zoom"})
        if page or not hands:
            self._left_out |= HANDS
        self.redraw()

    def hint(self, text: str) -> None:
        """Other keys than those that the page always has."""
        if text != self._hint:
            self._hint = text
            self.redraw()

    def ask(self, prompt: str | None) -> None:
        """Show what is being typed; None: nothing is."""
        self._prompt = prompt
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Text]:
        """One line."""
        if self._prompt is not None:
            text = self._prompt
            while width_of(text) > width - 1:
                text = text[1:]
            return [line([(text, BOLD), (" ", CURSOR)])]
        if self._notice:
            return [line([(cut(self._notice, width), style_of(Tone.ACCENT))])]
        return [line([(cut(self._hint, width), DIM)]) if self._hint else self._keys(width)]

    def _keys(self, width: int) -> Text:
        end = [self._entry(*entry) for entry in FOOTER_END]
        room = width - sum(_width(pair) + 2 for pair in end) + 2
        parts: list[_Part] = []
        for ids, label in FOOTER:
            entry = [] if self._left_out.issuperset(ids) else self._entry(ids, label)
            if entry and _width(entry) + 2 > room:
                break  # a less needed key must not take the place of this one
            if entry:
                parts += [*entry, ("  ", None)]
                room -= _width(entry) + 2
        for entry in end:
            parts += [*entry, ("  ", None)] if entry else []
        return line(parts)

    def _entry(self, ids: Sequence[str], label: str) -> list[_Part]:
        keys = [key for key in map(self._keymap.key_of, ids) if key]
        shown = " ".join(_SHORT.get(key, key) for key in keys)
        return [(shown, KEY), (" " + label, DIM)] if keys else []


def _width(parts: Sequence[_Part]) -> int:
    return sum(width_of(text) for text, _ in parts)


class PaneStrip(LineBlock):
    """The names of all panes with their keys, when only one of them is on the screen."""

    def __init__(self, panes: Sequence[PaneInfo], *, ascii_only: bool) -> None:
        super().__init__(id="strip")
        self.ascii_only = ascii_only
        self._panes = panes
        self._active = ""

    def show(self, active: str) -> None:
        """Mark another pane."""
        self._active = active
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Text]:
        """One line; titles become shorter until all fit."""
        for longest in (24, 12, 8, 6, 4, 0):
            parts: list[_Part] = []
            for pane in self._panes:
                text = f" {pane.sign} {cut(pane.title, longest, '')}".rstrip() + " "
                parts.append((text, FOCUS if pane.name == self._active else None))
            if sum(width_of(text) for text, _ in parts) <= width:
                break
        return [line(parts)]


class MessageLine(LineBlock):
    """A problem in a sentence; takes no space when there is none."""

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(id="problem")
        self.ascii_only = ascii_only
        self._text = ""
        self._height = 0

    def show(self, text: str, width: int) -> None:
        """Show a problem in up to three lines, or hide it when the text is empty."""
        height = min(_PROBLEM_LINES, len(wrap(self._mark + text, width, _PROBLEM_LINES)))
        if (text, height) != (self._text, self._height):
            self._text, self._height = text, height
            self.display = bool(text)
            self.styles.height = max(1, height)
            self.redraw()

    @property
    def _mark(self) -> str:
        return "X " if self.ascii_only else "✖ "

    def lines(self, width: int, height: int) -> Sequence[Text]:
        """The sentence, wrapped."""
        style = style_of(Tone.BAD)
        return [line([(text, style)]) for text in wrap(self._mark + self._text, width, height)]
