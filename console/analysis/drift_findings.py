"""What the drift figures say in sentences: drifted, values missing, numbers out of all range."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from console.analysis.distances import DriftState
from console.analysis.findings import Finding, Severity
from console.analysis.intervals import newcombe

if TYPE_CHECKING:
    from console.analysis.drift import DriftRow

__all__ = ["drift_findings", "missing_values"]

_SEVERAL = 3  # rows out of all range that are no single slip
_WHOLE_WEEK = timedelta(days=7)
_LARGE = 0.25
"""PSI from which a change is large (Siddiqi 2006)."""


def drift_findings(rows: list[DriftRow], window: timedelta) -> list[Finding]:
    """The findings of a pane, unordered; per version at most one of drift and one of nulls."""
    out = []
    for version in dict.fromkeys(r.version for r in rows):
        mine = [r for r in rows if r.version == version]
        out += _missing_values(version, mine)
        out += _outside(version, mine)
        large = [
            r
            for r in mine
            if r.state is DriftState.DRIFTED and (r.metrics["psi"].value or 0) >= _LARGE
        ]
        if large:
            named = ", ".join(f"{r.feature} {r.metrics['psi'].value:.2f}" for r in large[:4])
            more = f" and {len(large) - 4} more" if len(large) > 4 else ""
            top = max(r.metrics["psi"].value or 0.0 for r in large)
            # rows of one day are one draw of the weather, whatever their number: a short window
            # differs from months of reference without anything being wrong
            short = window < _WHOLE_WEEK
            severity = Severity.BAD if top >= 4 * _LARGE and not short else Severity.WARNING
            note = " in less than a week" if short else ""
            text = f"{version}: drifted{note} (PSI): {named}{more}"
            out.append(Finding(severity, "drift", text, top / 10))
    return out


def missing_values(rows: Sequence[DriftRow]) -> tuple[Finding, ...]:
    """Features whose values stopped coming, one sentence per version."""
    versions = dict.fromkeys(r.version for r in rows)
    found = (_missing_values(v, [r for r in rows if r.version == v]) for v in versions)
    return tuple(finding for some in found for finding in some)


def _missing_values(version: str, rows: list[DriftRow]) -> list[Finding]:
    """Features whose values stopped coming: far more nulls than the reference has."""
    gone = []
    for r in rows:
        if r.null_rate_reference is None or not r.n:
            continue
        nulls = round((r.metrics["null_rate"].value or 0.0) * r.n)
        low, _ = newcombe(nulls, r.n, r.null_rate_reference * r.n_reference, r.n_reference)
        if low > 0.05:
            gone.append((low, r))
    if not gone:
        return []
    gone.sort(key=lambda pair: -pair[0])
    named = ", ".join(
        f"{r.feature} {100 * (r.metrics['null_rate'].value or 0):.0f}%" for _, r in gone[:4]
    )
    more = f" and {len(gone) - 4} more" if len(gone) > 4 else ""
    severity = Severity.BAD if gone[0][0] > 0.25 else Severity.WARNING
    return [Finding(severity, "drift", f"{version}: values missing: {named}{more}", 2 + gone[0][0])]


def _outside(version: str, rows: list[DriftRow]) -> list[Finding]:
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
