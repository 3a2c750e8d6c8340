"""From a figure on the screen to the raw rows behind it."""

from __future__ import annotations

from dataclasses import replace

from collectors.contract import Task
from collectors.row_kinds import RowKind, row_kinds
from console.analysis.ask import Ask, RowsAsk
from console.explaining import target_of
from console.feed import Explain, RowsRequest
from console.snapshots import Taker

__all__ = ["parse_kind", "rows_ask"]

_BY_FIGURE = {
    "recall": RowKind.FALSE_NEGATIVE,
    "fnr": RowKind.FALSE_NEGATIVE,
    "precision": RowKind.FALSE_POSITIVE,
    "fpr": RowKind.FALSE_POSITIVE,
    "specificity": RowKind.FALSE_POSITIVE,
    "coverage": RowKind.UNLABELLED,
    "error_rate": RowKind.FAILED,
}


def parse_kind(text: str, most: int = 100) -> RowsAsk:
    """`wrong`, `unlabelled`, ..., `outside=FEATURE`. Raises ValueError naming the kinds."""
    kind, _, subject = text.partition("=")
    if kind not in set(RowKind) or (kind == RowKind.OUTSIDE) != bool(subject):
        known = ", ".join(k.value for k in RowKind if k is not RowKind.OUTSIDE)
        raise ValueError(f"{text!r} is no kind of row; there is {known}, outside=FEATURE")
    return RowsAsk(RowKind(kind), subject, most)


def rows_ask(taker: Taker, ask: Ask, request: RowsRequest | None) -> Ask:
    """The ask of the rows pane: narrowed to the figure it was opened from."""
    if request is None:
        return ask
    narrowed, figure = _narrowed(taker, ask, request.origin)
    kind = request.kind
    subject = ""
    if request.origin is not None and request.origin.pane == "drift":
        subject = _feature(ask, request.origin)
        kind = kind or (RowKind.OUTSIDE if subject else RowKind.ALL)
    kind = kind or _BY_FIGURE.get(figure, RowKind.WRONG)
    if kind not in (*row_kinds(binary=narrowed.deployment.task is Task.BINARY), RowKind.OUTSIDE):
        kind = RowKind.WRONG
    subject = subject if kind is RowKind.OUTSIDE else ""
    return replace(narrowed, rows=RowsAsk(kind, subject))


def _narrowed(taker: Taker, ask: Ask, origin: Explain | None) -> tuple[Ask, str]:
    """The slice of a figure, and the figure's name; the whole where it has none."""
    if origin is None:
        return ask, ""
    found = target_of(taker, ask, origin)
    if isinstance(found, str) and "/" in origin.row:  # a line below a version, as its baseline
        found = target_of(taker, ask, replace(origin, row=origin.row.rpartition("/")[0]))
    return (ask, "") if isinstance(found, str) else found


def _feature(ask: Ask, origin: Explain) -> str:
    """The feature of a row of the drift pane; empty for an output."""
    name = origin.row.partition("/")[2]
    return name if any(f.name == name for f in ask.deployment.features) else ""
