"""An arm against the stable one in a few words; what was done about it goes before figures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from console.analysis.comparison import Comparison, Verdict
from console.analysis.estimate import Estimate
from console.control.evidence import ArmEvidence, Evidence
from console.control.setbacks import Setback
from console.control.state import ControlState
from console.views.control_words import LONGEST
from console.views.model import Cell, Tone
from console.views.versions import VERDICT_TONES, VERDICTS
from console.views.words import name, number, percent, plain

__all__ = ["compared_cell", "setback_lines", "verdict_cell"]

_ERRORS = "error_rate"
_A_DAY = timedelta(days=1)

_FAILING = 0.01
"""Share of failed requests that is surely exceeded where no figure is good news; as a red count."""


def verdict_cell(state: ControlState, evidence: Evidence | None, arm: str) -> Cell:
    """Rolled back and why; else in what it is surely worse; else the trial's verdict.

    Better than something that fails is no good news: then it says how many fail of both.
    """
    fallen = state.setback(arm)
    if fallen is not None:
        return plain(_fallen_words(fallen, state.asked), Tone.BAD)
    mine = evidence.of(arm) if evidence is not None else None
    return compared_cell(mine, good=state.setback(state.stable) is None)


def compared_cell(mine: ArmEvidence | None, *, good: bool = True) -> Cell:
    """In what an arm is surely worse than the stable one, else the trial's verdict, with values.

    good: whether being better than the stable arm is good news.
    """
    if mine is None or not mine.against_stable:
        return plain("")
    if mine.worse:
        return plain(f"worse: {name(', '.join(map(_figures, mine.worse)), 80)}", Tone.BAD)
    first = mine.against_stable[0]
    words, tone = VERDICTS[first.verdict], VERDICT_TONES[first.verdict]
    if first.verdict is not Verdict.CANNOT_TELL:
        words = f"{words}: {_figures(first)}"
    errors = next((c for c in mine.against_stable if c.metric == _ERRORS), None)
    if errors is not None and (_fails(errors.mine) or _fails(errors.other)):
        good = False
        words += f"; {_figures(errors)}" if errors is not first else ""
    return plain(words, tone if good or tone is not Tone.GOOD else Tone.WARN)


def setback_lines(state: ControlState) -> Iterator[Cell]:
    """Arms that traffic was taken from, in full."""
    for fallen in state.setbacks:
        yield plain(name(fallen.text, LONGEST), Tone.WARN)


def _fallen_words(fallen: Setback, now: datetime) -> str:
    what = f": {name(fallen.what, 24)}" if fallen.what else ""
    at = f"{fallen.at:%H:%M}" if now - fallen.at < _A_DAY else f"{fallen.at:%d %b}"
    return f"{fallen.how} {at}{what}"


def _figures(c: Comparison) -> str:
    """Both values, the stable one's last."""
    if c.metric == _ERRORS:
        return f"errors {percent(c.mine.value, 1)} vs {percent(c.other.value, 1)}"
    return f"{c.metric} {number(c.mine.value)} vs {number(c.other.value)}"


def _fails(e: Estimate) -> bool:
    """Whether more requests fail than can be by chance alone."""
    return e.low is not None and e.low > _FAILING
