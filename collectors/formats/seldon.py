"""Seldon Core's request logger: CloudEvents of requests and responses, and feedback as labels.

The request is `requestid`, the version `modelid`. An event of the endpoint `shadow` is of a model
whose answers were not served.
"""

from __future__ import annotations

from collections.abc import Sequence

from collectors.formats.bodies import response_rows
from collectors.formats.cloudevents import Event, event_of, event_type
from collectors.formats.kserve import event_rows
from collectors.formats.records import (
    ID,
    LABEL,
    PREDICTION,
    TIMESTAMP,
    Part,
    Platform,
    Record,
    RecordError,
    Row,
    item_id,
)
from collectors.store.reasons import Reason

__all__ = ["DECODER"]

_PREFIX = "io.seldon.serving."
_KINDS = {"inference.request": "request", "inference.response": "response"}


class _Seldon(Platform):
    def recognises(self, record: Record) -> bool:
        """See Decoder."""
        return event_type(record).startswith(_PREFIX)

    def decode(self, record: Record) -> Sequence[Row]:
        """See Decoder."""
        kind = event_type(record).removeprefix(_PREFIX)
        event = event_of(record)
        request = event.get("requestid", "id")
        if kind in ("feedback", "inference.feedback"):
            return _feedback(event, request)
        if kind not in _KINDS:
            raise RecordError(Reason.UNKNOWN_RECORD, f"an event of type {event_type(record)[:100]}")
        endpoint = event.get("endpoint")
        version = event.get("modelid") or endpoint
        if endpoint == "canary" and event.get("modelid") == "":
            version = endpoint
        return event_rows(event, _KINDS[kind], request, version, shadow=endpoint == "shadow")


def _feedback(event: Event, request: str) -> Sequence[Row]:
    """Labels of a request: its `truth`, in the order of the batch."""
    if not request:
        raise RecordError(Reason.NO_ID, "the event has no id")
    truth = event.body.get("truth") if isinstance(event.body, dict) else None
    if truth is None:
        raise RecordError(Reason.NO_LABEL, "feedback without truth")
    rows = response_rows(truth)
    labels = [row.get(PREDICTION, next(iter(row.values()), None)) for row in rows]
    n = len(labels)
    time = event.get("time") or None
    return [
        Row(
            Part.LABEL,
            request,
            {ID: item_id(request, i, n), LABEL: label, TIMESTAMP: time},
            i,
            n,
        )
        for i, label in enumerate(labels)
    ]


DECODER = _Seldon()
