"""A seeded log of any size: predictions over 30 days, labels that come later, batches that follow.

Every value is a function of (seed, row number), so a log of a given size is always the same, rows
need no memory, and labels are made without a join. Two versions, a score near calibrated, ten
numeric and five categorical features, two segments, latency; 95 % of the rows get a label, after a
log-normal delay with a median of six hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from collectors.contract import Deployment

__all__ = ["DELTA_LABELS", "DELTA_ROWS", "Log", "contract"]

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 30
END = START + timedelta(days=DAYS)

DELTA_ROWS = 10_000
DELTA_LABELS = 5_000
LATE_DAYS = 3
"""Late labels belong to predictions of this many last days; of more where those hold too few."""

BATCHES = 8
"""Batches that can follow: the labels of so many are held back."""

PART = 10_000_000
REFERENCE_ROWS = 50_000

NUMERIC = tuple(f"x{k}" for k in range(10))
CATEGORICAL = {"browser": 5, "plan": 12, "country": 50, "campaign": 300, "merchant": 2000}
SEGMENTS = {"region": 8, "device": 4}
NAMES = (
    *("id", "ts", "version", "score", "decision", "latency"),
    *NUMERIC,
    *CATEGORICAL,
    *SEGMENTS,
)


@dataclass(frozen=True, slots=True)
class Log:
    """A log of `rows` predictions in `folder`; parts are made when they are first asked for."""

    folder: Path
    rows: int
    seed: int = 1

    def make(self) -> None:
        """Reference, predictions and labels, unless they are there."""
        if (self.folder / "made").exists():
            return
        for name in ("predictions", "labels", "reference"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for part, low in enumerate(range(0, self.rows, PART)):
            high = min(low + PART, self.rows)
            self._write("predictions", f"{part:03}", low, high)
            self._write("labels", f"{part:03}", low, high)
        self._copy(
            f"SELECT {', '.join(NAMES)}, label FROM made",
            self.folder / "reference" / "reference.parquet",
            -REFERENCE_ROWS,
            0,
        )
        (self.folder / "made").touch()

    def follow(self, number: int) -> datetime:
        """The batch `number`, from 0: an hour of new rows, and late labels; the time it is then."""
        if not 0 <= number < BATCHES:
            raise ValueError(f"a log has {BATCHES} batches that follow")
        low = self.rows + number * DELTA_ROWS
        self._write("predictions", f"f{number:03}", low, low + DELTA_ROWS)
        first, step = self._held()
        since = self.now(number).replace(tzinfo=None)
        received = f"TIMESTAMP '{since}' + to_seconds(CAST(u(i, 77) * 3600 AS BIGINT))"
        self._copy(
            f"SELECT id, label, {received} AS received FROM made WHERE i % {step} = {number}",
            self.folder / "labels" / f"f{number:03}.parquet",
            first,
            first + step * DELTA_LABELS,
        )
        return self.now(number + 1)

    def now(self, batches: int = 0) -> datetime:
        """The time once so many batches have followed."""
        return END + timedelta(hours=batches)

    def _held(self) -> tuple[int, int]:
        """The first row whose label may be held back for batches, and every how many one is."""
        late = max(self.rows * LATE_DAYS // DAYS, min(2 * BATCHES * DELTA_LABELS, self.rows))
        return self.rows - late, max(BATCHES, late // DELTA_LABELS)

    def _write(self, kind: str, name: str, low: int, high: int) -> None:
        path = self.folder / kind / f"{name}.parquet"
        if kind == "predictions":
            self._copy(f"SELECT {', '.join(NAMES)} FROM made", path, low, high)
            return
        first, step = self._held()
        held = f"i >= {first} AND i % {step} < {BATCHES}"
        end = END.replace(tzinfo=None)
        self._copy(
            "SELECT id, label, received FROM made "
            f"WHERE u(i, 70) < 0.95 AND received < TIMESTAMP '{end}' AND NOT ({held}) "
            "ORDER BY received",
            path,
            low,
            high,
        )

    def _copy(self, select: str, path: Path, low: int, high: int) -> None:
        with duckdb.connect(config={"memory_limit": "2GB"}) as connection:
            connection.execute("SET preserve_insertion_order = true")
            connection.execute(f"SET temp_directory = '{self.folder}'")
            connection.execute(
                "CREATE MACRO u(i, k) AS "
                f"(hash(CAST(i AS BIGINT), CAST(k AS INTEGER), {self.seed}) >> 11)"
                " / 9007199254740992.0"
            )
            # of a logistic shape, like a normal one with heavier tails, and twice as cheap
            connection.execute(
                "CREATE MACRO z(i, k) AS ln((u(i, k) + 1e-12) / (1 - u(i, k) + 1e-12)) * 0.55"
            )
            # log-uniform ranks: a few values are frequent, most are rare
            connection.execute(
                "CREATE MACRO rank(i, k, n) AS CAST(floor(power(n + 1.0, u(i, k))) AS INTEGER)"
            )
            connection.execute(
                f"COPY (WITH made AS ({_made(self.rows, low, high)}) {select}) "
                f"TO '{path}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
            )


def contract(folder: str = ".") -> Deployment:
    """The deployment over a log: two segments and their cross."""
    return Deployment.model_validate(
        {
            "name": "bench",
            "task": "binary",
            "predictions": {"path": f"{folder}/predictions"},
            "id": "id",
            "timestamp": "ts",
            "version": "version",
            "score": "score",
            "prediction": "decision",
            "threshold": 0.3,
            "latency_ms": "latency",
            "timezone": "UTC",
            "champion": "v1",
            "features": {"numeric": list(NUMERIC), "categorical": list(CATEGORICAL)},
            "segments": list(SEGMENTS),
            "labels": {
                "source": {"path": f"{folder}/labels"},
                "id": "id",
                "value": "label",
                "received": "received",
            },
            "reference": [{"path": f"{folder}/reference/reference.parquet"}],
        }
    )


def _made(rows: int, low: int, high: int) -> str:
    """SELECT of everything about the rows with numbers in [low, high).

    Times rise with the row number, more of them by day than by night, with some seconds of
    disorder; rows after the last one come within an hour per batch.
    """
    day = 86_400.0
    even = f"(i + 0.5) / {rows} * {DAYS * day}"
    warped = f"({even} + 0.6 * {day} / 6.283185307 * sin({even} / {day} * 6.283185307 + 2.6))"
    first = f"0.6 * {day} / 6.283185307 * sin(2.6)"
    after = f"{DAYS * day} + (i - {rows} + 0.5) / {DELTA_ROWS} * 3600"
    seconds = (
        f"CASE WHEN i >= {rows} THEN {after} "
        f"ELSE greatest(0, least({DAYS * day - 1}, {warped} - {first} - 5 * u(i, 1))) END"
    )
    late = f"CASE WHEN i > {rows * 2 // 3} THEN 0.3 ELSE 0 END"  # two features drift
    numeric = [
        "round(z(i, 10), 4) AS x0",
        "round(z(i, 11), 4) AS x1",
        "CASE WHEN u(i, 32) < 0.02 THEN NULL ELSE round(100 + 15 * z(i, 12), 2) END AS x2",
        "round(exp(3 + z(i, 13)), 2) AS x3",
        "CASE WHEN u(i, 34) < 0.7 THEN 0 ELSE round(exp(z(i, 14)), 3) END AS x4",
        "CAST(floor(90 * u(i, 15)) AS DOUBLE) AS x5",
        f"round(z(i, 16) + {late}, 4) AS x6",
        "round(u(i, 17), 4) AS x7",
        f"round(exp(z(i, 18) + {late}), 3) AS x8",
        "CASE WHEN u(i, 39) < 0.001 THEN NULL ELSE round(1000 * u(i, 19) * u(i, 29), 1) END AS x9",
    ]
    names = [
        f"'{name[:3]}' || rank(i, {50 + k}, {n}) AS {name}"
        for k, (name, n) in enumerate({**CATEGORICAL, **SEGMENTS}.items())
    ]
    inner = (
        f"SELECT i, TIMESTAMP '{START.replace(tzinfo=None)}' + "
        f"to_microseconds(CAST(({seconds}) * 1e6 AS BIGINT)) AS ts, "
        f"{', '.join(numeric)}, {', '.join(names)} FROM range({low}, {high}) AS r(i)"
    )
    logit = (
        "-2.2 + 0.9 * x0 + 0.6 * x1 + 0.01 * x5 - 0.5 * x7 "
        "+ CASE region WHEN 'reg2' THEN 0.6 WHEN 'reg7' THEN -0.7 ELSE 0 END"
    )
    return (
        "SELECT *, CAST(score >= 0.3 AS TINYINT) AS decision, "
        "CAST(u(i, 61) < 1 / (1 + exp(-(1.1 * logit - 0.1))) AS TINYINT) AS label, "
        "ts + to_seconds(60 + CAST(21600 * exp(z(i, 62)) AS BIGINT)) AS received "
        "FROM (SELECT *, 1 / (1 + exp(-(logit + CASE version WHEN 'v2' THEN 0.15 ELSE 0.35 END "
        "* z(i, 60)))) AS score FROM ("
        f"SELECT *, {logit} AS logit, printf('%016x', hash(CAST(i AS BIGINT), 99)) AS id, "
        f"CASE WHEN u(i, 63) < CASE WHEN i > {rows // 2} THEN 0.5 ELSE 0.1 END "
        "THEN 'v2' ELSE 'v1' END AS version, round(exp(3.2 + 0.9 * z(i, 64)), 2) AS latency "
        f"FROM ({inner}) AS a) AS b) AS c"
    )
