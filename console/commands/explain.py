"""`modelwatch explain METRIC`: why a figure changed, as a table, JSON or CSV."""

from __future__ import annotations

import argparse
import json
import shutil

from console.analysis.explain import ExplainSnapshot, UnknownFigureError
from console.commands.common import opened
from console.commands.show import ask_from, check_version
from console.errors import UsageError
from console.explaining import explanation
from console.show import rows_to_csv, sections_to_table
from console.views.explain import document, view

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print an explanation; 0."""
    with opened(options) as store:
        ask = ask_from(options, store.config, store.clock.now())
        check_version(store.reader, ask)
        taker = store.taker(ask)
        try:
            found = explanation(taker, ask, options.metric, chosen=options.against is not None)
        except UnknownFigureError as error:
            raise UsageError(str(error)) from error
        print(_printed(options, found))  # noqa: T201 - cleaned by console.show
    return 0


def _printed(options: argparse.Namespace, found: ExplainSnapshot) -> str:
    if options.format == "json":
        return json.dumps(document(found), indent=2, allow_nan=False)
    if options.format == "csv":
        return rows_to_csv(document(found)["rows"])
    ask = found.ask
    title = (
        f"Why {found.figure} of {ask.deployment.name} changed, "
        f"{ask.start:%Y-%m-%d %H:%M} to {min(ask.end, ask.as_of):%Y-%m-%d %H:%M} UTC "
        f"against {ask.against.words}, as of {ask.as_of:%Y-%m-%d %H:%M}"
    )
    width = shutil.get_terminal_size((120, 24)).columns
    return sections_to_table(view(found), title, width)
