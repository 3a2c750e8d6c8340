"""Rows into the store: Parquet, CSV and JSON lines; memory while a Parquet log is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb

from benchmarks.generator import NAMES
from benchmarks.lab import Lab
from benchmarks.measure import Figure, best, timed

__all__ = ["run"]

TEXT_ROWS = 200_000


def run(lab: Lab) -> Iterator[Figure]:
    """Rates as CPU seconds per million rows, so that every ratio reads the same way."""
    lab.log.make()
    loaded = lab.loaded = lab.load(lab.store)
    lab.prepare()
    millions = lab.rows / 1e6
    files = f"read_parquet('{lab.log.folder}/{{}}/[0-9]*.parquet')"
    for kind in ("predictions", "labels"):
        source = files.format(kind)
        phase = loaded.phases[f"loading {kind} of bench"]
        yield Figure(
            "ingest",
            f"Parquet, {kind}",
            phase / millions,
            "CPU-s per 1M rows of the log",
            _read(source) / millions,
            _insert(lab.folder, f"SELECT * FROM {source} ORDER BY {_time(kind)}") / millions,
            note=f"{lab.rows / phase / 1e3:,.0f}k rows per CPU-s"
            if kind == "predictions"
            else "each finds its prediction",
        )
    yield Figure(
        "ingest",
        f"memory while loading {lab.rows:,} rows of Parquet",
        loaded.rss_mb,
        "MB resident",
        goal="< 2 GB",
        limit=2048,
    )
    raw = sum(f.stat().st_size for f in lab.log.folder.glob("*/*.parquet")) / 1e6
    yield Figure(
        "ingest", "size of the store", loaded.store_mb, "MB", floor=raw, note="floor: files"
    )
    yield from _text(lab)


def _text(lab: Lab) -> Iterator[Figure]:
    rows = min(lab.rows, TEXT_ROWS)
    parts = {
        "csv": ("CSV", "(FORMAT csv, HEADER)", "read_csv('{}', all_varchar = true)"),
        "jsonl": ("JSON lines", "(FORMAT json)", "read_json('{}', columns = {})"),
    }
    for suffix, (title, options, reader) in parts.items():
        folder = lab.log.folder / suffix
        (folder / "predictions").mkdir(parents=True, exist_ok=True)
        path = folder / "predictions" / f"some.{suffix}"
        first = f"{lab.log.folder}/predictions/000.parquet"
        columns = "{" + ", ".join(f"{n}: 'VARCHAR'" for n in NAMES) + "}"
        source = reader.replace("{}", str(path), 1).replace("{}", columns)
        with duckdb.connect() as connection:
            connection.execute(f"COPY (FROM '{first}' LIMIT {rows}) TO '{path}' {options}")
        loaded = lab.load(folder / "store.duckdb", suffix)
        phase = loaded.phases["loading predictions of bench"]
        numbers = ", ".join(
            f"TRY_CAST({n} AS DOUBLE) AS {n}" for n in ("score", "latency", *NAMES[6:16])
        )
        texts = ", ".join(n for n in NAMES if n not in ("score", "latency", "ts", *NAMES[6:16]))
        typed = f"SELECT {texts}, CAST(ts AS TIMESTAMP) AS ts, {numbers} FROM {source}"
        scale = rows / 1e6
        yield Figure(
            "ingest",
            f"{title}, predictions",
            phase / scale,
            "CPU-s per 1M rows of the log",
            _read(source) / scale,
            _insert(lab.folder, typed) / scale,
            note=f"{rows / phase / 1e3:,.0f}k rows per CPU-s",
        )
        shutil.rmtree(folder)


def _time(kind: str) -> str:
    return "ts" if kind == "predictions" else "received"


def _read(source: str) -> float:
    """Every column read and looked at once."""
    with duckdb.connect() as connection:
        names = [r[0] for r in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
        looked = ", ".join(f"max({n})" for n in names)
        # with a condition: without one the largest values come from the file's statistics
        sql = f"SELECT {looked} FROM {source} WHERE length(id) > 3"
        return best(lambda: connection.execute(sql).fetchall())


def _insert(folder: Path, select: str) -> float:
    """The same rows into a typed table of a new file: no checks, no duplicates, no offsets."""
    path = folder / "plain.duckdb"

    def insert() -> None:
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path), config={"memory_limit": "1GB"}) as connection:
            connection.execute(f"CREATE TABLE log AS {select}")

    try:
        insert()
        return timed(insert)
    finally:
        path.unlink(missing_ok=True)
