"""A small synthetic log with everything that the rollups sum up, and what a store makes of it."""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from collectors.contract import Deployment
from collectors.ingest import Ingest
from collectors.store.catalog import StoredDeployment
from collectors.store.database import Database

NOW = datetime(2024, 3, 10, tzinfo=UTC)
START = datetime(2024, 3, 1, 22, 0, tzinfo=UTC)
TASKS = ("binary", "multiclass", "regression")
CLASSES = ("ant", "bee", "cat")

Row = dict[str, Any]


def deployment(task: str = "binary", **changes: Any) -> Deployment:
    """A deployment over `predictions/`, `labels/` and, where given, a reference."""
    contract: dict[str, Any] = {
        "name": "demo",
        "task": task,
        "predictions": {"path": "predictions"},
        "id": "id",
        "timestamp": "ts",
        "version": "model",
        "prediction": "predicted",
        "latency_ms": "latency",
        "cost": "cost",
        "error": "error",
        "features": {"numeric": ["x"], "categorical": ["colour"]},
        "segments": ["shop", {"name": "size", "column": "x", "edges": [0.0, 1.0]}],
        "labels": {
            "source": {"path": "labels"},
            "id": "id",
            "value": "label",
            "received": "received",
            "event": "event",
            "labeller": "by",
        },
        "fallback": {"prediction": "plain"},
    }
    if task == "binary":
        contract["score"] = "score"
    if task == "multiclass":
        contract["class_scores"] = {c: f"p_{c}" for c in CLASSES}
    return Deployment.model_validate(contract | changes)


def predictions(n: int, seed: int, task: str = "binary", hours: int = 30) -> list[Row]:
    """Rows over some hours of two versions; some in error, some without features."""
    random_ = random.Random(seed)
    rows: list[Row] = []
    for i in range(n):
        moment = START + timedelta(seconds=random_.randrange(hours * 3600))
        failed = random_.random() < 0.05
        row: Row = {
            "id": f"r{seed}-{i}",
            "ts": moment.isoformat(),
            "model": random_.choice(["v1", "v1", "v2"]),
            "latency": round(random_.lognormvariate(3, 1), 3),
            "cost": round(random_.random(), 4),
            "error": "timeout" if failed else None,
            "x": None if random_.random() < 0.1 else round(random_.gauss(0.5, 1), 3),
            "colour": random_.choice(["red", "green", "blue", None]),
            "shop": random_.choice(["north", "south", "it's", None]),
        }
        row |= _outputs(random_, task, failed)
        rows.append(row)
    return rows


def _outputs(random_: random.Random, task: str, failed: bool) -> Row:
    if task == "binary":
        score = round(random_.random(), 3)
        outputs: Row = {"score": score, "predicted": int(score >= 0.4)}
        outputs["plain"] = random_.choice([0, 1, None])
    elif task == "multiclass":
        weights = [random_.random() for _ in CLASSES]
        scores = [round(w / sum(weights), 4) for w in weights]
        outputs = {f"p_{c}": s for c, s in zip(CLASSES, scores, strict=True)}
        outputs["predicted"] = CLASSES[scores.index(max(scores))]
        outputs["plain"] = random_.choice([*CLASSES, None])
    else:
        outputs = {"predicted": round(random_.gauss(10, 5), 3), "plain": 10.5}
    return dict.fromkeys(outputs) if failed else outputs


def labels(rows: Sequence[Row], seed: int, task: str = "binary") -> list[Row]:
    """Labels of most rows: some corrected, some at the same moment, some of nobody."""
    random_ = random.Random(seed)
    found: list[Row] = []
    for row in rows:
        times = random_.choice([0, 1, 1, 1, 1, 2, 3])
        received = datetime.fromisoformat(row["ts"])
        for k in range(times):
            # the second statement often has the first one's time, now and then its event too
            if not k or random_.random() < 0.6:
                received += timedelta(seconds=random_.randrange(1, 80_000))
            event = None if random_.random() < 0.5 else received - timedelta(seconds=60)
            found.append(
                {
                    "id": row["id"],
                    "label": _truth(random_, task),
                    "received": received.isoformat(),
                    "event": event.isoformat() if event else None,
                    "by": "ann",
                }
            )
            if random_.random() < 0.1:  # somebody else says the very same
                found.append(found[-1] | {"by": "bob"})
    nobody = {"id": "nobody", "label": _truth(random_, task), "received": START.isoformat()}
    return [*found, {**nobody, "event": None, "by": "ann"}]


def _truth(random_: random.Random, task: str) -> Any:
    if task == "binary":
        return random_.randrange(2)
    if task == "multiclass":
        return random_.choice(CLASSES)
    return round(random_.gauss(10, 6), 3)


