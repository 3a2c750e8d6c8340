"""From a cold start to figures: processes that begin with nothing imported."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.lab import Lab
from benchmarks.measure import Figure, child

__all__ = ["run"]

_COMMAND = "import sys; from console.cli import main; main(sys.argv[1:])"
_IMPORTS = "import duckdb, numpy, polars, pydantic; duckdb.connect()"
_TIMES = 3


def run(lab: Lab) -> Iterator[Figure]:
    """`modelwatch show` on a store, and from files without a store."""
    lab.prepare()
    imports = _least("-c", _IMPORTS)
    options = ["--config", str(lab.config), "--store", str(lab.store)]
    for pane in ("overview", "performance"):
        yield Figure(
            "start",
            f"show {pane}, the log is in the store",
            _least("-c", _COMMAND, "show", pane, *options),
            "CPU-s",
            imports,
            goal="< 1 CPU-s at 1M rows",
            limit=1.0,
            note="floor: importing the libraries and connecting",
        )
    if lab.rows > 1_000_000:
        return
    fresh = lab.log.folder / "fresh.duckdb"
    options = ["--config", str(lab.config), "--store", str(fresh)]
    recorded = child(["-c", _COMMAND, "record", "--once", *options]).cpu
    shown = _least("-c", _COMMAND, "show", "overview", *options)
    for path in lab.log.folder.glob("fresh.duckdb*"):
        path.unlink()
    yield Figure(
        "start",
        "record --once and show overview, the log is in Parquet files",
        recorded + shown,
        "CPU-s",
        goal="< 1 CPU-s at 1M rows",
        limit=1.0,
    )


def _least(*args: str) -> float:
    return min(child(args).cpu for _ in range(_TIMES))
