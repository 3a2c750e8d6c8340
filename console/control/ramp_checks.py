"""What a ramp's step is judged on: is the new arm surely worse, or surely good enough. Pure.

It is looked at every few seconds, so only intervals that hold at every look count. A ramp makes
several comparisons in which a new version that is no worse could look worse; they share one chance
of 5 % for the whole ramp (`FALSE_ALARMS`), each and, where it begins anew with a step, each step a
part of it. Gates are limits of a figure: one fails a version that keeps it in 5 % at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from console.analysis.comparison import Comparison
from console.analysis.estimate import Estimate, IntervalKind, State
from console.analysis.figures import lower_is_better
from console.analysis.sample_ratio import log_bayes_factor
from console.analysis.sequences import boundary, rate_sequence
from console.control.evidence import Evidence
from console.control.plane import Observed
from console.control.ramp_state import RampState, Served
from console.control.settings import Control
from console.control.split import percent_text
from console.control.verify import Measured
from console.gate import Gate
from console.gates import Judged, Verdict, verdict_on
from console.views.words import interval, number

__all__ = ["FALSE_ALARMS", "Check", "Sight", "check_all", "counted_rate"]

FALSE_ALARMS = 0.05
"""The chance that a whole ramp of a version no worse than the stable one is rolled back."""

_KINDS = 4
"""Comparisons that share it: errors counted, errors logged, performance, the split itself."""

_USUAL = 0.05
"""What the intervals of the evidence are for."""

_TIMES, _MORE = 2.0, 0.005
"""How much more must fail than failed of the stable arm at another time."""

_FAILING = 0.5
"""A new arm of which surely more than this share fails is broken, whatever there is to compare."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen at one look.

    observed: None where the plane cannot be read; then problem says why. measured: requests since
    the step began; None where nobody counts. evidence: figures since the ramp began, None where the
    store cannot be asked; then unasked says why. logged: predictions of the arm in the logs since
    the step began, where the plane counts none. gates: judged by the logs. astray: looks in a row
    at which the split was not the ramp's.
    """

    now: datetime
    observed: Observed | None
    problem: str = ""
    measured: Measured | None = None
    evidence: Evidence | None = None
    unasked: str = ""
    logged: int = 0
    gates: tuple[Judged, ...] = ()
    astray: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was judged. needed: whether the ramp waits while it cannot be told."""

    name: str
    verdict: Verdict
    text: str
    needed: bool = True


def check_all(state: RampState, control: Control, sight: Sight) -> tuple[Check, ...]:
    """Everything that a step is judged on."""
    found = [*_enough(state, sight), *_errors(state, control, sight)]
    found += [*_performance(state, control, sight), *_gates(state, control, sight)]
    found += _ratio(state, sight)
    return tuple(found)


def counted_rate(k: int, n: int, alpha: float = _USUAL) -> Estimate:
    """Errors among counted requests, with an interval that holds at every look."""
    k = min(k, n)
    share = k / n
    low, high = rate_sequence(k, n, alpha)
    return Estimate(
        share, min(low, share), max(high, share), n, interval=IntervalKind.PEEK_SAFE
    )  # fmt: skip


# -- enough of it ----------------------------------------------------------------------------------


def _enough(state: RampState, sight: Sight) -> Iterator[Check]:
    n, by = _seen(state, sight)
    text = f"{state.arm} has {n:,} {by} since the step began"
    if n >= state.least:
        yield Check("samples", Verdict.PASS, text)
    else:
        yield Check("samples", Verdict.CANNOT_TELL, f"{text}; {state.least:,} are needed")


def _seen(state: RampState, sight: Sight) -> tuple[int, str]:
    """The arm's requests of this step: as the plane counts, else as they are logged."""
    if sight.measured is not None:
        return sight.measured.of(state.arm), "requests"
    return sight.logged, "logged predictions"


# -- errors ----------------------------------------------------------------------------------------


def _errors(state: RampState, control: Control, sight: Sight) -> Iterator[Check]:
    """Both arms at the same time, if that can be: what fails both alike is no fault of the new one.

    Where the plane has counted before and does not now, no step goes on.
    """
    counted = _counted_errors(state, control, sight.measured)
    if counted is not None:
        yield counted
        return
    for c in _of_arm(state, sight.evidence):
        if c.metric == "error_rate":
            yield _compared(c, state, control, margin=0.0, needed=False)
    if _counts_errors(state):
        text = f"the plane does not say now how many requests to {state.arm} failed"
        yield Check("errors", Verdict.CANNOT_TELL, text)


