"""File collectors: everything that is new in the configured files, into the store.

One `Ingest` serves a whole configuration. `collect` reads what is new now; called again it reads
what has come since. A source that fails is reported and does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from collectors.contract import Deployment, FileSource, Reference
from collectors.errors import CollectorError
from collectors.formats.tabular import stage_file
from collectors.sources.files import find_files, fingerprint, format_of, same_source
from collectors.store.catalog import Progress, StoredDeployment, open_deployments
from collectors.store.database import Database
from collectors.store.loading import BatchCounts, Offset, Reject, Slice, offset_of
from collectors.store.typed import StagedColumns

__all__ = ["Collected", "Ingest", "Problem"]

PREDICTIONS, LABELS, REFERENCE = "predictions", "labels", "reference"


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

    def collect(self, progress: Progress | None = None, *, whole: bool = True) -> Collected:
        """References first, then predictions, then labels; everything that is new.

        whole: files are complete, so a last line without a line end counts.
        """
        counts: list[tuple[str, str, BatchCounts]] = []
        problems: list[Problem] = []
        for stored in self.stored.values():
            d = stored.deployment
            stored.loader.defer = stored.is_empty()
            steps: list[tuple[str, Callable[[], BatchCounts]]] = []
            if d.reference:
                steps.append((REFERENCE, lambda s=stored: self.references(s)))  # type: ignore[misc]
            steps.append(
                (
                    PREDICTIONS,
                    lambda s=stored, d=d: self.files(s, PREDICTIONS, d.predictions, progress, whole),  # type: ignore[misc]
                )
            )
            if d.labels is not None:
                steps.append(
                    (
                        LABELS,
                        lambda s=stored, c=d.labels: self.files(  # type: ignore[misc]
                            s, LABELS, c.source, progress, whole
                        ),
                    )
                )
            for kind, step in steps:
                try:
                    counts.append((d.name, kind, step()))
                except CollectorError as error:
                    problems.append(Problem(d.name, kind, str(error)))
            stored.loader.defer = False
            stored.rebuild(progress)
        return Collected(tuple(counts), tuple(problems))

    def references(self, stored: StoredDeployment) -> BatchCounts:
        """Read the references when any of them changed."""
        d = stored.deployment
        files: list[tuple[Reference, Path]] = []
        for reference in d.reference:
            files += [(reference, p) for p in find_files((reference.path,), self.base)]
        sources = []
        changed = False
        for reference, path in files:
            fmt = format_of(path, reference.format)
            mark = fingerprint(path, fmt) + f":{path.stat().st_size}:{reference.version}"
            sources.append((str(path), mark))
            known = offset_of(self.database.connection, d.name, REFERENCE, str(path))
            changed = changed or known.fingerprint != mark
        if not changed:
            return BatchCounts()
        return stored.load_references(self._staged_references(d, files), sources, self.clock())

    def files(
        self,
        stored: StoredDeployment,
        kind: str,
        source: FileSource,
        progress: Progress | None,
        whole: bool,
    ) -> BatchCounts:
        """Everything new in the files of one source. Raises for the first file that fails, after
        the others were read."""
        total = BatchCounts()
        failed: CollectorError | None = None
        paths = find_files(source.paths, self.base)
        for i, path in enumerate(paths):
            if progress is not None:
                progress(f"loading {kind} of {stored.deployment.name}", i, len(paths))
            try:
                for counts in self._file(stored, kind, source, path, whole):
                    total += counts
            except CollectorError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return total

    def _file(
        self, stored: StoredDeployment, kind: str, source: FileSource, path: Path, whole: bool
    ) -> Iterator[BatchCounts]:
        cursor = self.database.connection
        name = str(path)
        offset = offset_of(cursor, stored.deployment.name, kind, name)
        if path.stat().st_size == 0:
            return
        fmt = format_of(path, source.format)
        if offset.fingerprint and not same_source(path, fmt, offset.fingerprint):
            offset = Offset()  # replaced or rewritten: read anew, repeated rows are dropped
        if not offset.fingerprint:
            offset = Offset(fingerprint=fingerprint(path, fmt))
        load = stored.loader.predictions if kind == PREDICTIONS else stored.loader.labels
        for staged in stage_file(cursor, path, fmt, offset, whole=whole):
            part = Slice(kind, name, staged.start, staged.after)
            yield load(staged.columns, part, staged.rejects, self.clock())

    def _staged_references(
        self, d: Deployment, files: Sequence[tuple[Reference, Path]]
    ) -> Iterator[tuple[StagedColumns, tuple[Reject, ...], str, str]]:
        cursor = self.database.connection
        for reference, path in files:
            fmt = format_of(path, reference.format)
            label = reference.label or (d.labels.value if d.labels is not None else "")
            for staged in stage_file(cursor, path, fmt, Offset(), whole=True):
                yield staged.columns, staged.rejects, reference.version, label


