"""What the screen asks for and what it gets: the seam between the data thread and the app.

The app never sees a store, a query or a rollup. It hands a `Request` to a `Backend` on the data
thread and gets a frozen `Frame` back. Tests feed frames by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from collectors.row_kinds import RowKind
from console.views.model import View

if TYPE_CHECKING:  # nothing of control is imported before the first paint
    from console.control.evidence import Evidence

__all__ = ["Backend", "Explain", "Frame", "Mode", "Request", "RowsRequest", "Status", "Waking"]


class Mode(StrEnum):
    """Which clock the screen follows."""

    LIVE = "live"
    REPLAY = "replay"
    OFFLINE = "offline"
    AS_OF = "as of"


@dataclass(frozen=True, slots=True)
class Explain:
    """One figure on the screen: its pane, the key of its row, and the title of its column."""

    pane: str
    row: str
    column: str


@dataclass(frozen=True, slots=True)
class RowsRequest:
    """Raw rows. origin: the figure they are behind, None for all. kind: None as the figure says."""

    origin: Explain | None = None
    kind: RowKind | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What the user wants to see.

    deployment: None is the first one. as_of: None follows the clock, otherwise the time cursor.
    segment: None, "origin", "origin,carrier" or "origin=EWR". panes: the visible ones only.
    against: what to compare with, as `--against` takes it; None is the reference. threshold:
    another operating threshold to try. explain: the figure whose change is to be explained.
    rows: which raw rows the rows pane lists. sql: the query of the SQL pane.
    """

    panes: tuple[str, ...]
    deployment: str | None = None
    window: timedelta = timedelta(days=7)
    as_of: datetime | None = None
    version: str | None = None
    segment: str | None = None
    against: str | None = None
    threshold: float | None = None
    explain: Explain | None = None
    rows: RowsRequest | None = None
    sql: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """The state line. data_age: clock minus the newest row, None without rows. findings: how many
    want attention, None while that is not known.

    versions, segments: what `Request.version` and `Request.segment` can be set to here, in order.
    threshold: the operating threshold of the version shown; None where there is none to move.
    watched: whether intervals of what is open hold at every look (`Ask.watched`). row_kinds: of
    raw rows. timed: whether the log says when.
    """

    deployment: str
    deployments: tuple[str, ...]
    mode: Mode
    clock: datetime
    start: datetime
    end: datetime
    data_age: timedelta | None
    findings: int | None
    read_only: bool = True
    progress: str = ""
    problem: str = ""
    versions: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    threshold: float | None = None
    watched: bool = False
    row_kinds: tuple[RowKind, ...] = ()
    timed: bool = True


@dataclass(frozen=True, slots=True)
class Frame:
    """One consistent picture: every view in it is of the same deployment, window and clock.

    explained: the page that `Request.explain` asked for, once it is there. evidence: what is known
    of the deployment's arms, where its traffic can be changed.
    """

    request: Request
    status: Status
    views: tuple[tuple[str, View], ...]
    explained: View | None = None
    evidence: Evidence | None = None


class Backend(Protocol):
    """Runs on the data thread only, except `interrupt`, which may be called from any thread."""

    def advance(self) -> bool:
        """Do the next piece of work that is due (replay, followed files); True if there is news."""

    def frames(self, request: Request) -> Iterator[Frame]:
        """Answer a request from the rollups: what is quick first, then the same and more.

        The last frame has everything. Whoever has another request by then stops asking.
        """

    def interrupt(self) -> None:
        """Stop a running query, because the user has gone on or quits."""

    def close(self) -> None:
        """Release the store."""


@runtime_checkable
class Waking(Protocol):
    """A backend that learns of news by itself, also while nobody asks."""

    poll_s: float | None
    """Seconds between two looks for news where that costs little; None: as pictures are made."""

    def waking(self, wake: Callable[[], object]) -> None:
        """What to call for that, from any thread."""
