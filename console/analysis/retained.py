"""What retention has deleted of a deployment, and what to say of a window that reaches there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from console.analysis.ask import Ask
from console.analysis.findings import Finding, Severity

__all__ = ["RetainedRow", "retained_findings"]

_SAID = {
    "raw": "raw rows before {} were deleted (retention)",
    "hours": "figures before {} are kept by the day only (retention)",
    "features": "distributions of features before {} went when their bins changed (retention)",
    "score bins": "score bins before {} went when they changed: AUC is of later rows (retention)",
    "conditions": "sums of unusual rows before {} went when the reference changed (retention)",
    "segments": "some subgroups before {} went when segments changed (retention)",
    "rollups": "some figures before {} went with a release that counts otherwise (retention)",
}
"""What figures of a window depend on; other things that were deleted are no news in it."""


@dataclass(frozen=True, slots=True)
class RetainedRow:
    """Nothing of `what` is left before `before` (aware UTC); n rows were deleted."""

    what: str
    before: datetime
    n: int

    @property
    def sentence(self) -> str:
        """What it means."""
        said = _SAID.get(self.what, f"{self.what} before {{}}: deleted (retention)")
        return said.format(f"{self.before:%Y-%m-%d}")


def retained_findings(ask: Ask, rows: Sequence[RetainedRow]) -> Iterator[Finding]:
    """Notes on a window that reaches into times of which something is gone."""
    for row in rows:
        if row.what in _SAID and ask.start < row.before and row.n:
            yield Finding(Severity.NOTE, "data", row.sentence)
