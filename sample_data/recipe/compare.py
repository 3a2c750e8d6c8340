"""Tell whether a rebuilt sample is the shipped one.

Ids, times, labels, routing and features must be equal; scores may differ a
little, because linear algebra rounds differently on different machines. The
models' own numbers are not compared: one split that falls otherwise changes a
whole tree and hardly a score. Their files must be the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from recipe.tables import Sample

SCORE_TOLERANCE = 1e-3  # late_score, thresholds and AUC
DELAY_TOLERANCE = 0.05  # minutes, delay_predicted
SUM_TOLERANCE = 1e-9  # fallback_score and fallback_delay: rounding of one division
OUTLIERS = 0.001  # share of a file's rows that may lie outside the tolerance

_TOLERANCES = {
    "late_score": SCORE_TOLERANCE,
    "delay_predicted": DELAY_TOLERANCE,
    "fallback_score": SUM_TOLERANCE,
    "fallback_delay": SUM_TOLERANCE,
}
_DECISION = "late_predicted"


@dataclass(frozen=True, slots=True)
class Report:
    """What was compared, and every difference found (none: the sample matches)."""

    compared: tuple[str, ...]
    differences: tuple[str, ...]


def compare(shipped: Sample, rebuilt: Sample) -> Report:
    """Compare file by file, column by column."""
    compared: list[str] = []
    differences = list(_files(shipped, rebuilt))
    for name in sorted(shipped.frames.keys() & rebuilt.frames.keys()):
        ours, theirs = shipped.frames[name], rebuilt.frames[name]
        found = list(_frame(ours, theirs))
        differences += [f"{name}: {text}" for text in found]
        compared.append(f"{name}: {ours.height:,} rows, {ours.width} columns{_gap(ours, theirs)}")
    differences += _facts(shipped.facts, rebuilt.facts)
    compared.append("models.json: days and row counts exactly, the rest within tolerance")
    return Report(tuple(compared), tuple(differences))


def _files(shipped: Sample, rebuilt: Sample) -> Iterator[str]:
    for name in sorted(shipped.frames.keys() ^ rebuilt.frames.keys()):
        yield f"{name}: only in the {'shipped' if name in shipped.frames else 'rebuilt'} sample"
    for name in sorted(shipped.served.keys() ^ rebuilt.served.keys()):
        yield f"serving/{name}: only in one of the samples"


def _frame(shipped: pl.DataFrame, rebuilt: pl.DataFrame) -> Iterator[str]:
    """Differences of one file; a different shape ends the comparison of its values."""
    if shipped.schema != rebuilt.schema:
        yield f"columns {shipped.schema} became {rebuilt.schema}"
        return
    if shipped.height != rebuilt.height:
        yield f"{shipped.height} rows became {rebuilt.height}"
        return
    for column in shipped.columns:
        ours, theirs = shipped[column], rebuilt[column]
        if column in _TOLERANCES:
            yield from _close(ours, theirs, _TOLERANCES[column])
        elif column == _DECISION:
            yield from _decided(ours, theirs)
        else:
            yield from _equal(ours, theirs)


def _equal(shipped: pl.Series, rebuilt: pl.Series) -> Iterator[str]:
    different = int(shipped.ne_missing(rebuilt).sum())
    if different:
        yield f"{shipped.name} differs in {different} of {shipped.len()} rows"


def _close(shipped: pl.Series, rebuilt: pl.Series, tolerance: float) -> Iterator[str]:
    outside = int(((shipped - rebuilt).abs() > tolerance).sum())
    if outside > OUTLIERS * shipped.len():
        yield f"{shipped.name} is off by more than {tolerance} in {outside} rows"


def _decided(shipped: pl.Series, rebuilt: pl.Series) -> Iterator[str]:
    """Let a few decisions flip: a score that touches its threshold may cross it."""
    flipped = int((shipped != rebuilt).sum())
    if flipped > OUTLIERS * shipped.len():
        yield f"{shipped.name} flipped in {flipped} rows"


def _gap(shipped: pl.DataFrame, rebuilt: pl.DataFrame) -> str:
    """Name the largest difference in score, for the printed line."""
    if "late_score" not in shipped.columns or shipped.height != rebuilt.height:
        return ""
    scores = (shipped["late_score"] - rebuilt["late_score"]).abs().to_numpy().max()
    minutes = (shipped["delay_predicted"] - rebuilt["delay_predicted"]).abs().to_numpy().max()
    return f", largest gap {scores:.1e} in late_score, {minutes:.1e} min in delay_predicted"


def _facts(shipped: dict[str, Any], rebuilt: dict[str, Any]) -> list[str]:
    ours, theirs = _flat(shipped), _flat(rebuilt)
    keys = sorted(ours.keys() | theirs.keys())
    return [f"models.json: {key} differs" for key in keys if not _same(ours, theirs, key)]


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    return {f"{model}.{key}": v for model, fact in facts.items() for key, v in fact.items()}


def _same(ours: dict[str, Any], theirs: dict[str, Any], key: str) -> bool:
    one, other = ours.get(key), theirs.get(key)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= SCORE_TOLERANCE
    return bool(one == other)
