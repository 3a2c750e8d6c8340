"""`modelwatch open LOG...`: exported logs on the screen, without a configuration."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from collectors.propose import Doubt, Given, Proposal
from console.bundle import Bundle
from console.commands.screen import initial_request, panes, screen_options, shown
from console.errors import UsageError
from console.feed import Backend
from console.messages import say
from console.opening import (
    SETTINGS,
    Logs,
    bundle_of,
    configuration_of,
    configuration_of_bundle,
    kept_store,
    local_paths,
    logs_of,
    proposal_of,
    refuse_without_log,
)
from console.panes import SQL
from console.tui.run import run_app
from console.views.proposal import doubt_sentence, sentences

__all__ = ["run"]

_MOST_QUESTIONS = 12


class _Left(Exception):  # noqa: N818 - no error: the user has gone
    """The user does not want to go on."""


def run(options: argparse.Namespace) -> int:
    """Build the logs' store, or find it, and open the console on it."""
    if not sys.stderr.isatty() or not sys.stdout.isatty():
        raise UsageError(
            "there is no terminal here; `modelwatch show overview --log ...` prints figures"
        )
    bundle = bundle_of(options.log)
    if bundle is not None:
        refuse_without_log(options, "a bundle says itself how its log is read")
        return _bundle_screen(options, bundle)
    try:
        with local_paths(options.log) as paths:
            _keys_from_terminal()
            logs = logs_of(options, paths)
            with kept_store(logs, keep=not options.no_cache, agreed=_agreed) as kept:
                return _screen(options, kept.store)
    except _Left:
        return 0


def _keys_from_terminal() -> None:
    """When a log came on standard input, keys come from the terminal itself."""
    if sys.stdin.isatty():
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError as error:
        raise UsageError("there is no terminal to read keys from") from error
    os.dup2(terminal, sys.stdin.fileno())
    os.close(terminal)


def _screen(options: argparse.Namespace, store: Path) -> int:
    from collectors.store.database import Database  # noqa: PLC0415

    with Database(store, SETTINGS, read_only=True) as database:
        config = configuration_of(database)

    def backend() -> Backend:
        from collectors.reader import InProcessReader  # noqa: PLC0415
        from console.commands.common import settled_clock  # noqa: PLC0415
        from console.session import Session  # noqa: PLC0415

        opened = Database(store, SETTINGS, read_only=True)
        reader = InProcessReader(opened)
        clock = settled_clock(config, reader)
        reader.close()
        return Session(opened, config.deployment, clock, exported=True)

    request = initial_request(options, config.console.window)
    known = (*panes(config.deployment), shown(SQL))
    every = sorted(known, key=lambda p: p.key if p.key > 0 else 10 - p.key)
    return run_app(backend, tuple(every), initial=request, options=screen_options(options))


def _bundle_screen(options: argparse.Namespace, bundle: Bundle) -> int:
    """The console on a bundle: without SQL, and without rows where it holds none."""
    config = configuration_of_bundle(bundle)
    with_rows = any(name == "rows" for name, _, _ in bundle.answers)
    kept = tuple(p for p in panes() if p.name != "rows" or with_rows)

    def backend() -> Backend:
        from console.bundle import RecordedReader  # noqa: PLC0415
        from console.clocks import FixedClock  # noqa: PLC0415
        from console.session import Session  # noqa: PLC0415

        clock = FixedClock(bundle.as_of)
        return Session(
            None,
            config.deployment,
            clock,
            reader=RecordedReader(bundle),
            exported=bundle.exported,
        )

    request = initial_request(options, config.console.window)
    return run_app(backend, kept, initial=request, options=screen_options(options))


# -- the guess -----------------------------------------------------------------------------------


def _agreed(logs: Logs, proposal: Proposal) -> tuple[Logs, Proposal]:
    """Show how the logs are read, settle doubts, ask. Raises _Left."""
    for _ in range(_MOST_QUESTIONS):
        if not proposal.doubts:
            break
        doubt = proposal.doubts[0]
        if not doubt.candidates or not doubt.flag:
            raise UsageError(doubt_sentence(doubt))
        logs = replace(logs, given=_with(logs.given, doubt, _chosen(doubt)))
        proposal = proposal_of(logs)
    say("\nThis is how the log is read:\n")
    for line in sentences(proposal):
        say(f"  {line}")
    say("\nA flag says another column: --timestamp, --id, --prediction, --score, --target, ...")
    answer = _asked("enter goes on, q leaves: ")
    if answer.strip().lower() in ("q", "quit", "n", "no"):
        raise _Left
    return logs, proposal


def _chosen(doubt: Doubt) -> str:
    """The candidate that the user chooses. Raises _Left."""
    say(f"\n{doubt.why}:\n")
    for number, candidate in enumerate(doubt.candidates, start=1):
        say(f"  {number:>2}  {candidate}")
    while True:
        answer = _asked(
            f"\nwhich one is the {doubt.role}? 1 to {len(doubt.candidates)}, q leaves: "
        )
        answer = answer.strip()
        if answer.lower() in ("q", "quit", ""):
            raise _Left
        if answer.isdecimal() and 1 <= int(answer[:4]) <= len(doubt.candidates):
            return doubt.candidates[int(answer) - 1]
        if answer in doubt.candidates:
            return answer


def _with(given: Given, doubt: Doubt, answer: str) -> Given:
    """What is given, with an answer to a doubt."""
    if doubt.role in ("segment", "feature"):
        return replace(given, **{f"{doubt.role}s": (answer,)})  # type: ignore[arg-type]
    return replace(given, **{doubt.role: answer})  # type: ignore[arg-type]


def _asked(question: str) -> str:
    try:
        return input(question)
    except EOFError as error:
        raise _Left from error
