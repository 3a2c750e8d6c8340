"""What planes share about arms: weights that must not be written, health of several replicas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collectors.text import clean
from console.control.plane import ArmHealth, Health
from console.control.split import Split

__all__ = ["shown", "worst", "wrong_weights"]

_ORDER = (Health.UP, Health.UNKNOWN, Health.DOWN)


def wrong_weights(split: Split, arms: tuple[str, ...], total: int) -> Iterator[str]:
    """Why weights must not be written to a plane with these arms, one sentence each.

    Servers take many of them and then answer no request at all.
    """
    names = split.arms
    for arm in dict.fromkeys(names):
        if names.count(arm) > 1:
            yield f"{clean(arm)} is named twice"
        if arm not in arms:
            yield f"there is no arm {clean(arm)!r}; there is {clean(', '.join(arms), 300)}"
    for arm in arms:
        if arm not in names:
            yield f"the weight of {clean(arm)} is missing"
    for arm, weight in split.weights:
        # bool is an int, and what comes from elsewhere may be no int at all
        if not isinstance(weight, int) or isinstance(weight, bool):
            yield f"the weight of {clean(arm)} is no whole number"
            return
        if weight < 0:
            yield f"the weight of {clean(arm)} is below 0"
    if split.total == 0 and all(weight == 0 for _, weight in split.weights):
        yield "all weights are 0, so that no request would be answered"
    elif split.total != total:
        yield f"the weights add up to {clean(split.total, 40)}, not to {total}"


def worst(arm: str, told: Sequence[ArmHealth]) -> ArmHealth:
    """An arm's health on all replicas that said something: the worst."""
    if not told:
        return ArmHealth(arm, Health.UNKNOWN)
    return max(told, key=lambda one: _ORDER.index(one.health))


def shown(kind: str, places: Sequence[str]) -> str:
    """A plane's name: what it is and where; of many replicas the first."""
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"{kind} {places[0]}{more}"
