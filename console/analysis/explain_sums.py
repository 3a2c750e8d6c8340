"""The rows of both sides cut in every way that rollups are kept in: one group per value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.contract import Deployment
from console.analysis.against import Side
from console.analysis.ask import Ask
from console.analysis.decomposition import Groups, Sums
from console.analysis.loss_squares import with_loss_squares
from console.analysis.ratios import Ratio, tally
from console.analysis.subgroups import segment_name

__all__ = ["Cut", "Grouped", "Kind", "SideFrames", "grouped", "slice_number", "slice_rows"]

_VERSION = -1
_CONDITION = 1_000_000  # numbers of conditions begin here, those of segments below

ORDINARY = "ordinary"

_PLACE = ("cut", "value", "value2")

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Kind(StrEnum):
    """What a dimension cuts the rows by, the simplest first."""

    VERSION = "version"
    SEGMENT = "segment"
    CONDITION = "condition"
    """A feature's value: ordinary, missing, or outside what the reference has."""
    CROSS = "cross"


@dataclass(frozen=True, slots=True)
class SideFrames:
    """One side: outcome rows by segment (0: all rows), with or without score bins.

    binned: the whole by score bin, for the spread of losses. conditions: segment is the feature's
    number, value is missing or outside; None where not kept.
    """

    totals: pl.DataFrame
    binned: pl.DataFrame | None = None
    conditions: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """A dimension: its columns, and which of its value columns are meant."""

    kind: Kind
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """As the JSON has it."""
        return ",".join(self.names)


@dataclass(frozen=True, slots=True)
class Grouped:
    """Groups of all dimensions in a row; `cut` is the place in `cuts` of each.

    rows, rows_other: labelled rows of each. whole_rows: labelled rows of both sides; all_rows: with
    those without a label.
    """

    sums: Groups
    cuts: tuple[Cut, ...]
    cut: IntArray
    values: tuple[tuple[str, str], ...]
    rows: FloatArray
    rows_other: FloatArray
    whole_rows: tuple[float, float]
    all_rows: tuple[float, float]


def grouped(ask: Ask, ratio: Ratio, now: SideFrames, other: SideFrames) -> Grouped:
    """Sums of every group on both sides; the same groups in the same order."""
    d = ask.deployment
    features = _features(now, other)
    whole, mine = _side(ask, ratio, now, features)
    whole_other, theirs = _side(ask, ratio, other, features)
    sums = [c for c in mine.columns if c not in _PLACE]
    both = mine.join(theirs, on=list(_PLACE), how="full", coalesce=True, suffix="_other")
    both = both.with_columns(pl.exclude(_PLACE).fill_null(0.0)).sort(_PLACE)
    place = both["cut"].to_numpy()
    numbers, cut = np.unique(place, return_inverse=True)
    left = both.select(sums)
    right = both.select(pl.col(f"{c}_other").alias(c) for c in sums)
    return Grouped(
        Groups(
            Sums.of(ratio, left),
            Sums.of(ratio, right),
            Sums.of(ratio, whole),
            Sums.of(ratio, whole_other),
            cut.astype(np.int64),
            len(numbers),
        ),
        tuple(_cut(d, int(number)) for number in numbers),
        cut.astype(np.int64),
        tuple(both.select("value", "value2").rows()),
        left["n_labelled"].to_numpy(),
        right["n_labelled"].to_numpy(),
        (float(whole["n_labelled"][0]), float(whole_other["n_labelled"][0])),
        (float(whole["n"][0]), float(whole_other["n"][0])),
    )


def _features(now: SideFrames, other: SideFrames) -> pl.DataFrame | None:
    """Numbers of the features that have rows of a condition on either side; None: not kept."""
    if now.conditions is None or other.conditions is None:
        return None
    number = pl.col("segment").cast(pl.Int64).alias("cut")
    both = pl.concat([now.conditions.select(number), other.conditions.select(number)])
    return both.unique().select(pl.col("cut") + _CONDITION)


