"""Records of a serving platform: what one of them means, as rows.

A platform's record is an envelope around a request, its response, both, or a label, often of many
rows at once. Its decoder turns it into `Row`s of plain columns, which are staged and loaded like
those of a table. Requests and responses that come apart are joined in the store.

Names: what a decoder knows has the names below; a feature has its own name, and what the model
answered begins with `output.`, or is `prediction` when it is one value without a name. A name that
would be taken twice begins with `input.`, so that names depend on one half of a record only.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from collectors.store.reasons import Reason

__all__ = [
    "ERROR",
    "ID",
    "KNOWN",
    "LABEL",
    "LATENCY",
    "LONGEST_LIST",
    "PREDICTION",
    "SAMPLING",
    "SERVICE",
    "TIMESTAMP",
    "VERSION",
    "Part",
    "Platform",
    "Record",
    "RecordError",
    "Row",
    "Scalar",
    "Takes",
    "feature_columns",
    "flat_columns",
    "item_id",
    "of_batch",
    "output_columns",
    "parsed",
    "whole_rows",
]

Scalar = str | bool | None
"""A value of a decoded row. Numbers stay as they are written: no digit is lost on the way."""

Record = Mapping[str, object]
"""A source record as `parsed` reads it."""

ID, TIMESTAMP, VERSION, ERROR = "id", "timestamp", "version", "error"
LATENCY, SAMPLING, LABEL, PREDICTION = "latency_ms", "sampling_fraction", "label", "prediction"
SERVICE = "service"

KNOWN = frozenset({ID, TIMESTAMP, VERSION, ERROR, LATENCY, SAMPLING, LABEL, PREDICTION, SERVICE})
"""Names that only a decoder gives."""

OUTPUT, INPUT = "output.", "input."

LONGEST_LIST = 2_000
"""Values of one feature that become columns; an image or an embedding is no set of features."""


class Part(StrEnum):
    """Which part of a prediction a row is."""

    WHOLE = "whole"
    REQUEST = "request"
    RESPONSE = "response"
    LABEL = "label"


class Takes(StrEnum):
    """Which rows of a file are wanted.

    also_labels: labels of a file whose predictions are read on their own, which keeps what cannot
    be read.
    """

    PREDICTIONS = "predictions"
    LABELS = "labels"
    ALSO_LABELS = "also labels"


class RecordError(ValueError):
    """A record that cannot be used: its reason, and a few words."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or reason.value)
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class Row:
    """One row of a record. request: what its halves are joined by; item of items, from 0.

    shadow: of a version whose answers were not served.
    """

    part: Part
    request: str
    values: dict[str, Scalar] = field(default_factory=dict)
    item: int = 0
    items: int = 1
    shadow: bool = False


class Platform(ABC):
    """A platform's format; a module of `collectors.formats` each, with one as its `DECODER`."""

    @abstractmethod
    def recognises(self, record: Record) -> bool:
        """Whether a record looks like one of this platform; told by its keys."""

    @abstractmethod
    def decode(self, record: Record) -> Sequence[Row]:
        """The rows of a record. Raises RecordError; nothing else, whatever is in it."""

    def of_path(self, path: Path) -> Mapping[str, Scalar]:
        """Columns that a file's path says of rows that do not say them."""
        return {}


_JSON = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def parsed(text: str) -> object:
    """JSON whose numbers stay text. Raises RecordError when it is none, or nested too deep."""
    try:
        return _JSON.decode(text)
    except RecursionError:
        raise RecordError(Reason.BAD_PAYLOAD, "nested too deep") from None
    except ValueError as error:
        raise RecordError(Reason.BAD_PAYLOAD, f"not JSON: {str(error)[:200]}") from None


def item_id(request: str, item: int, items: int) -> str:
    """The id of a row: the request's, with its place where there are several."""
    return request if items == 1 else f"{request}#{item}"


def of_batch(
    part: Part,
    request: str,
    values: Sequence[dict[str, Scalar]],
    common: Mapping[str, Scalar],
    *,
    shadow: bool = False,
) -> list[Row]:
    """Rows of a batch in its order, each with its id and what they have in common."""
    n = len(values)
    return [
        Row(part, request, {ID: item_id(request, i, n), **common, **v}, i, n, shadow)
        for i, v in enumerate(values)
    ]


def whole_rows(
    request: str,
    inputs: Sequence[dict[str, Scalar]],
    outputs: Sequence[dict[str, Scalar]],
    common: Mapping[str, Scalar],
) -> list[Row]:
    """Rows of a request and its response, one by one. Raises RecordError when sizes differ."""
    if len(inputs) != len(outputs):
        detail = f"{len(inputs)} rows asked, {len(outputs)} answered"
        raise RecordError(Reason.SIZES_DIFFER, detail)
    both = [{**i, **o} for i, o in zip(inputs, outputs, strict=True)]
    return of_batch(Part.WHOLE, request, both, common)


def flat_columns(record: Mapping[str, object]) -> dict[str, Scalar]:
    """A flat record's values by name, nested ones with a dot."""
    return dict(pair for name, value in record.items() for pair in _flat(name, value))


def feature_columns(value: object) -> dict[str, Scalar]:
    """What was asked for one row: its features by name, nested ones with a dot.

    A value without a name is `input`, a list is `input.0`, `input.1`, ...
    """
    if isinstance(value, dict):
        columns: dict[str, Scalar] = {}
        for name, inner in value.items():
            safe = f"{INPUT}{name}" if _taken(name) else name
            columns.update(_flat(safe, inner))
        return columns
    return dict(_flat(INPUT.rstrip("."), value))


def output_columns(value: object) -> dict[str, Scalar]:
    """What the model answered for one row: `prediction`, or `output.` and its names."""
    if isinstance(value, dict):
        return dict(pair for name, inner in value.items() for pair in _flat(OUTPUT + name, inner))
    if isinstance(value, list) and len(value) == 1:
        return output_columns(value[0])
    if isinstance(value, list):
        return dict(_flat(OUTPUT.rstrip("."), value))
    return {PREDICTION: _scalar(value)}


def _taken(name: str) -> bool:
    return name in KNOWN or name.startswith((OUTPUT, INPUT))


def _flat(name: str, value: object, depth: int = 0) -> Iterator[tuple[str, Scalar]]:
    """A value as columns: a table of one row, as deep as eight names."""
    if isinstance(value, dict) and depth < 8:
        for inner, of in value.items():
            yield from _flat(f"{name}.{inner}", of, depth + 1)
    elif isinstance(value, list) and depth < 8:
        if len(value) > LONGEST_LIST:
            return
        for i, of in enumerate(value):
            yield from _flat(f"{name}.{i}", of, depth + 1)
    else:
        yield name, _scalar(value)


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, str | bool):
        return value
    return json.dumps(value)[:1000]
