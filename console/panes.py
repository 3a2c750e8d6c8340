"""The one list of panes: name, what it takes, how it is viewed. tui, show and docs read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # so that the list of names costs nothing at start
    from console.analysis.ask import Ask
    from console.snapshots import Snapshot, Taker
    from console.views.model import Plot, View

__all__ = ["AGREEMENT", "PANES", "SHOWN", "SQL", "PaneSpec", "take", "title_of", "view"]


@dataclass(frozen=True, slots=True)
class PaneSpec:
    """One pane. key: its number on the keyboard, or none: -1. module: of the view and the JSON.

    opens: the pane that enter on a deployment's row leads to. by_segment: whether its figures are
    kept by segment.
    """

    name: str
    title: str
    key: int
    summary: str
    opens: str = ""
    by_segment: bool = False

    @property
    def module(self) -> str:
        """Where `view(snapshot)` and `rows(snapshot)` of the pane are."""
        return f"console.views.{self.name}"


PANES: dict[str, PaneSpec] = {
    p.name: p
    for p in (
        PaneSpec("overview", "Overview", 1, "all deployments, what is wrong first", "performance"),
        PaneSpec(
            "performance", "Performance", 2, "every metric per version, over time", by_segment=True
        ),
        PaneSpec("drift", "Drift", 3, "features, score and prediction against the reference"),
        PaneSpec(
            "subgroups",
            "Subgroups",
            4,
            "segments and their crosses, the worst first",
            by_segment=True,
        ),
        PaneSpec("traffic", "Traffic", 5, "the observed split, errors and latency"),
        PaneSpec("data", "Data", 6, "freshness, volume, nulls, quarantine, label coverage"),
        PaneSpec(
            "versions", "Versions", 7, "versions compared: difference, evidence, how much longer"
        ),
        PaneSpec(
            "rows", "Rows", 8, "raw predictions behind a figure, the worst first", by_segment=True
        ),
        PaneSpec("system", "System", 0, "latency, errors, load and cost, with their hard limits"),
    )
}


AGREEMENT = PaneSpec(
    "agreement", "Agreement", -1, "people who label the same predictions: kappa, disagreements"
)
"""Only on the screen where a deployment's labels say who gave them; it reads raw labels."""

SHOWN: dict[str, PaneSpec] = {**PANES, AGREEMENT.name: AGREEMENT}
"""What `show` prints."""

SQL = PaneSpec("sql", "SQL", 9, "queries over an opened log")
"""Where a store is only read. It has no snapshot: what it shows is what was asked."""


def title_of(name: str) -> str:
    """A pane's title."""
    return SQL.title if name == SQL.name else SHOWN[name].title


def take(name: str, taker: Taker, ask: Ask) -> Snapshot:
    """The snapshot of a pane. Raises KeyError for an unknown name."""
    method: Callable[[Ask], Snapshot] = getattr(taker, SHOWN[name].name)
    return method(ask)


def view(name: str, snapshot: Snapshot) -> View:
    """The pane as tables, plots and sentences."""
    module: Any = import_module(SHOWN[name].module)
    made: View = module.view(snapshot)
    return made if snapshot.ask.deployment.timed else _without_times(made)


def _without_times(view: View) -> View:
    """A log that says no times has nothing to draw over time."""
    from console.views.model import TimePlot  # noqa: PLC0415 - the list of names costs nothing

    def kept(plots: tuple[Plot, ...]) -> tuple[Plot, ...]:
        return tuple(plot for plot in plots if not isinstance(plot, TimePlot))

    details = tuple((key, replace(d, plots=kept(d.plots))) for key, d in view.details)
    return replace(view, plots=kept(view.plots), details=details)
