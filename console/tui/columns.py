"""The columns of a table on the screen: how wide each is, and which one the cursor is on."""

from __future__ import annotations

from collections.abc import Sequence

from console.views.model import Column

__all__ = ["GAP", "ColumnCursor", "column_widths"]

GAP = 2
_LADDER = ((36, 3), (20, 2), (12, 1))  # flexible columns down to; then drop priorities from
_LAST_RESORT = 4
_COUNTS = frozenset({"n", "rows"})  # how much a figure rests on; not the figure itself


class ColumnCursor:
    """The chosen column, by title, so that it stays through refreshes and narrow screens.

    Until one is chosen, and while the chosen one has no room, it is on the headline figure: the
    first column of numbers that is always shown.
    """

    def __init__(self) -> None:
        self._title: str | None = None

    def at(self, columns: Sequence[Column], shown: Sequence[int]) -> int | None:
        """The index of its column, given those that are shown; None without columns."""
        if not shown:
            return None
        chosen = next((i for i in shown if columns[i].title == self._title), None)
        return _headline(columns, shown) if chosen is None else chosen

    def move(self, columns: Sequence[Column], shown: Sequence[int], step: int) -> None:
        """To a neighbour among the shown columns, stopping at the ends."""
        here = self.at(columns, shown)
        if here is not None:
            index = max(0, min(list(shown).index(here) + step, len(shown) - 1))
            self._title = columns[shown[index]].title


def _headline(columns: Sequence[Column], shown: Sequence[int]) -> int:
    numbers = [i for i in shown if i and columns[i].right]
    figures = [i for i in numbers if columns[i].title not in _COUNTS]
    always = [i for i in figures if columns[i].priority == 0]
    return next(iter([*always, *figures, *numbers, *shown[1:], *shown]))


def column_widths(columns: Sequence[Column], natural: Sequence[int], width: int) -> list[int]:
    """The width of each column, 0 for a dropped one.

    By turns flexible columns give way a little and the columns of the highest priority number
    are dropped, rightmost first: a name cut to nothing helps as little as a missing figure.
    """
    widths = list(natural)
    flexible = [i for i, column in enumerate(columns) if column.flexible]

    def excess() -> int:
        shown = [cells for cells in widths if cells]
        return sum(shown) + GAP * max(0, len(shown) - 1) - width

    def shrink(index: int, least: int) -> None:
        if widths[index]:
            widths[index] = max(min(widths[index], least), widths[index] - max(0, excess()))

    for floor, lowest in _LADDER:
        for index in flexible:
            shrink(index, floor)
        order = sorted(range(len(columns)), key=lambda i: (-columns[i].priority, -i))
        for index in order:
            if columns[index].priority >= lowest and excess() > 0:
                widths[index] = 0
    for index in flexible:  # dropping a wide column may have left room
        if widths[index] and excess() < 0:
            widths[index] = min(natural[index], widths[index] - excess())
    for index in [*reversed(flexible), *reversed(range(len(columns)))]:
        shrink(index, _LAST_RESORT)
    for index in reversed(range(1, len(columns))):
        if excess() > 0:
            widths[index] = 0
    if columns and excess() > 0:
        widths[0] = max(1, widths[0] - excess())
    return widths
