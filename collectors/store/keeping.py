"""How long a store keeps what, as settings; `retention` does it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["RetentionSettings"]


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long what is kept; None: for ever.

    raw: predictions and labels. size: bytes of the store's used blocks, by deleting raw rows.
    hours: rollups by the hour, of hours without raw rows. days: anything of a time.
    quarantine, batches: by when they were loaded. metrics: samples of system metrics.
    """

    raw: timedelta | None = None
    size: int | None = None
    hours: timedelta | None = None
    days: timedelta | None = None
    quarantine: timedelta | None = None
    batches: timedelta | None = None
    metrics: timedelta | None = None

    def __bool__(self) -> bool:
        return self != RetentionSettings()
