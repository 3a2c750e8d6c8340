"""Logged files as if they came now: rows up to a moment, in the order of their own times.

Predictions come at their timestamp, labels when they were received, so a store fed by a replay is
at every moment what a live one would have been. The offset of a replayed source is a time. What
has no time that can be read comes last, when all else is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from collectors.contract import Deployment, FileSource
from collectors.errors import FormatError, SourceError
from collectors.formats.parquet import kept_columns
from collectors.formats.staging import first_line, stage
from collectors.ingest import LABELS, PREDICTIONS, Ingest
from collectors.source_settings import Source
from collectors.sources.files import find_files
from collectors.store.catalog import StoredDeployment
from collectors.store.loading import BatchCounts, Offset, Slice, offset_of
from collectors.store.moments import naive_utc
from collectors.store.names import quote, text
from collectors.store.staged import StagedColumns, staged_columns
from collectors.store.typed import expected_labels, expected_predictions
from collectors.store.values import moment_of

__all__ = ["Replay"]

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as the store has times: naive UTC
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class _Log:
    """Files of one kind as a relation. at: SQL of when a record comes; end: the last one does."""

    relation: str
    columns: StagedColumns
    at: str
    end: datetime | None


class Replay:
    """Replays Parquet logs of every deployment of an `Ingest`. Times are aware UTC."""

    def __init__(self, ingest: Ingest) -> None:
        self.ingest = ingest
        self._logs: dict[tuple[str, str], _Log] = {}

    def end(self) -> datetime:
        """When the last row comes. Raises SourceError without any file."""
        ends = [
            self._log(stored, kind, source).end
            for stored in self.ingest.stored.values()
            for kind, source in _sources(stored.deployment)
        ]
        return max((end for end in ends if end is not None), default=EPOCH).replace(tzinfo=UTC)

    def first_load(self, until: datetime) -> Iterator[str]:
        """References and everything up to `until`; yields what it does next."""
        deployments = list(self.ingest.stored.values())
        for i, stored in enumerate(deployments):
            name = f"{stored.deployment.name} (deployment {i + 1} of {len(deployments)})"
            yield f"reading the references of {name}"
            self.ingest.references(stored)
            stored.loader.defer = stored.is_empty()
            try:
                for kind, source in _sources(stored.deployment):
                    yield f"loading the {kind} of {name}"
                    self._load(stored, kind, source, until)
            finally:
                stored.loader.defer = False
            yield f"building the rollups of {name}"
            stored.rebuild()

    def advance(self, until: datetime) -> BatchCounts:
        """Load what came since the last call, up to and including `until`."""
        total = BatchCounts()
        for stored in self.ingest.stored.values():
            counts = BatchCounts()
            for kind, source in _sources(stored.deployment):
                counts += self._load(stored, kind, source, until)
            if counts.n_new and stored.firm_bins():
                stored.rebuild()
            stored.settle()
            total += counts
        return total

    def _load(
        self, stored: StoredDeployment, kind: str, source: FileSource, until: datetime
    ) -> BatchCounts:
        cursor = self.ingest.database.connection
        name = f"replay of {', '.join(source.paths)}"
        since = offset_of(cursor, stored.deployment.name, kind, name).position
        to = _microseconds(naive_utc(until))
        if to <= since:
            return BatchCounts()
        log = self._log(stored, kind, source)
        end = _microseconds(log.end or EPOCH)
        comes = f"at_ <= make_timestamp({to})"
        if since:
            comes += f" AND at_ > make_timestamp({since})"
        if end <= to and (end > since or not since):
            comes = f"({comes}) OR at_ IS NULL"
        with _sentence(source):
            stage(
                cursor,
                "SELECT row_number() OVER (ORDER BY at_ NULLS LAST) AS position, "  # noqa: S608
                f"* EXCLUDE (at_) FROM (SELECT *, {log.at} AS at_ FROM {log.relation} AS r) "
                f"WHERE {comes}",
            )
        n = cursor.execute("SELECT count(*) FROM stage").fetchall()[0][0]
        if not n:
            return BatchCounts()
        load = stored.loader.predictions if kind == PREDICTIONS else stored.loader.labels
        part = Slice(kind, name, since, Offset(to, "replay", 0, ""))
        return load(log.columns, part, (), until)

    def _log(self, stored: StoredDeployment, kind: str, source: FileSource) -> _Log:
        d = stored.deployment
        if (d.name, kind) not in self._logs:
            expected = expected_predictions(stored.layout)
            if kind == LABELS and d.labels is not None:
                expected = expected_labels(d.labels)
            self._logs[d.name, kind] = self._opened(d, kind, source, expected)
        return self._logs[d.name, kind]

    def _opened(
        self, d: Deployment, kind: str, source: FileSource, expected: tuple[str, ...]
    ) -> _Log:
        files = find_files(source.paths, self.ingest.base)
        if not files:
            raise SourceError(f"no file matches {', '.join(source.paths)}")
        # DuckDB takes a path for a pattern; in brackets its signs mean themselves
        listed = ", ".join(text(_PATTERN.sub(r"[\g<0>]", str(path))) for path in files)
        read = f"read_parquet([{listed}], union_by_name = true)"
        execute = self.ingest.database.connection.execute
        with _sentence(source):
            described = execute(f"DESCRIBE SELECT * FROM {read}").fetchall()  # noqa: S608
            types = kept_columns(described, expected)
            columns = staged_columns(types)
            named = ", ".join(f"{quote(name)} AS {columns.sql(name)}" for name in types)
            relation = f"(SELECT {named} FROM {read})"  # noqa: S608 - quoted by names.py
            at = _comes_at(d, kind, columns)
            end = execute(f"SELECT max({at}) FROM {relation} AS r").fetchall()[0][0]  # noqa: S608
        return _Log(relation, columns, at, end)


def _sources(d: Deployment) -> Iterator[tuple[str, FileSource]]:
    """(kind, files) of a deployment, in the order to load."""
    yield PREDICTIONS, _files(d, d.predictions)
    if d.labels is not None:
        if not (d.labels.received or d.labels.event):
            raise FormatError(
                f"labels of {d.name} cannot be replayed: their times are not configured",
                "give `received` under [deployment.labels]",
            )
        yield LABELS, _files(d, d.labels.source)


def _files(d: Deployment, source: Source) -> FileSource:
    if not isinstance(source, FileSource):
        raise FormatError(f"{source.shown} of {d.name} cannot be replayed", "only files can")
    return source


def _comes_at(d: Deployment, kind: str, columns: StagedColumns) -> str:
    """When a record comes, as SQL: the time that loading reads from it."""
    if kind == PREDICTIONS or d.labels is None:
        return moment_of(columns, d.timestamp, d.timezone)
    received = moment_of(columns, d.labels.received, d.timezone)
    return f"coalesce({received}, {moment_of(columns, d.labels.event, d.timezone)})"


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@contextmanager
def _sentence(source: FileSource) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise FormatError(
            f"cannot replay {', '.join(source.paths)}: {first_line(error)}",
            "only whole Parquet files can be replayed",
        ) from error
