"""Everything that is new in the configured sources, into the store.

One `Ingest` serves a whole configuration. `collect` reads what is new now; called again it reads
what has come since. A source that fails is reported and does not stop the others.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from collectors.contract import Deployment, FileFormat, Reference
from collectors.errors import CollectorError, SourceError
from collectors.formats.logs import Form, form_of, stage_log
from collectors.jobs import LABELS, PREDICTIONS, Job, jobs_of, spool_of, wanted_columns
from collectors.live.pulling import Pulls
from collectors.sources.files import find_files, fingerprint, same_source
from collectors.sources.pulled import Page, open_puller
from collectors.store.batches import (
    BatchCounts,
    Offset,
    Slice,
    cursors_of,
    forget_offsets,
    keep_offset,
    loaded_of,
    offset_of,
)
from collectors.store.catalog import Progress, StoredDeployment, open_deployments
from collectors.store.database import Database
from collectors.store.references import REFERENCE, StagedReference
from collectors.store.source_states import SourceState, keep_only, note_states
from collectors.store.troubles import trouble_of
from collectors.store.typed import expected_predictions

__all__ = ["LABELS", "PREDICTIONS", "REFERENCE", "Collected", "Ingest", "Problem", "wanted_columns"]

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
    source: str = ""


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
    """The collectors of a configuration over an open store.

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
        self.spool = spool_of(database.path)
        self.stored = open_deployments(database, deployments)
        self.base = base
        self.clock = clock
        self.n_read = 0
        """Records read so far, for whoever shows progress."""
        self.stopped: Callable[[], bool] = lambda: False
        """Whether to end after the batch at hand; the next pass goes on there."""
        keep_only(database, [job.key for job in self.jobs()])
        self._read_whole: dict[tuple[str, str, str], tuple[object, ...]] = {}
        """What a file was like when it was last read to its end: it is not opened again while it
        stays so. Looking into it costs 4 ms, and there may be a thousand that are done with."""

    def jobs(self) -> Iterator[Job]:
        """Every configured source."""
        for stored in self.stored.values():
            yield from jobs_of(stored)

    def collect(
        self,
        progress: Progress | None = None,
        *,
        whole: bool = True,
        pulls: Pulls | None = None,
    ) -> Collected:
        """References first, then predictions, labels, metrics and events; everything that is new.

        progress: told (what, done, all), in bytes while loading, then in steps of building. whole:
        files are complete, so a last line without a line end counts. pulls: threads that ask
        servers; None: they are asked here, once each. A source that fails becomes a problem, after
        what came before it was loaded.
        """
        states: list[SourceState] = []
        counts: list[tuple[str, str, BatchCounts]] = []
        problems: list[Problem] = []
        fetched: dict[tuple[str, str, str], BatchCounts] = {}
        if pulls is not None:

            def take(job: Job, page: Page) -> None:
                fetched[job.key] = fetched.get(job.key, BatchCounts()) + self.page(job, page)

            pulls.load(take)
            states += pulls.states()
            problems += [
                Problem(key[0], key[1], text, key[2]) for key, text in pulls.problems.items()
            ]
        for stored in self.stored.values():
            name = stored.deployment.name
            n_new = 0
            stored.loader.defer = stored.is_empty()
            try:
                counts.append((name, REFERENCE, self.references(stored)))
            except CollectorError as error:
                problems.append(Problem(name, REFERENCE, str(error)))
            for job in jobs_of(stored):
                if job.is_pulled and pulls is not None:  # whoever fetches knows how it went
                    loaded = fetched.get(job.key, BatchCounts())
                else:
                    load = self._asked if job.is_pulled else self._files
                    loaded, failed = load(job, progress, whole)
                    shown = job.source.shown
                    problems += [Problem(name, job.kind.name, str(e), shown) for e in failed]
                    states.append(SourceState(job.key, str(failed[0]) if failed else ""))
                counts.append((name, job.kind.name, loaded))
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
        self.note(states)
        return Collected(tuple(counts), tuple(problems))

    def note(self, states: Sequence[SourceState]) -> None:
        """Keep how sources stand."""
        note_states(self.database, states, self.clock())

    def known(self, job: Job) -> dict[str, str]:
        """The cursors of a job's places, as far as the store has them."""
        return cursors_of(
            self.database.connection, job.stored.deployment.name, job.kind.name, job.source.shown
        )

    def pushed(self, deployment: str, kind: str) -> tuple[dict[str, int], frozenset[str]]:
        """Of pushed files: bytes loaded by name, and those that brought records in quarantine."""
        return loaded_of(self.database.connection, deployment, kind)

    def forget_sources(self, deployment: str, kind: str, paths: Sequence[Path]) -> None:
        """Forget how far files were read that are gone for good."""
        with self.database.transaction() as cursor:
            forget_offsets(cursor, deployment, kind, [source_name(path) for path in paths])

    def release(
        self, stored: StoredDeployment, reason: str | None = None, kind: str | None = None
    ) -> int:
        """Let quarantined records go whose files are there; the next `collect` reads them anew.

        How many. reason, kind: only where there are such records.
        """
        there: list[str] = []
        for job in jobs_of(stored):
            if not job.is_pulled:
                with suppress(CollectorError):
                    there += [source_name(path) for path in job.files(self.base, self.spool)]
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

    def _asked(
        self, job: Job, progress: Progress | None, _whole: bool
    ) -> tuple[BatchCounts, list[CollectorError]]:
        """Ask a source once for all that it has, and what failed."""
        total = BatchCounts()
        failed: list[CollectorError] = []
        now = self.clock()
        try:
            with (
                tempfile.TemporaryDirectory(prefix="modelwatch-") as folder,
                open_puller(job.source, self.base) as puller,
            ):
                for page in puller.pages(
                    self.known(job), Path(folder), now if now.tzinfo else now.replace(tzinfo=UTC)
                ):
                    try:
                        total += self.page(job, page)
                    except CollectorError as error:
                        if not page.alone:
                            raise
                        failed.append(error)
                    if progress is not None:
                        progress(f"asking {job.source.shown}", 0, 0)
                    if self.stopped():
                        break
        except CollectorError as error:
            failed.append(error)
        return total, failed

    def page(self, job: Job, page: Page) -> BatchCounts:
        """Load a page of a source that is asked; its cursor is kept with its last rows.

        Raises CollectorError; then the cursor stays, and what was loaded is found again as a
        repetition.
        """
        cursor = self.database.connection
        name, kind = job.stored.deployment.name, job.kind
        total, kept = BatchCounts(), False
        before = offset_of(cursor, name, kind.name, page.source)
        with _sentences(page.source):
            if page.path.stat().st_size:
                form = form_of(cursor, page.path, page.format)
                # records are numbered through; rows of Parquet count from the page's first
                table = form.container is FileFormat.PARQUET
                start = Offset() if table or page.alone else Offset(records=before.records)
                for staged in stage_log(
                    cursor, page.path, form, start, kind.expected, takes=kind.takes, whole=True
                ):
                    kept = staged.share == 1
                    n = before.records + staged.after.records - start.records
                    mark = page.cursor if kept else before.fingerprint
                    after = Offset(n, mark, n, before.header)
                    part = Slice(kind.name, page.source, before.position, after)
                    loaded = kind.load(staged.columns, part, staged.rejects, self.clock())
                    self.n_read += loaded.n_read
                    total += loaded
            if not kept and page.cursor != before.fingerprint:
                known = offset_of(cursor, name, kind.name, page.source)
                after = Offset(known.position, page.cursor, known.records, known.header)
                with self.database.transaction():
                    keep_offset(cursor, name, kind.name, page.source, after)
        return total

    def _files(
        self, job: Job, progress: Progress | None, whole: bool
    ) -> tuple[BatchCounts, list[CollectorError]]:
        """Everything new in the files of one source, and what failed."""
        total = BatchCounts()
        failed: list[CollectorError] = []
        try:
            paths = job.files(self.base, self.spool)
        except CollectorError as error:
            return total, [error]
        sizes = [_size(path) for path in paths] if progress is not None else [0] * len(paths)
        done = 0
        what = f"loading {job.kind.name} of {job.stored.deployment.name}"
        for path, size in zip(paths, sizes, strict=True):
            if progress is not None:
                progress(what, done, sum(sizes))
            try:
                for counts, share in self._file(job, path, whole):
                    total += counts
                    self.n_read += counts.n_read
                    if progress is not None:
                        progress(what, done + int(size * (share or 0)), sum(sizes))
                    if self.stopped():
                        return total, failed
            except CollectorError as error:
                failed.append(error)
            done += size
        return total, failed

    def _file(
        self, job: Job, path: Path, whole: bool
    ) -> Iterator[tuple[BatchCounts, float | None]]:
        """Load what is new in a file: after each batch its counts, and how much is read of it."""
        cursor, kind = self.database.connection, job.kind
        deployment, name = job.stored.deployment.name, source_name(path)
        key = (deployment, kind.name, name)
        with _sentences(str(path)):
            if path.is_file() and path.stat().st_size == 0:
                return
            size = _size(path)
            state = _resting(path, whole)
            if state is not None and self._read_whole.get(key) == state:
                return
            form = form_of(cursor, path, job.format)
            fmt = form.container
            offset = offset_of(cursor, deployment, kind.name, name)
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
                if not whole and fmt is not FileFormat.PARQUET and staged.after.position >= size:
                    return  # what has come meanwhile is for the next pass: others wait
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

    def __init__(self, source: str = "the references") -> None:
        self.what = f"cannot load {source}"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise SourceError(f"{self.what}: {error.strerror or error}") from error
        if isinstance(error, duckdb.Error):
            raise trouble_of(f"{self.what} (nothing of this batch was kept)", error) from error


def source_name(path: Path) -> str:
    """A file's name in the store; bytes that are no UTF-8 are shown as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _mark(reference: Reference, path: Path, form: Form) -> str:
    """What a reference is and how it is read; another mark means reading it again."""
    parts = (
        fingerprint(path, form.container),
        path.stat().st_size,
        reference.version,
        reference.label,
    )
    return ":".join(str(part) for part in parts)
