"""What one demo is like: plain data that goes from the command to the demo's processes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """sample: the sample's folder. rate: requests a second. minutes: after which traffic ends.

    label_delay_s: from an answer to its truth. steps, pause, least: of the ramp, in percent, as a
    duration, and predictions at a step.
    """

    sample: str
    rate: float = 100.0
    minutes: float = 30.0
    label_delay_s: float = 5.0
    steps: tuple[float, ...] = (10, 25, 50, 100)
    pause: str = "15s"
    least: int = 20
