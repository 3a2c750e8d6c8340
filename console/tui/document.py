"""A page of lines to scroll through: the detail of a row, and help."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text

from console.tui.lines import LineBlock
from console.tui.pane_layout import title_line

__all__ = ["DocumentView"]

Build = Callable[[int, int], Sequence[Text]]


class DocumentView(LineBlock):
    """Shows what a builder returns for a width and height, from the line scrolled to."""

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(id="document")
        self.ascii_only = ascii_only
        self._title = ""
        self._build: Build | None = None
        self._content: Sequence[Text] = ()
        self._built_for: tuple[int, int] | None = None
        self._top = 0
        self._page = 1

    def open(self, title: str, build: Build) -> None:
        """Show another page from its start."""
        self._top = 0
        self.update(title, build)

    def update(self, title: str, build: Build) -> None:
        """Show the same page with newer content, where it was scrolled to."""
        self._title, self._build, self._built_for = title, build, None
        self.redraw()

    def move(self, rows: int) -> None:
        """Scroll by lines, stopping at the ends."""
        most = max(0, len(self._content) - self._page)
        self._top = max(0, min(self._top + rows, most))
        self.redraw()

    def move_page(self, pages: int) -> None:
        """Scroll by what is visible."""
        self.move(pages * max(1, self._page - 1))

    def move_to_end(self, *, last: bool) -> None:
        """To the start or the end."""
        self.move(len(self._content) if last else -len(self._content))

    def lines(self, width: int, height: int) -> Sequence[Text]:
        """The title with the position, then the lines scrolled to."""
        if self._build is not None and self._built_for != (width, height):
            self._content = self._build(width, height - 1)
            self._built_for = (width, height)
        self._page = max(1, height - 1)
        self._top = max(0, min(self._top, len(self._content) - self._page))
        end = min(len(self._content), self._top + self._page)
        where = f"lines {self._top + 1}-{end} of {len(self._content)}"
        right = where if len(self._content) > self._page else ""
        title = title_line(self._title, right, width, focused=True, ascii_only=self.ascii_only)
        return [title, *self._content[self._top : end]]
