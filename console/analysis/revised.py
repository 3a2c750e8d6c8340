"""What labels that came since an earlier moment have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.analysis.against import Side
from console.analysis.estimate import Estimate
from console.analysis.findings import Finding, Severity
from console.analysis.performance_findings import name_of

if TYPE_CHECKING:
    from console.analysis.performance import PerformanceSnapshot

__all__ = ["revised"]


def revised(s: PerformanceSnapshot) -> list[Finding]:
    """One sentence per slice whose labels are not those known then.

    A warning where the figure has left the interval that it had: then the earlier labels were not
    like the later ones. The two are of the same rows, so no test compares them.
    """
    known = s.ask.against.known
    if s.ask.against.side is not Side.KNOWN or known is None:
        return []
    out = []
    for f in s.whole:
        old = s.compared_to(f)
        came = f.n_labelled - (old.n_labelled if old is not None else 0)
        rows = f.n - (old.n if old is not None else 0)
        now = f.metrics[s.headline]
        was = old.metrics[s.headline] if old is not None else None
        if not came and not rows and _same(now, was):
            continue
        text = f"{name_of(f)}: {came:,} labels"
        text += f" and {rows:,} predictions" if rows else ""
        text += f" came since {known:%Y-%m-%d %H:%M}: "
        text += f"{s.headline} {_number(was)} -> {_number(now)}"
        moved = _left(now, was)
        severity = Severity.WARNING if moved else Severity.NOTE
        if moved:
            text += ", outside the interval of then"
        out.append(Finding(severity, "performance", text, came / max(f.n, 1)))
    return out


def _same(now: Estimate, was: Estimate | None) -> bool:
    return was is not None and now.value == was.value


def _left(now: Estimate, was: Estimate | None) -> bool:
    """Whether the figure lies where its earlier interval did not expect it."""
    if was is None or now.value is None or was.low is None or was.high is None:
        return False
    return not was.low <= now.value <= was.high


def _number(e: Estimate | None) -> str:
    return "unknown" if e is None or e.value is None else f"{e.value:.3g}"
