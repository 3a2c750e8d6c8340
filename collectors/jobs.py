"""What is to be collected: each configured source with its kind and what loads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from collectors.contract import Deployment, FileFormat, MetricColumns
from collectors.formats.records import Takes
from collectors.source_settings import FileSource, PushSource, Source
from collectors.sources.files import find_files
from collectors.store.batches import BatchCounts, Reject, Slice
from collectors.store.catalog import StoredDeployment
from collectors.store.change_events import EVENT_COLUMNS, ChangeEvents
from collectors.store.layout import Layout
from collectors.store.references import REFERENCE
from collectors.store.staged import StagedColumns
from collectors.store.typed import expected_labels, expected_metrics, expected_predictions

__all__ = [
    "EVENTS",
    "LABELS",
    "METRICS",
    "PREDICTIONS",
    "Job",
    "Kind",
    "asked_sources",
    "jobs_of",
    "pushed_folder",
    "spool_of",
    "wanted_columns",
]

PREDICTIONS, LABELS, METRICS, EVENTS = "predictions", "labels", "metrics", "events"

SAMPLES = MetricColumns(
    path=(), timestamp="timestamp", metric="metric", value="value", version="version"
)
"""Columns that our own collectors of system metrics write."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How records of one kind are loaded: the columns to read, and what takes a staged batch."""

    name: str
    expected: tuple[str, ...]
    load: Callable[[StagedColumns, Slice, Sequence[Reject], datetime], BatchCounts]
    takes: Takes = Takes.PREDICTIONS


@dataclass(frozen=True, slots=True)
class Job:
    """One source of a deployment."""

    stored: StoredDeployment
    source: Source
    kind: Kind

    @property
    def key(self) -> tuple[str, str, str]:
        """Deployment, kind and the source's name on screens."""
        return (self.stored.deployment.name, self.kind.name, self.source.shown)

    @property
    def is_pulled(self) -> bool:
        """Whether it is asked over a network; else it is files."""
        return not isinstance(self.source, FileSource | PushSource)

    @property
    def format(self) -> FileFormat:
        """How its records are written."""
        return getattr(self.source, "format", FileFormat.AUTO)

    def files(self, base: Path, spool: Path | None) -> tuple[Path, ...]:
        """Its files now. Raises SourceError."""
        if isinstance(self.source, PushSource):
            folder = pushed_folder(spool, self.stored.deployment.name, self.kind.name)
            return tuple(find_files((str(folder),), base)) if folder is not None else ()
        return tuple(find_files(self.source.paths, base))


def spool_of(store: Path | None) -> Path | None:
    """Where pushed records wait for a store: a folder beside it."""
    return None if store is None else store.absolute().with_name(f"{store.name}.push")


def pushed_folder(spool: Path | None, deployment: str, kind: str) -> Path | None:
    """Where pushed records wait to be loaded; None where there is no such place yet."""
    folder = None if spool is None else spool / deployment / kind
    return folder if folder is not None and folder.is_dir() else None


def jobs_of(stored: StoredDeployment) -> Iterator[Job]:
    """Each configured source of a deployment, in the order to load."""
    d, loader = stored.deployment, stored.loader
    named = expected_predictions(stored.layout)
    yield Job(stored, d.predictions, Kind(PREDICTIONS, named, loader.predictions))
    if d.labels is not None:
        takes = Takes.ALSO_LABELS if d.labels_beside else Takes.LABELS
        kind = Kind(LABELS, expected_labels(d.labels), loader.labels, takes)
        yield Job(stored, d.labels.source, kind)
    for source in d.metrics:
        columns = source if isinstance(source, MetricColumns) else SAMPLES
        load = partial(loader.metrics, columns=columns)
        yield Job(stored, source, Kind(METRICS, expected_metrics(columns), load))
    for events in d.events:
        them = ChangeEvents(loader.database, stored.layout)
        yield Job(stored, events, Kind(EVENTS, EVENT_COLUMNS, them.load))


def wanted_columns(
    d: Deployment,
) -> Iterator[tuple[str, frozenset[str], tuple[str, ...], FileFormat]]:
    """(kind, columns that the contract names, paths, format) of every file source."""
    named = frozenset(expected_predictions(Layout(d)))
    if isinstance(d.predictions, FileSource):
        yield PREDICTIONS, named, d.predictions.paths, d.predictions.format
    if d.labels is not None and isinstance(d.labels.source, FileSource):
        source = d.labels.source
        yield LABELS, frozenset(expected_labels(d.labels)), source.paths, source.format
    for columns in d.metrics:
        if isinstance(columns, MetricColumns):
            yield METRICS, frozenset(expected_metrics(columns)), columns.paths, columns.format
    outputs = {d.prediction, d.score, *d.class_scores.values(), *(f.name for f in d.features)}
    for reference in d.reference:
        label = reference.label or (d.labels.value if d.labels is not None else "")
        wanted = frozenset(name for name in (*outputs, label) if name)
        yield REFERENCE, wanted, (reference.path,), reference.format


def asked_sources(d: Deployment) -> Iterator[tuple[Source, str, frozenset[str]]]:
    """(source, kind, columns that the contract names) of every source that is asked."""
    if not isinstance(d.predictions, FileSource | PushSource):
        yield d.predictions, PREDICTIONS, frozenset(expected_predictions(Layout(d)))
    if d.labels is not None and not isinstance(d.labels.source, FileSource | PushSource):
        yield d.labels.source, LABELS, frozenset(expected_labels(d.labels))
    for source in d.metrics:
        if not isinstance(source, MetricColumns):
            yield source, METRICS, frozenset()
    for events in d.events:
        yield events, EVENTS, frozenset()