def _side(
    ask: Ask, ratio: Ratio, side: SideFrames, features: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(one row: the whole; one row per group with the columns of _PLACE and the sums)."""
    d = ask.deployment
    prepared = with_loss_squares(d, ratio, side.totals, side.binned)
    table = tally(d, ratio, slice_rows(ask, prepared))
    sums = [pl.col(c).sum() for c in table.columns if c not in ("version", *_PLACE, "segment")]
    base = pl.col("segment") == 0
    whole = table.filter(base).select(sums)
    # of one version against another, "the versions changed" is no answer
    alike = ask.against.side is Side.VERSION
    version = pl.lit("") if alike else pl.col("version")
    versions = table.filter(base).group_by(value=version, maintain_order=True).agg(sums)
    cut = pl.lit(_VERSION, pl.Int64).alias("cut")
    parts = [versions.select(cut, "value", pl.lit("").alias("value2"), pl.exclude("value"))]
    segments = table.filter(~base).with_columns(cut=pl.col("segment").cast(pl.Int64))
    parts.append(segments.group_by(_PLACE, maintain_order=True).agg(sums))
    if side.conditions is not None and features is not None and not slice_number(ask):
        found = with_loss_squares(d, ratio, side.conditions, side.binned)
        parts.append(_conditions(tally(d, ratio, found), whole, features))
    names = parts[0].columns
    return whole, pl.concat([p.select(names) for p in parts])


def _conditions(table: pl.DataFrame, whole: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
    """Missing and outside per feature, and the ordinary rows: the whole without these."""
    cut = (pl.col("segment").cast(pl.Int64) + _CONDITION).alias("cut")
    names = whole.columns
    sums = [pl.col(c).sum() for c in names]
    found = table.with_columns(cut).group_by(_PLACE, maintain_order=True).agg(sums)
    # a feature that was always ordinary here has no row of its own
    others = features.join(
        found.group_by("cut", maintain_order=True).agg(sums), on="cut", how="left"
    )
    others = others.with_columns(pl.col(names).fill_null(0.0))
    rest = others.select(
        "cut",
        pl.lit(ORDINARY).alias("value"),
        pl.lit("").alias("value2"),
        *(pl.lit(whole[c][0], pl.Float64).alias(c) - pl.col(c) for c in names),
    )
    # what a subtraction leaves of nothing is rounding
    small = {c: 1e-9 * abs(float(whole[c][0])) for c in names}
    rest = rest.with_columns(
        pl.when(pl.col(c).abs() <= small[c]).then(0.0).otherwise(pl.col(c)).alias(c) for c in names
    )
    return pl.concat([found.select(*_PLACE, *names), rest.select(*_PLACE, *names)])


def slice_number(ask: Ask) -> int:
    """Number of the segment or cross that holds the asked slice; 0 where all rows are asked for."""
    wanted = _wanted(ask)
    if ask.segment is None or not wanted:
        return 0
    return 1 + next(iter(wanted)) if len(wanted) == 1 else ask.segment.number_in(ask.deployment)


def _wanted(ask: Ask) -> dict[int, str]:
    """Place of a segment -> its asked value."""
    known = [s.name for s in ask.deployment.segments]
    held = zip(ask.segment.names, ask.segment.values, strict=True) if ask.segment else ()
    return {known.index(name): value for name, value in held if value is not None}


def slice_rows(ask: Ask, table: pl.DataFrame) -> pl.DataFrame:
    """Outcome rows of the asked slice only: as the whole (segment 0), and by the other column of
    each of its crosses.
    """
    own, wanted = slice_number(ask), _wanted(ask)
    if not own:
        return table
    d = ask.deployment
    known = d.segments
    parts = []
    columns = table.columns
    for number in range(1, 1 + len(known) + len(d.segment_crosses)):
        places = (
            (number - 1,) if number <= len(known) else d.segment_crosses[number - 1 - len(known)]
        )
        if not set(wanted) <= set(places):
            continue
        part = table.filter(pl.col("segment") == number)
        for column, at in zip(("value", "value2"), places, strict=False):
            if at in wanted:
                part = part.filter(pl.col(column) == wanted[at])
        if number == own:
            nothing = {"value": pl.lit(""), "value2": pl.lit("")}
            parts.append(part.with_columns(pl.lit(0).alias("segment"), **nothing).select(columns))
        elif len(places) == 2:
            at = 0 if places[0] not in wanted else 1
            parts.append(
                part.with_columns(
                    pl.lit(places[at] + 1).alias("segment"),
                    value=pl.col("value" if at == 0 else "value2"),
                    value2=pl.lit(""),
                ).select(columns)
            )
    kept = [p.with_columns(pl.col("segment").cast(pl.Int64)) for p in parts]
    return pl.concat(kept) if kept else table.clear()


def _cut(d: Deployment, number: int) -> Cut:
    if number == _VERSION:
        return Cut(Kind.VERSION, ("version",))
    if number >= _CONDITION:
        return Cut(Kind.CONDITION, (d.features[number - _CONDITION].name,))
    names = segment_name(d, number)
    return Cut(Kind.SEGMENT if len(names) == 1 else Kind.CROSS, names)
