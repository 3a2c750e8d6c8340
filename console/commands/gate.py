"""`modelwatch gate`: codified decisions over the store; exit 0 pass, 1 fail, 2 cannot tell."""

from __future__ import annotations

import argparse
import copy
import json
import shutil

from console.commands.common import Opened, opened
from console.commands.show import ask_from, check_version
from console.errors import UsageError
from console.gate import Gate, parse_gate
from console.gates import Judged, Verdict, judge, verdict_of
from console.show import rows_to_csv, to_table
from console.snapshots import Taker
from console.views.gates import document, view

__all__ = ["run"]

EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.CANNOT_TELL: 2}


def run(options: argparse.Namespace) -> int:
    """Print the verdicts; their code."""
    asked = [parse_gate(text) for text in options.require or ()]
    with opened(options) as store:
        gates = asked or list(store.config.gate)
        if not gates:
            raise UsageError(
                "there is no gate: give one like --require 'recall >= 0.3', "
                "or [[gate]] in the configuration"
            )
        taker = store.taker()
        judged = tuple(j for gate in gates for j in _judged(options, store, taker, gate))
    print(_printed(options, judged))  # noqa: T201 - cleaned by console.views
    return EXIT[verdict_of(judged)]


def _judged(
    options: argparse.Namespace, store: Opened, taker: Taker, gate: Gate
) -> tuple[Judged, ...]:
    """A gate over the window that it or the command line says; the command line goes first."""
    of = copy.copy(options)
    of.deployment = options.deployment or gate.deployment or None
    of.version = options.version or gate.version or None
    of.segment = options.segment or gate.segment or None
    of.window = options.window or gate.window or None
    ask = ask_from(of, store.config, store.clock.now())
    check_version(store.reader, ask)
    return judge(gate, taker, ask)


def _printed(options: argparse.Namespace, judged: tuple[Judged, ...]) -> str:
    if options.format == "json":
        return json.dumps(document(judged), indent=2, allow_nan=False)
    if options.format == "csv":
        return rows_to_csv(document(judged)["rows"])
    width = shutil.get_terminal_size((120, 24)).columns
    names = dict.fromkeys(j.deployment for j in judged)
    return to_table(view(judged), f"Gates of {', '.join(names)}", width)
