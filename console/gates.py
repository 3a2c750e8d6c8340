"""Codified decisions: does a figure keep a limit, surely break it, or can nobody tell yet.

A gate is judged on the figure's interval, not on its value: it passes when the whole interval keeps
the limit, fails when none of it does, and else cannot be told. So few rows never pass nor fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from console.analysis.ask import Ask
from console.analysis.estimate import Estimate, State, missing
from console.analysis.performance_findings import name_of
from console.errors import UsageError
from console.gate import Gate
from console.snapshots import Taker

__all__ = ["Judged", "Verdict", "judge", "verdict_of", "verdict_on"]

_PSI = "psi:"
_COVERAGE = "label_coverage"


class Verdict(StrEnum):
    """What became of a gate."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Judged:
    """A gate's verdict on one slice. where: the version and segment values."""

    gate: Gate
    deployment: str
    where: str
    estimate: Estimate
    verdict: Verdict
    why: str


def judge(gate: Gate, taker: Taker, ask: Ask) -> tuple[Judged, ...]:
    """The gate on every slice that it is about. Raises UsageError for a figure nothing has."""
    found = list(_figures(gate, taker, ask))
    if not found:
        return (_judged(gate, ask, ask.version or "all", missing(State.NO_ROWS)),)
    known = {name for _, _, names in found for name in names}
    if all(estimate is None for _, estimate, _ in found):
        listed = ", ".join(sorted(known))
        raise UsageError(f"there is no figure {gate.figure!r} here; there is {listed}")
    return tuple(
        _judged(gate, ask, where, estimate if estimate is not None else missing(State.NO_ROWS))
        for where, estimate, _ in found
    )


def verdict_of(judged: tuple[Judged, ...]) -> Verdict:
    """Of all together: one that fails fails, one that cannot be told leaves the whole open."""
    verdicts = {j.verdict for j in judged}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    if Verdict.CANNOT_TELL in verdicts or not verdicts:
        return Verdict.CANNOT_TELL
    return Verdict.PASS


def _figures(
    gate: Gate, taker: Taker, ask: Ask
) -> Iterator[tuple[str, Estimate | None, tuple[str, ...]]]:
    """(where, figure, names of the figures there are) of each slice."""
    if gate.figure.startswith(_PSI):
        feature = gate.figure.removeprefix(_PSI)
        rows = taker.drift(ask).rows
        names = tuple(dict.fromkeys(_PSI + row.feature for row in rows))
        of = [row for row in rows if row.feature == feature]
        for row in of:
            yield row.version, row.metrics.get("psi"), names
        if rows and not of:
            yield "", None, names
        return
    if gate.figure == _COVERAGE:
        yield ask.version or "all", taker.data(ask).covered, (_COVERAGE,)
        return
    traffic = {} if ask.segment else {row.version: row.metrics for row in taker.traffic(ask).whole}
    slices = {name_of(f): f.metrics for f in taker.performance(ask).whole}
    for where in dict.fromkeys((*slices, *traffic)):
        metrics = {**traffic.get(where, {}), **slices.get(where, {})}
        names = (*metrics, _COVERAGE, *((_PSI + "FEATURE",) if not ask.segment else ()))
        yield where, metrics.get(gate.figure), names


def _judged(gate: Gate, ask: Ask, where: str, e: Estimate) -> Judged:
    verdict, why = verdict_on(gate, e)
    return Judged(gate, ask.deployment.name, where, e, verdict, why)


def verdict_on(gate: Gate, e: Estimate) -> tuple[Verdict, str]:
    """The verdict on one figure, and why."""
    if e.value is None:
        return Verdict.CANNOT_TELL, f"there is no such figure: {e.state.value.replace('_', ' ')}"
    if e.state not in (State.OK, State.TOO_FEW):
        return Verdict.CANNOT_TELL, f"the figure is {e.state.value.replace('_', ' ')}"
    margin = e.bin_error or 0.0
    low = (e.value if e.low is None else e.low) - margin
    high = (e.value if e.high is None else e.high) + margin
    if (gate.at_least is not None and high < gate.at_least) or (
        gate.at_most is not None and low > gate.at_most
    ):
        return Verdict.FAIL, "all of the interval is beyond the limit"
    if (gate.at_least is None or low >= gate.at_least) and (
        gate.at_most is None or high <= gate.at_most
    ):
        return Verdict.PASS, "all of the interval keeps the limit"
    return Verdict.CANNOT_TELL, "the limit is inside the interval: too few rows to tell"
