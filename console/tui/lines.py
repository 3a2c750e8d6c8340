"""A widget that is a list of lines and repaints only the lines that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from console.tui.safe import safe

__all__ = ["LineBlock"]

_PLAIN = Style.null()


class LineBlock(Widget, inherit_bindings=False):
    """Draws what `lines` returns for its size; call `redraw` when that may have changed.

    All text of the app passes `_strip`, so nothing that is not printable reaches the terminal.
    """

    can_focus = False
    ALLOW_SELECT = False
    ascii_only = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._strips: list[Strip] = []
        self._drawn_size = (0, 0)

    def lines(self, width: int, height: int) -> Sequence[Text]:
        """What to draw; missing lines are blank, lines past the height are cut."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw again, telling Textual of the changed lines only."""
        width, height = self.size
        if not self.is_mounted or width <= 0 or height <= 0:
            return
        old = self._strips
        new = [self._strip(text, width) for text in self.lines(width, height)[:height]]
        blank = Strip.blank(width, _PLAIN)
        new.extend(blank for _ in range(height - len(new)))
        self._strips = new
        if self._drawn_size != (width, height) or len(old) != len(new):
            self._drawn_size = (width, height)
            self.refresh()
            return
        changed = [Region(0, y, width, 1) for y in range(height) if old[y] != new[y]]
        if changed:
            self.refresh(*changed)

    def on_resize(self) -> None:
        """Another size is another drawing."""
        self.redraw()

    def on_show(self) -> None:
        """A hidden block is not drawn; shown again it may be out of date."""
        self.redraw()

    def render_line(self, y: int) -> Strip:
        """One line for the compositor."""
        if y < len(self._strips) and self._drawn_size[0] == self.size.width:
            return self._strips[y]
        return Strip.blank(self.size.width, _PLAIN)

    def _strip(self, text: Text, width: int) -> Strip:
        ascii_only = self.ascii_only
        segments = [
            Segment(safe(segment.text, ascii_only=ascii_only), segment.style or _PLAIN)
            for segment in text.render(self.app.console)
            if segment.text
        ]
        return Strip(segments).adjust_cell_length(width, _PLAIN)
