"""Which columns are watched as features, which of them split figures, which explain an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collectors.profile import ColumnProfile, LogProfile
from collectors.role_names import plain_name

__all__ = ["LeftOut", "attributions", "features_of", "is_id_like", "segments_of"]

LeftOut = list[tuple[str, str]]
"""(column, why) of what is no feature."""

_MOST_WORDS = 1_000
"""Distinct texts of a column that is watched as categories."""

MOST_FEATURES = 200
"""Features that are watched without being named: each is work for every row."""

_MOST_SEGMENTS, _MOST_VALUES = 6, 30
_CONTRIBUTIONS = (
    "shap", "shap_value", "shap_values", "attribution", "attributions", "contrib", "contribution",
)  # fmt: skip

_HINTS = (
    "region", "country", "state", "city", "segment", "group", "gender", "sex", "age_group",
    "channel", "device", "platform", "category", "type", "origin", "carrier", "product", "brand",
)  # fmt: skip


def is_id_like(c: ColumnProfile) -> bool:
    """Whether nearly every row has a value of its own that is no measurement."""
    if c.n_values < 20 or c.n_distinct < 0.98 * c.n_values:
        return False
    return not c.numeric or (c.integer and plain_name(c.name).endswith(("id", "key", "number")))


def features_of(
    free: Sequence[ColumnProfile], given: Sequence[str], left_out: LeftOut, *, typed: bool
) -> dict[str, list[str]]:
    """Columns by kind: {"numeric": [...], "categorical": [...]}.

    typed: the files say what a column holds, so that digits in a text are a code.
    """
    kinds: dict[str, list[str]] = {"numeric": [], "categorical": []}
    for c in free:
        if given and c.name not in given:
            continue
        why = "" if c.name in given else _no_feature(c)
        if not (why or given) and sum(map(len, kinds.values())) >= MOST_FEATURES:
            why = f"more than {MOST_FEATURES} features; --feature names those to watch"
        if why:
            left_out.append((c.name, why))
            continue
        code = typed and c.type == "VARCHAR" and c.n_distinct <= _MOST_WORDS
        numeric = c.numeric and not code and not (c.integer and c.n_distinct <= 2)
        kinds["numeric" if numeric else "categorical"].append(c.name)
    return kinds


def _no_feature(c: ColumnProfile) -> str:
    if c.is_time or c.epoch:
        return "a time"
    if is_id_like(c):
        return "a value of its own in nearly every row: an id or free text"
    if not c.numeric and c.n_distinct > _MOST_WORDS:
        return f"{c.n_distinct} different texts"
    if not c.numeric and c.n_values and sum(map(len, c.values)) > 80 * len(c.values):
        return "long texts"
    return ""


def segments_of(
    log: LogProfile, kinds: Mapping[str, Sequence[str]], given: Sequence[str]
) -> list[str]:
    """Columns to split figures by: as given, else categories of few values, usual names first."""
    if given:
        return list(given)
    found = []
    for name in kinds["categorical"]:
        c = log.column(name)
        if c is not None and 2 <= c.n_distinct <= _MOST_VALUES:
            found.append(c)
    hinted = sorted(found, key=lambda c: not any(h in plain_name(c.name) for h in _HINTS))
    return [c.name for c in hinted[:_MOST_SEGMENTS]]


def attributions(names: Sequence[str]) -> dict[str, str]:
    """feature -> the column of its contribution, by name: `shap_x`, `attribution_x`, `x_shap`."""
    before = [f"{word}{sign}" for word in _CONTRIBUTIONS for sign in ("_", ".", "")]
    after = [f"{sign}{word}" for word in _CONTRIBUTIONS for sign in ("_", ".")]
    known: dict[str, str] = {}
    for name in names:
        known |= {f"{begin}{name}".lower(): name for begin in before}
        known |= {f"{name}{end}".lower(): name for end in after}
    found: dict[str, str] = {}
    for name in names:
        feature = known.get(name.lower())
        if feature is not None:
            found.setdefault(feature, name)
    return found
