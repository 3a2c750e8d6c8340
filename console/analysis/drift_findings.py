"""What the drift figures say in sentences: drifted, values missing, numbers out of all range."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from console.analysis.against import Against, Side
from console.analysis.ask import Ask
from console.analysis.distances import DriftState
from console.analysis.drift_effects import Cause
from console.analysis.drift_rows import Role
from console.analysis.findings import Finding, Severity

if TYPE_CHECKING:
    from console.analysis.drift import DriftRow, Share

__all__ = ["drift_findings", "missing_values", "share_words"]

_SEVERAL = 3  # rows out of all range that are no single slip
_NAMED = 4
_WHOLE_WEEK = timedelta(days=7)
_LARGE = 0.25
"""PSI from which a change is large (Siddiqi 2006)."""


def drift_findings(ask: Ask, rows: Sequence[DriftRow], shares: Sequence[Share]) -> list[Finding]:
    """The findings of a pane, unordered; per version at most one of drift and one of nulls."""
    out = []
    for version in dict.fromkeys(r.version for r in rows):
        mine = [r for r in rows if r.version == version]
        out += _missing_values(version, mine)
        out += _outside(version, mine)
        out += _drifted(ask, version, mine, [s for s in shares if s.version == version])
    return out


def missing_values(rows: Sequence[DriftRow]) -> tuple[Finding, ...]:
    """Features whose values stopped coming, one sentence per version."""
    versions = dict.fromkeys(r.version for r in rows)
    found = (_missing_values(v, [r for r in rows if r.version == v]) for v in versions)
    return tuple(finding for some in found for finding in some)


def share_words(share: Share) -> str:
    """How many of the judged columns have drifted: "9 of 16 features (56%)"."""
    if not share.n_judged:
        return ""
    if not share.n_drifted:
        return f"none of {share.n_judged} features"
    part = 100 * share.n_drifted / share.n_judged
    return f"{share.n_drifted} of {share.n_judged} features ({part:.0f}%)"


def _drifted(
    ask: Ask, version: str, rows: Sequence[DriftRow], shares: Sequence[Share]
) -> list[Finding]:
    """One sentence: how many, which most, what of, and whether the outputs moved with them."""
    drifted = [r for r in rows if r.state is DriftState.DRIFTED]
    top = max((r.metrics["psi"].value or 0.0 for r in drifted), default=0.0)
    if top < _LARGE:
        return []
    # rows of one day are one draw of the weather, whatever their number: a short window differs
    # from months of reference, and from another day, without anything being wrong
    short = ask.end - ask.start < _WHOLE_WEEK
    # only the reference is what the model was made for: other windows and versions differ
    known = ask.against.side is Side.REFERENCE
    severity = Severity.BAD if top >= 4 * _LARGE and known and not short else Severity.WARNING
    text = f"{version}: drifted{_from(ask.against, short=short)} (PSI): {_most(drifted)}"
    ends = [share_words(s) for s in shares if s.role is Role.INPUT and s.n_judged]
    outputs = _outputs(rows, ask.against)
    text += "".join(f"; {end}" for end in ends) + (f", {outputs}" if outputs else "")
    return [Finding(severity, "drift", text, top / 10)]


def _from(against: Against, *, short: bool) -> str:
    if against.side is not Side.REFERENCE:
        return f" from {against.words}"
    return " in less than a week" if short else ""


def _most(drifted: Sequence[DriftRow]) -> str:
    """The largest, each with its cause where that is not its shape."""
    named = []
    for r in drifted[:_NAMED]:
        text = f"{r.feature} {r.metrics['psi'].value or 0.0:.2f}"
        main = r.causes.main if r.causes is not None else None
        if main is not None and main[0] in _CAUSE_TAGS and main[1] >= 0.5:
            text += f" ({100 * main[1]:.0f}% {_CAUSE_TAGS[main[0]]})"
        named.append(text)
    more = f" and {len(drifted) - _NAMED} more" if len(drifted) > _NAMED else ""
    return ", ".join(named) + more


_CAUSE_TAGS = {Cause.MISSING: "missing", Cause.UNSEEN: "unseen"}


def _outputs(rows: Sequence[DriftRow], against: Against) -> str:
    """Whether the outputs moved with the inputs, where that says something."""
    judged = [r for r in rows if r.role is Role.OUTPUT and r.state in _JUDGED]
    if not judged:
        return ""
    moved = any(r.state is DriftState.DRIFTED for r in judged)
    if not moved:
        return f"but not {' and '.join(sorted((r.feature for r in judged), reverse=True))}"
    if any(r.role is Role.INPUT and r.state is DriftState.DRIFTED for r in rows):
        return ""
    if against.side is Side.VERSION:
        return "so the models differ, their rows do not"
    return "so the model has changed, or something that is not watched"


_JUDGED = (DriftState.OK, DriftState.SMALL, DriftState.DRIFTED)


def _missing_values(version: str, rows: Sequence[DriftRow]) -> list[Finding]:
    """Features whose values stopped coming: far more nulls than the other side has."""
    gone = []
    for r in rows:
        change = r.metrics["null_change"]
        if change.low is not None and change.low > 0.05:
            gone.append((change.low, r))
    if not gone:
        return []
    gone.sort(key=lambda pair: -pair[0])
    named = ", ".join(
        f"{r.feature} {100 * (r.metrics['null_rate'].value or 0):.0f}%" for _, r in gone[:4]
    )
    more = f" and {len(gone) - 4} more" if len(gone) > 4 else ""
    severity = Severity.BAD if gone[0][0] > 0.25 else Severity.WARNING
    text = f"{version}: values missing: {named}{more}"
    if any(r.state is DriftState.DRIFTED for _, r in gone):  # broken first, then changed
        text += f"; look at this before {'its' if len(gone) == 1 else 'their'} drift"
    return [Finding(severity, "drift", text, 2 + gone[0][0])]


def _outside(version: str, rows: Sequence[DriftRow]) -> list[Finding]:
    """Numbers far outside the range that the model has seen."""
    out = []
    for r in rows:
        if r.reference_range is None or r.highest is None or r.lowest is None:
            continue
        low, high = r.reference_range
        width = high - low
        if width <= 0:
            continue  # a constant: anything else is far away
        beyond = max(r.highest - high, low - r.lowest) / width
        if beyond > 2:
            value = r.highest if r.highest - high >= low - r.lowest else r.lowest
            share = r.metrics["unseen_rate"].value or 0.0
            out.append(
                Finding(
                    Severity.BAD if share * r.n >= _SEVERAL else Severity.WARNING,
                    "drift",
                    f"{version}: {r.feature} reaches {value:,.4g}, the reference ends at "
                    f"{high if value > high else low:,.4g} ({100 * share:.1f}% of rows outside)",
                    3,
                )
            )
    return out
