"""What the terminal app is started with: plain data, so that nothing here imports Textual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["PaneInfo", "ScreenOptions"]


@dataclass(frozen=True, slots=True)
class PaneInfo:
    """One pane: the name used in requests, its title and its key number (0 to 9).

    A key of -1 is none of its own: such a pane has an action beside the panes' (`L`).

    opens: the pane to go to when enter is pressed on a row whose key is a deployment; that
    deployment is selected first. Empty: enter opens the detail of the row.
    """

    name: str
    title: str
    key: int
    opens: str = ""

    @property
    def sign(self) -> str:
        """Its key as it is shown."""
        return "L" if self.key < 0 else str(self.key)


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """How to draw and behave.

    ascii: only ASCII on the screen. charset: for plots, "braille", "blocks" or "ascii".
    refresh_s: at most one new picture in so many seconds. keys: action id -> key or keys
    separated by commas. log_file: where an internal error is written. history_file: where
    queries are remembered. hint: said at the bottom until the first key.
    """

    ascii: bool = False
    charset: str = "braille"
    mouse: bool = False
    refresh_s: float = 1.0
    keys: Mapping[str, str] = field(default_factory=dict)
    log_file: Path | None = None
    history_file: Path | None = None
    stock_driver: bool = False
    hint: str = ""

    @property
    def plot_charset(self) -> str:
        """The charset for plots; --ascii overrides the choice."""
        return "ascii" if self.ascii else self.charset
