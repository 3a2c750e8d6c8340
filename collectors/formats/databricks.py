"""Databricks' inference tables: one row per request, its body and its answer as JSON text.

Columns of both kinds of table are known: `timestamp_ms`, `execution_time_ms` of the older, and
`request_time`, `execution_duration_ms`, `served_entity_id` of the newer. The id is
`client_request_id` where the client gave one, since labels are joined by it, else
`databricks_request_id`. An answer other than 2xx is an error, not a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from collectors.formats.bodies import body_of, error_in, request_rows, response_rows
from collectors.formats.records import (
    ERROR,
    LATENCY,
    SAMPLING,
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

_ID = ("client_request_id", "databricks_request_id")
_VERSION = ("served_entity_id", "model_version", "served_model_name")


class _Databricks(Platform):
    def recognises(self, record: Record) -> bool:
        """See Decoder."""
        return "databricks_request_id" in record and "response" in record

    def decode(self, record: Record) -> Sequence[Row]:
        """See Decoder."""
        request = _first(record, _ID)
        if not request:
            raise RecordError(Reason.NO_ID, "neither client_request_id nor databricks_request_id")
        common = _common(record)
        status = _first(record, ("status_code",))
        body = None if record.get("response") in (None, "") else _body(record, "response", status)
        failed = None if status == "" or status.startswith("2") else status
        failed = failed or error_in(body)
        if failed is not None:
            inputs: list[dict[str, Scalar]] = [{}]
            with suppress(RecordError):  # an error counts whatever was asked
                inputs = request_rows(body_of(record.get("request")))
            return of_batch(Part.WHOLE, request, inputs, {**common, ERROR: failed})
        if body is None:
            raise RecordError(Reason.NO_PAYLOAD, "no response; tables leave out long ones")
        outputs = response_rows(body)
        if record.get("request") in (None, ""):
            raise RecordError(Reason.NO_PAYLOAD, "no request; tables leave out long ones")
        return whole_rows(request, request_rows(_body(record, "request", "")), outputs, common)


def _body(record: Record, name: str, status: str) -> object:
    """A body; of a failed answer anything will do."""
    try:
        return body_of(record.get(name))
    except RecordError:
        if status and not status.startswith("2"):
            return {}
        raise


def _common(record: Record) -> dict[str, Scalar]:
    common: dict[str, Scalar] = {
        TIMESTAMP: _first(record, ("timestamp_ms", "request_time", "timestamp")) or None
    }
    for name, columns in (
        (LATENCY, ("execution_time_ms", "execution_duration_ms")),
        (SAMPLING, ("sampling_fraction",)),
        (VERSION, _VERSION),
    ):
        if found := _first(record, columns):
            common[name] = found
    if VERSION not in common:
        metadata = record.get("request_metadata")
        with suppress(RecordError):
            metadata = body_of(metadata)
        if isinstance(metadata, dict) and (found := _first(metadata, _VERSION)):
            common[VERSION] = found
    return common


def _first(record: Record, names: Sequence[str]) -> str:
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


DECODER = _Databricks()
