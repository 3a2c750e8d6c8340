"""What the store says of a ramp's step: figures, gates and logged predictions since it began."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from collectors.errors import CollectorError
from console.analysis.ask import Ask, SegmentAsk, Step
from console.control.evidence import evidence_of
from console.control.ramp_checks import Sight
from console.control.ramp_state import RampState
from console.control.settings import Control
from console.errors import ConsoleError
from console.gate import Gate
from console.gates import Judged, judge
from console.snapshots import Taker

__all__ = ["Since", "document", "with_figures"]

Since = Callable[[datetime], tuple[Taker, Ask]]
"""A watched window from this moment until now, with who takes it. May raise CollectorError."""

_GRAIN = timedelta(minutes=5)
"""Of the rollups of volume and latency."""

_OF_TRAFFIC = frozenset({"share", "error_rate", "latency_p50", "latency_p95", "latency_p99"})


def with_figures(seen: Sight, state: RampState, control: Control, since: Since) -> Sight:
    """What is seen, and what the store says. Nothing is raised: what cannot be asked is not known,

    and holds up nothing that the plane's own counts decide.
    """
    own = state.clean <= seen.now
    try:
        taker, ask = since(state.clean if own else state.started)
        evidence = evidence_of(taker, ask, control)
        logged = 0
        if seen.measured is None:
            logged = _logged(taker, ask, state, control.arms[state.arm])
    except (CollectorError, ConsoleError) as error:
        return replace(seen, unasked=str(error))
    except Exception as error:
        return replace(seen, unasked=f"unexpected {type(error).__name__} of the store: {error}")
    judged: list[Judged] = []
    unasked = ""
    if not own:  # figures of performance are kept by the hour
        evidence = replace(
            evidence, arms=tuple(replace(a, against_stable=()) for a in evidence.arms)
        )
        unasked = f"this hour holds an earlier ramp too; it counts from {state.clean:%H:%M} UTC"
    for gate in control.ramp.gate:
        try:
            judged += _judged(gate, state, control, taker, ask, own=own)
        except (CollectorError, ConsoleError, ValueError) as error:
            unasked = str(error)
        except Exception as error:
            unasked = f"unexpected {type(error).__name__} of the store: {error}"
    return replace(seen, evidence=evidence, gates=tuple(judged), unasked=unasked, logged=logged)


def document(sight: Sight) -> Mapping[str, Any]:
    """What a decision rested on, for the audit."""
    m = sight.measured
    arms = {} if m is None else {row.arm: [m.of(row.arm), m.errors(row.arm)] for row in m.rows}
    return {
        "requests": arms,
        "since": None if m is None else m.start.isoformat(),
        "figures": None if sight.evidence is None else sight.evidence.document(),
    }


def _judged(
    gate: Gate, state: RampState, control: Control, taker: Taker, ask: Ask, *, own: bool
) -> tuple[Judged, ...]:
    """A gate on the new version, by the logs. own: whether figures of performance are the ramp's.

    Raises CollectorError, ConsoleError, ValueError for what nothing has.
    """
    of = replace(ask, version=gate.version or control.arms[state.arm])
    if gate.segment:
        segment = SegmentAsk.parse(gate.segment, [s.name for s in ask.deployment.segments])
        segment.number_in(ask.deployment)
        of = replace(of, segment=segment)
    elif gate.figure in _OF_TRAFFIC:
        start = state.started.timestamp()
        begin = state.started - timedelta(seconds=start % _GRAIN.total_seconds())
        of = replace(of, start=begin, step=Step.ALL)
        own = True
    return judge(gate, taker, of) if own else ()


def _logged(taker: Taker, ask: Ask, state: RampState, version: str) -> int:
    """Predictions of a version since the step began: from the first bucket that is all of it."""
    begin = state.at + timedelta(seconds=-state.at.timestamp() % _GRAIN.total_seconds())
    if begin >= min(ask.as_of, ask.end):
        return 0
    of = replace(ask, start=begin, step=Step.ALL, version=None, segment=None)
    return sum(row.n for row in taker.traffic(of).whole if row.version == version)
