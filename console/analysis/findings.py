"""What a pane found, in a sentence, with how bad it is. Worst first is the order everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Finding", "Severity", "worst_first"]


class Severity(IntEnum):
    """How much a finding wants attention now."""

    NOTE = 1
    WARNING = 2
    BAD = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """weight orders findings of one severity (larger first); pane is where to look."""

    severity: Severity
    pane: str
    text: str
    weight: float = 0.0


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The order in which an engineer should read them."""
    return tuple(sorted(findings, key=lambda f: (-f.severity, -f.weight, f.text)))