def _counts_errors(state: RampState) -> bool:
    rows = state.counts.rows if state.counts is not None else ()
    return any(row.n_error is not None for row in rows) or any(
        served.errors is not None for served in state.earlier
    )


def _counted_errors(state: RampState, control: Control, measured: Measured | None) -> Check | None:
    if measured is None or state.arm == control.stable:
        return None
    errors, n = measured.errors(state.arm), measured.of(state.arm)
    if errors is None or not n:
        return None
    mine = Served(state.arm, n, min(errors, n))
    others, m = measured.errors(control.stable), measured.of(control.stable)
    if others is None or not m or not state.split.weight(control.stable):
        return _against_earlier(state, mine, state.served(control.stable))
    return _at_the_same_time(state, mine, Served(control.stable, m, min(others, m)))


def _at_the_same_time(state: RampState, mine: Served, other: Served) -> Check:
    """Of the failed requests, the share that was the new arm's against its share of the requests.

    So an incident that fails both alike does not matter, whatever the rate is over time; and it
    takes half as many requests as two intervals that must be apart.
    """
    bad, all_bad = mine.errors or 0, (mine.errors or 0) + (other.errors or 0)
    of, rest = state.split.weight(mine.arm), state.split.weight(other.arm)
    planned = of / (of + rest) if of + rest else 1.0
    text = f"{_failed(mine)}, {percent_text((other.errors or 0) / other.n)} of {other.n:,} to "
    text += other.arm
    low, _ = rate_sequence(bad, all_bad, _level(state))
    if low > max(planned, mine.n / (mine.n + other.n)):
        return Check("errors", Verdict.FAIL, f"{text}: surely more")
    return Check("errors", Verdict.PASS, f"{text}: not surely more", needed=False)


def _against_earlier(state: RampState, mine: Served, other: Served) -> Check:
    """Where the stable arm gets nothing now: against what failed of it in the steps before.

    Rates move with time, and nobody can tell here what fails both; so only what is surely more
    than `_TIMES` as much, and more by `_MORE`. More than `_FAILING` is too much in any case.
    """
    low, _ = rate_sequence(mine.errors or 0, mine.n, _level(state) / 2)
    text, most = _failed(mine), _FAILING
    if other.n and other.errors is not None:
        _, high = rate_sequence(other.errors, other.n, _level(state) / 2)
        text += f", {percent_text(other.errors / other.n)} of {other.n:,} to {other.arm} before"
        most = min(max(_TIMES * high, high + _MORE), max(_FAILING, high))
    if low > most:
        return Check("errors", Verdict.FAIL, f"{text}: surely more than {percent_text(most)}")
    told = f"{text}: not surely more than {percent_text(most)}"
    return Check("errors", Verdict.PASS, told, needed=False)


def _level(state: RampState) -> float:
    return FALSE_ALARMS / _KINDS / len(state.steps)


def _failed(of: Served) -> str:
    return f"{percent_text((of.errors or 0) / of.n)} of {of.n:,} requests to {of.arm} failed"


# -- performance -----------------------------------------------------------------------------------


def _performance(state: RampState, control: Control, sight: Sight) -> Iterator[Check]:
    """The trial's figure. Where a bearable loss is configured for ramps, it must be shown kept."""
    evidence, worst = sight.evidence, control.ramp.worst_loss
    if evidence is None:
        return
    for c in _of_arm(state, evidence):
        if c.metric == evidence.metric:
            margin = worst if worst is not None else c.margin or 0.0
            yield _compared(c, state, control, margin=margin, needed=worst is not None)
            return
    if worst is not None:
        yield Check("performance", Verdict.CANNOT_TELL, f"{evidence.metric} is not known yet")


def _of_arm(state: RampState, evidence: Evidence | None) -> Sequence[Comparison]:
    mine = evidence.of(state.arm) if evidence is not None and evidence.watched else None
    return mine.against_stable if mine is not None else ()


