"""What commands that change traffic share: the desk, the evidence, the confirmation, the ending."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from collectors.contract import Deployment
from collectors.errors import CollectorError
from console.commands.common import chosen, configuration, recorded, store_path
from console.config import Config
from console.control.audit import Audit, audit_path
from console.control.desk import Desk
from console.control.evidence import Evidence, evidence_of
from console.control.hands import why_read_only
from console.control.outcome import Outcome, Proposal, Result
from console.control.planes.registry import make_plane
from console.control.settings import Control
from console.control.who import who
from console.errors import ConsoleError, UsageError
from console.messages import complain, say
from console.show import sections_to_table
from console.times import parse_duration
from console.views.control import (
    outcome_document,
    outcome_view,
    proposal_document,
    proposal_view,
)
from console.views.model import View
from console.windows import make_ask

__all__ = ["EXIT", "Bench", "at_work", "carry_out", "control_of", "typed_name", "within"]

T = TypeVar("T")

_URGENT_S = 3.0
"""How long what makes things safe waits for the store; a first look at a large one takes 1 s."""

EXIT = {
    Result.APPLIED: 0,
    Result.REFUSED: 1,
    Result.CONFLICT: 1,
    Result.PARTIAL: 1,
    Result.NOT_VERIFIED: 1,
    Result.UNKNOWN: 3,
}


@dataclass(frozen=True, slots=True)
class Bench:
    """What a command acts with. evidence: None where the store cannot be asked; that was said."""

    path: Path
    config: Config
    deployment: Deployment
    control: Control
    desk: Desk
    evidence: Evidence | None


@contextmanager
def at_work(
    options: argparse.Namespace, *, evidence: bool = True, urgent: bool = False
) -> Iterator[Bench]:
    """The desk of the chosen deployment. Raises UsageError, ControlError.

    evidence: whether the store is asked. urgent: not for long: a store that is slow, or whose
    recorder hangs, holds up no rollback.
    """
    path, config = configuration(options)
    deployment, control = control_of(config, options.deployment)
    base = path.resolve().parent
    audit = Audit(audit_path(_audited_store(options, path, config)))
    with make_plane(control, base) as plane:
        refused = why_read_only(control, bool(getattr(options, "write", False)))
        desk = Desk(
            deployment.name, control, plane, audit, who("command", os.environ), refused=refused
        )
        known = None
        if evidence:
            wait = _URGENT_S if urgent else None
            known = within(wait, lambda: _evidence(options, deployment, control))
        yield Bench(path, config, deployment, control, desk, known)


def _audited_store(options: argparse.Namespace, path: Path, config: Config) -> Path:
    """The store whose audit is written. Raises UsageError for one that would be a way around it.

    Lock, cool-down and ramps go by the audit, so there must be one for all who act.
    """
    store, own = store_path(options, path, config), config.store_path(path, os.environ)
    if options.store and store.resolve() != own.resolve() and audit_path(own).exists():
        raise UsageError(
            f"changes of this traffic are in the audit beside {own}; leave --store out, "
            "so that locks, pauses and ramps there are kept"
        )
    return store


def control_of(config: Config, name: str | None) -> tuple[Deployment, Control]:
    """The deployment that is meant, and where its traffic is split. Raises UsageError."""
    if not config.control:
        raise UsageError(
            "the configuration says nowhere that traffic is split; add [[control]] (docs/planes.md)"
        )
    controls = config.controls
    wanted = chosen(config.deployment, name or next(iter(controls)))
    if wanted.name not in controls:
        raise UsageError(
            f"there is no [[control]] of {wanted.name}; there is {', '.join(controls)}"
        )
    return wanted, controls[wanted.name]


def within(seconds: float | None, ask: Callable[[], T | None]) -> T | None:
    """What the store says, if it says so in time; else None, and that is said.

    Raises what `ask` raises.
    """
    if seconds is None:
        return ask()
    found: list[T | None] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            found.append(ask())
        except Exception as error:  # raised again where it is waited for
            failed.append(error)

    # a daemon: the command ends though it may never come to an end
    thread = threading.Thread(target=work, name="modelwatch-evidence", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        complain(f"the store has not answered in {seconds:g} s: going on without what is known")
        return None
    return found[0]


def _evidence(
    options: argparse.Namespace, deployment: Deployment, control: Control
) -> Evidence | None:
    try:
        window = parse_duration(options.window) if options.window else None
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        with recorded(options) as store:
            of = chosen(store.config.deployment, deployment.name)
            length = window or parse_duration(store.config.console.window)
            ask = make_ask(of, store.clock.now(), length, watched=True)
            taker = store.taker(ask)
            return evidence_of(taker, taker.asked(ask), control)
    except (CollectorError, ConsoleError) as error:
        complain(f"what is known of the versions cannot be asked: {error}")
        return None


def carry_out(
    options: argparse.Namespace,
    bench: Bench,
    proposal: Proposal,
    *,
    before: Callable[[], object] = lambda: None,
    veto: Callable[[], str] = lambda: "",
    after: Callable[[Outcome], object] = lambda _: None,
) -> int:
    """Show a proposal, have it confirmed, act, show the outcome; the exit code.

    before: done when it is confirmed, before anything is sent. veto: asked under the lock, just
    before it is sent: why it must not be. after: with what became of it.
    """
    as_json = options.format == "json"
    now = datetime.now(UTC)
    if not as_json:
        _print(proposal_view(proposal, now), f"Plan of {bench.deployment.name}")
    if options.dry_run:
        if as_json:
            _dump({"proposal": proposal_document(proposal)})
        return 0 if proposal.permitted else 1
    refused = bench.desk.refused
    if refused or not proposal.permitted:
        if as_json:
            _dump({"proposal": proposal_document(proposal)})
        for text in (refused,) if refused else proposal.refusals:
            complain(f"nothing was changed: {text}")
        return 2 if refused else 1
    typed = typed_name(options, proposal.plan.deployment)
    if typed == proposal.plan.deployment:
        before()
    outcome = bench.desk.act(proposal, typed, _told(as_json), veto=veto)
    after(outcome)
    if as_json:
        _dump({"proposal": proposal_document(proposal), "outcome": outcome_document(outcome)})
    else:
        _print(outcome_view(outcome), f"Outcome of {bench.deployment.name}")
    return EXIT[outcome.result]


def typed_name(options: argparse.Namespace, name: str) -> str:
    """What was typed to confirm a deployment. Raises UsageError where nobody can type."""
    if options.yes_i_mean is not None:
        return str(options.yes_i_mean).strip()
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"nothing was changed: there is no terminal to confirm on; add --yes-i-mean {name}"
        )
    say(f"type {name} to confirm, anything else to leave it: ", sys.stderr)
    return sys.stdin.readline().strip()


def _told(quiet: bool) -> Callable[[str], None]:
    said: list[str] = []

    def told(text: str) -> None:
        kind = text.split(":", 1)[0]
        if quiet or (said and said[-1] == kind == "measured"):
            return  # counts that go up are no news
        said.append(kind)
        say(text, sys.stderr)

    return told


def _print(view: View, title: str) -> None:
    width = shutil.get_terminal_size((120, 24)).columns
    print(sections_to_table(view, title, width))  # noqa: T201 - cleaned by console.views


def _dump(document: Mapping[str, Any]) -> None:
    print(json.dumps(document, indent=2, allow_nan=False))  # noqa: T201 - escaped by JSON
