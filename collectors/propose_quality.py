"""Rules of data quality as a reference, or the first rows of a log, suggest them.

A suggestion is wide: a rule that cries at the next harmless value is switched off and forgotten.
"""

from __future__ import annotations

import math

from collectors.contract import Deployment, Feature, FeatureKind
from collectors.profile import ColumnProfile, LogProfile
from collectors.quality_rules import ColumnRule, Quality

__all__ = ["propose_quality"]

_MARGIN = 0.25
"""Part of a range by which it is widened on each side."""

_LEAST_ROWS = 100
"""Rows without which nothing is said of a column."""

_FEW = 30
_OFTEN = 20
"""Categories are listed where there are few, and as many rows for each in the mean."""

_LEAST_NULLS, _MOST_NULLS = 0.01, 0.5
"""Shares of missing values: the least that is allowed, and what is too many for a rule."""

_MOST_COLUMNS = 200


def propose_quality(
    d: Deployment, log: LogProfile, reference: LogProfile | None = None
) -> Quality | None:
    """Rules that the rows looked at keep; None where there are too few rows, or no features."""
    known = reference if reference is not None else log
    columns = {}
    for feature in d.features[:_MOST_COLUMNS]:
        profile = known.column(feature.name)
        rule = _rule(feature, profile) if profile is not None else None
        if rule is not None:
            columns[feature.name] = rule
    if not columns:
        return None
    return Quality(
        volume=(0.3, 3.0) if d.timed else None,
        duplicates=0.05 if d.id else None,
        unseen=0.05 if reference is not None else None,
        columns=columns,
    )


def _rule(feature: Feature, c: ColumnProfile) -> ColumnRule | None:
    if c.n < _LEAST_ROWS:
        return None
    limits: dict[str, object] = {}
    if feature.kind is FeatureKind.NUMERIC and c.low is not None and c.high is not None:
        limits = _range(c.low, c.high)
    listed = 0 < c.n_distinct == len(c.values) <= _FEW and c.n_values >= _OFTEN * c.n_distinct
    if feature.kind is FeatureKind.CATEGORICAL and listed and max(map(len, c.values)) < 200:
        limits = {"values": sorted(c.values)}
    missing = c.n_null / c.n
    if missing <= _MOST_NULLS:
        limits["nulls"] = round(max(_LEAST_NULLS, 2 * missing), 2)
    return ColumnRule.model_validate(limits) if limits else None


def _range(low: float, high: float) -> dict[str, object]:
    """[low, high] widened and rounded outwards; what is never negative stays so."""
    width = high - low
    if not math.isfinite(width) or max(-low, high) > 1e100:
        return {}
    margin = _MARGIN * width if width > 0 else max(abs(low), 1.0)
    least = low - margin if low < 0 else max(0.0, low - margin)
    most = high + margin if high > 0 else min(0.0, high + margin)
    # two digits of the width: a limit that a person would have chosen
    unit = 10.0 ** (math.floor(math.log10(width or max(abs(low), 1.0))) - 1)
    if not 0 < unit < math.inf or max(-least, most) / unit > 1e12:
        return {"min": least, "max": most}
    return {
        "min": min(float(f"{math.floor(least / unit) * unit:.12g}"), low),
        "max": max(float(f"{math.ceil(most / unit) * unit:.12g}"), high),
    }
