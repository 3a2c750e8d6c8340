"""How many panes fit beside each other: a pure decision from the size of the screen."""

from __future__ import annotations

__all__ = ["first_span", "grid_shape"]

_GRID_WIDTH = 120
_GRID_HEIGHT = 40
_WIDE = 180  # from here three columns give each pane 60 cells
_LEAST_WIDTH = 40
_LEAST_HEIGHT = 9


def grid_shape(width: int, height: int, panes: int) -> tuple[int, int] | None:
    """Columns and rows of a grid with all panes, or None: one pane at a time."""
    if width < _GRID_WIDTH or height < _GRID_HEIGHT or panes < 2:
        return None
    preferred = 3 if width >= _WIDE else 2
    for columns in (preferred, preferred + 1):
        rows = -(-panes // columns)
        if width // columns >= _LEAST_WIDTH and (height - 2) // rows >= _LEAST_HEIGHT:
            return columns, rows
    return None


def first_span(shape: tuple[int, int], panes: int) -> int:
    """How many columns the first pane takes, so that no place of the grid is empty."""
    columns, rows = shape
    return 1 + max(0, columns * rows - panes)