def _compared(
    c: Comparison, state: RampState, control: Control, *, margin: float, needed: bool
) -> Check:
    name = "errors" if c.metric == "error_rate" else "performance"
    d = _stricter(c.difference)
    what = f"{c.metric} of {state.arm} against {control.stable}"
    if d.value is None or d.low is None or d.high is None:
        return Check(name, Verdict.CANNOT_TELL, f"{what} is not known yet", needed)
    if d.state not in (State.OK, State.PROVISIONAL):
        text = f"{what} is {d.state.value.replace('_', ' ')}"
        return Check(name, Verdict.CANNOT_TELL, text, needed)
    off = d.bin_error or 0.0
    low, high = d.low - off, d.high + off
    if lower_is_better(c.metric):
        low, high = -high, -low
    of = f"; a loss of {number(margin)} is bearable" if margin else ""
    text = f"{what} differs by {number(d.value)} [{interval(d)}]{of}"
    if high < -margin:
        return Check(name, Verdict.FAIL, f"{text}: surely worse")
    if low > -margin or (not margin and low >= 0):
        return Check(name, Verdict.PASS, f"{text}: surely not worse")
    return Check(name, Verdict.CANNOT_TELL, f"{text}: too few to tell", needed)


def _stricter(d: Estimate) -> Estimate:
    """Its interval as wide as its part of the chance asks for."""
    if d.value is None or d.low is None or d.high is None or d.n <= 0:
        return d
    wider = boundary(d.n, FALSE_ALARMS / _KINDS) / boundary(d.n, _USUAL)
    low = d.value - wider * (d.value - d.low)
    high = d.value + wider * (d.high - d.value)
    if not (math.isfinite(low) and math.isfinite(high)):
        return d
    return replace(d, low=low, high=high)


# -- gates -----------------------------------------------------------------------------------------


def _gates(state: RampState, control: Control, sight: Sight) -> Iterator[Check]:
    for gate in control.ramp.gate:
        counted = _counted_gate(gate, state, sight.measured)
        if counted is not None:
            yield counted
            continue
        found = [j for j in sight.gates if j.gate == gate]
        if not found:
            text = f"gate {gate.figure} {gate.limit}: {sight.unasked or 'nothing is known yet'}"
            yield Check("gate", Verdict.CANNOT_TELL, text)
        for j in found:
            where = f" ({j.where})" if j.where not in ("", state.arm) else ""
            yield _gate_check(gate, j.estimate, j.verdict, f"{where}: {j.why}")


def _counted_gate(gate: Gate, state: RampState, measured: Measured | None) -> Check | None:
    """Errors as the plane counts them: of this step alone, and seconds old."""
    if gate.figure != "error_rate" or gate.segment or gate.version or measured is None:
        return None
    errors, n = measured.errors(state.arm), measured.of(state.arm)
    if errors is None:
        return None
    if not n:
        text = f"gate {gate.figure} {gate.limit}: no requests yet"
        return Check("gate", Verdict.CANNOT_TELL, text)
    e = counted_rate(errors, n, _USUAL / len(state.steps))
    verdict, why = verdict_on(gate, e)
    return _gate_check(gate, e, verdict, f": {why}")


def _gate_check(gate: Gate, e: Estimate, verdict: Verdict, why: str) -> Check:
    value = "" if e.value is None else f" is {number(e.value)}"
    if e.value is not None and interval(e):
        value += f" [{interval(e)}]"
    peek = e.interval is IntervalKind.PEEK_SAFE or e.value is None
    if verdict is Verdict.FAIL and not peek:
        # an interval for one look would fail sooner or later, if one looks often enough
        verdict, why = Verdict.CANNOT_TELL, ": its interval does not hold at every look"
    return Check("gate", verdict, f"gate {gate.figure} {gate.limit}{value}{why}")


# -- the split itself ------------------------------------------------------------------------------


def _ratio(state: RampState, sight: Sight) -> Iterator[Check]:
    """Whether requests follow the split, once the step had its time: else who is compared?"""
    measured = sight.measured
    if measured is None or sight.now - state.at < state.pause or not measured.n:
        return
    if measured.missing or not state.is_begun:
        return
    split = state.split
    counts = tuple(measured.of(arm) for arm in split.arms)
    evidence = log_bayes_factor(counts, tuple(split.share(arm) for arm in split.arms))
    if evidence > -math.log(_level(state)):
        seen = ", ".join(
            f"{arm} {percent_text(n / measured.n)}"
            for arm, n in zip(split.arms, counts, strict=True)
        )
        text = f"{measured.n:,} requests went {seen}, which is surely not the split ({split})"
        yield Check("split", Verdict.FAIL, text)
