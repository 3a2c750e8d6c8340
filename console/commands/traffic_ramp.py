"""`modelwatch traffic ramp`: begin a staged rollout, look at it, pause it, let it go on, abort it.

Whoever begins one makes its first step; the recorder makes the others. Everything else here adds an
entry to the audit that the recorder reads, and an abort rolls back by itself, so it needs no
recorder.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from console.commands.acting import EXIT, Bench, at_work, carry_out, typed_name
from console.control.errors import AuditError, ControlError, PlaneError
from console.control.outcome import Outcome, Result
from console.control.pilot import NOBODY, is_piloted
from console.control.plan import Purpose
from console.control.ramp import plan_steps, terms
from console.control.ramp_start import begin, begun, is_read_back, tell, was_sent
from console.control.ramp_state import Event, Phase, RampState, ramp_of, ramp_words
from console.control.ramping import is_rolled_back
from console.errors import UsageError
from console.messages import complain, say

__all__ = ["ramp_document", "run_ramp"]

_TRIES = 3
_REST_S = 1.0
"""An abort that another change was in the way of is tried again after this long."""


def run_ramp(options: argparse.Namespace) -> int:
    """Begin a ramp of a version, or `status`, `pause`, `resume`, `promote`, `abort`."""
    what = options.what
    if not what:
        words = ", ".join(_WORDS)
        raise UsageError(f"say which version: `modelwatch traffic ramp v2`; or {words}")
    act = _WORDS.get(what)
    if act is not None:
        return act(options)
    if what == "full":
        raise UsageError(
            "a ramp cannot skip what is left of its steps; `traffic set` moves traffic at once, "
            "with its own guards"
        )
    return _start(options, what)


# -- beginning -------------------------------------------------------------------------------------


def _start(options: argparse.Namespace, what: str) -> int:
    if not options.reason and not options.dry_run:
        raise UsageError("say why, for the audit: --reason 'new model of November'")
    with at_work(options) as bench:
        desk, control = bench.desk, bench.control
        state = _state(bench)
        if state is not None and not state.phase.ended:
            raise UsageError(f"{ramp_words(state)}; abort it first")
        try:
            arm = control.arm_of(what)
            observed = desk.look()
            steps = plan_steps(arm, control, observed, desk.plane.capabilities)
            reason = options.reason or ""
            proposal = desk.propose(Purpose.RAMP, {arm: steps[0]}, reason, bench.evidence)
        except ValueError as error:
            raise UsageError(str(error)) from error
        _explain(options, bench, arm, steps)

        def entered(outcome: Outcome) -> None:
            try:
                under_way = begun(desk, outcome)
            except AuditError as error:
                complain(f"what became of the first step is not entered: {error}")
                return
            if under_way and not is_read_back(outcome):
                complain(
                    "its first step is not sure: `traffic complete` makes it, "
                    "`traffic ramp abort` takes it back"
                )

        code = carry_out(
            options,
            bench,
            proposal,
            veto=begin(desk, arm, steps, proposal.plan),
            after=entered,
        )
        if not options.dry_run:
            _carried_on(options, bench)
        return code


def _explain(
    options: argparse.Namespace, bench: Bench, arm: str, steps: tuple[Fraction, ...]
) -> None:
    """All steps and what they are judged on, before the plan of the first one."""
    out = sys.stderr if options.format == "json" else sys.stdout
    listed = " -> ".join(f"{float(p):g}%" for p in steps)
    say(f"Ramp of {arm}: {listed}", out)
    for text in terms(bench.control):
        say(f"  {text}", out)
    say("The plan of its first step:", out)


def _carried_on(options: argparse.Namespace, bench: Bench) -> None:
    """Say who makes the other steps, and that nobody does where no recorder answers."""
    state = _state(bench)
    if state is None or state.phase.ended:
        return
    if is_piloted(bench.desk.audit.path, bench.deployment.name):
        say("the recorder carries it on; `modelwatch traffic ramp status` says how", sys.stderr)
        return
    complain(
        "no recorder runs over this store that may write: until one does (`modelwatch record "
        "--write`), the ramp stays where it is, and nothing is rolled back by itself"
    )


# -- looking ---------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> int:
    """How it stands by the audit; 1 where a person is needed."""
    with at_work(options, evidence=False) as bench:
        state = _state(bench)
        if options.format == "json":
            document = {"deployment": bench.deployment.name, "ramp": ramp_document(state)}
            print(json.dumps(document, indent=2, allow_nan=False))  # noqa: T201 - escaped by JSON
        elif state is None:
            say(f"there was no ramp of {bench.deployment.name} yet")
        else:
            for text in _lines(state):
                say(text)
        if state is None:
            return 0
        alone = not state.phase.ended and not is_piloted(
            bench.desk.audit.path, bench.deployment.name
        )
        if alone:
            complain(f"{NOBODY}; start one: `modelwatch record --write`")
        return 1 if alone or state.needs_person else 0


def _lines(state: RampState) -> tuple[str, ...]:
    shown = " -> ".join(
        f"[{float(p):g}%]" if place == state.step else f"{float(p):g}%"
        for place, p in enumerate(state.steps)
    )
    lines = [ramp_words(state), f"steps: {shown}"]
    lines.append(f"started {state.started:%Y-%m-%d %H:%M} UTC by {state.by}: {state.reason}")
    if state.tries is not None:
        lines.append(f"{state.tries.n} tries to roll back did not reach zero")
    return tuple(lines)


def ramp_document(state: RampState | None) -> dict[str, Any] | None:
    """A ramp for JSON; None where there is none."""
    if state is None:
        return None
    return {
        "id": state.id,
        "arm": state.arm,
        "phase": state.phase.value,
        "steps": [float(p) for p in state.steps],
        "step": state.step + 1,
        "percent": state.percent,
        "pause_s": state.pause.total_seconds(),
        "least": state.least,
        "started": _stamp(state.started),
        "by": state.by,
        "reason": state.reason,
        "step_since": _stamp(state.at),
        "phase_since": _stamp(state.since),
        "why": state.why,
        "rollback_tries": state.tries.n if state.tries is not None else 0,
    }


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


# -- a word to the recorder ------------------------------------------------------------------------


def _pause(options: argparse.Namespace) -> int:
    """No more steps until it is resumed; it is still judged, and rolled back where it fails."""
    return _tell(options, Event.PAUSED, (Phase.RUNNING, Phase.PERSON), confirm=False)


def _resume(options: argparse.Namespace) -> int:
    """Judged on as before."""
    return _tell(options, Event.RESUMED, (Phase.PAUSED, Phase.PERSON), confirm=True)


def _promote(options: argparse.Namespace) -> int:
    """The next step though the pause is not over or it cannot be told; guards still hold."""
    phases = (Phase.RUNNING, Phase.PAUSED, Phase.PERSON)
    return _tell(options, Event.PROMOTED, phases, confirm=True)


def _tell(
    options: argparse.Namespace, event: Event, phases: tuple[Phase, ...], *, confirm: bool
) -> int:
    with at_work(options, evidence=False) as bench:
        state = _active(bench)
        if state.phase not in phases:
            raise UsageError(f"{ramp_words(state)}: it cannot be {event.value} now")
        if options.dry_run:
            say(f"would be {event.value}: {ramp_words(state)}")
            return 0
        if bench.desk.refused:
            complain(f"nothing was changed: {bench.desk.refused}")
            return 2
        name = bench.deployment.name
        if confirm and typed_name(options, name) != name:
            complain(f"nothing was changed: the typed name is not {name}")
            return 1
        tell(bench.desk, state, event, why=_why(bench, event, options.reason))
        say(f"{event.value}: {ramp_words(_state(bench) or state)}")
        if event is not Event.PAUSED:
            _carried_on(options, bench)
        return 0


def _why(bench: Bench, event: Event, reason: str | None) -> str:
    return f"{event.value} by {bench.desk.who}{f': {reason}' if reason else ''}"


# -- aborting --------------------------------------------------------------------------------------


def _abort(options: argparse.Namespace) -> int:
    """Roll it back here and now, whatever else is known, and whether or not a recorder runs."""
    with at_work(options, evidence=False) as bench:
        desk, state = bench.desk, _active(bench)
        why = _why(bench, Event.ABORTING, options.reason)

        def wanted() -> None:
            # first: no step is sent any more, also by a recorder that is just about to
            tell(desk, state, Event.ABORTING, why=why)

        try:
            reason = options.reason or "abort of the ramp"
            proposal = desk.propose(Purpose.ROLLBACK, None, reason, None)
        except PlaneError as error:
            return _abort_later(options, bench, wanted, (str(error),))
        if not proposal.permitted and not options.dry_run:
            return _abort_later(options, bench, wanted, proposal.refusals)
        ended: list[Outcome] = []
        code = carry_out(options, bench, proposal, before=wanted, after=ended.append)
        now = _state(bench)
        if not ended or now is None or now.phase is not Phase.ROLLING_BACK:
            return code
        return _until_zero(options, bench, state, ended[-1], why)


def _until_zero(
    options: argparse.Namespace, bench: Bench, state: RampState, outcome: Outcome, why: str
) -> int:
    """Enter the end; a rollback that did not reach zero is tried a few times more."""
    desk = bench.desk
    for last in (*range(1, _TRIES + 1),):
        text = f"{outcome.result.value}: {outcome.text}"
        change = outcome.plan.id
        if is_rolled_back(state.arm, outcome):
            tell(desk, state, Event.ABORTED, change=change, why=f"{why}; {text}")
            say(f"the ramp is aborted: {state.arm} is at 0%", sys.stderr)
            return 0 if outcome.result is Result.APPLIED else EXIT[outcome.result]
        sent = was_sent(desk, change)
        tell(desk, state, Event.TRIED, change=change, why=f"{why}; {text}", sent=sent)
        if last == _TRIES:
            break
        complain(f"{state.arm} is not at 0% yet ({text}); once more")
        time.sleep(_REST_S)
        try:
            proposal = desk.propose(Purpose.ROLLBACK, None, why, None)
            outcome = desk.act(proposal, desk.deployment)
        except ControlError as error:
            complain(error)
            break
    complain(
        f"{state.arm} is NOT at 0% surely; a recorder tries on, "
        "`modelwatch traffic show` says how it stands, `traffic ramp abort` tries again"
    )
    _carried_on(options, bench)
    return EXIT[outcome.result] or 1


def _abort_later(
    options: argparse.Namespace,
    bench: Bench,
    wanted: Callable[[], None],
    refusals: Sequence[str],
) -> int:
    """It cannot be rolled back now: enter that it is to be, for the recorder."""
    for text in refusals:
        complain(f"it cannot be rolled back now: {text}")
    name = bench.deployment.name
    if options.dry_run or bench.desk.refused or typed_name(options, name) != name:
        complain(f"nothing was changed{f': {bench.desk.refused}' if bench.desk.refused else ''}")
        return 3
    wanted()
    complain("the abort is entered: no step is made any more; the traffic is as it was")
    _carried_on(options, bench)
    return 3


def _state(bench: Bench) -> RampState | None:
    return ramp_of(bench.desk.audit.entries(), bench.deployment.name)


def _active(bench: Bench) -> RampState:
    """The ramp that is under way. Raises UsageError where none is."""
    state = _state(bench)
    if state is None:
        raise UsageError(f"there is no ramp of {bench.deployment.name}")
    if state.phase.ended:
        raise UsageError(f"{ramp_words(state)}; there is none under way")
    return state


_WORDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "status": _status,
    "pause": _pause,
    "resume": _resume,
    "promote": _promote,
    "abort": _abort,
}