def write(rows: Sequence[Row], path: Path, suffix: str = ".csv") -> Path:
    """Rows as a file whose suffix says the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.with_name(path.name + suffix)
    if suffix == ".parquet":
        pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def with_reference(folder: Path, task: str, **changes: Any) -> Deployment:
    """A deployment whose bins come from a reference, so that they are the same in any order."""
    reference = folder / "reference.parquet"
    if not reference.exists():
        rows = predictions(400, 99, task)
        known = [r | {"label": _truth(random.Random(i), task)} for i, r in enumerate(rows)]
        write([r for r in known if r["error"] is None], folder / "reference", ".parquet")
    return deployment(task, reference=[{"path": str(reference)}], **changes)


def opened(contract: Deployment, base: Path, database: Database | None = None) -> Ingest:
    """Collectors over a store, in memory unless one is given."""
    return Ingest(database or Database(None), [contract], base, lambda: NOW)


def store_of(ingest: Ingest) -> StoredDeployment:
    """Its only deployment."""
    (stored,) = ingest.stored.values()
    return stored


def rollups(stored: StoredDeployment) -> dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]:
    """Every rollup table as {keys: sums}, cells without rows left out."""
    found = {}
    connection = stored.database.connection
    for table in (*stored.rollups.outcome_tables, *stored.rollups.input_tables):
        name = stored.layout.table(table)
        described = connection.execute(f"DESCRIBE {name}").fetchall()
        sums = [c for c, kind, *_ in described if kind in ("BIGINT", "DOUBLE")]
        keys = [c for c, *_ in described if c not in sums]
        extremes = {"value_min": "min", "value_max": "max"}
        listed = ", ".join(f"{extremes.get(c, 'sum')}({c})" for c in sums)
        rows = connection.execute(
            f"SELECT {', '.join(keys)}, {listed} FROM {name} GROUP BY ALL HAVING sum(n) <> 0"
        ).fetchall()
        found[table] = {row[: len(keys)]: row[len(keys) :] for row in rows}
    return found


def assert_same(
    found: Mapping[str, Mapping[tuple[Any, ...], tuple[Any, ...]]],
    wanted: Mapping[str, Mapping[tuple[Any, ...], tuple[Any, ...]]],
) -> None:
    """Counts are equal, sums to a billionth (of one, where they cancel)."""
    assert found.keys() == wanted.keys()
    for table, cells in wanted.items():
        assert found[table].keys() == cells.keys(), table
        for key, sums in cells.items():
            for a, b in zip(found[table][key], sums, strict=True):
                same = a == b or (
                    isinstance(b, float) and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
                )
                assert same, (table, key, found[table][key], sums)


def assert_adds_up(stored: StoredDeployment) -> None:
    """Every record that was read is new, a duplicate, waiting or in quarantine; none is lost."""
    query = stored.database.connection.execute
    wrong = query(
        "SELECT * FROM batches WHERE n_read <> n_new + n_duplicate + n_waiting + n_quarantined "
        "OR least(n_read, n_new, n_duplicate, n_waiting, n_quarantined) < 0"
    ).fetchall()
    assert wrong == []
    counted = query("SELECT coalesce(sum(n_quarantined), 0) FROM batches").fetchall()
    assert counted == query("SELECT count(*) FROM quarantine").fetchall()
    unexplained = query(
        "SELECT * FROM quarantine WHERE reason = '' OR source = '' OR (position < 1 "
        "AND detail NOT LIKE 'it waited%')"  # of labels that wait the record is not kept
    ).fetchall()
    assert unexplained == []


def quarantined(stored: StoredDeployment) -> list[tuple[int, str]]:
    """(position, reason) of everything in quarantine."""
    return stored.database.connection.execute(
        "SELECT position, reason FROM quarantine ORDER BY source, position"
    ).fetchall()


def count(stored: StoredDeployment, table: str = "predictions") -> int:
    """Rows of one of the deployment's tables."""
    name = stored.layout.table(table)
    return int(stored.database.connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0])


def chunks(rows: Sequence[Row], cuts: Iterable[int]) -> list[Sequence[Row]]:
    """Rows cut at the given places."""
    edges = sorted({0, len(rows), *(min(c, len(rows)) for c in cuts)})
    return [rows[a:b] for a, b in pairwise(edges) if b > a]


class Logs:
    """One small binary deployment over `predictions/` and, if wanted, `labels/`, for files that a
    test writes byte by byte. Columns: id, ts, score, shop."""

    def __init__(self, base: Path, **changes: Any) -> None:
        self.base = base
        contract: dict[str, Any] = {
            "name": "demo",
            "task": "binary",
            "predictions": {"path": "predictions"},
            "timestamp": "ts",
            "score": "score",
            "segments": ["shop"],
            "features": {"categorical": ["note"]},
        }
        (base / "predictions").mkdir(exist_ok=True)
        (base / "labels").mkdir(exist_ok=True)
        self.ingest = opened(Deployment.model_validate(contract | changes), base)
        self.stored = store_of(self.ingest)

    def put(self, name: str, data: bytes | str, kind: str = "predictions") -> Path:
        """Write a file."""
        path = self.base / kind / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def collect(self, *, whole: bool = True) -> list[str]:
        """Load what is there; the problems, as sentences. Everything must add up."""
        collected = self.ingest.collect(whole=whole)
        assert_adds_up(self.stored)
        return [problem.message for problem in collected.problems]

    def ids(self) -> list[str]:
        """Ids of the predictions in the store."""
        return [str(row[0]) for row in self.rows("id")]

    def rows(self, columns: str = "id, ts, score, s0", table: str = "predictions") -> list[Any]:
        """Columns of the predictions, by id."""
        sql = f"SELECT {columns} FROM {self.stored.layout.table(table)} ORDER BY id"
        return self.stored.database.connection.execute(sql).fetchall()

    def bad(self, columns: str = "position, reason") -> list[Any]:
        """What is in quarantine, by source and position."""
        sql = f"SELECT {columns} FROM quarantine ORDER BY source, position"
        return self.stored.database.connection.execute(sql).fetchall()
