"""`python -m benchmarks`: measure, beside the floor and hand-written SQL, in one run."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.measure import Figure
from benchmarks.report import as_json, as_line, as_markdown

GROUPS = {
    "ingest": "rates of Parquet, CSV and JSON lines; memory",
    "build": "the full rollup build",
    "open": "an exported log without a configuration, the first time and again",
    "refresh": "10,000 new rows and 5,000 late labels",
    "snapshots": "each pane's snapshot",
    "start": "first figures from a cold start",
    "live": "a recorder under load while three consoles look",
    "soak": "a recorder for a day in minutes: memory; row written to row on the screen",
    "control": "plans, rollbacks and 1,000 changes on two real Envoys under load",
    "terminal": "first paint, bytes per refresh, key to paint, in a pty",
}


def main() -> int:
    options = _parser().parse_args()
    rows = int(float(options.rows))
    if rows < 100_000:
        print("benchmarks: --rows takes 1e5 or more", file=sys.stderr)
        return 2
    folder = (
        Path(options.dir) if options.dir else Path(tempfile.mkdtemp(prefix="modelwatch-bench-"))
    )
    folder.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    try:
        lab = Lab(folder.resolve(), rows)
        for name in options.only or GROUPS:
            run: Callable[[Lab], Iterator[Figure]] = import_module(f"benchmarks.bench_{name}").run
            for figure in run(lab):
                figures.append(figure)
                print(as_line(figure), flush=True)
    finally:
        if not options.dir:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        Path(options.json).write_text(as_json(rows, figures) + "\n", encoding="utf-8")
    if options.markdown:
        print(as_markdown(figures))
    return 0


def _parser() -> argparse.ArgumentParser:
    groups = "\n".join(f"  {name:10} {what}" for name, what in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="CPU seconds, the best of several; ratios to DuckDB reading the same columns "
        "once (floor) and to hand-written DuckDB SQL, in one run.",
        epilog=f"groups:\n{groups}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", default="1e6", help="predictions in the log, from 1e5 (1e6)")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), metavar="NAME", help="groups")
    parser.add_argument("--dir", help="keep log and store in this folder (a temporary one)")
    parser.add_argument("--json", help="write what was measured to this file")
    parser.add_argument("--markdown", action="store_true", help="print it as a Markdown table too")
    return parser


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # DuckDB's binding prints about leaked types at a normal exit
