"""The shipped sample as plain rows, and what a transcoding of it into a platform's log promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from collectors.contract import FileFormat

SAMPLE = Path(__file__).parents[3] / "sample_data"
NUMERIC = ("distance", "dep_minute", "temp", "wind_speed")
CATEGORICAL = ("origin", "carrier")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction of the sample, and its label where it has one."""

    id: str
    time: datetime
    version: str
    features: Mapping[str, Any]
    score: float
    label: int | None
    received: datetime | None


@lru_cache
def sample_rows(n: int = 2000, month: str = "2013-06") -> tuple[Prediction, ...]:
    """The first n predictions of a month, in the order of their times."""
    rows = pl.read_parquet(SAMPLE / "predictions" / f"{month}.parquet").head(n)
    labels = pl.concat(
        [pl.read_parquet(p) for p in sorted((SAMPLE / "labels").glob("*.parquet"))]
    ).select("request_id", "late", "received_at")
    joined = rows.join(labels, on="request_id", how="left").sort("timestamp", "request_id")
    return tuple(
        Prediction(
            id=r["request_id"],
            time=r["timestamp"].replace(tzinfo=UTC),
            version=r["version"],
            features={name: r[name] for name in (*NUMERIC, *CATEGORICAL)},
            score=r["late_score"],
            label=None if r["late"] is None else int(r["late"]),
            received=None if r["received_at"] is None else r["received_at"].replace(tzinfo=UTC),
        )
        for r in joined.iter_rows(named=True)
    )


@dataclass(frozen=True, slots=True)
class Defects:
    """How many of each are put into a log, beside the good rows."""

    broken: int = 3
    duplicates: int = 5
    conflicts: int = 2
    orphan_requests: int = 4
    orphan_responses: int = 3
    errors: int = 6
    binary: int = 2
    orphan_labels: int = 3


@dataclass(frozen=True, slots=True)
class Written:
    """What a transcoder wrote, and what a store must hold of it once it is loaded.

    contract: the fields of the deployment beside name, task, features and segments. quarantined:
    by reason. n_requests, n_responses: halves whose other half never came. A defect that a format
    cannot have is 0 everywhere.
    """

    contract: Mapping[str, Any]
    n_errors: int = 0
    n_duplicate: int = 0
    n_requests: int = 0
    n_responses: int = 0
    n_waiting_labels: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)


class Transcoder(Protocol):
    """Writes rows as a platform would have. One in each module of `tests.collectors.platforms`."""

    format: FileFormat

    def write(
        self, rows: Sequence[Prediction], folder: Path, defects: Defects, *, files: int, batch: int
    ) -> Written:
        """The rows in `files` files, `batch` rows a record where records can hold several."""
