"""A traffic split: whole weights by arm, and the way from percent to them.

An arm is what a control plane calls one of the places that it sends requests to; which version
answers there is the configuration's to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Split", "split_of_percent"]


@dataclass(frozen=True, slots=True)
class Split:
    """Weights by arm, in the order of the configuration; whole numbers from 0.

    The weights of a plane are what it was told, so a split that was read may add up to anything,
    also to nothing.
    """

    weights: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, weights: Mapping[str, int] | Iterable[tuple[str, int]]) -> Split:
        """From a mapping or from pairs."""
        pairs = weights.items() if isinstance(weights, Mapping) else weights
        return cls(tuple(pairs))

    @property
    def total(self) -> int:
        """The sum of the weights."""
        return sum(weight for _, weight in self.weights)

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms, also those with weight 0."""
        return tuple(arm for arm, _ in self.weights)

    @property
    def taking(self) -> tuple[str, ...]:
        """The arms that get traffic."""
        return tuple(arm for arm, weight in self.weights if weight > 0)

    def weight(self, arm: str) -> int:
        """The weight of an arm; 0 of one that is not there."""
        return next((weight for name, weight in self.weights if name == arm), 0)

    def share(self, arm: str) -> float:
        """The share of the traffic, 0 to 1; 0 where all weights are 0."""
        return self.weight(arm) / self.total if self.total > 0 else 0.0

    def same_shares(self, other: Split) -> bool:
        """Whether traffic is split alike, exactly: 1 to 3 is as 25 to 75."""
        arms = dict.fromkeys((*self.arms, *other.arms))
        return all(
            self.weight(arm) * other.total == other.weight(arm) * self.total for arm in arms
        ) and (self.total > 0) == (other.total > 0)

    def scaled(self, total: int) -> Split | None:
        """The same shares as weights that add up to `total`; None where whole ones cannot."""
        if self.total <= 0 or any(w * total % self.total for _, w in self.weights):
            return None
        return Split(tuple((arm, w * total // self.total) for arm, w in self.weights))

    def __str__(self) -> str:
        return ", ".join(f"{arm} {percent_text(self.share(arm))}" for arm in self.arms)


def percent_text(share: float) -> str:
    """A share as percent, with as many digits as it needs: 25%, 0.39%."""
    return f"{100 * share:.4g}%"


def split_of_percent(
    percent: Mapping[str, Fraction], arms: Iterable[str], base: Split, total: int
) -> Split:
    """Whole weights that add up to `total`: the named arms get what is said, the others the rest.

    What is left over is divided among the arms not named as they divide the traffic in `base`;
    where they have none there, the first of them gets it. Raises ValueError in a sentence for an
    unknown arm, a share below 0 or above 100, shares that do not add up, and one that `total`
    cannot say.
    """
    known = tuple(arms)
    for arm, share in percent.items():
        if arm not in known:
            raise ValueError(f"there is no arm {arm!r}; there is {', '.join(known)}")
        if not 0 <= share <= 100:
            raise ValueError(f"{arm} cannot get {float(share):g}% of the traffic")
    said = sum(percent.values(), Fraction(0))
    others = [arm for arm in known if arm not in percent]
    if said > 100 or (said < 100 and not others):
        raise ValueError(f"the shares add up to {float(said):g}%, not to 100%")
    weights: dict[str, int] = {}
    for arm, share in percent.items():
        weight = share * total / 100
        if weight.denominator != 1:
            least = percent_text(1 / total)
            raise ValueError(f"{float(share):g}% cannot be said here: the smallest step is {least}")
        weights[arm] = int(weight)
    rest = total - sum(weights.values())
    weights |= _shared_out(rest, {arm: base.weight(arm) for arm in others})
    return Split(tuple((arm, weights[arm]) for arm in known))


def _shared_out(rest: int, by: Mapping[str, int]) -> dict[str, int]:
    """Largest remainders; with nothing to go by, all for the first."""
    whole = sum(by.values())
    if whole <= 0:
        return {arm: rest if place == 0 else 0 for place, arm in enumerate(by)}
    exact = {arm: Fraction(rest * weight, whole) for arm, weight in by.items()}
    floors = {arm: int(share) for arm, share in exact.items()}
    missing = rest - sum(floors.values())
    for arm in sorted(exact, key=lambda a: exact[a] - floors[a], reverse=True)[:missing]:
        floors[arm] += 1
    return floors
