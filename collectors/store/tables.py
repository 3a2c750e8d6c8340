"""Rollup tables: their keys, and what is added up in them. DDL and merging follow from one list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DELAY", "INPUTS", "RollupTable"]


@dataclass(frozen=True, slots=True)
class RollupTable:
    """A rollup: one row per bucket, version and `keys`, more of them until they are merged.

    keys: name -> type; a type without NOT NULL allows NULL. counts: BIGINT, sums: DOUBLE, both
    added up; lows and highs: DOUBLE or NULL, of which the least and the greatest counts.
    """

    name: str
    keys: Mapping[str, str]
    counts: tuple[str, ...]
    sums: tuple[str, ...] = ()
    lows: tuple[str, ...] = ()
    highs: tuple[str, ...] = ()

    @property
    def definition(self) -> str:
        """All columns as DDL."""
        columns = [
            "bucket TIMESTAMP NOT NULL",
            "version VARCHAR NOT NULL",
            *(f"{name} {kind}" for name, kind in self.keys.items()),
            *(f"{name} BIGINT NOT NULL" for name in self.counts),
            *(f"{name} DOUBLE NOT NULL" for name in self.sums),
            *(f"{name} DOUBLE" for name in (*self.lows, *self.highs)),
        ]
        return ", ".join(columns)

    @property
    def columns(self) -> str:
        """Names of all columns, as SQL."""
        amounts = (*self.counts, *self.sums, *self.lows, *self.highs)
        return ", ".join(("bucket", "version", *self.keys, *amounts))

    @property
    def merged(self) -> str:
        """The amounts of several rows of the same keys, as a SQL list."""
        return ", ".join(
            (
                *(f"CAST(sum({name}) AS BIGINT) AS {name}" for name in self.counts),
                *(f"sum({name}) AS {name}" for name in self.sums),
                *(f"min({name}) AS {name}" for name in self.lows),
                *(f"max({name}) AS {name}" for name in self.highs),
            )
        )


_BIN = {"bin": "SMALLINT NOT NULL"}

DELAY = RollupTable("rollup_delay", _BIN, ("n",))
"""How long labels took; bin: floor(8 ln(1 + seconds))."""

INPUTS = (
    # bin: -1 missing, -2 not finite, -3 unseen category
    RollupTable(
        "rollup_feature",
        {"feature": "SMALLINT NOT NULL", **_BIN},
        ("n",),
        ("value_sum", "value_sq"),
        ("value_min",),
        ("value_max",),
    ),
    # per 5 minutes, as the next; n_cost: rows that have a cost
    RollupTable("rollup_volume", {}, ("n", "n_error", "n_cost"), ("cost_sum",)),
    # bin: floor(8 ln ms)
    RollupTable("rollup_latency", _BIN, ("n",), ("latency_sum",)),
)
