"""Logged files as if they came now: rows up to a moment, in the order of their own times.

Predictions come at their timestamp, labels when they were received, so a store fed by a replay is
at every moment what a live one would have been. The offset of a replayed source is a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb

from collectors.contract import Deployment, FileSource
from collectors.errors import FormatError, SourceError
from collectors.ingest import LABELS, PREDICTIONS, Ingest
from collectors.sources.files import find_files
from collectors.store.catalog import StoredDeployment
from collectors.store.loading import BatchCounts, Offset, Slice, offset_of
from collectors.store.names import quote, text
from collectors.store.typed import StagedColumns

__all__ = ["Replay"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Replay:
    """Replays Parquet logs of every deployment of an `Ingest`. Times are aware UTC."""

    def __init__(self, ingest: Ingest) -> None:
        self.ingest = ingest
        self._columns: dict[str, StagedColumns] = {}

    def end(self) -> datetime:
        """When the last row comes. Raises SourceError without any file."""
        latest = EPOCH
        for stored in self.ingest.stored.values():
            for source, column in self._timed(stored.deployment).values():
                relation = self._relation(source)
                found = self.ingest.database.connection.execute(
                    f"SELECT CAST(max({quote(column)}) AS TIMESTAMP) FROM {relation}"  # noqa: S608
                ).fetchall()[0][0]
                if found is not None:
                    latest = max(latest, found.replace(tzinfo=UTC))
        return latest

    def first_load(self, until: datetime) -> Iterator[str]:
        """References and everything up to `until`; yields what it does next."""
        deployments = list(self.ingest.stored.values())
        for i, stored in enumerate(deployments):
            name = f"{stored.deployment.name} (deployment {i + 1} of {len(deployments)})"
            yield f"reading the references of {name}"
            self.ingest.references(stored)
            stored.loader.defer = stored.is_empty()
            for kind in (PREDICTIONS, LABELS):
                yield f"loading the {kind} of {name}"
                self._load(stored, kind, until)
            stored.loader.defer = False
            yield f"building the rollups of {name}"
            stored.rebuild()

    def advance(self, until: datetime) -> BatchCounts:
        """Load what came since the last call, up to and including `until`."""
        counts = BatchCounts()
        for stored in self.ingest.stored.values():
            for kind in (PREDICTIONS, LABELS):
                counts += self._load(stored, kind, until)
            stored.settle()
        return counts

    def _load(self, stored: StoredDeployment, kind: str, until: datetime) -> BatchCounts:
        found = self._timed(stored.deployment).get(kind)
        if found is None:
            return BatchCounts()
        source, column = found
        cursor = self.ingest.database.connection
        name = f"replay of {', '.join(source.paths)}"
        since = offset_of(cursor, stored.deployment.name, kind, name).position
        to = int((until - EPOCH).total_seconds() * 1_000_000)
        if to <= since:
            return BatchCounts()
        relation, at = self._relation(source), f"CAST({quote(column)} AS TIMESTAMP)"
        low = f"make_timestamp({since})" if since else "TIMESTAMP '1900-01-01'"
        cursor.execute(
            "CREATE OR REPLACE TEMP TABLE stage AS "  # noqa: S608 - quoted by names.py
            f"SELECT row_number() OVER () AS position, * FROM (SELECT * FROM {relation} "
            f"WHERE {at} > {low} AND {at} <= make_timestamp({to}) ORDER BY {at}) AS r"
        )
        n = cursor.execute("SELECT count(*) FROM stage").fetchall()[0][0]
        if not n:
            return BatchCounts()
        load = stored.loader.predictions if kind == PREDICTIONS else stored.loader.labels
        part = Slice(kind, name, since, Offset(to, "replay", 0, ""))
        return load(self._types(relation), part, (), until)

    def _timed(self, d: Deployment) -> dict[str, tuple[FileSource, str]]:
        found = {PREDICTIONS: (d.predictions, d.timestamp)}
        if d.labels is not None:
            column = d.labels.received or d.labels.event
            if not column:
                raise FormatError(
                    f"labels of {d.name} cannot be replayed: their times are not configured",
                    "give `received` under [deployment.labels]",
                )
            found[LABELS] = (d.labels.source, column)
        return found

    def _relation(self, source: FileSource) -> str:
        files = find_files(source.paths, self.ingest.base)
        if not files:
            raise SourceError(f"no file matches {', '.join(source.paths)}")
        return f"read_parquet([{', '.join(text(str(f)) for f in files)}])"

    def _types(self, relation: str) -> StagedColumns:
        if relation not in self._columns:
            try:
                rows = self.ingest.database.connection.execute(
                    f"DESCRIBE SELECT * FROM {relation}"  # noqa: S608
                ).fetchall()
            except duckdb.Error as error:
                raise FormatError(f"only Parquet can be replayed: {error}") from error
            self._columns[relation] = StagedColumns({name: kind for name, kind, *_ in rows})
        return self._columns[relation]
