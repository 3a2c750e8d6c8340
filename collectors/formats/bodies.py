"""Bodies of requests and responses of model servers, as one dict of columns per row.

Understood: V1 (`instances`, `predictions`), V2 or Open Inference Protocol (`inputs`, `outputs` of
tensors), TensorFlow's columns (`inputs` as an object), MLflow (`dataframe_records`,
`dataframe_split`), Seldon (`data` with `names` and `ndarray` or `tensor`), a bare list of rows, and
a bare object as one row.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence

from collectors.formats.records import (
    PREDICTION,
    RecordError,
    Scalar,
    feature_columns,
    output_columns,
    parsed,
)
from collectors.store.reasons import Reason

__all__ = ["body_of", "decoded_base64", "error_in", "request_rows", "response_rows"]

Columns = dict[str, Scalar]

LONGEST_BATCH = 200_000
"""Rows of one record."""


def body_of(value: object) -> object:
    """A body that stands as an object, or as JSON in a text. Raises RecordError."""
    if isinstance(value, str):
        if not value.strip():
            raise RecordError(Reason.NO_PAYLOAD, "an empty body")
        return parsed(value)
    if value is None:
        raise RecordError(Reason.NO_PAYLOAD, "no body")
    return value


def decoded_base64(value: str) -> str:
    """Text that was sent as base64. Raises RecordError for bytes that are no text."""
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise RecordError(Reason.BINARY_PAYLOAD, f"base64 that is no text: {error}") from None


def error_in(body: object) -> str | None:
    """What a response says went wrong; None when it is no error."""
    if not isinstance(body, dict) or "predictions" in body or "outputs" in body:
        return None
    said = body.get("error", body.get("error_code"))
    if said is None or said == "":
        return None
    return said[:200] if isinstance(said, str) else "error"


def request_rows(body: object) -> list[Columns]:
    """Rows that were asked for, in the order of the batch. Raises RecordError."""
    return _rows(body, "instances", "inputs", feature_columns)


def response_rows(body: object) -> list[Columns]:
    """Answers, in the order of the batch. Raises RecordError."""
    return _rows(body, "predictions", "outputs", output_columns)


def _rows(
    body: object, rows_key: str, tensors_key: str, columns: Callable[[object], Columns]
) -> list[Columns]:
    rows: list[Columns]
    if isinstance(body, list):
        rows = [columns(item) for item in _batch(body)]
    elif not isinstance(body, dict):
        rows = [columns(body)]
    elif rows_key in body:
        rows = _listed(body[rows_key], columns)
    elif tensors_key in body:
        rows = _tensors(body[tensors_key], columns)
    elif "dataframe_records" in body:
        rows = _listed(body["dataframe_records"], columns)
    elif "dataframe_split" in body:
        rows = _split(body["dataframe_split"], columns)
    elif isinstance(body.get("data"), dict) and _is_seldon(body["data"]):
        rows = _seldon(body["data"], columns)
    else:
        rows = [columns(body)]
    if not rows:
        raise RecordError(Reason.NO_PAYLOAD, "no row in the body")
    return rows


def _batch(items: Sequence[object]) -> Sequence[object]:
    if len(items) > LONGEST_BATCH:
        raise RecordError(Reason.TOO_LONG, f"{len(items)} rows in one record")
    return items


def _listed(value: object, columns: Callable[[object], Columns]) -> list[Columns]:
    """A list of rows; an object of lists is a table by columns; anything else is one row."""
    if isinstance(value, list):
        return [columns(item) for item in _batch(value)]
    if isinstance(value, dict) and value and all(isinstance(v, list) for v in value.values()):
        return _by_column(value, columns)
    return [columns(value)]


def _by_column(value: Mapping[str, object], columns: Callable[[object], Columns]) -> list[Columns]:
    lists = {name: of for name, of in value.items() if isinstance(of, list)}
    sizes = {len(of) for of in lists.values()}
    if len(sizes) != 1:
        raise RecordError(Reason.BAD_PAYLOAD, "columns of different length")
    n = sizes.pop()
    _batch(range(n))
    return [columns({name: of[i] for name, of in lists.items()}) for i in range(n)]


def _split(value: object, columns: Callable[[object], Columns]) -> list[Columns]:
    if not isinstance(value, dict):
        raise RecordError(Reason.BAD_PAYLOAD, "dataframe_split is no object")
    names, data = value.get("columns"), value.get("data")
    if not isinstance(data, list):
        raise RecordError(Reason.BAD_PAYLOAD, "dataframe_split has no data")
    if not isinstance(names, list):
        return [columns(row) for row in _batch(data)]
    rows = []
    for row in _batch(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise RecordError(Reason.BAD_PAYLOAD, "a row has not as many values as columns")
        rows.append(columns(dict(zip(map(str, names), row, strict=True))))
    return rows


def _tensors(value: object, columns: Callable[[object], Columns]) -> list[Columns]:
    """Tensors of V2, whose first dimension is the batch; or columns, as TensorFlow has them."""
    if isinstance(value, dict):
        return _listed(value, columns)
    if not isinstance(value, list):
        return [columns(value)]
    if not all(isinstance(t, dict) and "name" in t and "shape" in t for t in value):
        return [columns(item) for item in _batch(value)]
    if not value:
        return []
    by_name: dict[str, list[object]] = {}
    for tensor in value:
        by_name[str(tensor["name"])] = _tensor_rows(tensor)
    sizes = {len(rows) for rows in by_name.values()}
    if len(sizes) != 1:
        raise RecordError(Reason.BAD_PAYLOAD, "tensors of different batch size")
    n = sizes.pop()
    if (
        columns is output_columns
        and len(by_name) == 1
        and not isinstance(next(iter(by_name.values()))[0], list)
    ):
        (only,) = by_name.values()  # one value a row: its tensor's name says nothing
        return [output_columns(v) for v in only]
    return [columns({name: rows[i] for name, rows in by_name.items()}) for i in range(n)]


def _tensor_rows(tensor: Mapping[str, object]) -> list[object]:
    """One tensor as a list of its rows: a value, or a list of values."""
    parameters = tensor.get("parameters")
    if isinstance(parameters, dict) and "binary_data_size" in parameters:
        raise RecordError(Reason.BINARY_PAYLOAD, "a tensor outside the JSON")
    data = tensor.get("data")
    if data is None:
        raise RecordError(Reason.BINARY_PAYLOAD, "a tensor without data in the JSON")
    shape = _shape(tensor.get("shape"))
    flat = _flattened(data)
    n = shape[0] if shape else 1
    width = math.prod(shape[1:]) if shape else 1
    if n * width != len(flat):
        raise RecordError(Reason.BAD_PAYLOAD, f"{len(flat)} values for a shape of {n} x {width}")
    _batch(range(n))
    if width == 1:
        return flat
    return [flat[i * width : (i + 1) * width] for i in range(n)]


def _shape(value: object) -> list[int]:
    try:
        shape = [int(str(v)) for v in value] if isinstance(value, list) else None
    except ValueError:
        shape = None
    if shape is None or not 1 <= len(shape) <= 8 or any(not 0 <= v <= 10**7 for v in shape):
        raise RecordError(Reason.BAD_PAYLOAD, "no usable shape")
    return shape


def _flattened(value: object) -> list[object]:
    """Nested lists in row-major order, walked without recursion."""
    flat: list[object] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        else:
            flat.append(item)
    return flat


def _is_seldon(data: Mapping[str, object]) -> bool:
    return any(key in data for key in ("ndarray", "tensor", "tftensor"))


def _seldon(data: Mapping[str, object], columns: Callable[[object], Columns]) -> list[Columns]:
    if "tftensor" in data:
        raise RecordError(Reason.BINARY_PAYLOAD, "a tftensor")
    tensor = data.get("tensor")
    rows: list[object]
    if isinstance(tensor, dict):
        shape = tensor.get("shape")
        rows = _tensor_rows({"shape": shape, "data": tensor.get("values")})
    else:
        of = data.get("ndarray")
        if not isinstance(of, list):
            raise RecordError(Reason.BAD_PAYLOAD, "ndarray is no list")
        rows = list(_batch(of))
    names = data.get("names")
    if not isinstance(names, list) or not names:
        return [columns(row) for row in rows]
    listed = [row if isinstance(row, list) else [row] for row in rows]
    if any(len(row) != len(names) for row in listed):
        raise RecordError(Reason.BAD_PAYLOAD, "a row has not as many values as names")
    if columns is output_columns and len(names) == 1:
        return [{PREDICTION: output_columns(row[0]).get(PREDICTION)} for row in listed]
    return [columns(dict(zip(map(str, names), row, strict=True))) for row in listed]
