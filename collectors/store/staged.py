"""Which columns a staged table has, and what they are called there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from collectors.store.names import quote

__all__ = ["StagedColumns", "staged_columns"]


@dataclass(frozen=True, slots=True)
class StagedColumns:
    """Columns of a staged table: name in the file -> DuckDB type, and -> its name in `stage`.

    A column without a physical name stands in `stage` under its own. halves: `stage` also has
    `part` (whole, request or response), `request`, `item` (from 0) and `items`: which request a
    row belongs to, its place in it and how many there are.
    """

    types: Mapping[str, str]
    physical: Mapping[str, str] = field(default_factory=dict)
    halves: bool = False

    def has(self, name: str) -> bool:
        """Whether the file has this column."""
        return bool(name) and name in self.types

    def kind(self, name: str) -> str:
        """The column's type, upper case."""
        return self.types[name].upper()

    def sql(self, name: str) -> str:
        """The column in `stage`, as SQL."""
        return self.physical.get(name) or quote(name)


def staged_columns(types: Mapping[str, str]) -> StagedColumns:
    """Columns that stand in `stage` as c0, c1, ... in this order.

    Names in a file may differ only by case, which DuckDB does not tell apart, or be anything.
    """
    return StagedColumns(types, {name: f"c{i}" for i, name in enumerate(types)})
