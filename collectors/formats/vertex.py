"""Vertex AI's request-response logging, as its BigQuery table is exported.

`request_payload` and `response_payload` are lists: of one text per instance, or of one text that
is the whole body. The version is `deployed_model_id`.
"""

from __future__ import annotations

from collections.abc import Sequence

from collectors.formats.bodies import body_of, error_in, request_rows, response_rows
from collectors.formats.records import (
    ERROR,
    SERVICE,
    TIMESTAMP,
    VERSION,
    Part,
    Platform,
    Record,
    RecordError,
    Row,
    Scalar,
    of_batch,
    whole_rows,
)
from collectors.store.reasons import Reason

__all__ = ["DECODER"]

_WHOLE = ("instances", "predictions", "inputs", "outputs", "error")


class _Vertex(Platform):
    def recognises(self, record: Record) -> bool:
        """See Decoder."""
        return "deployed_model_id" in record and (
            "request_payload" in record or "response_payload" in record
        )

    def decode(self, record: Record) -> Sequence[Row]:
        """See Decoder."""
        request = record.get("request_id")
        if not isinstance(request, str) or not request:
            raise RecordError(Reason.NO_ID, "no request_id")
        common: dict[str, Scalar] = {}
        for name, column in (
            (TIMESTAMP, "logging_time"),
            (VERSION, "deployed_model_id"),
            (SERVICE, "endpoint"),
        ):
            value = record.get(column)
            if isinstance(value, str) and value:
                common[name] = value
        inputs = request_rows(_payload(record, "request_payload"))
        if record.get("response_payload") in (None, "", [], "[]"):
            return of_batch(Part.REQUEST, request, inputs, common)
        body = _payload(record, "response_payload")
        failed = error_in(body) or (error_in(body[0]) if isinstance(body, list) and body else None)
        if failed is not None:
            return of_batch(Part.WHOLE, request, inputs, {**common, ERROR: failed})
        return whole_rows(request, inputs, response_rows(body), common)


def _payload(record: Record, name: str) -> object:
    """A payload as one body: the only element that is a whole one, or the list of instances."""
    value = record.get(name)
    if isinstance(value, str):
        value = body_of(value)
    if value is None or value == []:
        raise RecordError(Reason.NO_PAYLOAD, f"no {name}")
    if not isinstance(value, list):
        return value
    items = [_element(item) for item in value]
    if len(items) == 1 and isinstance(items[0], dict) and any(k in items[0] for k in _WHOLE):
        return items[0]
    return items


def _element(item: object) -> object:
    """One element: JSON in a text, or a text that is a value itself."""
    if isinstance(item, str) and item.lstrip()[:1] in ("{", "[", '"'):
        return body_of(item)
    return item


DECODER = _Vertex()
