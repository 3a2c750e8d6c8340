"""What an explanation says in sentences: the answer first, then what carries it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from console.analysis.comovement import FeatureMove
from console.analysis.distances import DriftState
from console.analysis.estimate import Estimate
from console.analysis.explain_sums import ORDINARY, Kind
from console.analysis.figures import lower_is_better
from console.analysis.findings import Finding, Severity
from console.analysis.slices import Slice

if TYPE_CHECKING:
    from console.analysis.explain import Dimension, ExplainSnapshot, Part

__all__ = ["concentrated", "explain_findings", "moved_words", "slice_words", "sure"]

PANE = "explain"
"""Where the sentences belong; there is no pane of this name."""

_LITTLE, _MUCH = 0.2, 0.3
"""Shares of the change: below the one mix is no part of the answer, from the other it is named."""
_ALL = 0.9
_FAR_BEYOND = 0.25
"""Of the change: what a slice must carry beyond its share to be the answer."""
_MOST = 3
_SHIFT = 0.02  # of the rows: a smaller shift of their mix is not worth a sentence
_OUTPUTS = ("score", "prediction")
_LOWER = ("cost", "mse", "error_rate")


def sure(e: Estimate) -> bool:
    """Whether the interval excludes 0."""
    return e.low is not None and e.high is not None and (e.low > 0 or e.high < 0)


def explain_findings(s: ExplainSnapshot) -> tuple[Finding, ...]:
    """In the order to be read."""
    return tuple(_sentences(s))


def _sentences(s: ExplainSnapshot) -> Iterator[Finding]:
    if s.note:
        yield _note(s.note)
    if s.change.value is None:
        yield _note(f"{_subject(s)} {s.figure}: {s.reason}")
        return
    yield _answer(s)
    if sure(s.change):
        yield from _mixes(s)
    yield from _slices(s)
    yield from _features(s)
    yield from _when(s)


def _note(text: str) -> Finding:
    return Finding(Severity.NOTE, PANE, text)


def _subject(s: ExplainSnapshot) -> str:
    known = next((d.parts for d in s.dimensions if d.kind is Kind.VERSION), ())
    only = known[0].values[0][1] if len(known) == 1 and known[0].values else "all versions"
    of = s.ask.version if s.ask.version is not None else only
    if s.ask.segment is not None:
        held = zip(s.ask.segment.names, s.ask.segment.values, strict=True)
        of += "".join(f" {name}={value}" for name, value in held if value is not None)
    return of


def _answer(s: ExplainSnapshot) -> Finding:
    """From, to, how sure, and whether it is mix."""
    change, now, was = s.change, s.value.value, s.other.value
    half = (change.high or 0.0) - (change.value or 0.0)
    text = (
        f"{_subject(s)}: {s.figure} {_n(was)} in {s.ask.against.words} -> {_n(now)} "
        f"({change.value or 0.0:+.3g} ± {half:.2g})"
    )
    if not sure(change):
        return _note(f"{text}: no sure change, it may be chance")
    worse = (change.value or 0.0) < 0
    if s.figure in _LOWER or lower_is_better(s.figure):
        worse = not worse
    severity = Severity.BAD if worse and s.figure != "bias" else Severity.NOTE
    return Finding(severity, PANE, f"{text}: {_kind_of_change(s)}")


def _kind_of_change(s: ExplainSnapshot) -> str:
    total = s.change.value or 0.0
    cuts = [d for d in s.dimensions if d.kind in (Kind.VERSION, Kind.SEGMENT) and d.n_values > 1]
    if not cuts:
        return "there is no segment to split it over"
    most = max(cuts, key=lambda d: abs(d.mix.value or 0.0))
    share = (most.mix.value or 0.0) / total
    if abs(share) < _LITTLE or not sure(most.mix):
        return "within segments, not their mix"
    if share >= _ALL:
        return f"it is the mix of {most.name}, not a change within it"
    if share < 0:
        return f"within segments; the mix of {most.name} works against it ({_n(most.mix.value)})"
    return f"{100 * share:.0f}% is the mix of {most.name}, the rest a change within it"


def _mixes(s: ExplainSnapshot) -> Iterator[Finding]:
    """Rows that came or went and take the figure with them; conditions first."""
    total = s.change.value or 0.0
    held = [
        d
        for d in s.dimensions
        if d.kind is not Kind.CROSS
        and sure(d.mix)
        and (d.mix.value or 0.0) / total >= _MUCH
        and _moved_part(d) is not None
    ]
    held.sort(key=lambda d: (d.kind is not Kind.CONDITION, -(d.mix.value or 0.0) / total))
    said: set[tuple[int, int]] = set()
    for d in held:
        part = _moved_part(d)
        if part is None or (part.n, part.n_other) in said or len(said) >= _MOST:
            continue
        said.add((part.n, part.n_other))
        share = (d.mix.value or 0.0) / total
        yield _note(
            f"{_rows(part.values, d.kind)} went from {_percent(part.share_other)} to "
            f"{_percent(part.share)} of the rows: that shift of {d.name} goes with "
            f"{d.mix.value:+.3g} ({100 * share:.0f}% of the {_word(total)})"
        )


def _moved_part(d: Dimension) -> Part | None:
    """The value whose share of the rows moved most; of a condition not the ordinary one."""
    named = [
        p
        for p in d.parts
        if p.values and not (d.kind is Kind.CONDITION and p.values[0][1] == ORDINARY)
    ]
    # of two that moved as much, the one that grew
    part = max(
        named,
        key=lambda p: (round(abs(p.share - p.share_other), 9), p.share - p.share_other),
        default=None,
    )
    if part is None or abs(part.share - part.share_other) < _SHIFT:
        return None
    return part


def concentrated(slices: Sequence[Slice], change: Estimate) -> tuple[Slice, ...]:
    """Those that carry so much beyond their share of a sure change that the rest matters less."""
    if not sure(change):
        return tuple(slices)
    least = _FAR_BEYOND * abs(change.value or 0.0)
    return tuple(one for one in slices if abs(one.excess.value or 0.0) >= least)


def _slices(s: ExplainSnapshot) -> Iterator[Finding]:
    named = concentrated(s.slices, s.change)
    for one in named[:_MOST]:
        yield _note(slice_words(one, s.figure, s.change))
    if named or not sure(s.change):
        return
    text = f"it is spread over the rows: none of {s.looked} groups stands far beyond its share"
    if s.slices:
        text += f"; the most: {slice_words(s.slices[0], s.figure, s.change)}"
    yield _note(text)


def slice_words(one: Slice, figure: str, change: Estimate) -> str:
    """ "origin=EWR carries 92% of the drop with 3% of the rows: f1 0.51 -> 0.03"."""
    total = change.value or 0.0
    name = _rows(one.values, one.kind)
    if one.also:
        listed = ", ".join(_rows(v, Kind.SEGMENT) for v in one.also[:2])
        more = f" and {len(one.also) - 2} more" if len(one.also) > 2 else ""
        name += f" (the same rows: {listed}{more})"
    rows = (
        f"{_percent(one.rows)} of the rows"
        if abs(one.rows - one.rows_other) < max(0.2 * one.rows, 0.002)
        else f"{_percent(one.rows_other)} -> {_percent(one.rows)} of the rows"
    )
    if sure(change) and total:
        what = f"carries {100 * one.contribution / total:.0f}% of the {_word(total)} with {rows}"
    else:
        what = f"moved by {one.contribution:+.3g} with {rows}"
    if one.value is None:
        return f"{name} {what}: none are left"
    was = "new" if one.other is None else _n(one.other)
    return f"{name} {what}: {figure} {was} -> {_n(one.value)}"


def _features(s: ExplainSnapshot) -> Iterator[Finding]:
    moved = [m for m in s.moves if m.state is DriftState.DRIFTED and m.feature not in _OUTPUTS]
    if not moved:
        return
    text = "; ".join(moved_words(m, s.change.value or 0.0) for m in moved[:_MOST])
    more = f" and {len(moved) - _MOST} more" if len(moved) > _MOST else ""
    yield _note(f"features that moved meanwhile: {text}{more}")


def moved_words(m: FeatureMove, change: float) -> str:
    """ "temp mean 38.2 -> 81.2 (PSI 8.34)"; with the correlation where it fits the change."""
    psi = f"PSI {m.psi:.2f}" if m.psi is not None else ""
    t = m.together
    if t is not None:
        now, was = {
            "mean": (m.mean, m.mean_other),
            "missing": (m.missing, m.missing_other),
            "outside": (m.outside, m.outside_other),
        }[t.what]
        if now is not None and was is not None and (now - was) * t.correlation * change > 0:
            psi += f", r {t.correlation:+.2f} over {t.steps} steps"
    gone = (m.missing or 0.0) - (m.missing_other or 0.0)
    if abs(gone) >= 0.2:
        held = f"missing {_percent(m.missing_other or 0.0)} -> {_percent(m.missing or 0.0)}"
        return f"{m.feature} {held} ({psi})"
    if m.mean is None or m.mean_other is None:
        return f"{m.feature} ({psi})"
    return f"{m.feature} mean {_n(m.mean_other)} -> {_n(m.mean)} ({psi})"


def _when(s: ExplainSnapshot) -> Iterator[Finding]:
    o = s.onset
    if o is None or not o.changed or o.start is None or not (o.lasting or o.start >= s.ask.start):
        return
    text = o.words
    total = s.change.value or 0.0
    if s.slices and sure(s.change) and s.slices[0].contribution / total >= _ALL:
        text += f", only {_rows(s.slices[0].values, s.slices[0].kind)}"
    near = [e.text for e in s.events if e.near][:_MOST]
    if near:
        text += f"; near it: {'; '.join(near)}"
    yield _note(f"{s.figure} changed: {text}")


def _rows(values: Sequence[tuple[str, str]], kind: Kind) -> str:
    if kind is Kind.CONDITION and values:
        name, how = values[0]
        return f"{name} missing" if how == "missing" else f"{name} outside what the reference has"
    return " & ".join(f"{name}={value}" for name, value in values)


def _word(change: float) -> str:
    return "drop" if change < 0 else "rise"


def _percent(share: float) -> str:
    size = 100 * share
    return f"{size:.1f}%" if 0 < size < 9.95 or 99 < size < 100 else f"{size:.0f}%"


def _n(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"
