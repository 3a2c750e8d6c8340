"""Asks all replicas of a plane at the same time, so that one that hangs does not hold up others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["each"]

_MOST_AT_ONCE = 16

T = TypeVar("T")
R = TypeVar("R")


def each(call: Callable[[T], R], items: Sequence[T]) -> tuple[R, ...]:
    """The call on every item, in order, each in a thread of its own. What it raises is raised."""
    if len(items) < 2:
        return tuple(call(item) for item in items)
    with ThreadPoolExecutor(min(len(items), _MOST_AT_ONCE), "replica") as pool:
        return tuple(pool.map(call, items))
