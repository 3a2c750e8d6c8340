"""`modelwatch traffic`: how traffic is split, and every way to change that."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fractions import Fraction

from console.commands.acting import Bench, at_work, carry_out
from console.control.errors import LockedError
from console.control.plan import Purpose
from console.control.settings import Control
from console.control.watch import Watch
from console.errors import UsageError
from console.messages import complain, say
from console.show import sections_to_table
from console.views.control import state_document, state_view

__all__ = ["parse_shares", "run"]

_COUNTED_S = 1.0
"""Seconds between two looks at the counters, for the measured split."""

_SHARE = re.compile(r"\s*(.+?)\s*=\s*(\d{1,3}(?:\.\d{1,6})?)\s*%?\s*")


def run(options: argparse.Namespace) -> int:
    """Show or change the split; see `console.commands.acting.EXIT`."""
    return _ACTIONS[options.action](options)


def _show(options: argparse.Namespace) -> int:
    """How it stands: read, count for a moment, read again."""
    _no_what(options)
    with at_work(options) as bench:
        desk = bench.desk
        watch = Watch(desk.deployment, bench.control, desk.plane, desk.audit, refused=desk.refused)
        watch.look()
        time.sleep(_COUNTED_S)
        state = watch.look()
        now = datetime.now(UTC)
        if options.format == "json":
            document = state_document(state, bench.evidence, now)
            print(json.dumps(document, indent=2, allow_nan=False))  # noqa: T201 - escaped by JSON
        else:
            width = shutil.get_terminal_size((120, 24)).columns
            shown = state_view(state, bench.evidence, now)
            title = f"Traffic of {desk.deployment}, {now:%Y-%m-%d %H:%M:%S} UTC"
            print(sections_to_table(shown, title, width))  # noqa: T201 - cleaned by console.views
        if state.locked:
            return 3
        return (
            1
            if state.unresolved or state.late or (state.observed and state.observed.differs)
            else 0
        )


def _set(options: argparse.Namespace) -> int:
    if not options.what:
        raise UsageError("give the shares in percent, like `modelwatch traffic set v2=25`")
    _reasoned(options)
    with at_work(options) as bench:
        shares = parse_shares(options.what, bench.control)
        return _proposed(options, bench, Purpose.SET, shares)


def _rollback(options: argparse.Namespace) -> int:
    _no_what(options)
    with at_work(options, urgent=True) as bench:
        return _proposed(options, bench, Purpose.ROLLBACK, None)


def _undo(options: argparse.Namespace) -> int:
    _no_what(options)
    with at_work(options, urgent=True) as bench:
        return _proposed(options, bench, Purpose.UNDO, None)


def _complete(options: argparse.Namespace) -> int:
    _no_what(options)
    with at_work(options, urgent=True) as bench:
        return _proposed(options, bench, Purpose.COMPLETE, None)


def _settle(options: argparse.Namespace) -> int:
    """Close intents that have no result, by reading the plane."""
    _no_what(options)
    with at_work(options, evidence=False) as bench:
        if bench.desk.refused:
            complain(bench.desk.refused)
            return 2
        try:
            found = bench.desk.settle()
        except LockedError as error:
            complain(error)
            return 1
        for text in found or ("every change has a result",):
            say(text)
    return 0


def _ramp(options: argparse.Namespace) -> int:
    from console.commands.traffic_ramp import run_ramp  # noqa: PLC0415

    return run_ramp(options)


def _proposed(
    options: argparse.Namespace,
    bench: Bench,
    purpose: Purpose,
    percent: Mapping[str, Fraction] | None,
) -> int:
    try:
        proposal = bench.desk.propose(purpose, percent, options.reason or "", bench.evidence)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return carry_out(options, bench, proposal)


def parse_shares(text: str, control: Control) -> dict[str, Fraction]:
    """`v2=25` or `v1=90,v2=10`: percent by arm or version. Raises UsageError."""
    shares: dict[str, Fraction] = {}
    for part in text.split(","):
        found = _SHARE.fullmatch(part)
        if found is None:
            raise UsageError(f"shares read like v2=25 or v1=90,v2=10 (percent), not {text!r:.80}")
        try:
            arm = control.arm_of(found.group(1))
        except ValueError as error:
            raise UsageError(str(error)) from error
        if arm in shares:
            raise UsageError(f"{arm} is given twice")
        shares[arm] = Fraction(found.group(2))
    return shares


def _reasoned(options: argparse.Namespace) -> None:
    if not options.reason and not options.dry_run:
        raise UsageError("say why, for the audit: --reason 'canary looks fine'")


def _no_what(options: argparse.Namespace) -> None:
    if options.what:
        raise UsageError(
            f"traffic {options.action} takes nothing more, but got {options.what!r:.80}"
        )


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "show": _show,
    "set": _set,
    "ramp": _ramp,
    "rollback": _rollback,
    "undo": _undo,
    "complete": _complete,
    "settle": _settle,
}
