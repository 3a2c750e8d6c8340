"""The whole sample in a store, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collectors.reader import InProcessReader
from console.analysis.ask import Ask
from console.config import Config
from console.snapshots import Taker
from console.times import parse_moment
from console.windows import make_ask

LOADED = datetime(2014, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Sample:
    """The sample's store, open for reading, and what is asked of it."""

    path: Path
    config_path: Path
    config: Config
    taker: Taker
    reader: InProcessReader

    def ask(self, start: str, end: str, deployment: str = "flight-late", **more: object) -> Ask:
        d = next(d for d in self.config.deployment if d.name == deployment)
        return make_ask(
            d,
            LOADED,
            timedelta(days=365),
            start=parse_moment(start),
            end=parse_moment(end),
            **more,  # type: ignore[arg-type]
        )

    @property
    def options(self) -> list[str]:
        """How the command is told of this store."""
        return ["--config", str(self.config_path), "--store", str(self.path)]
