"""File collectors: everything that is new in the configured files, into the store.

One `Ingest` serves a whole configuration. `collect` reads what is new now; called again it reads
what has come since. A source that fails is reported and does not stop the others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb

from collectors.contract import Deployment, FileFormat, FileSource, MetricColumns, Reference
from collectors.errors import CollectorError, SourceError, StoreError
from collectors.formats.logs import Form, form_of, stage_log
from collectors.formats.records import Takes
from collectors.sources.files import find_files, fingerprint, same_source
from collectors.store.batches import BatchCounts, Offset, Reject, Slice, offset_of
from collectors.store.catalog import Progress, StoredDeployment, open_deployments
from collectors.store.database import Database
from collectors.store.layout import Layout
from collectors.store.references import REFERENCE, StagedReference
from collectors.store.staged import StagedColumns
from collectors.store.typed import (
    expected_labels,
    expected_metrics,
    expected_predictions,
)

__all__ = ["LABELS", "PREDICTIONS", "REFERENCE", "Collected", "Ingest", "Problem", "wanted_columns"]

PREDICTIONS, LABELS, METRICS = "predictions", "labels", "metrics"

_REST_S = 2.0
"""Seconds after which a second change of a file cannot have the time of the first."""

_SETTLED = 8
"""Hours that one pass settles at most; each takes some 0.3 s at 140,000 rows an hour."""


_SUMMED = 2
"""Days that one pass sums up at most."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A source that could not be read, in a sentence."""

    deployment: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Collected:
    """What one pass brought: counts by (deployment, kind), and what failed."""

    counts: tuple[tuple[str, str, BatchCounts], ...]
    problems: tuple[Problem, ...]

    @property
    def n_new(self) -> int:
        """Rows that were not there before."""
        return sum(c.n_new for _, _, c in self.counts)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How files of one kind are loaded: the columns to read, and what takes a staged batch."""

    name: str
    expected: tuple[str, ...]
    load: Callable[[StagedColumns, Slice, Sequence[Reject], datetime], BatchCounts]
    takes: Takes = Takes.PREDICTIONS


class Ingest:
    """The file collectors of a configuration over an open store.

    base: the folder that relative paths start from. clock: the time to judge rows by, naive UTC
    or aware; a replay passes its own.
    """

    def __init__(
        self,
        database: Database,
        deployments: Sequence[Deployment],
        base: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self.database = database
        self.stored = open_deployments(database, deployments)
        self.base = base
        self.clock = clock
        self.n_read = 0
        """Records read so far, for whoever shows progress."""
        self._read_whole: dict[tuple[str, str, str], tuple[object, ...]] = {}
        """What a file was like when it was last read to its end: it is not opened again while it
        stays so. Looking into it costs 4 ms, and there may be a thousand that are done with."""

    def collect(self, progress: Progress | None = None, *, whole: bool = True) -> Collected:
        """References first, then predictions, labels and metrics; everything that is new.

        progress: told (what, done, all), in bytes while loading, then in steps of building. whole:
        files are complete, so a last line without a line end counts. A source that fails becomes a
        problem, after what came before it was loaded.
        """
        counts: list[tuple[str, str, BatchCounts]] = []
        problems: list[Problem] = []
        for stored in self.stored.values():
            name = stored.deployment.name
            n_new = 0
            stored.loader.defer = stored.is_empty()
            try:
                counts.append((name, REFERENCE, self.references(stored)))
            except CollectorError as error:
                problems.append(Problem(name, REFERENCE, str(error)))
            for source, kind in _sources(stored):
                loaded, failed = self._files(stored, source, kind, progress, whole)
                counts.append((name, kind.name, loaded))
                problems += [Problem(name, kind.name, str(error)) for error in failed]
                n_new += loaded.n_new
            stored.loader.defer = False
            if n_new:
                stored.firm_bins()
            rebuilt = stored.rebuild(progress)
            if n_new:
                stored.settle(most=_SETTLED)
            if rebuilt:
                stored.sum_days(progress)
            else:
                stored.sum_days(most=_SUMMED)
        return Collected(tuple(counts), tuple(problems))

    def release(
        self, stored: StoredDeployment, reason: str | None = None, kind: str | None = None
    ) -> int:
        """Let quarantined records go whose files are there; the next `collect` reads them anew.

        How many. reason, kind: only where there are such records.
        """
        there: list[str] = []
        for source, _ in _sources(stored):
            with suppress(CollectorError):
                there += [source_name(path) for path in find_files(source.paths, self.base)]
        self._read_whole.clear()
        return stored.release(there, reason, kind)

    def references(self, stored: StoredDeployment) -> BatchCounts:
        """Read all references when any of them changed."""
        files: list[tuple[Reference, Path]] = []
        for reference in stored.deployment.reference:
            files += [(reference, p) for p in find_files((reference.path,), self.base)]
        with _sentences():
            cursor = self.database.connection
            sources = [
                (source_name(path), _mark(reference, path, form_of(cursor, path, reference.format)))
                for reference, path in files
            ]
            if frozenset(sources) == stored.known_references():
                return BatchCounts()
            staged = self._staged_references(stored, files)
            return stored.load_references(staged, sources, self.clock())

    def _staged_references(
        self, stored: StoredDeployment, files: Sequence[tuple[Reference, Path]]
    ) -> Iterator[StagedReference]:
        d = stored.deployment
        expected = expected_predictions(stored.layout)
        for reference, path in files:
            form = form_of(self.database.connection, path, reference.format)
            label = reference.label or (d.labels.value if d.labels is not None else "")
            named = (*expected, label) if label else expected
            for s in stage_log(self.database.connection, path, form, Offset(), named, whole=True):
                yield StagedReference(
                    s.columns,
                    s.rejects,
                    source_name(path),
                    s.start,
                    s.after,
                    reference.version,
                    label,
                )

    def _files(
        self,
        stored: StoredDeployment,
        source: FileSource,
        kind: _Kind,
        progress: Progress | None,
        whole: bool,
    ) -> tuple[BatchCounts, list[CollectorError]]:
        """Everything new in the files of one source, and what failed."""
        total = BatchCounts()
        failed: list[CollectorError] = []
        try:
            paths = find_files(source.paths, self.base)
        except CollectorError as error:
            return total, [error]
        sizes = [_size(path) for path in paths] if progress is not None else [0] * len(paths)
        done = 0
        what = f"loading {kind.name} of {stored.deployment.name}"
        for path, size in zip(paths, sizes, strict=True):
            if progress is not None:
                progress(what, done, sum(sizes))
            try:
                for counts, share in self._file(stored, source, kind, path, whole):
                    total += counts
                    self.n_read += counts.n_read
                    if progress is not None:
                        progress(what, done + int(size * (share or 0)), sum(sizes))
            except CollectorError as error:
                failed.append(error)
            done += size
        return total, failed

    def _file(
        self, stored: StoredDeployment, source: FileSource, kind: _Kind, path: Path, whole: bool
    ) -> Iterator[tuple[BatchCounts, float | None]]:
        """Load what is new in a file: after each batch its counts, and how much is read of it."""
        cursor = self.database.connection
        name = source_name(path)
        key = (stored.deployment.name, kind.name, name)
        with _sentences(path):
            if path.is_file() and path.stat().st_size == 0:
                return
            state = _resting(path, whole)
            if state is not None and self._read_whole.get(key) == state:
                return
            form = form_of(cursor, path, source.format)
            fmt = form.container
            offset = offset_of(cursor, stored.deployment.name, kind.name, name)
            mark = fingerprint(path, fmt)
            if offset.fingerprint and not same_source(
                path, fmt, offset.fingerprint, offset.position
            ):
                offset = Offset()  # replaced or rewritten: read anew, repeated rows are dropped
            # a grown file's fingerprint covers more of it than before
            offset = Offset(offset.position, mark, offset.records, offset.header)
            for staged in stage_log(
                cursor, path, form, offset, kind.expected, takes=kind.takes, whole=whole
            ):
                part = Slice(kind.name, name, staged.start, staged.after)
                loaded = kind.load(staged.columns, part, staged.rejects, self.clock())
                yield loaded, staged.share
            if state is not None:
                self._read_whole[key] = state


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _resting(path: Path, whole: bool) -> tuple[object, ...] | None:
    """What tells a file from a changed one; None while it is too fresh for its time to tell."""
    stat = path.stat()
    if not path.is_file() or abs(time.time() - stat.st_mtime) < _REST_S:
        return None
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, whole)


class _sentences:  # noqa: N801 - used like contextlib's
    """Errors of the operating system and of DuckDB become errors of the collectors."""

    def __init__(self, path: Path | None = None) -> None:
        self.what = f"cannot load {path}" if path is not None else "cannot load the references"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise SourceError(f"{self.what}: {error.strerror or error}") from error
        if isinstance(error, duckdb.Error):
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StoreError(f"{self.what}: {first}", "nothing of this batch was kept") from error


def source_name(path: Path) -> str:
    """A file's name in the store; bytes that are no UTF-8 are shown as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def wanted_columns(
    d: Deployment,
) -> Iterator[tuple[str, frozenset[str], tuple[str, ...], FileFormat]]:
    """(kind, columns that the contract names, paths, format) of every source of a deployment."""
    named = frozenset(expected_predictions(Layout(d)))
    yield PREDICTIONS, named, d.predictions.paths, d.predictions.format
    if d.labels is not None:
        source = d.labels.source
        yield LABELS, frozenset(expected_labels(d.labels)), source.paths, source.format
    for columns in d.metrics:
        yield METRICS, frozenset(expected_metrics(columns)), columns.paths, columns.format
    outputs = {d.prediction, d.score, *d.class_scores.values(), *(f.name for f in d.features)}
    for reference in d.reference:
        label = reference.label or (d.labels.value if d.labels is not None else "")
        wanted = frozenset(name for name in (*outputs, label) if name)
        yield REFERENCE, wanted, (reference.path,), reference.format


def _sources(stored: StoredDeployment) -> Iterator[tuple[FileSource, _Kind]]:
    """Each configured source of a deployment with its kind, in the order to load."""
    d, loader = stored.deployment, stored.loader
    named = expected_predictions(stored.layout)
    yield d.predictions, _Kind(PREDICTIONS, named, loader.predictions)
    if d.labels is not None:
        takes = Takes.ALSO_LABELS if d.labels_beside else Takes.LABELS
        yield d.labels.source, _Kind(LABELS, expected_labels(d.labels), loader.labels, takes)
    for columns in d.metrics:
        yield columns, _metrics(stored, columns)


def _metrics(stored: StoredDeployment, columns: MetricColumns) -> _Kind:
    load = partial(stored.loader.metrics, columns=columns)
    return _Kind(METRICS, expected_metrics(columns), load)


def _mark(reference: Reference, path: Path, form: Form) -> str:
    """What a reference is and how it is read; another mark means reading it again."""
    parts = (
        fingerprint(path, form.container),
        path.stat().st_size,
        reference.version,
        reference.label,
    )
    return ":".join(str(part) for part in parts)
