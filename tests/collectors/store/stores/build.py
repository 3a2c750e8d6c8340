"""Makes a store with the code of an older release, for the tests of migrations.

    python build.py logs            the logs, once
    python build.py CHECKOUT NAME   NAME.duckdb.zst, by the code in that checkout

The logs lie beside this file. Paths in a store are those of where it was made; they do not matter.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
TASKS = ("binary", "multiclass", "regression")


def write_logs() -> None:
    """Predictions, labels and a reference per task, as the tests of that time made them."""
    from synthetic import labels, predictions  # noqa: PLC0415

    for task in TASKS:
        rows = predictions(90, 11, task, hours=60)
        known = predictions(120, 12, task)
        reference = [r for r in known if r["error"] is None]
        for name, content in (
            ("predictions", rows),
            ("labels", labels(rows, 13, task)),
            ("reference", reference),
        ):
            path = HERE / task / f"{name}.jsonl.gz"
            path.parent.mkdir(exist_ok=True)
            lines = "".join(json.dumps(r) + "\n" for r in content)
            path.write_bytes(gzip.compress(lines.encode(), mtime=0))


def contract(task: str, folder: Path = HERE) -> dict[str, object]:
    """A deployment over the logs of a task, in the words of every release."""
    of = folder / task
    found: dict[str, object] = {
        "name": f"the-{task}.one",
        "task": task,
        "predictions": {"path": str(of / "predictions.jsonl.gz")},
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
            "source": {"path": str(of / "labels.jsonl.gz")},
            "id": "id",
            "value": "label",
            "received": "received",
            "event": "event",
            "labeller": "by",
        },
        "reference": [{"path": str(of / "reference.jsonl.gz")}],
        "fallback": {"prediction": "plain"},
    }
    if task == "binary":
        found["score"] = "score"
    if task == "multiclass":
        found["class_scores"] = {c: f"p_{c}" for c in ("ant", "bee", "cat")}
    return found


def build(checkout: Path, name: str) -> None:
    """Load the logs with the code of a checkout."""
    sys.path.insert(0, str(checkout))
    from collectors.contract import Deployment  # noqa: PLC0415
    from collectors.ingest import Ingest  # noqa: PLC0415
    from collectors.store.database import Database  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for task in TASKS:
            shutil.copytree(HERE / task, base / task)
        deployments = [Deployment.model_validate(contract(t, base)) for t in TASKS]
        with Database(base / "s.duckdb") as database:
            ingest = Ingest(database, deployments, base, lambda: datetime(2024, 3, 10, tzinfo=UTC))
            problems = ingest.collect().problems
            if problems:
                raise SystemExit(str(problems))
            database.connection.execute("CHECKPOINT")
        packed = HERE / f"{name}.duckdb.zst"
        import zstandard  # noqa: PLC0415

        packed.write_bytes(
            zstandard.ZstdCompressor(level=19).compress((base / "s.duckdb").read_bytes())
        )
        print(packed, packed.stat().st_size)  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1] == "logs":
        sys.path.insert(0, str(HERE.parents[1]))
        sys.path.insert(0, str(HERE.parents[3]))
        write_logs()
    else:
        build(Path(sys.argv[1]).resolve(), sys.argv[2])
