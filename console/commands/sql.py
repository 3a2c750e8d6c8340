"""`modelwatch sql`: a query on the opened store; read only, limited, to the terminal or a file."""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
import sys
from pathlib import Path

from collectors.text import harmless
from console.commands.common import opened
from console.commands.files import new_file
from console.errors import UsageError
from console.messages import complain, say
from console.show import to_table
from console.sql import LIMIT, TIMEOUT_S, SqlDesk, SqlResult
from console.views.sql import result_view, tables_view

__all__ = ["run"]

_MOST = 10_000_000


def run(options: argparse.Namespace) -> int:
    """Print what a query gives; 0. Without a query on a terminal: what there is to ask."""
    limit = _number(options.limit, "--limit", LIMIT, _MOST)
    timeout = _number(options.timeout, "--timeout", int(TIMEOUT_S), 86_400)
    if options.format == "parquet" and not options.output:
        raise UsageError("Parquet goes to a file: give --output")
    query = _query(options)
    with opened(options) as store:
        if store.database is None:
            raise UsageError(
                "SQL needs the rows themselves: not a bundle, which holds answers, and not a store "
                "that is being recorded into; `modelwatch store backup` makes a copy of that one"
            )
        store.database.connection.execute("RESET threads")  # panes read with one; see Database
        desk = SqlDesk(store.database, store.config.deployment)
        try:
            if query is None:
                width = shutil.get_terminal_size((120, 24)).columns
                say(to_table(tables_view(desk.views, "modelwatch sql 'QUERY'"), "SQL", width))
                return 0
            result = desk.run(query, limit, timeout)
        finally:
            desk.close()
    if options.output:
        with new_file(Path(options.output)) as place:
            if options.format == "parquet":
                result.frame.write_parquet(place)
            else:
                place.write_text(_printed(options, result) + "\n", encoding="utf-8")
        say(f"wrote {options.output}", sys.stderr)
    else:
        print(_printed(options, result))  # noqa: T201 - cleaned below
    if result.more:
        complain(f"these are the first {limit:,} rows; there are more: --limit")
    return 0


def _query(options: argparse.Namespace) -> str | None:
    """The query; None to list the tables instead."""
    given: str | None = options.query
    if given is None and sys.stdin.isatty():
        return None
    if given in (None, "-"):
        if "-" in (options.log or ()):
            raise UsageError("standard input cannot be the log and the query; give the query")
        return sys.stdin.read(1_000_000)
    return given or ""


def _number(given: str | None, flag: str, otherwise: int, most: int) -> int:
    if given is None:
        return otherwise
    if not given.isdecimal() or not 0 < int(given[:12]) <= most:
        raise UsageError(f"{flag} takes a number from 1 to {most:,}, not {given!r}")
    return int(given)


def _printed(options: argparse.Namespace, result: SqlResult) -> str:
    if options.format == "json":
        return json.dumps(result.records(), indent=2, allow_nan=False)
    if options.format == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([harmless(c) for c in result.columns])
        for record in result.records():
            writer.writerow(
                [
                    harmless(v) if not isinstance(v, list | dict) else json.dumps(v)
                    for v in record.values()
                ]
            )
        return out.getvalue().rstrip("\n")
    width = shutil.get_terminal_size((120, 24)).columns
    return to_table(result_view(result), "SQL", width)
