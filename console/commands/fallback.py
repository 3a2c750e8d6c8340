"""`modelwatch fallback`: to an older model or a heuristic, back again, and whether it is better."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from collectors.contract import Deployment
from collectors.errors import CollectorError
from console.analysis.ask import Ask
from console.analysis.fallback_preview import PreviewSnapshot, PreviewTarget
from console.commands.acting import Bench, at_work, carry_out, control_of, within
from console.commands.common import chosen, configuration, recorded
from console.control.errors import PlaneError
from console.control.fallback_keeper import arm_health
from console.control.fallback_state import fallback_of
from console.control.health import HealthChecks
from console.control.pilot import is_piloted
from console.control.plan import Purpose
from console.control.plane import Health, Observed
from console.control.rule_figures import Asks, Grounds, look_at
from console.control.rules import in_service
from console.control.settings import Control, FallbackSettings
from console.errors import ConsoleError, UsageError
from console.messages import complain
from console.show import to_table
from console.snapshots import Taker
from console.times import parse_duration
from console.views import fallback as views
from console.views.fallback_status import FallbackStatus, status_document, status_view
from console.views.model import View
from console.windows import make_ask

__all__ = ["run", "targets_of"]

_PREVIEW_S = 3.0
"""How long falling back waits to say what it would have meant."""

_NONE = (
    "the configuration names no fallback of {}; add [[control.fallback.target]] (docs/fallback.md)"
)


def run(options: argparse.Namespace) -> int:
    """Fall back, return, or show how it stands; see `console.commands.acting.EXIT`."""
    return _ACTIONS[options.action](options)


def _on(options: argparse.Namespace) -> int:
    with at_work(options, urgent=True) as bench:
        arm = _wanted(options, bench)
        shares = {arm: Fraction(100)}
        proposal = bench.desk.propose(
            Purpose.FALLBACK, shares, options.reason or "", bench.evidence
        )
        effect = within(_PREVIEW_S, lambda: _effect(options, bench, arm)) or ()
        return carry_out(
            options, bench, replace(proposal, effect=(*proposal.effect, *effect))
        )  # fmt: skip


def _off(options: argparse.Namespace) -> int:
    _no_target(options)
    with at_work(options) as bench:
        try:
            proposal = bench.desk.propose(
                Purpose.RETURN, None, options.reason or "", bench.evidence
            )
        except ValueError as error:
            raise UsageError(
                f"{error}, with `modelwatch traffic set ARM=PERCENT --reason ...`"
            ) from error
        return carry_out(options, bench, proposal)


def _status(options: argparse.Namespace) -> int:
    _no_target(options)
    with at_work(options, evidence=False) as bench:
        settings = bench.control.fallback
        if settings is None:
            raise UsageError(_NONE.format(bench.deployment.name))
        status = _look(options, bench, settings)
    if options.format == "json":
        _dump(status_document(status))
    else:
        _print(status_view(status), f"Fallback of {status.deployment}")
    return 3 if status.problem else 0 if status.is_well else 1


def _preview(options: argparse.Namespace) -> int:
    _, config = configuration(options)
    deployment, control = control_of(config, options.deployment)
    targets = targets_of(control)
    if options.target:
        arm = _arm(control, options.target)
        of = {t.arm: t for t in targets}
        targets = (of.get(arm, PreviewTarget(arm, control.arms[arm])),)
    if not targets:
        raise UsageError(_NONE.format(deployment.name))
    with _store(options, deployment) as asks:
        found = _taken(options, asks, targets)
    if options.format == "json":
        _dump(views.document(found))
    else:
        end = min(found.ask.end, found.ask.as_of)
        title = (
            f"Fallback preview of {deployment.name}, "
            f"{found.ask.start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
        )
        _print(replace(views.view(found), details=()), title)
    return 0


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "on": _on,
    "off": _off,
    "status": _status,
    "preview": _preview,
}


def targets_of(control: Control) -> tuple[PreviewTarget, ...]:
    """The configured targets, each with what its figures would be."""
    settings = control.fallback
    return tuple(
        PreviewTarget(t.arm, t.alike or control.arms[t.arm])
        for t in (settings.target if settings is not None else ())
    )


# -- which arm -------------------------------------------------------------------------------------


def _arm(control: Control, name: str) -> str:
    try:
        return control.arm_of(name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _wanted(options: argparse.Namespace, bench: Bench) -> str:
    """The named arm, else the most wanted target that is not known to be down."""
    if options.target:
        return _arm(bench.control, options.target)
    settings = bench.control.fallback
    if settings is None:
        raise UsageError(f"{_NONE.format(bench.deployment.name)}, or name the arm to fall back to")
    observed = bench.desk.look()
    health = _health(bench, observed)
    split = observed.split
    for target in settings.target:
        if split is not None and split.taking == (target.arm,):
            continue  # it has all traffic already
        if health[target.arm][0] is not Health.DOWN:
            return target.arm
        complain(f"{target.arm} is down ({health[target.arm][1]}); trying the next")
    return settings.target[0].arm


def _health(bench: Bench, observed: Observed | None) -> dict[str, tuple[Health, str]]:
    control = bench.control
    checks = HealthChecks(control.health, control.plane.timeout.total_seconds())
    return arm_health(control.arms, observed, checks.ask())


def _no_target(options: argparse.Namespace) -> None:
    if options.target:
        raise UsageError(
            f"fallback {options.action} takes nothing more, but got {options.target!r:.80}"
        )


# -- what the store says ---------------------------------------------------------------------------


@contextmanager
def _store(options: argparse.Namespace, deployment: Deployment) -> Iterator[Asks]:
    """Windows of the store that end now. Raises UsageError, CollectorError."""
    with recorded(options) as store:
        now = store.clock.now()
        of = chosen(store.config.deployment, deployment.name)
        usual = parse_duration(store.config.console.window)

        def asks(length: timedelta) -> tuple[Taker, Ask]:
            ask = make_ask(of, now, length or usual, watched=True)
            taker = store.taker(ask)
            return taker, taker.asked(ask)

        yield asks


def _taken(
    options: argparse.Namespace, asks: Asks, targets: tuple[PreviewTarget, ...]
) -> PreviewSnapshot:
    try:
        length = parse_duration(options.window) if options.window else timedelta(0)
    except ValueError as error:
        raise UsageError(str(error)) from error
    taker, ask = asks(length)
    return taker.fallback_preview(ask, targets)


def _effect(options: argparse.Namespace, bench: Bench, arm: str) -> tuple[str, ...]:
    """What it would have meant lately; nothing where the store cannot be asked: that was said."""
    if bench.evidence is None:
        return ()
    targets = [t for t in targets_of(bench.control) if t.arm == arm]
    of = tuple(targets) or (PreviewTarget(arm, bench.control.arms[arm]),)
    with suppress(CollectorError, ConsoleError), _store(options, bench.deployment) as asks:
        return views.effect_of(_taken(options, asks, of), arm)
    return ()


def _look(
    options: argparse.Namespace, bench: Bench, settings: FallbackSettings
) -> FallbackStatus:  # fmt: skip
    """The plane, the health of all, the rules by the logs, the audit."""
    desk, control = bench.desk, bench.control
    observed, problem = None, ""
    try:
        observed = desk.look()
    except PlaneError as error:
        problem = str(error)
    state = fallback_of(desk.audit.entries(), desk.deployment)
    split = observed.split if observed is not None else None
    of = state.before if state.on and state.before is not None else split
    arm = in_service(of, control.stable) if of is not None else control.stable
    now = datetime.now(UTC)
    grounds = Grounds(arm, control.arms.get(arm, arm), None, (), now)
    try:
        with _store(options, bench.deployment) as asks:
            looks = look_at(settings.rule, replace(grounds, asks=asks))
    except (CollectorError, ConsoleError) as error:
        complain(f"the rules' figures cannot be asked: {error}")
        looks = look_at(settings.rule, grounds)
    health = _health(bench, observed)
    piloted = is_piloted(desk.audit.path, desk.deployment)
    return FallbackStatus(desk.deployment, settings, state, health, looks, now, problem, piloted)


# -- printing --------------------------------------------------------------------------------------


def _print(view: View, title: str) -> None:
    width = shutil.get_terminal_size((120, 24)).columns
    print(to_table(view, title, width))  # noqa: T201 - cleaned by console.views


def _dump(document: Mapping[str, Any]) -> None:
    print(json.dumps(document, indent=2, allow_nan=False))  # noqa: T201 - escaped by JSON
