"""`modelwatch doctor`: versions, paths, terminal and store, for a bug report or a first look."""

from __future__ import annotations

import argparse
import locale
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from collectors.errors import CollectorError
from collectors.reader import InProcessReader
from collectors.store.database import Database
from console.commands.common import configuration, free_or_answered, store_path
from console.errors import ConsoleError
from console.messages import say
from console.windows import FAR

__all__ = ["run"]

_PACKAGES = ("modelwatch", "duckdb", "polars", "numpy", "pydantic", "textual", "plotext")


def run(options: argparse.Namespace) -> int:
    """Print what was found; 0, or 1 when something needs attention."""
    problems = 0
    for state, text in _lines(options):
        problems += state == "!"
        say(f"{state} {text}")
    return 1 if problems else 0


def _lines(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    yield " ", f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    for package in _PACKAGES:
        try:
            yield " ", f"{package} {version(package)}"
        except PackageNotFoundError:
            yield "!", f"{package} is not installed"
    yield from _terminal()
    yield from _store(options)


def _terminal() -> Iterator[tuple[str, str]]:
    size = shutil.get_terminal_size()
    term = os.environ.get("TERM", "")
    yield " ", f"terminal: TERM={term or '(not set)'} {size.columns}x{size.lines}"
    colours = "NO_COLOR is set" if os.environ.get("NO_COLOR") else os.environ.get("COLORTERM", "")
    yield " ", f"colours: {colours or 'as TERM says'}"
    encoding = locale.getpreferredencoding(do_setlocale=False)
    utf8 = encoding.lower().replace("-", "") == "utf8"
    yield (" " if utf8 else "!"), f"encoding: {encoding}" + ("" if utf8 else "; use --ascii")
    if not sys.stdin.isatty():
        yield " ", "no terminal on stdin: only the headless commands work here"
    if size.columns < 80 or size.lines < 24:
        yield "!", "the terminal is smaller than 80x24: panes are cut"


def _store(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    try:
        path, config = configuration(options)
    except ConsoleError as error:
        yield "!", str(error).replace("\n", "\n! ")
        return
    yield " ", f"configuration: {path}"
    store = store_path(options, path, config)
    if not store.exists():
        yield "!", f"store: {store} is not there yet; `modelwatch record --once` makes it"
        return
    yield " ", f"store: {store}, {store.stat().st_size / 1e6:,.1f} MB"
    free = shutil.disk_usage(_existing(store)).free
    yield ("!" if free < 1e9 else " "), f"free disk: {free / 1e9:,.1f} GB"
    try:
        with free_or_answered(store, config) as owner:
            reader = InProcessReader(owner) if isinstance(owner, Database) else owner
            if not isinstance(owner, Database):
                yield " ", f"  recorded into by process {owner.state().get('pid')}"
            for name, task, _ in reader.query("deployments").rows():
                row = reader.query("extent", name, end=FAR).row(0, named=True)
                yield (
                    " ",
                    f"  {name} ({task}): {row['n']:,} predictions, newest {row['last_ts']} UTC",
                )
                if row["n_unbuilt"]:
                    yield "!", f"  {row['n_unbuilt']:,} hours wait for a rebuild of their rollups"
            if isinstance(reader, InProcessReader):
                reader.close()
    except CollectorError as error:
        yield "!", str(error)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
