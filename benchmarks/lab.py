"""One folder with a log, its configuration and its store: what every group of benchmarks shares."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.generator import Log, contract
from benchmarks.measure import child
from collectors.ingest import Ingest
from collectors.store.catalog import StoredDeployment
from collectors.store.database import Database

__all__ = ["Lab", "Load"]


@dataclass(frozen=True, slots=True)
class Load:
    """CPU seconds by phase, resident megabytes and the store's size, of one load in a process."""

    phases: dict[str, float]
    rss_mb: float
    store_mb: float

    @property
    def cpu(self) -> float:
        """All phases."""
        return sum(self.phases.values())


@dataclass(slots=True)
class Lab:
    """Makes the log and the store when they are first needed."""

    folder: Path
    rows: int
    loaded: Load | None = None
    _batches: int | None = field(default=None)

    @property
    def log(self) -> Log:
        """The generated log."""
        return Log(self.folder / f"log-{self.rows}", self.rows)

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.log.folder / "store.duckdb"

    @property
    def config(self) -> Path:
        """A modelwatch.toml over the log."""
        return self.log.folder / "modelwatch.toml"

    def prepare(self) -> None:
        """Make the log and load it, unless both are there."""
        self.log.make()
        self.config.write_text(_toml(contract()))
        if not self.store.exists():
            self.loaded = self.load(self.store)

    def load(self, store: Path, folder: str = ".") -> Load:
        """Load everything that is there into a new store, in a process of its own."""
        for name in (store.name, f"{store.name}.wal"):
            store.with_name(name).unlink(missing_ok=True)
        ran = child(
            ["-m", "benchmarks.load_once", str(self.log.folder), str(self.rows), str(store), folder]
        )
        return Load(ran.said, ran.rss_mb, store.stat().st_size / 1e6)

    def open(self) -> tuple[Database, Ingest, StoredDeployment]:
        """The store, open for writing, its collectors and its deployment."""
        database = Database(self.store)
        ingest = Ingest(database, [contract()], self.log.folder, lambda: self.log.now(self.batches))
        return database, ingest, ingest.stored["bench"]

    @property
    def batches(self) -> int:
        """How many batches have followed the log so far."""
        if self._batches is None:
            self._batches = len(list((self.log.folder / "predictions").glob("f*.parquet")))
        return self._batches

    def follow(self) -> None:
        """Write the next batch."""
        self.log.follow(self.batches)
        self._batches = self.batches + 1


def _toml(deployment: object) -> str:
    """The contract as TOML: JSON's strings, numbers and lists are TOML's too."""
    tree = json.loads(deployment.model_dump_json(exclude_defaults=True))  # type: ignore[attr-defined]
    features = {"numeric": [], "categorical": []}
    for feature in tree.pop("features"):
        features[feature["kind"]].append(feature["name"])
    labels, references = tree.pop("labels"), tree.pop("reference")
    lines = ["[console]", 'clock = "latest"', "", "[[deployment]]"]
    for key, value in tree.items():
        lines.append(f"{key} = {_value(value)}")
    for key, table in (("features", features), ("labels", labels)):
        lines += ["", f"[deployment.{key}]"]
        lines += [f"{k} = {_value(v)}" for k, v in table.items()]
    for reference in references:
        lines += ["", "[[deployment.reference]]"]
        lines += [f"{k} = {_value(v)}" for k, v in reference.items()]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return json.dumps(value)
