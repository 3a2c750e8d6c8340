"""Which raw predictions of a slice are listed."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["RowKind", "row_kinds"]


class RowKind(StrEnum):
    """Which rows, the most telling first."""

    WRONG = "wrong"
    """Wrong answers, the surest first; of a regression the largest errors."""
    FALSE_POSITIVE = "false_positive"
    FALSE_NEGATIVE = "false_negative"
    UNLABELLED = "unlabelled"
    """Without a label, the oldest first."""
    FAILED = "failed"
    OUTSIDE = "outside"
    """Of which a feature is missing, or outside what the reference has."""
    ALL = "all"
    """The newest first."""


def row_kinds(*, binary: bool) -> tuple[RowKind, ...]:
    """Kinds of rows without naming a feature, in the order of a key. binary: of such a model."""
    others = (RowKind.UNLABELLED, RowKind.FAILED, RowKind.ALL)
    if binary:
        return (RowKind.WRONG, RowKind.FALSE_NEGATIVE, RowKind.FALSE_POSITIVE, *others)
    return (RowKind.WRONG, *others)
