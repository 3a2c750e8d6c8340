"""What a window is compared with: the reference, another window, another version, or the past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["REFERENCE", "Against", "Side"]

_WEEK = timedelta(days=7)


class Side(StrEnum):
    """Kinds of the other side, named as the user types them."""

    REFERENCE = "reference"
    """The version's own training or validation set."""
    BEFORE = "before"
    """The window of the same length before this one."""
    WEEK = "week"
    """The same hours some whole weeks earlier: one, or as many as the window is long. What
    changes with the hour or the day of the week is no difference then."""
    VERSION = "version"
    """Another version in the same window."""
    KNOWN = "known"
    """The same window as it was known at an earlier moment: what late labels revised."""
    SPAN = "span"
    """A window of its own."""


@dataclass(frozen=True, slots=True)
class Against:
    """version: of VERSION. known: of KNOWN. start, end: of SPAN, aware UTC on full hours."""

    side: Side = Side.REFERENCE
    version: str | None = None
    known: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None

    def span(self, start: datetime, end: datetime) -> tuple[datetime, datetime] | None:
        """The other side's window, given this one's; None for the reference."""
        match self.side:
            case Side.REFERENCE:
                return None
            case Side.BEFORE:
                return start - (end - start), start
            case Side.WEEK:
                back = _WEEK * max(1, -((start - end) // _WEEK))
                return start - back, end - back
            case Side.VERSION | Side.KNOWN:
                return start, end
            case Side.SPAN:
                return self.start or start, self.end or end

    @property
    def words(self) -> str:
        """In a sentence: "the reference", "the window before"."""
        match self.side:
            case Side.REFERENCE:
                return "the reference"
            case Side.BEFORE:
                return "the window before"
            case Side.WEEK:
                return "the same hours of the week before"
            case Side.VERSION:
                return f"version {self.version}"
            case Side.KNOWN:
                return f"what was known at {self.known:%Y-%m-%d %H:%M} UTC"
            case Side.SPAN:
                return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"

    @property
    def has(self) -> str:
        """In a sentence, before the other side's figure: "the window before had"."""
        if self.side is Side.REFERENCE:
            return "its reference has"
        return f"{self.words} {'has' if self.side is Side.VERSION else 'had'}"

    @property
    def label(self) -> str:
        """Above a column or beside a row."""
        match self.side:
            case Side.REFERENCE | Side.VERSION:
                return self.words.removeprefix("the ")
            case Side.BEFORE:
                return "window before"
            case Side.WEEK:
                return "week before"
            case Side.KNOWN:
                return f"known {self.known:%d %b %H:%M}"
            case Side.SPAN:
                return f"{self.start:%d %b} to {self.end:%d %b}"


REFERENCE = Against()
