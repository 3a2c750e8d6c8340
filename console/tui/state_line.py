"""The top line: what is shown, of when, how old, and whether something is wrong.

The window and the data age are of the figures on the screen, never of a request that is not
answered yet: that one is announced as "loading".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.style import Style
from rich.text import Text

from console.feed import Mode, Request, Status
from console.tui.cells import cut, line, width_of
from console.tui.lines import LineBlock
from console.tui.paint import BOLD, DIM, FOCUS, style_of
from console.tui.requests import against_text, threshold_text, window_text
from console.views.model import Tone

__all__ = ["State", "StateLine", "age_text", "state_text"]

_MODES = {Mode.LIVE: Tone.GOOD, Mode.REPLAY: Tone.ACCENT, Mode.AS_OF: Tone.WARN,
          Mode.OFFLINE: Tone.ACCENT}  # fmt: skip


@dataclass(frozen=True, slots=True)
class State:
    """All the line needs. `shown` is the request the figures on the screen answer.

    control: what is wrong with traffic, or under way; it is never shortened away.
    """

    status: Status | None = None
    shown: Request | None = None
    paused: bool = False
    loading: str = ""
    control: tuple[str, Tone] = ("", Tone.PLAIN)


@dataclass(frozen=True, slots=True)
class _Field:
    """Texts from long to short; a field of a higher rank is shortened first.

    spare: left out altogether before what stands behind it would be cut off.
    """

    texts: tuple[str, ...]
    style: Style | None
    rank: int
    spare: bool = False


class StateLine(LineBlock):
    """The widget for `state_text`."""

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(id="state")
        self.ascii_only = ascii_only
        self.state = State()

    def show(self, state: State) -> None:
        """Draw another state."""
        if state != self.state:
            self.state = state
            self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Text]:
        """One line."""
        return [state_text(self.state, width, ascii_only=self.ascii_only)]


def state_text(state: State, width: int, *, ascii_only: bool = False) -> Text:
    """The fields that fit, shortened from the least important on."""
    fields = _fields(state, ascii_only=ascii_only)
    separator = " | " if ascii_only else " │ "
    level = [0] * len(fields)

    def total() -> int:
        texts = [f.texts[n] for f, n in zip(fields, level, strict=True) if f.texts[n]]
        return sum(map(width_of, texts)) + len(separator) * max(0, len(texts) - 1)

    for index in sorted(range(len(fields)), key=lambda i: -fields[i].rank):
        while total() > width and level[index] + 1 < len(fields[index].texts):
            level[index] += 1
    if total() > width:
        separator = separator.strip()
    for index in [i for i, field in reversed([*enumerate(fields)]) if field.spare]:
        if total() > width:
            del fields[index], level[index]
    parts: list[tuple[str, Style | None]] = []
    for field, n in zip(fields, level, strict=True):
        if field.texts[n]:
            if parts:
                parts.append((separator, DIM))
            parts.append((field.texts[n], field.style))
    return line(parts)


def age_text(age: timedelta) -> str:
    """How old, in the two largest units: 42s, 3m10s, 2h05m, 3d04h."""
    seconds = max(0, int(age.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02}h"


def _fields(state: State, *, ascii_only: bool) -> list[_Field]:
    status = state.status
    if status is None:
        return [
            _Field(("modelwatch",), BOLD, 0),
            _Field((state.loading or "waiting for figures", ""), DIM, 9),
        ]
    warn = "!" if ascii_only else "▲"
    fine = "+" if ascii_only else "✓"
    name = status.deployment or "no deployment"
    fields = [
        _Field((cut(name, 40), cut(name, 24), cut(name, 14)), BOLD, 2),
        _Field((status.mode.value.upper(),), style_of(_MODES[status.mode]), 0),
    ]
    if state.paused:
        fields.append(_Field(("PAUSED",), FOCUS, 0))
    if state.control[0]:
        text, tone = state.control
        sign = f"{warn} " if tone is Tone.BAD else ""
        fields.append(_Field((f"{sign}{text}", cut(f"{sign}{text}", 24)), style_of(tone), 1))
    fields.append(_window(status, ascii_only=ascii_only))
    fields += _chosen(state.shown)
    if status.data_age is None:
        fields.append(_Field(("no data",), style_of(Tone.UNKNOWN), 1))
    elif status.timed:
        age = age_text(status.data_age)
        fields.append(_Field((f"data {age} old", f"age {age}"), None, 6))
    fields.append(
        _Field(("read-only", "RO"), None, 5, spare=True)
        if status.read_only
        else _Field(("READ-WRITE", "RW"), style_of(Tone.WARN), 5)
    )
    if status.findings is None:
        fields.append(_Field(("findings not known yet", "?"), style_of(Tone.UNKNOWN), 7))
    elif status.findings:
        noun = "finding" if status.findings == 1 else "findings"
        fields.append(
            _Field((f"{warn} {status.findings} {noun}", f"{warn}{status.findings}"),
                   style_of(Tone.WARN), 7)
        )  # fmt: skip
    else:
        fields.append(_Field((f"{fine} no findings", f"{fine}0"), style_of(Tone.GOOD), 7))
    dots = "..." if ascii_only else "…"
    # what is under way goes before the start of the window: it says the rest is not the newest
    if state.loading:
        texts = (f"loading {state.loading}{dots}", f"loading{dots}", dots)
        fields.append(_Field(texts, style_of(Tone.ACCENT), 2))
    elif status.progress:
        texts = (cut(status.progress, 40), cut(status.progress, 16), dots)
        fields.append(_Field(texts, style_of(Tone.ACCENT), 2))
    return fields


def _chosen(shown: Request | None) -> list[_Field]:
    """What was chosen besides deployment and window."""
    if shown is None:
        return []
    out: list[tuple[str, ...]] = []
    if shown.version:
        out.append((cut(f"version {shown.version}", 24), cut(shown.version, 10)))
    if shown.segment:
        text = shown.segment if "=" in shown.segment else f"by {shown.segment}"
        out.append((cut(text, 24), cut(text, 12)))
    if shown.against:
        text = f"vs {against_text(shown.against)}"
        out.append((cut(text, 32), cut(f"vs {shown.against.removeprefix('version=')}", 12)))
    if shown.threshold is not None:
        text = threshold_text(shown.threshold)
        out.append((f"threshold {text}", f"thr {text}"))
    return [_Field(texts, style_of(Tone.ACCENT), 4) for texts in out]


def _window(status: Status, *, ascii_only: bool) -> _Field:
    if not status.timed:
        return _Field(("the whole log: no times", "no times"), None, 3)
    length = window_text(status.end - status.start)
    dash = "-" if ascii_only else "–"

    def text(form: str) -> str:
        start, end = status.start.strftime(form), status.end.strftime(form)
        return f"{length} {start} {dash} {end} UTC"

    years = text("%Y-%m-%d %H:%M")
    days = text("%m-%d %H:%M")
    return _Field((years, days, f"{length} to {status.end:%m-%d %H:%M} UTC"), None, 3)
