"""SageMaker's data capture, and ground truth that is uploaded for it.

A record holds a request, its response or both, each as CSV, JSON or base64, of one row or many. The
id is `inferenceId` where one was given, else `eventId`. What a record does not say is in its path:
`{endpoint}/{variant}/yyyy/mm/dd/hh/`, where the variant is the version and, for ground truth, the
hour is when the label came.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from collectors.formats.bodies import (
    body_of,
    decoded_base64,
    error_in,
    request_rows,
    response_rows,
)
from collectors.formats.records import (
    ERROR,
    ID,
    LABEL,
    PREDICTION,
    TIMESTAMP,
    VERSION,
    Part,
    Platform,
    Record,
    RecordError,
    Row,
    Scalar,
    item_id,
    of_batch,
    whole_rows,
)
from collectors.store.reasons import Reason

__all__ = ["DECODER"]

_HOUR = re.compile(r"(?:([^/]+)/)?(\d{4})/(\d{2})/(\d{2})/(\d{2})/[^/]+$")


class _SageMaker(Platform):
    def recognises(self, record: Record) -> bool:
        """See Decoder."""
        return isinstance(record.get("eventMetadata"), dict) and (
            "captureData" in record or "groundTruthData" in record
        )

    def of_path(self, path: Path) -> Mapping[str, Scalar]:
        """See Decoder."""
        found = _HOUR.search(path.as_posix())
        if found is None:
            return {}
        variant, year, month, day, hour = found.groups()
        of = {TIMESTAMP: f"{year}-{month}-{day}T{hour}:00:00Z"}
        return {**of, VERSION: variant} if variant else of

    def decode(self, record: Record) -> Sequence[Row]:
        """See Decoder."""
        metadata = record.get("eventMetadata")
        if not isinstance(metadata, dict):
            raise RecordError(Reason.UNKNOWN_RECORD, "no eventMetadata")
        request = metadata.get("inferenceId") or metadata.get("eventId")
        if not isinstance(request, str):
            raise RecordError(Reason.NO_ID, "neither inferenceId nor eventId")
        if "groundTruthData" in record:
            return _labels(record["groundTruthData"], request)
        capture = record.get("captureData")
        if not isinstance(capture, dict):
            raise RecordError(Reason.UNKNOWN_RECORD, "no captureData")
        common: dict[str, Scalar] = {}
        if isinstance(metadata.get("inferenceTime"), str):
            common[TIMESTAMP] = metadata["inferenceTime"]
        return _captured(capture, request, common)


def _captured(
    capture: Mapping[str, object], request: str, common: Mapping[str, Scalar]
) -> Sequence[Row]:
    asked, answered = capture.get("endpointInput"), capture.get("endpointOutput")
    if asked is None and answered is None:
        raise RecordError(Reason.NO_PAYLOAD, "neither endpointInput nor endpointOutput")
    inputs = request_rows(_payload(asked)) if asked is not None else None
    if answered is None:
        return of_batch(Part.REQUEST, request, inputs or [], common)
    body = _payload(answered)
    failed = error_in(body)
    if failed is not None:
        common = {**common, ERROR: failed}
        return of_batch(Part.WHOLE, request, inputs or [{}], common)
    outputs = response_rows(body)
    if inputs is None:
        return of_batch(Part.RESPONSE, request, outputs, common)
    return whole_rows(request, inputs, outputs, common)


def _payload(side: object) -> object:
    """The body of one side: rows of CSV as lists of text, or JSON."""
    if not isinstance(side, dict):
        raise RecordError(Reason.BAD_PAYLOAD, "a side that is no object")
    data, encoding = side.get("data"), str(side.get("encoding", "")).upper()
    kind = str(side.get("observedContentType", "")).lower()
    if data is None or data == "":
        raise RecordError(Reason.NO_PAYLOAD, "no data was captured")
    if not isinstance(data, str):
        return data
    if encoding == "BASE64":
        data = decoded_base64(data)
        if "csv" in kind:
            encoding = "CSV"
        elif "json" not in kind:
            raise RecordError(Reason.BINARY_PAYLOAD, kind[:100] or "base64 of an unknown kind")
    if encoding == "CSV" or "csv" in kind:
        return _csv(data)
    if "jsonlines" in kind or ("\n" in data.strip() and not data.lstrip().startswith("[")):
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) > 1 and all(line.lstrip().startswith(("{", "[")) for line in lines):
            return [body_of(line) for line in lines]
    return body_of(data)


def _csv(text: str) -> list[object]:
    try:
        rows: list[object] = [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise RecordError(Reason.BAD_PAYLOAD, f"not CSV: {error}") from None
    return rows


def _labels(truth: object, request: str) -> Sequence[Row]:
    rows = response_rows(_payload(truth))
    labels = [row.get(PREDICTION, next(iter(row.values()), None)) for row in rows]
    n = len(labels)
    return [
        Row(Part.LABEL, request, {ID: item_id(request, i, n), LABEL: label}, i, n)
        for i, label in enumerate(labels)
    ]


DECODER = _SageMaker()
