"""Which arm is which place of a route."""

from __future__ import annotations

from collections.abc import Sequence

from collectors.text import clean
from console.control.errors import PlaneError

__all__ = ["placed"]


def placed(
    arms: tuple[str, ...], names: Sequence[tuple[str, ...]], where: str
) -> tuple[tuple[str, int], ...]:
    """(arm, place) in the order of the arms. names: what each place may be called.

    Raises PlaneError when arms and places are not one to one: a place that nobody knows of would
    get traffic unseen.
    """
    found: list[tuple[str, int]] = []
    listed = clean(", ".join(n[0] for n in names), 300)
    for arm in arms:
        mine = [place for place, known in enumerate(names) if arm in known]
        if not mine:
            raise PlaneError(f"{where} has no {clean(arm)}; it has {listed}")
        if len(mine) > 1:
            other = next((n for n in names[mine[0]] if sum(n in k for k in names) == 1), "")
            hint = f"; call it {clean(other)}" if other else ""
            raise PlaneError(f"{where} has {clean(arm)} {len(mine)} times{hint}")
        found.append((arm, mine[0]))
    taken = {place for _, place in found}
    if len(taken) < len(found):
        raise PlaneError(f"two arms are the same place of {where}")
    for place, known in enumerate(names):
        if place not in taken:
            raise PlaneError(f"{where} also sends to {clean(known[0])}, which is none of the arms")
    return tuple(found)
