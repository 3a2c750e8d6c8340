"""What is typed to move traffic: the shares, and why."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.control.settings import Control
    from console.control.state import ControlState

__all__ = ["fallback_arm", "on_fallback", "read_move", "to_confirm"]

_SHARE = re.compile(r"\s*([^=,]+?)\s*=\s*(\d{1,3}(?:\.\d{1,6})?)\s*%?\s*(,|$|\s|[;:])")
_WHY = re.compile(r"\s*(?:[:;-]\s*)?(?:because\b:?\s*)?", re.IGNORECASE)


def read_move(text: str, control: Control) -> tuple[dict[str, Fraction], str]:
    """`v2=25 because the canary looks fine`: percent by arm, and the reason.

    Shares by arm or version, separated by commas. Raises ValueError in a sentence.
    """
    shares: dict[str, Fraction] = {}
    place = 0
    while True:
        found = _SHARE.match(text, place)
        if found is None:
            raise ValueError("type shares in percent and why, like: v2=25 because it looks fine")
        arm = control.arm_of(found.group(1))
        if arm in shares:
            raise ValueError(f"{arm} is given twice")
        shares[arm] = Fraction(found.group(2))
        place = found.end()
        if found.group(3) != ",":
            break
    why = _WHY.match(text, place)
    reason = text[why.end() if why is not None else place :].strip()
    if not reason:
        raise ValueError("say why as well, for the audit: v2=25 because it looks fine")
    return shares, reason


def to_confirm(deployment: str) -> str:
    """What is typed to confirm a change: the name; of one character said again and again, more.

    A key that is held down must never be enough.
    """
    return deployment if len(set(deployment)) > 1 else f"move {deployment}"


def fallback_arm(control: Control, state: ControlState | None) -> str:
    """The first fallback that is not known to be down, else the first; "" without any."""
    targets = [t.arm for t in control.fallback.target] if control.fallback is not None else []
    if state is None:
        return next(iter(targets), "")
    from console.control.plane import Health  # noqa: PLC0415 - loaded with the hands
    from console.views.control_words import health_of  # noqa: PLC0415

    alive = [arm for arm in targets if health_of(state, arm)[0] is not Health.DOWN]
    return next(iter(alive or targets), "")


def on_fallback(control: Control, state: ControlState | None) -> bool:
    """Whether traffic is on a fallback: by the newest entries, or since nothing else takes any."""
    if state is None or control.fallback is None:
        return False
    if state.on_fallback:
        return True
    split = state.observed.split if state.observed is not None else None
    targets = {t.arm for t in control.fallback.target} - {control.stable}
    return split is not None and bool(split.taking) and set(split.taking) <= targets
