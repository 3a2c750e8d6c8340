"""An open store, asked and printed like `modelwatch show`, without opening it each time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.analysis.ask import Step
from console.config import Config
from console.panes import take, view
from console.show import to_csv, to_json, to_table
from console.snapshots import Snapshot, Taker
from console.windows import make_ask

__all__ = ["Store"]


@dataclass(frozen=True)
class Store:
    """clock: the newest row's time, as `clock = "latest"` takes it."""

    config: Config
    taker: Taker
    clock: datetime | None

    def take(
        self, pane: str, deployment: str = "", window: timedelta = timedelta(days=2), **more: Any
    ) -> Snapshot:
        assert self.clock is not None
        name = deployment or self.config.deployment[0].name
        if isinstance(more.get("step"), str):
            more["step"] = Step(more["step"])
        d = next(d for d in self.config.deployment if d.name == name)
        return take(pane, self.taker, make_ask(d, self.clock, window, **more))

    def show(
        self, pane: str, deployment: str = "", fmt: str = "json", width: int = 120, **more: Any
    ) -> str:
        snapshot = self.take(pane, deployment, **more)
        if fmt == "json":
            return to_json(pane, snapshot)
        if fmt == "csv":
            return to_csv(pane, snapshot)
        return to_table(view(pane, snapshot), "title", width)
