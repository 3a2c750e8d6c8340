"""An exported log with its labels beside, opened without a configuration; and opened again."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from benchmarks.lab import Lab
from benchmarks.measure import Figure, child

__all__ = ["run"]

_COMMAND = "import sys; from console.cli import main; sys.exit(main(sys.argv[1:]))"
_READ = (
    "import duckdb, sys; duckdb.connect().execute('CREATE TABLE t AS SELECT * FROM ' + sys.argv[1])"
)
_FORMS = {
    "parquet": ("Parquet", "read_parquet('{}')", "(FORMAT parquet)"),
    "csv": ("CSV", "read_csv('{}')", "(FORMAT csv, HEADER)"),
}
_LARGEST_CSV = 2_000_000


def run(lab: Lab) -> Iterator[Figure]:
    """The whole process, beside one that reads the same file into a table of DuckDB."""
    lab.log.make()
    cache = lab.folder / "cache"
    for end, (name, reader, copy) in _FORMS.items():
        if end == "csv" and lab.rows > _LARGEST_CSV:
            continue
        path = lab.folder / f"export.{end}"
        _export(lab, path.as_posix(), copy)
        floor = child(["-c", _READ, reader.format(path.as_posix())])
        words = ["show", "overview", "--log", str(path), "--target", "label"]
        environment = {"XDG_CACHE_HOME": str(cache)}
        first = child(["-c", _COMMAND, *words], **environment)
        again = child(["-c", _COMMAND, *words], **environment)
        yield Figure(
            "open",
            f"{name}, the first time",
            first.cpu,
            "CPU-s",
            floor.cpu,
            goal="within 3x of DuckDB's reading",
            limit=3 * floor.cpu,
            note=f"{first.rss_mb:,.0f} MB resident",
        )
        yield Figure("open", f"{name}, again", again.cpu, "CPU-s", goal="at once", limit=1.5)
        path.unlink()


def _export(lab: Lab, path: str, copy: str) -> None:
    """Predictions with their label, as one table."""
    files = f"read_parquet('{lab.log.folder}/{{}}/[0-9]*.parquet')"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT p.*, l.label FROM {files.format('predictions')} AS p "
            f"LEFT JOIN {files.format('labels')} AS l ON l.id = p.id ORDER BY p.ts) "
            f"TO '{path}' {copy}"
        )
