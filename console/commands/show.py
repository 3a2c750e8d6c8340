"""`modelwatch show PANE`: the same snapshot as the pane, on stdout."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from datetime import datetime

from collectors.reader import Reader
from collectors.store.layout import Layout
from collectors.store.raw_rows import rows_parts
from console.analysis.ask import Ask, RowsAsk, Step
from console.commands.common import chosen, opened
from console.config import Config
from console.errors import UsageError
from console.panes import AGREEMENT, SHOWN, take, view
from console.row_origins import parse_kind
from console.show import sections_to_table, to_csv, to_json, to_table
from console.snapshots import Snapshot
from console.times import parse_duration, parse_moment
from console.windows import FAR, make_ask

MOST_ROWS = 100_000

__all__ = ["ask_from", "check_version", "run", "window_words"]


def run(options: argparse.Namespace) -> int:
    """Print a pane; 0."""
    with opened(options) as store:
        reader, config = store.reader, store.config
        ask = ask_from(options, config, store.clock.now())
        if ask.segment is not None and not SHOWN[options.pane].by_segment:
            raise UsageError(f"{options.pane} is not kept by segment; leave out --segment")
        check_version(reader, ask)
        ask = _of_rows(options, ask)
        taker = store.taker(ask)
        ask = taker.asked(ask)
        snapshot = take(options.pane, taker, ask)
        print(_printed(options, snapshot, ask))  # noqa: T201 - cleaned by console.show
    return 0


def ask_from(options: argparse.Namespace, config: Config, clock: datetime) -> Ask:
    """The asked window. Raises UsageError for what cannot be understood."""
    try:
        window = parse_duration(options.window or config.console.window)
    except ValueError as error:
        raise UsageError(str(error)) from error
    as_of = parse_moment(options.as_of) if options.as_of else None
    return make_ask(
        chosen(config.deployment, options.deployment),
        max(clock, as_of) if as_of is not None else clock,
        window,
        as_of=as_of,
        start=parse_moment(options.start) if options.start else None,
        end=parse_moment(options.end) if options.end else None,
        step=Step(options.step) if getattr(options, "step", None) else None,
        version=options.version,
        segment=options.segment,
        against=getattr(options, "against", None),
        watched=getattr(options, "peek_safe", False),
        threshold=_threshold(getattr(options, "threshold", None)),
    )


def _of_rows(options: argparse.Namespace, ask: Ask) -> Ask:
    """Which raw rows are asked for. Raises UsageError."""
    listed = options.pane in ("rows", AGREEMENT.name)
    if options.kind and options.pane != "rows":
        raise UsageError("--kind is about the pane rows")
    if options.limit and not listed:
        raise UsageError("--limit is about the panes rows and agreement")
    if not listed:
        return ask
    limit = options.limit or "100"
    if not limit.isdecimal() or not 0 < int(limit[:7]) <= MOST_ROWS:
        raise UsageError(f"--limit takes a number up to {MOST_ROWS:,}, not {limit!r}")
    if options.pane == AGREEMENT.name:
        return replace(ask, rows=RowsAsk(most=int(limit)))
    try:
        of = parse_kind(options.kind or "wrong", int(limit))
        rows_parts(Layout(ask.deployment), of.kind, _number(ask, of.subject), ())
    except ValueError as error:
        raise UsageError(str(error)) from error
    return replace(ask, rows=of)


def _number(ask: Ask, feature: str) -> int:
    names = [f.name for f in ask.deployment.features]
    return names.index(feature) if feature in names else -1


def _threshold(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"a threshold is a number between 0 and 1, not {text!r}") from error


def check_version(reader: Reader, ask: Ask) -> None:
    """An unknown version is a slip of the pen, not an empty window. Raises UsageError."""
    asked = [v for v in (ask.version, ask.against.version) if v is not None]
    if not asked:
        return
    found = reader.query("versions", ask.deployment.name, end=FAR)["version"].to_list()
    for version in asked:
        if version not in found:
            known = ", ".join(found) or "none yet"
            raise UsageError(f"there is no version {version!r}; there is {known}")


def window_words(ask: Ask) -> str:
    """The window and its moment; of a log without times that it is all of it."""
    if not ask.deployment.timed:
        return "the whole log, which says no times"
    end = min(ask.end, ask.as_of)
    return (
        f"{ask.start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, as of {ask.as_of:%Y-%m-%d %H:%M}"
    )


def _printed(options: argparse.Namespace, snapshot: Snapshot, ask: Ask) -> str:
    if options.format == "json":
        return to_json(options.pane, snapshot)
    if options.format == "csv":
        return to_csv(options.pane, snapshot)
    of = "" if options.pane == "overview" else f" of {ask.deployment.name}"
    title = f"{SHOWN[options.pane].title}{of}, {window_words(ask)}"
    width = shutil.get_terminal_size((120, 24)).columns
    shown = view(options.pane, snapshot)
    if options.pane == AGREEMENT.name:  # with the queue, which is the page of its first row
        return sections_to_table(replace(shown, details=shown.details[:1]), title, width)
    return to_table(shown, title, width)
