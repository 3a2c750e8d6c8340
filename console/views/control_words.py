"""Words that the pages of control share: a split, an arm's health, what is to be done and how."""

from __future__ import annotations

from dataclasses import dataclass

from console.control.plane import Health
from console.control.split import Split
from console.control.state import ControlState
from console.views.model import Tone
from console.views.words import name

__all__ = ["COMMANDS", "HEALTH_TONES", "LONGEST", "Ways", "health_of", "split_text"]

LONGEST = 500
"""Characters of a sentence that comes from a plane or from whoever typed it."""

HEALTH_TONES = {Health.UP: Tone.GOOD, Health.DOWN: Tone.BAD, Health.UNKNOWN: Tone.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Ways:
    """How whoever reads this acts: a key or a command, and what it does, like "C completes it"."""

    complete: str
    undo: str
    rollback: str
    fall: str
    back: str
    settle: str


COMMANDS = Ways(
    "`modelwatch traffic complete` completes it",
    "`modelwatch traffic undo` undoes it",
    "`modelwatch traffic rollback` rolls back",
    "`modelwatch fallback on` falls back",
    "`modelwatch fallback off` returns",
    "`modelwatch traffic settle` reads it back",
)


def split_text(split: Split) -> str:
    """A split in words, its names made safe."""
    return name(split, 300)


def health_of(state: ControlState, arm: str) -> tuple[Health, str]:
    """An arm's health and what is told of it: the worse of what the plane and the arm say."""
    told = [(h, detail) for a, h, detail in state.health if a == arm]
    if state.observed is not None and not state.locked:
        told += [(h.health, h.detail) for h in state.observed.health if h.arm == arm]
    for wanted in (Health.DOWN, Health.UP):
        for health, detail in told:
            if health is wanted:
                return health, detail
    return Health.UNKNOWN, next((detail for _, detail in told if detail), "")
