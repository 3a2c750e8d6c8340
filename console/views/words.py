"""How figures are written: numbers, intervals, times, states. The same on screen and in tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from collectors.text import clean
from console.analysis.distances import DriftState
from console.analysis.estimate import Estimate, IntervalKind, State
from console.analysis.figures import lower_is_better
from console.analysis.findings import Finding, Severity
from console.views.model import Cell, Tone

__all__ = [
    "LOOKS",
    "age",
    "count",
    "detectable_words",
    "estimate_cell",
    "finding_cells",
    "interval",
    "looks_words",
    "moment",
    "name",
    "number",
    "percent",
    "plain",
    "state_words",
    "unknown_outcome",
]

STATE_WORDS = {
    State.OK: "",
    State.TOO_FEW: "too few",
    State.NO_LABELS: "no labels",
    State.NO_ROWS: "no rows",
    State.PROVISIONAL: "provisional",
    State.STALE: "stale",
    State.CANNOT_TELL: "cannot tell",
}

_POINTS = frozenset(
    ("accuracy", "precision", "recall", "f1", "specificity", "fpr", "fnr", "balanced_accuracy")
)
"""Figures whose differences are said in percentage points."""

_STATE_TONES = {
    State.OK: Tone.PLAIN,
    State.TOO_FEW: Tone.DIM,
    State.NO_LABELS: Tone.UNKNOWN,
    State.NO_ROWS: Tone.UNKNOWN,
    State.PROVISIONAL: Tone.DIM,
    State.STALE: Tone.WARN,
    State.CANNOT_TELL: Tone.UNKNOWN,
}

_SEVERITY_TONES = {
    Severity.BAD: Tone.BAD,
    Severity.WARNING: Tone.WARN,
    Severity.NOTE: Tone.PLAIN,
}


def name(text: object, limit: int = 60) -> str:
    """A name from the data, safe to show."""
    return clean(text, limit)


def number(value: float | None) -> str:
    """Three significant digits, without an exponent where it can be avoided."""
    if value is None:
        return "-"
    size = abs(value)
    if size >= 1e6:
        return f"{value:.3g}"
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}" if size >= 0.001 or value == 0 else f"{value:.2g}"


def percent(value: float | None, digits: int = 0) -> str:
    """A share as per cent."""
    return "-" if value is None else f"{100 * value:.{digits}f}%"


def count(value: int) -> str:
    """A count, with thousands."""
    return f"{value:,}"


def moment(when: datetime | None, *, year: bool = True) -> str:
    """A UTC time to the minute."""
    if when is None:
        return "never"
    return when.strftime("%Y-%m-%d %H:%M" if year else "%d %b %H:%M")


def age(length: timedelta | None) -> str:
    """How old something is, in its largest unit."""
    if length is None:
        return "never"
    seconds = max(length.total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def interval(e: Estimate) -> str:
    """The 95 % interval, or nothing."""
    if e.low is None or e.high is None:
        return ""
    return f"{number(e.low)}..{number(e.high)}"


def detectable_words(metric: str, e: Estimate) -> str:
    """What this many rows cannot show: "with n = 140 a drop of less than 0.06 would not be seen".

    Empty where nothing is compared, or no rows are the reason that there is no figure.
    """
    if e.detectable is None or e.value is None:
        return ""
    way = "change" if metric in ("bias", "share") else "drop"
    if lower_is_better(metric):
        way = "rise"
    rows = f"with n = {count(e.n)}"
    if metric in (*_POINTS, "roc_auc", "average_precision"):
        room, end = (1 - e.value, 1) if way == "rise" else (e.value, 0)
        if e.detectable >= room:
            return f"{rows} not even a {way} to {end} would be seen"
    if metric in _POINTS:
        points = number(100 * e.detectable)
        size = f"{points} point{'' if points == '1.00' else 's'}"
    else:
        size = number(e.detectable)
    return f"{rows} a {way} of less than {size} would not be seen"


def looks_words(shown: Iterable[Estimate]) -> str:
    """When the intervals of these figures may be looked at."""
    kinds = {e.interval for e in shown if e.low is not None}
    return LOOKS[IntervalKind.PEEK_SAFE if IntervalKind.PEEK_SAFE in kinds else IntervalKind.FIXED]


def state_words(state: State) -> str:
    """A state in words; nothing when all is well."""
    return STATE_WORDS[state]


def estimate_cell(e: Estimate, *, tone: Tone | None = None, with_interval: bool = False) -> Cell:
    """A figure as a cell: its value, or why there is none. Uncertain ones carry a mark."""
    if e.value is None:
        return Cell(state_words(e.state) or "-", _STATE_TONES[e.state], None)
    mark = {State.TOO_FEW: "?", State.PROVISIONAL: "~", State.STALE: "!"}.get(e.state, "")
    text = number(e.value) + mark
    if with_interval and interval(e):
        text += f" [{interval(e)}]"
    if e.state is not State.OK:
        tone = _STATE_TONES[e.state]
    return Cell(text, tone or Tone.PLAIN, e.value)


def plain(text: str, tone: Tone = Tone.PLAIN, sort: float | str | None = None) -> Cell:
    """A cell of our own words."""
    return Cell(text, tone, sort)


def finding_cells(
    findings: tuple[Finding, ...], most: int = 3, unknown: str = ""
) -> tuple[Cell, ...]:
    """Findings as headline sentences, the worst first; one good sentence when there are none.

    unknown: why nothing could be found, which is not good news.
    """
    if unknown and all(f.severity is Severity.NOTE and f.pane == "data" for f in findings):
        # that data are not whole answers nothing
        told = tuple(Cell(clean(f.text, 400), Tone.PLAIN) for f in findings)
        return (Cell(unknown, Tone.UNKNOWN), *told)
    if not findings:
        return (Cell("nothing found in this window", Tone.GOOD),)
    cells = [Cell(clean(f.text, 400), _SEVERITY_TONES[f.severity]) for f in findings[:most]]
    if len(findings) > most:
        cells.append(
            Cell(f"and {len(findings) - most} more (enter on a row shows its own)", Tone.DIM)
        )
    return tuple(cells)


LOOKS = {
    IntervalKind.FIXED: "intervals are for one look: the window is over, or nobody watches it",
    IntervalKind.PEEK_SAFE: "intervals hold however often one looks while data come",
}
"""Which kind of interval is shown."""

NO_ROWS = "no predictions in this window: nothing can be told"
NO_LABELS = "no labels in this window: performance cannot be told"
STOPPED = "predictions have stopped coming: these figures are not of now"
NOT_JUDGED = "no reference, or too few labels: performance cannot be judged"


def unknown_outcome(n: int, n_labelled: int) -> str:
    """Why performance cannot be told; empty when it can."""
    if n == 0:
        return NO_ROWS
    return NO_LABELS if n_labelled == 0 else ""


DRIFT_TONES = {
    DriftState.OK: Tone.GOOD,
    DriftState.SMALL: Tone.PLAIN,
    DriftState.DRIFTED: Tone.BAD,
    DriftState.TOO_FEW: Tone.DIM,
    DriftState.CANNOT_TELL: Tone.UNKNOWN,
}
