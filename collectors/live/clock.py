"""The recorder's clock: the host's, except that it never goes back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["SteadyClock"]

_NOTICED = timedelta(seconds=2)


class SteadyClock:
    """Aware UTC; where the host's clock is set back it stands still until that has caught up.

    Rows of hosts whose clocks are right would otherwise seem to come from the future.
    """

    def __init__(self, host: Callable[[], datetime] | None = None) -> None:
        self._host = host or (lambda: datetime.now(UTC))
        self._latest = self._host()

    def __call__(self) -> datetime:
        """The time now."""
        self._latest = max(self._latest, self._host())
        return self._latest

    @property
    def behind(self) -> timedelta:
        """How far the host's clock is behind what it said before; 0 as long as it goes on."""
        behind = self._latest - self._host()
        return behind if behind > _NOTICED else timedelta(0)
