"""KServe's logger: CloudEvents of requests and responses, which share an id and come apart.

Structured events, or dumps of binary ones as {"headers": {...}, "body": ...}. The version is the
`endpoint` (default or canary) where it is said, the service `inferenceservicename`.
"""

from __future__ import annotations

from collections.abc import Sequence

from collectors.formats.bodies import error_in, request_rows, response_rows
from collectors.formats.cloudevents import Event, event_of, event_type
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
)
from collectors.store.reasons import Reason

__all__ = ["DECODER"]

_PREFIX = "org.kubeflow.serving.inference."


class _KServe(Platform):
    def recognises(self, record: Record) -> bool:
        """See Decoder."""
        return event_type(record).startswith(_PREFIX)

    def decode(self, record: Record) -> Sequence[Row]:
        """See Decoder."""
        kind = event_type(record).removeprefix(_PREFIX)
        if kind not in ("request", "response"):
            raise RecordError(Reason.UNKNOWN_RECORD, f"an event of type {event_type(record)[:100]}")
        event = event_of(record)
        return event_rows(event, kind, event.get("id"), event.get("endpoint"))


def event_rows(
    event: Event, kind: str, request: str, version: str, *, shadow: bool = False
) -> Sequence[Row]:
    """Rows of one half. Raises RecordError."""
    if not request:
        raise RecordError(Reason.NO_ID, "the event has no id")
    common: dict[str, Scalar] = {TIMESTAMP: event.get("time") or None}
    if version:
        common[VERSION] = version
    service = event.get("inferenceservicename", "inferenceservice")
    if service:
        common[SERVICE] = service
    if kind == "request":
        rows = request_rows(event.body)
        return of_batch(Part.REQUEST, request, rows, common, shadow=shadow)
    status = event.get("status", "statuscode", "responsestatus")
    failed = error_in(event.body) or (status if status and not status.startswith("2") else None)
    if failed is not None:
        return [Row(Part.RESPONSE, request, {"id": request, **common, ERROR: failed}, 0, 0, shadow)]
    return of_batch(Part.RESPONSE, request, response_rows(event.body), common, shadow=shadow)


DECODER = _KServe()
